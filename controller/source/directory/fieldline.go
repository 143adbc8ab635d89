package directory

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// fieldError says which field of a document has the wrong type. It is made of what encoding/json says; the decoder that
// follows the API server's rules (field names by case) keeps that to itself.
type fieldError struct {
	// path of field names, list indexes left out; empty for the document itself.
	path []string
	// found is the JSON type that was found, want the Go type that was wanted.
	found string
	want  reflect.Type
	// problem, if not empty, is what is wrong with a value whose type is right.
	problem string
}

func (e *fieldError) Error() string {
	if len(e.path) == 0 {
		return fmt.Sprintf("a %s where an object is wanted", e.found)
	}
	if e.problem != "" {
		return fmt.Sprintf("field %s: %s", strings.Join(e.path, "."), e.problem)
	}
	return fmt.Sprintf("field %s is a %s, want %s", strings.Join(e.path, "."), e.found, wanted(e.want.Kind()))
}

// explain makes a fieldError of a decoding error where it can. target is a fresh value of the type decoded into.
func explain(err error, data []byte, target any) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(json.Unmarshal(data, target), &wrong) {
		if e := badBase64(data); e != nil {
			return e
		}
		return err
	}
	e := &fieldError{found: wrong.Value, want: wrong.Type}
	for name := range strings.SplitSeq(wrong.Field, ".") {
		// Embedded structs appear under their Go name, which no field of ours could be taken for.
		if name != "" && (name[0] < 'A' || name[0] > 'Z') {
			e.path = append(e.path, name)
		}
	}
	return e
}

// badBase64 finds the value of a ConfigMap or Secret that should be base64 and is not, the first by name; nil for none. The
// decoder does not say which one it was.
func badBase64(data []byte) *fieldError {
	var object struct {
		Kind             string
		Data, BinaryData map[string]any
	}
	if json.Unmarshal(data, &object) != nil {
		return nil
	}
	field, values := "binaryData", object.BinaryData
	if object.Kind == "Secret" {
		field, values = "data", object.Data
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text, _ := values[key].(string)
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			return &fieldError{path: []string{field, key}, problem: fmt.Sprintf("not base64: %v", err)}
		}
	}
	return nil
}

// wanted says in YAML's words what a field of a Go kind takes.
func wanted(kind reflect.Kind) string {
	switch kind {
	case reflect.String:
		return "a string (put it in quotes)"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

// fieldLine is the line of the file that err complains about, or the value's first line when that cannot be told. It
// follows the names through block style YAML, or JSON that is indented, each name deeper than the name before it: that
// needs no parser that keeps positions, and where the style defeats it, the line is the deepest one that was found.
func (d document) fieldLine(v value, err error) int {
	var wrong *fieldError
	if !errors.As(err, &wrong) || len(wrong.path) == 0 {
		return v.line
	}
	lines := strings.Split(string(d.text), "\n")
	line, _ := locate(lines, v.line-d.line, -1, wrong)
	if line < 0 {
		return v.line
	}
	return d.line + line
}

// locate looks for e.path in lines, from the index start on, as long as they are deeper than depth. whole says that the
// entire path was found; otherwise line is that of its first names, or -1.
func locate(lines []string, start, depth int, e *fieldError) (line int, whole bool) {
	line = -1
	for at := start; at < len(lines); at++ {
		name := strings.TrimLeft(lines[at], " \t-")
		indent := len(lines[at]) - len(name)
		if name == "" || name[0] == '#' {
			continue
		}
		if indent <= depth {
			break
		}
		text, found := cutKey(name, e.path[0])
		if !found {
			continue
		}
		if len(e.path) == 1 {
			if e.matches(text) {
				return at, true
			}
			continue
		}
		rest := &fieldError{path: e.path[1:], found: e.found}
		below, whole := locate(lines, at+1, indent, rest)
		if whole {
			return below, true
		}
		if line < 0 {
			line = max(at, below)
		}
	}
	return line, false
}

// cutKey takes a key, bare or quoted, and its colon off the start of a line.
func cutKey(line, key string) (text string, found bool) {
	for _, form := range []string{key, `"` + key + `"`, "'" + key + "'"} {
		if rest, is := strings.CutPrefix(line, form); is {
			if rest, is = strings.CutPrefix(strings.TrimLeft(rest, " \t"), ":"); is {
				return strings.TrimRight(strings.TrimSpace(rest), ","), true
			}
		}
	}
	return "", false
}

// matches tells whether the text after a key may be a value of the type that was found: of several elements of a list,
// it picks the one that is wrong.
func (e *fieldError) matches(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	isNumber := err == nil
	switch {
	case strings.HasPrefix(e.found, "number"):
		return isNumber || text == ""
	case e.found == "string":
		return !isNumber
	default:
		return true
	}
}
