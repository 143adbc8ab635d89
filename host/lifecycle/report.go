package lifecycle

import (
	"time"

	"google.golang.org/protobuf/proto"

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
	}
	message.Failure = FailureMessage(p.Failure)
	return message
}

// FailureMessage is a failure as it is told to others; nil for none.
func FailureMessage(f *machine.Failure) *syncv1.Failure {
	if f == nil {
		return nil
	}
	return &syncv1.Failure{
		Reason: f.Reason, Message: f.Message, TimeMs: f.Time.UnixMilli(), RetryAtMs: unixMilli(f.RetryAt), Attempts: uint32(f.Attempts),
	}
}

// usePause is how often a copy's use is told again: it is for people and for whoever plans ahead, and a busy host must not
// have a message for each copy each second.
const usePause = 10 * time.Second

// told is what was published of a loaded copy.
type told struct {
	served  *served
	message *syncv1.Copy
	at      time.Time
}

// setUse fills in what changes while a copy is loaded. A copy that no request has used says nothing: the time that the
// machine ranks it by is not one of use.
func setUse(message *syncv1.Copy, s *served) {
	u := s.use()
	message.InFlight, message.Waiting, message.MaxConcurrency = uint32(u.InFlight), uint32(u.Waiting), uint32(u.MaxConcurrency)
	if s.copy.Uses() > 0 {
		message.LastUsedMs = s.copy.LastUsed().UnixMilli()
	}
}

// publishUse tells of the copies whose use has changed since it was told, and notes which are in steady use.
func (e *Executor) publishUse(now time.Time) {
	for model, t := range e.work.told {
		t.served.watchSteady(now)
		if now.Sub(t.at) < usePause {
			continue
		}
		message := proto.CloneOf(t.message)
		setUse(message, t.served)
		if !proto.Equal(message, t.message) {
			e.deps.Publisher.Publish(message)
			e.work.told[model] = told{served: t.served, message: message, at: now}
		}
	}
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
