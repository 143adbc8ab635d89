// Package wire reads requests in place, for the packages of the hooks. A request is checked once, when it is opened; after
// that nothing reads outside of it. It keeps to unsafe loads because the compiler makes eight of one load of encoding/binary
// in a module.
package wire

import "unsafe"

// Code says why a request cannot be read: a policy.CallError, 0 for none.
type Code uint16

// Record is one struct of a request: size bytes at p, as many as its writer knew. strings is the offset of the request's
// strings from p. p is never past the end of the request, so that the garbage collector knows what it points into.
type Record struct {
	p                    unsafe.Pointer
	size, strings, limit uint32
}

// U16 is the field at the offset, 0 when the writer did not know it. So are U32 and U64.
func (r Record) U16(offset uint32) uint16 {
	if r.size < offset+2 {
		return 0
	}
	return *(*uint16)(unsafe.Add(r.p, offset))
}

// U32: see U16.
func (r Record) U32(offset uint32) uint32 {
	if r.size < offset+4 {
		return 0
	}
	return *(*uint32)(unsafe.Add(r.p, offset))
}

// U64: see U16.
func (r Record) U64(offset uint32) uint64 {
	if r.size < offset+8 {
		return 0
	}
	return *(*uint64)(unsafe.Add(r.p, offset))
}

// Text is "" when it is not within the strings. It is a copy: authors may keep it.
func (r Record) Text(offset uint32) string {
	start, length := r.U32(offset), r.U32(offset+4)
	if length == 0 || uint64(start)+uint64(length) > uint64(r.limit) {
		return ""
	}
	return string(unsafe.Slice((*byte)(unsafe.Add(r.p, r.strings+start)), length))
}

// Request is one whose parts are known to lie within it, one after the other.
type Request struct {
	Header, Context Record
	rows            unsafe.Pointer
	Count           uint32 // of rows
	size            uint32
	strings         uint32 // from the first row
}

// Row panics when i is not below Count.
func (r *Request) Row(i int) Record {
	if uint(i) >= uint(r.Count) {
		panic("policy: row out of range")
	}
	o := uint32(i) * r.size
	return Record{unsafe.Add(r.rows, o), r.size, r.strings - o, r.Context.limit}
}

// Open checks everything that accessors rely on. b must begin at a multiple of 8, as the SDK's buffer does.
func Open(b []byte, hook uint16, answer uint32, one bool) (Request, []byte, Code) {
	if len(b) < headerLeast || len(b) > 1<<30 {
		return Request{}, nil, Malformed
	}
	base := unsafe.Pointer(unsafe.SliceData(b))
	h := Record{p: base, size: headerLeast}
	switch {
	case uintptr(base)%8 != 0, h.U32(offHeaderMagic) != magic, h.U32(offHeaderTotalLen) != uint32(len(b)):
		return Request{}, nil, Malformed
	case h.U16(offHeaderAbiMajor) != major:
		return Request{}, nil, Version
	case h.U16(offHeaderHook) != hook:
		return Request{}, nil, Hook
	}
	size, count := h.U32(offHeaderRowSize), h.U32(offHeaderRowCount)
	context, rows := h.U32(offHeaderContextOff), h.U32(offHeaderRowsOff)
	strings, response := h.U32(offHeaderStringsOff), h.U32(offHeaderResponseOff)
	answers := uint64(count)
	if one {
		answers = 1
	}
	before := uint64(headerLeast)
	for _, part := range [...]struct {
		start uint32
		size  uint64
	}{
		{h.U32(offHeaderHeaderSize), 0},
		{context, uint64(h.U32(offHeaderContextSize))},
		{rows, uint64(size) * uint64(count)},
		{strings, uint64(h.U32(offHeaderStringsLen))},
		{response, uint64(h.U32(offHeaderResponseCap))},
		{uint32(len(b)), 0},
	} {
		if uint64(part.start) < before || part.size > uint64(len(b)) {
			return Request{}, nil, Malformed
		}
		before = uint64(part.start) + part.size
	}
	if before != uint64(len(b)) || (context|rows|response|size)%8 != 0 || size == 0 && count > 0 ||
		answers*uint64(answer) > uint64(h.U32(offHeaderResponseCap)) {
		return Request{}, nil, Malformed
	}
	h.size, h.strings, h.limit = h.U32(offHeaderHeaderSize), strings, h.U32(offHeaderStringsLen)
	r := Request{Header: h, Context: h, rows: base, size: size, Count: count, strings: strings}
	if r.Context.size = h.U32(offHeaderContextSize); r.Context.size > 0 {
		r.Context.p, r.Context.strings = unsafe.Add(base, context), strings-context
	}
	if count > 0 {
		r.rows, r.strings = unsafe.Add(base, rows), strings-rows
	}
	return r, b[response : response+h.U32(offHeaderResponseCap)], 0
}
