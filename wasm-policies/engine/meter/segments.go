package meter

import "fmt"

func (s *source) readElements(r *reader) {
	n := r.count("segments", s.limits.MaxSegments)
	r.context = ""
	for i := range n {
		s.elements = append(s.elements, s.readElementSegment(r))
		if r.failed() {
			r.refusal.within(fmt.Sprintf("element segment %d", i))
			return
		}
	}
}

// readElementSegment reads any of the eight forms (core specification 2.0, section 5.5.12).
func (s *source) readElementSegment(r *reader) elements {
	e := elements{flags: r.u32(), elem: FuncRef}
	if e.flags > 7 {
		r.refuse(RuleFormat, "form %d", e.flags)
		return e
	}
	if e.active() {
		if e.flags&2 != 0 {
			e.table = r.u32()
		}
		if !r.failed() && int64(e.table) >= int64(len(s.tables)) {
			r.refuse(RuleIndex, "table %d of %d", e.table, len(s.tables))
		}
		e.offset = s.readConstant(r)
	}
	expressions := e.flags&4 != 0
	if e.flags&3 != 0 {
		if expressions {
			e.elem = r.refType()
		} else if kind := r.byte(); kind != 0 {
			r.refuse(RuleFormat, "kind %#02x", kind)
		}
	}
	e.items = make([]constant, r.count("items of all segments", int(s.limits.MaxTable)-s.items))
	s.items += len(e.items)
	for i := range e.items {
		if r.failed() {
			break
		}
		if !expressions {
			e.items[i] = constant{op: opRefFunc, value: int64(r.index("function", s.functionCount()))}
			continue
		}
		e.items[i] = s.readConstant(r)
		if op := e.items[i].op; !r.failed() && op != opRefFunc && op != opRefNull {
			r.refuse(RuleFormat, "item %d is instruction %#02x", i, op)
		}
	}
	return e
}

func (s *source) readData(r *reader) {
	n := r.count("segments", s.limits.MaxSegments)
	r.context = ""
	for i := range n {
		s.data = append(s.data, s.readDataSegment(r))
		if r.failed() {
			r.refusal.within(fmt.Sprintf("data segment %d", i))
			return
		}
	}
}

func (s *source) readDataSegment(r *reader) dataSegment {
	form := r.u32()
	if form > 2 {
		r.refuse(RuleFormat, "form %d", form)
	}
	d := dataSegment{passive: form == 1}
	if form == 2 {
		r.zero("memory index")
	}
	if !d.passive {
		if len(s.memories) == 0 {
			r.refuse(RuleIndex, "memory 0 of 0")
		}
		d.offset = s.readConstant(r)
	}
	d.bytes = r.bytes(int(r.u32()))
	return d
}

func (s *source) readCode(r *reader) {
	n := r.count("bodies", s.limits.MaxFunctions)
	if n != len(s.functions) {
		r.refuse(RuleFormat, "%d functions declared, %d bodies", len(s.functions), n)
		return
	}
	s.bodies = make([]body, n)
	for i := range s.bodies {
		size := int(r.u32())
		start := r.pos
		code := &reader{data: r.bytes(size), base: r.base + start}
		if r.failed() {
			return
		}
		if s.bodies[i] = s.readBody(code, size); code.failed() {
			code.refusal.within(s.functionName(uint32(len(s.imports) + i)))
			r.refusal = code.refusal
			return
		}
	}
}

func (s *source) readBody(r *reader, size int) body {
	if size > s.limits.MaxFunctionBytes {
		r.refuse(RuleLimit, "body of %d bytes, at most %d are allowed", size, s.limits.MaxFunctionBytes)
	}
	var b body
	groups := r.count("groups of locals", s.limits.MaxLocals)
	for range groups {
		g := localGroup{count: r.u32(), typ: r.valueType()}
		if r.failed() {
			return b
		}
		if uint64(b.locals)+uint64(g.count) > uint64(s.limits.MaxLocals) {
			r.refuse(RuleLimit, "%d locals or more, at most %d are allowed", uint64(b.locals)+uint64(g.count), s.limits.MaxLocals)
			return b
		}
		b.locals += int(g.count)
		b.groups = append(b.groups, g)
	}
	b.offset = r.base + r.pos
	b.code = r.bytes(r.left())
	return b
}
