// Package predictor carries out what was decided about Predictors, those of the older API group included: their status, and
// the active model beside it. What all kinds have in common is in controller/writeback. Every field of a Predictor's status
// is ours.
package predictor

import (
	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
	"github.com/wasmesh/wasmesh/controller/writeback"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// Deps of the reconcilers.
type Deps struct {
	Decisions writeback.Decisions
}

// SetUp adds the reconciler of Predictors to the manager, whose API server must have them.
func SetUp(mgr ctrl.Manager, deps Deps) error {
	k := kind("predictor", v1alpha1.GroupVersion.String())
	k.New = func() client.Object { return &v1alpha1.Predictor{} }
	k.Typed = func(o client.Object) *v1alpha1.Predictor { return o.(*v1alpha1.Predictor) }
	return writeback.SetUp(mgr, k, deps.Decisions)
}

// SetUpLegacy adds that of kubernetes.LegacyGroupVersion.
func SetUpLegacy(mgr ctrl.Manager, deps Deps) error {
	k := kind("legacypredictor", kubernetes.LegacyGroupVersion.String())
	k.New = func() client.Object { return &kubernetes.LegacyPredictor{} }
	k.Typed = func(o client.Object) *v1alpha1.Predictor {
		return (*v1alpha1.Predictor)(o.(*kubernetes.LegacyPredictor))
	}
	return writeback.SetUp(mgr, k, deps.Decisions)
}

// kind lacks New and Typed.
func kind(name, apiVersion string) writeback.Kind[*v1alpha1.Predictor] {
	return writeback.Kind[*v1alpha1.Predictor]{
		Name: name, Kind: v1alpha1.KindPredictor,
		Listed: func(view *reconcile.View) []*v1alpha1.Predictor { return view.Objects.Predictors },
		// The View has the Predictors of both groups, each name once.
		Mine:   func(p *v1alpha1.Predictor) bool { return p.APIVersion == apiVersion },
		Status: status, Left: left,
	}
}

func status(decided, actual *v1alpha1.Predictor) (any, bool) {
	if decided.Status.TransitionStatus == "" {
		return nil, false // Nothing has been decided yet.
	}
	return decided.Status, !equality.Semantic.DeepEqual(decided.Status, actual.Status)
}

// left has null for the failure, or for those of its fields, that ModelMesh wrote and that should be gone: its hold on a
// field that we do not apply ends only when the field does. All other fields are always applied.
func left(decided, actual *v1alpha1.Predictor) any {
	failure, some := writeback.LeftOfFailure(decided.Status.LastFailureInfo, actual.Status.LastFailureInfo)
	if !some {
		return nil
	}
	return map[string]any{"lastFailureInfo": failure}
}
