// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package place

import (
	"unsafe"

	policy "github.com/wasmesh/wasmesh/sdk/policy/go"
	"github.com/wasmesh/wasmesh/sdk/policy/go/internal/wire"
)

// Request is what hook place is asked. It is valid until the hook returns.
type Request struct{ r wire.Request }

// Open checks a request, which must begin at a multiple of 8 in memory. Errors are policy.CallErrors.
func Open(b []byte) (Request, Answers, error) {
	r, response, code := wire.Open(b, uint16(policy.HookPlace), 16, false)
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

// Context: The model that is to be loaded.
type Context struct{ r wire.Record }

// ModelKey: of the model.
func (s Context) ModelKey() uint64 { return s.r.U64(0) }

// NeedMemory: expected in the runtime's memory, bytes.
func (s Context) NeedMemory() int64 { return int64(s.r.U64(8)) }

// NeedDevice: on its device, bytes.
func (s Context) NeedDevice() int64 { return int64(s.r.U64(16)) }

// NeedSlots: slots.
func (s Context) NeedSlots() int64 { return int64(s.r.U64(24)) }

// LastUsedMs: a request last came, before the one that waits, ms since 1970.
func (s Context) LastUsedMs() int64 { return int64(s.r.U64(32)) }

// Rate: decayed over hours, requests per 1e6 s.
func (s Context) Rate() uint64 { return s.r.U64(40) }

// RateRecent: decayed over minutes, requests per 1e6 s.
func (s Context) RateRecent() uint64 { return s.r.U64(48) }

// LoadMs: a load takes, as measured, ms.
func (s Context) LoadMs() uint32 { return s.r.U32(56) }

// Priority: of its owner; higher is kept longer.
func (s Context) Priority() int32 { return int32(s.r.U32(60)) }

// Purpose.
func (s Context) Purpose() policy.Purpose { return policy.Purpose(s.r.U16(64)) }

// Flags.
func (s Context) Flags() policy.ModelFlag { return policy.ModelFlag(s.r.U16(66)) }

// Zone: of the host that asks; zones are numbered from 1 in each request.
func (s Context) Zone() uint16 { return s.r.U16(68) }

// Copies: there are, loading ones included.
func (s Context) Copies() uint16 { return s.r.U16(70) }

// Name: model id.
func (s Context) Name() string { return s.r.Text(72) }

// Row: One host.
type Row struct{ r wire.Record }

// HostKey: of the host's id, the same in every request.
func (s Row) HostKey() uint64 { return s.r.U64(0) }

// Flags.
func (s Row) Flags() policy.HostFlag { return policy.HostFlag(s.r.U32(8)) }

// Zone: 0 when it has none.
func (s Row) Zone() uint16 { return s.r.U16(12) }

// ZoneCopies: copies of the model in its zone.
func (s Row) ZoneCopies() uint16 { return s.r.U16(14) }

// FreeMemory: of the runtime's memory, bytes.
func (s Row) FreeMemory() int64 { return int64(s.r.U64(16)) }

// FreeDevice: bytes.
func (s Row) FreeDevice() int64 { return int64(s.r.U64(24)) }

// FreeSlots.
func (s Row) FreeSlots() int64 { return int64(s.r.U64(32)) }

// CapacityMemory: bytes.
func (s Row) CapacityMemory() int64 { return int64(s.r.U64(40)) }

// CapacityDevice: bytes.
func (s Row) CapacityDevice() int64 { return int64(s.r.U64(48)) }

// CapacitySlots.
func (s Row) CapacitySlots() int64 { return int64(s.r.U64(56)) }

// Reclaim16th: lost to free 1/16 of the capacity: the lowest keep-values of its evict policy, each at least 0, weighed by the memory that goes with them and added up, keep-value x MiB.
func (s Row) Reclaim16th() int64 { return int64(s.r.U64(64)) }

// Reclaim8th: lost to free 1/8, keep-value x MiB.
func (s Row) Reclaim8th() int64 { return int64(s.r.U64(72)) }

// Reclaim4th: lost to free 1/4, keep-value x MiB.
func (s Row) Reclaim4th() int64 { return int64(s.r.U64(80)) }

// ReclaimHalf: lost to free 1/2, keep-value x MiB.
func (s Row) ReclaimHalf() int64 { return int64(s.r.U64(88)) }

// OldestMs: last use of its least recently used copy, ms since 1970.
func (s Row) OldestMs() int64 { return int64(s.r.U64(96)) }

// StartedMs: start of the host, ms since 1970.
func (s Row) StartedMs() int64 { return int64(s.r.U64(104)) }

// LoadsQueued.
func (s Row) LoadsQueued() uint32 { return s.r.U32(112) }

// LoadsRunning.
func (s Row) LoadsRunning() uint32 { return s.r.U32(116) }

// InFlight: requests.
func (s Row) InFlight() uint32 { return s.r.U32(120) }

// Copies: of all models.
func (s Row) Copies() uint32 { return s.r.U32(124) }

// Rate: all requests that it serves, requests per 1e6 s.
func (s Row) Rate() uint64 { return s.r.U64(128) }

// Name: host id.
func (s Row) Name() string { return s.r.Text(136) }

// Answer: One host that the policy would load on. Best first; a host that is not named is not wanted.
type Answer struct {
	Row    uint32 // index of the host's row
	Score  int32  // for people; ranking is by order
	Reason policy.Reason
}

// Answers writes the answer in place. Nothing written means that the policy abstains.
type Answers struct {
	response []byte
	n        int
}

// Add answers about a row. There is room for as many answers as rows; those beyond are dropped.
func (a *Answers) Add(row int, score int32, reason policy.Reason) {
	a.write(Answer{uint32(row), score, reason})
}

func (a *Answers) write(answer Answer) {
	if a.n+16 > len(a.response) {
		return
	}
	b := unsafe.Pointer(&a.response[a.n])
	*(*uint32)(unsafe.Add(b, 0)) = answer.Row
	*(*int32)(unsafe.Add(b, 4)) = answer.Score
	*(*policy.Reason)(unsafe.Add(b, 8)) = answer.Reason
	*(*uint16)(unsafe.Add(b, 10)) = 0
	*(*uint32)(unsafe.Add(b, 12)) = 0
	a.n += 16
}

// Len is the number of bytes written: what the hook returns.
func (a *Answers) Len() int { return a.n }

// Bytes that were written, in place.
func (a *Answers) Bytes() []byte { return a.response[:a.n] }
