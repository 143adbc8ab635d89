package main

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/wasmesh/wasmesh/sdk/policyabi/internal/schema"
)

// functions of all templates.
func functions(d data) template.FuncMap {
	return template.FuncMap{
		"camel":       camel,
		"lower":       strings.ToLower,
		"upper":       strings.ToUpper,
		"snake":       snake,
		"sentence":    sentence,
		"struct":      d.StructNamed,
		"enum":        d.EnumNamed,
		"flags":       d.FlagsNamed,
		"goType":      func(f schema.Field) string { return goType(d.Qualifier, f) },
		"goInt":       goInt,
		"put":         put,
		"get":         get,
		"fillable":    fillable,
		"hasName":     hasName,
		"article":     article,
		"used":        func(enum string) bool { return used(d.Schema, enum) },
		"offset":      func(name, field string) (int, error) { return offset(d.Schema, name, field) },
		"cType":       cType,
		"cGet":        cGet,
		"rustType":    rustType,
		"rustGet":     rustGet,
		"mixed":       mixed,
		"fieldsOf":    func(s *schema.Struct, size string) fields { return fields{s.Fields, size} },
		"enumsOf":     func(hook string) []schema.Enum { return enumsOf(d.Schema, hook) },
		"flagsOf":     func(hook string) []schema.Flags { return flagsOf(d.Schema, hook) },
		"cell":        func(text string) string { return strings.ReplaceAll(text, "|", "\\|") },
		"readAt":      readAt,
		"leastHeader": func() int { return leastHeader(d.Schema) },
		"getWire": func(d string, f schema.Field, typ string) string {
			return strings.Replace(get(d, f, typ), d+".u", d+".U", 1)
		},
		"allowed": func(f schema.Field) string { return allowed(d.Schema, f) },
		"slice2":  func(a ...string) []string { return a },
	}
}

// camel makes NeedMemory of need_memory. Go writes ID in capitals.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		switch word {
		case "id":
			b.WriteString("ID")
		default:
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// snake makes model_load_failed of ModelLoadFailed.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if r >= 'A' && r <= 'Z' && i > 0 {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}

// sentence is what a field means, with its unit.
func sentence(f schema.Field) string {
	switch {
	case f.Unit != "" && f.Doc != "":
		return f.Doc + ", " + f.Unit
	case f.Unit != "":
		return f.Unit
	}
	return f.Doc
}

func article(word string) string {
	if strings.ContainsRune("AEIOU", rune(word[0])) {
		return "an"
	}
	return "a"
}

func goInt(typ string) string {
	return map[string]string{"u16": "uint16", "u32": "uint32", "i32": "int32", "u64": "uint64", "i64": "int64"}[typ]
}

func goType(qualifier string, f schema.Field) string {
	switch {
	case f.Enum != "":
		return qualifier + f.Enum
	case f.Flag != "":
		return qualifier + f.Flag
	}
	return goInt(f.Type)
}

// put is the statement that writes a Go value into b.
func put(f schema.Field, value string) string {
	bits := 8 * f.Bytes()
	if f.Type != fmt.Sprintf("u%d", bits) || f.Enum != "" || f.Flag != "" {
		value = fmt.Sprintf("uint%d(%s)", bits, value)
	}
	return fmt.Sprintf("binary.LittleEndian.PutUint%d(b[%d:%d], %s)", bits, f.Offset, f.End(), value)
}

// readAt is the expression that reads a field of a struct that response begins with.
func readAt(f schema.Field) string {
	return fmt.Sprintf("binary.LittleEndian.Uint%d(response[%d:])", 8*f.Bytes(), f.Offset)
}

// leastHeader is the size of the first version's header: every host writes all that describes the request.
func leastHeader(abi *schema.Schema) int {
	least := 0
	for _, f := range abi.StructNamed("Header").Fields {
		if f.Computed {
			least = max(least, f.End())
		}
	}
	return least
}

// get is the expression that reads a record's field.
func get(d string, f schema.Field, typ string) string {
	expression := fmt.Sprintf("%s.u%d(%d)", d, 8*f.Bytes(), f.Offset)
	if typ == fmt.Sprintf("uint%d", 8*f.Bytes()) {
		return expression
	}
	return typ + "(" + expression + ")"
}

// fillable fields are those that a caller of the encoder fills as integers.
func fillable(s *schema.Struct) []schema.Field {
	var fields []schema.Field
	for _, f := range s.Fields {
		if !f.Computed && !f.Reserved() && f.Name != "name_off" && f.Name != "name_len" {
			fields = append(fields, f)
		}
	}
	return fields
}

// hasName returns the field that says where the name is, or nil.
func hasName(s *schema.Struct) *schema.Field {
	for i, f := range s.Fields {
		if f.Name == "name_off" {
			return &s.Fields[i]
		}
	}
	return nil
}

// allowed says in words which values a field of an answer may have.
func allowed(abi *schema.Schema, f schema.Field) string {
	if f.Enum == "" {
		return fmt.Sprintf("at most %d", f.Max)
	}
	var names []string
	for _, v := range abi.EnumNamed(f.Enum).Values {
		names = append(names, v.Name)
	}
	words := "one of " + strings.Join(names, ", ")
	if !f.NonZero {
		words += ", or 0"
	}
	return words
}
