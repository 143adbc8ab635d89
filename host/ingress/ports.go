package ingress

import (
	"context"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/route"
)

// Catalog says what should exist. All methods answer at once.
type Catalog interface {
	// Ready reports whether a complete catalog has been received; before, an unknown name proves nothing.
	Ready() bool
	// Resolve finds the model behind an alias or a concrete model id; UnknownModel if there is none.
	Resolve(name string) (Resolved, *route.Error)
	// ModelStatus says whether a request for this name would be served; UnknownModel if there is no such model.
	ModelStatus(name string) (ModelStatus, *route.Error)
}

// Resolved is the model behind a name.
type Resolved struct {
	// ModelID is the concrete id.
	ModelID string
	// Runtimes can serve the model, in order of preference.
	Runtimes []string
	// Reason says why no runtime at all can serve the model; empty if one can.
	Reason string
	// NotHere says why this host cannot serve the model although others could; empty if it can.
	NotHere string
}

// ModelStatus is the answer to "is this model ready".
type ModelStatus struct {
	// Ready: it is loaded, or would be loaded by the first request.
	Ready bool
	// Reason says why it is not ready.
	Reason string
}

// Models are the copies of models on this host.
type Models interface {
	// TryAcquire takes a lease if the model is loaded. It never waits.
	TryAcquire(modelID string) (Lease, bool)
	// Acquire has the model loaded, if it is not, and takes a lease. It waits within ctx. Errors are *route.Error,
	// UnknownModel among them if the model has left the catalog meanwhile, or the context's.
	Acquire(ctx context.Context, modelID string) (Lease, error)
	// Forgot asks the model server whether it lost a model that it was thought to hold. If true, the copy is no longer
	// handed out and the next Acquire loads it again.
	Forgot(ctx context.Context, modelID string) bool
	// Suspect reports that the model server does not take connections. Until it has been asked, Acquire waits and
	// TryAcquire finds nothing.
	Suspect()
}

// Lease keeps a copy from being unloaded.
type Lease interface {
	Target() forward.Target
	ModelID() string
	// Release ends the lease; it is called once.
	Release()
}
