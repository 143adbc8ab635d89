package lifecycle

import (
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// copyState is what the mesh sees of a state; unspecified for one that there is nothing to say of.
func copyState(s machine.State) syncv1.CopyState {
	switch s {
	case machine.Queued, machine.Estimating:
		return syncv1.CopyState_COPY_STATE_QUEUED
	case machine.Pulling, machine.Loading, machine.Sizing:
		return syncv1.CopyState_COPY_STATE_LOADING
	case machine.Loaded:
		return syncv1.CopyState_COPY_STATE_LOADED
	case machine.Draining:
		return syncv1.CopyState_COPY_STATE_DRAINING
	case machine.Failed:
		return syncv1.CopyState_COPY_STATE_FAILED
	}
	return syncv1.CopyState_COPY_STATE_UNSPECIFIED
}

// copyMessage is what is reported of a model; nil for nothing.
func copyMessage(p machine.Publish) *syncv1.Copy {
	state := copyState(p.State)
	if state == syncv1.CopyState_COPY_STATE_UNSPECIFIED {
		return nil
	}
	message := &syncv1.Copy{
		ModelId:      p.Model,
		State:        state,
		Size:         resourcesMessage(p.Size),
		StateSinceMs: p.Since.UnixMilli(),
		LastUsedMs:   unixMilli(p.LastUsed),
	}
	if p.Copy != nil {
		message.InFlight = uint32(p.Copy.InFlight())
	}
	if f := p.Failure; f != nil {
		message.Failure = &syncv1.Failure{
			Reason: f.Reason, Message: f.Message, TimeMs: f.Time.UnixMilli(), RetryAtMs: unixMilli(f.RetryAt), Attempts: uint32(f.Attempts),
		}
	}
	return message
}

// unixMilli answers 0 for no time.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func resourcesMessage(r modelcache.Resources) *syncv1.Resources {
	return &syncv1.Resources{
		HostMemoryBytes:   uint64(r[modelcache.HostMemory]),
		DeviceMemoryBytes: uint64(r[modelcache.DeviceMemory]),
		Slots:             uint64(r[modelcache.Slots]),
	}
}
