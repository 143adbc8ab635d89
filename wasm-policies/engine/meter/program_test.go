package meter_test

// program generates a random valid module from a string of choices. When the choices run out it takes the first of each
// list, which ends expressions and blocks, so every string gives a module.
//
// With counting, the module counts for itself what it executes, in the naive way: one increment before every single
// instruction. That is the dumb twin of exact metering.
type program struct {
	choices  []byte
	counting bool

	out    []byte
	labels []genLabel // open blocks, innermost last; the first is the function
	self   int
	budget int // of instructions in this function, so that modules stay small
}

type genLabel struct {
	types []byte // that a branch takes along
	loop  bool
}

// Layout of every generated module.
const (
	genFunctions = 4 // (i32, i64) -> i32
	genImports   = 2 // host.double, host.tick
	genTable     = 8
	genCounter   = 3 // the global of counting, behind the program's own
	genHostCost  = 100

	localA, localB = 0, 1 // i32, i64: the parameters
	localC, localD = 2, 3 // i32, i64
	localF         = 4    // f64
	localLoop      = 5    // i32, one per nesting depth of loops, up to maxLoops
	maxLoops       = 3
	localLength    = localLoop + maxLoops // i32: length of a bulk instruction
)

var genTypes = [][2][]byte{
	{{i32, i64}, {i32}},
	{{}, {}},
	{{i32}, {i32}},
	{{}, {i32, i64}},
	{{i32}, {i32, i32}},
}

func (g *program) pick(n int) int {
	if len(g.choices) == 0 {
		return 0
	}
	c := int(g.choices[0])
	g.choices = g.choices[1:]
	return c % n
}

// op writes an instruction; count gives it a unit.
func (g *program) op(parts ...any) {
	g.count(1)
	g.raw(parts...)
}

func (g *program) raw(parts ...any) { g.out = append(g.out, cat(parts...)...) }

// count adds units to the module's own count.
func (g *program) count(units int64) {
	if g.counting {
		g.raw(0x23, genCounter, 0x42, leb(units), 0x7c, 0x24, genCounter)
	}
}

// bulk writes a bulk instruction whose length is on the stack, counting units for it: length/divisor rounded up.
func (g *program) bulk(divisor int64, parts ...any) {
	if g.counting {
		g.raw(0x21, localLength, 0x23, genCounter, 0x20, localLength, 0xad)
		g.raw(0x42, leb(divisor-1), 0x7c, 0x42, leb(divisor), 0x80, 0x7c, 0x24, genCounter, 0x20, localLength)
	}
	g.op(parts...)
}

// build returns the module.
func build(choices []byte, counting bool) []byte {
	g := &program{choices: choices, counting: counting}
	var types, functions, bodies [][]byte
	for _, t := range genTypes {
		types = append(types, funcType(t[0], t[1]))
	}
	for i := range genFunctions {
		functions = append(functions, []byte{0})
		bodies = append(bodies, g.function(i))
	}
	globals := [][]byte{{i32, 1, 0x41, 7, 0x0b}, {i64, 1, 0x42, 9, 0x0b}, {i32, 0, 0x41, 3, 0x0b}}
	exports := [][]byte{export("memory", 2, 0), export("g0", 3, 0), export("g1", 3, 1), export("run", 0, genImports)}
	if counting {
		globals = append(globals, []byte{i64, 1, 0x42, 0, 0x0b})
		exports = append(exports, export("count", 3, genCounter))
	}
	imports := [][]byte{cat("host", "double", 0, 2), cat("host", "tick", 0, 1)}
	return module(
		sec(1, types...),
		sec(2, imports...),
		sec(3, functions...),
		sec(4, []byte{0x70, 1, genTable, 16}),
		sec(5, []byte{1, 1, 4}),
		sec(6, globals...),
		sec(7, exports...),
		sec(9, cat(0, 0x41, 1, 0x0b, 5, 2, 3, 4, 5, 0), cat(1, 0, 3, 0, 1, 3)), // active at 1; passive
		rawSec(12, []byte{2}),
		sec(10, bodies...),
		sec(11, cat(0, 0x41, leb(100), 0x0b, "some data of the program"), cat(1, "passive data")),
	)
}

func (g *program) function(i int) []byte {
	g.out, g.self, g.budget = nil, i, 120
	g.labels = []genLabel{{types: []byte{i32}}}
	locals := cat(5, 1, i32, 1, i64, 1, f64, maxLoops, i32, 1, i32)
	g.count(1 + (2+1+4+maxLoops)/8) // a call: see entryCost
	for range 2 + g.pick(6) {
		g.statement(0)
	}
	g.expression(i32, 0)
	g.raw(0x0b)
	return sized(append(locals, g.out...))
}

// expression writes code that leaves one value of typ.
func (g *program) expression(typ byte, depth int) {
	g.budget--
	choice := g.pick(16)
	if depth > 4 || g.budget < 0 {
		choice = 0
	}
	switch typ {
	case i32:
		g.expressionI32(choice, depth+1)
	case i64:
		g.expressionI64(choice, depth+1)
	case f64:
		g.expressionF64(choice, depth+1)
	}
}

func (g *program) expressionI32(choice, depth int) {
	switch choice {
	case 0:
		g.op(0x20, []byte{localA, localC}[g.pick(2)])
	case 1:
		g.op(0x41, leb([]int64{0, 1, -1, 5, 64, 1 << 31, -1 << 31, 65536, 300}[g.pick(9)]<<32>>32))
	case 2:
		g.op(0x23, []byte{0, 2}[g.pick(2)])
	case 3, 4:
		g.expression(i32, depth)
		g.expression(i32, depth)
		g.op([]byte{0x6a, 0x6b, 0x6c, 0x71, 0x73, 0x74, 0x48, 0x4d, 0x77, 0x6a, 0x46, 0x6d, 0x70}[g.pick(13)])
	case 5:
		g.expression(i64, depth)
		g.op([]byte{0xa7, 0x50}[g.pick(2)]) // wrap, eqz
	case 6:
		g.address(depth)
		g.op([]byte{0x28, 0x2d, 0x2e}[g.pick(3)], 0, uleb(g.pick(200)))
	case 7:
		g.expression(i32, depth)
		g.op(0x22, localC)
	case 8:
		g.expression(i32, depth)
		g.expression(i32, depth)
		g.expression(i32, depth)
		g.op(0x1b)
	case 9:
		g.call(depth)
	case 10:
		g.ifElse(i32, depth)
	case 11:
		g.open(0x02, i32, []byte{i32}, false)
		g.statement(depth)
		g.expression(i32, depth)
		g.close()
	case 12:
		g.op(0x3f, 0) // memory.size
	case 13:
		g.expression(f64, depth)
		g.expression(f64, depth)
		g.op(0x63) // f64.lt
	case 14:
		g.growOrReference(depth)
	case 15:
		g.open(0x02, 3, []byte{i32, i64}, false) // two results
		g.statement(depth)
		g.expression(i32, depth)
		g.expression(i64, depth)
		g.close()
		g.op(0x21, localD)
	}
}

func (g *program) expressionI64(choice, depth int) {
	switch choice {
	case 0, 1:
		g.op(0x20, []byte{localB, localD}[g.pick(2)])
	case 2, 3:
		g.op(0x42, leb([]int64{0, 1, -1, 1 << 40, -1 << 63, 1<<63 - 1}[g.pick(6)]))
	case 4:
		g.op(0x23, 1)
	case 5, 6, 7, 8:
		g.expression(i64, depth)
		g.expression(i64, depth)
		g.op([]byte{0x7c, 0x7d, 0x7e, 0x85, 0x86, 0x83, 0x89, 0x7f, 0x82}[g.pick(9)])
	case 9:
		g.address(depth)
		g.op(0x29, 0, uleb(g.pick(200)))
	case 10:
		g.ifElse(i64, depth)
	case 11:
		g.expression(f64, depth)
		g.op(0xfc, 6) // i64.trunc_sat_f64_s
	default:
		g.expression(i32, depth)
		g.op([]byte{0xac, 0xad}[g.pick(2)])
	}
}

func (g *program) expressionF64(choice, depth int) {
	switch choice {
	case 0, 1, 2:
		g.op(0x20, localF)
	case 3, 4:
		g.expression(i64, depth)
		g.op(0xb9)
	case 5:
		g.ifElse(f64, depth)
	default:
		g.expression(f64, depth)
		g.expression(f64, depth)
		g.op([]byte{0xa0, 0xa1, 0xa2, 0xa3}[g.pick(4)])
	}
}

// address writes an address that is nearly always within the first page.
func (g *program) address(depth int) {
	g.expression(i32, depth)
	if g.pick(16) != 1 {
		g.op(0x41, leb(0x3fff))
		g.op(0x71)
	}
}

func (g *program) growOrReference(depth int) {
	switch g.pick(4) {
	case 0:
		g.op(0xfc, 0x10, 0) // table.size
	case 1:
		g.op(0x41, g.pick(genTable+1))
		g.op(0x25, 0) // table.get
		g.op(0xd1)    // ref.is_null
	case 2:
		g.expression(i32, depth)
		g.grow(65536/8, 4, []byte{0x3f, 0}, 0x40, 0)
	case 3:
		g.op(0xd2, 3) // ref.func
		g.op(0x41, g.pick(4))
		g.grow(1, 16, []byte{0xfc, 0x10, 0}, 0xfc, 0x0f, 0)
	}
}

// growing is what it costs to ask for growth, beside the one unit of any instruction.
const growing = 99

// grow counts units for each page or element, if the growth can succeed.
func (g *program) grow(units, most int64, size []byte, parts ...any) {
	if g.counting {
		g.raw(0x21, localLength, size, 0xad, 0x20, localLength, 0xad, 0x7c, 0x42, leb(most), 0x58, 0x04, 0x40)
		g.raw(0x23, genCounter, 0x20, localLength, 0xad, 0x42, leb(units), 0x7e, 0x7c, 0x24, genCounter, 0x0b)
		g.raw(0x23, genCounter, 0x42, leb(growing), 0x7c, 0x24, genCounter, 0x20, localLength)
	}
	g.op(parts...)
}

// call writes a call that gives an i32: of a later function, of the host, or through the table.
func (g *program) call(depth int) {
	switch choice := g.pick(4); {
	case choice == 1 && g.self+1 < genFunctions:
		g.expression(i32, depth)
		g.expression(i64, depth)
		g.op(0x10, genImports+g.self+1+g.pick(genFunctions-g.self-1))
	case choice == 2:
		g.expression(i32, depth)
		g.expression(i64, depth)
		g.op(0x41, g.pick(genTable+1))
		g.op(0x11, 0, 0)
	default:
		g.expression(i32, depth)
		g.op(0x10, 0) // host.double; the test adds the host's cost
	}
}

func (g *program) open(op, blockType byte, types []byte, loop bool) {
	g.raw(op, blockType)
	g.labels = append(g.labels, genLabel{types, loop})
}

func (g *program) close() {
	g.raw(0x0b)
	g.labels = g.labels[:len(g.labels)-1]
}

func (g *program) ifElse(typ byte, depth int) {
	g.expression(i32, depth)
	g.count(1)
	g.open(0x04, typ, []byte{typ}, false)
	g.statement(depth)
	g.expression(typ, depth)
	g.raw(0x05)
	if g.pick(3) == 1 {
		g.branchOut(depth)
	}
	g.expression(typ, depth)
	g.close()
}
