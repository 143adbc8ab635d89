package arbiter

import (
	"cmp"
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/host/placement"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Config is what a Machine is made from. Zero values take the defaults below. The functions are called within Step only,
// and answer at once.
type Config struct {
	// Self is the id of this host.
	Self string
	// View is who is in the mesh now. After it has changed comes a ViewChanged.
	View func() *members.View
	// Copies appends the copies of a model in all hosts, this one included, by host id. After they have changed comes a
	// CopiesChanged.
	Copies func(key uint64, into []residency.Copy) []residency.Copy
	// Failure is why the model failed on that host; nil when that is not known.
	Failure func(key uint64, host string) *syncv1.Failure
	// Place asks the place hook and puts its word into what is able: placement.Ask, for Model.Asker, and placement.Choose.
	Place func(now time.Time, model placement.Model, hosts []placement.Host) placement.Decision

	// History is of how many models the use is remembered.
	History int
	// Asks and AsksPerModel bound those that wait; who comes then is told to come again.
	Asks, AsksPerModel int
	// Background is how many decisions that no request waits for are under way at once.
	Background int
	// ReserveTimeout is how long a host has for its answer.
	ReserveTimeout time.Duration
	// ScaleDownAfter is for how long a copy has not been needed when it is given up.
	ScaleDownAfter time.Duration
	// FailedHosts is on how many hosts a model is tried before it counts as failed.
	FailedHosts int
}

// Defaults of Config.
const (
	// DefaultHistory takes about 2 MB.
	DefaultHistory = 20_000
	// DefaultAsks and DefaultAsksPerModel: each host has one ask for each model, and one more for each set of hosts that
	// failed it.
	DefaultAsks         = 8192
	DefaultAsksPerModel = 256
	// DefaultBackground fills a mesh quickly, for a decision takes a round trip only, and leaves figures time to follow.
	DefaultBackground = 8
	// DefaultReserveTimeout: a host answers within milliseconds. One that is silent for longer is taken for dead anyhow.
	DefaultReserveTimeout = time.Second
	// DefaultScaleDownAfter spans the pauses between bursts, and a load is worth more than a minute of memory.
	DefaultScaleDownAfter = time.Minute
	// DefaultFailedHosts as in ModelMesh (MAX_LOAD_FAILURES).
	DefaultFailedHosts = 3
)

// Constants without a knob.
const (
	// Rounds is how often the hosts are ranked for one decision. What a host refuses because its memory is not free any
	// more, it grants in the last round.
	Rounds = 3
	// GrantTTL is how long a host counts as holding a model that it has taken on although residency does not say so: as
	// long as the host itself keeps the load for whoever is to come.
	GrantTTL = 5 * time.Second
	// quietGrantTTL is that of a load that nobody waits for: the host may drop it at once, and residency, which says so
	// within milliseconds, may have said both that it came and that it went before anybody looked.
	quietGrantTTL = time.Second
	// distrust is how long a host that gave no answer is passed over while there are others.
	distrust = 5 * time.Second
	// useTTL is how long a report of use counts. Copies that are busy report four times a second, others once.
	useTTL = 5 * time.Second
	// settling is how long a model of which no copy is left is left to the host that comes first for it, which asks for it in
	// its turn, before its min-copies are placed.
	settling = time.Second
	// retryScale and retryBackground are the first pauses after a load that nobody waits for was refused. They double, up
	// to the maximum, until one is granted or the mesh changes.
	retryScale      = time.Second
	retryBackground = 10 * time.Second
	retryScaleMax   = 10 * time.Second
	retryMax        = 160 * time.Second
	// retryFailed is the longest pause that a host makes after failed loads (package lifecycle). One that says more has
	// another clock.
	retryFailed = 15 * time.Minute
	// turnsMost is how often in a row a copy that nobody waits for is refused for want of room by hosts whose figures say that
	// there is some, before that counts as any refusal: with rests in between it is some seconds.
	turnsMost = 20
	// rest is for how long a host that refused a load that nobody waits for is offered no other. Hosts start only so many of
	// them at once: when their memory is free, they may take the next one soon.
	rest = 200 * time.Millisecond
	// busyPatience is for how long a load that nobody waits for is kept for the host that the policy chose, while that is
	// busy with others; then the next in order is asked.
	busyPatience = 2 * time.Second
	// retryBusy is what an ask is told when too many wait, and retryMesh when hosts are leaving, starting or unreachable.
	retryBusy = 100 * time.Millisecond
	retryMesh = 500 * time.Millisecond
	// steadyReserve is the part of a host's capacity, as a divisor, that second copies for safety leave free.
	steadyReserve = 8
	// warmingLoads is how many loads that nobody waits for a host that has just come has at once: as many as it would have
	// had it been there all along, for each is over within seconds.
	warmingLoads = 2
	// checksPerStep bounds the models that one Step looks at, so that a host that joins with 20,000 copies does not hold up
	// the answers to asks.
	checksPerStep = 512
)

func (c Config) withDefaults() Config {
	c.History = cmp.Or(c.History, DefaultHistory)
	c.Asks = cmp.Or(c.Asks, DefaultAsks)
	c.AsksPerModel = cmp.Or(c.AsksPerModel, DefaultAsksPerModel)
	c.Background = cmp.Or(c.Background, DefaultBackground)
	c.ReserveTimeout = cmp.Or(c.ReserveTimeout, DefaultReserveTimeout)
	c.ScaleDownAfter = cmp.Or(c.ScaleDownAfter, DefaultScaleDownAfter)
	c.FailedHosts = cmp.Or(c.FailedHosts, DefaultFailedHosts)
	if c.Failure == nil {
		c.Failure = func(uint64, string) *syncv1.Failure { return nil }
	}
	return c
}
