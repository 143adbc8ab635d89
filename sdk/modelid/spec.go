package modelid

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
)

// Spec is what identifies a model besides its name: ModelMesh's PredictorSpec, field by field. Its JSON is the input
// of the hash, therefore neither the order of the fields, nor their names, nor which of them are left out when empty
// may ever change, and no field may be added: any of it would give every model of every user another id.
//
// A pointer that is nil is absent from the JSON; one to an empty string is not.
type Spec struct {
	ServiceAccountName *string   `json:"serviceAccountName,omitempty"`
	ModelType          ModelType `json:"modelType"`
	// Path is the deprecated path of a Predictor; "" for an InferenceService. Always in the JSON.
	Path            string   `json:"path"`
	SchemaPath      *string  `json:"schemaPath,omitempty"`
	Storage         *Storage `json:"storage,omitempty"`
	GPU             *string  `json:"gpu,omitempty"`
	Runtime         *Runtime `json:"runtime,omitempty"`
	ProtocolVersion *string  `json:"protocolVersion,omitempty"`
}

// ModelType is the format of the model.
type ModelType struct {
	Name    string  `json:"name"`
	Version *string `json:"version,omitempty"`
}

// Storage is the location of the model.
type Storage struct {
	Path       *string `json:"path,omitempty"`
	SchemaPath *string `json:"schemaPath,omitempty"`
	// Parameters are absent when nil, {} when empty: an InferenceService always has them, a Predictor only when given.
	Parameters map[string]string `json:"parameters,omitzero"`
	Key        *string           `json:"key,omitempty"`
	S3         *S3               `json:"s3,omitempty"`
}

// S3 is the deprecated location of a Predictor's model.
type S3 struct {
	SecretKey string  `json:"secretKey"`
	Bucket    *string `json:"bucket,omitempty"`
}

// Runtime is the ServingRuntime that the owner named.
type Runtime struct {
	Name string `json:"name"`
}

// Canonical answers the bytes that are hashed: encoding/json's output, whose map keys are sorted and whose <, > and &
// are written \u003c, \u003e and \u0026.
func (s Spec) Canonical() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		// Strings, pointers to strings and a map of strings always marshal; invalid UTF-8 is replaced, not refused.
		return nil
	}
	return b
}

// Hash answers the first five bytes of the SHA-1 of Canonical, in ten lower-case hexadecimal digits. It names, it does
// not protect: SHA-1 because ModelMesh's ids are made so.
func (s Spec) Hash() string {
	sum := sha1.Sum(s.Canonical())
	return hex.EncodeToString(sum[:hashBytes])
}
