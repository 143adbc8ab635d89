package resolve

import (
	"maps"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// IsModelMesh says that the InferenceService is for this mesh and not for KServe's own controller. Callers leave
// others alone, status included.
func IsModelMesh(isvc *v1beta1.InferenceService) bool {
	return isvc.Annotations[serving.AnnotationDeploymentMode] == serving.DeploymentModeModelMesh
}

// FromInferenceService resolves either form of an InferenceService. The error is a *Reason.
func FromInferenceService(isvc *v1beta1.InferenceService) (Spec, error) {
	d, err := declarationOf(isvc)
	if err != nil {
		return Spec{}, err
	}
	storage, err := d.storage(isvc)
	if err != nil {
		return Spec{}, err
	}

	canonical := modelid.Spec{
		ModelType: modelid.ModelType{Name: d.format.Name, Version: d.format.Version},
		Storage:   storage,
	}
	// An empty name or protocol is one that was left out: ModelMesh has the same rule for selection, but an empty name
	// of a runtime still is part of its id.
	if d.runtime != nil {
		canonical.Runtime = &modelid.Runtime{Name: *d.runtime}
	}
	if value(d.ext.ProtocolVersion) != "" {
		canonical.ProtocolVersion = d.ext.ProtocolVersion
	}
	return Spec{
		Namespace:     isvc.Namespace,
		ID:            modelid.New(isvc.Name, modelid.InferenceService, canonical),
		Format:        d.format.Name,
		FormatVersion: value(d.format.Version),
		Protocol:      value(d.ext.ProtocolVersion),
		Runtime:       value(d.runtime),
		Storage: &syncv1.StorageReference{
			SecretKey:  value(storage.Key),
			Path:       value(storage.Path),
			SchemaPath: value(storage.SchemaPath),
			Parameters: storage.Parameters,
		},
	}, nil
}

// declaration is what both forms of an InferenceService say.
type declaration struct {
	format  v1beta1.ModelFormat
	runtime *string
	ext     *v1beta1.PredictorExtensionSpec
}

func declarationOf(isvc *v1beta1.InferenceService) (declaration, error) {
	model := isvc.Spec.Predictor.Model
	framework, ext := frameworkOf(&isvc.Spec.Predictor)
	runtime, annotated := isvc.Annotations[serving.AnnotationServingRuntime]
	switch {
	case model != nil && ext != nil:
		return declaration{}, invalid("the InferenceService %s cannot have both the model spec and a framework spec (%s)",
			isvc.Name, framework)
	case model != nil && annotated:
		return declaration{}, invalid("the InferenceService %s cannot have both the model spec and the runtime annotation %s",
			isvc.Name, serving.AnnotationServingRuntime)
	case model != nil && model.ModelFormat.Name == "":
		return declaration{}, invalid("the InferenceService %s must have spec.predictor.model.modelFormat.name", isvc.Name)
	case model != nil:
		return declaration{format: model.ModelFormat, runtime: model.Runtime, ext: &model.PredictorExtensionSpec}, nil
	case ext == nil:
		return declaration{}, invalid("no valid InferenceService predictor framework found: " +
			"use spec.predictor.model with a modelFormat and a storageUri or storage.path")
	case annotated:
		return declaration{format: v1beta1.ModelFormat{Name: framework}, runtime: &runtime, ext: ext}, nil
	default:
		return declaration{format: v1beta1.ModelFormat{Name: framework}, ext: ext}, nil
	}
}

// frameworkOf finds the framework of the old form. Of several the first in ModelMesh's order counts. Paddle and
// HuggingFace are no frameworks to ModelMesh.
func frameworkOf(p *v1beta1.PredictorSpec) (string, *v1beta1.PredictorExtensionSpec) {
	for _, f := range []struct {
		name string
		ext  *v1beta1.PredictorExtensionSpec
	}{
		{"xgboost", p.XGBoost},
		{"lightgbm", p.LightGBM},
		{"sklearn", p.SKLearn},
		{"tensorflow", p.Tensorflow},
		{"onnx", p.ONNX},
		{"pytorch", p.PyTorch},
		{"triton", p.Triton},
		{"pmml", p.PMML},
	} {
		if f.ext != nil {
			return f.name, f.ext
		}
	}
	return "", nil
}

// storage answers the location in the canonical form that the id is made of: the path always, the parameters never
// nil, the key and the schema only when given.
func (d declaration) storage(isvc *v1beta1.InferenceService) (*modelid.Storage, error) {
	given := d.ext.Storage
	if given == nil {
		given = &v1beta1.StorageSpec{}
	}
	full := isvc.Namespace + "/" + isvc.Name
	switch {
	case d.ext.StorageURI == nil && given.Path == nil:
		return nil, invalid("the InferenceService %s must have either the storageUri or the storage.path", full)
	case d.ext.StorageURI != nil && given.Path != nil:
		return nil, invalid("the InferenceService %s cannot have both the storageUri and the storage.path", full)
	}

	s := &modelid.Storage{
		Path:       given.Path,
		SchemaPath: orAnnotation(given.SchemaPath, isvc.Annotations, serving.AnnotationSchemaPath),
		Parameters: map[string]string{},
		Key:        orAnnotation(given.StorageKey, isvc.Annotations, serving.AnnotationSecretKey),
	}
	maps.Copy(s.Parameters, given.Parameters)
	if d.ext.StorageURI != nil {
		loc, err := parseStorageURI(*d.ext.StorageURI)
		if err != nil {
			return nil, invalid("the InferenceService %s %v", full, err)
		}
		s.Path = &loc.path
		maps.Copy(s.Parameters, loc.parameters)
	}
	return s, nil
}

// orAnnotation answers the field when it is set, else the annotation when there is one, else nil.
func orAnnotation(field *string, annotations map[string]string, key string) *string {
	if field != nil {
		return field
	}
	if v, ok := annotations[key]; ok {
		return &v
	}
	return nil
}
