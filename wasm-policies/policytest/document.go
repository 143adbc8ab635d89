package policytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// document is a scenario as it is written.
type document struct {
	Name    string           `json:"name"`
	Hook    string           `json:"hook"`
	Now     string           `json:"now"`
	Config  string           `json:"config"`
	Seed    uint64           `json:"seed"`
	Context map[string]any   `json:"context"`
	Rows    []map[string]any `json:"rows"`
	Want    Want             `json:"want"`
}

// key of a document, or of want in it.
type key struct{ name, form string }

// documentKeys in the order in which they are best written, and what each is.
func documentKeys() []key {
	return []key{
		{"name", "text: what the scenario shows, in a sentence"},
		{"hook", "one of place, evict, status"},
		{"now", "a time such as " + defaultNow},
		{"config", "text: lines of key=integer"},
		{"seed", "an integer that is not negative"},
		{"context", "fields with values: {need_memory: 10Mi}"},
		{"rows", "a list of fields with values: [{name: a, rate: 5}]"},
		{"want", "what it should answer: {order: [a, b]}, {first: a}, {status: {ready: 1}} or {abstain: true}"},
	}
}

// wantKeys are those of want.
func wantKeys() []key {
	return []key{
		{"order", "a list of rows by name: [a, b]"},
		{"first", "the name of a row"},
		{"status", "fields with values: {ready: 1}"},
		{"abstain", "true or false"},
	}
}

// decode reads one YAML document. Its errors are about what is written in it: the decoder's name Go's types.
func decode(part []byte) (d document, err error) {
	if err = yaml.UnmarshalStrict(part, &d); err == nil {
		return d, nil
	}
	var form *json.UnmarshalTypeError
	if errors.As(err, &form) {
		return d, explainForm(form.Field, err)
	}
	var written map[string]any
	if yaml.Unmarshal(part, &written) != nil {
		return d, err // No YAML: the error has the line.
	}
	if unknown := unknownKey("", written, documentKeys()); unknown != nil {
		return d, unknown
	}
	want, _ := written["want"].(map[string]any)
	if unknown := unknownKey("want: ", want, wantKeys()); unknown != nil {
		return d, unknown
	}
	return d, err
}

// explainForm says what belongs where something else was found. field is a path of keys.
func explainForm(field string, err error) error {
	name, below, _ := strings.Cut(field, ".")
	keys, where := documentKeys(), ""
	if name == "want" && below != "" {
		name, _, _ = strings.Cut(below, ".")
		keys, where = wantKeys(), "want."
	}
	for _, k := range keys {
		if k.name == name {
			return fmt.Errorf("%s%s is %s", where, k.name, k.form)
		}
	}
	if field == "" {
		return fmt.Errorf("a scenario is written as keys with values; there are %s", keyNames(keys))
	}
	return err
}

// unknownKey is an error about the first of them; nil when all are known.
func unknownKey(where string, written map[string]any, keys []key) error {
	for _, name := range slices.Sorted(maps.Keys(written)) {
		if !slices.ContainsFunc(keys, func(k key) bool { return strings.EqualFold(k.name, name) }) {
			return fmt.Errorf("%sno key is named %q; there are %s", where, name, keyNames(keys))
		}
	}
	return nil
}

func keyNames(keys []key) string {
	var all []string
	for _, k := range keys {
		all = append(all, k.name)
	}
	return strings.Join(all, ", ")
}
