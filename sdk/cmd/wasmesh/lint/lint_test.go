package lint

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// check answers the findings of one manifest, a line each, without the file's name.
func check(t *testing.T, manifest string) []string {
	t.Helper()
	var lines []string
	for _, f := range Check([]File{{Name: "f.yaml", Content: []byte(manifest)}}).Findings {
		lines = append(lines, strings.TrimPrefix(f.String(), "f.yaml:"))
	}
	return lines
}

// expect wants one finding for each wanted text, which it has to contain, in order, and no other.
func expect(t *testing.T, manifest string, want ...string) {
	t.Helper()
	got := check(t, manifest)
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.Contains(got[i], want[i])
	}
	if !ok {
		t.Errorf("manifest:\n%s\nfindings:\n  %s\nwant:\n  %s", manifest, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

const isvcHead = `apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: m
  namespace: ns
  annotations:
    serving.kserve.io/deploymentMode: ModelMesh
`

const sound = isvcHead + `spec:
  predictor:
    model:
      modelFormat: {name: sklearn}
      storageUri: s3://bucket/path
`

const runtimeText = `apiVersion: serving.kserve.io/v1alpha1
kind: ClusterServingRuntime
metadata:
  name: mlserver-1.x
  annotations: {maxLoadingConcurrency: "2"}
spec:
  supportedModelFormats: [{name: sklearn, version: "0", autoSelect: true}]
  multiModel: true
  grpcEndpoint: port:8085
  grpcDataEndpoint: port:8001
  protocolVersions: [grpc-v2]
  containers:
    - name: mlserver
      image: mlserver
      resources: {requests: {memory: 1Gi}}
  builtInAdapter: {serverType: mlserver, runtimeManagementPort: 8001, memBufferBytes: 134217728}
`

func TestNothingToSay(t *testing.T) {
	expect(t, sound)
	expect(t, sound+"---\n"+runtimeText)
	expect(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: any}\n---\n# nothing\n---\n")
}

// Each thing that a model may say and that is not followed, with the line on which it stands.
func TestModels(t *testing.T) {
	for _, c := range []struct {
		name, manifest string
		want           []string
	}{
		{"fields that KServe follows", isvcHead + `spec:
  transformer: {}
  predictor:
    minReplicas: 1
    canaryTrafficPercent: 10
    model:
      modelFormat: {name: sklearn}
      storageUri: s3://bucket/path
      resources: {}
      storage: {other: 1}
`, []string{
			"9: InferenceService/ns/m: warning: spec.transformer is not deployed",
			"11: InferenceService/ns/m: warning: spec.predictor.minReplicas has no effect, as with ModelMesh: copies of a model are bounded by the annotations wasmesh.dev/min-copies",
			"12: InferenceService/ns/m: warning: spec.predictor.canaryTrafficPercent has no effect",
			"16: InferenceService/ns/m: warning: spec.predictor.model.resources has no effect",
			"17: InferenceService/ns/m: warning: spec.predictor.model.storage.other has no effect",
		}},
		{"annotations", strings.Replace(sound, "spec:", "    serving.kserve.io/autoscalerClass: hpa\n    wasmesh.dev/min-copies: many\n    wasmesh.dev/maxcopies: '2'\n    example.com/team: a\nspec:", 1), []string{
			"8: InferenceService/ns/m: warning: annotation serving.kserve.io/autoscalerClass has no effect on a model",
			`9: InferenceService/ns/m: warning: annotation wasmesh.dev/min-copies: "many" is not a whole number`,
			`10: InferenceService/ns/m: warning: annotation "wasmesh.dev/maxcopies" is not known`,
		}},
		{"storage", strings.Replace(sound, "s3://bucket/path", "gs://bucket/path", 1), []string{
			`8: InferenceService/ns/m: error: it will not load: storage of type "gcs" is not supported: there are s3, pvc`,
		}},
		{"a scheme that nobody knows", strings.Replace(sound, "s3://bucket/path", "hdfs://bucket/path", 1), []string{
			"error: it will be InvalidPredictorSpec: the InferenceService ns/m has an unsupported storageUri scheme hdfs",
		}},
		{"KServe's own", strings.Replace(sound, "ModelMesh", "Serverless", 1), []string{
			`6: InferenceService/ns/m: warning: it is left alone, as by ModelMesh: its annotation serving.kserve.io/deploymentMode is not ModelMesh but "Serverless"`,
		}},
		{"of nobody", strings.Replace(sound, "serving.kserve.io/deploymentMode: ModelMesh", "a: b", 1), []string{
			"6: InferenceService/ns/m: warning: it is left alone, as by ModelMesh: it has no annotation serving.kserve.io/deploymentMode: ModelMesh",
		}},
		{"a wrong type", strings.Replace(sound, "{name: sklearn}", "sklearn", 1), []string{"error: the API server will refuse it: "}},
		{"another version", strings.Replace(sound, "v1beta1", "v1alpha2", 1), []string{"1: InferenceService/ns/m: error: apiVersion serving.kserve.io/v1alpha2 is not served: write serving.kserve.io/v1beta1"}},
		{"an old Predictor", `apiVersion: wmlserving.ai.ibm.com/v1
kind: Predictor
metadata: {name: p}
spec:
  modelType: {name: onnx}
  gpu: required
  path: a
  storage: {s3: {secretKey: k}, persistentVolumeClaim: {claimName: c}}
`, []string{
			"1: Predictor/p: warning: wmlserving.ai.ibm.com/v1 is served only if the chart is told so",
			"4: Predictor/p: error: it will be InvalidPredictorSpec: spec.storage.PersistentVolumeClaim is not supported",
			"6: Predictor/p: warning: spec.gpu has no effect",
		}},
		{"in a List", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: serving.kserve.io/v1alpha1\n  kind: Predictor\n  metadata: {name: p}\n  spec:\n    gpu: required\n    modelType: {name: onnx}\n    path: a\n    storage: {parameters: {type: pvc, name: c}}\n", []string{
			"8: Predictor/p: warning: spec.gpu has no effect",
		}},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, c.manifest, c.want...) })
	}
}

// A model is held against the runtimes that were read with it.
func TestModelsAndRuntimes(t *testing.T) {
	expect(t, strings.Replace(sound, "sklearn", "onnx", 1)+"---\n"+runtimeText,
		`8: InferenceService/ns/m: warning: none of the runtimes that were read can hold it, so there has to be another: No ServingRuntime supports specified model type and/or protocol (asked for "onnx", declared: sklearn)`)
	expect(t, sound+"---\n"+strings.ReplaceAll(strings.ReplaceAll(runtimeText, "name: mlserver\n", "name: ovms\n"), "serverType: mlserver", "serverType: ovms"),
		"8: InferenceService/ns/m: error: it will not load: no runtime that can hold it has an adapter (mlserver-1.x)",
		"error: it gets no pods: there is no adapter for builtInAdapter.serverType ovms")
	expect(t, strings.ReplaceAll(strings.ReplaceAll(runtimeText, "name: mlserver\n", "name: other\n"), "serverType: mlserver", "serverType: other"),
		"error: it gets no pods: ", `error: it loads no models: there is no adapter for builtInAdapter.serverType "other": there are `)
}

func TestRuntimes(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"multiModel: true", "multiModel: false", "8: ClusterServingRuntime/mlserver-1.x: warning: it is left alone"},
		{"name: mlserver\n", "name: mm\n", "ClusterServingRuntime/mlserver-1.x: error: it gets no pods: must include runtime container with name mlserver"},
		{"resources: {requests: {memory: 1Gi}}", "command: [x]", "12: ClusterServingRuntime/mlserver-1.x: error: it gets no pods: plan runtime mlserver-1.x: container mlserver has neither a memory request"},
		{"multiModel: true", "multiModel: true\n  initContainers: []", "9: ClusterServingRuntime/mlserver-1.x: warning: spec.initContainers has no effect"},
		{"multiModel: true", "multiModel: true\n  httpDataEndpoint: port:8002", "9: ClusterServingRuntime/mlserver-1.x: warning: spec.httpDataEndpoint has no effect"},
		{"multiModel: true", "multiModel: true\n  storageHelper: {disabled: true}", "9: ClusterServingRuntime/mlserver-1.x: warning: spec.storageHelper.disabled has no effect"},
		{"runtimeManagementPort: 8001", "env: [{name: LOADTIME_TIMEOUT, value: '1'}]", "warning: spec.builtInAdapter.env has no effect"},
		{"annotations: {", "annotations: {productConfig: c, ", "5: ClusterServingRuntime/mlserver-1.x: warning: annotation productConfig has no effect"},
		{"v1alpha1", "v1", "1: ClusterServingRuntime/mlserver-1.x: error: apiVersion serving.kserve.io/v1 is not served"},
	} {
		got := strings.Join(check(t, strings.Replace(runtimeText, c.old, c.new, 1)), "\n")
		if !strings.Contains(got, c.want) {
			t.Errorf("%s instead of %s:\n%s\nwant %s", c.new, c.old, got, c.want)
		}
	}
	expect(t, strings.NewReplacer("serving.kserve.io/v1alpha1", "wmlserving.ai.ibm.com/v1", "ClusterServingRuntime", "ServingRuntime").Replace(runtimeText),
		"1: ServingRuntime/mlserver-1.x: error: apiVersion wmlserving.ai.ibm.com/v1 is not served")
}

const secretText = `apiVersion: v1
kind: Secret
metadata: {name: storage-config, namespace: ns}
stringData:
  minio: '{"type":"s3","access_key_id":"hidden","secret_access_key":"hidden","endpoint_url":"http://minio:9000"}'
  cloud: '{"type":"azure","account_name":"hidden"}'
  broken: hidden
data:
  claim: eyJ0eXBlIjoicHZjIn0=
`

// Entries that cannot be used are named, and none of their values is.
func TestStorageSecret(t *testing.T) {
	expect(t, secretText,
		`6: Secret/ns/storage-config: error: entry cloud: storage of type "azure" is not supported`,
		"7: Secret/ns/storage-config: error: entry broken is no JSON object")
	for _, manifest := range []string{secretText, strings.Replace(secretText, "eyJ0eXBlIjoicHZjIn0=", "hidden", 1)} {
		for _, line := range check(t, manifest) {
			if strings.Contains(line, "hidden") {
				t.Errorf("it repeats a value: %s", line)
			}
		}
	}
	byKey := isvcHead + "spec: {predictor: {model: {modelFormat: {name: sklearn}, storage: {key: %s, path: p}}}}\n---\n" + secretText
	for key, want := range map[string]string{
		"cloud": `8: InferenceService/ns/m: error: it will not load: storage of type "azure" is not supported`,
		"none":  `8: InferenceService/ns/m: error: it will not load: the Secret storage-config that was read has no entry "none"`,
	} {
		if got := check(t, fmt.Sprintf(byKey, key)); len(got) != 3 || !strings.Contains(got[0], want) {
			t.Errorf("key %s: %q", key, got)
		}
	}
	if got := check(t, fmt.Sprintf(byKey, "minio")); len(got) != 2 {
		t.Errorf("a good key: %q", got)
	}
	expect(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: model-serving-etcd}\nstringData: {}\n", "1: Secret/model-serving-etcd: warning: there is no etcd")
}

// Of two objects of one name the last is left; what the others have is not said to be missing.
func TestDuplicates(t *testing.T) {
	file := func(name, text string) File { return File{Name: name, Content: []byte(text)} }
	const one, other = `{"type":"s3","bucket":"a"}`, `{"type":"s3","bucket":"b"}`
	secret := func(namespace, key, entry string) string {
		return fmt.Sprintf("# A Secret\napiVersion: v1\nkind: Secret\nmetadata: {name: storage-config, namespace: %s}\nstringData: {%s: '%s'}\n", namespace, key, entry)
	}
	model := isvcHead + "spec: {predictor: {model: {modelFormat: {name: sklearn}, storage: {key: %s, path: p}}}}\n"
	for key, want := range map[string][]string{
		"a": {"b.yaml:2: Secret/ns/storage-config: warning: it is also at a.yaml:2: `kubectl apply` of both leaves what it read last"},
		"c": {
			"b.yaml:2: Secret/ns/storage-config: warning: it is also at a.yaml:2: `kubectl apply` of both leaves what it read last",
			`m.yaml:8: InferenceService/ns/m: error: it will not load: the Secret storage-config that was read has no entry "c"`,
		},
	} {
		report := Check([]File{
			file("a.yaml", secret("ns", "a", one)), file("b.yaml", secret("ns", "b", other)), file("c.yaml", secret("elsewhere", "c", one)),
			file("m.yaml", fmt.Sprintf(model, key)),
		})
		var got []string
		for _, f := range report.Findings {
			got = append(got, f.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("key %s: %q, want %q", key, got, want)
		}
	}
}

func TestSettings(t *testing.T) {
	settings := func(text string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: model-serving-config}\ndata:\n  config.yaml: |\n    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
	}
	expect(t, settings("podsPerRuntime: 1"))
	expect(t, settings("podsPerRuntime: 1\nrestProxy:\n  image: {name: x}"), "8: ConfigMap/model-serving-config: warning: restProxy.image: ")
	expect(t, settings("podsPerRuntime: many"), "5: ConfigMap/model-serving-config: error: the settings would be refused as a whole: ")
	// The name of the storage Secret is one of them.
	expect(t, settings("storageSecretName: other")+"---\n"+secretText, "6: ConfigMap/model-serving-config: warning: storageSecretName: the controller may read")
	expect(t, settings("tls:\n  secretName: mesh"), "7: ConfigMap/model-serving-config: warning: tls.secretName: the controller may read")
	expect(t, strings.Replace(settings(""), "model-serving-config", "model-serving-config-defaults", 1), "warning: the defaults of ModelMesh's installation are not read")
	expect(t, strings.Replace(settings(""), "config.yaml", "config.yml", 1), "4: ConfigMap/model-serving-config: warning: it has no key config.yaml")
}

// A malformed document is told of, and its neighbours are read.
func TestMalformed(t *testing.T) {
	expect(t, "a: b\n  c: d\n---\n"+strings.Replace(sound, "s3:", "gs:", 1), "2: error: malformed YAML: ", "error: it will not load")
	expect(t, "just text\n", "1: error: it is no Kubernetes object")
}

// What this project ships has nothing to be said of.
func TestShippedRuntimes(t *testing.T) {
	for _, path := range []string{"../../../../runtimes/mlserver/servingruntime.yaml", "../../../../runtimes/fake/servingruntime.yaml"} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if r := Check([]File{{Name: path, Content: content}}); len(r.Findings) > 0 || r.Objects == 0 {
			t.Errorf("%+v", r)
		}
	}
}

// Nothing that is read makes it panic, and each finding is on a line of its file.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{sound, runtimeText, secretText, "- a\n- b\n", "kind: List\nitems: 3\n", "{\"kind\": \"List\", \"items\": [1]}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := 1
		for _, lineBreak := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} { // as YAML has them
			lines += strings.Count(text, lineBreak)
		}
		for _, finding := range Check([]File{{Name: "f", Content: []byte(text)}}).Findings {
			if finding.Line < 1 || finding.Line > lines {
				t.Errorf("%d lines, finding %v", lines, finding)
			}
		}
	})
}
