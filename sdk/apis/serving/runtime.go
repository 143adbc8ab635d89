package serving

// Annotations of a ServingRuntime or ClusterServingRuntime that say how many pods it has, as for ModelMesh.
const (
	// AnnotationAutoscalerClass is "hpa" for a HorizontalPodAutoscaler, "none" or absent for a fixed number.
	AnnotationAutoscalerClass = "serving.kserve.io/autoscalerClass"
	// AnnotationAutoscalerMetric is what is scaled on, "cpu", the default, or "memory".
	AnnotationAutoscalerMetric = "serving.kserve.io/metrics"
	// AnnotationTargetUtilization of what the pods request, in percent, from 1 to 100; 80 by default.
	AnnotationTargetUtilization = "serving.kserve.io/targetUtilizationPercentage"
	// AnnotationMinScale and AnnotationMaxScale are the least and most pods, 1 and 1 by default.
	AnnotationMinScale = "serving.kserve.io/min-scale"
	AnnotationMaxScale = "serving.kserve.io/max-scale"
)

// Values of AnnotationAutoscalerClass.
const (
	AutoscalerClassHPA  = "hpa"
	AutoscalerClassNone = "none"
)

// Annotations of a ServingRuntime or ClusterServingRuntime that only this project knows.
const (
	// AnnotationModelDir is how the runtime's containers see the directory of model files: ModelDirWritable or
	// ModelDirReadOnly. By default those of a built-in server type may only read it, and those of others write.
	AnnotationModelDir = "wasmesh.dev/model-dir"
	// AnnotationModelDirSize bounds that directory, as a Kubernetes quantity ("20Gi"); by default twice the memory limits of
	// the runtime's containers.
	AnnotationModelDirSize = "wasmesh.dev/model-dir-size"
)

// Values of AnnotationModelDir.
const (
	ModelDirWritable = "writable"
	ModelDirReadOnly = "read-only"
)
