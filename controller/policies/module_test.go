package policies

import (
	"slices"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// statusModule assembles a status policy: the first model is Loaded if it has a loaded copy and else Standby, and it is
// ready only in the first case. It changes nothing of the transition. With trap it traps outside of trials.
type statusModule struct {
	trap bool
	salt string
}

// Where the request lies in the module's memory.
const requestAddress = 1024

// Offsets that the ABI publishes (sdk/policyabi/offsets.txt): in the header, in the context, in a row.
const (
	headerFlags, headerRows, headerContext, headerRowsOff, headerResponse = 18, 20, 48, 56, 72
	contextTransition, rowLoaded                                          = 4, 24
)

func (m statusModule) wasm() []byte {
	i32 := []byte{0x7f}
	at := constant(requestAddress)
	field := func(offset int) []byte { return join(at, []byte{0x28, 2}, unsigned(offset)) }
	pointer := func(offset int) []byte { return join(field(offset), at, []byte{0x6a}) }
	store16 := func(offset int, value []byte) []byte {
		return join(pointer(headerResponse), value, []byte{0x3b, 1}, unsigned(offset))
	}
	loaded := join(pointer(headerRowsOff), []byte{0x28, 2}, unsigned(rowLoaded))
	body := join(
		// Without rows: 0, which leaves it to the built-in policy.
		field(headerRows), []byte{0x45, 0x04, 0x40}, constant(0), []byte{0x0f, 0x0b},
		store16(0, join(pointer(headerContext), []byte{0x2f, 1}, unsigned(contextTransition))),
		// 4 is Loaded, 2 is Standby.
		store16(2, join(constant(4), constant(2), loaded, []byte{0x1b})),
		store16(10, join(constant(1), constant(0), loaded, []byte{0x1b})),
		constant(16),
	)
	if m.trap {
		live := join(at, []byte{0x2f, 1}, unsigned(headerFlags), []byte{0x45})
		body = join(live, []byte{0x04, 0x40, 0x00, 0x0b}, body)
	}
	functions := []struct {
		export string
		params []byte
		body   []byte
	}{
		{policyabi.ExportABI, nil, constant(policyabi.Major<<16 | policyabi.Minor)},
		{policyabi.ExportBuffer, i32, constant(requestAddress)},
		{policyabi.ExportStatus, i32, body},
	}
	var types, declared, exports, bodies [][]byte
	for i, f := range functions {
		types = append(types, join([]byte{0x60}, vector(f.params), vector(i32)))
		declared = append(declared, unsigned(i))
		exports = append(exports, join(vector([]byte(f.export)), []byte{0}, unsigned(i)))
		bodies = append(bodies, vector(join([]byte{0}, f.body, []byte{0x0b})))
	}
	exports = append(exports, join(vector([]byte(policyabi.ExportMemory)), []byte{2, 0}))
	return join([]byte("\x00asm\x01\x00\x00\x00"), section(1, types), section(3, declared),
		section(5, [][]byte{{1, 64, 64}}), section(7, exports), section(10, bodies),
		join([]byte{0}, vector(join(vector([]byte("salt")), vector([]byte(m.salt))))))
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func vector(b []byte) []byte { return join(unsigned(len(b)), b) }

func section(id byte, items [][]byte) []byte {
	return join([]byte{id}, vector(join(unsigned(len(items)), join(items...))))
}

func constant(n int32) []byte { return join([]byte{0x41}, signed(int64(n))) }

// unsigned and signed are LEB128.
func unsigned(n int) []byte {
	var b []byte
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func signed(n int64) []byte {
	var b []byte
	for {
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
