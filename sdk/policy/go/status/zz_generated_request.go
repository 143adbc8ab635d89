// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package status

import (
	"unsafe"

	policy "github.com/wasmesh/wasmesh/sdk/policy/go"
	"github.com/wasmesh/wasmesh/sdk/policy/go/internal/wire"
)

// Request is what hook status is asked. It is valid until the hook returns.
type Request struct{ r wire.Request }

// Open checks a request, which must begin at a multiple of 8 in memory. Errors are policy.CallErrors.
func Open(b []byte) (Request, Answers, error) {
	r, response, code := wire.Open(b, uint16(policy.HookStatus), 16, true)
	if code != 0 {
		return Request{}, Answers{}, policy.CallError(code)
	}
	return Request{r}, Answers{response: response}, nil
}

// Header of the request.
func (r *Request) Header() Header { return Header{r.r.Header} }

// Context of the request.
func (r *Request) Context() Context { return Context{r.r.Context} }

// Len is the number of rows.
func (r *Request) Len() int { return int(r.r.Count) }

// Row panics when i is not below Len, like an index.
func (r *Request) Row(i int) Row { return Row{r.r.Row(i)} }

// Header of a request.
type Header struct{ r wire.Record }

// Magic: MPR1.
func (h Header) Magic() uint32 { return h.r.U32(0) }

// AbiMajor: of the host.
func (h Header) AbiMajor() uint16 { return h.r.U16(4) }

// AbiMinor: of the host.
func (h Header) AbiMinor() uint16 { return h.r.U16(6) }

// HeaderSize: of this struct as the host knows it, bytes.
func (h Header) HeaderSize() uint32 { return h.r.U32(8) }

// TotalLen: of the request, response area included, bytes.
func (h Header) TotalLen() uint32 { return h.r.U32(12) }

// Hook: what is asked.
func (h Header) Hook() policy.Hook { return policy.Hook(h.r.U16(16)) }

// Flags.
func (h Header) Flags() policy.RequestFlag { return policy.RequestFlag(h.r.U16(18)) }

// RowCount: rows.
func (h Header) RowCount() uint32 { return h.r.U32(20) }

// DecisionID: of this decision, unique on its host.
func (h Header) DecisionID() uint64 { return h.r.U64(24) }

// NowMs: the only clock there is, ms since 1970.
func (h Header) NowMs() int64 { return int64(h.r.U64(32)) }

// Seed: the only randomness there is.
func (h Header) Seed() uint64 { return h.r.U64(40) }

// ContextOff: of the context, from the start of the request, bytes.
func (h Header) ContextOff() uint32 { return h.r.U32(48) }

// ContextSize: of the context as the host knows it, bytes.
func (h Header) ContextSize() uint32 { return h.r.U32(52) }

// RowsOff: of the first row, bytes.
func (h Header) RowsOff() uint32 { return h.r.U32(56) }

// RowSize: of one row: the stride, bytes.
func (h Header) RowSize() uint32 { return h.r.U32(60) }

// StringsOff: of the UTF-8 that name_off counts in, bytes.
func (h Header) StringsOff() uint32 { return h.r.U32(64) }

// StringsLen: bytes.
func (h Header) StringsLen() uint32 { return h.r.U32(68) }

// ResponseOff: where the answer goes, bytes.
func (h Header) ResponseOff() uint32 { return h.r.U32(72) }

// ResponseCap: room for it, bytes.
func (h Header) ResponseCap() uint32 { return h.r.U32(76) }

// Context: One InferenceService or Predictor.
type Context struct{ r wire.Record }

// Flags.
func (s Context) Flags() policy.StatusFlag { return policy.StatusFlag(s.r.U32(0)) }

// Transition: as the controller sees it: which model answers is not a policy's decision.
func (s Context) Transition() policy.Transition { return policy.Transition(s.r.U16(4)) }

// SpecFault: why no model can be made of the spec.
func (s Context) SpecFault() policy.Failure { return policy.Failure(s.r.U16(6)) }

// HostsConnected: in its namespace.
func (s Context) HostsConnected() uint32 { return s.r.U32(8) }

// PreviousTransition: in the present status.
func (s Context) PreviousTransition() policy.Transition { return policy.Transition(s.r.U16(12)) }

// PreviousFailure: in the present status.
func (s Context) PreviousFailure() policy.Failure { return policy.Failure(s.r.U16(14)) }

// Name: namespace/kind/name.
func (s Context) Name() string { return s.r.Text(16) }

// Row: One model of the object, the one that answers first, then the target of a change if there is one.
type Row struct{ r wire.Record }

// ModelKey.
func (s Row) ModelKey() uint64 { return s.r.U64(0) }

// FailedAtMs: time of its newest failure, ms since 1970.
func (s Row) FailedAtMs() int64 { return int64(s.r.U64(8)) }

// RetryAtMs: it is tried again; 0 when only a change can help, ms since 1970.
func (s Row) RetryAtMs() int64 { return int64(s.r.U64(16)) }

// Loaded: copies in memory.
func (s Row) Loaded() uint32 { return s.r.U32(24) }

// Loading: copies queued or loading.
func (s Row) Loading() uint32 { return s.r.U32(28) }

// Draining: copies that leave.
func (s Row) Draining() uint32 { return s.r.U32(32) }

// Failed: copies that failed.
func (s Row) Failed() uint32 { return s.r.U32(36) }

// HostsReady: with a runtime that supports it and is up.
func (s Row) HostsReady() uint32 { return s.r.U32(40) }

// HostsWaiting: with a runtime that supports it and is not up.
func (s Row) HostsWaiting() uint32 { return s.r.U32(44) }

// Flags.
func (s Row) Flags() policy.RevisionFlag { return policy.RevisionFlag(s.r.U16(48)) }

// NewestFailure: of its copies, as their hosts told it.
func (s Row) NewestFailure() policy.Failure { return policy.Failure(s.r.U16(50)) }

// Unsupported: why no declared runtime can hold it.
func (s Row) Unsupported() policy.Failure { return policy.Failure(s.r.U16(52)) }

// PreviousState: in the present status.
func (s Row) PreviousState() policy.ModelState { return policy.ModelState(s.r.U16(54)) }

// Name: model id.
func (s Row) Name() string { return s.r.Text(56) }

// Answer: How the status reads. There is exactly one.
type Answer struct {
	Transition    policy.Transition
	ActiveState   policy.ModelState // of the model that answers
	TargetState   policy.ModelState // 0 when there is no target
	ActiveFailure policy.Failure    // what is wrong with it; 0 for nothing
	TargetFailure policy.Failure
	Ready         uint16 // 1: the conditions Ready and PredictorReady are True
}

// Answers writes the answer in place. Nothing written means that the policy abstains.
type Answers struct {
	response []byte
	n        int
}

// Set writes the one answer.
func (a *Answers) Set(answer Answer) {
	a.n = 0
	a.write(answer)
}

func (a *Answers) write(answer Answer) {
	if a.n+16 > len(a.response) {
		return
	}
	b := unsafe.Pointer(&a.response[a.n])
	*(*policy.Transition)(unsafe.Add(b, 0)) = answer.Transition
	*(*policy.ModelState)(unsafe.Add(b, 2)) = answer.ActiveState
	*(*policy.ModelState)(unsafe.Add(b, 4)) = answer.TargetState
	*(*policy.Failure)(unsafe.Add(b, 6)) = answer.ActiveFailure
	*(*policy.Failure)(unsafe.Add(b, 8)) = answer.TargetFailure
	*(*uint16)(unsafe.Add(b, 10)) = answer.Ready
	*(*uint32)(unsafe.Add(b, 12)) = 0
	a.n += 16
}

// Len is the number of bytes written: what the hook returns.
func (a *Answers) Len() int { return a.n }

// Bytes that were written, in place.
func (a *Answers) Bytes() []byte { return a.response[:a.n] }
