package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/runtimes"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// statusInterval is the pause between two looks at a runtime that is not ready.
	statusInterval = 250 * time.Millisecond
	// statusTimeout is generous for a runtime that is busy loading.
	statusTimeout = 5 * time.Second
	holdsTimeout  = 5 * time.Second
	// resetTimeout is for unloading everything that a former host left behind.
	resetTimeout = time.Minute
)

// session is one time of the runtime being up. All that was asked of it ends with it.
type session struct {
	ctx         context.Context
	cancel      context.CancelFunc
	loadTimeout time.Duration
	// calls are the Loads and Unloads under way; added to by the loop only, and not after RuntimeLost.
	calls sync.WaitGroup
}

// end ends all calls, and waits until the machine has been handed their results.
func (s *session) end() {
	s.cancel()
	s.calls.Wait()
}

// supervise brings the machine word of the runtime: ready, lost, ready again, until ctx ends.
func (e *Executor) supervise(ctx context.Context) {
	e.deps.Publisher.PublishRuntime(syncv1.RuntimeState_RUNTIME_STATE_STARTING, "the runtime has not answered yet")
	for ctx.Err() == nil {
		status, ok := e.awaitReady(ctx)
		if !ok {
			return
		}
		s := &session{loadTimeout: cmp.Or(status.LoadTimeout, e.config.LoadTimeout)}
		s.ctx, s.cancel = context.WithCancel(ctx)
		e.runtime.session.Store(s)
		e.runtime.up.Store(true)
		e.deps.Logger.Info("runtime ready", "version", status.Version, "capacity_bytes", status.CapacityBytes)
		e.deps.Publisher.PublishRuntime(syncv1.RuntimeState_RUNTIME_STATE_READY, "")
		if e.call(ctx, machine.RuntimeReady{Limits: limits(status)}) == nil {
			e.awaitLost(s.ctx)
		}
		if ctx.Err() == nil {
			e.runtime.up.Store(false)
			e.deps.Logger.Warn("runtime lost; its models are loaded again when it is back")
			e.deps.Publisher.PublishRuntime(syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE, "the connection to the runtime was lost")
			_ = e.call(ctx, machine.RuntimeLost{})
		}
		e.resolve()
		s.end()
		pause(ctx, statusInterval) // What just died is not back at once.
	}
}

func limits(status runtimes.Status) machine.Limits {
	return machine.Limits{
		Capacity:          modelcache.Resources{modelcache.HostMemory: status.CapacityBytes},
		Loads:             status.MaxLoadingConcurrency,
		DefaultModelBytes: status.DefaultModelBytes,
	}
}

// awaitReady looks until the runtime is ready and empty. False: ctx ended.
func (e *Executor) awaitReady(ctx context.Context) (runtimes.Status, bool) {
	state, said := syncv1.RuntimeState_RUNTIME_STATE_STARTING, ""
	if e.runtime.session.Load() != nil {
		state = syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE
	}
	for {
		status, err := e.status(ctx)
		if err == nil {
			err = e.emptyRuntime(ctx)
		}
		if err == nil {
			return status, true
		}
		if message := err.Error(); message != said && ctx.Err() == nil {
			said = message
			e.deps.Logger.Info("runtime not ready", "error", message)
			e.deps.Publisher.PublishRuntime(state, message)
		}
		if !pause(ctx, statusInterval) {
			return runtimes.Status{}, false
		}
		e.resolve() // That the runtime is down is known; nobody needs to wait for that.
	}
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (e *Executor) status(ctx context.Context) (status runtimes.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	err = e.guarded("ask runtime for status", func() (err error) {
		status, err = e.deps.Runtime.Status(ctx)
		return err
	})
	return status, err
}

// emptyRuntime unloads whatever the runtime holds.
func (e *Executor) emptyRuntime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, resetTimeout)
	defer cancel()
	return e.guarded("reset runtime", func() error { return e.deps.Runtime.Reset(ctx) })
}

// awaitLost returns when the runtime is lost, or ctx has ended.
func (e *Executor) awaitLost(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	lost := make(chan struct{})
	go func() {
		defer close(lost)
		_ = e.guarded("watch runtime", func() error { return e.deps.Runtime.WaitLost(ctx) })
	}()
	defer func() { cancel(); <-lost }()
	for {
		select {
		case <-lost:
			return
		case <-e.runtime.suspected:
			if !e.alive(ctx, lost) {
				return
			}
			e.resolve()
		}
	}
}

// alive reports whether a runtime that is in doubt lives. One that does not answer in time may be busy, with a load for
// one, and to take it for lost would cost all its models: it is asked again, for as long as its connection stands.
func (e *Executor) alive(ctx context.Context, lost <-chan struct{}) bool {
	for {
		_, err := e.status(ctx)
		if err == nil {
			return true
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			return false
		}
		select {
		case <-lost:
			return false
		default:
		}
	}
}

// Suspect reports that the runtime does not take connections, or did not answer. Until the supervisor has asked it,
// TryAcquire finds nothing and Acquire waits. It returns at once.
func (e *Executor) Suspect() {
	doubt := make(chan struct{})
	if !e.runtime.doubt.CompareAndSwap(nil, &doubt) {
		return // Somebody was first.
	}
	select {
	case e.runtime.suspected <- struct{}{}:
	default:
	}
	select {
	case <-e.stopped:
		e.resolve()
	default:
	}
}

// resolve ends the doubt: whatever there was to know has been told to the machine.
func (e *Executor) resolve() {
	if doubt := e.runtime.doubt.Swap(nil); doubt != nil {
		close(*doubt)
	}
}

// inDoubt waits while there is doubt whether the runtime lives.
func (e *Executor) inDoubt(ctx context.Context) error {
	doubt := e.runtime.doubt.Load()
	if doubt == nil {
		return nil
	}
	select {
	case <-*doubt:
		return nil
	case <-e.stopped:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Forgot asks the runtime whether it still holds a model that it was thought to hold, after it answered a request with
// NOT_FOUND. True: it does not, and the next Acquire has the model loaded again. False: it does, or cannot be asked.
func (e *Executor) Forgot(ctx context.Context, modelID string) bool {
	value, ok := e.requests.served.Load(modelID)
	if !ok {
		return true // Somebody else has found out already.
	}
	found, _ := value.(*served)
	id := found.copy.ID()
	// However many requests were answered so, the runtime is asked once about one copy.
	answer, err, _ := e.runtime.holds.Do(strconv.FormatUint(uint64(id), 10), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), holdsTimeout)
		defer cancel()
		var holds bool
		err := e.guarded("ask runtime for model", func() (err error) {
			holds, err = e.deps.Runtime.Holds(ctx, modelID)
			return err
		})
		if err == nil && !holds {
			e.deps.Logger.Warn("runtime no longer holds a model; loading it again", "model", modelID)
			err = e.call(ctx, machine.RuntimeForgot{ID: id})
		}
		return !holds, err
	})
	if runtimes.IsUnavailable(err) {
		e.Suspect()
	}
	forgot, _ := answer.(bool)
	return forgot && err == nil
}
