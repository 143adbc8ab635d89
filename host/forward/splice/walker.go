package splice

import (
	"fmt"
)

// MaxNameBytes bounds the value that a Walker collects. Kubernetes names have at most 253 bytes and a model id adds
// little to that.
const MaxNameBytes = 1024

// MalformedError says that the bytes are no protobuf message, or one that this package does not take.
type MalformedError struct {
	// Offset counts bytes from the start of the message.
	Offset int64
	Reason string
}

func (e *MalformedError) Error() string {
	return fmt.Sprintf("not a valid protobuf message: %s at byte %d", e.Reason, e.Offset)
}

// ConflictError says that a message names another model than the one it was sent to.
type ConflictError struct{ Named, Expected string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the message names model %q, but the call was opened for %q: use one call per model", e.Named, e.Expected)
}

// step is what the next byte of the message is part of.
type step uint8

const (
	inTag step = iota
	inVarint
	inLength
	inSkip
	inValue
)

// maxDepth bounds the path: no published protocol nests its model name deeper than two.
const maxDepth = 8

// A Walker follows one message as its bytes arrive, in pieces of any size, and collects the string at a path. It
// steps over every other length-delimited field without looking inside, so its cost is in fields, not bytes. The zero
// value must be Reset before use.
type Walker struct {
	path   []uint32
	expect string

	pos  int64
	step step
	// ends[d] is the offset at which the embedded message at depth d ends; ends[0] is the end of the whole.
	ends  [maxDepth]int64
	depth int
	// number and shift accumulate the varint under way.
	number uint64
	shift  uint
	field  uint64
	left   int64 // bytes to go of the field being skipped or collected

	value []byte
	found bool
}

// Reset prepares w for a message of size bytes. If expect is not empty, a value at path that is neither empty nor
// expect is a ConflictError.
func (w *Walker) Reset(path []uint32, size int64, expect string) {
	if len(path) > maxDepth {
		path = nil
	}
	*w = Walker{path: path, expect: expect, value: w.value[:0]}
	w.ends[0] = size
}

// Name is the last complete, non-empty value seen at the path.
func (w *Walker) Name() (string, bool) {
	if !w.found {
		return "", false
	}
	return string(w.value), true
}

// Write follows the next bytes of the message. After an error the walker is done.
func (w *Walker) Write(p []byte) error {
	for len(p) > 0 {
		var n int
		var err error
		switch w.step {
		case inSkip, inValue:
			n, err = w.pass(p)
		default:
			n, err = 1, w.varint(p[0])
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// Close reports whether the message ended on a field boundary of its outermost level.
func (w *Walker) Close() error {
	if w.pos != w.ends[0] || w.step != inTag || w.shift != 0 || w.depth != 0 {
		return w.malformed("it ends inside a field")
	}
	return nil
}

// pass steps over, or collects, bytes of a field's content.
func (w *Walker) pass(p []byte) (int, error) {
	n := int(min(int64(len(p)), w.left))
	if w.step == inValue {
		w.value = append(w.value, p[:n]...)
	}
	w.pos += int64(n)
	w.left -= int64(n)
	if w.left > 0 {
		return n, nil
	}
	if w.step == inValue {
		w.found = true
		if w.expect != "" && string(w.value) != w.expect {
			return n, &ConflictError{Named: string(w.value), Expected: w.expect}
		}
	}
	w.fieldDone()
	return n, nil
}

// varint takes one byte of a tag, of a varint field or of a length.
func (w *Walker) varint(b byte) error {
	if w.pos >= w.ends[w.depth] {
		return w.malformed("a field runs over the end of its message")
	}
	// The tenth byte holds the 64th bit only.
	if w.shift == 63 && b > 1 {
		return w.malformed("a number is longer than 64 bits")
	}
	w.pos++
	w.number |= uint64(b&0x7f) << w.shift
	w.shift += 7
	if b >= 0x80 {
		return nil
	}
	number := w.number
	w.number, w.shift = 0, 0
	switch w.step {
	case inTag:
		return w.tag(number)
	case inLength:
		return w.length(number)
	default:
		w.fieldDone()
		return nil
	}
}

func (w *Walker) tag(tag uint64) error {
	w.field = tag >> 3
	if w.field == 0 || tag > 1<<32-1 {
		return w.malformed("a field has an impossible number")
	}
	switch tag & 7 {
	case 0:
		w.step = inVarint
	case 1:
		return w.skip(8)
	case wireBytes:
		w.step = inLength
	case 5:
		return w.skip(4)
	default:
		return w.malformed("a field has an unknown or obsolete wire type")
	}
	return nil
}

func (w *Walker) length(length uint64) error {
	if length > uint64(w.ends[w.depth]-w.pos) {
		return w.malformed("a field runs over the end of its message")
	}
	if w.depth >= len(w.path) || w.field != uint64(w.path[w.depth]) {
		return w.skip(int64(length))
	}
	if w.depth < len(w.path)-1 {
		w.depth++
		w.ends[w.depth] = w.pos + int64(length)
		w.fieldDone()
		return nil
	}
	if length == 0 {
		// An empty name is the same as none.
		w.fieldDone()
		return nil
	}
	if length > MaxNameBytes {
		return w.malformed(fmt.Sprintf("the model name has %d bytes, over the limit of %d,", length, MaxNameBytes))
	}
	w.step, w.left = inValue, int64(length)
	w.value, w.found = w.value[:0], false
	return nil
}

func (w *Walker) skip(n int64) error {
	if n > w.ends[w.depth]-w.pos {
		return w.malformed("a field runs over the end of its message")
	}
	if n == 0 {
		w.fieldDone()
		return nil
	}
	w.step, w.left = inSkip, n
	return nil
}

// fieldDone leaves every embedded message that ends here and expects the next tag.
func (w *Walker) fieldDone() {
	for w.depth > 0 && w.pos == w.ends[w.depth] {
		w.depth--
	}
	w.step = inTag
}

func (w *Walker) malformed(reason string) error {
	return &MalformedError{Offset: w.pos, Reason: reason}
}
