package servingruntime

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// AnnotationApplied holds a digest of what was applied: an object that has the digest of what is wanted lacks nothing, and
// has nothing that was wanted before and is no more.
const AnnotationApplied = "wasmesh.dev/applied"

// fields answers an object as what is applied: with its kind and AnnotationApplied, without status and nulls. The digest is
// over all of it. Where a Deployment's number of pods is not the object's to say (withoutPods), it is set afterwards, and
// does not count.
func fields(o client.Object, kind schema.GroupVersionKind) (*unstructured.Unstructured, error) {
	content, err := contentOf(o)
	if err != nil {
		return nil, err
	}
	delete(content, "status")
	withoutNulls(content)
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kind)
	b, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", kind.Kind, o.GetName(), err)
	}
	sum := sha256.Sum256(b)
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[AnnotationApplied] = hex.EncodeToString(sum[:8])
	u.SetAnnotations(annotations)
	return u, nil
}

// says that an object has everything that is wanted, and nothing that was wanted before and is no more.
func says(there client.Object, wanted *unstructured.Unstructured) (bool, error) {
	if there.GetAnnotations()[AnnotationApplied] != wanted.GetAnnotations()[AnnotationApplied] {
		return false, nil
	}
	have, err := contentOf(there)
	if err != nil {
		return false, err
	}
	want := maps.Clone(wanted.Object)
	// Objects of the cache need not say their kind, and the version does not count.
	delete(want, "apiVersion")
	delete(want, "kind")
	want["metadata"] = maps.Clone(wanted.Object["metadata"].(map[string]any))
	delete(want["metadata"].(map[string]any), "resourceVersion")
	return covers(have, want), nil
}

// contentOf answers an object as JSON would have it. The answer may be changed.
func contentOf(o client.Object) (map[string]any, error) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return u.DeepCopy().Object, nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("encode %T %s: %w", o, o.GetName(), err)
	}
	return content, nil
}

// withoutNulls removes them from maps, at any depth.
func withoutNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if value == nil {
				delete(v, key)
				continue
			}
			withoutNulls(value)
		}
	case []any:
		for _, value := range v {
			withoutNulls(value)
		}
	}
}

// covers says that an object has every field that is wanted, with its value. It may have more: what others write, and what
// the API server fills in. Of a list of maps each has to be there, anywhere; any other list has to be the same.
func covers(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		for key, value := range want {
			if isEmpty(value) && have[key] == nil {
				continue
			}
			if !ok || !covers(have[key], value) {
				return false
			}
		}
		return true
	case []any:
		have, ok := have.([]any)
		return (ok || len(want) == 0) && coversList(have, want)
	}
	return sameScalar(have, want)
}

func coversList(have, want []any) bool {
	if len(want) > 0 {
		if _, areMaps := want[0].(map[string]any); !areMaps {
			return len(have) == len(want) && reflect.DeepEqual(have, want)
		}
	}
	for i, w := range want {
		// Most lists have the order in which they were written.
		found := i < len(have) && covers(have[i], w)
		for j := 0; !found && j < len(have); j++ {
			found = covers(have[j], w)
		}
		if !found {
			return false
		}
	}
	return true
}

// isEmpty says that an absent field means the same.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	case bool:
		return !v
	}
	return false
}

// sameScalar: numbers are int64 or float64, depending on who read them.
func sameScalar(a, b any) bool {
	x, xok := number(a)
	y, yok := number(b)
	if xok && yok {
		return x == y
	}
	return reflect.DeepEqual(a, b)
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
