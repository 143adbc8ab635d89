package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Predictor declares one model under a stable name, in ModelMesh's older form. The same kind was once
// wmlserving.ai.ibm.com/v1, with the same JSON.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Type",type="string",JSONPath=".spec.modelType.name"
// +kubebuilder:printcolumn:name="Available",type="boolean",JSONPath=".status.available"
// +kubebuilder:printcolumn:name="ActiveModel",type="string",JSONPath=".status.activeModelState"
// +kubebuilder:printcolumn:name="TargetModel",type="string",JSONPath=".status.targetModelState"
// +kubebuilder:printcolumn:name="Transition",type="string",JSONPath=".status.transitionStatus"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type Predictor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec PredictorSpec `json:"spec,omitempty"`
	// +optional
	// +kubebuilder:default={transitionStatus:UpToDate, activeModelState:Pending, targetModelState:"", available:false, failedCopies:0, totalCopies:0}
	Status PredictorStatus `json:"status,omitempty"`
}

// PredictorList is a list of Predictors.
//
// +kubebuilder:object:root=true
type PredictorList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Predictor `json:"items"`
}

// PredictorSpec is what the owner wants.
type PredictorSpec struct {
	// ServiceAccountName has no effect, except that it is part of the model's identity.
	//
	// +optional
	ServiceAccountName *string `json:"serviceAccountName,omitempty"`

	ModelType ModelType `json:"modelType"`
	// Path of the model within the storage. Deprecated in favour of Storage.Path.
	//
	// +optional
	Path string `json:"path,omitempty"`
	// SchemaPath of the model. Deprecated in favour of Storage.SchemaPath.
	//
	// +optional
	SchemaPath *string `json:"schemaPath,omitempty"`
	// +optional
	Storage *Storage `json:"storage,omitempty"`
	// GPU has no effect, except that it is part of the model's identity.
	//
	// +optional
	GPU *GPURequest `json:"gpu,omitempty"`
	// Runtime names the ServingRuntime that must serve the model; absent: any that supports the format.
	//
	// +optional
	Runtime *RuntimeRef `json:"runtime,omitempty"`
	// ProtocolVersion is the inference protocol that clients need: v1, v2, grpc-v1 or grpc-v2; absent: any.
	//
	// +optional
	ProtocolVersion *string `json:"protocolVersion,omitempty"`
}

// ModelType names the format of a model's files.
type ModelType struct {
	Name string `json:"name"`
	// +optional
	Version *string `json:"version,omitempty"`
}

// GPURequest is a wish that ModelMesh accepted and never used.
//
// +kubebuilder:validation:Enum=required;preferred
type GPURequest string

// RuntimeRef names a ServingRuntime or ClusterServingRuntime.
type RuntimeRef struct {
	Name string `json:"name"`
}

// Storage is the location of a model: the fields of an InferenceService's storage, or one of the deprecated forms.
type Storage struct {
	v1beta1.StorageSpec `json:",inline"`

	// PersistentVolumeClaim was never supported in this place; parameters {type: pvc, name: ...} is.
	//
	// +optional
	PersistentVolumeClaim *corev1.PersistentVolumeClaimVolumeSource `json:"persistentVolumeClaim,omitempty"`
	// S3 is deprecated in favour of the key and parameters; it excludes them.
	//
	// +optional
	S3 *S3StorageSource `json:"s3,omitempty"`
}

// S3StorageSource is the deprecated form of a location in an S3 bucket.
type S3StorageSource struct {
	// SecretKey is the key of the entry in the Secret storage-config.
	SecretKey string `json:"secretKey"`
	// +optional
	Bucket *string `json:"bucket,omitempty"`
}

// PredictorStatus is what the mesh knows of one Predictor. Written by the controller only. Its words are those of an
// InferenceService.
type PredictorStatus struct {
	// Available: the endpoints answer for this model.
	Available bool `json:"available"`
	// +kubebuilder:default=UpToDate
	TransitionStatus v1beta1.TransitionStatus `json:"transitionStatus"`
	// +kubebuilder:default=Pending
	ActiveModelState v1beta1.ModelState `json:"activeModelState"`
	// TargetModelState is empty when the target is the active model.
	//
	// +kubebuilder:default=""
	TargetModelState v1beta1.ModelState `json:"targetModelState"`
	// LastFailureInfo describes the target model; cleared when that is loaded.
	//
	// +optional
	LastFailureInfo *FailureInfo `json:"lastFailureInfo,omitempty"`
	// HTTPEndpoint is http://<service>.<namespace>:<port>.
	//
	// +optional
	HTTPEndpoint string `json:"httpEndpoint"`
	// GrpcEndpoint is grpc://<service>.<namespace>:<port>.
	//
	// +optional
	GrpcEndpoint string `json:"grpcEndpoint"`
	// TotalCopies and FailedCopies count copies of the active model and, when it is another, of the target.
	//
	// +kubebuilder:default=0
	TotalCopies int `json:"totalCopies"`
	// +kubebuilder:default=0
	FailedCopies int `json:"failedCopies"`
}

// FailureInfo describes the last failure of a target model.
type FailureInfo struct {
	// Location is the host on which it failed.
	//
	// +optional
	Location string `json:"location,omitempty"`
	// +optional
	Reason v1beta1.FailureReason `json:"reason,omitempty"`
	// Message is in the words of the storage or the runtime.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// ModelID is the model id.
	//
	// +optional
	ModelID string `json:"modelId,omitempty"`
	// Time is when it failed or was found out.
	//
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
}
