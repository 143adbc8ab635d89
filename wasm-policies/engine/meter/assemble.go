package meter

import "strings"

// assemble writes the module from its parts, given the bodies of the original's functions.
func (w *rewriter) assemble(code []byte) []byte {
	out := make([]byte, 0, len(code)+len(code)/4+4096)
	out = append(out, preamble...)
	out = section(out, secType, w.types, appendType)
	out = section(out, secImport, indices(len(w.imports)), w.appendImport)
	out = section(out, secFunction, w.allFunctions(), appendU32)
	out = section(out, secTable, w.allTables(), func(b []byte, t table) []byte {
		return appendU32(appendU32(append(b, byte(t.elem), 1), t.min), t.max)
	})
	out = section(out, secMemory, w.memories, func(b []byte, m memory) []byte {
		return appendU32(appendU32(append(b, 1), m.min), m.max)
	})
	out = section(out, secGlobal, w.allGlobals(), w.appendGlobal)
	out = section(out, secExport, w.allExports(), w.appendExport)
	if w.hasStart {
		out = appendSection(out, secStart, appendU32(nil, w.redirect(w.start)))
	}
	out = section(out, secElement, w.allElements(), w.appendElements)
	if w.dataCount >= 0 {
		out = appendSection(out, secDataCount, appendU32(nil, uint32(w.dataCount)))
	}
	out = w.appendCode(out, code)
	out = section(out, secData, w.data, w.appendData)
	for _, c := range w.customs {
		if w.keeps(c.name) {
			out = appendSection(out, secCustom, append(appendName(nil, c.name), c.data...))
		}
	}
	return out
}

// section appends a section of items, unless there are none.
func section[T any](out []byte, id byte, items []T, appendItem func([]byte, T) []byte) []byte {
	if len(items) == 0 {
		return out
	}
	content := appendU32(nil, uint32(len(items)))
	for _, item := range items {
		content = appendItem(content, item)
	}
	return appendSection(out, id, content)
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// keeps reports whether a custom section stays. Debug information and relocations describe the original's code and
// would be wrong.
func (w *rewriter) keeps(name string) bool {
	switch {
	case strings.HasPrefix(name, ".debug"), strings.HasPrefix(name, "reloc."), name == "linking",
		name == "sourceMappingURL", name == "external_debug_info":
		return false
	case name == "name":
		return !w.opts.DropNames
	}
	return true
}

func appendType(b []byte, t FuncType) []byte {
	b = appendSized(append(b, 0x60), valueBytes(t.Params))
	return appendSized(b, valueBytes(t.Results))
}

func (w *rewriter) appendImport(b []byte, i int) []byte {
	b = appendName(appendName(b, w.imports[i].Module), w.imports[i].Name)
	return appendU32(append(b, byte(ExternFunc)), w.importTyp[i])
}

func (w *rewriter) allFunctions() []uint32 {
	all := append([]uint32(nil), w.functions...)
	for _, f := range w.added {
		all = append(all, f.typ)
	}
	return all
}

func (w *rewriter) allGlobals() []global {
	if !w.metered() {
		return w.globals
	}
	counter := global{typ: I64, mutable: true, init: constant{op: opI64Const, value: w.opts.initialFuel()}}
	return append(w.globals[:len(w.globals):len(w.globals)], counter)
}

func (w *rewriter) appendGlobal(b []byte, g global) []byte {
	b = append(b, byte(g.typ), 0)
	if g.mutable {
		b[len(b)-1] = 1
	}
	return w.appendConstant(b, g.init)
}

func (w *rewriter) appendConstant(b []byte, c constant) []byte {
	b = append(b, c.op)
	switch c.op {
	case opI32Const, opI64Const:
		b = appendS64(b, c.value)
	case opRefNull:
		b = append(b, byte(c.value))
	case opRefFunc:
		b = appendU32(b, w.redirect(uint32(c.value)))
	case opVector:
		b = append(append(b, simdConst), c.raw...)
	default:
		b = append(b, c.raw...)
	}
	return append(b, opEnd)
}

func (w *rewriter) allExports() []Export {
	if !w.metered() {
		return w.exports
	}
	counter := Export{Name: FuelExport, Kind: ExternGlobal, Index: w.fuel.global}
	return append(w.exports[:len(w.exports):len(w.exports)], counter)
}

func (w *rewriter) appendExport(b []byte, e Export) []byte {
	index := e.Index
	if e.Kind == ExternFunc {
		index = w.redirect(index)
	}
	return appendU32(append(appendName(b, e.Name), byte(e.Kind)), index)
}

func (w *rewriter) appendElements(b []byte, e elements) []byte {
	b = appendU32(b, e.flags)
	if e.active() {
		if e.flags&2 != 0 {
			b = appendU32(b, e.table)
		}
		b = w.appendConstant(b, e.offset)
	}
	expressions := e.flags&4 != 0
	if e.flags&3 != 0 {
		if expressions {
			b = append(b, byte(e.elem))
		} else {
			b = append(b, 0)
		}
	}
	b = appendU32(b, uint32(len(e.items)))
	for _, item := range e.items {
		if expressions {
			b = w.appendConstant(b, item)
		} else {
			b = appendU32(b, w.redirect(uint32(item.value)))
		}
	}
	return b
}

func (w *rewriter) appendCode(out, code []byte) []byte {
	n := len(w.bodies) + len(w.added)
	if n == 0 {
		return out
	}
	content := append(appendU32(nil, uint32(n)), code...)
	for _, f := range w.added {
		content = appendSized(content, f.body)
	}
	return appendSection(out, secCode, content)
}

func (w *rewriter) appendData(b []byte, d dataSegment) []byte {
	if d.passive {
		b = append(b, 1)
	} else {
		b = w.appendConstant(append(b, 0), d.offset)
	}
	return appendSized(b, d.bytes)
}
