// Package hooktest writes policy modules for tests, as the bytes of WebAssembly: small policies that place and evict in the
// order of the rows, or that misbehave in one chosen way. Only tests import it.
package hooktest

import (
	"slices"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Fault is a way to misbehave.
type Fault int

const (
	// None answers.
	None Fault = iota
	// Traps executes an unreachable instruction.
	Traps
	// Loops never ends.
	Loops
	// Lies names the same row again and again; with fewer than two rows it answers well.
	Lies
	// Abstains leaves every decision to the built-in policy.
	Abstains
	// Wavers turns the order around with every call: it is not a pure function.
	Wavers
)

// Module is a policy for the hooks place and evict. Its answer ranks the rows as they come, and gives them rising scores
// and keep-values.
type Module struct {
	// Backward ranks the last row first.
	Backward bool
	Fault    Fault
	// OnlyLive has the fault only in decisions that count: it passes every trial.
	OnlyLive bool
	// Rows, if not 0, has the fault only in requests of so many rows.
	Rows int
	// Salt makes another digest of the same policy.
	Salt string
}

// The module's memory: the request is at a fixed address.
const (
	pages   = 32
	address = 1024
	room    = pages<<16 - address
)

// Wasm assembles the module.
func (m Module) Wasm() []byte {
	i32 := []byte{valueI32}
	functions := []function{
		{policyabi.ExportABI, nil, i32, nil, constant(policyabi.Major<<16 | policyabi.Minor)},
		{policyabi.ExportBuffer, i32, i32, nil, m.buffer()},
		{policyabi.ExportPlace, i32, i32, []byte{3, valueI32}, m.decide()},
		{policyabi.ExportEvict, i32, i32, []byte{3, valueI32}, m.decide()},
	}
	var types, declared, exports, bodies [][]byte
	for i, f := range functions {
		types = append(types, join([]byte{0x60}, vector(len(f.params), f.params), vector(len(f.results), f.results)))
		declared = append(declared, unsigned(i))
		exports = append(exports, join(text(f.export), []byte{0}, unsigned(i)))
		body := join(unsigned(0), f.body, []byte{opEnd})
		if f.locals != nil {
			body = join(unsigned(1), f.locals, f.body, []byte{opEnd})
		}
		bodies = append(bodies, vector(len(body), body))
	}
	exports = append(exports, join(text(policyabi.ExportMemory), []byte{2, 0}))
	return join([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, types), section(3, declared),
		section(5, [][]byte{join([]byte{1}, unsigned(pages), unsigned(pages))}),
		section(6, [][]byte{{valueI32, 1, opI32Const, 0, opEnd}}),
		section(7, exports), section(10, bodies),
		sized(0, join(text("salt"), text(m.Salt))),
	)
}

// buffer refuses what does not fit.
func (m Module) buffer() []byte {
	return join(get(0), constant(room), []byte{opI32GtU, opIf, void}, constant(0), []byte{opReturn, opEnd}, constant(address))
}

// Locals of a hook.
const (
	localIndex    = 1
	localRows     = 2
	localResponse = 3
)

// Offsets in the header, as the ABI publishes them.
const (
	offFlags    = 18
	offRowCount = 20
	offResponse = 72
)

func (m Module) decide() []byte {
	row := get(localIndex)
	backward := join(get(localRows), constant(1), []byte{opI32Sub}, get(localIndex), []byte{opI32Sub})
	if m.Backward {
		row = backward
	}
	var before []byte
	switch m.Fault {
	case Traps:
		before = m.when([]byte{opUnreachable})
	case Loops:
		before = m.when([]byte{opLoop, void, opBr, 0, opEnd})
	case Abstains:
		before = m.when(join(constant(0), []byte{opReturn}))
	case Lies:
		row = join(row, constant(0), m.unless(), []byte{opSelect})
	case Wavers:
		before = []byte{opGlobalGet, 0, opI32Const, 1, opI32Xor, opGlobalSet, 0}
		row = join(row, backward, []byte{opGlobalGet, 0, opSelect})
	}
	return join(
		constant(address), load32(offRowCount), set(localRows),
		before,
		get(localRows), []byte{opI32Eqz, opIf, void}, constant(0), []byte{opReturn, opEnd},
		constant(address), load32(offResponse), constant(address), []byte{opI32Add}, set(localResponse),
		[]byte{opLoop, void},
		get(localResponse), row, store32(0),
		get(localResponse), get(localIndex), store32(4),
		get(localResponse), constant(int32(policyabi.ReasonRecency)), store32(8),
		get(localResponse), constant(0), store32(12),
		get(localResponse), constant(16), []byte{opI32Add}, set(localResponse),
		get(localIndex), constant(1), []byte{opI32Add, opLocalTee, localIndex},
		get(localRows), []byte{opI32LtU, opBrIf, 0, opEnd},
		get(localRows), constant(16), []byte{opI32Mul},
	)
}

// unless is 0 when the fault is to show, for select to take the fault's value.
func (m Module) unless() []byte {
	condition := constant(0)
	if m.OnlyLive {
		condition = join(condition, constant(address), load16(offFlags), []byte{opI32Or})
	}
	if m.Rows != 0 {
		condition = join(condition, get(localRows), constant(int32(m.Rows)), []byte{opI32Ne, opI32Or})
	}
	return condition
}

// when runs code when the fault is to show.
func (m Module) when(code []byte) []byte {
	return join(m.unless(), []byte{opI32Eqz, opIf, void}, code, []byte{opEnd})
}

type function struct {
	export                  string
	params, results, locals []byte
	body                    []byte
}

// The binary format: https://webassembly.github.io/spec/core/binary/
const (
	valueI32 = 0x7f
	void     = 0x40

	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opEnd         = 0x0b
	opBr          = 0x0c
	opBrIf        = 0x0d
	opReturn      = 0x0f
	opSelect      = 0x1b
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLocalTee    = 0x22
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opI32Load     = 0x28
	opI32Load16U  = 0x2f
	opI32Store    = 0x36
	opI32Const    = 0x41
	opI32Eqz      = 0x45
	opI32Ne       = 0x47
	opI32LtU      = 0x49
	opI32GtU      = 0x4b
	opI32Add      = 0x6a
	opI32Sub      = 0x6b
	opI32Mul      = 0x6c
	opI32Or       = 0x72
	opI32Xor      = 0x73
)

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func constant(n int32) []byte       { return join([]byte{opI32Const}, signed(int64(n))) }
func get(local int) []byte          { return join([]byte{opLocalGet}, unsigned(local)) }
func set(local int) []byte          { return join([]byte{opLocalSet}, unsigned(local)) }
func load32(offset int) []byte      { return join([]byte{opI32Load, 2}, unsigned(offset)) }
func load16(offset int) []byte      { return join([]byte{opI32Load16U, 1}, unsigned(offset)) }
func store32(offset int) []byte     { return join([]byte{opI32Store, 2}, unsigned(offset)) }
func text(s string) []byte          { return vector(len(s), []byte(s)) }
func vector(n int, b []byte) []byte { return join(unsigned(n), b) }

func section(id int, items [][]byte) []byte { return sized(id, vector(len(items), join(items...))) }
func sized(id int, content []byte) []byte {
	return join([]byte{byte(id)}, vector(len(content), content))
}

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
