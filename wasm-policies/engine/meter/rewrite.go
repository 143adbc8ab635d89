package meter

// rewriter is the second pass over a module: it writes every section anew.
type rewriter struct {
	*source
	opts   Options
	fuel   fuel
	added  []addedFunction // behind all functions of the original, so that no index shifts; shims of the imports first
	byKind map[addedKey]uint32
	charge *uint32 // type (i32) -> (i32), once it is needed
	refs   references
	debts  debts
	plans  planner
	walk   decoder
}

// rewrite checks all code and returns the new module.
func (s *source) rewrite(opts Options) ([]byte, *Refusal) {
	w := &rewriter{
		source: s, opts: opts,
		fuel:   fuel{global: uint32(len(s.globals))},
		byKind: map[addedKey]uint32{},
		refs:   references{slots: map[uint32]uint32{}},
	}
	if w.metered() {
		for i := range s.imports {
			w.added = append(w.added, w.shim(uint32(i)))
		}
	}
	code, refusal := w.codeBodies()
	if refusal != nil {
		return nil, refusal
	}
	return w.assemble(code), nil
}

func (w *rewriter) metered() bool { return w.opts.Mode != Off }

// redirect returns the function to use in place of one that the original uses: the shim of an imported function.
func (w *rewriter) redirect(function uint32) uint32 {
	if w.metered() && int(function) < len(w.imports) {
		return uint32(w.functionCount()) + function
	}
	return function
}

// codeBodies returns the concatenated bodies of the original's functions, each with its size in front.
func (w *rewriter) codeBodies() ([]byte, *Refusal) {
	size := 0
	for _, b := range w.bodies {
		size += len(b.code)
	}
	out := make([]byte, 0, size*3/2)
	var one []byte
	for i := range w.bodies {
		var refusal *Refusal
		if one, refusal = w.body(one[:0], i); refusal != nil {
			refusal.within(w.functionName(uint32(len(w.imports) + i)))
			return nil, refusal
		}
		out = appendSized(out, one)
	}
	return out, nil
}

// body appends the new body of the i-th defined function: its locals, and its code with the charges.
func (w *rewriter) body(b []byte, i int) ([]byte, *Refusal) {
	in := &w.bodies[i]
	typ := w.types[w.functions[i]]
	code := decoder{
		reader:      reader{data: in.code, base: in.offset},
		src:         w.source,
		locals:      len(typ.Params) + in.locals,
		instruction: instruction{targets: w.walk.targets},
	}
	w.plans.decoder, w.plans.mode = code, w.opts.Mode
	w.plans.plan(entryCost(typ, in.locals))
	if w.plans.failed() {
		return nil, w.plans.refusal
	}
	if !w.metered() {
		return append(appendLocals(b, in.groups), in.code...), nil
	}
	w.walk = code
	return w.code(appendLocals(b, in.groups), w.plans.points), nil
}

func appendLocals(b []byte, groups []localGroup) []byte {
	b = appendU32(b, uint32(len(groups)))
	for _, g := range groups {
		b = append(appendU32(b, g.count), byte(g.typ))
	}
	return b
}

// code appends the code that w.walk reads, which the first pass has found to be right, with the charges at points.
//
// All of it is wrapped in a block, behind whose end is an `unreachable`: the tests branch there. So the function has one
// trap for all its tests, out of the way of its code, which runs faster than a conditional trap at each.
func (w *rewriter) code(b []byte, points []point) []byte {
	w.debts.reset()
	b = append(b, opBlock, blockEmpty)
	for w.walk.left() > 0 {
		for len(points) > 0 && points[0].offset == w.walk.pos {
			b = w.chargeAt(b, points[0])
			points = points[1:]
		}
		w.walk.next()
		b = w.instruction(b, &w.walk.instruction)
	}
	return b
}

// instruction appends one instruction of the original, with what goes around it.
func (w *rewriter) instruction(b []byte, in *instruction) []byte {
	depth := uint32(w.debts.depth())
	w.debts.step(in)
	switch {
	case in.op == opRefFunc:
		return w.reference(b, w.redirect(in.a))
	case in.kind == function:
		in.a = w.redirect(in.a)
	case in.op == opMemoryGrow || in.op == opMisc:
		b = w.chargeLength(b, in)
	case in.kind == label || in.kind == labels:
		in.shiftLabels(depth)
	case in.op == opEnd && depth == 0:
		b = append(b, opReturn, opEnd, opUnreachable)
	}
	return appendInstruction(b, in)
}

// shiftLabels adjusts branches out of the function, which the block around its code has put one level farther out.
func (in *instruction) shiftLabels(function uint32) {
	if in.a == function {
		in.a++
	}
	if in.kind == labels {
		for i := range in.targets {
			if in.targets[i] == function {
				in.targets[i]++
			}
		}
	}
}

func (w *rewriter) chargeAt(b []byte, p point) []byte {
	if p.cost == 0 && !p.test {
		return b
	}
	if p.cost > 0 {
		b = w.fuel.charge(b, p.cost)
	}
	depth := w.debts.depth()
	if w.debts.charge(p) {
		b = append(w.fuel.spent(b), opBrIf)
		b = appendU32(b, uint32(depth))
	}
	return b
}

// chargeLength appends the call that charges a bulk instruction by its length, the operand on top of the stack, which
// the called function returns.
func (w *rewriter) chargeLength(b []byte, in *instruction) []byte {
	var key addedKey
	switch {
	case in.op == opMemoryGrow:
		key = addedKey{charges: growMemory}
	case in.sub == miscMemoryInit, in.sub == miscMemoryCopy, in.sub == miscMemoryFill:
		key = addedKey{charges: perBytes}
	case in.sub == miscTableInit, in.sub == miscTableCopy, in.sub == miscTableFill:
		key = addedKey{charges: perElement}
	case in.sub == miscTableGrow:
		key = addedKey{charges: growTable, table: in.a}
	default:
		return b
	}
	b = appendU32(append(b, opCall), w.lengthCharge(key))
	w.debts.now = min(w.debts.now, 0) // the called function has tested
	return b
}
