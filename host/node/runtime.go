package node

import (
	"context"
	"sync/atomic"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/ingress"
	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/runtimes"
)

// watchedRuntime remembers where requests to the runtime go: the address is this host's configuration, the methods are
// what the runtime says of itself.
type watchedRuntime struct {
	runtimes.Adapter
	address string
	target  atomic.Pointer[forward.Target]
}

// Status implements runtimes.Adapter. No model is loaded before a first one has succeeded, so target is set by the time
// that a lease exists.
func (w *watchedRuntime) Status(ctx context.Context) (runtimes.Status, error) {
	status, err := w.Adapter.Status(ctx)
	if err != nil {
		return status, err
	}
	target := &forward.Target{Address: w.address, AllowAnyMethod: status.AllowAnyMethod, IDPaths: make(map[string][]uint32, len(status.Methods))}
	for name, method := range status.Methods {
		target.IDPaths[name] = method.IDPath
	}
	w.target.Store(target)
	return status, nil
}

// models gives ingress the copies of this host.
type models struct {
	executor *lifecycle.Executor
	runtime  *watchedRuntime
}

// lease is a lifecycle lease that knows where to send its request.
type lease struct {
	*lifecycle.Lease
	runtime *watchedRuntime
}

func (l lease) Target() forward.Target {
	if target := l.runtime.target.Load(); target != nil {
		return *target
	}
	return forward.Target{Address: l.runtime.address}
}

func (m *models) TryAcquire(modelID string) (ingress.Lease, bool) {
	held, ok := m.executor.TryAcquire(modelID)
	if !ok {
		return nil, false
	}
	return lease{held, m.runtime}, true
}

func (m *models) Acquire(ctx context.Context, modelID string) (ingress.Lease, error) {
	held, err := m.executor.Acquire(ctx, modelID)
	if err != nil {
		return nil, err
	}
	return lease{held, m.runtime}, nil
}

func (m *models) Forgot(ctx context.Context, modelID string) bool {
	return m.executor.Forgot(ctx, modelID)
}

func (m *models) Suspect() { m.executor.Suspect() }
