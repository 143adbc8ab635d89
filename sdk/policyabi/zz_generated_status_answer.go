// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policyabi

import (
	"encoding/binary"
	"fmt"
)

// StatusAnswer: How the status reads. There is exactly one.
type StatusAnswer struct {
	Transition    Transition
	ActiveState   ModelState // of the model that answers
	TargetState   ModelState // 0 when there is no target
	ActiveFailure Failure    // what is wrong with it; 0 for nothing
	TargetFailure Failure
	Ready         uint16 // 1: the conditions Ready and PredictorReady are True
}

func (s *StatusAnswer) encode(b []byte) {
	b = b[:16:16]
	binary.LittleEndian.PutUint16(b[0:2], uint16(s.Transition))
	binary.LittleEndian.PutUint16(b[2:4], uint16(s.ActiveState))
	binary.LittleEndian.PutUint16(b[4:6], uint16(s.TargetState))
	binary.LittleEndian.PutUint16(b[6:8], uint16(s.ActiveFailure))
	binary.LittleEndian.PutUint16(b[8:10], uint16(s.TargetFailure))
	binary.LittleEndian.PutUint16(b[10:12], s.Ready)
	binary.LittleEndian.PutUint32(b[12:16], 0)
}

func decodeStatusAnswer(b []byte) StatusAnswer {
	r := record{b: b}
	return StatusAnswer{
		Transition:    Transition(r.u16(0)),
		ActiveState:   ModelState(r.u16(2)),
		TargetState:   ModelState(r.u16(4)),
		ActiveFailure: Failure(r.u16(6)),
		TargetFailure: Failure(r.u16(8)),
		Ready:         r.u16(10),
	}
}

// StatusAnswers writes the answer in place. Nothing written means that the policy abstains.
type StatusAnswers struct {
	response []byte
	n        int
}

// Set writes the one answer.
func (a *StatusAnswers) Set(answer StatusAnswer) {
	answer.encode(a.response)
	a.n = 16
}

// Len is the number of bytes written.
func (a *StatusAnswers) Len() int { return a.n }

// Bytes that were written, in place.
func (a *StatusAnswers) Bytes() []byte { return a.response[:a.n] }

// DecodeStatusAnswer reads and checks the answer. Errors wrap ErrAnswer.
func DecodeStatusAnswer(response []byte) (StatusAnswer, error) {
	if len(response) != 16 {
		return StatusAnswer{}, fmt.Errorf("%w: it has %d bytes, not 16", ErrAnswer, len(response))
	}
	a := decodeStatusAnswer(response)
	for _, field := range []struct {
		name       string
		value, max uint64
		nonzero    bool
		values     string
	}{
		{"transition", uint64(a.Transition), 4, true, "one of UpToDate, InProgress, BlockedByFailedLoad, InvalidSpec"},
		{"active_state", uint64(a.ActiveState), 5, true, "one of Pending, Standby, Loading, Loaded, FailedToLoad"},
		{"target_state", uint64(a.TargetState), 5, false, "one of Pending, Standby, Loading, Loaded, FailedToLoad, or 0"},
		{"active_failure", uint64(a.ActiveFailure), 6, false, "one of ModelLoadFailed, RuntimeUnhealthy, RuntimeNotRecognized, NoSupportingRuntime, InvalidPredictorSpec, RuntimeDisabled, or 0"},
		{"target_failure", uint64(a.TargetFailure), 6, false, "one of ModelLoadFailed, RuntimeUnhealthy, RuntimeNotRecognized, NoSupportingRuntime, InvalidPredictorSpec, RuntimeDisabled, or 0"},
		{"ready", uint64(a.Ready), 1, false, "at most 1"},
	} {
		switch {
		case field.nonzero && field.value == 0:
			return StatusAnswer{}, fmt.Errorf("%w: %s is missing: %s", ErrAnswer, field.name, field.values)
		case field.value > field.max:
			return StatusAnswer{}, fmt.Errorf("%w: %s is %d: %s", ErrAnswer, field.name, field.value, field.values)
		}
	}
	return a, nil
}
