// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policyabi

import "encoding/binary"

// Header is what the encoder of a request cannot know; it computes the rest.
type Header struct {
	Flags      RequestFlag
	DecisionID uint64 // of this decision, unique on its host
	NowMs      int64  // the only clock there is, ms since 1970
	Seed       uint64 // the only randomness there is
}

// parts of a request, in bytes from its start.
type parts struct {
	hook                       Hook
	rowSize, contextSize, rows int
	strings, stringsEnd        int
	response, responseEnd      int
}

func (h *Header) encode(b []byte, p parts) {
	b = b[:80:80]
	binary.LittleEndian.PutUint16(b[18:20], uint16(h.Flags))
	binary.LittleEndian.PutUint64(b[24:32], h.DecisionID)
	binary.LittleEndian.PutUint64(b[32:40], uint64(h.NowMs))
	binary.LittleEndian.PutUint64(b[40:48], h.Seed)
	binary.LittleEndian.PutUint32(b[0:], Magic)
	binary.LittleEndian.PutUint16(b[4:], Major)
	binary.LittleEndian.PutUint16(b[6:], Minor)
	binary.LittleEndian.PutUint32(b[8:], 80)
	binary.LittleEndian.PutUint32(b[12:], uint32(p.responseEnd))
	binary.LittleEndian.PutUint16(b[16:], uint16(p.hook))
	binary.LittleEndian.PutUint32(b[20:], uint32(p.rows))
	binary.LittleEndian.PutUint32(b[48:], 80)
	binary.LittleEndian.PutUint32(b[52:], uint32(p.contextSize))
	binary.LittleEndian.PutUint32(b[56:], uint32(80+p.contextSize))
	binary.LittleEndian.PutUint32(b[60:], uint32(p.rowSize))
	binary.LittleEndian.PutUint32(b[64:], uint32(p.strings))
	binary.LittleEndian.PutUint32(b[68:], uint32(p.stringsEnd-p.strings))
	binary.LittleEndian.PutUint32(b[72:], uint32(p.response))
	binary.LittleEndian.PutUint32(b[76:], uint32(p.responseEnd-p.response))
}

// HeaderView reads a header in place.
type HeaderView struct{ r record }

// Magic: MPR1.
func (h HeaderView) Magic() uint32 { return h.r.u32(0) }

// AbiMajor: of the host.
func (h HeaderView) AbiMajor() uint16 { return h.r.u16(4) }

// AbiMinor: of the host.
func (h HeaderView) AbiMinor() uint16 { return h.r.u16(6) }

// HeaderSize: of this struct as the host knows it, bytes.
func (h HeaderView) HeaderSize() uint32 { return h.r.u32(8) }

// TotalLen: of the request, response area included, bytes.
func (h HeaderView) TotalLen() uint32 { return h.r.u32(12) }

// Hook: what is asked.
func (h HeaderView) Hook() Hook { return Hook(h.r.u16(16)) }

// Flags.
func (h HeaderView) Flags() RequestFlag { return RequestFlag(h.r.u16(18)) }

// RowCount: rows.
func (h HeaderView) RowCount() uint32 { return h.r.u32(20) }

// DecisionID: of this decision, unique on its host.
func (h HeaderView) DecisionID() uint64 { return h.r.u64(24) }

// NowMs: the only clock there is, ms since 1970.
func (h HeaderView) NowMs() int64 { return int64(h.r.u64(32)) }

// Seed: the only randomness there is.
func (h HeaderView) Seed() uint64 { return h.r.u64(40) }

// ContextOff: of the context, from the start of the request, bytes.
func (h HeaderView) ContextOff() uint32 { return h.r.u32(48) }

// ContextSize: of the context as the host knows it, bytes.
func (h HeaderView) ContextSize() uint32 { return h.r.u32(52) }

// RowsOff: of the first row, bytes.
func (h HeaderView) RowsOff() uint32 { return h.r.u32(56) }

// RowSize: of one row: the stride, bytes.
func (h HeaderView) RowSize() uint32 { return h.r.u32(60) }

// StringsOff: of the UTF-8 that name_off counts in, bytes.
func (h HeaderView) StringsOff() uint32 { return h.r.u32(64) }

// StringsLen: bytes.
func (h HeaderView) StringsLen() uint32 { return h.r.u32(68) }

// ResponseOff: where the answer goes, bytes.
func (h HeaderView) ResponseOff() uint32 { return h.r.u32(72) }

// ResponseCap: room for it, bytes.
func (h HeaderView) ResponseCap() uint32 { return h.r.u32(76) }

// decode copies what the encoder does not compute.
func (h HeaderView) decode() Header {
	return Header{
		Flags:      h.Flags(),
		DecisionID: h.DecisionID(),
		NowMs:      h.NowMs(),
		Seed:       h.Seed(),
	}
}
