package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/storage"
	"github.com/wasmesh/wasmesh/runtimes"
)

// storageFault says to the machine what an error of Artifacts means; ctx is the one that the call was made with.
func storageFault(ctx context.Context, err error) *machine.Fault {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &machine.Fault{Cause: machine.StorageUnavailable, Message: fmt.Sprintf("storage did not answer in time: %v", err)}
	case ctx.Err() != nil:
		return &machine.Fault{Cause: machine.Cancelled, Message: err.Error()}
	case storage.KindOf(err) == storage.Unavailable:
		return &machine.Fault{Cause: machine.StorageUnavailable, Message: err.Error()}
	}
	return &machine.Fault{Cause: machine.BadModel, Message: err.Error()}
}

// runtimeFault says to the machine what an error of Runtime means; verb is what was asked.
func runtimeFault(ctx context.Context, verb string, err error) *machine.Fault {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &machine.Fault{Cause: machine.BadModel, Message: fmt.Sprintf("the runtime did not %s the model in time", verb)}
	case ctx.Err() != nil:
		return &machine.Fault{Cause: machine.Cancelled, Message: err.Error()}
	case runtimes.IsUnavailable(err):
		return &machine.Fault{Cause: machine.RuntimeUnavailable, Message: err.Error()}
	}
	return &machine.Fault{Cause: machine.BadModel, Message: err.Error()}
}

// guarded turns a panic of an adapter or of storage into an error: one model must not take the host down.
func (e *Executor) guarded(what string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e.deps.Logger.Error("defect", "in", what, "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s: defect: %v", what, r)
		}
	}()
	return f()
}
