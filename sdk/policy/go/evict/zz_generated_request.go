// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package evict

import (
	"unsafe"

	policy "github.com/wasmesh/wasmesh/sdk/policy/go"
	"github.com/wasmesh/wasmesh/sdk/policy/go/internal/wire"
)

// Request is what hook evict is asked. It is valid until the hook returns.
type Request struct{ r wire.Request }

// Open checks a request, which must begin at a multiple of 8 in memory. Errors are policy.CallErrors.
func Open(b []byte) (Request, Answers, error) {
	r, response, code := wire.Open(b, uint16(policy.HookEvict), 16, false)
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

// Context: What memory is wanted for.
type Context struct{ r wire.Record }

// ModelKey: of the model that is to come; 0 for none.
func (s Context) ModelKey() uint64 { return s.r.U64(0) }

// NeedMemory: it is expected to take, bytes.
func (s Context) NeedMemory() int64 { return int64(s.r.U64(8)) }

// NeedDevice: bytes.
func (s Context) NeedDevice() int64 { return int64(s.r.U64(16)) }

// NeedSlots.
func (s Context) NeedSlots() int64 { return int64(s.r.U64(24)) }

// FreeMemory: bytes.
func (s Context) FreeMemory() int64 { return int64(s.r.U64(32)) }

// FreeDevice: bytes.
func (s Context) FreeDevice() int64 { return int64(s.r.U64(40)) }

// FreeSlots.
func (s Context) FreeSlots() int64 { return int64(s.r.U64(48)) }

// CapacityMemory: bytes.
func (s Context) CapacityMemory() int64 { return int64(s.r.U64(56)) }

// CapacityDevice: bytes.
func (s Context) CapacityDevice() int64 { return int64(s.r.U64(64)) }

// CapacitySlots.
func (s Context) CapacitySlots() int64 { return int64(s.r.U64(72)) }

// Purpose.
func (s Context) Purpose() policy.Purpose { return policy.Purpose(s.r.U16(80)) }

// Flags.
func (s Context) Flags() policy.ModelFlag { return policy.ModelFlag(s.r.U16(82)) }

// Priority: of the model that is to come.
func (s Context) Priority() int32 { return int32(s.r.U32(84)) }

// Name: id of the model that is to come.
func (s Context) Name() string { return s.r.Text(88) }

// Row: One copy on this host.
type Row struct{ r wire.Record }

// CopyID: of this load of the model.
func (s Row) CopyID() uint64 { return s.r.U64(0) }

// ModelKey.
func (s Row) ModelKey() uint64 { return s.r.U64(8) }

// SizeMemory: it takes, bytes.
func (s Row) SizeMemory() int64 { return int64(s.r.U64(16)) }

// SizeDevice: bytes.
func (s Row) SizeDevice() int64 { return int64(s.r.U64(24)) }

// SizeSlots.
func (s Row) SizeSlots() int64 { return int64(s.r.U64(32)) }

// LastUsedMs: a request last came, ms since 1970.
func (s Row) LastUsedMs() int64 { return int64(s.r.U64(40)) }

// LoadedAtMs: its load ended, ms since 1970.
func (s Row) LoadedAtMs() int64 { return int64(s.r.U64(48)) }

// Rate: of the model on this host, decayed over hours; survives eviction, requests per 1e6 s.
func (s Row) Rate() uint64 { return s.r.U64(56) }

// RateRecent: decayed over minutes, requests per 1e6 s.
func (s Row) RateRecent() uint64 { return s.r.U64(64) }

// Uses: requests since its load.
func (s Row) Uses() uint64 { return s.r.U64(72) }

// Inflation: sum of the keep-values of what was evicted since its last use, each the largest of one eviction, tiers of priority aside: the clock of Greedy-Dual policies, keep-value.
func (s Row) Inflation() int64 { return int64(s.r.U64(80)) }

// LoadMs: its load took, ms.
func (s Row) LoadMs() uint32 { return s.r.U32(88) }

// InFlight: requests now.
func (s Row) InFlight() uint32 { return s.r.U32(92) }

// Priority: of its owner; higher is kept longer.
func (s Row) Priority() int32 { return int32(s.r.U32(96)) }

// Flags.
func (s Row) Flags() policy.CopyFlag { return policy.CopyFlag(s.r.U16(100)) }

// CopiesElsewhere: of the model on other hosts.
func (s Row) CopiesElsewhere() uint16 { return s.r.U16(102) }

// Name: model id.
func (s Row) Name() string { return s.r.Text(104) }

// Answer: What one copy is worth. Each row has exactly one answer.
type Answer struct {
	Row    uint32 // index of the copy's row
	Keep   int32  // higher is kept longer; the lowest goes first
	Reason policy.Reason
}

// Answers writes the answer in place. Nothing written means that the policy abstains.
type Answers struct {
	response []byte
	n        int
}

// Add answers about a row. There is room for as many answers as rows; those beyond are dropped.
func (a *Answers) Add(row int, keep int32, reason policy.Reason) {
	a.write(Answer{uint32(row), keep, reason})
}

func (a *Answers) write(answer Answer) {
	if a.n+16 > len(a.response) {
		return
	}
	b := unsafe.Pointer(&a.response[a.n])
	*(*uint32)(unsafe.Add(b, 0)) = answer.Row
	*(*int32)(unsafe.Add(b, 4)) = answer.Keep
	*(*policy.Reason)(unsafe.Add(b, 8)) = answer.Reason
	*(*uint16)(unsafe.Add(b, 10)) = 0
	*(*uint32)(unsafe.Add(b, 12)) = 0
	a.n += 16
}

// Len is the number of bytes written: what the hook returns.
func (a *Answers) Len() int { return a.n }

// Bytes that were written, in place.
func (a *Answers) Bytes() []byte { return a.response[:a.n] }
