package decide

import (
	"time"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// standing is what a status says, in the one form that both kinds share.
type standing struct {
	transition     v1beta1.TransitionStatus
	active, target v1beta1.ModelState
	// failure is about the target model, or the active one when they are the same.
	failure       *v1beta1.FailureInfo
	total, failed int
	// available: a request under the name is answered, perhaps after a load.
	available bool
	// why available is what it is: one word and a sentence. Not read back from a status.
	reason, message string
	// annotations says what is wrong with those that are not followed; "" when all are. Not read back either.
	annotations string
}

// failureOf is the failure if it is about that model.
func (s standing) failureOf(id string) *v1beta1.FailureInfo {
	if s.failure == nil || s.failure.ModelRevisionName != id {
		return nil
	}
	return s.failure
}

// standing makes the status of what was decided and how the status policy reads it.
func (a *alias) standing(c change, v verdict, now time.Time) standing {
	s := standing{
		transition: v.transition, available: v.available,
		active: v1beta1.Pending, failure: a.failure(c, now), annotations: joined(a.annotationFaults),
	}
	if c.active != nil {
		s.active = c.active.reading.state
		t := c.active.evidence.tally
		s.total, s.failed = t.total(), t.failed
	}
	if c.target != nil {
		s.target = c.target.reading.state
		t := c.target.evidence.tally
		s.total += t.total()
		s.failed += t.failed
	}
	s.reason, s.message = explain(c, s)
	return s
}

// standingOfInferenceService reads a status back.
func standingOfInferenceService(status v1beta1.InferenceServiceStatus) standing {
	m := status.ModelStatus
	s := standing{transition: m.TransitionStatus, failure: m.LastFailureInfo}
	if m.ModelRevisionStates != nil {
		s.active, s.target = m.ModelRevisionStates.ActiveModelState, m.ModelRevisionStates.TargetModelState
	}
	if m.ModelCopies != nil {
		s.total, s.failed = m.ModelCopies.TotalCopies, m.ModelCopies.FailedCopies
	}
	s.available = isTrue(status.Conditions, v1beta1.ConditionPredictorReady)
	return s
}

// standingOfPredictor reads a status back.
func standingOfPredictor(status v1alpha1.PredictorStatus) standing {
	s := standing{
		transition: status.TransitionStatus,
		active:     status.ActiveModelState,
		target:     status.TargetModelState,
		total:      status.TotalCopies,
		failed:     status.FailedCopies,
		available:  status.Available,
	}
	if f := status.LastFailureInfo; f != nil {
		s.failure = &v1beta1.FailureInfo{
			Location: f.Location, Reason: f.Reason, Message: f.Message, ModelRevisionName: f.ModelID, Time: f.Time,
		}
	}
	return s
}
