package meter

// references are the functions that code takes references to.
//
// wazero allocates anew for each execution of ref.func, some 50 bytes that live as long as the instance: a guest could take
// memory without bound, beside its own, and time, as each leaves the machine code. So the rewritten module has each such
// reference once, in an added table, and reads it there.
type references struct {
	functions []uint32          // in the rewritten module, in the order of their slots
	slots     map[uint32]uint32 // where each of them is in the table
}

// reference appends what takes the place of a ref.func of a function of the rewritten module.
func (w *rewriter) reference(b []byte, function uint32) []byte {
	slot, ok := w.refs.slots[function]
	if !ok {
		slot = uint32(len(w.refs.functions))
		w.refs.slots[function] = slot
		w.refs.functions = append(w.refs.functions, function)
	}
	b = appendS64(append(b, opI32Const), int64(slot))
	return appendU32(append(b, opTableGet), uint32(len(w.tables)))
}

// allTables are the original's and, behind them so that no index shifts, that of the references.
func (w *rewriter) allTables() []table {
	n := uint32(len(w.refs.functions))
	if n == 0 {
		return w.tables
	}
	return append(w.tables[:len(w.tables):len(w.tables)], table{elem: FuncRef, min: n, max: n})
}

// allElements are the original's segments and, behind them, the one that fills the table of the references.
func (w *rewriter) allElements() []elements {
	if len(w.refs.functions) == 0 {
		return w.elements
	}
	const explicitTable = 2
	fill := elements{flags: explicitTable, table: uint32(len(w.tables)), offset: constant{op: opI32Const}, elem: FuncRef}
	for _, f := range w.refs.functions {
		fill.items = append(fill.items, constant{op: opRefFunc, value: int64(f)})
	}
	return append(w.elements[:len(w.elements):len(w.elements)], fill)
}
