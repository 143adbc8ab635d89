// Package schema reads the policy ABI's schema (sdk/policyabi/abi.yaml), checks its rules and lays its structs out. It is pure;
// the generator and its tests call it. Whatever it accepts keeps to the promises that every codec and guest SDK relies on:
// fields are aligned to their size, structs have no holes and a size that is a multiple of 8, and every reference resolves.
package schema

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Schema is the whole of abi.yaml.
type Schema struct {
	ABI     ABI      `json:"abi"`
	Exports []Export `json:"exports"`
	Imports []Import `json:"imports"`
	Enums   []Enum   `json:"enums"`
	Flags   []Flags  `json:"flags"`
	Structs []Struct `json:"structs"`
}

// ABI is the version, and the first four bytes of every request.
type ABI struct {
	Major uint16 `json:"major"`
	Minor uint16 `json:"minor"`
	Magic uint32 `json:"magic"`
}

// Export is what a module exports. Const is its name in constants.
type Export struct {
	Name      string `json:"name"`
	Const     string `json:"const"`
	Hook      string `json:"hook"`
	Signature string `json:"signature"`
	Required  bool   `json:"required"`
	Doc       string `json:"doc"`
}

// Import is what the host offers to a module.
type Import struct {
	Module    string `json:"module"`
	Name      string `json:"name"`
	Const     string `json:"const"`
	Signature string `json:"signature"`
	Doc       string `json:"doc"`
}

// Enum is a list of named values from 1 on, 16 bits wide. 0 is nothing or unknown.
type Enum struct {
	Name   string  `json:"name"`
	Doc    string  `json:"doc"`
	Values []Value `json:"values"`
}

// Value of an enum.
type Value struct {
	Name  string `json:"name"`
	Value uint16 `json:"value"`
	Doc   string `json:"doc"`
}

// Flags is a set of named bits. Its width is that of the fields that hold it.
type Flags struct {
	Name   string `json:"name"`
	Doc    string `json:"doc"`
	Values []Bit  `json:"values"`
	// Type is u16 or u32; computed.
	Type string `json:"-"`
}

// Bit of a set of flags.
type Bit struct {
	Name string `json:"name"`
	Bit  uint   `json:"bit"`
	Doc  string `json:"doc"`
}

// Struct is the header, a hook's context, its row, or its answer.
type Struct struct {
	Name   string  `json:"name"`
	Doc    string  `json:"doc"`
	Answer bool    `json:"answer"`
	Fields []Field `json:"fields"`
	// Size in bytes; computed.
	Size int `json:"-"`
}

// Field of a struct.
type Field struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Unit string `json:"unit"`
	Enum string `json:"enum"`
	Flag string `json:"flags"`
	Doc  string `json:"doc"`
	// Computed fields describe the request itself: an encoder fills them, not its caller.
	Computed bool `json:"computed"`
	// NonZero fields of an answer must be filled.
	NonZero bool `json:"nonzero"`
	// Max is the largest value of an answer's field that is neither an enum nor free; 0 for none.
	Max uint64 `json:"max"`
	// Offset in bytes; computed.
	Offset int `json:"-"`
}

// Bytes that the field takes.
func (f Field) Bytes() int { return sizes[f.Type] }

// End is the offset of the first byte after the field.
func (f Field) End() int { return f.Offset + f.Bytes() }

// Reserved fields are written as 0 and ignored by readers.
func (f Field) Reserved() bool { return strings.HasPrefix(f.Name, "reserved") }

var sizes = map[string]int{"u16": 2, "u32": 4, "i32": 4, "u64": 8, "i64": 8}

// Parse reads a schema and lays it out. Its errors name the struct and the field.
func Parse(text []byte) (*Schema, error) {
	var s Schema
	if err := yaml.UnmarshalStrict(text, &s); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	if err := s.Layout(); err != nil {
		return nil, err
	}
	return &s, nil
}

// Layout computes offsets, sizes and widths, and checks every rule of the schema.
func (s *Schema) Layout() error {
	if err := s.checkEnums(); err != nil {
		return err
	}
	for i := range s.Structs {
		if err := s.layout(&s.Structs[i]); err != nil {
			return err
		}
	}
	for i := range s.Flags {
		if err := s.flagType(&s.Flags[i]); err != nil {
			return err
		}
	}
	return s.checkHooks()
}

// checkEnums lets readers tell the values that there are by the number of them.
func (s *Schema) checkEnums() error {
	for _, e := range s.Enums {
		for i, v := range e.Values {
			if int(v.Value) != i+1 {
				return fmt.Errorf("enum %s: value %d of %s must be %d: values go up from 1", e.Name, v.Value, v.Name, i+1)
			}
		}
	}
	return nil
}

func (s *Schema) layout(st *Struct) error {
	offset := 0
	for i := range st.Fields {
		f := &st.Fields[i]
		size, ok := sizes[f.Type]
		if !ok {
			return fmt.Errorf("struct %s: field %s has type %q; use one of u16, u32, i32, u64, i64", st.Name, f.Name, f.Type)
		}
		if offset%size != 0 {
			return fmt.Errorf("struct %s: field %s would be at offset %d, which is not a multiple of its %d bytes: reorder fields or add a reserved one",
				st.Name, f.Name, offset, size)
		}
		if f.Enum != "" && (s.EnumNamed(f.Enum) == nil || f.Type != "u16") {
			return fmt.Errorf("struct %s: field %s must be a u16 of an enum that exists, not %s of %s", st.Name, f.Name, f.Type, f.Enum)
		}
		f.Offset = offset
		offset += size
	}
	if offset == 0 || offset%8 != 0 {
		return fmt.Errorf("struct %s has %d bytes, which is not a multiple of 8: add reserved fields", st.Name, offset)
	}
	st.Size = offset
	return nil
}

func (s *Schema) flagType(flags *Flags) error {
	for _, st := range s.Structs {
		for _, f := range st.Fields {
			if f.Flag != flags.Name {
				continue
			}
			if flags.Type != "" && flags.Type != f.Type || !slices.Contains([]string{"u16", "u32"}, f.Type) {
				return fmt.Errorf("struct %s: field %s has type %s; flags %s must be u16 or u32, the same everywhere", st.Name, f.Name, f.Type, flags.Name)
			}
			flags.Type = f.Type
		}
	}
	if flags.Type == "" {
		return fmt.Errorf("flags %s: no field holds them", flags.Name)
	}
	for _, v := range flags.Values {
		if v.Bit >= uint(8*sizes[flags.Type]) {
			return fmt.Errorf("flags %s: bit %d of %s does not fit into %s", flags.Name, v.Bit, v.Name, flags.Type)
		}
	}
	return nil
}

// checkHooks holds the generator's assumption: a hook that modules export has a context, rows and an answer.
func (s *Schema) checkHooks() error {
	if s.StructNamed("Header") == nil {
		return fmt.Errorf("schema has no struct Header")
	}
	for _, hook := range s.Hooks() {
		for _, part := range []string{"Context", "Row", "Answer"} {
			if s.StructNamed(hook+part) == nil {
				return fmt.Errorf("hook %s has no struct %s%s", hook, hook, part)
			}
		}
	}
	return nil
}

// Hooks lists those that modules can export, in the order of the schema.
func (s *Schema) Hooks() []string {
	var hooks []string
	for _, e := range s.Exports {
		if e.Hook != "" {
			hooks = append(hooks, e.Hook)
		}
	}
	return hooks
}

// EnumNamed returns nil when there is none.
func (s *Schema) EnumNamed(name string) *Enum {
	for i := range s.Enums {
		if s.Enums[i].Name == name {
			return &s.Enums[i]
		}
	}
	return nil
}

// FlagsNamed returns nil when there are none.
func (s *Schema) FlagsNamed(name string) *Flags {
	for i := range s.Flags {
		if s.Flags[i].Name == name {
			return &s.Flags[i]
		}
	}
	return nil
}

// StructNamed returns nil when there is none.
func (s *Schema) StructNamed(name string) *Struct {
	for i := range s.Structs {
		if s.Structs[i].Name == name {
			return &s.Structs[i]
		}
	}
	return nil
}
