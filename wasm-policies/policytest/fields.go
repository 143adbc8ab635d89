package policytest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// filler sets fields of the ABI's structs by their names in the ABI.
type filler struct{ now time.Time }

// maxEnum is past the last value of any enum of the ABI.
const maxEnum = 256

func fill[Context, Row any](f filler, d document, context *Context, rows []Row) error {
	if err := f.fields("context", d.Context, context); err != nil {
		return err
	}
	for i := range rows {
		if err := f.fields(fmt.Sprintf("rows[%d]", i), d.Rows[i], &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// fields sets the fields of the struct that to points at.
func (f filler) fields(where string, values map[string]any, to any) error {
	target := reflect.ValueOf(to).Elem()
	for _, name := range slices.Sorted(maps.Keys(values)) { // Of several bad ones the same is told each time.
		value := values[name]
		field := target.FieldByNameFunc(func(field string) bool { return snake(field) == name })
		if !field.IsValid() {
			return fmt.Errorf("%s: no field is named %q; there are %s", where, name, strings.Join(names(target.Type()), ", "))
		}
		if err := f.set(field, name, value); err != nil {
			return fmt.Errorf("%s.%s: %w", where, name, err)
		}
	}
	return nil
}

func (f filler) set(field reflect.Value, name string, value any) error {
	switch value := value.(type) {
	case string:
		if field.Kind() == reflect.String {
			field.SetString(value)
			return nil
		}
		if strings.HasSuffix(name, "_ms") {
			return f.setMs(field, value)
		}
		if isSize(name) {
			return setSize(field, value)
		}
		return setEnum(field, value)
	case []any:
		for _, flag := range value {
			if err := setFlag(field, fmt.Sprint(flag)); err != nil {
				return err
			}
		}
		return nil
	case float64: // As YAML's numbers come.
		if field.Kind() == reflect.String {
			return fmt.Errorf("YAML takes it for the number %v: write it in quotes", value)
		}
		return setNumber(field, value)
	case bool:
		if field.Kind() == reflect.String {
			return fmt.Errorf("YAML takes it for %v: write it in quotes", value)
		}
		if value {
			return setNumber(field, 1)
		}
		return nil
	}
	return fmt.Errorf("%v is neither a number nor a name", value)
}

func setNumber(field reflect.Value, value float64) error {
	const exact = 1 << 53
	switch {
	case value != float64(int64(value)) || value > exact || value < -exact:
		return fmt.Errorf("%v is not an integer of at most 53 bits", value)
	case field.CanInt() && !field.OverflowInt(int64(value)):
		field.SetInt(int64(value))
	case field.CanUint() && value >= 0 && !field.OverflowUint(uint64(value)):
		field.SetUint(uint64(value))
	default:
		return fmt.Errorf("%v does not fit into %s", value, field.Kind())
	}
	return nil
}

func setEnum(field reflect.Value, name string) error {
	value, err := find(field, name, func(i int) uint64 { return uint64(i) })
	if err == nil {
		field.SetUint(value)
	}
	return err
}

func setFlag(field reflect.Value, name string) error {
	value, err := find(field, name, func(i int) uint64 { return 1 << i })
	if err == nil {
		field.SetUint(field.Uint() | value)
	}
	return err
}

// find looks a word up among the values of the field's type, which value lists: each of an enum, or each bit of flags.
func find(field reflect.Value, name string, value func(i int) uint64) (uint64, error) {
	if !field.CanUint() || field.Type().PkgPath() == "" {
		return 0, fmt.Errorf("%q is not a number", name)
	}
	candidate := reflect.New(field.Type()).Elem()
	var words []string
	for i := range maxEnum {
		v := value(i)
		if candidate.OverflowUint(v) {
			break
		}
		candidate.SetUint(v)
		word := fmt.Sprint(candidate.Interface())
		if strings.EqualFold(word, name) {
			return v, nil
		}
		// A value that has no word is written as a number, several flags with | between.
		if word != "" && !strings.ContainsAny(word, "|0123456789") {
			words = append(words, word)
		}
	}
	return 0, fmt.Errorf("%q is not a value of %s; there are %s", name, field.Type().Name(), strings.Join(words, ", "))
}

// snake turns Go's name of a field into the ABI's: CopyID into copy_id, Reclaim16th into reclaim_16th.
func snake(name string) string {
	var b strings.Builder
	word := func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' }
	previous := '_'
	for _, r := range name {
		if word(r) && !word(previous) && previous != '_' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
		previous = r
	}
	return strings.ToLower(b.String())
}

func names(t reflect.Type) []string {
	var all []string
	for i := range t.NumField() {
		all = append(all, snake(t.Field(i).Name))
	}
	return all
}
