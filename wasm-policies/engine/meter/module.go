package meter

import "fmt"

// source is a parsed module. Byte slices alias the input.
type source struct {
	limits    Limits
	types     []FuncType
	imports   []Import
	importTyp []uint32 // type index of each import
	functions []uint32 // type index of each defined function
	tables    []table
	memories  []memory
	globals   []global
	exports   []Export
	start     uint32
	hasStart  bool
	elements  []elements
	items     int // of all element segments
	dataCount int // announced before the code; -1 if not
	bodies    []body
	data      []dataSegment
	customs   []custom
}

type table struct {
	elem     ValueType
	min, max uint32 // max already limited
}

type memory struct{ min, max uint32 } // max already limited

type global struct {
	typ     ValueType
	mutable bool
	init    constant
}

// constant is a constant expression: one instruction. Expressions that read globals do not occur, since only imported
// globals may be read, and there are none.
type constant struct {
	op    byte
	value int64  // i32.const, i64.const; the reference type of ref.null; the function of ref.func
	raw   []byte // f32.const, f64.const, v128.const
}

type elements struct {
	flags  uint32 // as in the binary format: bit 0 not active, bit 1 explicit table or declarative, bit 2 expressions
	table  uint32
	offset constant
	elem   ValueType
	items  []constant // ref.func or ref.null
}

func (e elements) active() bool { return e.flags&1 == 0 }

type dataSegment struct {
	passive bool
	offset  constant
	bytes   []byte
}

type body struct {
	groups []localGroup
	locals int // sum of groups
	code   []byte
	offset int // of code in the module
}

type localGroup struct {
	count uint32
	typ   ValueType
}

type custom struct {
	name string
	data []byte
}

// functionCount is the size of the function index space.
func (s *source) functionCount() int { return len(s.imports) + len(s.functions) }

// typeIndex returns the type index of a function.
func (s *source) typeIndex(function uint32) uint32 {
	if int(function) < len(s.imports) {
		return s.importTyp[function]
	}
	return s.functions[int(function)-len(s.imports)]
}

func (s *source) customNames() []string {
	names := make([]string, len(s.customs))
	for i, c := range s.customs {
		names[i] = c.name
	}
	return names
}

// Section identifiers of the binary format.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	secTag
)

// sectionOrder gives each section's place; the data count comes before the code although its number is greater.
var sectionOrder = [...]int{
	secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5, secGlobal: 6, secExport: 7,
	secStart: 8, secElement: 9, secDataCount: 10, secCode: 11, secData: 12,
}

var sectionNames = [...]string{
	"custom section", "type section", "import section", "function section", "table section", "memory section",
	"global section", "export section", "start section", "element section", "code section", "data section",
	"data count section", "tag section",
}

const preamble = "\x00asm\x01\x00\x00\x00" // magic number and version 1

// parse reads all sections and checks everything outside of the functions' code.
func parse(module []byte, opts Options) (*source, *Refusal) {
	s := &source{limits: opts.Limits.withDefaults(), dataCount: -1}
	r := &reader{data: module}
	if len(module) > s.limits.MaxModuleBytes {
		r.refuse(RuleLimit, "module of %d bytes, at most %d are allowed", len(module), s.limits.MaxModuleBytes)
		return nil, r.refusal
	}
	if len(module) < len(preamble) || string(module[:len(preamble)]) != preamble {
		r.refuse(RuleFormat, "no WebAssembly module of version 1: it does not begin with %q", preamble)
		return nil, r.refusal
	}
	r.pos = len(preamble)
	last := 0
	for r.left() > 0 {
		id := r.byte()
		size := r.u32()
		start := r.pos
		payload := r.bytes(int(size))
		if r.failed() {
			return nil, r.refusal
		}
		section := &reader{data: payload, base: start}
		last = s.section(section, id, last, opts)
		if !section.failed() && section.left() > 0 {
			section.refuse(RuleFormat, "%d bytes after the last item", section.left())
		}
		if section.failed() {
			return nil, section.refusal
		}
	}
	s.checkWhole(r)
	return s, r.refusal
}

// section reads one section and returns its place in the order.
func (s *source) section(r *reader, id byte, last int, opts Options) int {
	if int(id) >= len(sectionNames) {
		r.refuse(RuleFormat, "unknown section %d", id)
		return last
	}
	r.context = sectionNames[id]
	if id == secTag {
		r.refuse(RuleFeature, "exception handling is not allowed")
		return last
	}
	if id != secCustom {
		if sectionOrder[id] <= last {
			r.refuse(RuleFormat, "repeated or out of order")
			return last
		}
		last = sectionOrder[id]
	}
	switch id {
	case secCustom:
		if len(s.customs) == s.limits.MaxCustoms {
			r.refuse(RuleLimit, "more than the %d allowed", s.limits.MaxCustoms)
			return last
		}
		s.customs = append(s.customs, custom{name: r.name(s.limits.MaxNameBytes), data: r.bytes(r.left())})
	case secType:
		s.readTypes(r)
	case secImport:
		s.readImports(r, opts)
	case secFunction:
		s.readFunctions(r)
	case secTable:
		s.readTables(r)
	case secMemory:
		s.readMemory(r)
	case secGlobal:
		s.readGlobals(r)
	case secExport:
		s.readExports(r)
	case secStart:
		s.readStart(r)
	case secElement:
		s.readElements(r)
	case secDataCount:
		s.dataCount = int(r.u32())
		if s.dataCount > s.limits.MaxSegments {
			r.refuse(RuleLimit, "%d data segments, at most %d are allowed", s.dataCount, s.limits.MaxSegments)
		}
	case secCode:
		s.readCode(r)
	case secData:
		s.readData(r)
	}
	return last
}

// checkWhole checks what spans sections.
func (s *source) checkWhole(r *reader) {
	if len(s.bodies) != len(s.functions) {
		r.refuse(RuleFormat, "%d functions declared, %d bodies", len(s.functions), len(s.bodies))
	}
	if s.dataCount >= 0 && s.dataCount != len(s.data) {
		r.refuse(RuleFormat, "%d data segments announced, %d found", s.dataCount, len(s.data))
	}
}

// functionName describes a function in refusals: by index, and by export if it has one.
func (s *source) functionName(index uint32) string {
	for _, e := range s.exports {
		if e.Kind == ExternFunc && e.Index == index {
			return fmt.Sprintf("function %d (%q)", index, e.Name)
		}
	}
	return fmt.Sprintf("function %d", index)
}
