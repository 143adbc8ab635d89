package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ServingRuntime describes pods that can serve models of some formats, for one namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:printcolumn:name="Disabled",type="boolean",JSONPath=".spec.disabled"
// +kubebuilder:printcolumn:name="ModelType",type="string",JSONPath=".spec.supportedModelFormats[*].name"
// +kubebuilder:printcolumn:name="Containers",type="string",JSONPath=".spec.containers[*].name"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type ServingRuntime struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Spec ServingRuntimeSpec `json:"spec,omitempty"`
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Status ServingRuntimeStatus `json:"status,omitempty"`
}

// ServingRuntimeList is a list of ServingRuntimes.
//
// +kubebuilder:object:root=true
type ServingRuntimeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ServingRuntime `json:"items"`
}

// ClusterServingRuntime is a ServingRuntime for every namespace that has none of the same name.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope="Cluster"
// +kubebuilder:printcolumn:name="Disabled",type="boolean",JSONPath=".spec.disabled"
// +kubebuilder:printcolumn:name="ModelType",type="string",JSONPath=".spec.supportedModelFormats[*].name"
// +kubebuilder:printcolumn:name="Containers",type="string",JSONPath=".spec.containers[*].name"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type ClusterServingRuntime struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Spec ServingRuntimeSpec `json:"spec,omitempty"`
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Status ServingRuntimeStatus `json:"status,omitempty"`
}

// ClusterServingRuntimeList is a list of ClusterServingRuntimes.
//
// +kubebuilder:object:root=true
type ClusterServingRuntimeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ClusterServingRuntime `json:"items"`
}

// ServingRuntimeStatus is empty, as in KServe.
type ServingRuntimeStatus struct{}

// ServingRuntimeSpec says what a runtime can serve and how its pods look. Fields that only KServe's own controller
// reads are kept and not typed.
type ServingRuntimeSpec struct {
	// +optional
	SupportedModelFormats []SupportedModelFormat `json:"supportedModelFormats,omitempty"`
	// MultiModel must be true for a runtime to be used here; others belong to KServe.
	//
	// +optional
	MultiModel *bool `json:"multiModel,omitempty"`
	// Disabled takes the runtime out of use.
	//
	// +optional
	Disabled *bool `json:"disabled,omitempty"`
	// ProtocolVersions are the inference protocols: v1, v2, grpc-v1, grpc-v2.
	//
	// +optional
	ProtocolVersions []string `json:"protocolVersions,omitempty"`

	ServingRuntimePodSpec `json:",inline"`

	// GrpcMultiModelManagementEndpoint is where the mmesh.ModelRuntime service listens: "port:N" or "unix:PATH". With a
	// built-in adapter it has no effect: the host itself speaks to the server.
	//
	// +optional
	GrpcMultiModelManagementEndpoint *string `json:"grpcEndpoint,omitempty"`
	// GrpcDataEndpoint is where inference over gRPC is served: "port:N" or "unix:PATH".
	//
	// +optional
	GrpcDataEndpoint *string `json:"grpcDataEndpoint,omitempty"`
	// HTTPDataEndpoint is where inference over HTTP is served; not used.
	//
	// +optional
	HTTPDataEndpoint *string `json:"httpDataEndpoint,omitempty"`
	// Replicas is the number of pods; absent: the controller's setting.
	//
	// +optional
	Replicas *uint16 `json:"replicas,omitempty"`
	// +optional
	StorageHelper *StorageHelper `json:"storageHelper,omitempty"`
	// +optional
	BuiltInAdapter *BuiltInAdapter `json:"builtInAdapter,omitempty"`
}

// ServingRuntimePodSpec is the part of a pod that a runtime may say.
type ServingRuntimePodSpec struct {
	Containers []corev1.Container `json:"containers"`
	// +optional
	Volumes []corev1.Volume `json:"volumes,omitempty"`
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// Labels are added to the pods.
	//
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are added to the pods.
	//
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
}

// SupportedModelFormat is one format, with one version, that a runtime can serve.
type SupportedModelFormat struct {
	Name string `json:"name"`
	// +optional
	Version *string `json:"version,omitempty"`
	// AutoSelect lets the runtime be chosen for models that name the format and no runtime.
	//
	// +optional
	AutoSelect *bool `json:"autoSelect,omitempty"`
	// Priority orders runtimes that could be chosen: higher first. Absent counts as 0.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	Priority *int32 `json:"priority,omitempty"`
}

// StorageHelper is ModelMesh's puller container.
type StorageHelper struct {
	// Disabled hands the model's path and credentials to the runtime as they are, without pulling.
	//
	// +optional
	Disabled bool `json:"disabled,omitempty"`
}

// BuiltInAdapter says that the runtime is a known model server, which the host drives through the server's own API.
type BuiltInAdapter struct {
	// ServerType is "mlserver", "triton", "ovms" or "torchserve"; a container must have this name.
	//
	// +optional
	ServerType string `json:"serverType,omitempty"`
	// RuntimeManagementPort is where the server listens for management requests.
	//
	// +optional
	RuntimeManagementPort int `json:"runtimeManagementPort,omitempty"`
	// MemBufferBytes is the part of the container's memory that is not for models.
	//
	// +optional
	MemBufferBytes int64 `json:"memBufferBytes,omitempty"`
	// ModelLoadingTimeoutMillis bounds one load, in milliseconds.
	//
	// +optional
	ModelLoadingTimeoutMillis int64 `json:"modelLoadingTimeoutMillis,omitempty"`
	// Env is added to the environment of ModelMesh's adapter container.
	//
	// +optional
	Env []corev1.EnvVar `json:"env,omitempty"`
}

// IsDisabled says that the runtime is taken out of use.
func (s *ServingRuntimeSpec) IsDisabled() bool { return s.Disabled != nil && *s.Disabled }

// IsMultiModel says that the runtime is meant for a mesh, not for KServe's one model per pod.
func (s *ServingRuntimeSpec) IsMultiModel() bool { return s.MultiModel != nil && *s.MultiModel }
