//go:build cluster

package kubernetes

import (
	"fmt"
	"strings"
	"testing"
)

// refusedModels are specs of which no model can be made, and what their status says. What the API server refuses itself is
// tested with the chart.
var refusedModels = map[string][]struct{ name, annotations, spec, message string }{
	"predictors": {
		{"two-paths", "", "{modelType: {name: onnx}, path: p, storage: {path: p}}",
			"Only one of spec.path and spec.storage.path can be specified"},
		{"two-schemas", "", "{modelType: {name: onnx}, schemaPath: p, storage: {schemaPath: p}}",
			"Only one of spec.schemaPath and spec.storage.schemaPath can be specified"},
		{"claim", "", "{modelType: {name: onnx}, storage: {persistentVolumeClaim: {claimName: c}}}",
			"spec.storage.PersistentVolumeClaim is not supported"},
		{"s3-and-key", "", "{modelType: {name: onnx}, path: p, storage: {key: k, s3: {secretKey: k}}}",
			"spec.storage.s3 cannot be specified with any other keys in spec.storage"},
		{"no-storage", "", "{modelType: {name: onnx}, path: p}", "Predictor Storage field missing"},
	},
	"inferenceservices": {
		{"two-places", "", `{model: {modelFormat: {name: onnx}, storageUri: "s3://b/p", storage: {path: p}}}`,
			"the InferenceService refusals/two-places cannot have both the storageUri and the storage.path"},
		{"no-place", "", "{model: {modelFormat: {name: onnx}, storage: {key: k}}}",
			"the InferenceService refusals/no-place must have either the storageUri or the storage.path"},
		{"scheme", "", `{model: {modelFormat: {name: onnx}, storageUri: "ftp://b/p"}}`,
			"the InferenceService refusals/scheme has an unsupported storageUri scheme ftp: use s3 or pvc"},
		{"two-forms", "", `{model: {modelFormat: {name: onnx}, storageUri: "s3://b/p"}, sklearn: {storageUri: "s3://b/p"}}`,
			"the InferenceService two-forms cannot have both the model spec and a framework spec (sklearn)"},
		{"two-runtimes", "serving.kserve.io/servingRuntime: r", `{model: {modelFormat: {name: onnx}, storageUri: "s3://b/p"}}`,
			"the InferenceService two-runtimes cannot have both the model spec and the runtime annotation serving.kserve.io/servingRuntime"},
		{"framework", "", `{paddle: {storageUri: "s3://b/p"}}`,
			"no valid InferenceService predictor framework found: use spec.predictor.model with a modelFormat and a storageUri or storage.path"},
	},
}

// refusedRuntimes are changes to a good runtime after which it gets no pods, and what an Event says.
var refusedRuntimes = []struct{ name, of, by, message string }{
	{"container", "name: fake\n", "name: puller\n", "container name puller is reserved for internal use"},
	{"prefix", "name: fake\n", "name: mm-fake\n", `container name mm-fake cannot start with "mm-"`},
	{"readiness", "name: fake\n", "name: fake\n      readinessProbe: {tcpSocket: {port: 8001}}\n", "ReadinessProbe and Lifecycle are managed by modelmesh"},
	{"lifecycle", "name: fake\n", "name: fake\n      lifecycle: {preStop: {sleep: {seconds: 1}}}\n", "ReadinessProbe and Lifecycle are managed by modelmesh"},
	{"mount", "name: fake\n", "name: fake\n      volumeMounts: [{name: storage-config, mountPath: /s}]\n", "volume storage-config is reserved for internal use"},
	{"volume", "  containers:\n", "  volumes: [{name: models-dir, emptyDir: {}}]\n  containers:\n", "volume models-dir is reserved for internal use"},
	{"port-name", "name: fake\n", "name: fake\n      ports: [{name: http, containerPort: 9000}]\n", "port name http is reserved for internal use"},
	{"port", "name: fake\n", "name: fake\n      ports: [{containerPort: 8089}]\n", "Port 8089 is reserved for internal use"},
	{"port-range", "name: fake\n", "name: fake\n      ports: [{containerPort: 11890}]\n", "Port range [11881-11899] is reserved for internal use"},
	{"server", "serverType: fake", "serverType: unheard", "unrecognized built-in runtime server type unheard"},
	{"no-container", "name: fake\n", "name: other\n", "must include runtime container with name fake"},
	{"endpoint", `grpcDataEndpoint: "port:8001"`, `grpcDataEndpoint: "8001"`, `grpcDataEndpoint: "8001" is not of the form`},
	{"adapter", `grpcEndpoint: "port:8085"`, `grpcEndpoint: "unix:/a/x"`, `Built-in adapter grpcEndpoint must be of the form "port:N"`},
}

// TestRefusals: what is wrong with a spec is in its status, or for a runtime in an Event, or the API server refuses it; and
// what is right beside it works.
func TestRefusals(t *testing.T) {
	t.Parallel()
	u := newUser(t, "refusals")
	u.put(map[string]string{"one.json": "{}"})
	u.applyRuntimes(fakeRuntime("alpha"), "alpha")
	histories := map[string]*history{}
	var all strings.Builder
	for kind, specs := range refusedModels {
		histories[kind] = u.watch(kind)
		for _, s := range specs {
			object := predictor(s.name, s.spec)
			if kind == "inferenceservices" {
				object = inferenceService(s.name, s.annotations, s.spec)
			}
			all.WriteString("---\n" + object)
		}
	}
	for _, r := range refusedRuntimes {
		runtime := strings.Replace(fakeRuntime(r.name), r.of, r.by, 1)
		if runtime == fakeRuntime(r.name) {
			t.Errorf("%s changes nothing", r.name)
		}
		all.WriteString("---" + runtime)
	}
	u.apply(all.String() + "---\n" + predictor("good", u.specForm("storage", "alpha", "one.json")))
	for kind, specs := range refusedModels {
		for _, s := range specs {
			t.Run(kind+" "+s.name, func(t *testing.T) { histories[kind].in(t).expectInvalid(s.name, s.message) })
		}
	}
	events := ""
	for _, r := range refusedRuntimes {
		t.Run("runtimes "+r.name, func(t *testing.T) {
			in := &user{t, u.namespace}
			in.eventually(fmt.Sprintf("an Event says %q", r.message), func() bool {
				if !says(events, r.name, r.message) {
					events = in.kubectl("get", "events", "--field-selector", "involvedObject.kind=ServingRuntime,type=Warning",
						"-o", `jsonpath={range .items[*]}{.involvedObject.name}: {.message}{"\n"}{end}`)
				}
				return says(events, r.name, r.message)
			})
		})
	}
	t.Run("autoscaler", func(t *testing.T) {
		in := &user{t, u.namespace}
		out, err := in.tryApply(scaledRuntime("scaled", "{serving.kserve.io/autoscalerClass: hpa, serving.kserve.io/metrics: gpu}"))
		if want := `serving.kserve.io/metrics is "gpu": cpu and memory are supported`; err == nil || !strings.Contains(out, want) {
			t.Errorf("%v\n%s\nwant %s", err, out, want)
		}
	})
	histories["predictors"].expectLoaded("good")
	u.served("good")
	if got := u.kubectl("get", "deployments", "--selector", "modelmesh-service", "-o", "jsonpath={.items[*].metadata.name}"); got !=
		"modelmesh-serving-alpha modelmesh-serving-mlserver-1.x" {
		t.Errorf("Deployments: %s", got)
	}
}

// says is whether a line about an object has the text.
func says(lines, object, text string) bool {
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(line, object+": ") && strings.Contains(line, text) {
			return true
		}
	}
	return false
}
