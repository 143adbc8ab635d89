package lifecycle

import (
	"context"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/storage"
	"github.com/wasmesh/wasmesh/runtimes"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Runtime is the inference server beside this host: what is used of runtimes.Adapter, which says what the methods do.
type Runtime interface {
	Status(ctx context.Context) (runtimes.Status, error)
	Reset(ctx context.Context) error
	Load(ctx context.Context, model runtimes.Model) (runtimes.Loaded, error)
	Unload(ctx context.Context, modelID string) error
	Holds(ctx context.Context, modelID string) (bool, error)
	WaitLost(ctx context.Context) error
}

// Artifacts brings models to local disk: what is used of storage.Store, which says what the methods do.
type Artifacts interface {
	Size(ctx context.Context, ref *syncv1.StorageReference) (bytes int64, objects int, err error)
	Pull(ctx context.Context, modelID string, ref *syncv1.StorageReference) (storage.Artifact, error)
	Remove(ctx context.Context, modelID string) error
}

// Policies is told what came of the decisions to make room, in order, on the executor's goroutine: what it does in a call,
// requests for models that are not loaded wait for.
type Policies interface {
	// Decided says what came of one answer of machine.Config.Order that had a number.
	Decided(decided machine.Decided)
}

// Publisher is told what the rest of the mesh should know of this host. Its methods return at once, and keep what they
// are given without changing it.
type Publisher interface {
	// Publish says the present state of a copy.
	Publish(modelCopy *syncv1.Copy)
	// PublishOffer says the same of a copy that is none yet: this host, the model's home, seeks a place for it. People are to
	// see that it is queued; to peers and requests it is not here.
	PublishOffer(modelCopy *syncv1.Copy)
	// Withdraw says that there is nothing to say of a model any more.
	Withdraw(modelID string)
	PublishLoad(load *syncv1.Load)
	PublishRuntime(state syncv1.RuntimeState, message string)
}
