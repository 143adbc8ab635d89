package conformance

import (
	"slices"

	"github.com/wasmesh/wasmesh/wasm-policies/hook/internal/header"
)

// step is how much longer or shorter structs become: that of one field of 64 bits, as a minor version adds it.
const step = 8

// skew rewrites a request as a host of another minor version of the ABI would write it.
type skew struct {
	name string
	// longer is added to the size of the header, of the context and of each row.
	header, context, row int
}

func skews() []skew {
	return []skew{
		{name: "from a newer host", header: step, context: step, row: 2 * step},
		// A header never shrinks: version 1.0 is the oldest there is. Contexts and rows end with their names, so an older
		// host's are those without.
		{name: "from an older host", context: -step, row: -step},
	}
}

// apply answers the rewritten request. What is longer is filled with ones, so that a policy that takes a new field for an
// old one is found.
func (k skew) apply(request []byte) []byte {
	cut := func(offset, size int) []byte { return request[offset : offset+size] }
	contextSize, rowSize := header.Field(request, header.ContextSize), header.Field(request, header.RowSize)
	rows, rowsOff := header.Field(request, header.RowCount), header.Field(request, header.RowsOff)

	out := resize(cut(0, header.Size), k.header)
	contextOff := len(out)
	out = append(out, resize(cut(header.Field(request, header.ContextOff), contextSize), k.context)...)
	newRowsOff := len(out)
	for i := range rows {
		out = append(out, resize(cut(rowsOff+i*rowSize, rowSize), k.row)...)
	}
	stringsOff := len(out)
	out = append(out, cut(header.Field(request, header.StringsOff), header.Field(request, header.StringsLen))...)
	out = append(out, make([]byte, -len(out)&7)...)
	responseOff := len(out)
	out = append(out, make([]byte, header.Field(request, header.ResponseCap))...)

	for _, f := range []struct{ offset, value int }{
		{header.HeaderSize, header.Size + k.header}, {header.TotalLen, len(out)},
		{header.ContextOff, contextOff}, {header.ContextSize, contextSize + k.context},
		{header.RowsOff, newRowsOff}, {header.RowSize, rowSize + k.row},
		{header.StringsOff, stringsOff}, {header.ResponseOff, responseOff},
	} {
		header.SetField(out, f.offset, f.value)
	}
	return out
}

// resize answers a struct that is longer or shorter.
func resize(b []byte, by int) []byte {
	if by <= 0 {
		return slices.Clone(b[:len(b)+by])
	}
	out := slices.Clone(b)
	for range by {
		out = append(out, 0xff)
	}
	return out
}
