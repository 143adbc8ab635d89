package machine

import (
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/route"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Failure is the last failed attempt to load a model. It is immutable.
type Failure struct {
	Reason  syncv1.FailureReason
	Message string
	Time    time.Time
	// RetryAt is when the next attempt is due: by itself in the background, or for the first request from then on.
	RetryAt  time.Time
	Attempts int
}

// How long to wait after the n-th failed attempt in a row: base x 2^(n-1), up to the most.
const (
	// A model that failed to load would most likely fail again, and each attempt may cost other models their place.
	retryBase = 5 * time.Second
	retryMost = 15 * time.Minute
	// Storage that cannot be reached says nothing against the model, and asking costs little.
	storageRetryBase = time.Second
	storageRetryMost = 30 * time.Second
)

func backoff(cause Cause, attempts int) time.Duration {
	base, most := retryBase, retryMost
	if cause == StorageUnavailable {
		base, most = storageRetryBase, storageRetryMost
	}
	pause := base
	for n := 1; n < attempts && pause < most; n++ {
		pause *= 2
	}
	return min(pause, most)
}

// refusal is what a request hears until the next attempt is due.
func (f *Failure) refusal(modelID string, now time.Time) *route.Error {
	outcome := route.LoadFailed
	if f.Reason == syncv1.FailureReason_FAILURE_REASON_CANNOT_FIT {
		outcome = route.CannotFit
	}
	wait := max(f.RetryAt.Sub(now), 0)
	// To the second, but never a wait of none: the message is for people.
	err := route.Errorf(outcome, "model %q failed to load: %s (attempt %d; tried again in %v)",
		modelID, f.Message, f.Attempts, max(wait.Round(time.Second), time.Second))
	err.RetryAfter = wait
	return err
}

// fail ends an attempt of which nothing is left.
func (m *Machine) fail(mo *model, fault *Fault) {
	reason := syncv1.FailureReason_FAILURE_REASON_MODEL_LOAD_FAILED
	if fault.Cause == RuntimeUnavailable {
		reason = syncv1.FailureReason_FAILURE_REASON_RUNTIME_UNHEALTHY
	}
	m.note(mo, reason, fault)
	m.settle(mo)
}

// failCannotFit is fail for a model larger than all there is.
func (m *Machine) failCannotFit(mo *model, never *modelcache.NeverFitsError) {
	m.noteCannotFit(mo, never)
	m.settle(mo)
}

func (m *Machine) noteCannotFit(mo *model, never *modelcache.NeverFitsError) {
	m.note(mo, syncv1.FailureReason_FAILURE_REASON_CANNOT_FIT, &Fault{
		Cause:   BadModel,
		Message: "the model " + never.Error() + " of this host; give the runtime more memory or serve a smaller model",
	})
}

// note records a failure and tells everybody who waits. The caller sees to what is left of the attempt.
func (m *Machine) note(mo *model, reason syncv1.FailureReason, fault *Fault) {
	mo.trouble.attempts++
	now, attempts := m.step.now, mo.trouble.attempts
	mo.trouble.last = &Failure{
		Reason: reason, Message: fault.Message, Time: now, RetryAt: now.Add(backoff(fault.Cause, attempts)), Attempts: attempts,
	}
	mo.estimate = estimate{} // Storage is asked again before the next attempt.
	m.refuse(mo, mo.trouble.last.refusal(mo.id, now))
}

// retryNow makes the next attempt of a failed model due, and its back-off start anew. The failure is shown until then.
func (m *Machine) retryNow(mo *model) {
	past := *mo.trouble.last
	past.RetryAt = m.step.now
	mo.trouble.last, mo.trouble.attempts = &past, 0
	m.setDue(mo, m.step.now)
}

// credentialsChanged retries what may have failed for want of access.
func (m *Machine) credentialsChanged() {
	m.retryFailed(syncv1.FailureReason_FAILURE_REASON_MODEL_LOAD_FAILED)
}

// retryFailed retries every model that failed for this reason.
func (m *Machine) retryFailed(reason syncv1.FailureReason) {
	// Whatever has failed is due sometime.
	for _, mo := range append([]*model(nil), m.due.models...) {
		if mo.state == Failed && mo.trouble.last.Reason == reason {
			m.retryNow(mo)
		}
	}
}
