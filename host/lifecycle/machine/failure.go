package machine

import (
	"slices"
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

// pausing reports whether the next attempt is not due.
func (mo *model) pausing(now time.Time) bool {
	return mo.trouble.last != nil && now.Before(mo.trouble.last.RetryAt)
}

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

// fail ends an attempt of which nothing is left. Whoever waits hears of it after it has been published.
func (m *Machine) fail(mo *model, fault *Fault) {
	m.note(mo, fault)
	m.settle(mo)
	m.refuse(mo, mo.trouble.last.refusal(mo.id, m.step.now))
}

func reasonOf(cause Cause) syncv1.FailureReason {
	switch cause {
	case RuntimeUnavailable:
		return syncv1.FailureReason_FAILURE_REASON_RUNTIME_UNHEALTHY
	case tooLarge:
		return syncv1.FailureReason_FAILURE_REASON_CANNOT_FIT
	}
	return syncv1.FailureReason_FAILURE_REASON_MODEL_LOAD_FAILED
}

// cannotFit is the fault of a model that is larger than all there is.
func cannotFit(never *modelcache.NeverFitsError) *Fault {
	message := "the model " + never.Error() + " of this host; give the runtime more memory or serve a smaller model"
	return &Fault{Cause: tooLarge, Message: message}
}

// note records a failure. The caller sees to what is left of the attempt, and to who waits.
func (m *Machine) note(mo *model, fault *Fault) {
	mo.trouble.attempts++
	now, attempts := m.step.now, mo.trouble.attempts
	mo.trouble.last = &Failure{
		Reason: reasonOf(fault.Cause), Message: fault.Message,
		Time: now, RetryAt: now.Add(backoff(fault.Cause, attempts)), Attempts: attempts,
	}
	mo.use.brought = false
	mo.estimate = estimate{} // Storage is asked again before the next attempt.
}

// retryNow makes the next attempt of a failed model due, and its back-off start anew. The failure is shown until then.
func (m *Machine) retryNow(mo *model) {
	past := *mo.trouble.last
	past.RetryAt = m.step.now
	mo.trouble.last, mo.trouble.attempts = &past, 0
	m.setDue(mo, m.step.now)
}

// retryDue makes the next attempt, or has whoever asks for the model next make it, if it is not this host's to see to: to
// others it looks as if it had never been here, though its back-off goes on from where it was.
func (m *Machine) retryDue(mo *model) {
	if m.config.Mesh != nil && !m.mayOffer(mo) {
		mo.trouble.last = nil
	}
	m.offer(mo)
}

// retryFailed retries every model that failed for this reason.
func (m *Machine) retryFailed(reason syncv1.FailureReason) {
	// Whatever has failed is due sometime.
	for _, mo := range slices.Clone(m.due.models) {
		if mo.state == Failed && mo.trouble.last.Reason == reason {
			m.retryNow(mo)
		}
	}
}
