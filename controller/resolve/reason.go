// Package resolve (pure) turns what users declare into what the mesh serves: an InferenceService or Predictor into one
// model, or into the reason why there is none; a set of runtimes into those that may hold a model, in order of
// preference; a ServingRuntime into the plan of its pods.
//
// Its invariant: the answer depends on the arguments alone, nothing that a user wrote is dropped without an answer, and
// whatever ModelMesh accepts gives the model id that ModelMesh gives. Hosts never see labels, annotations or URIs: all
// of those are settled here.
//
// controller/decide calls it for every object on every change.
package resolve

import (
	"fmt"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Reason says why a spec gives no model, or a model no runtime. As an error it is what FromInferenceService and
// FromPredictor return, always of this type.
type Reason struct {
	// Code and Message go to status.modelStatus.lastFailureInfo as they are.
	Code v1beta1.FailureReason
	// Message is for the owner of the spec; existing users match on ModelMesh's, which are therefore kept word by word.
	Message string
}

// Error answers the message after its code.
func (r *Reason) Error() string { return string(r.Code) + ": " + r.Message }

// Messages of ModelMesh about runtimes.
const (
	messageRuntimeNotRecognized = "Specified runtime name not recognized"
	messageNoSupportingRuntime  = "No ServingRuntime supports specified model type and/or protocol"
)

// invalid makes the Reason of a spec that contradicts itself or cannot be read.
func invalid(format string, args ...any) error {
	return &Reason{Code: v1beta1.InvalidPredictorSpec, Message: fmt.Sprintf(format, args...)}
}
