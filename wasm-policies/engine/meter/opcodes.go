package meter

// The instruction table is closed: what is not in it is refused. It covers WebAssembly 1.0 and sign extension,
// saturating conversion, bulk memory, reference types, multiple values and 128-bit vectors (core specification 2.0,
// section 5.4), which is what wazero executes by default and what the compilers of policies emit.

// Instructions that the code names.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI64LtS       = 0x53
	opI64LeU       = 0x58
	opI64Add       = 0x7c
	opI64Sub       = 0x7d
	opI64ShrU      = 0x88
	opI64Mul       = 0x7e
	opI64ExtendU   = 0xad
	opRefNull      = 0xd0
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd

	blockEmpty = 0x40

	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17

	simdConst   = 0x0c
	simdShuffle = 0x0d
)

// operands is the form of an instruction's immediate operands.
type operands byte

const (
	unknown        operands = iota // not in the table
	none                           // no operands
	blockType                      // of block, loop and if
	label                          // br, br_if
	labels                         // br_table
	function                       // call, ref.func
	indirect                       // call_indirect: type and table
	local                          // local index
	globalIndex                    // global index
	tableIndex                     // table index
	address                        // alignment and offset of a memory access
	onlyMemory                     // memory.size, memory.grow, memory.fill
	const32                        // i32.const
	const64                        // i64.const
	raw4                           // f32.const
	raw8                           // f64.const
	raw16                          // v128.const
	refKind                        // ref.null
	valueTypes                     // select with types
	dataMemory                     // memory.init
	dataIndex                      // data.drop
	twoMemories                    // memory.copy
	elementTable                   // table.init
	elementIndex                   // elem.drop
	twoTables                      // table.copy
	lanes16                        // i8x16.shuffle
	lane                           // one lane number
	addressAndLane                 // loads and stores of one lane
)

// opcode is an entry of the table.
type opcode struct {
	operands operands
	limit    byte   // address: greatest alignment exponent; lane: number of lanes
	name     string // of instructions whose operands can be out of range
}

var coreOps = coreTable()

func coreTable() (t [256]opcode) {
	set := func(code int, o operands, limit byte, name string) { t[code] = opcode{o, limit, name} }
	for _, code := range []int{opUnreachable, 0x01, opElse, opEnd, opReturn, 0x1a, 0x1b, 0xd1} {
		set(code, none, 0, "")
	}
	for code := 0x45; code <= 0xc4; code++ { // comparisons, arithmetic, conversions, sign extension
		set(code, none, 0, "")
	}
	set(opBlock, blockType, 0, "block")
	set(opLoop, blockType, 0, "loop")
	set(opIf, blockType, 0, "if")
	set(opBr, label, 0, "br")
	set(opBrIf, label, 0, "br_if")
	set(opBrTable, labels, 0, "br_table")
	set(opCall, function, 0, "call")
	set(opCallIndirect, indirect, 0, "call_indirect")
	set(opSelectTyped, valueTypes, 0, "select")
	set(opLocalGet, local, 0, "local.get")
	set(0x21, local, 0, "local.set")
	set(0x22, local, 0, "local.tee")
	set(opGlobalGet, globalIndex, 0, "global.get")
	set(opGlobalSet, globalIndex, 0, "global.set")
	set(opTableGet, tableIndex, 0, "table.get")
	set(0x26, tableIndex, 0, "table.set")
	for i, align := range []byte{2, 3, 2, 3, 0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 2, 3, 2, 3, 0, 1, 0, 1, 2} {
		set(0x28+i, address, align, "load or store") // i32.load to i64.store32
	}
	set(opMemorySize, onlyMemory, 0, "memory.size")
	set(opMemoryGrow, onlyMemory, 0, "memory.grow")
	set(opI32Const, const32, 0, "")
	set(opI64Const, const64, 0, "")
	set(opF32Const, raw4, 0, "")
	set(opF64Const, raw8, 0, "")
	set(opRefNull, refKind, 0, "ref.null")
	set(opRefFunc, function, 0, "ref.func")
	return t
}

var miscOps = [...]opcode{
	{operands: none}, {operands: none}, {operands: none}, {operands: none}, // i32.trunc_sat_*
	{operands: none}, {operands: none}, {operands: none}, {operands: none}, // i64.trunc_sat_*
	miscMemoryInit: {operands: dataMemory, name: "memory.init"},
	miscDataDrop:   {operands: dataIndex, name: "data.drop"},
	miscMemoryCopy: {operands: twoMemories, name: "memory.copy"},
	miscMemoryFill: {operands: onlyMemory, name: "memory.fill"},
	miscTableInit:  {operands: elementTable, name: "table.init"},
	miscElemDrop:   {operands: elementIndex, name: "elem.drop"},
	miscTableCopy:  {operands: twoTables, name: "table.copy"},
	miscTableGrow:  {operands: tableIndex, name: "table.grow"},
	miscTableSize:  {operands: tableIndex, name: "table.size"},
	miscTableFill:  {operands: tableIndex, name: "table.fill"},
}

var vectorOps = vectorTable()

func vectorTable() (t [256]opcode) {
	for code := 0x0e; code < len(t); code++ {
		t[code] = opcode{operands: none}
	}
	for _, code := range []int{0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6, 0xcf, 0xd0,
		0xd2, 0xd3, 0xd4, 0xe2, 0xee} {
		t[code] = opcode{} // not assigned
	}
	for code, align := range []byte{4, 3, 3, 3, 3, 3, 3, 0, 1, 2, 3, 4} { // v128.load to v128.store
		t[code] = opcode{address, align, "v128 load or store"}
	}
	t[simdConst] = opcode{operands: raw16}
	t[simdShuffle] = opcode{lanes16, 32, "i8x16.shuffle"}
	for i, lanes := range []byte{16, 16, 16, 8, 8, 8, 4, 4, 2, 2, 4, 4, 2, 2} {
		t[0x15+i] = opcode{lane, lanes, "extract_lane or replace_lane"}
	}
	for i := range 4 { // load8_lane to load64_lane, store8_lane to store64_lane
		t[0x54+i] = opcode{addressAndLane, byte(i), "v128 load of a lane"}
		t[0x58+i] = opcode{addressAndLane, byte(i), "v128 store of a lane"}
	}
	t[0x5c] = opcode{address, 2, "v128.load32_zero"}
	t[0x5d] = opcode{address, 3, "v128.load64_zero"}
	return t
}

// feature names the proposal that a refused instruction belongs to, or returns "".
func feature(op byte) string {
	switch op {
	case 0x06, 0x07, 0x08, 0x09, 0x0a, 0x18, 0x19, 0x1f:
		return "exception handling"
	case 0x12, 0x13:
		return "tail calls"
	case 0x14, 0x15, 0xd4, 0xd5, 0xd6:
		return "typed function references"
	case 0xd3, 0xfb:
		return "garbage collection"
	case 0xfe:
		return "threads"
	}
	return ""
}
