package policytest

import (
	"fmt"
	"reflect"
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
	for name, value := range values {
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
			return f.setTime(field, value)
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

// setTime takes a time, or a duration from now.
func (f filler) setTime(field reflect.Value, value string) error {
	if d, err := time.ParseDuration(value); err == nil && field.CanInt() {
		field.SetInt(f.now.Add(d).UnixMilli())
		return nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil || !field.CanInt() {
		return fmt.Errorf("%q is neither a time such as 2026-01-01T00:00:00Z nor a duration such as -5m", value)
	}
	field.SetInt(at.UnixMilli())
	return nil
}

func setEnum(field reflect.Value, name string) error {
	if !field.CanUint() || field.Type().PkgPath() == "" {
		return fmt.Errorf("%q is not a number", name)
	}
	candidate := reflect.New(field.Type()).Elem()
	for value := range uint64(maxEnum) {
		if candidate.SetUint(value); strings.EqualFold(fmt.Sprint(candidate.Interface()), name) {
			field.SetUint(value)
			return nil
		}
	}
	return fmt.Errorf("%q is not a value of %s", name, field.Type().Name())
}

func setFlag(field reflect.Value, name string) error {
	if !field.CanUint() || field.Type().PkgPath() == "" {
		return fmt.Errorf("%q is not a number", name)
	}
	candidate := reflect.New(field.Type()).Elem()
	for bit := range field.Type().Bits() {
		if candidate.SetUint(1 << bit); strings.EqualFold(fmt.Sprint(candidate.Interface()), name) {
			field.SetUint(field.Uint() | 1<<bit)
			return nil
		}
	}
	return fmt.Errorf("%q is not a value of %s", name, field.Type().Name())
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
