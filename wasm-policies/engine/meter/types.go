package meter

import (
	"fmt"
	"strings"
)

// ValueType is a type of WebAssembly values, in its binary encoding.
type ValueType byte

// The value types (WebAssembly core specification 2.0, section 5.3).
const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	V128      ValueType = 0x7b
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
)

// String returns the name of t in the text format.
func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return fmt.Sprintf("%#02x", byte(t))
}

func (t ValueType) valid() bool { return t >= V128 && t <= I32 || t.reference() }

func (t ValueType) reference() bool { return t == FuncRef || t == ExternRef }

// FuncType is the type of a function.
type FuncType struct{ Params, Results []ValueType }

// Is reports whether t has these parameters and results.
func (t FuncType) Is(params, results []ValueType) bool {
	return string(valueBytes(t.Params)) == string(valueBytes(params)) &&
		string(valueBytes(t.Results)) == string(valueBytes(results))
}

// String returns t as in "(i32, i32) -> (i32)".
func (t FuncType) String() string { return list(t.Params) + " -> " + list(t.Results) }

func list(types []ValueType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return "(" + strings.Join(names, ", ") + ")"
}

func valueBytes(types []ValueType) []byte {
	b := make([]byte, len(types))
	for i, t := range types {
		b[i] = byte(t)
	}
	return b
}

// ExternKind is the kind of an import or export, in its binary encoding.
type ExternKind byte

// The kinds.
const (
	ExternFunc ExternKind = iota
	ExternTable
	ExternMemory
	ExternGlobal
)

// String returns the name of k in the text format.
func (k ExternKind) String() string {
	switch k {
	case ExternFunc:
		return "func"
	case ExternTable:
		return "table"
	case ExternMemory:
		return "memory"
	case ExternGlobal:
		return "global"
	}
	return fmt.Sprintf("kind %d", byte(k))
}
