// Package header reads and patches the header of an encoded policy request, whichever hook it is for. Its offsets are of
// the policy ABI's published layout (sdk/policyabi/offsets.txt), where none ever changes. Callers have encoded the request
// themselves or have checked it with a view; bytes that are shorter than a header panic. (pure)
package header

import (
	"encoding/binary"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Size of the header that this version writes.
const Size = 80

// Offsets of fields in the header.
const (
	HeaderSize  = 8
	TotalLen    = 12
	Flags       = 18
	RowCount    = 20
	ContextOff  = 48
	ContextSize = 52
	RowsOff     = 56
	RowSize     = 60
	StringsOff  = 64
	StringsLen  = 68
	ResponseOff = 72
	ResponseCap = 76
)

// Field reads a 32-bit field.
func Field(request []byte, offset int) int { return int(binary.LittleEndian.Uint32(request[offset:])) }

// SetField writes a 32-bit field.
func SetField(request []byte, offset, value int) {
	binary.LittleEndian.PutUint32(request[offset:], uint32(value))
}

// SetFlag adds a flag to the request's.
func SetFlag(request []byte, flag policyabi.RequestFlag) {
	flags := policyabi.RequestFlag(binary.LittleEndian.Uint16(request[Flags:]))
	binary.LittleEndian.PutUint16(request[Flags:], uint16(flags|flag))
}
