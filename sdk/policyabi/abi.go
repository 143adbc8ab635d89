// Package policyabi is the host's side of the policy ABI: what it writes into a policy module's memory before a decision,
// and how it reads the answer. It is pure, imports the standard library only, and everything that depends on the layout is
// generated from abi.yaml (`make generate`), as are the guest SDKs under sdk/policy and docs/policy-abi.md.
//
// A request is one run of bytes: header, context, rows, strings, room for the answer. Request structs (PlaceRequest, ...)
// encode it, in one pass and without allocation. Views (PlaceView, ...) read it in place: a view is checked once, when it is
// made, and no accessor of a view panics for an index below Len, whatever the bytes are.
//
// Host and module need not be of one version. Whoever reads goes by the writer's sizes, and takes a field that the writer
// did not know as 0.
package policyabi

//go:generate go run ./internal/generate ../..

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxRequestBytes bounds what a module is asked to take. A request with more is decided by the built-in policy.
const MaxRequestBytes = 4 << 20

// ErrRequest is wrapped by all errors about bytes that are no request.
var ErrRequest = errors.New("not a policy request")

// ErrAnswer is wrapped by all errors about bytes that are no answer to the request.
var ErrAnswer = errors.New("not an answer to the policy request")

// record is one struct of a request in place. len(b) is what its writer knew of it; cap(b) reaches to the end of the
// strings, which begin at b[strings], so that four words are enough.
type record struct {
	b       []byte
	strings int
}

func (r record) u16(offset int) uint16 {
	if len(r.b) < offset+2 {
		return 0
	}
	return binary.LittleEndian.Uint16(r.b[offset:])
}

func (r record) u32(offset int) uint32 {
	if len(r.b) < offset+4 {
		return 0
	}
	return binary.LittleEndian.Uint32(r.b[offset:])
}

func (r record) u64(offset int) uint64 {
	if len(r.b) < offset+8 {
		return 0
	}
	return binary.LittleEndian.Uint64(r.b[offset:])
}

// text is nil when it is not within the strings.
func (r record) text(offset int) []byte {
	start, end := uint64(r.u32(offset)), uint64(r.u32(offset+4))
	start += uint64(r.strings)
	if end += start; end > uint64(cap(r.b)) {
		return nil
	}
	return r.b[:cap(r.b)][start:end]
}

// inside says whether text would return what is there.
func (r record) inside(offset int) bool {
	return uint64(r.strings)+uint64(r.u32(offset))+uint64(r.u32(offset+4)) <= uint64(cap(r.b))
}

// view is a request whose parts are known to lie within it, one after the other.
type view struct {
	header   []byte
	context  record
	rows     []byte // cap to the end of the strings
	rowSize  int
	count    int
	strings  int // from the first row
	response []byte
}

func (v *view) row(i int) record {
	o := i * v.rowSize
	_ = v.rows[o+v.rowSize-1]
	return record{v.rows[o : o+v.rowSize : cap(v.rows)], v.strings - o}
}

// part of a request.
type part struct {
	name       string
	start, end uint64
}

// parse checks everything that accessors rely on. answer is the size of one answer; one is set when there is exactly one,
// however many rows there are.
func parse(b []byte, hook Hook, answer int, one bool) (view, error) {
	h := record{b: b}
	if len(b) < headerLeast {
		return view{}, fmt.Errorf("%w: %d bytes, fewer than the %d of any header", ErrRequest, len(b), headerLeast)
	}
	if magic := h.u32(offHeaderMagic); magic != Magic {
		return view{}, fmt.Errorf("%w: it begins with %#x, not %#x", ErrRequest, magic, uint32(Magic))
	}
	if major := h.u16(offHeaderAbiMajor); major != Major {
		return view{}, fmt.Errorf("%w: it is of ABI version %d, and this is %d", ErrRequest, major, Major)
	}
	if got := Hook(h.u16(offHeaderHook)); got != hook {
		return view{}, fmt.Errorf("%w: it is for hook %v, not %v", ErrRequest, got, hook)
	}
	if total := h.u32(offHeaderTotalLen); uint64(total) != uint64(len(b)) {
		return view{}, fmt.Errorf("%w: it says that it has %d bytes, and has %d", ErrRequest, total, len(b))
	}
	return h.divide(answer, one)
}

// divide is parse's second half: the header is one, and its offsets are to be checked.
func (h record) divide(answer int, one bool) (view, error) {
	size, count := uint64(h.u32(offHeaderRowSize)), uint64(h.u32(offHeaderRowCount))
	at := func(name string, offset int, size uint64) part {
		start := uint64(h.u32(offset))
		return part{name, start, start + size}
	}
	context := at("context", offHeaderContextOff, uint64(h.u32(offHeaderContextSize)))
	rows := at("rows", offHeaderRowsOff, size*count)
	strings := at("strings", offHeaderStringsOff, uint64(h.u32(offHeaderStringsLen)))
	response := at("response", offHeaderResponseOff, uint64(h.u32(offHeaderResponseCap)))
	header := part{"header", 0, uint64(h.u32(offHeaderHeaderSize))}
	if header.end < headerLeast {
		return view{}, fmt.Errorf("%w: header_size %d is below %d", ErrRequest, header.end, headerLeast)
	}
	if size%8 != 0 || size == 0 && count > 0 {
		return view{}, fmt.Errorf("%w: row_size %d is not a positive multiple of 8", ErrRequest, size)
	}
	// 2^32 rows of 2^32 bytes do not overflow 64 bits, nor does an offset on top of what is at most len(b).
	if count > uint64(len(h.b)) {
		return view{}, fmt.Errorf("%w: %d rows do not fit", ErrRequest, count)
	}
	before := header
	for _, p := range []part{context, rows, strings, response, {"end", uint64(len(h.b)), 0}} {
		if p.start < before.end {
			return view{}, fmt.Errorf("%w: %s ends at %d, beyond the start of %s at %d", ErrRequest, before.name, before.end, p.name, p.start)
		}
		before = p
	}
	if (context.start|rows.start|response.start)%8 != 0 {
		return view{}, fmt.Errorf("%w: context, rows or response do not start at a multiple of 8", ErrRequest)
	}
	answers := count
	if one {
		answers = 1
	}
	if room := response.end - response.start; room < answers*uint64(answer) {
		return view{}, fmt.Errorf("%w: response_cap %d is below %d", ErrRequest, room, answers*uint64(answer))
	}
	return view{
		header:   h.b[:header.end:header.end],
		context:  record{h.b[context.start:context.end:strings.end], int(strings.start - context.start)},
		rows:     h.b[rows.start:rows.end:strings.end],
		rowSize:  int(size),
		count:    int(count),
		strings:  int(strings.start - rows.start),
		response: h.b[response.start:response.end:response.end],
	}, nil
}
