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

// Policies is told what decisions are to be taken and what came of them, in order, on the executor's goroutine: what it
// does in a call, requests for models that are not loaded wait for.
type Policies interface {
	// Missed says that a request waits for a model that is not here. Where it should be loaded is for the policy to say; as
	// long as hosts do not ask each other, it is loaded here. Ended follows.
	Missed(missed machine.Missed)
	// Ended says that the model has come to rest: Loaded, Failed for a reason, or Absent. It comes for every model, missed
	// or not.
	Ended(modelID string, state machine.State, failure *machine.Failure)
	// Decided says what came of one answer of machine.Config.Order that had a number.
	Decided(decided machine.Decided)
}

// Publisher is told what the rest of the mesh should know of this host. Its methods return at once, and keep what they
// are given without changing it.
type Publisher interface {
	// Publish says the present state of a copy.
	Publish(modelCopy *syncv1.Copy)
	// Withdraw says that there is nothing to say of a model any more.
	Withdraw(modelID string)
	PublishLoad(load *syncv1.Load)
	PublishRuntime(state syncv1.RuntimeState, message string)
}
