package inferenceservice

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/writeback"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// status is the decided one with the conditions of others in it.
func status(decided, actual *v1beta1.InferenceService) (any, bool) {
	if decided.Status.ModelStatus.TransitionStatus == "" {
		return nil, false // Nothing has been decided yet, or the object is not ours.
	}
	wanted := Ours(decided.Status)
	wanted.Conditions = slices.Concat(wanted.Conditions, foreign(actual.Status.Conditions))
	sortConditions(wanted.Conditions)
	there := Ours(actual.Status)
	there.Conditions = slices.Clone(actual.Status.Conditions)
	sortConditions(there.Conditions)
	return wanted, !equality.Semantic.DeepEqual(wanted, there)
}

// Ours are the fields of a status that we write, without the conditions of others.
func Ours(s v1beta1.InferenceServiceStatus) v1beta1.InferenceServiceStatus {
	s.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), func(c v1beta1.Condition) bool { return !decide.OwnsCondition(c.Type) })
	component, found := s.Components[v1beta1.PredictorComponent]
	s.Components = nil
	if found && component != (v1beta1.ComponentStatusSpec{}) {
		s.Components = map[v1beta1.ComponentType]v1beta1.ComponentStatusSpec{v1beta1.PredictorComponent: component}
	}
	return s
}

// foreign are the conditions of others.
func foreign(all []v1beta1.Condition) []v1beta1.Condition {
	return slices.DeleteFunc(slices.Clone(all), func(c v1beta1.Condition) bool { return decide.OwnsCondition(c.Type) })
}

func sortConditions(all []v1beta1.Condition) {
	slices.SortStableFunc(all, func(a, b v1beta1.Condition) int { return cmp.Compare(a.Type, b.Type) })
}

// left has null for each address, failure and field of a failure that should not be there and still is: ModelMesh wrote it,
// and its hold on a field that we do not apply ends only when the field does. What we always apply needs none.
func left(decided, actual *v1beta1.InferenceService) any {
	wanted, there := Ours(decided.Status), Ours(actual.Status)
	patch := map[string]any{}
	if wanted.URL == "" && there.URL != "" {
		patch["url"] = nil
	}
	if wanted.Components == nil && there.Components != nil {
		patch["components"] = map[string]any{string(v1beta1.PredictorComponent): map[string]any{"url": nil, "grpcUrl": nil, "restUrl": nil}}
	}
	if failure, some := writeback.LeftOfFailure(wanted.ModelStatus.LastFailureInfo, there.ModelStatus.LastFailureInfo); some {
		patch["modelStatus"] = map[string]any{"lastFailureInfo": failure}
	}
	if len(patch) == 0 {
		return nil
	}
	return patch
}
