package ingress

import (
	"context"
	"net/http"

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

// Models find copies for requests, on this host and on others.
type Models interface {
	// Start begins the way of one request to a model. It never waits.
	Start(model Resolved) Session
	// Forgot asks this host's model server whether it lost a model that it was thought to hold. If true, the copy is no
	// longer handed out and the next one is loaded again.
	Forgot(ctx context.Context, modelID string) bool
	// Suspect reports that this host's model server does not take connections. Until it has been asked, its copies are not
	// handed out.
	Suspect()
}

// Session is the way of one request to its model, until a lease serves it: a route.Trip with somebody to perform it. One
// goroutine uses it; leases outlive it. It need not be ended.
type Session interface {
	// Try takes a lease if there is a loaded copy, here or on a peer. It never waits, and is called before Acquire or not
	// at all.
	Try() (Lease, bool)
	// Acquire takes the next lease, having the model loaded if it must be. It waits within ctx. Errors are *route.Error,
	// which end the request, or the context's; UnknownModel says that the model has left the catalog meanwhile.
	Acquire(ctx context.Context) (Lease, error)
	// Refused says that the lease that was taken last, which is released, did not serve the request, and that the request
	// can be sent again. The next Acquire goes on from there.
	Refused(lease Lease, why *route.NotHere)
}

// Lease is leave to send one request to a copy.
type Lease interface {
	// Target is where to send it: this host's model server, or a peer with the token in its Header.
	Target() forward.Target
	ModelID() string
	// Local: the copy is on this host, and is not unloaded before Release.
	Local() bool
	// Waits: the peer is still to load the model, so that opening the request may take as long as a load.
	Waits() bool
	// Release ends the lease; it is called once.
	Release()
}

// Here are the copies on this host, for requests that other hosts pass on. Errors are *route.NotHere.
type Here interface {
	// TryAcquire takes a lease if the model is loaded and takes another request. It never waits.
	TryAcquire(modelID string) (Lease, error)
	// Join takes a lease, waiting within ctx if the model is queued, being loaded or full. It never has one loaded. Other
	// errors are *route.Error, or the context's.
	Join(ctx context.Context, modelID string) (Lease, error)
	// Forgot and Suspect are those of Models.
	Forgot(ctx context.Context, modelID string) bool
	Suspect()
}

// Peers are what the peer listener needs.
type Peers struct {
	Here Here
	// CheckToken tells in constant time whether the sender knows the key of the mesh.
	CheckToken func(token string) bool
	// Service answers the calls of peers that are not requests to models; it checks their token itself.
	Service http.Handler
	// Refused counts a request that was turned away: "token" or "malformed".
	Refused func(reason string)
}
