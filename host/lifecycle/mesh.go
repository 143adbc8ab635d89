package lifecycle

import (
	"context"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/route"
)

// MeshPort takes what the machine has to say to other hosts. Its methods are called in order on the executor's goroutine
// and return at once.
type MeshPort interface {
	// Remember is to be told to the model's arbiter.
	Remember(r machine.Remember)
	// Offer is a model that its arbiter is to place, here or elsewhere; Executor.OfferAnswered says what came of it.
	Offer(o machine.Offer)
}

// NotHere answers a Join for a model that this host does not hold, and has not been asked to load; or that it could not
// load. Whoever sent the request may try elsewhere at once.
type NotHere struct {
	// State of the model here.
	State machine.State
	// Failure is the last one, until a load succeeds; nil for none.
	Failure *machine.Failure
	// Err is what the request hears if nobody else has the model.
	Err *route.Error
}

func (e *NotHere) Error() string { return e.Err.Message }

// Unwrap answers a *route.Error.
func (e *NotHere) Unwrap() error { return e.Err }

// Reserve has the machine answer an arbiter; ticket numbers are given here. When it returns, what was granted has been
// published. The error is ctx's, or says that lifecycle has stopped.
func (e *Executor) Reserve(ctx context.Context, reserve machine.Reserve) (machine.Reserved, error) {
	reserve.Ticket = machine.TicketID(e.requests.lastTicket.Add(1))
	answer, err := e.ask(ctx, reserve)
	reserved, _ := answer.(machine.Reserved)
	return reserved, err
}

// GiveUp lets go of a copy that the model's arbiter does not need. True: it is on its way out, or there was none.
// Requests in flight on it end as ever, and those that wait at it ask anew. message says why it stays.
func (e *Executor) GiveUp(ctx context.Context, modelID string) (released bool, message string, err error) {
	answer, err := e.ask(ctx, machine.GiveUp{Ticket: machine.TicketID(e.requests.lastTicket.Add(1)), Model: modelID})
	gaveUp, _ := answer.(machine.GaveUp)
	return gaveUp.Released, gaveUp.Message, err
}

// SetDraining tells the machine that the host is about to leave, or stays.
func (e *Executor) SetDraining(ctx context.Context, draining bool) error {
	return e.call(ctx, machine.SetDraining{Draining: draining})
}

// MeshChanged tells the machine that machine.Config.Mesh answers otherwise than before.
func (e *Executor) MeshChanged(ctx context.Context, changed machine.MeshChanged) error {
	return e.call(ctx, changed)
}

// OfferAnswered tells the machine what came of an offer.
func (e *Executor) OfferAnswered(ctx context.Context, answer machine.OfferAnswered) error {
	return e.call(ctx, answer)
}

// Remembered tells the machine what the mesh remembers of models whose home is here.
func (e *Executor) Remembered(ctx context.Context, models []machine.Remember) error {
	return e.call(ctx, machine.Remembered{Models: models})
}

// Use is how one loaded copy is used at this moment.
type Use struct {
	ModelID string
	Key     uint64
	// InFlight are requests at the runtime, Waiting those beyond MaxConcurrency, which is 0 for no limit.
	InFlight, Waiting, MaxConcurrency int
	// LastUsed is when a request last came; zero for never.
	LoadedAt, LastUsed time.Time
	// Steady: it has been in use for long, without a long pause.
	Steady bool
}

// Uses tells of every loaded copy, in no order. It asks nobody and may be called often.
func (e *Executor) Uses(yield func(Use)) {
	e.requests.served.Range(func(_, value any) bool {
		found, _ := value.(*served)
		yield(found.use())
		return true
	})
}

// State is what requests are told of a model here. A model that is Loaded and not to be had by TryAcquire is full.
func (e *Executor) State(modelID string) machine.State {
	value, _ := e.requests.stages.Load(modelID)
	state, _ := value.(machine.State)
	return state
}

// Figures are this host at this moment. What takes a look at every copy (InFlight, Oldest) may be figuresAge old: arbiters
// ask for figures with each load.
func (e *Executor) Figures() machine.Figures {
	ledger := e.machine.Ledger()
	memory, now := ledger.Sums(), time.Now()
	seen := e.figures.Load()
	if seen == nil || now.Sub(seen.at) > figuresAge {
		seen = &looked{at: now, stats: ledger.Stats()}
		e.figures.Store(seen)
	}
	memory.InFlight, memory.Oldest = seen.stats.InFlight, seen.stats.Oldest
	return machine.Figures{
		Memory: memory, Free: ledger.Free(), Models: *e.metrics.stats.Load(), Worth: *e.worth.Load(),
	}
}

// figuresAge is less than the pause after which figures are told again.
const figuresAge = 200 * time.Millisecond

// looked is what a look at every copy has shown.
type looked struct {
	at    time.Time
	stats modelcache.Stats
}

// RuntimeReady reports whether the runtime takes loads.
func (e *Executor) RuntimeReady() bool { return e.runtime.up.Load() }

const (
	// steadyAfter and steadyPause: a copy used for so long, without a pause of more than so long, is worth a second one.
	// ModelMesh takes one use now and another 7 to 40 minutes ago for that; this is its lower bound, and the gap between two
	// uses that it would see as one.
	steadyAfter = 7 * time.Minute
	steadyPause = 2 * time.Minute
)

// watchSteady notes whether a copy is in steady use. It is the loop's.
func (s *served) watchSteady(now time.Time) {
	switch {
	case s.copy.InFlight() > 0 && s.from.IsZero():
		s.from = now
	case s.copy.InFlight() > 0:
	case s.copy.Uses() == 0 || now.Sub(s.copy.LastUsed()) > steadyPause:
		s.from = time.Time{}
	case s.from.IsZero():
		s.from = s.copy.LastUsed()
	}
	s.steady.Store(!s.from.IsZero() && now.Sub(s.from) >= steadyAfter)
}

func (s *served) use() Use {
	u := Use{
		ModelID: s.modelID, Key: s.key, InFlight: s.copy.InFlight(), LoadedAt: s.loadedAt, Steady: s.steady.Load(),
	}
	if s.copy.Uses() > 0 {
		u.LastUsed = s.copy.LastUsed()
	}
	if s.gate != nil {
		// Whoever waits is in flight to the ledger, so that the copy stays.
		u.MaxConcurrency = s.gate.limit
		u.InFlight, u.Waiting = s.gate.counts()
	}
	return u
}
