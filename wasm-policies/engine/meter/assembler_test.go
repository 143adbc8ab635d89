package meter_test

// A small assembler for test modules: sections are given as items in binary form.

// leb encodes v as signed or unsigned LEB128; for the values the tests use, up to 63 bits, signed is right for constants
// and unsigned for indices.
func leb(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func uleb(v int) []byte {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func cat(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case byte:
			b = append(b, p)
		case string:
			b = append(append(b, uleb(len(p))...), p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// sized puts the length in front.
func sized(b []byte) []byte { return append(uleb(len(b)), b...) }

// sec is a section of the given items.
func sec(id byte, items ...[]byte) []byte {
	content := uleb(len(items))
	for _, item := range items {
		content = append(content, item...)
	}
	return rawSec(id, content)
}

func rawSec(id byte, content []byte) []byte { return append([]byte{id}, sized(content)...) }

func module(sections ...[]byte) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		b = append(b, s...)
	}
	return b
}

// funcType is a type item.
func funcType(params, results []byte) []byte {
	return cat(0x60, sized(params), sized(results))
}

// code is a body without locals.
func code(instructions ...any) []byte { return sized(cat(0, cat(instructions...), 0x0b)) }

// export is an export item.
func export(name string, kind, index int) []byte { return cat(name, kind, uleb(index)) }

const (
	i32 = 0x7f
	i64 = 0x7e
	f64 = 0x7c
)
