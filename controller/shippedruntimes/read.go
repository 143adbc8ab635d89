package shippedruntimes

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// entry is one key of the ConfigMap.
type entry struct {
	key string
	// runtime is what is to be; nil with err.
	runtime *unstructured.Unstructured
	err     error
}

// read answers the entries in the order of their keys. Only what the CustomResourceDefinition lets through is an entry
// without error, so that applying it fails for other reasons only.
func read(data map[string]string, kind kind) []entry {
	var entries []entry
	names := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		runtime, err := readOne([]byte(data[key]), kind)
		if err == nil {
			if other, taken := names[runtime.GetName()]; taken {
				runtime, err = nil, fmt.Errorf("runtime %s is in %s already", runtime.GetName(), other)
			} else {
				names[runtime.GetName()] = key
			}
		}
		entries = append(entries, entry{key, runtime, err})
	}
	return entries
}

func readOne(text []byte, kind kind) (*unstructured.Unstructured, error) {
	// Typed first: a field of the wrong type is an error here and not only at the API server.
	var typed v1alpha1.ServingRuntime
	if err := yaml.Unmarshal(text, &typed); err != nil {
		return nil, err
	}
	switch want := v1alpha1.GroupVersion.String(); {
	case typed.APIVersion != want || typed.Kind != kind.name:
		return nil, fmt.Errorf("it is a %s of %s: only a %s of %s is kept", typed.Kind, typed.APIVersion, kind.name, want)
	case typed.Name == "":
		return nil, fmt.Errorf("it has no metadata.name")
	case len(typed.Spec.Containers) == 0:
		return nil, fmt.Errorf("it has no spec.containers")
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	runtime := &unstructured.Unstructured{Object: fields}
	runtime.SetNamespace(kind.namespace)
	return runtime, nil
}
