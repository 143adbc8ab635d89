package machine

import (
	"cmp"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
)

// Config is what a Machine is made from. Zero values take the defaults below.
type Config struct {
	// Runtime is the name of this host's ServingRuntime; rows that do not list it are none of this host's.
	Runtime string
	// Capacity for models in the runtime. When the runtime states its own, the smaller holds.
	Capacity modelcache.Resources
	// Loads is how many models are loaded at once when the runtime does not say.
	Loads int
	// Pulls is how many models hold a reservation before they are loaded: being pulled, or waiting for memory.
	Pulls int
	// Estimates is how many storage listings run at once.
	Estimates int
	// WaitersPerModel and Waiters bound the requests that wait for one model and for all.
	WaitersPerModel, Waiters int
	// History is of how many models the size is remembered, and of how many that are gone the usage.
	History int
	// Order says what copies are worth, from which follows in which order they give way; nil is modelcache.ByRecency. It is
	// asked only when copies are about to go, and for Worth.
	Order    modelcache.Order
	Envelope Envelope
	// MaxConcurrency bounds the requests that a copy takes at once, 0 not at all; when the runtime states a number for a
	// copy, the smaller holds.
	MaxConcurrency int
	// Mesh is nil for a host that is alone.
	Mesh Mesh
}

// Mesh is what the machine has to know of other hosts. It answers from memory, at once, as of now; when an answer changes
// in a way that lets the machine load more, MeshChanged says so.
type Mesh interface {
	// Home reports whether this host is the one that sees to the model when no request does: that loads it in the
	// background, and tries again what failed. A host that does not yet know the others is nobody's home.
	Home(key uint64, runtimes []string) bool
	// CopiesElsewhere is how many copies of the model other hosts hold, load or queue.
	CopiesElsewhere(key uint64) int
	// Room reports whether another host may take a model of this need in the background, as far as is known of it: one that
	// has so much free, or a copy that has not been used since then; whatever keeps the model may replace more than that.
	Room(runtimes []string, need modelcache.Resources, keep modelcache.Keep, since time.Time) bool
}

// Envelope limits what happens in the background, that is, without a request waiting. A load that a request waits for
// is never held back by it.
type Envelope struct {
	// Pause between the starts of two background loads.
	Pause time.Duration
	// EvictionsPerMinute by background loads.
	EvictionsPerMinute int
	// MinResidency: a copy loaded more recently gives way to requests only.
	MinResidency time.Duration
	// ReloadGuard: a model that was evicted comes back only for a request for so long.
	ReloadGuard time.Duration
}

// Defaults of Config.
const (
	// DefaultLoads: loading is mostly one core's work in the runtimes that do not state a number.
	DefaultLoads = 1
	// DefaultPulls lets the next models be fetched while one is loaded, past one whose storage is slow.
	DefaultPulls = 4
	// DefaultEstimates: a listing is one or two small requests, and may hang.
	DefaultEstimates = 16
	// DefaultWaitersPerModel and DefaultWaiters bound memory: a waiting request holds some 32 KiB beside its message,
	// which ingress accounts for.
	DefaultWaitersPerModel = 1024
	DefaultWaiters         = 4096
	// DefaultHistory takes about 1 MB.
	DefaultHistory = 10_000

	// DefaultPause fills a host in seconds, yet leaves most of the runtime's time to requests.
	DefaultPause = 50 * time.Millisecond
	// DefaultEvictionsPerMinute lets a rollout of dozens of models complete within minutes.
	DefaultEvictionsPerMinute = 30
	// DefaultMinResidency and DefaultReloadGuard keep two idle models from pushing each other out all day.
	DefaultMinResidency = time.Minute
	DefaultReloadGuard  = time.Minute
)

// Constants without a knob.
const (
	// createdAgo is the age of the last use that a new model is taken to have: it gives way to what was used within
	// the hour and replaces what was not, as in ModelMesh (LASTUSED_AGE_ON_ADD_MS).
	createdAgo = time.Hour
	// unloadRetry is the pause before a refused unload is tried again.
	unloadRetry = 5 * time.Second
	// queueRetry is what a request is told that finds the queue full.
	queueRetry = time.Second
	// considerPerStep bounds the models that one Step looks at, in the queue and in the background, and standbyPerPass
	// those that were looked at before, so that ten thousand creations never hold up the answers to requests.
	considerPerStep = 256
	standbyPerPass  = 32
	// headStart is how long a model of which storage is being asked the size is waited for by models worth less, so that
	// the most valuable come first, but storage that hangs holds nobody up.
	headStart = time.Second
	// TicketTTL is for how long a load that was reserved is kept for the request that is to come, as if it waited already.
	TicketTTL = 5 * time.Second
	// drainTicket is the same for a copy that a leaving host hands over: the requests come when it is loaded.
	drainTicket = time.Minute
	// runtimePatience is how long loads are reserved although the runtime is not ready, and requests wait for it: most
	// runtimes have started again by then. Arbiters ask such a host last.
	runtimePatience = 30 * time.Second
	// offerTimeout is for an offer of which nothing is heard: arbiters, all of them, have less.
	offerTimeout = 30 * time.Second
	// offerRetry is the pause after an offer that no arbiter decided, or for which all who might were busy, and offerPause
	// the one after a refusal, unless there is more room somewhere; then it is offerNews.
	offerRetry = 200 * time.Millisecond
	offerPause = 10 * time.Second
	offerNews  = time.Second
	// offerPatience is when an offer that was taken is looked at again, should nothing be seen of the load.
	offerPatience = 10 * time.Second
	// refusalsPerMinute bounds the offers of Standby models that come to nothing: each has been put to every host.
	refusalsPerMinute = 60
	// passesMost is how many models may be given memory before one that came earlier and needs more, and patience how long
	// they wait after that for its sake: most requests in flight have ended by then. Each time that it was in vain, twice as
	// many go before the next.
	passesMost = 32
	patience   = 3 * time.Second
	vainMost   = 16
	// recheck is how often Standby models are looked at though nothing happened, and recheckSwitch while an alias is
	// changing over.
	recheck       = 10 * time.Second
	recheckSwitch = time.Second
	// surveyUsed is how often what copies are worth is looked at while they are used, and surveyAtLeast although none is:
	// idle ones lose in worth. When one came or went every Survey looks.
	surveyUsed    = 10 * time.Second
	surveyAtLeast = time.Minute
)

func (c Config) withDefaults() Config {
	c.Loads = cmp.Or(c.Loads, DefaultLoads)
	c.Pulls = cmp.Or(c.Pulls, DefaultPulls)
	c.Estimates = cmp.Or(c.Estimates, DefaultEstimates)
	c.WaitersPerModel = cmp.Or(c.WaitersPerModel, DefaultWaitersPerModel)
	c.Waiters = cmp.Or(c.Waiters, DefaultWaiters)
	c.History = cmp.Or(c.History, DefaultHistory)
	if c.Order == nil {
		c.Order = modelcache.ByRecency
	}
	e := &c.Envelope
	e.Pause = cmp.Or(e.Pause, DefaultPause)
	e.EvictionsPerMinute = cmp.Or(e.EvictionsPerMinute, DefaultEvictionsPerMinute)
	e.MinResidency = cmp.Or(e.MinResidency, DefaultMinResidency)
	e.ReloadGuard = cmp.Or(e.ReloadGuard, DefaultReloadGuard)
	return c
}
