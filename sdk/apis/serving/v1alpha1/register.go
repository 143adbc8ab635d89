// Package v1alpha1 holds the ServingRuntime, ClusterServingRuntime and Predictor of the group serving.kserve.io, with
// the JSON of KServe v0.12 and, for Predictor, of ModelMesh v0.12.
//
// Users and charts write the runtimes, and nothing writes their status; Predictor is ModelMesh's older form of an
// InferenceService, kept for manifests that still use it, and the controller writes its status.
//
// +kubebuilder:object:generate=true
// +groupName=serving.kserve.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
)

// Kinds of this package.
const (
	KindServingRuntime        = "ServingRuntime"
	KindClusterServingRuntime = "ClusterServingRuntime"
	KindPredictor             = "Predictor"
)

// GroupVersion is the group and version of this package's kinds.
var GroupVersion = schema.GroupVersion{Group: serving.GroupName, Version: "v1alpha1"}

// AddToScheme registers this package's kinds.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&ServingRuntime{}, &ServingRuntimeList{},
		&ClusterServingRuntime{}, &ClusterServingRuntimeList{},
		&Predictor{}, &PredictorList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
