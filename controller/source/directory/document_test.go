package directory

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/source"
)

// text makes a document of lines.
func text(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

func isvc(name string, more ...string) string {
	return text(append([]string{
		"apiVersion: serving.kserve.io/v1beta1",
		"kind: InferenceService",
		"metadata:",
		"  {name: " + name + ", annotations: {serving.kserve.io/deploymentMode: ModelMesh}}",
		"spec:",
		"  predictor:",
		"    model:",
		"      modelFormat:",
		"        name: sklearn",
	}, more...)...)
}

// Whoever gets a warning must find the fault on the line that it names.
func TestWarningsNameLine(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    []source.Warning
	}{
		"wrong indentation": {
			text("apiVersion: v1", "kind: ConfigMap", "metadata:", "  name: a", " namespace: b", "data: {}"),
			[]source.Warning{{Line: 5, Message: "malformed YAML: did not find expected key"}},
		},
		"missing colon": {
			text("apiVersion: v1", "kind: ConfigMap", "metadata", "  # a comment", "", "  name: a"),
			[]source.Warning{{Line: 3, Message: "malformed YAML: could not find expected ':'"}},
		},
		"two colons": {
			text("apiVersion: v1", "kind: ConfigMap: v1"),
			[]source.Warning{{Line: 2, Message: "malformed YAML: mapping values are not allowed in this context"}},
		},
		"tab": {
			text("apiVersion: v1", "metadata:", "\tname: a"),
			[]source.Warning{{Line: 3, Message: "malformed YAML: found character that cannot start any token"}},
		},
		"key twice": {
			text("apiVersion: v1", "kind: ConfigMap", "metadata:", "  name: a", "  name: b"),
			[]source.Warning{{Line: 5, Message: `malformed YAML: key "name" already set in map`}},
		},
		"second document": {
			isvc("a") + text("---", "# second", "a: b: c") + text("---") + isvc("b"),
			[]source.Warning{{Line: 12, Message: "malformed YAML: mapping values are not allowed in this context"}},
		},
		"JSON": {
			text("{", `  "apiVersion": "v1",`, `  "kind": ConfigMap`, "}"),
			[]source.Warning{{Line: 3, Message: "malformed JSON: invalid character 'C' looking for beginning of value"}},
		},
		"cut off JSON": {
			text("{", `  "apiVersion": "v1"`),
			[]source.Warning{{Line: 3, Message: "malformed JSON: unexpected EOF"}},
		},
		"not an object": {
			text("# only text", "hello"),
			[]source.Warning{{Line: 2, Message: "not a Kubernetes object: a string where an object is wanted"}},
		},
		"no kind": {
			text("---", "apiVersion: v1"),
			[]source.Warning{{Line: 2, Message: "not a Kubernetes object: apiVersion or kind is missing"}},
		},
		"name missing": {
			text("", "apiVersion: v1", "kind: ConfigMap"),
			[]source.Warning{{Line: 2, Message: "ConfigMap: metadata.name is missing"}},
		},
		"name that leads elsewhere": {
			isvc("../../etc/passwd"),
			[]source.Warning{{Line: 1, Message: `InferenceService: metadata.name "../../etc/passwd": a name has lower case letters, digits, '-' and '.', at most 253 of them, and begins and ends with a letter or digit`}},
		},
		"string wanted": {
			isvc("a", "        version: 1"),
			[]source.Warning{{Line: 10, Message: "InferenceService a: field spec.predictor.model.modelFormat.version is a number, want a string (put it in quotes); it stays as it was"}},
		},
		"object wanted, field of an embedded struct": {
			isvc("a", "      storage: localMinIO"),
			[]source.Warning{{Line: 10, Message: "InferenceService a: field spec.predictor.model.storage is a string, want an object; it stays as it was"}},
		},
		"the wrong one of two elements": {
			text("apiVersion: serving.kserve.io/v1alpha1", "kind: ServingRuntime", "metadata: {name: r}", "spec:",
				"  supportedModelFormats:", "  - name: sklearn", `    version: "0"`, "  - name: xgboost", "    version: 1", "  containers: []"),
			[]source.Warning{{Line: 9, Message: "ServingRuntime r: field spec.supportedModelFormats.version is a number, want a string (put it in quotes); it stays as it was"}},
		},
		"no base64": {
			text("apiVersion: v1", "kind: ConfigMap", "metadata: {name: p}", "data:", "  hooks: evict", "binaryData:", "  p.wasm: AGFz*bQ=="),
			[]source.Warning{{Line: 7, Message: "ConfigMap p: field binaryData.p.wasm: not base64: illegal base64 data at input byte 4; it stays as it was"}},
		},
		"no base64 in a Secret": {
			text("apiVersion: v1", "kind: Secret", "metadata: {name: storage-config}", "data:", "  a: e30=", `  b: "{}"`),
			[]source.Warning{{Line: 6, Message: "Secret storage-config: field data.b: not base64: illegal base64 data at input byte 0; it stays as it was"}},
		},
		"no such version": {
			strings.Replace(isvc("a"), "v1beta1", "v1", 1),
			[]source.Warning{{Line: 1, Message: "InferenceService of apiVersion serving.kserve.io/v1 is not read: write apiVersion: serving.kserve.io/v1beta1; it stays as it was"}},
		},
		"another project's": {
			strings.Replace(isvc("a"), "serving.kserve.io/v1beta1", "serving.kubeflow.org/v1beta1", 1),
			[]source.Warning{{Line: 1, Message: "InferenceService of apiVersion serving.kubeflow.org/v1beta1 is not read: write apiVersion: serving.kserve.io/v1beta1"}},
		},
		"kinds of others, unknown fields, empty documents": {
			text("---", "---", "# nothing", "---", "apiVersion: apps/v1", "kind: Deployment", "spec: 5") +
				text("---") + isvc("a", "      unheardOf: [1]") + text("---", "apiVersion: v1", "kind: Secret", "metadata: {name: other}", "data: 7"),
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := read("f.yaml", "default", []byte(test.content)).warnings
			for i := range test.want {
				test.want[i].File = "f.yaml"
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("warnings:\n got %v\nwant %v", got, test.want)
			}
		})
	}
}

func TestReadFindsObjects(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    []string
	}{
		"documents around a malformed one": {
			isvc("a") + text("---", "a: b: c") + text("---") + isvc("b"),
			[]string{"default/InferenceService/a", "default/InferenceService/b"},
		},
		"Windows line ends": {
			strings.ReplaceAll(isvc("a")+text("---")+isvc("b"), "\n", "\r\n"),
			[]string{"default/InferenceService/a", "default/InferenceService/b"},
		},
		"a List as kubectl prints it": {
			`{"apiVersion":"v1","kind":"List","items":[
			  {"apiVersion":"serving.kserve.io/v1beta1","kind":"InferenceService","metadata":{"name":"a","namespace":"n"}},
			  {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}]}`,
			[]string{"n/InferenceService/a", "default/ConfigMap/c"},
		},
		"JSON texts in a row": {
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}
			 {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}`,
			[]string{"default/ConfigMap/a", "default/ConfigMap/b"},
		},
		"old and present groups": {
			text("apiVersion: wmlserving.ai.ibm.com/v1", "kind: Predictor", "metadata: {name: p}") +
				text("---", "apiVersion: serving.kserve.io/v1alpha1", "kind: Predictor", "metadata: {name: q}") +
				text("---", "apiVersion: serving.kserve.io/v1alpha1", "kind: ClusterServingRuntime", "metadata: {name: r, namespace: x}"),
			[]string{"default/Predictor/p", "default/Predictor/q", "/ClusterServingRuntime/r"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, o := range read("f.yaml", "default", []byte(test.content)).objects {
				got = append(got, o.key.Namespace+"/"+o.key.Kind+"/"+o.key.Name)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("objects: got %v, want %v", got, test.want)
			}
		})
	}
}

// Whatever bytes a file holds, reading answers, and every warning lies within the file.
func FuzzRead(f *testing.F) {
	f.Add([]byte(isvc("a", "        version: 1")))
	f.Add([]byte("a: [1, 2\n---\n{\"a\":\n"))
	f.Add([]byte("---\n---\n- x\n\n"))
	f.Add([]byte(`{"apiVersion":"v1","kind":"List","items":[{"kind":4}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := strings.Count(string(data), "\n") + 1
		for _, w := range read("f", "default", data).warnings {
			if w.Line < 1 || w.Line > lines {
				t.Errorf("%v is outside of the file's %d lines", w, lines)
			}
		}
	})
}

func TestBinaryDataIsDecoded(t *testing.T) {
	read := read("f.yaml", "default", []byte(text("apiVersion: v1", "kind: ConfigMap", "metadata: {name: p}",
		"binaryData:", "  p.wasm: |", "    AGFz", "    bQE=")))
	if len(read.warnings) > 0 || len(read.objects) != 1 {
		t.Fatalf("read %+v", read)
	}
	if got := read.objects[0].typed.(*corev1.ConfigMap).BinaryData["p.wasm"]; string(got) != "\x00asm\x01" {
		t.Errorf("binaryData %q", got)
	}
}
