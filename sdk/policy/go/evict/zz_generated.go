// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

// Package evict makes a module decide hook evict: whoever imports it exports mesh_evict. It has the words that the hook
// is asked and answers in; package policy documents the words.
package evict

import policy "github.com/wasmesh/wasmesh/sdk/policy/go"

// Words of the ABI that the hook uses.
type (
	Purpose   = policy.Purpose
	Reason    = policy.Reason
	ModelFlag = policy.ModelFlag
	CopyFlag  = policy.CopyFlag
)

// Why a copy is to be loaded, or memory to be found.
const (
	PurposeMiss       = policy.PurposeMiss
	PurposeScale      = policy.PurposeScale
	PurposeDrain      = policy.PurposeDrain
	PurposeMinCopies  = policy.PurposeMinCopies
	PurposeRebalance  = policy.PurposeRebalance
	PurposeBackground = policy.PurposeBackground
	PurposeWorth      = policy.PurposeWorth
)

// Why a policy answered what it answered, for people. Policies may use values from 1000 on for reasons of their own.
const (
	ReasonFree        = policy.ReasonFree
	ReasonLeastLost   = policy.ReasonLeastLost
	ReasonZone        = policy.ReasonZone
	ReasonPacked      = policy.ReasonPacked
	ReasonWarming     = policy.ReasonWarming
	ReasonBusy        = policy.ReasonBusy
	ReasonHasCopy     = policy.ReasonHasCopy
	ReasonExcluded    = policy.ReasonExcluded
	ReasonTooSmall    = policy.ReasonTooSmall
	ReasonRecency     = policy.ReasonRecency
	ReasonRate        = policy.ReasonRate
	ReasonFresh       = policy.ReasonFresh
	ReasonPriority    = policy.ReasonPriority
	ReasonFrequency   = policy.ReasonFrequency
	ReasonOldestCache = policy.ReasonOldestCache
)

// PlaceContext.flags and EvictContext.flags.
const (
	ModelFlagPinned   = policy.ModelFlagPinned
	ModelFlagDeclared = policy.ModelFlagDeclared
)

// EvictRow.flags. A copy with Pinned, Loading or InFlight is never evicted, whatever it is said to be worth.
const (
	CopyFlagPinned   = policy.CopyFlagPinned
	CopyFlagLoading  = policy.CopyFlagLoading
	CopyFlagInFlight = policy.CopyFlagInFlight
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
