package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// Parse reads the YAML of the ConfigMap over that of the chart's defaults file; either may be empty. Keys are those of
// ModelMesh, without regard to case. Maps are merged, lists and values replaced. The error names every key that cannot be
// followed, and the caller then keeps the last good Config.
func Parse(defaults, user []byte) (Config, []Warning, error) {
	p := &parser{config: Default()}
	var errs []error
	for _, document := range []struct {
		name string
		text []byte
	}{{"the defaults file", defaults}, {Key, user}} {
		if err := p.document(document.text); err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", document.name, err))
		}
	}
	errs = append(errs, p.agree())
	if err := errors.Join(errs...); err != nil {
		return Config{}, nil, err
	}
	return p.config, p.bounded(), nil
}

// parser collects what both documents say.
type parser struct {
	config   Config
	warnings []Warning
	errs     []error
}

// field is one key of a mapping.
type field struct {
	// key as ModelMesh writes it.
	key string
	// Of the next three one is set. Read takes over a value, or says what it has to be.
	read func(*parser, any) error
	// Group holds the keys of a mapping.
	group []field
	// Inert says why a value has no effect here; it is not read.
	inert string
}

func (p *parser) document(text []byte) error {
	tree, err := decode(text)
	if err != nil {
		return err
	}
	p.errs = nil
	p.mapping("", fields(), tree)
	return errors.Join(p.errs...)
}

// decode answers the mapping, nil for a text without one. Numbers keep their digits.
func decode(text []byte) (map[string]any, error) {
	document, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, fmt.Errorf("it is not valid YAML: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("it is not valid YAML: %w", err)
	}
	switch tree := tree.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return tree, nil
	}
	return nil, errors.New("it has to be a mapping of keys to values")
}

// mapping reads the keys of one mapping; path is that of its own key, with a dot.
func (p *parser) mapping(path string, known []field, tree map[string]any) {
	seen := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		lower := strings.ToLower(key)
		if other, twice := seen[lower]; twice {
			p.errs = append(p.errs, fmt.Errorf("%s is there twice, as %s and %s: remove one", path+short(lower), short(other), short(key)))
			continue
		}
		seen[lower] = key
		i := slices.IndexFunc(known, func(f field) bool { return strings.ToLower(f.key) == lower })
		if i < 0 {
			p.warn(path+short(key), "is not a key of model-serving-config, and has no effect")
			continue
		}
		// As for ModelMesh, a key without a value was not given.
		if tree[key] != nil {
			p.value(path+known[i].key, known[i], tree[key])
		}
	}
}

// value reads what stands under one key.
func (p *parser) value(path string, f field, v any) {
	switch {
	case f.inert != "":
		if !empty(v) {
			p.warn(path, f.inert)
		}
	case f.group != nil:
		tree, ok := v.(map[string]any)
		if !ok {
			p.errs = append(p.errs, fmt.Errorf("%s is %s: it has to be a mapping", path, show(v)))
			return
		}
		p.mapping(path+".", f.group, tree)
	default:
		if err := f.read(p, v); err != nil {
			p.errs = append(p.errs, fmt.Errorf("%s %w", path, err))
		}
	}
}

func (p *parser) warn(key, reason string) {
	w := Warning{Key: key, Reason: reason}
	if !slices.Contains(p.warnings, w) {
		p.warnings = append(p.warnings, w)
	}
}

// maxWarnings bounds how much is said of a ConfigMap that is something else.
const maxWarnings = 32

func (p *parser) bounded() []Warning {
	if more := len(p.warnings) - maxWarnings; more > 0 {
		return append(p.warnings[:maxWarnings:maxWarnings], Warning{Key, fmt.Sprintf("%d more keys have no effect", more)})
	}
	return p.warnings
}

// empty says that a value asks for nothing.
func empty(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, inner := range v {
			if inner != nil && !empty(inner) {
				return false
			}
		}
		return true
	}
	return v == nil
}

// maxShown bounds what is repeated of a value.
const maxShown = 64

// show names a value in an error.
func show(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	case string:
		return strconv.Quote(short(v))
	}
	return fmt.Sprint(v)
}

func short(s string) string {
	if len(s) > maxShown {
		return strings.ToValidUTF8(s[:maxShown], "") + "..."
	}
	return s
}
