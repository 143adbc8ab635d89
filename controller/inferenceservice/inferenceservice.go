// Package inferenceservice carries out what was decided about InferenceServices: their status, and the active model beside
// it. What all kinds have in common is in controller/writeback; here is what of a status is ours.
//
// Invariant: conditions, which the API server takes for one field, are written whole, with those of types that are not ours
// as they are; of everything else only our fields are written. So another controller may write the same objects.
package inferenceservice

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/controller/writeback"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Deps of the reconciler.
type Deps struct {
	Decisions writeback.Decisions
}

// SetUp adds the reconciler to the manager, whose API server must have InferenceServices.
func SetUp(mgr ctrl.Manager, deps Deps) error { return writeback.SetUp(mgr, kind(), deps.Decisions) }

func kind() writeback.Kind[*v1beta1.InferenceService] {
	return writeback.Kind[*v1beta1.InferenceService]{
		Name: "inferenceservice", Kind: v1beta1.Kind,
		New:    func() client.Object { return &v1beta1.InferenceService{} },
		Typed:  func(o client.Object) *v1beta1.InferenceService { return o.(*v1beta1.InferenceService) },
		Listed: func(view *reconcile.View) []*v1beta1.InferenceService { return view.Objects.InferenceServices },
		Status: status, Left: left,
	}
}
