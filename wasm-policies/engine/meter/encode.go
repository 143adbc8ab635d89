package meter

// appendU32 appends v as unsigned LEB128 in its shortest form.
func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// appendS64 appends v as signed LEB128 in its shortest form, which is the same for all widths.
func appendS64(b []byte, v int64) []byte {
	for v < -0x40 || v >= 0x40 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}

func appendName(b []byte, name string) []byte {
	return append(appendU32(b, uint32(len(name))), name...)
}

// appendSized appends content after its length.
func appendSized(b, content []byte) []byte {
	return append(appendU32(b, uint32(len(content))), content...)
}

func appendSection(b []byte, id byte, content []byte) []byte {
	return appendSized(append(b, id), content)
}

// appendInstruction appends an instruction from its decoded fields.
func appendInstruction(b []byte, in *instruction) []byte {
	b = append(b, in.op)
	if in.op == opMisc || in.op == opVector {
		b = appendU32(b, in.sub)
	}
	switch in.kind {
	case blockType, const32, const64:
		b = appendS64(b, in.value)
	case label, function, local, globalIndex, tableIndex, dataIndex, elementIndex:
		b = appendU32(b, in.a)
	case labels:
		b = appendU32(b, uint32(len(in.targets)))
		for _, t := range in.targets {
			b = appendU32(b, t)
		}
		b = appendU32(b, in.a)
	case indirect, address, elementTable, twoTables:
		b = appendU32(appendU32(b, in.a), in.b)
	case addressAndLane:
		b = append(appendU32(appendU32(b, in.a), in.b), in.raw...)
	case onlyMemory:
		b = append(b, 0)
	case twoMemories:
		b = append(b, 0, 0)
	case dataMemory:
		b = append(appendU32(b, in.a), 0)
	case raw4, raw8, raw16, lanes16, lane:
		b = append(b, in.raw...)
	case refKind:
		b = append(b, byte(in.a))
	case valueTypes:
		b = append(b, 1, byte(in.a))
	}
	return b
}
