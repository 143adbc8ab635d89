package lifecycle

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/route"
)

// Lease keeps a loaded copy from being unloaded while a request uses it. When the runtime is lost the lease stands, but
// nothing is behind it any more.
type Lease struct {
	executor *Executor
	served   *served
	// answered is told of the release; nil for all but the first of many that waited for a load.
	answered chan<- struct{}
	released atomic.Bool
}

// ModelID is the concrete id that the runtime knows the model by.
func (l *Lease) ModelID() string { return l.served.modelID }

// Release ends the lease; after the first call it does nothing.
func (l *Lease) Release() {
	if l.released.Swap(true) {
		return
	}
	if l.answered != nil {
		select {
		case l.answered <- struct{}{}:
		default:
		}
	}
	if l.served.gate != nil {
		l.served.gate.leave()
	}
	l.executor.release(l.served.copy)
}

func (e *Executor) release(c *modelcache.Copy) {
	if c.Release() {
		select {
		case e.idle <- struct{}{}:
		default: // The token that is there tells of this one too.
		}
	}
}

// TryAcquire takes a lease if the model is loaded and its copy takes one more request. It never waits, allocates only the
// lease, and takes no lock for a copy without a limit of concurrency.
func (e *Executor) TryAcquire(modelID string) (*Lease, bool) {
	if e.runtime.doubt.Load() != nil {
		return nil, false
	}
	value, ok := e.requests.served.Load(modelID)
	if !ok {
		return nil, false
	}
	found, _ := value.(*served)
	if found.gate != nil && !found.gate.try() {
		return nil, false
	}
	// A copy that was closed since is on its way out, or was for an instant considered for it: Acquire sorts that out.
	if !found.copy.Acquire(time.Now()) {
		if found.gate != nil {
			found.gate.leave()
		}
		return nil, false
	}
	return &Lease{executor: e, served: found}, true
}

// waiter is a request that waits for the machine.
type waiter struct {
	modelID string
	// near: the request itself is here, and not with the host that passed it on.
	near bool
	// since is when it came.
	since time.Time
	// answer takes one outcome without blocking.
	answer chan outcome
}

// outcome of a wait: a copy that was acquired for the request, with its place at the gate if there is one, or an error.
type outcome struct {
	served *served
	place  *place
	wake   machine.Wake
	// answered is the lease's.
	answered chan<- struct{}
}

// errAgain: the copy is not served any more, so the model is to be asked for anew.
var errAgain = errors.New("the copy is gone")

// Acquire takes a lease, having the model loaded first if it is not. It waits until the model is loaded or has failed,
// and then for the copy to take one more request; or until ctx ends. Errors are *route.Error: UnknownModel (also when
// the model is removed meanwhile: its alias may point elsewhere by then), LoadFailed, CannotFit, QueueFull, NoHost,
// DeadlineExceeded, Cancelled.
func (e *Executor) Acquire(ctx context.Context, modelID string) (*Lease, error) {
	lease, err := e.acquire(ctx, machine.Wanted{Model: modelID}, true)
	if elsewhere, ok := errors.AsType[*NotHere](err); ok {
		return nil, elsewhere.Err
	}
	return lease, err
}

// Join is Acquire for a request that was sent here because the model is held here: it waits only if that is so, or if a
// load is under way or reserved. near says that the request has come whole, so that it can be passed on at once: of those
// that waited for a load, one such goes first. Errors are *route.Error when the wait itself ended (DeadlineExceeded,
// Cancelled), else *NotHere.
func (e *Executor) Join(ctx context.Context, modelID string, near bool) (*Lease, error) {
	return e.acquire(ctx, machine.Wanted{Model: modelID, Join: true}, near)
}

func (e *Executor) acquire(ctx context.Context, wanted machine.Wanted, near bool) (*Lease, error) {
	started := time.Now()
	for {
		if err := e.inDoubt(ctx); err != nil {
			return nil, e.gaveUp(ctx, wanted.Model, started)
		}
		lease, err := e.enter(ctx, wanted.Model)
		if lease == nil && err == nil {
			lease, err = e.await(ctx, wanted, &waiter{modelID: wanted.Model, near: near, since: started, answer: make(chan outcome, 1)})
		}
		switch {
		case err == nil:
			return lease, nil
		case errors.Is(err, errAgain):
			continue
		case ctx.Err() != nil || errors.Is(err, errStopped):
			return nil, e.gaveUp(ctx, wanted.Model, started)
		}
		return nil, err
	}
}

// enter takes a lease on a copy that is loaded, waiting for its turn if it is full. Neither lease nor error: there is none.
func (e *Executor) enter(ctx context.Context, modelID string) (*Lease, error) {
	value, ok := e.requests.served.Load(modelID)
	if !ok {
		return nil, nil
	}
	found, _ := value.(*served)
	var p *place
	if found.gate != nil {
		if p = found.gate.join(false); p == nil {
			return nil, found.overload()
		}
	}
	if !found.copy.Acquire(time.Now()) {
		if p != nil {
			found.gate.quit(p)
		}
		return nil, nil
	}
	return e.pass(ctx, found, p)
}

// overload is what a request hears that finds the copy's queue full.
func (s *served) overload() error {
	_, waiting := s.gate.counts()
	err := route.Errorf(route.QueueFull,
		"model queue overload: %d requests wait for model %q, which takes %d at once (limit %d); try again later",
		waiting, s.modelID, s.gate.limit, s.gate.bound)
	err.RetryAfter = time.Second
	return &NotHere{State: machine.Loaded, Err: err}
}

// pass waits for the turn of a request for which the copy has been acquired.
func (e *Executor) pass(ctx context.Context, found *served, p *place) (*Lease, error) {
	if p == nil {
		return &Lease{executor: e, served: found}, nil
	}
	var err error
	select {
	case <-p.turn:
		if p.held {
			return &Lease{executor: e, served: found}, nil
		}
		err = errAgain
	case <-e.stopped:
		err = errStopped
	case <-ctx.Done():
		err = ctx.Err()
	}
	found.gate.quit(p)
	e.release(found.copy)
	return nil, err
}

// await waits for the machine.
func (e *Executor) await(ctx context.Context, wanted machine.Wanted, w *waiter) (*Lease, error) {
	wanted.Waiter = machine.WaiterID(e.requests.last.Add(1))
	e.requests.waiters.Store(wanted.Waiter, w)
	err := e.call(ctx, wanted)
	if err == nil {
		select {
		case o := <-w.answer:
			return e.answered(ctx, o, w.since)
		case <-e.stopped:
			err = errStopped
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if _, mine := e.requests.waiters.LoadAndDelete(wanted.Waiter); !mine {
		// The answer came at the same moment, and it may be a copy.
		if o := <-w.answer; o.served != nil {
			if o.place != nil {
				o.served.gate.quit(o.place)
			}
			e.release(o.served.copy)
		}
	} else if !errors.Is(err, errStopped) {
		e.post(delivery{event: machine.WaiterGone{Model: wanted.Model, Waiter: wanted.Waiter}})
	}
	return nil, err
}

func (e *Executor) answered(ctx context.Context, o outcome, started time.Time) (*Lease, error) {
	if o.served == nil {
		return nil, &NotHere{State: o.wake.State, Failure: o.wake.Failure, Err: o.wake.Err}
	}
	lease, err := e.pass(ctx, o.served, o.place)
	if err == nil {
		lease.answered = o.answered
		e.metrics.cacheMiss.Observe(milliseconds(time.Since(started)))
	}
	return lease, err
}

// gaveUp says why a request waits no longer.
func (e *Executor) gaveUp(ctx context.Context, modelID string, started time.Time) error {
	waited := time.Since(started).Round(time.Millisecond)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && e.State(modelID) == machine.Loaded:
		return route.Errorf(route.DeadlineExceeded,
			"the deadline passed after %v of waiting for model %q, which has as many requests as it takes at once; try again", waited, modelID)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return route.Errorf(route.DeadlineExceeded,
			"the deadline passed after %v of waiting for model %q, which is %s; its load goes on, so try again", waited, modelID, e.stage(modelID))
	case ctx.Err() != nil:
		return route.Errorf(route.Cancelled, "the caller went away after %v of waiting for model %q", waited, modelID)
	}
	return &NotHere{Err: route.Errorf(route.NoHost, "this host is stopping; try again")}
}

// stage says in words how far a model is.
func (e *Executor) stage(modelID string) string {
	if !e.runtime.up.Load() {
		return "waiting for the runtime to become ready"
	}
	switch state := e.State(modelID); state {
	case machine.Queued:
		return "queued, for its turn or for memory"
	case machine.Estimating, machine.Pulling:
		return "being fetched from storage"
	case machine.Loading, machine.Sizing:
		return "being loaded by the runtime"
	case machine.Draining:
		return "still being unloaded"
	default:
		return state.String()
	}
}

// A load that a thousand requests waited for would set off a thousand of them at once, and the first answer would come
// when all have been sent: they all want the same processors. So of more than a few one goes first and alone. When it has
// its answer the others follow in waves, each twice the one before; the last goes a few milliseconds later, when the runtime
// is busy anyway. Where an answer takes longer than firstAnswer it is the runtime that takes the time, and nobody waits
// for that.
const (
	fewWaiters  = 8
	firstWave   = 4
	firstAnswer = 5 * time.Millisecond
	wavePause   = 500 * time.Microsecond
)

// wake answers waiters, in the order in which they came.
func (e *Executor) wake(effect machine.Wake) {
	o := outcome{wake: effect, served: e.servedTo(effect)}
	if effect.Copy == nil || len(effect.Waiters) <= fewWaiters {
		e.wakeAll(o, effect.Waiters)
		return
	}
	answered, first := make(chan struct{}, 1), o
	first.answered = answered
	waiters := e.nearFirst(effect.Waiters)
	e.wakeAll(first, waiters[:1])
	e.workers.Go(func() { e.wakeInWaves(o, waiters[1:], answered) })
}

// nearFirst puts the earliest near waiter before all others: the others hear of a copy no sooner for going before it.
func (e *Executor) nearFirst(waiters []machine.WaiterID) []machine.WaiterID {
	for i, id := range waiters {
		value, ok := e.requests.waiters.Load(id)
		if !ok {
			continue
		}
		if w, _ := value.(*waiter); w.near {
			return slices.Concat(waiters[i:i+1], waiters[:i], waiters[i+1:])
		}
	}
	return waiters
}

// wakeInWaves wakes the others once the first is answered.
func (e *Executor) wakeInWaves(o outcome, waiters []machine.WaiterID, answered <-chan struct{}) {
	longest := time.NewTimer(firstAnswer)
	defer longest.Stop()
	select {
	case <-answered:
	case <-longest.C:
	}
	ticker := time.NewTicker(wavePause)
	defer ticker.Stop()
	for wave := firstWave; len(waiters) > 0; wave *= 2 {
		<-ticker.C // The first time too: the answer is on its way to the client.
		n := min(wave, len(waiters))
		e.wakeAll(o, waiters[:n])
		waiters = waiters[n:]
	}
}

// servedTo is the copy that waiters get, as requests find it: the machine publishes it before it wakes anybody with it.
// Later it may be served no more, and its gate has to hold for them all the same. Nil: they get none, or all have given up.
func (e *Executor) servedTo(effect machine.Wake) *served {
	if effect.Copy == nil {
		return nil
	}
	for _, id := range effect.Waiters {
		if value, ok := e.requests.waiters.Load(id); ok {
			w, _ := value.(*waiter)
			value, _ = e.requests.served.Load(w.modelID)
			found, _ := value.(*served)
			return found
		}
	}
	return nil
}

// wakeAll answers waiters at once. One that has given up is not there any more: what was acquired for it is released.
func (e *Executor) wakeAll(o outcome, waiters []machine.WaiterID) {
	for _, id := range waiters {
		value, ok := e.requests.waiters.LoadAndDelete(id)
		if !ok {
			if o.wake.Copy != nil {
				e.release(o.wake.Copy)
			}
			continue
		}
		to := o
		if o.served != nil && o.served.gate != nil {
			to.place = o.served.gate.join(true)
		}
		w, _ := value.(*waiter)
		w.answer <- to
	}
}
