package kubernetes

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// LegacyGroupVersion is what the Predictor was before it was serving.kserve.io/v1alpha1, with the same JSON.
var LegacyGroupVersion = schema.GroupVersion{Group: "wmlserving.ai.ibm.com", Version: "v1"}

// LegacyPredictor is a Predictor of LegacyGroupVersion. It is a type of its own since a scheme tells kinds by their Go types.
type LegacyPredictor v1alpha1.Predictor

// DeepCopyObject implements runtime.Object.
func (p *LegacyPredictor) DeepCopyObject() runtime.Object {
	return (*LegacyPredictor)((*v1alpha1.Predictor)(p).DeepCopy())
}

// LegacyPredictorList is a list of LegacyPredictors.
type LegacyPredictorList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []LegacyPredictor `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *LegacyPredictorList) DeepCopyObject() runtime.Object {
	c := &LegacyPredictorList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy()}
	for i := range l.Items {
		c.Items = append(c.Items, LegacyPredictor(*(*v1alpha1.Predictor)(&l.Items[i]).DeepCopy()))
	}
	return c
}

// AddLegacyToScheme registers the older Predictor.
func AddLegacyToScheme(s *runtime.Scheme) error {
	s.AddKnownTypeWithName(LegacyGroupVersion.WithKind(v1alpha1.KindPredictor), &LegacyPredictor{})
	s.AddKnownTypeWithName(LegacyGroupVersion.WithKind(v1alpha1.KindPredictor+"List"), &LegacyPredictorList{})
	metav1.AddToGroupVersion(s, LegacyGroupVersion)
	return nil
}
