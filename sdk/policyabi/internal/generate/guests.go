package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wasmesh/wasmesh/sdk/policyabi/internal/schema"
)

// fields of a struct whose size, as the writer knew it, is in a variable.
type fields struct {
	Fields []schema.Field
	Size   string
}

// used says whether a field is of this enum. Values of the others are only ever written by guests.
func used(abi *schema.Schema, enum string) bool {
	for _, s := range abi.Structs {
		for _, f := range s.Fields {
			if f.Enum == enum {
				return true
			}
		}
	}
	return false
}

func offset(abi *schema.Schema, name, field string) (int, error) {
	if s := abi.StructNamed(name); s != nil {
		for _, f := range s.Fields {
			if f.Name == field {
				return f.Offset, nil
			}
		}
	}
	return 0, fmt.Errorf("no field %s.%s", name, field)
}

// mixed makes needMemory of need_memory.
func mixed(name string) string {
	camel := camel(name)
	return strings.ToLower(camel[:1]) + camel[1:]
}

func cType(f schema.Field) string { return goInt(f.Type) + "_t" }

// cGet is the expression that reads a field of a record.
func cGet(record string, f schema.Field) string {
	return fmt.Sprintf("(%s)mesh__u%d(%s, %d)", cType(f), 8*f.Bytes(), record, f.Offset)
}

func rustType(f schema.Field) string {
	switch {
	case f.Enum != "":
		return f.Enum
	case f.Flag != "":
		return f.Flag
	}
	return f.Type
}

// rustGet is the expression that reads a field of a record.
func rustGet(record string, f schema.Field) string {
	expression := fmt.Sprintf("%s.u%d(%d)", record, 8*f.Bytes(), f.Offset)
	switch {
	case f.Enum != "" || f.Flag != "":
		return rustType(f) + "(" + expression + ")"
	case f.Type[0] == 'i':
		return expression + " as " + f.Type
	}
	return expression
}

// enumsOf and flagsOf are the words of a hook.
func enumsOf(abi *schema.Schema, hook string) []schema.Enum {
	var enums []schema.Enum
	for _, e := range abi.Enums {
		if mentions(abi, hook, func(f schema.Field) bool { return f.Enum == e.Name }) {
			enums = append(enums, e)
		}
	}
	return enums
}

func flagsOf(abi *schema.Schema, hook string) []schema.Flags {
	var flags []schema.Flags
	for _, e := range abi.Flags {
		if mentions(abi, hook, func(f schema.Field) bool { return f.Flag == e.Name }) {
			flags = append(flags, e)
		}
	}
	return flags
}

func mentions(abi *schema.Schema, hook string, is func(schema.Field) bool) bool {
	for _, part := range []string{"Context", "Row", "Answer"} {
		if slices.ContainsFunc(abi.StructNamed(hook+part).Fields, is) {
			return true
		}
	}
	return false
}
