package meter

// instruction is one decoded instruction. Both passes over a function decode it in the same way, and the second writes
// it anew from these fields: no byte of code is copied without having been understood.
type instruction struct {
	op   byte
	sub  uint32 // after opMisc and opVector
	kind operands
	// The meaning of the rest depends on kind.
	a, b    uint32
	value   int64 // constant, or block type: blockEmpty-0x80, a negated value type, or a type index
	raw     []byte
	targets []uint32 // of br_table, without the default, which is a; the slice is reused
}

// decoder reads the code of one function and checks every index in it.
type decoder struct {
	reader
	src    *source
	locals int // with parameters
	instruction
}

// next decodes one instruction; it returns false at a refusal.
func (d *decoder) next() bool {
	d.op = d.byte()
	entry := &coreOps[d.op]
	switch d.op {
	case opMisc:
		if d.sub = d.subcode(); d.sub < uint32(len(miscOps)) {
			entry = &miscOps[d.sub]
		}
	case opVector:
		if d.sub = d.subcode(); d.sub < uint32(len(vectorOps)) {
			entry = &vectorOps[d.sub]
		} else if d.sub < 0x114 {
			d.refuse(RuleFeature, "instruction 0xfd %#02x: relaxed vectors are not allowed", d.sub)
		}
	}
	if d.failed() {
		return false
	}
	d.kind = entry.operands
	switch d.kind {
	case none:
		return true
	case unknown:
		d.refuseOpcode()
	default:
		d.readOperands(entry)
	}
	return !d.failed()
}

// subcode reads the number after a prefix. Padding is refused here, since nothing emits it and engines differ on it.
func (d *decoder) subcode() uint32 {
	start := d.pos
	sub := d.u32()
	if !d.failed() && d.pos-start != len(appendU32(nil, sub)) {
		d.refuse(RuleFormat, "instruction %#02x %#02x is padded", d.op, sub)
	}
	return sub
}

func (d *decoder) refuseOpcode() {
	switch name := feature(d.op); {
	case name != "":
		d.refuse(RuleFeature, "instruction %#02x: %s are not allowed", d.op, name)
	case d.op == opMisc || d.op == opVector:
		d.refuse(RuleOpcode, "unknown instruction %#02x %#02x", d.op, d.sub)
	default:
		d.refuse(RuleOpcode, "unknown instruction %#02x", d.op)
	}
}

func (d *decoder) readOperands(entry *opcode) {
	src, name := d.src, entry.name
	switch d.kind {
	case blockType:
		d.readBlockType(name)
	case label:
		d.a = d.u32() // checked by the caller, who knows the nesting
	case labels:
		d.readTargets()
	case function:
		d.a = d.indexOf(name, "function", src.functionCount())
	case indirect:
		d.a = d.indexOf(name, "type", len(src.types))
		d.b = d.indexOf(name, "table", len(src.tables))
	case local:
		d.a = d.indexOf(name, "local", d.locals)
	case globalIndex:
		d.a = d.indexOf(name, "global", len(src.globals))
	case tableIndex:
		d.a = d.indexOf(name, "table", len(src.tables))
	case address, addressAndLane:
		d.readAddress(entry)
		if d.kind == addressAndLane {
			d.raw = d.lanes(1, 16>>entry.limit, name)
		}
	case const32:
		d.value = d.signed(32)
	case const64:
		d.value = d.signed(64)
	case raw4:
		d.raw = d.bytes(4)
	case raw8:
		d.raw = d.bytes(8)
	case raw16:
		d.raw = d.bytes(16)
	case refKind:
		d.a = uint32(d.refType())
	case valueTypes:
		if n := d.u32(); n != 1 && !d.failed() {
			d.refuse(RuleFormat, "select of %d values", n)
		}
		d.a = uint32(d.valueType())
	case lanes16:
		d.raw = d.lanes(16, 32, name)
	case lane:
		d.raw = d.lanes(1, entry.limit, name)
	default:
		d.readBulkOperands(name)
	}
}

func (d *decoder) readBulkOperands(name string) {
	src := d.src
	switch d.kind {
	case onlyMemory:
		d.checkMemory(name)
		d.zero(name)
	case twoMemories:
		d.checkMemory(name)
		d.zero(name)
		d.zero(name)
	case dataMemory, dataIndex:
		if src.dataCount < 0 && !d.failed() {
			d.refuse(RuleFormat, "%s without a data count section", name)
		}
		d.a = d.indexOf(name, "data segment", src.dataCount)
		if d.kind == dataMemory {
			d.checkMemory(name)
			d.zero(name)
		}
	case elementTable:
		d.a = d.indexOf(name, "element segment", len(src.elements))
		d.b = d.indexOf(name, "table", len(src.tables))
	case elementIndex:
		d.a = d.indexOf(name, "element segment", len(src.elements))
	case twoTables:
		d.a = d.indexOf(name, "table", len(src.tables))
		d.b = d.indexOf(name, "table", len(src.tables))
	}
}

// indexOf reads an index; it takes the two names apart to cost nothing when the index is right.
func (d *decoder) indexOf(name, what string, size int) uint32 {
	i := d.u32()
	if int64(i) >= int64(size) && !d.failed() {
		d.refuse(RuleIndex, "%s: %s %d of %d", name, what, i, size)
	}
	return i
}

func (d *decoder) checkMemory(name string) {
	if len(d.src.memories) == 0 {
		d.refuse(RuleIndex, "%s: memory 0 of 0", name)
	}
}

func (d *decoder) readAddress(entry *opcode) {
	d.checkMemory(entry.name)
	d.a = d.u32()
	if !d.failed() && d.a&^0x3f != 0 {
		d.refuse(RuleFeature, "%s %#02x: multiple memories are not allowed", entry.name, d.op)
	}
	if !d.failed() && d.a > uint32(entry.limit) {
		d.refuse(RuleFormat, "%s %#02x: alignment 2^%d above the natural 2^%d", entry.name, d.op, d.a, entry.limit)
	}
	d.b = d.u32()
}

func (d *decoder) lanes(n int, limit byte, name string) []byte {
	lanes := d.bytes(n)
	for _, l := range lanes {
		if l >= limit {
			d.refuse(RuleIndex, "%s: lane %d of %d", name, l, limit)
		}
	}
	return lanes
}

func (d *decoder) readBlockType(name string) {
	d.value = d.signed(33)
	switch {
	case d.failed():
	case d.value >= 0:
		if d.value >= int64(len(d.src.types)) {
			d.refuse(RuleIndex, "%s: type %d of %d", name, d.value, len(d.src.types))
		}
	case d.value < -0x40 || d.value != blockEmpty-0x80 && !ValueType(d.value+0x80).valid():
		d.refuse(RuleFeature, "%s: block type %d", name, d.value)
	}
}

func (d *decoder) readTargets() {
	d.targets = d.targets[:0]
	n := d.count("targets of br_table", d.left())
	for range n {
		d.targets = append(d.targets, d.u32())
	}
	d.a = d.u32()
}
