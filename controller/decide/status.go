package decide

import (
	"cmp"
	"maps"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// inferenceServiceStatus has addresses only while the model answers, as ModelMesh's has. Components and conditions of
// other writers stay.
func inferenceServiceStatus(o *v1beta1.InferenceService, s standing, e Endpoints, now time.Time) v1beta1.InferenceServiceStatus {
	status := v1beta1.InferenceServiceStatus{
		ObservedGeneration: o.Generation,
		Conditions:         conditions(o.Status.Conditions, s, now),
		Components:         maps.Clone(o.Status.Components),
		ModelStatus: v1beta1.ModelStatus{
			TransitionStatus:    s.transition,
			ModelRevisionStates: &v1beta1.ModelRevisionStates{ActiveModelState: s.active, TargetModelState: s.target},
			ModelCopies:         &v1beta1.ModelCopies{TotalCopies: s.total, FailedCopies: s.failed},
			LastFailureInfo:     s.failure,
		},
	}
	delete(status.Components, v1beta1.PredictorComponent)
	if !s.available {
		return status
	}
	if status.Components == nil {
		status.Components = map[v1beta1.ComponentType]v1beta1.ComponentStatusSpec{}
	}
	status.URL = e.grpc(o.Namespace)
	status.Components[v1beta1.PredictorComponent] = v1beta1.ComponentStatusSpec{
		URL:     status.URL,
		GrpcURL: status.URL,
		RestURL: e.rest(o.Namespace),
	}
	return status
}

// predictorStatus has the addresses always, as ModelMesh's has: they are the same for all models.
func predictorStatus(o *v1alpha1.Predictor, s standing, e Endpoints) v1alpha1.PredictorStatus {
	status := v1alpha1.PredictorStatus{
		Available:        s.available,
		TransitionStatus: s.transition,
		ActiveModelState: s.active,
		TargetModelState: s.target,
		HTTPEndpoint:     e.rest(o.Namespace),
		GrpcEndpoint:     e.grpc(o.Namespace),
		TotalCopies:      s.total,
		FailedCopies:     s.failed,
	}
	if f := s.failure; f != nil {
		status.LastFailureInfo = &v1alpha1.FailureInfo{
			Location: f.Location, Reason: f.Reason, Message: f.Message, ModelID: f.ModelRevisionName, Time: f.Time,
		}
	}
	return status
}

func (e Endpoints) grpc(namespace string) string {
	return inNamespace(namespace, cmp.Or(e.GRPC, DefaultGRPCEndpoint))
}

func (e Endpoints) rest(namespace string) string {
	return inNamespace(namespace, cmp.Or(e.REST, DefaultRESTEndpoint))
}

func inNamespace(namespace, endpoint string) string {
	return strings.ReplaceAll(endpoint, "{namespace}", namespace)
}

// sameStatus says that to write one over the other would change nothing: times are equal as instants, and what is empty
// equals what is absent.
func sameStatus[T any](a, b T) bool { return equality.Semantic.DeepEqual(a, b) }
