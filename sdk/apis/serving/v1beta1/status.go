package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// InferenceServiceStatus is what the mesh knows of one InferenceService. Written by the controller only.
type InferenceServiceStatus struct {
	// ObservedGeneration is the metadata.generation that the rest of the status is about.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions holds Ready and PredictorReady, and whatever types others have put there. One field for server-side
	// apply: KServe's CRD gives it no list-map key.
	//
	// +optional
	Conditions []Condition `json:"conditions,omitempty"`
	// URL is the gRPC address to send requests to; absent while the model cannot answer.
	//
	// +optional
	URL string `json:"url,omitempty"`
	// Components has one entry, PredictorComponent, while the model can answer.
	//
	// +optional
	Components map[ComponentType]ComponentStatusSpec `json:"components,omitempty"`
	// ModelStatus is the state of the model behind the name.
	//
	// +optional
	ModelStatus ModelStatus `json:"modelStatus,omitempty"`
}

// Condition has the shape of Knative's conditions, which KServe uses.
type Condition struct {
	Type   string                 `json:"type"`
	Status corev1.ConditionStatus `json:"status"`
	// Severity is "" (Error), Warning or Info.
	//
	// +optional
	Severity string `json:"severity,omitempty"`
	// LastTransitionTime is when Status last took another value.
	//
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty,omitzero"`
	// Reason is one CamelCase word for programs.
	//
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message is for people.
	//
	// +optional
	Message string `json:"message,omitempty"`
}

// Types of conditions that the controller owns.
const (
	// ConditionReady is the summary: clients can use the InferenceService.
	ConditionReady = "Ready"
	// ConditionPredictorReady says that the model answers.
	ConditionPredictorReady = "PredictorReady"
)

// ComponentType is a key of InferenceServiceStatus.Components.
type ComponentType string

// PredictorComponent is the only component that the mesh runs.
const PredictorComponent ComponentType = "predictor"

// ComponentStatusSpec holds the addresses of a component. KServe puts more there for its own deployments.
//
// +kubebuilder:pruning:PreserveUnknownFields
type ComponentStatusSpec struct {
	// URL equals GrpcURL.
	//
	// +optional
	URL string `json:"url,omitempty"`
	// GrpcURL is grpc://<service>.<namespace>:<port>.
	//
	// +optional
	GrpcURL string `json:"grpcUrl,omitempty"`
	// RestURL is http://<service>.<namespace>:<port>.
	//
	// +optional
	RestURL string `json:"restUrl,omitempty"`
}

// ModelStatus is the state of the model that answers (active) and of the one that the spec asks for (target).
type ModelStatus struct {
	// TransitionStatus says how far the active model is from the spec.
	//
	// +kubebuilder:default=UpToDate
	TransitionStatus TransitionStatus `json:"transitionStatus"`
	// +optional
	ModelRevisionStates *ModelRevisionStates `json:"states,omitempty"`
	// LastFailureInfo describes the target model; cleared when that is loaded.
	//
	// +optional
	LastFailureInfo *FailureInfo `json:"lastFailureInfo,omitempty"`
	// +optional
	ModelCopies *ModelCopies `json:"copies,omitempty"`
}

// ModelRevisionStates are the states of the active and of the target model.
type ModelRevisionStates struct {
	// +kubebuilder:default=Pending
	ActiveModelState ModelState `json:"activeModelState"`
	// TargetModelState is empty when the target is the active model. It is written all the same: whoever else has written it
	// would keep a field that is merely left out.
	//
	// +kubebuilder:default=""
	// +optional
	TargetModelState ModelState `json:"targetModelState"`
}

// ModelCopies counts copies of the active model and, when it is another, of the target.
type ModelCopies struct {
	// +kubebuilder:default=0
	FailedCopies int `json:"failedCopies"`
	// TotalCopies is written even when it is 0, like an empty TargetModelState.
	//
	// +optional
	TotalCopies int `json:"totalCopies"`
}

// TransitionStatus says how far the active model is from the spec. Empty before the first decision.
//
// +kubebuilder:validation:Enum="";UpToDate;InProgress;BlockedByFailedLoad;InvalidSpec
type TransitionStatus string

// Values of TransitionStatus.
const (
	// UpToDate: the active model is the one of the spec.
	UpToDate TransitionStatus = "UpToDate"
	// InProgress: the target is on its way to replace the active model.
	InProgress TransitionStatus = "InProgress"
	// BlockedByFailedLoad: the target failed to load, the active model stays.
	BlockedByFailedLoad TransitionStatus = "BlockedByFailedLoad"
	// InvalidSpec: no target could be made of the spec, the active model stays.
	InvalidSpec TransitionStatus = "InvalidSpec"
)

// ModelState is the state of one model over all its copies. Empty: there is no such model.
//
// +kubebuilder:validation:Enum="";Pending;Standby;Loading;Loaded;FailedToLoad
type ModelState string

// Values of ModelState.
const (
	// Pending: not yet known to the mesh.
	Pending ModelState = "Pending"
	// Standby: known and not loaded; a request loads it.
	Standby ModelState = "Standby"
	// Loading: the first copy is on its way.
	Loading ModelState = "Loading"
	// Loaded: at least one copy is loaded.
	Loaded ModelState = "Loaded"
	// FailedToLoad: every attempt so far failed.
	FailedToLoad ModelState = "FailedToLoad"
)

// FailureInfo describes the last failure of a target model.
type FailureInfo struct {
	// Location is the host on which it failed.
	//
	// +optional
	Location string `json:"location,omitempty"`
	// +optional
	Reason FailureReason `json:"reason,omitempty"`
	// Message is in the words of the storage or the runtime.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// ModelRevisionName is the model id.
	//
	// +optional
	ModelRevisionName string `json:"modelRevisionName,omitempty"`
	// Time is when it failed or was found out.
	//
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
	// ExitCode of the runtime's container, when that was the failure.
	//
	// +optional
	ExitCode int32 `json:"exitCode,omitempty"`
}

// FailureReason classes failures.
//
// +kubebuilder:validation:Enum=ModelLoadFailed;RuntimeUnhealthy;RuntimeDisabled;NoSupportingRuntime;RuntimeNotRecognized;InvalidPredictorSpec
type FailureReason string

// Values of FailureReason.
const (
	// ModelLoadFailed: the storage, the credentials or the model itself.
	ModelLoadFailed FailureReason = "ModelLoadFailed"
	// RuntimeUnhealthy: the runtime has not started, died, or does not answer.
	RuntimeUnhealthy FailureReason = "RuntimeUnhealthy"
	// RuntimeDisabled is in KServe's CRD; ModelMesh never sets it.
	RuntimeDisabled FailureReason = "RuntimeDisabled"
	// NoSupportingRuntime: no ServingRuntime lists the format, version and protocol for automatic selection.
	NoSupportingRuntime FailureReason = "NoSupportingRuntime"
	// RuntimeNotRecognized: the ServingRuntime that the spec names does not exist or is not usable.
	RuntimeNotRecognized FailureReason = "RuntimeNotRecognized"
	// InvalidPredictorSpec: the spec or an annotation contradicts itself or cannot be read.
	InvalidPredictorSpec FailureReason = "InvalidPredictorSpec"
)
