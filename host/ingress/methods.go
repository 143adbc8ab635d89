package ingress

import "strings"

const (
	inferenceService = "inference.GRPCInferenceService/"
	inferMethod      = inferenceService + "ModelInfer"
	metadataMethod   = inferenceService + "ModelMetadata"
)

// method is what is known of a gRPC method that names its model inside the message.
type method struct {
	// namePath is the path of field numbers to the name.
	namePath []uint32
	// unary: the request is one message.
	unary bool
}

// namedMethods carry the model name in their messages. The first four are ModelMesh's defaults, the others are those of
// the same protocols that came later. Any other method needs the mm-model-id or mm-vmodel-id header.
func namedMethods() map[string]method {
	first, spec := []uint32{1}, []uint32{1, 1}
	return map[string]method{
		inferMethod:    {first, true},
		metadataMethod: {first, true},
		"tensorflow.serving.PredictionService/Predict":                      {spec, true},
		"org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions": {first, true},

		inferenceService + "ModelStreamInfer":                                     {first, false},
		inferenceService + "ModelConfig":                                          {first, true},
		inferenceService + "ModelStatistics":                                      {first, true},
		"tensorflow.serving.PredictionService/Classify":                           {spec, true},
		"tensorflow.serving.PredictionService/Regress":                            {spec, true},
		"tensorflow.serving.PredictionService/GetModelMetadata":                   {spec, true},
		"org.pytorch.serve.grpc.inference.InferenceAPIsService/StreamPredictions": {first, true},
	}
}

// isLocal reports whether the mesh answers a method itself.
func isLocal(method string) bool {
	if strings.HasPrefix(method, "grpc.health.v1.Health/") || strings.HasPrefix(method, "grpc.reflection.") {
		return true
	}
	name, ok := strings.CutPrefix(method, inferenceService)
	if !ok {
		return false
	}
	switch name {
	case "ServerLive", "ServerReady", "ServerMetadata", "ModelReady",
		"RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload":
		return true
	}
	return false
}

// managementPrefixes begin the methods with which a model server is managed. They are the mesh's to call, never a
// client's: mmesh's SPI, and the management services that MLServer, Triton, TorchServe and TensorFlow Serving offer on
// their inference ports.
var managementPrefixes = [...]string{
	"mmesh.",
	"inference.model_repository.",
	"inference.GRPCInferenceService/SystemSharedMemory",
	"inference.GRPCInferenceService/CudaSharedMemory",
	"inference.GRPCInferenceService/TraceSetting",
	"inference.GRPCInferenceService/LogSettings",
	"org.pytorch.serve.grpc.management.",
	"tensorflow.serving.ModelService/HandleReloadConfigRequest",
}

// isManagement reports whether a method must not reach a model server.
func isManagement(method string) bool {
	for _, prefix := range managementPrefixes {
		if strings.HasPrefix(method, prefix) {
			return true
		}
	}
	return false
}
