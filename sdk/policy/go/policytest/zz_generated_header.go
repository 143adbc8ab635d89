// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policytest

import (
	"encoding/binary"

	policy "github.com/wasmesh/wasmesh/sdk/policy/go"
)

// Header is what the encoder of a request cannot know; it computes the rest.
type Header struct {
	Flags      policy.RequestFlag
	DecisionID uint64 // of this decision, unique on its host
	NowMs      int64  // the only clock there is, ms since 1970
	Seed       uint64 // the only randomness there is
}

// parts of a request, in bytes from its start.
type parts struct {
	hook                       policy.Hook
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
	binary.LittleEndian.PutUint32(b[0:], policy.Magic)
	binary.LittleEndian.PutUint16(b[4:], policy.Major)
	binary.LittleEndian.PutUint16(b[6:], policy.Minor)
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
