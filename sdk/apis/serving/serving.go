// Package serving owns what the versions of the API group serving.kserve.io share: the group's name and the
// annotations that objects of it carry.
//
// The group, its kinds and their JSON are those of KServe v0.12, so that manifests written for ModelMesh keep working
// unchanged; only the annotations under wasmesh.dev are new. The types themselves live in the packages v1beta1
// (InferenceService) and v1alpha1 (ServingRuntime, ClusterServingRuntime, Predictor). They depend on the Kubernetes
// API machinery only, never on a client.
package serving

// GroupName is the API group of all kinds.
const GroupName = "serving.kserve.io"

// Annotations of an InferenceService that ModelMesh knows.
const (
	// AnnotationDeploymentMode says which controller an InferenceService belongs to; see DeploymentModeModelMesh.
	AnnotationDeploymentMode = "serving.kserve.io/deploymentMode"
	// AnnotationSecretKey stands in for storage.key.
	AnnotationSecretKey = "serving.kserve.io/secretKey"
	// AnnotationSchemaPath stands in for storage.schemaPath.
	AnnotationSchemaPath = "serving.kserve.io/schemaPath"
	// AnnotationServingRuntime names the ServingRuntime of a predictor in the old form, where the framework is a field.
	AnnotationServingRuntime = "serving.kserve.io/servingRuntime"
)

// DeploymentModeModelMesh is the value of AnnotationDeploymentMode that makes an InferenceService ours.
const DeploymentModeModelMesh = "ModelMesh"

// AnnotationPrefix is what the annotations that only this project knows begin with.
const AnnotationPrefix = "wasmesh.dev/"

// Annotations of an InferenceService or Predictor that only this project knows: an owner's wishes for one model. One that
// cannot be followed changes nothing: the last good value stays in force, and the object's status says so.
const (
	// AnnotationModelSize is the memory that one copy needs, as a Kubernetes quantity ("300Mi").
	AnnotationModelSize = "wasmesh.dev/model-size"
	// AnnotationMinCopies is how many copies to keep loaded, a whole number from 0 to 64.
	AnnotationMinCopies = "wasmesh.dev/min-copies"
	// AnnotationMaxCopies is how many copies there may be, a whole number from 0 to 4096, at least min-copies; 0 or absent is
	// no bound.
	AnnotationMaxCopies = "wasmesh.dev/max-copies"
	// AnnotationPin forbids eviction, "true" or "false".
	AnnotationPin = "wasmesh.dev/pin"
	// AnnotationIdleTTL unloads a model after so long without a request, a Go duration from "1s" to "8760h" ("30m"); 0 or
	// absent is never.
	AnnotationIdleTTL = "wasmesh.dev/idle-ttl"
	// AnnotationPriority ranks models against each other, a signed whole number; higher is kept longer.
	AnnotationPriority = "wasmesh.dev/priority"
	// AnnotationActiveModel is written by the controller, never by people: the canonical definition of the model that
	// answers while a change of the spec is under way.
	AnnotationActiveModel = "wasmesh.dev/active-model"
	// AnnotationRefusedModel is written beside it: the id of the model that the spec asks for, while it fails to load.
	AnnotationRefusedModel = "wasmesh.dev/refused-model"
)

// ModelAnnotations answers all annotations with AnnotationPrefix that an InferenceService or Predictor may have.
func ModelAnnotations() []string {
	return []string{
		AnnotationModelSize, AnnotationMinCopies, AnnotationMaxCopies, AnnotationPin, AnnotationIdleTTL, AnnotationPriority,
		AnnotationActiveModel, AnnotationRefusedModel,
	}
}

// Annotations of a ServingRuntime or ClusterServingRuntime.
const (
	// AnnotationMaxLoadingConcurrency is how many models one runtime loads at the same time.
	AnnotationMaxLoadingConcurrency = "maxLoadingConcurrency"
	// AnnotationPerModelConcurrencyLimit is how many requests one copy of a model takes at the same time; 0 is no limit.
	AnnotationPerModelConcurrencyLimit = "perModelConcurrencyLimit"
)
