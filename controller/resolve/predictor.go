package resolve

import (
	"maps"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// FromPredictor resolves a Predictor. The error is a *Reason.
func FromPredictor(p *v1alpha1.Predictor) (Spec, error) {
	if err := validatePredictor(&p.Spec); err != nil {
		return Spec{}, err
	}
	spec := Spec{
		Namespace:     p.Namespace,
		ID:            modelid.New(p.Name, modelid.Predictor, canonicalPredictor(&p.Spec)),
		Format:        p.Spec.ModelType.Name,
		FormatVersion: value(p.Spec.ModelType.Version),
		Protocol:      value(p.Spec.ProtocolVersion),
		Storage:       predictorStorage(&p.Spec),
	}
	if p.Spec.Runtime != nil {
		spec.Runtime = p.Spec.Runtime.Name
	}
	return spec, nil
}

// validatePredictor has ModelMesh's rules and words, and one more: ModelMesh finds a missing storage only when it
// loads, with the message that is used here.
func validatePredictor(s *v1alpha1.PredictorSpec) error {
	st := s.Storage
	switch {
	case s.ModelType.Name == "":
		return invalid("spec.modelType.name must be specified")
	case st == nil:
		return invalid("Predictor Storage field missing")
	case st.Path != nil && s.Path != "":
		return invalid("Only one of spec.path and spec.storage.path can be specified")
	case st.SchemaPath != nil && s.SchemaPath != nil:
		return invalid("Only one of spec.schemaPath and spec.storage.schemaPath can be specified")
	case st.PersistentVolumeClaim != nil:
		return invalid("spec.storage.PersistentVolumeClaim is not supported")
	case st.S3 != nil && (st.Path != nil || st.SchemaPath != nil || st.Parameters != nil || st.StorageKey != nil):
		return invalid("spec.storage.s3 cannot be specified with any other keys in spec.storage")
	}
	return nil
}

// predictorStorage reads the location from wherever the Predictor has it, for a spec that passed validatePredictor.
func predictorStorage(s *v1alpha1.PredictorSpec) *syncv1.StorageReference {
	st := s.Storage
	ref := &syncv1.StorageReference{
		SecretKey:  value(st.StorageKey),
		Path:       s.Path,
		SchemaPath: value(s.SchemaPath),
		Parameters: maps.Clone(st.Parameters),
	}
	if st.Path != nil {
		ref.Path = *st.Path
	}
	if st.SchemaPath != nil {
		ref.SchemaPath = *st.SchemaPath
	}
	if st.S3 != nil {
		ref.SecretKey = st.S3.SecretKey
		if st.S3.Bucket != nil {
			ref.Parameters = map[string]string{"bucket": *st.S3.Bucket}
		}
	}
	return ref
}

// canonicalPredictor copies the spec as written: the hash of a Predictor is over its own fields, not over their meaning.
func canonicalPredictor(s *v1alpha1.PredictorSpec) modelid.Spec {
	c := modelid.Spec{
		ServiceAccountName: s.ServiceAccountName,
		ModelType:          modelid.ModelType{Name: s.ModelType.Name, Version: s.ModelType.Version},
		Path:               s.Path,
		SchemaPath:         s.SchemaPath,
		GPU:                (*string)(s.GPU),
		ProtocolVersion:    s.ProtocolVersion,
		Storage: &modelid.Storage{
			Path:       s.Storage.Path,
			SchemaPath: s.Storage.SchemaPath,
			Parameters: s.Storage.Parameters,
			Key:        s.Storage.StorageKey,
		},
	}
	if s.Storage.S3 != nil {
		c.Storage.S3 = &modelid.S3{SecretKey: s.Storage.S3.SecretKey, Bucket: s.Storage.S3.Bucket}
	}
	if s.Runtime != nil {
		c.Runtime = &modelid.Runtime{Name: s.Runtime.Name}
	}
	return c
}
