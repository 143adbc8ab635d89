// Package splice reads and sets the model name of an encoded protobuf message without decoding it. (pure)
//
// Setting the name never moves a byte of the message: the field is written once more behind its end. Every protobuf
// parser lets the last occurrence of a scalar field win and merges repeated occurrences of an embedded message, so
// the appended name holds whatever the client put into the message, wherever it put it, and however often. That rests
// on one condition, which Walker checks while the bytes pass: the message ends on a field boundary. Otherwise an
// unfinished field could swallow the appended bytes.
//
// Package forward walks each message on its way to a runtime; package ingress walks the first bytes to learn the name.
package splice

import (
	"encoding/binary"
)

// wireBytes is protobuf's wire type of strings, bytes and embedded messages.
const wireBytes = 2

// Suffix encodes value as the string field at path, a list of field numbers from the outermost message inwards. The
// result is appended to a message to set that field. An empty path has no suffix.
func Suffix(path []uint32, value string) []byte {
	if len(path) == 0 {
		return nil
	}
	field := []byte(value)
	for i := len(path) - 1; i >= 0; i-- {
		outer := binary.AppendUvarint(nil, uint64(path[i])<<3|wireBytes)
		outer = binary.AppendUvarint(outer, uint64(len(field)))
		field = append(outer, field...)
	}
	return field
}
