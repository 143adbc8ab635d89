// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policytest

import (
	"encoding/binary"

	policy "github.com/wasmesh/wasmesh/sdk/policy/go"
	"github.com/wasmesh/wasmesh/sdk/policy/go/status"
)

// StatusContext: One InferenceService or Predictor.
type StatusContext struct {
	Name               string // namespace/kind/name
	Flags              policy.StatusFlag
	Transition         policy.Transition // as the controller sees it: which model answers is not a policy's decision
	SpecFault          policy.Failure    // why no model can be made of the spec
	HostsConnected     uint32            // in its namespace
	PreviousTransition policy.Transition // in the present status
	PreviousFailure    policy.Failure    // in the present status
}

// encode writes the struct; name is the offset of its name in the strings.
func (s *StatusContext) encode(b []byte, name int) {
	b = b[:24:24]
	binary.LittleEndian.PutUint32(b[0:4], uint32(s.Flags))
	binary.LittleEndian.PutUint16(b[4:6], uint16(s.Transition))
	binary.LittleEndian.PutUint16(b[6:8], uint16(s.SpecFault))
	binary.LittleEndian.PutUint32(b[8:12], s.HostsConnected)
	binary.LittleEndian.PutUint16(b[12:14], uint16(s.PreviousTransition))
	binary.LittleEndian.PutUint16(b[14:16], uint16(s.PreviousFailure))
	binary.LittleEndian.PutUint32(b[16:20], uint32(name))
	binary.LittleEndian.PutUint32(b[20:24], uint32(len(s.Name)))
}

// StatusRow: One model of the object, the one that answers first, then the target of a change if there is one.
type StatusRow struct {
	Name          string // model id
	ModelKey      uint64
	FailedAtMs    int64  // time of its newest failure, ms since 1970
	RetryAtMs     int64  // it is tried again; 0 when only a change can help, ms since 1970
	Loaded        uint32 // copies in memory
	Loading       uint32 // copies queued or loading
	Draining      uint32 // copies that leave
	Failed        uint32 // copies that failed
	HostsReady    uint32 // with a runtime that supports it and is up
	HostsWaiting  uint32 // with a runtime that supports it and is not up
	Flags         policy.RevisionFlag
	NewestFailure policy.Failure    // of its copies, as their hosts told it
	Unsupported   policy.Failure    // why no declared runtime can hold it
	PreviousState policy.ModelState // in the present status
}

// encode writes the struct; name is the offset of its name in the strings.
func (s *StatusRow) encode(b []byte, name int) {
	b = b[:64:64]
	binary.LittleEndian.PutUint64(b[0:8], s.ModelKey)
	binary.LittleEndian.PutUint64(b[8:16], uint64(s.FailedAtMs))
	binary.LittleEndian.PutUint64(b[16:24], uint64(s.RetryAtMs))
	binary.LittleEndian.PutUint32(b[24:28], s.Loaded)
	binary.LittleEndian.PutUint32(b[28:32], s.Loading)
	binary.LittleEndian.PutUint32(b[32:36], s.Draining)
	binary.LittleEndian.PutUint32(b[36:40], s.Failed)
	binary.LittleEndian.PutUint32(b[40:44], s.HostsReady)
	binary.LittleEndian.PutUint32(b[44:48], s.HostsWaiting)
	binary.LittleEndian.PutUint16(b[48:50], uint16(s.Flags))
	binary.LittleEndian.PutUint16(b[50:52], uint16(s.NewestFailure))
	binary.LittleEndian.PutUint16(b[52:54], uint16(s.Unsupported))
	binary.LittleEndian.PutUint16(b[54:56], uint16(s.PreviousState))
	binary.LittleEndian.PutUint32(b[56:60], uint32(name))
	binary.LittleEndian.PutUint32(b[60:64], uint32(len(s.Name)))
}

// StatusRequest is what hook status is asked.
type StatusRequest struct {
	Header  Header
	Context StatusContext
	Rows    []StatusRow
}

// parts of the encoded request; stringsEnd is where its names end.
func (r *StatusRequest) parts(stringsEnd int) parts {
	p := parts{hook: policy.HookStatus, contextSize: 24, rowSize: 64, rows: len(r.Rows), stringsEnd: stringsEnd}
	p.strings = 80 + 24 + 64*len(r.Rows)
	p.response = (stringsEnd + 7) &^ 7
	p.responseEnd = p.response + 16
	return p
}

// Size in bytes of the encoded request, with the room for its answer.
func (r *StatusRequest) Size() int {
	names := len(r.Context.Name)
	for i := range r.Rows {
		names += len(r.Rows[i].Name)
	}
	return r.parts(80 + 24 + 64*len(r.Rows) + names).responseEnd
}

// Encode fills buf, which must have Size bytes.
func (r *StatusRequest) Encode(buf []byte) {
	rows := buf[80+24:]
	strings := buf[80+24+64*len(r.Rows):]
	r.Context.encode(buf[80:], 0)
	name := copy(strings, r.Context.Name)
	for i := range r.Rows {
		row := &r.Rows[i]
		row.encode(rows[i*64:], name)
		name += copy(strings[name:], row.Name)
	}
	clear(strings[name:])
	r.Header.encode(buf, r.parts(len(buf)-len(strings)+name))
}

// Status calls the function as a host would, and checks the answer like a host. No answers means that it abstained.
func Status(decide func(status.Request, *status.Answers), r *StatusRequest) ([]status.Answer, error) {
	b := aligned(r.Size())
	r.Encode(b)
	request, room, err := status.Open(b)
	if err != nil {
		return nil, err
	}
	decide(request, &room)
	response := room.Bytes()
	var answers []status.Answer
	for ; len(response) >= 16; response = response[16:] {
		answers = append(answers, status.Answer{
			Transition:    policy.Transition(binary.LittleEndian.Uint16(response[0:])),
			ActiveState:   policy.ModelState(binary.LittleEndian.Uint16(response[2:])),
			TargetState:   policy.ModelState(binary.LittleEndian.Uint16(response[4:])),
			ActiveFailure: policy.Failure(binary.LittleEndian.Uint16(response[6:])),
			TargetFailure: policy.Failure(binary.LittleEndian.Uint16(response[8:])),
			Ready:         uint16(binary.LittleEndian.Uint16(response[10:])),
		})
	}
	return answers, nil
}
