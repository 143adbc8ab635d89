package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Each function here makes the reader of one kind of value. As ModelMesh did, they take "8033" for 8033 and "true" for
// true. The error goes on after the key: "is X: it has to be Y".

func wrong(v any, allowed string) error {
	return fmt.Errorf("is %s: it has to be %s", show(v), allowed)
}

func boolean(at func(*Config) *bool) func(*parser, any) error {
	return func(p *parser, v any) error {
		switch fmt.Sprint(v) {
		case "true":
			*at(&p.config) = true
		case "false":
			*at(&p.config) = false
		default:
			return wrong(v, "true or false")
		}
		return nil
	}
}

func whole(v any, low, high int64) (int64, error) {
	s, _ := scalar(v)
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < low || n > high {
		return 0, wrong(v, fmt.Sprintf("a whole number from %d to %d", low, high))
	}
	return n, nil
}

func number[T int | int32](at func(*Config) *T, low, high int64) func(*parser, any) error {
	return func(p *parser, v any) error {
		n, err := whole(v, low, high)
		if err == nil {
			*at(&p.config) = T(n)
		}
		return err
	}
}

func port(at func(*Config) *int32) func(*parser, any) error { return number(at, 1, 65535) }

// maxSeconds is what ModelMesh's 16 bits hold.
const maxSeconds = 65535

func seconds(at func(*Config) *time.Duration) func(*parser, any) error {
	return func(p *parser, v any) error {
		n, err := whole(v, 0, maxSeconds)
		if err == nil {
			*at(&p.config) = time.Duration(n) * time.Second
		}
		return err
	}
}

// text is a string that passes the check, which answers what it has to be.
func text[T ~string](at func(*Config) *T, check func(string) string) func(*parser, any) error {
	return func(p *parser, v any) error {
		s, ok := scalar(v)
		if !ok {
			return wrong(v, "a string")
		}
		if allowed := check(s); allowed != "" {
			return wrong(v, allowed)
		}
		*at(&p.config) = T(s)
		return nil
	}
}

// scalar answers the text of a value that is no list or mapping.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// maxServiceName leaves the labels that carry the name room for that of a runtime: labels have 63 characters.
const maxServiceName = 40

func serviceName(s string) string {
	if len(s) > maxServiceName || len(validation.IsDNS1035Label(s)) > 0 {
		return fmt.Sprintf("the name of a Service: lower-case letters, digits and -, at most %d, the first a letter", maxServiceName)
	}
	return ""
}

func objectName(s string) string {
	if len(validation.IsDNS1123Subdomain(s)) > 0 {
		return "the name of an object: lower-case letters, digits, - and ."
	}
	return ""
}

func optionalName(s string) string {
	if s == "" {
		return ""
	}
	return objectName(s)
}

func clientAuth(s string) string {
	switch ClientAuth(s) {
	case ClientAuthNone, ClientAuthOptional, ClientAuthRequire:
		return ""
	}
	return `"optional", "require", or empty for none`
}

func labelValue(s string) string {
	if len(validation.IsValidLabelValue(s)) > 0 {
		return "the value of a label: at most 63 letters, digits, -, _ and ."
	}
	return ""
}

func metricsScheme(p *parser, v any) error {
	switch v {
	case "http":
		return nil
	case "https":
		p.warn("metrics.scheme", "https has no effect: metrics are served in plain HTTP, and what collects them is told so")
		return nil
	}
	return wrong(v, `"http"`)
}

// keyed adds to a map of labels or annotations.
func keyed(at func(*Config) *map[string]string, check func(string) string) func(*parser, any) error {
	return func(p *parser, v any) error {
		tree, ok := v.(map[string]any)
		if !ok {
			return wrong(v, "a mapping of names to strings")
		}
		merged := maps.Clone(*at(&p.config))
		if merged == nil {
			merged = map[string]string{}
		}
		for _, key := range slices.Sorted(maps.Keys(tree)) {
			value, ok := scalar(tree[key])
			switch {
			case len(validation.IsQualifiedName(strings.ToLower(key))) > 0:
				return fmt.Errorf("has the key %q: it has to be such as \"team\" or \"example.com/team\"", short(key))
			case !ok:
				return fmt.Errorf("has %s for the key %s: it has to be a string", show(tree[key]), key)
			case check != nil && check(value) != "":
				return fmt.Errorf("has %q for the key %s: it has to be %s", short(value), key, check(value))
			}
			merged[key] = value
		}
		*at(&p.config) = merged
		return nil
	}
}

// resources merges what is given over what there is.
func resources(p *parser, v any) error {
	const shape = "a mapping with requests and limits, each with cpu and memory"
	tree, ok := v.(map[string]any)
	if !ok {
		return wrong(v, shape)
	}
	merged := p.config.ModelMeshResources.DeepCopy()
	for _, part := range slices.Sorted(maps.Keys(tree)) {
		var into corev1.ResourceList
		switch strings.ToLower(part) {
		case "requests":
			into = merged.Requests
		case "limits":
			into = merged.Limits
		default:
			return fmt.Errorf("has the key %q: it has to be %s", short(part), shape)
		}
		if tree[part] == nil {
			continue
		}
		if err := quantities(strings.ToLower(part), tree[part], into); err != nil {
			return err
		}
	}
	p.config.ModelMeshResources = *merged
	return nil
}

func quantities(part string, v any, into corev1.ResourceList) error {
	tree, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("has %s for %s: it has to be a mapping with cpu and memory", show(v), part)
	}
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		name := corev1.ResourceName(strings.ToLower(key))
		if name != corev1.ResourceCPU && name != corev1.ResourceMemory {
			return fmt.Errorf("has %s.%s: only cpu and memory can be set", part, short(key))
		}
		s, _ := scalar(tree[key])
		q, err := resource.ParseQuantity(s)
		if err != nil || q.Sign() <= 0 {
			return fmt.Errorf("has %s for %s.%s: it has to be a positive quantity such as %s", show(tree[key]), part, name,
				map[corev1.ResourceName]string{corev1.ResourceCPU: `"500m"`, corev1.ResourceMemory: `"512Mi"`}[name])
		}
		into[name] = q
	}
	return nil
}

func pullSecrets(p *parser, v any) error {
	entries, err := named(v, "name")
	if err != nil {
		return errors.New("has to be a list of {name: SECRET}")
	}
	secrets := make([]corev1.LocalObjectReference, 0, len(entries))
	for _, e := range entries {
		if allowed := objectName(e["name"]); allowed != "" {
			return fmt.Errorf("has the name %q: it has to be %s", short(e["name"]), allowed)
		}
		secrets = append(secrets, corev1.LocalObjectReference{Name: e["name"]})
	}
	p.config.ImagePullSecrets = secrets
	return nil
}

// environment never repeats a value, which may be a secret.
func environment(p *parser, v any) error {
	entries, err := named(v, "name", "value")
	if err != nil {
		return errors.New("has to be a list of {name: NAME, value: VALUE}")
	}
	variables := make([]corev1.EnvVar, 0, len(entries))
	for _, e := range entries {
		if len(validation.IsEnvVarName(e["name"])) > 0 {
			return fmt.Errorf("has the name %q: it has to be that of an environment variable", short(e["name"]))
		}
		// Of one that is there twice the last counts, as in a pod's spec, which server-side apply takes each once only.
		variables = slices.DeleteFunc(variables, func(v corev1.EnvVar) bool { return v.Name == e["name"] })
		variables = append(variables, corev1.EnvVar{Name: e["name"], Value: e["value"]})
	}
	p.config.InternalModelMeshEnvVars = variables
	if len(variables) > 0 {
		p.warn("internalModelMeshEnvVars", "are given to the host, to which variables of ModelMesh mean nothing")
	}
	return nil
}

// named reads a list of mappings that have no other keys, without regard to case.
func named(v any, keys ...string) ([]map[string]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errors.New("not a list")
	}
	entries := make([]map[string]string, 0, len(list))
	for _, item := range list {
		tree, ok := item.(map[string]any)
		if !ok {
			return nil, errors.New("not a mapping")
		}
		entry := map[string]string{}
		for key, value := range tree {
			lower := strings.ToLower(key)
			s, ok := scalar(value)
			if _, twice := entry[lower]; twice || !slices.Contains(keys, lower) || !ok && value != nil {
				return nil, errors.New("another key, or one twice")
			}
			entry[lower] = s
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func serverTypes(p *parser, v any) error {
	list, ok := v.([]any)
	if s, isText := v.(string); isText {
		// As ModelMesh, which split at commas.
		for _, name := range strings.Split(s, ",") {
			list = append(list, strings.TrimSpace(name))
		}
		ok = true
	}
	types := make([]string, 0, len(list))
	for _, item := range list {
		s, isScalar := scalar(item)
		ok = ok && isScalar && s != ""
		types = append(types, s)
	}
	if !ok {
		return wrong(v, "a list of names")
	}
	p.config.BuiltInServerTypes = types
	return nil
}
