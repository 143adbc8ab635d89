package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// InferenceService declares one model under a stable name. It is served here only when its annotation
// serving.kserve.io/deploymentMode is ModelMesh.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=inferenceservices,shortName=isvc
// +kubebuilder:printcolumn:name="URL",type="string",JSONPath=".status.url"
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type=='Ready')].status"
// +kubebuilder:printcolumn:name="Prev",type="integer",JSONPath=".status.components.predictor.traffic[?(@.tag=='prev')].percent"
// +kubebuilder:printcolumn:name="Latest",type="integer",JSONPath=".status.components.predictor.traffic[?(@.latestRevision==true)].percent"
// +kubebuilder:printcolumn:name="PrevRolledoutRevision",type="string",JSONPath=".status.components.predictor.traffic[?(@.tag=='prev')].revisionName"
// +kubebuilder:printcolumn:name="LatestReadyRevision",type="string",JSONPath=".status.components.predictor.traffic[?(@.latestRevision==true)].revisionName"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type InferenceService struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Spec InferenceServiceSpec `json:"spec,omitempty"`
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Status InferenceServiceStatus `json:"status,omitempty"`
}

// InferenceServiceList is a list of InferenceServices.
//
// +kubebuilder:object:root=true
type InferenceServiceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []InferenceService `json:"items"`
}

// InferenceServiceSpec is what the owner wants. KServe's transformer and explainer are kept but not used.
type InferenceServiceSpec struct {
	// +kubebuilder:pruning:PreserveUnknownFields
	Predictor PredictorSpec `json:"predictor"`
}

// PredictorSpec says which model to serve: either Model, or in the old form exactly one of the framework fields, whose
// name is then the model's format.
type PredictorSpec struct {
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Model *ModelSpec `json:"model,omitempty"`

	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	XGBoost *PredictorExtensionSpec `json:"xgboost,omitempty"`
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	LightGBM *PredictorExtensionSpec `json:"lightgbm,omitempty"`
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	SKLearn *PredictorExtensionSpec `json:"sklearn,omitempty"`
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Tensorflow *PredictorExtensionSpec `json:"tensorflow,omitempty"`
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	ONNX *PredictorExtensionSpec `json:"onnx,omitempty"`
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	PyTorch *PredictorExtensionSpec `json:"pytorch,omitempty"`
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Triton *PredictorExtensionSpec `json:"triton,omitempty"`
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	PMML *PredictorExtensionSpec `json:"pmml,omitempty"`

	// Paddle is accepted, since KServe has it, and ignored as ModelMesh ignores it.
	//
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Paddle *PredictorExtensionSpec `json:"paddle,omitempty"`
	// HuggingFace is accepted, since KServe has it, and ignored as ModelMesh ignores it.
	//
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	HuggingFace *PredictorExtensionSpec `json:"huggingface,omitempty"`
}

// ModelSpec is a model of any format.
type ModelSpec struct {
	ModelFormat ModelFormat `json:"modelFormat"`
	// Runtime names the ServingRuntime that must serve the model; absent: any that supports the format.
	//
	// +optional
	Runtime *string `json:"runtime,omitempty"`

	PredictorExtensionSpec `json:",inline"`
}

// ModelFormat names the format of a model's files.
type ModelFormat struct {
	// Name of the format, such as "sklearn" or "onnx".
	Name string `json:"name"`
	// Version of the format; it must equal the version that a runtime lists.
	//
	// +optional
	Version *string `json:"version,omitempty"`
}

// PredictorExtensionSpec says where a model is and how it is spoken to; the model form and the old form share it.
type PredictorExtensionSpec struct {
	// StorageURI is the location in one string: s3://, gs://, http(s):// or pvc://. Not together with Storage.Path.
	//
	// +optional
	StorageURI *string `json:"storageUri,omitempty"`
	// ProtocolVersion is the inference protocol that clients need: v1, v2, grpc-v1 or grpc-v2; absent: any.
	//
	// +optional
	ProtocolVersion *string `json:"protocolVersion,omitempty"`
	// +optional
	Storage *StorageSpec `json:"storage,omitempty"`
}

// StorageSpec is the location as an entry of the storage Secret and a path in it.
type StorageSpec struct {
	// Path of the model within the storage.
	//
	// +optional
	Path *string `json:"path,omitempty"`
	// SchemaPath is the path of the file that describes the model's inputs and outputs.
	//
	// +optional
	SchemaPath *string `json:"schemaPath,omitempty"`
	// Parameters override the Secret's entry; dotted keys reach into nested objects. Absent and empty differ in the id
	// of a Predictor's model.
	//
	// +optional
	Parameters map[string]string `json:"parameters,omitzero"`
	// StorageKey is the key of the entry in the Secret storage-config; absent: a default by type.
	//
	// +optional
	StorageKey *string `json:"key,omitempty"`
}
