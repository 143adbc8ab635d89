package reconcile

import (
	"maps"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// Statuses are what an API server would keep of each object beside what its owner wrote.
type Statuses struct {
	InferenceServices map[decide.Key]v1beta1.InferenceServiceStatus
	Predictors        map[decide.Key]v1alpha1.PredictorStatus
}

func (s Statuses) clone() Statuses {
	c := Statuses{InferenceServices: maps.Clone(s.InferenceServices), Predictors: maps.Clone(s.Predictors)}
	if c.InferenceServices == nil {
		c.InferenceServices = map[decide.Key]v1beta1.InferenceServiceStatus{}
	}
	if c.Predictors == nil {
		c.Predictors = map[decide.Key]v1alpha1.PredictorStatus{}
	}
	return c
}

// set takes over the statuses that a decision changed.
func (s Statuses) set(out decide.Output) {
	maps.Copy(s.InferenceServices, out.InferenceServices)
	maps.Copy(s.Predictors, out.Predictors)
}

// keepOnly forgets the statuses of objects that are gone: should one come back, it is another object. One that is not
// ours any more is gone for us, and what we said of it would never change again. It answers whether there were any.
func (s Statuses) keepOnly(objects decide.Objects) bool {
	present := map[decide.Key]bool{}
	for _, o := range objects.InferenceServices {
		if resolve.IsModelMesh(o) {
			present[inferenceServiceKey(o)] = true
		}
	}
	for _, o := range objects.Predictors {
		present[predictorKey(o)] = true
	}
	before := len(s.InferenceServices) + len(s.Predictors)
	maps.DeleteFunc(s.InferenceServices, func(k decide.Key, _ v1beta1.InferenceServiceStatus) bool { return !present[k] })
	maps.DeleteFunc(s.Predictors, func(k decide.Key, _ v1alpha1.PredictorStatus) bool { return !present[k] })
	return len(s.InferenceServices)+len(s.Predictors) < before
}

func inferenceServiceKey(o *v1beta1.InferenceService) decide.Key {
	return decide.Key{Namespace: o.Namespace, Kind: v1beta1.Kind, Name: o.Name}
}

func predictorKey(o *v1alpha1.Predictor) decide.Key {
	return decide.Key{Namespace: o.Namespace, Kind: v1alpha1.KindPredictor, Name: o.Name}
}

func samePlan(a, b *adminv1.RuntimePlan) bool { return proto.Equal(a, b) }
