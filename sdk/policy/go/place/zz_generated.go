// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

// Package place makes a module decide hook place: whoever imports it exports mesh_place. It has the words that the hook
// is asked and answers in; package policy documents the words.
package place

import policy "github.com/wasmesh/wasmesh/sdk/policy/go"

// Words of the ABI that the hook uses.
type (
	Purpose   = policy.Purpose
	Reason    = policy.Reason
	ModelFlag = policy.ModelFlag
	HostFlag  = policy.HostFlag
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

// PlaceRow.flags.
const (
	HostFlagDraining  = policy.HostFlagDraining
	HostFlagWarming   = policy.HostFlagWarming
	HostFlagSameZone  = policy.HostFlagSameZone
	HostFlagHasCopy   = policy.HostFlagHasCopy
	HostFlagExcluded  = policy.HostFlagExcluded
	HostFlagSelf      = policy.HostFlagSelf
	HostFlagPreferred = policy.HostFlagPreferred
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
