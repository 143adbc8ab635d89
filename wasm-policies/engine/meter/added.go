package meter

// addedFunction is a function that the original does not have.
type addedFunction struct {
	typ  uint32
	body []byte
}

// addedKey identifies a function that charges by length.
type addedKey struct {
	charges byte
	table   uint32 // growTable
}

const (
	perBytes = iota
	perElement
	growMemory
	growTable
)

// shim returns the function that stands for an imported one: it charges, tests, and calls it. Going through a function
// charges calls through tables, from the host, and as start function alike.
func (w *rewriter) shim(function uint32) addedFunction {
	typ := w.importTyp[function]
	b := []byte{0} // no locals
	if w.opts.HostCallCost > 0 {
		b = w.fuel.charge(b, uint64(w.opts.HostCallCost))
	}
	b = w.fuel.test(b)
	for i := range w.types[typ].Params {
		b = appendU32(append(b, opLocalGet), uint32(i))
	}
	b = appendU32(append(b, opCall), function)
	return addedFunction{typ, append(b, opEnd)}
}

// lengthCharge returns the index of the function of type (i32) -> (i32) that charges for its argument, tests, and
// returns its argument.
func (w *rewriter) lengthCharge(key addedKey) uint32 {
	if f, ok := w.byKind[key]; ok {
		return f
	}
	b := []byte{0}
	switch key.charges {
	case perBytes:
		b = w.subtract(b, func(b []byte) []byte {
			b = append(b, opI64Const, BytesPerUnit-1, opI64Add)
			return append(b, opI64Const, bytesShift, opI64ShrU)
		})
	case perElement:
		b = w.subtract(b, func(b []byte) []byte { return times(b, elementUnits) })
	case growMemory:
		b = w.ifGrows(append(b, opMemorySize, 0), w.memories[0].max, pageUnits)
	case growTable:
		b = appendU32(appendU32(append(b, opMisc), miscTableSize), key.table)
		b = w.ifGrows(b, w.tables[key.table].max, elementUnits)
	}
	b = append(b, opLocalGet, 0, opEnd)
	index := uint32(w.functionCount() + len(w.added))
	w.added = append(w.added, addedFunction{w.chargeType(), b})
	w.byKind[key] = index
	return index
}

// ifGrows charges the argument by units each if the growth can succeed, given code that leaves the size before it. A
// growth beyond the maximum does no work and must go on to return -1, however much was asked for.
func (w *rewriter) ifGrows(b []byte, most uint32, units int64) []byte {
	b = append(b, opI64ExtendU, opLocalGet, 0, opI64ExtendU, opI64Add)
	b = appendS64(append(b, opI64Const), int64(most))
	b = append(b, opI64LeU, opIf, blockEmpty)
	b = w.subtract(b, func(b []byte) []byte { return times(b, units) })
	return append(b, opEnd)
}

// subtract charges the units that the code of scale makes of the argument as an i64, and tests.
func (w *rewriter) subtract(b []byte, scale func([]byte) []byte) []byte {
	b = appendU32(append(b, opGlobalGet), w.fuel.global)
	b = scale(append(b, opLocalGet, 0, opI64ExtendU))
	b = appendU32(append(b, opI64Sub, opGlobalSet), w.fuel.global)
	return w.fuel.test(b)
}

func times(b []byte, units int64) []byte {
	return append(appendS64(append(b, opI64Const), units), opI64Mul)
}

// chargeType returns the index of type (i32) -> (i32), which is added if the original has none.
func (w *rewriter) chargeType() uint32 {
	if w.charge == nil {
		one := []ValueType{I32}
		index := uint32(len(w.types))
		for i, t := range w.types {
			if t.Is(one, one) {
				index = uint32(i)
			}
		}
		if int(index) == len(w.types) {
			w.types = append(w.types, FuncType{Params: one, Results: one})
		}
		w.charge = &index
	}
	return *w.charge
}
