package meter

// How the counter is kept. It is a mutable i64 global that starts at the budget; a charge subtracts from it, and a test
// traps with `unreachable` if it is below zero. A trap with the counter below zero therefore means that the budget is
// spent; a call that returns normally may leave it below zero by at most CreditUnits.
//
// Testing is separate from charging. Tested are: the entry of every function; the head of every loop that is branched
// back to; and any charge by which the units charged since the last test could exceed CreditUnits, on some path within
// the function. A call counts as using up the credit, since the callee may return in debt, so the first charge after a
// call is tested: without that, the return from a deep recursion would execute unpaid code in every frame.
//
// The counter cannot wrap around. It is tested at least once per entry and iteration, the sum of all static costs of
// a function is less than 2^32 (one unit per byte of code, a few hundred for its values), a bulk operation is charged
// less than 2^45 and tested at once, and a stack of frames is charged once per frame, each entry having been tested.

const (
	// CreditUnits bounds the work that is done after the counter has fallen below zero.
	CreditUnits = 256

	// BytesPerUnit is how much memory.fill, memory.copy and memory.init process for one unit, and memory.grow clears.
	BytesPerUnit = 8

	// bytesShift is its logarithm.
	bytesShift = 3

	// pageUnits is charged for a page of memory.grow.
	pageUnits = 65536 / BytesPerUnit

	// leaveUnits is charged for memory.grow and table.grow, even for growing by nothing: they leave the machine code, which
	// takes some 40 ns.
	leaveUnits = 100

	// elementUnits is charged for an element of the table instructions.
	elementUnits = 1
)

// initialFuel returns the counter's value in a new instance.
func (o Options) initialFuel() int64 { return max(o.InitialFuel, 0) }

// fuel writes the instructions that charge and test.
type fuel struct{ global uint32 }

// charge subtracts units.
func (f fuel) charge(b []byte, units uint64) []byte {
	b = appendU32(append(b, opGlobalGet), f.global)
	b = appendS64(append(b, opI64Const), int64(units))
	return appendU32(append(b, opI64Sub, opGlobalSet), f.global)
}

// spent tells whether the counter is below zero.
func (f fuel) spent(b []byte) []byte {
	b = appendU32(append(b, opGlobalGet), f.global)
	return append(b, opI64Const, 0, opI64LtS)
}

// test traps if the counter is below zero.
func (f fuel) test(b []byte) []byte {
	return append(f.spent(b), opIf, blockEmpty, opUnreachable, opEnd)
}

// debts is the analysis behind the choice of tests: for the place reached in the second pass, the most units that can
// have been charged since the last test on any path from the function's entry.
type debts struct {
	now    int // deadCode if the place cannot be reached
	frames []debtFrame
}

type debtFrame struct {
	kind   byte
	entry  int // the debt before the block
	merged int // the greatest debt of the branches to its end; deadCode if none
}

// depth is the number of blocks open in the function.
func (d *debts) depth() int { return len(d.frames) - 1 }

func (d *debts) reset() {
	d.now = 0
	d.frames = append(d.frames[:0], debtFrame{kind: frameFunction, merged: deadCode})
}

// charge reports whether the charge at a point has to be tested, and counts it.
func (d *debts) charge(p point) bool {
	if p.test || uint64(max(d.now, 0))+p.cost > CreditUnits {
		d.now = 0
		return true
	}
	d.now = max(d.now, 0) + int(p.cost)
	return false
}

// step follows one instruction.
func (d *debts) step(in *instruction) {
	top := &d.frames[len(d.frames)-1]
	switch in.op {
	case opBlock:
		d.open(frameBlock)
	case opLoop:
		d.open(frameLoop)
	case opIf:
		d.open(frameIf)
	case opElse:
		top.kind = frameElse
		top.merged = max(top.merged, d.now)
		d.now = top.entry
	case opEnd:
		if top.kind != frameLoop {
			d.now = max(d.now, top.merged)
		}
		if top.kind == frameIf {
			d.now = max(d.now, top.entry)
		}
		d.frames = d.frames[:len(d.frames)-1]
	case opBr, opBrIf:
		d.branch(in.a)
	case opBrTable:
		for _, t := range in.targets {
			d.branch(t)
		}
		d.branch(in.a)
	case opCall, opCallIndirect:
		if d.now != deadCode {
			d.now = CreditUnits
		}
	}
	switch in.op {
	case opBr, opBrTable, opReturn, opUnreachable:
		d.now = deadCode
	}
}

func (d *debts) open(kind byte) {
	d.frames = append(d.frames, debtFrame{kind: kind, entry: d.now, merged: deadCode})
}

func (d *debts) branch(label uint32) {
	f := &d.frames[len(d.frames)-1-int(label)]
	f.merged = max(f.merged, d.now)
}
