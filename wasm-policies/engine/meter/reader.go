package meter

import (
	"fmt"
	"unicode/utf8"
)

// reader reads a part of a module. The first refusal sticks: from then on every read returns zero values, and done
// reports true, so that callers check once per item instead of once per field.
type reader struct {
	data    []byte
	pos     int
	base    int    // offset of data in the module
	context string // put in front of the details of refusals: the section or function
	refusal *Refusal
}

// refuse records the first refusal; later ones are consequences of it.
func (r *reader) refuse(rule Rule, format string, args ...any) {
	if r.refusal == nil {
		detail := fmt.Sprintf(format, args...)
		if r.context != "" {
			detail = r.context + ": " + detail
		}
		r.refusal = &Refusal{Rule: rule, Detail: detail, Offset: r.base + r.pos}
	}
	r.pos = len(r.data)
}

func (r *reader) failed() bool { return r.refusal != nil }

func (r *reader) left() int { return len(r.data) - r.pos }

func (r *reader) byte() byte {
	if r.pos >= len(r.data) {
		r.refuse(RuleFormat, "unexpected end")
		return 0
	}
	b := r.data[r.pos]
	r.pos++
	return b
}

// bytes returns the next n bytes, which alias the module.
func (r *reader) bytes(n int) []byte {
	if n < 0 || n > r.left() {
		r.refuse(RuleFormat, "unexpected end: %d bytes needed, %d left", n, r.left())
		return nil
	}
	b := r.data[r.pos : r.pos+n]
	r.pos += n
	return b
}

// u32 reads an unsigned LEB128 number of at most 32 bits. Padding is allowed up to five bytes, as linkers use it.
func (r *reader) u32() uint32 {
	if r.pos < len(r.data) && r.data[r.pos] < 0x80 { // by far the most
		r.pos++
		return uint32(r.data[r.pos-1])
	}
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		if shift == 28 && b > 0x0f {
			break
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.refuse(RuleFormat, "number exceeds 32 bits")
	return 0
}

// signed reads a signed LEB128 number of the given width in bits: 32, 33 or 64.
func (r *reader) signed(width int) int64 {
	var v int64
	for shift := 0; shift < width; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if b >= 0x80 {
			continue
		}
		if used := shift + 7; used < 64 {
			v = v << (64 - used) >> (64 - used) // extends the sign
		}
		if rest := width - shift; rest < 7 {
			// The bits beyond the width must repeat the sign bit.
			if top := int8(b<<1) >> rest; top != 0 && top != -1 {
				break
			}
		}
		return v
	}
	r.refuse(RuleFormat, "number exceeds %d bits", width)
	return 0
}

// count reads the length of a vector whose items take at least one byte each.
func (r *reader) count(what string, limit int) int {
	n := r.u32()
	if uint64(n) > uint64(limit) {
		r.refuse(RuleLimit, "%d %s, at most %d are allowed", n, what, limit)
		return 0
	}
	if int(n) > r.left() {
		r.refuse(RuleFormat, "%d %s announced, %d bytes left", n, what, r.left())
		return 0
	}
	return int(n)
}

// name reads a name of at most limit bytes.
func (r *reader) name(limit int) string {
	n := r.u32()
	if uint64(n) > uint64(limit) {
		r.refuse(RuleLimit, "a name of %d bytes, at most %d are allowed", n, limit)
		return ""
	}
	b := r.bytes(int(n))
	if !utf8.Valid(b) {
		r.refuse(RuleFormat, "name %q is not UTF-8", b)
		return ""
	}
	return string(b)
}

// index reads an index into a space of the given size.
func (r *reader) index(what string, size int) uint32 {
	i := r.u32()
	if !r.failed() && uint64(i) >= uint64(size) {
		r.refuse(RuleIndex, "%s %d of %d", what, i, size)
		return 0
	}
	return i
}

func (r *reader) valueType() ValueType {
	t := ValueType(r.byte())
	if !r.failed() && !t.valid() {
		r.refuse(RuleFeature, "value type %#02x", byte(t))
	}
	return t
}

func (r *reader) refType() ValueType {
	t := ValueType(r.byte())
	if !r.failed() && !t.reference() {
		r.refuse(RuleFeature, "reference type %#02x", byte(t))
	}
	return t
}

// zero reads the byte that stands for the only memory.
func (r *reader) zero(what string) {
	if b := r.byte(); b != 0 {
		r.refuse(RuleFeature, "%s: memory %d: there is only one memory", what, b)
	}
}
