// Package v1beta1 holds the InferenceService of the group serving.kserve.io: the fields that ModelMesh uses, with the
// JSON of KServe v0.12. Fields of KServe's CRD that are not typed here are accepted and kept by the API server (the
// CRD preserves unknown fields wherever KServe has more) and ignored by the controller.
//
// The controller reads these objects and writes their status; clients and tools only read them.
//
// +kubebuilder:object:generate=true
// +groupName=serving.kserve.io
package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
)

// Kind is the kind of an InferenceService.
const Kind = "InferenceService"

// GroupVersion is the group and version of this package's kinds.
var GroupVersion = schema.GroupVersion{Group: serving.GroupName, Version: "v1beta1"}

// AddToScheme registers this package's kinds.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &InferenceService{}, &InferenceServiceList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
