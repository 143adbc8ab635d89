package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
)

// Config of an Executor. Zero values take the defaults below.
type Config struct {
	Machine machine.Config
	// LoadTimeout bounds one load when the runtime does not say.
	LoadTimeout time.Duration
}

// Deps are what an Executor works with; all but Policies and Mesh are required.
type Deps struct {
	Runtime   Runtime
	Artifacts Artifacts
	Publisher Publisher
	// Policies may be nil: then nobody is told.
	Policies Policies
	// Mesh may be nil for a host that is alone.
	Mesh    MeshPort
	Logger  *slog.Logger
	Metrics prometheus.Registerer
}

const (
	// DefaultLoadTimeout is what ModelMesh's built-in ServingRuntimes set.
	DefaultLoadTimeout = 90 * time.Second
	// estimateTimeout and pullTimeout end what hangs. A pull makes progress for as long as it runs, or storage ends it;
	// an hour is for the largest models on slow lines.
	estimateTimeout = 30 * time.Second
	pullTimeout     = time.Hour
	// unloadTimeout is generous: memory that is not known to be free cannot be given to another.
	unloadTimeout = time.Minute
	// removeTimeout is for unlinking a few files.
	removeTimeout = time.Minute
	// farewellTimeout bounds the last unloading, when the host stops.
	farewellTimeout = 5 * time.Second
	// Widths of the lanes: an unload or a removal is short, and few are useful at once.
	unloadsAtOnce  = 4
	removalsAtOnce = 2
	// eventBuffer lets a burst of results be handed over without waiting; its size matters little.
	eventBuffer = 64
	// idlePause is the least time between two looks at what has become idle.
	idlePause = time.Millisecond
	// figuresInterval is how often load figures are published, and the use of copies is looked at.
	figuresInterval = time.Second
)

// Executor performs what the machine decides. Its exported methods are safe for concurrent use, before and while Run
// runs and after; requests that come when Run has ended are refused.
type Executor struct {
	config  Config
	deps    Deps
	metrics *metrics
	machine *machine.Machine // The loop's alone, except for its Ledger.

	events chan delivery
	// idle holds one token when a Release asked to tell.
	idle    chan struct{}
	stopped chan struct{} // Closed when Run ends: nobody takes events any more.
	workers sync.WaitGroup

	requests requests
	runtime  runtimeWatch
	work     work
	// worth is what the copies here were last said to be worth; written by the loop.
	worth atomic.Pointer[machine.Worth]
	// figures is the last look at every copy, of Figures.
	figures atomic.Pointer[looked]
}

// requests is where requests and the loop meet.
type requests struct {
	// served is what requests find: model id to *served, written by the loop.
	served sync.Map
	// stages is the state of every model that is not absent, model id to machine.State, for what waiters are told.
	stages sync.Map
	// waiters is who waits in Acquire: machine.WaiterID to *waiter. Whoever takes one out has the last word on it.
	waiters sync.Map
	last    atomic.Uint64
	// lastTicket is the last machine.TicketID given out.
	lastTicket atomic.Uint64
}

// runtimeWatch is what the supervisor knows of the runtime.
type runtimeWatch struct {
	// session is the present or last time of the runtime being up; up says which.
	session atomic.Pointer[session]
	up      atomic.Bool
	// doubt is set while it is open whether the runtime lives; closed when that is known.
	doubt atomic.Pointer[chan struct{}]
	// suspected holds one token when there is doubt.
	suspected chan struct{}
	holds     singleflight.Group
}

// work is what the loop has started and not heard of; its goroutine's alone.
type work struct {
	cancels  map[modelcache.CopyID]context.CancelFunc
	unloads  lane
	removals lane
	timer    *time.Timer
	// told is what was last published of each loaded copy, by model id, to tell of use as it goes on.
	told map[string]told
	// untold is what this step has to tell the mesh of.
	untold []untold
	// answer is the last Reserved or GaveUp of this step.
	answer machine.Effect
}

// delivery is an event on its way to the machine.
type delivery struct {
	event machine.Event
	// first runs on the loop's goroutine before the event is taken in; may be nil.
	first func()
	// taken is closed when the event has had its effects, of which the last answer is in answer by then; both may be nil.
	taken  chan struct{}
	answer *machine.Effect
}

// served is a loaded copy, as requests find it.
type served struct {
	modelID  string
	key      uint64
	copy     *modelcache.Copy
	loadedAt time.Time
	// gate is nil for a copy without a limit of concurrency.
	gate *gate
	// from is since when it has been used without a long pause, zero while it is not; the loop's alone.
	from   time.Time
	steady atomic.Bool
}

// New makes an Executor that does nothing before Run. It registers its metrics; that is the only error.
func New(config Config, deps Deps) (*Executor, error) {
	config.LoadTimeout = cmp.Or(config.LoadTimeout, DefaultLoadTimeout)
	e := &Executor{
		config:  config,
		deps:    deps,
		machine: machine.New(config.Machine),
		events:  make(chan delivery, eventBuffer),
		idle:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
		work: work{
			told:     make(map[string]told),
			cancels:  make(map[modelcache.CopyID]context.CancelFunc),
			unloads:  lane{width: unloadsAtOnce},
			removals: lane{width: removalsAtOnce},
		},
	}
	e.runtime.suspected = make(chan struct{}, 1)
	e.worth.Store(&machine.Worth{})
	m, err := newMetrics(deps.Metrics, e.machine.Ledger())
	if err != nil {
		return nil, err
	}
	e.metrics = m
	return e, nil
}

// Run works until ctx ends, then stops everything that it started, and has the runtime unload what it holds. By then
// requests should have ended: those that wait are refused, and those in flight lose their model. An error is a defect of
// ours; the host cannot go on without Run.
func (e *Executor) Run(ctx context.Context) error {
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	e.workers.Go(func() { e.supervise(working) })
	err := e.loop(working)
	cancel()
	close(e.stopped)
	e.workers.Wait()
	if e.runtime.up.Load() {
		farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellTimeout)
		defer cancel()
		if emptied := e.emptyRuntime(farewell); emptied != nil {
			e.deps.Logger.Warn("models not unloaded from the runtime; its next host does that", "error", emptied)
		}
	}
	return err
}

// loop feeds the machine. It is the only goroutine that touches it.
func (e *Executor) loop(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("run lifecycle: defect: %v\n%s", r, debug.Stack())
		}
	}()
	e.work.timer = time.NewTimer(0)
	defer e.work.timer.Stop()
	figures := time.NewTicker(figuresInterval)
	defer figures.Stop()
	// After an Idle, the next waits a moment: copies under heavy traffic become idle all the time, and each look at all of
	// them costs.
	idle := e.idle
	rested := time.NewTimer(0)
	defer rested.Stop()
	for {
		select {
		case d := <-e.events:
			if d.first != nil {
				d.first()
			}
			e.work.answer = nil
			e.step(ctx, d.event)
			if d.answer != nil {
				*d.answer = e.work.answer
			}
			if d.taken != nil {
				close(d.taken)
			}
		case <-idle:
			e.step(ctx, machine.Idle{})
			idle = nil
			rested.Reset(idlePause)
		case <-rested.C:
			idle = e.idle
		case <-e.work.timer.C:
			e.step(ctx, machine.Tick{})
		case <-figures.C:
			e.step(ctx, machine.Survey{})
			e.publishFigures()
			e.publishUse(time.Now())
		case <-ctx.Done():
			return nil
		}
	}
}

func (e *Executor) step(ctx context.Context, event machine.Event) {
	if _, lost := event.(machine.RuntimeLost); lost {
		e.work.unloads.forget() // What it was to unload is gone.
	}
	effects := e.machine.Step(time.Now(), event)
	e.metrics.setStats(e.machine.Stats())
	for _, effect := range effects {
		e.perform(ctx, effect)
	}
	e.tellAll() // Who got a copy is on its way by now.
}

// post hands a result to the loop. When Run has ended nobody needs it.
func (e *Executor) post(d delivery) {
	select {
	case e.events <- d:
	case <-e.stopped:
	}
}

// errStopped answers a call after Run has ended.
var errStopped = errors.New("lifecycle has stopped")

// call hands an event to the loop and waits until it has had its effects.
func (e *Executor) call(ctx context.Context, event machine.Event) error {
	return e.deliver(ctx, delivery{event: event, taken: make(chan struct{})})
}

// ask is call for an event that is answered by an effect.
func (e *Executor) ask(ctx context.Context, event machine.Event) (machine.Effect, error) {
	answer := new(machine.Effect)
	if err := e.deliver(ctx, delivery{event: event, taken: make(chan struct{}), answer: answer}); err != nil {
		return nil, err // The loop may be writing the answer.
	}
	return *answer, nil
}

func (e *Executor) deliver(ctx context.Context, d delivery) error {
	select {
	case e.events <- d:
	case <-e.stopped:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-d.taken:
		return nil
	case <-e.stopped:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CatalogChanged tells of models that came, changed or went. When it returns nil, every model has been considered and what
// was decided has been published.
func (e *Executor) CatalogChanged(ctx context.Context, change machine.CatalogChanged) error {
	return e.call(ctx, change)
}

// CredentialsChanged has models tried again that may have failed for want of access.
func (e *Executor) CredentialsChanged(ctx context.Context) error {
	return e.call(ctx, machine.CredentialsChanged{})
}
