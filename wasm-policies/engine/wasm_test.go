package engine_test

import "slices"

// A few words of WebAssembly's binary format (https://webassembly.github.io/spec/core/binary/), enough to write guests
// that no compiler would: each test says in its guest's body what it is about.

const (
	i32, i64 = 0x7f, 0x7e

	opUnreachable = 0x00
	opBlock       = 0x02
	opLoop        = 0x03
	opEnd         = 0x0b
	opBr          = 0x0c
	opBrIf        = 0x0d
	opReturn      = 0x0f
	opCall        = 0x10
	opDrop        = 0x1a
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLocalTee    = 0x22
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opI32Load     = 0x28
	opI32Store    = 0x36
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI32Add      = 0x6a
	opI32Sub      = 0x6b
	opPrefix      = 0xfc
	void          = 0x40
)

// code joins opcodes, and whole instructions of the functions below.
func code(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

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

func constant(n int32) []byte { return code(opI32Const, signed(int64(n))) }
func get(local int) []byte    { return code(opLocalGet, unsigned(local)) }
func set(local int) []byte    { return code(opLocalSet, unsigned(local)) }
func call(function int) []byte {
	return code(opCall, unsigned(function))
}

// load and store have their address and value on the stack.
func load(offset int) []byte  { return code(opI32Load, 2, unsigned(offset)) }
func store(offset int) []byte { return code(opI32Store, 2, unsigned(offset)) }

// function of a module. Its body lacks the final end; locals are i32 and come after the parameters.
type function struct {
	export          string
	params, results []byte
	locals          int
	body            []byte
}

// imported function.
type imported struct {
	module, name    string
	params, results []byte
}

// module is what wasm writes down. Functions are numbered from 0, imported ones first.
type module struct {
	imports   []imported
	functions []function
	// pages of memory, at first and at most (0: no maximum); noMemory leaves it out.
	pages, maxPages int
	noMemory        bool
	// start is the index of the function that runs when the module is instantiated, 0 for none.
	start int
	// globals are mutable i32, 0 at first.
	globals int
}

func vector(items ...[]byte) []byte { return append(unsigned(len(items)), slices.Concat(items...)...) }
func text(s string) []byte          { return append(unsigned(len(s)), s...) }

func section(id int, content []byte) []byte { return code(id, unsigned(len(content)), content) }

func (m module) wasm() []byte {
	var types, imports, functions, bodies, exports [][]byte
	signature := func(params, results []byte) []byte {
		types = append(types, code(0x60, unsigned(len(params)), params, unsigned(len(results)), results))
		return unsigned(len(types) - 1)
	}
	for _, i := range m.imports {
		imports = append(imports, code(text(i.module), text(i.name), 0, signature(i.params, i.results)))
	}
	for n, f := range m.functions {
		functions = append(functions, signature(f.params, f.results))
		locals := vector()
		if f.locals > 0 {
			locals = vector(code(unsigned(f.locals), i32))
		}
		body := code(locals, f.body, opEnd)
		bodies = append(bodies, code(unsigned(len(body)), body))
		if f.export != "" {
			exports = append(exports, code(text(f.export), 0, unsigned(len(m.imports)+n)))
		}
	}
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	wasm = append(wasm, section(1, vector(types...))...)
	if len(imports) > 0 {
		wasm = append(wasm, section(2, vector(imports...))...)
	}
	wasm = append(wasm, section(3, vector(functions...))...)
	if !m.noMemory {
		limits := code(0, unsigned(max(m.pages, 1)))
		if m.maxPages > 0 {
			limits = code(1, unsigned(max(m.pages, 1)), unsigned(m.maxPages))
		}
		wasm = append(wasm, section(5, vector(limits))...)
		exports = append(exports, code(text("memory"), 2, 0))
	}
	if m.globals > 0 {
		global := code(i32, 1, constant(0), opEnd)
		wasm = append(wasm, section(6, vector(slices.Repeat([][]byte{global}, m.globals)...))...)
	}
	wasm = append(wasm, section(7, vector(exports...))...)
	if m.start > 0 {
		wasm = append(wasm, section(8, unsigned(m.start))...)
	}
	return append(wasm, section(10, vector(bodies...))...)
}

var (
	none  = []byte{}
	one   = []byte{i32}
	three = []byte{i32, i32, i32}
)

// bufferAt is where the guests below have their buffer. One page of memory has room for 63 KiB there.
const bufferAt = 1024

// policy is a module that decides placements with body, which finds the length of the request in local 0 and leaves the
// length of the answer on the stack. Its other functions can be replaced by others of the same export.
func policy(body []byte, locals int, others ...function) module {
	m := module{functions: []function{
		{export: "mesh_abi", params: none, results: one, body: constant(1 << 16)},
		{export: "mesh_buf", params: one, results: one, body: constant(bufferAt)},
		{export: "mesh_place", params: one, results: one, locals: locals, body: body},
	}}
	for _, other := range others {
		at := slices.IndexFunc(m.functions, func(f function) bool { return f.export == other.export && other.export != "" })
		if at >= 0 {
			m.functions[at] = other
		} else {
			m.functions = append(m.functions, other)
		}
	}
	return m
}

// importing is m with an import, which becomes function 0: all calls in m's bodies have to count it in.
func (m module) importing(i ...imported) module {
	m.imports = append(m.imports, i...)
	return m
}

// abstain answers nothing.
var abstain = constant(0)

// forever is a loop that does not end, for the end of any body.
var forever = code(opLoop, void, opBr, 0, opEnd, opUnreachable)
