package decide

import (
	"time"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// messageNoReason stands in for a host that said none.
const messageNoReason = "The host gave no reason"

// failureInfo is the newest failure in the words of the status; nil for none.
func (t tally) failureInfo() *v1beta1.FailureInfo {
	if t.worst == nil {
		return nil
	}
	info := &v1beta1.FailureInfo{
		// Whole, where ModelMesh shows the last 12 characters: not every host's name has what tells it apart at its end.
		Location: t.host,
		// Also for a model that is too large for any host: KServe's CRD has no word for that, and the message says it.
		Reason:  v1beta1.ModelLoadFailed,
		Message: t.worst.Message,
	}
	if t.worst.Reason == syncv1.FailureReason_FAILURE_REASON_RUNTIME_UNHEALTHY {
		info.Reason = v1beta1.RuntimeUnhealthy
	}
	if info.Message == "" {
		info.Message = messageNoReason
	}
	if t.worst.TimeMs > 0 {
		at := inSeconds(time.UnixMilli(t.worst.TimeMs))
		info.Time = &at
	}
	return info
}

// failure is lastFailureInfo: of the model that the spec asks for, or of the spec.
func (a *alias) failure(c change, now time.Time) *v1beta1.FailureInfo {
	if a.fault != nil {
		return stamped(v1beta1.FailureInfo{Reason: a.fault.Code, Message: a.fault.Message}, a.before.failure, now)
	}
	wanted := c.wanted()
	if f := wanted.reading.failure; f != nil {
		info := *f
		info.ModelRevisionName = wanted.model.Id
		return stamped(info, a.before.failure, now)
	}
	return retained(a.before.failureOf(wanted.model.Id), wanted.reading.state)
}

// retained keeps the failure of a runtime in sight until the model that waited for it is there or at rest.
func retained(before *v1beta1.FailureInfo, state v1beta1.ModelState) *v1beta1.FailureInfo {
	if before == nil || before.Reason != v1beta1.RuntimeUnhealthy {
		return nil
	}
	if state != v1beta1.Loading && state != v1beta1.Pending {
		return nil
	}
	return before
}

// stamped gives a failure that no host dated the time at which it was first seen.
func stamped(info v1beta1.FailureInfo, before *v1beta1.FailureInfo, now time.Time) *v1beta1.FailureInfo {
	switch {
	case info.Time != nil:
	case sameFailure(&info, before) && before.Time != nil:
		info.Time = before.Time
	default:
		at := inSeconds(now)
		info.Time = &at
	}
	return &info
}

// sameFailure compares all but the time.
func sameFailure(a, b *v1beta1.FailureInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Location == b.Location && a.Reason == b.Reason && a.Message == b.Message &&
		a.ModelRevisionName == b.ModelRevisionName
}
