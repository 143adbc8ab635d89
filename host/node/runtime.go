package node

import (
	"context"
	"sync/atomic"

	"github.com/wasmesh/wasmesh/host/forward"
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

// Target implements mesh.Runtime.
func (w *watchedRuntime) Target() forward.Target {
	if target := w.target.Load(); target != nil {
		return *target
	}
	return forward.Target{Address: w.address}
}
