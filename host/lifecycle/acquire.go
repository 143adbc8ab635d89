package lifecycle

import (
	"context"
	"errors"
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
	modelID  string
	served   served
	released atomic.Bool
}

// ModelID is the concrete id that the runtime knows the model by.
func (l *Lease) ModelID() string { return l.modelID }

// MaxConcurrency is how many requests the copy serves at once, as the runtime said; 0 is no limit. It is the caller's to
// respect.
func (l *Lease) MaxConcurrency() int { return l.served.maxConcurrency }

// Release ends the lease; after the first call it does nothing.
func (l *Lease) Release() {
	if !l.released.Swap(true) {
		l.executor.release(l.served.copy)
	}
}

func (e *Executor) release(c *modelcache.Copy) {
	if c.Release() {
		select {
		case e.idle <- struct{}{}:
		default: // The token that is there tells of this one too.
		}
	}
}

// TryAcquire takes a lease if the model is loaded. It never waits, takes no lock and allocates only the lease.
func (e *Executor) TryAcquire(modelID string) (*Lease, bool) {
	if e.runtime.doubt.Load() != nil {
		return nil, false
	}
	value, ok := e.requests.served.Load(modelID)
	if !ok {
		return nil, false
	}
	found, _ := value.(*served)
	// A copy that was closed since is on its way out, or was for an instant considered for it: Acquire sorts that out.
	if !found.copy.Acquire(time.Now()) {
		return nil, false
	}
	return &Lease{executor: e, modelID: modelID, served: *found}, true
}

// waiter is a request in Acquire.
type waiter struct {
	modelID string
	// answer takes one outcome without blocking.
	answer chan outcome
}

type outcome struct {
	lease *Lease
	err   *route.Error
}

// Acquire takes a lease, having the model loaded first if it is not. It waits until the model is loaded or has failed,
// or ctx ends. Errors are *route.Error: UnknownModel (also when the model is removed meanwhile: its alias may point
// elsewhere by then), LoadFailed, CannotFit, QueueFull, NoHost, DeadlineExceeded, Cancelled.
func (e *Executor) Acquire(ctx context.Context, modelID string) (*Lease, error) {
	started := time.Now()
	if err := e.inDoubt(ctx); err != nil {
		return nil, e.gaveUp(ctx, modelID, started)
	}
	if lease, ok := e.TryAcquire(modelID); ok {
		return lease, nil
	}
	w := &waiter{modelID: modelID, answer: make(chan outcome, 1)}
	id := machine.WaiterID(e.requests.last.Add(1))
	e.requests.waiters.Store(id, w)
	err := e.call(ctx, machine.Wanted{Model: modelID, Waiter: id})
	if err == nil {
		select {
		case o := <-w.answer:
			return e.answered(o, started)
		case <-e.stopped:
			err = errStopped
		case <-ctx.Done():
		}
	}
	if _, mine := e.requests.waiters.LoadAndDelete(id); !mine {
		// The answer came at the same moment, and it may be a lease.
		if o := <-w.answer; o.lease != nil {
			o.lease.Release()
		}
	} else if !errors.Is(err, errStopped) {
		e.post(delivery{event: machine.WaiterGone{Model: modelID, Waiter: id}})
	}
	return nil, e.gaveUp(ctx, modelID, started)
}

func (e *Executor) answered(o outcome, started time.Time) (*Lease, error) {
	if o.err != nil {
		return nil, o.err
	}
	e.metrics.cacheMiss.Observe(milliseconds(time.Since(started)))
	return o.lease, nil
}

// gaveUp says why a request waits no longer.
func (e *Executor) gaveUp(ctx context.Context, modelID string, started time.Time) *route.Error {
	waited := time.Since(started).Round(time.Millisecond)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return route.Errorf(route.DeadlineExceeded,
			"the deadline passed after %v of waiting for model %q, which is %s; its load goes on, so try again", waited, modelID, e.stage(modelID))
	case ctx.Err() != nil:
		return route.Errorf(route.Cancelled, "the caller went away after %v of waiting for model %q", waited, modelID)
	}
	return route.Errorf(route.NoHost, "this host is stopping; try again")
}

// stage says in words how far a model is.
func (e *Executor) stage(modelID string) string {
	if !e.runtime.up.Load() {
		return "waiting for the runtime to become ready"
	}
	value, _ := e.requests.stages.Load(modelID)
	state, _ := value.(machine.State)
	switch state {
	case machine.Queued:
		return "queued, for its turn or for memory"
	case machine.Estimating, machine.Pulling:
		return "being fetched from storage"
	case machine.Loading, machine.Sizing:
		return "being loaded by the runtime"
	case machine.Draining:
		return "still being unloaded"
	}
	return state.String()
}

// wake answers waiters. One that has given up is not there any more: what was acquired for it is released.
func (e *Executor) wake(effect machine.Wake) {
	for _, id := range effect.Waiters {
		value, ok := e.requests.waiters.LoadAndDelete(id)
		if !ok {
			if effect.Copy != nil {
				e.release(effect.Copy)
			}
			continue
		}
		w, _ := value.(*waiter)
		if effect.Copy == nil {
			w.answer <- outcome{err: effect.Err}
			continue
		}
		lease := &Lease{executor: e, modelID: w.modelID, served: served{copy: effect.Copy}}
		if value, ok := e.requests.served.Load(w.modelID); ok {
			if found, _ := value.(*served); found.copy == effect.Copy {
				lease.served = *found
			}
		}
		w.answer <- outcome{lease: lease}
	}
}
