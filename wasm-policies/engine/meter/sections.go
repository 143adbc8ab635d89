package meter

import (
	"fmt"
	"strings"
)

func (s *source) readTypes(r *reader) {
	n := r.count("types", s.limits.MaxTypes)
	for range n {
		switch form := r.byte(); {
		case r.failed():
			return
		case form == 0x4e || form == 0x4f || form == 0x50 || form == 0x5e || form == 0x5f:
			r.refuse(RuleFeature, "type form %#02x: garbage collection is not allowed", form)
			return
		case form != 0x60:
			r.refuse(RuleFormat, "type form %#02x", form)
			return
		}
		t := FuncType{Params: s.readValueTypes(r, "parameters"), Results: s.readValueTypes(r, "results")}
		s.types = append(s.types, t)
	}
}

func (s *source) readValueTypes(r *reader, what string) []ValueType {
	types := make([]ValueType, r.count(what, s.limits.MaxTypeValues))
	for i := range types {
		types[i] = r.valueType()
	}
	return types
}

func (s *source) readImports(r *reader, opts Options) {
	n := r.count("imports", s.limits.MaxImports)
	for range n {
		imp := Import{Module: r.name(s.limits.MaxNameBytes), Name: r.name(s.limits.MaxNameBytes)}
		kind := ExternKind(r.byte())
		if r.failed() {
			return
		}
		if kind != ExternFunc {
			r.refuse(RuleImport, "%q.%q is a %s: only functions may be imported", imp.Module, imp.Name, kind)
			return
		}
		typ := r.index("type", len(s.types))
		if r.failed() {
			return
		}
		if opts.AllowImport == nil || !opts.AllowImport(imp.Module, imp.Name) {
			r.refuse(RuleImport, "%q.%q is not offered by the host", imp.Module, imp.Name)
			return
		}
		imp.Type = s.types[typ]
		s.imports = append(s.imports, imp)
		s.importTyp = append(s.importTyp, typ)
	}
}

func (s *source) readFunctions(r *reader) {
	s.functions = make([]uint32, r.count("functions", s.limits.MaxFunctions))
	for i := range s.functions {
		s.functions[i] = r.index("type", len(s.types))
	}
}

func (s *source) readTables(r *reader) {
	n := r.count("tables", s.limits.MaxTables)
	for range n {
		if r.left() > 0 && r.data[r.pos] == 0x40 {
			r.refuse(RuleFeature, "a table with an initialiser: typed function references are not allowed")
			return
		}
		t := table{elem: r.refType()}
		t.min, t.max = r.limits("table elements", s.limits.MaxTable, 1<<32-1)
		s.tables = append(s.tables, t)
	}
}

func (s *source) readMemory(r *reader) {
	n := r.count("memories", 1<<16)
	if n > 1 {
		r.refuse(RuleFeature, "%d memories: multiple memories are not allowed", n)
		return
	}
	for range n {
		var m memory
		m.min, m.max = r.limits("memory pages", s.limits.MaxMemoryPages, 1<<16)
		s.memories = append(s.memories, m)
	}
}

// limits reads the limits of a table or memory, whose format allows at most whole. It refuses a minimum above allowed,
// and returns the lesser of the maximum and allowed.
func (r *reader) limits(what string, allowed, whole uint32) (lo, hi uint32) {
	flags := r.byte()
	switch {
	case flags > 7:
		r.refuse(RuleFormat, "%s: limits of form %#02x", what, flags)
	case flags&4 != 0:
		r.refuse(RuleFeature, "%s: 64-bit addresses (memory64) are not allowed", what)
	case flags&2 != 0:
		r.refuse(RuleFeature, "%s: sharing (threads) is not allowed", what)
	}
	lo, hi = r.u32(), allowed
	if flags&1 != 0 {
		hi = r.u32()
	}
	switch {
	case r.failed():
	case lo > whole || hi > whole:
		r.refuse(RuleFormat, "%s: %d to %d, the format ends at %d", what, lo, hi, whole)
	case lo > allowed:
		r.refuse(RuleLimit, "at least %d %s, at most %d are allowed", lo, what, allowed)
	case lo > hi:
		r.refuse(RuleFormat, "%s: minimum %d above maximum %d", what, lo, hi)
	}
	return lo, min(hi, allowed)
}

func (s *source) readGlobals(r *reader) {
	n := r.count("globals", s.limits.MaxGlobals)
	for range n {
		g := global{typ: r.valueType()}
		mut := r.byte()
		if mut > 1 {
			r.refuse(RuleFormat, "mutability %#02x", mut)
		}
		g.mutable = mut == 1
		g.init = s.readConstant(r)
		s.globals = append(s.globals, g)
	}
}

// readConstant reads a constant expression. That its type fits is left to the engine.
func (s *source) readConstant(r *reader) constant {
	c := constant{op: r.byte()}
	switch c.op {
	case opI32Const:
		c.value = r.signed(32)
	case opI64Const:
		c.value = r.signed(64)
	case opF32Const:
		c.raw = r.bytes(4)
	case opF64Const:
		c.raw = r.bytes(8)
	case opRefNull:
		c.value = int64(r.refType())
	case opRefFunc:
		c.value = int64(r.index("ref.func of function", s.functionCount()))
	case opVector:
		if sub := r.u32(); sub != simdConst {
			r.refuse(RuleFormat, "constant expression with instruction 0xfd %#02x", sub)
		}
		c.raw = r.bytes(16)
	case opGlobalGet:
		r.refuse(RuleIndex, "constant expression reads global %d: only imported globals may be read, and none are allowed", r.u32())
	default:
		r.refuse(RuleFormat, "constant expression with instruction %#02x", c.op)
	}
	if end := r.byte(); !r.failed() && end != opEnd {
		r.refuse(RuleFeature, "constant expression of more than one instruction: %#02x", end)
	}
	return c
}

func (s *source) readExports(r *reader) {
	n := r.count("exports", s.limits.MaxExports)
	seen := make(map[string]bool, n)
	spaces := [...]int{ExternFunc: s.functionCount(), ExternTable: len(s.tables), ExternMemory: len(s.memories), ExternGlobal: len(s.globals)}
	for range n {
		e := Export{Name: r.name(s.limits.MaxNameBytes), Kind: ExternKind(r.byte())}
		switch {
		case r.failed():
			return
		case int(e.Kind) >= len(spaces):
			r.refuse(RuleFeature, "%q is of %s", e.Name, e.Kind)
			return
		case strings.HasPrefix(e.Name, ReservedPrefix):
			r.refuse(RuleExport, "%q: names that begin with %q are reserved for the host", e.Name, ReservedPrefix)
			return
		case seen[e.Name]:
			r.refuse(RuleFormat, "%q is exported twice", e.Name)
			return
		}
		seen[e.Name] = true
		e.Index = r.index(fmt.Sprintf("export %q of %s", e.Name, e.Kind), spaces[e.Kind])
		if e.Kind == ExternFunc && !r.failed() {
			e.Type = s.types[s.typeIndex(e.Index)]
		}
		s.exports = append(s.exports, e)
	}
}

func (s *source) readStart(r *reader) {
	s.start = r.index("function", s.functionCount())
	if r.failed() {
		return
	}
	if t := s.types[s.typeIndex(s.start)]; len(t.Params)+len(t.Results) > 0 {
		r.refuse(RuleFormat, "function %d is of type %s", s.start, t)
	}
	s.hasStart = true
}
