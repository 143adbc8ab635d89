package servingruntime

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestCovers(t *testing.T) {
	for name, test := range map[string]struct {
		have, want string
		covers     bool
	}{
		"the same":                      {`{"a":1,"b":["x"]}`, `{"a":1,"b":["x"]}`, true},
		"another value":                 {`{"a":1}`, `{"a":2}`, false},
		"more fields":                   {`{"a":1,"b":2}`, `{"a":1}`, true},
		"a field less":                  {`{"a":1}`, `{"a":1,"b":2}`, false},
		"below":                         {`{"a":{"b":1,"c":2}}`, `{"a":{"b":1}}`, true},
		"nothing below":                 {`{}`, `{"a":{"b":1}}`, false},
		"empty is absent":               {`{}`, `{"a":{},"b":[],"c":"","d":false,"e":null}`, true},
		"empty is not what is there":    {`{"a":"x"}`, `{"a":""}`, false},
		"zero is not absent":            {`{}`, `{"a":0}`, false},
		"arguments in order":            {`{"a":["x","y"]}`, `{"a":["y","x"]}`, false},
		"arguments more":                {`{"a":["x","y"]}`, `{"a":["x"]}`, false},
		"containers in another order":   {`[{"name":"a","image":"1"},{"name":"b","image":"2"}]`, `[{"name":"b","image":"2"},{"name":"a"}]`, true},
		"a container of others":         {`[{"name":"a"},{"name":"b"}]`, `[{"name":"b"}]`, true},
		"a container less":              {`[{"name":"a"}]`, `[{"name":"a"},{"name":"b"}]`, false},
		"a container of another image":  {`[{"name":"a","image":"1"}]`, `[{"name":"a","image":"2"}]`, false},
		"a list where there is a map":   {`{"a":{"b":1}}`, `{"a":[{"b":1}]}`, false},
		"a map where there is a number": {`{"a":1}`, `{"a":{"b":1}}`, false},
	} {
		var have, want any
		if err := json.Unmarshal([]byte(test.have), &have); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(test.want), &want); err != nil {
			t.Fatal(err)
		}
		if got := covers(have, want); got != test.covers {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !covers(map[string]any{"a": int64(1)}, map[string]any{"a": float64(1)}) {
		t.Error("one number is read in two ways")
	}
}

// What others own as updates becomes one set of ours, but for the number of pods.
func TestAdopted(t *testing.T) {
	entry := func(manager string, operation metav1.ManagedFieldsOperationType, subresource, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: operation, APIVersion: "apps/v1", Subresource: subresource, FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(fields),
		}
	}
	const update, apply = metav1.ManagedFieldsOperationUpdate, metav1.ManagedFieldsOperationApply
	for name, test := range map[string]struct {
		entries []metav1.ManagedFieldsEntry
		// want is the sets by manager.
		want    map[string]string
		changed bool
	}{
		"ModelMesh's": {
			[]metav1.ManagedFieldsEntry{
				entry("manager", update, "", `{"f:spec":{"f:replicas":{},"f:template":{"f:a":{}}}}`),
				entry("kubectl-edit", update, "", `{"f:spec":{"f:template":{"f:b":{}}}}`),
				entry("kube-controller-manager", update, "status", `{"f:status":{}}`),
				entry("kube-controller-manager", update, "", `{"f:metadata":{}}`),
			},
			map[string]string{
				FieldManager: `{"f:spec":{"f:template":{"f:a":{},"f:b":{}}}}`, ScaleManager: `{"f:spec":{"f:replicas":{}}}`,
				"kube-controller-manager/status": `{"f:status":{}}`, "kube-controller-manager/": `{"f:metadata":{}}`,
			}, true,
		},
		"somebody's who applies": {
			[]metav1.ManagedFieldsEntry{entry("argo", apply, "", `{"f:spec":{"f:replicas":{}}}`)},
			map[string]string{"argo/": `{"f:spec":{"f:replicas":{}}}`}, false,
		},
		"ours": {
			[]metav1.ManagedFieldsEntry{
				entry(FieldManager, apply, "", `{"f:spec":{}}`), entry(ScaleManager, update, "", `{"f:spec":{"f:replicas":{}}}`),
			},
			map[string]string{FieldManager: `{"f:spec":{}}`, ScaleManager: `{"f:spec":{"f:replicas":{}}}`}, false,
		},
	} {
		after, changed, err := adopted(test.entries, "apps/v1")
		if err != nil || changed != test.changed || len(after) != len(test.want) {
			t.Fatalf("%s: %d entries, changed %v, %v", name, len(after), changed, err)
		}
		for _, e := range after {
			key := e.Manager
			if key != FieldManager && key != ScaleManager {
				key += "/" + e.Subresource
			}
			if got := e.FieldsV1.GetRawString(); got != test.want[key] {
				t.Errorf("%s: %s owns %s; want %s", name, key, got, test.want[key])
			}
		}
	}
	if _, _, err := adopted([]metav1.ManagedFieldsEntry{entry("x", update, "", `[`)}, "apps/v1"); err == nil {
		t.Error("a set that cannot be read was taken")
	}
}
