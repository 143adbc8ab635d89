// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

// Package status makes a module decide hook status: whoever imports it exports mesh_status. It has the words that the hook
// is asked and answers in; package policy documents the words.
package status

import policy "github.com/wasmesh/wasmesh/sdk/policy/go"

// Words of the ABI that the hook uses.
type (
	ModelState   = policy.ModelState
	Transition   = policy.Transition
	Failure      = policy.Failure
	StatusFlag   = policy.StatusFlag
	RevisionFlag = policy.RevisionFlag
)

// State of a model in a status, in the order of ModelMesh's words.
const (
	ModelStatePending      = policy.ModelStatePending
	ModelStateStandby      = policy.ModelStateStandby
	ModelStateLoading      = policy.ModelStateLoading
	ModelStateLoaded       = policy.ModelStateLoaded
	ModelStateFailedToLoad = policy.ModelStateFailedToLoad
)

// How far an object is from its spec.
const (
	TransitionUpToDate            = policy.TransitionUpToDate
	TransitionInProgress          = policy.TransitionInProgress
	TransitionBlockedByFailedLoad = policy.TransitionBlockedByFailedLoad
	TransitionInvalidSpec         = policy.TransitionInvalidSpec
)

// What is wrong with a model.
const (
	FailureModelLoadFailed      = policy.FailureModelLoadFailed
	FailureRuntimeUnhealthy     = policy.FailureRuntimeUnhealthy
	FailureRuntimeNotRecognized = policy.FailureRuntimeNotRecognized
	FailureNoSupportingRuntime  = policy.FailureNoSupportingRuntime
	FailureInvalidPredictorSpec = policy.FailureInvalidPredictorSpec
	FailureRuntimeDisabled      = policy.FailureRuntimeDisabled
)

// StatusContext.flags.
const (
	StatusFlagHomeless = policy.StatusFlagHomeless
	StatusFlagReached  = policy.StatusFlagReached
)

// StatusRow.flags.
const (
	RevisionFlagTarget     = policy.RevisionFlagTarget
	RevisionFlagRefused    = policy.RevisionFlagRefused
	RevisionFlagConsidered = policy.RevisionFlagConsidered
)

// decide is the module's function, answers where it writes: a module is called by one caller at a time.
var (
	decide  func(Request, *Answers)
	answers Answers
)

// Handle sets the function that decides, once, from an init function. A call that writes no answer abstains: the built-in
// policy decides.
func Handle(f func(r Request, a *Answers)) { decide = f }

// call returns what the export returns for the request.
func call(b []byte) int32 {
	if decide == nil {
		return 0
	}
	request, room, err := Open(b)
	if err != nil {
		code, _ := err.(policy.CallError)
		return -int32(code)
	}
	answers = room
	decide(request, &answers)
	return int32(answers.Len())
}
