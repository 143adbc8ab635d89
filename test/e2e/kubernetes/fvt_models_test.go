//go:build cluster

package kubernetes

import (
	"fmt"
	"strings"
	"testing"
)

// notForTheMesh are runtimes that get no pods: one for a single model, and one that is off.
const notForTheMesh = `
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: single}
spec:
  supportedModelFormats: [{name: single, version: "1", autoSelect: true}]
  containers: [{name: fake, image: docker.io/local/fake-runtime:dev}]
---
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: disabled}
spec:
  disabled: true
  multiModel: true
  grpcEndpoint: "port:8001"
  supportedModelFormats: [{name: disabled, version: "1", autoSelect: true}]
  containers: [{name: fake, image: docker.io/local/fake-runtime:dev}]
`

// TestModels has what becomes of Predictors and InferenceServices, in one mesh with three runtimes: a server that the host
// knows, one that speaks for itself, and one for a format that InferenceServices of the old form can name.
func TestModels(t *testing.T) {
	t.Parallel()
	u := newUser(t, "fvt-models")
	u.put(map[string]string{"one.json": `{}`, "two.json": `{"load_ms": 4000}`, "three.json": `{"size_bytes": 2000000}`})
	u.applyRuntimes(fakeRuntime("alpha")+"---"+customRuntime("beta")+"---"+fakeRuntime("pytorch")+"---"+notForTheMesh, "alpha", "beta", "pytorch")
	predictors, services := u.watch("predictors"), u.watch("inferenceservices")
	t.Run("predictor lifecycle", func(t *testing.T) { testLifecycle(t, predictors.in(t)) })
	for name, test := range map[string]func(*testing.T, *history){
		"predictor status":     testStatus,
		"predictor transition": testTransition,
		"invalid predictors":   testInvalid,
		"other runtimes":       testOtherRuntimes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, predictors.in(t))
		})
	}
	t.Run("inference services", func(t *testing.T) {
		t.Parallel()
		testInferenceServices(t, services.in(t))
	})
}

// testInvalid: Predictors of each form of which a part names what is not there fail, and say what is wrong.
func testInvalid(t *testing.T, h *history) {
	// What of a good spec becomes wrong, and what is said of it.
	wrong := []struct {
		name, of, by string
		want         failure
	}{
		{"path", "one.json", "absent.json", failure{reason: "ModelLoadFailed", located: true, message: "absent.json"}},
		{"bucket", "bucket: modelmesh-example-models", "bucket: nobodys", failure{reason: "ModelLoadFailed", located: true, message: "nobodys"}},
		{"key", "ey: localMinIO", "ey: nobodys", failure{reason: "ModelLoadFailed", located: true,
			message: "Did not find storage config for key nobodys: Storage secretKey not found: nobodys"}},
		{"type", "{name: alpha", "{name: unheard", failure{reason: "NoSupportingRuntime", whole: true,
			message: "No ServingRuntime supports specified model type and/or protocol"}},
		{"version", "{name: alpha", `{name: alpha, version: "2"`, failure{reason: "NoSupportingRuntime", whole: true,
			message: "No ServingRuntime supports specified model type and/or protocol"}},
		{"runtime", "{modelType", "{runtime: {name: unheard}, modelType", failure{reason: "RuntimeNotRecognized", whole: true,
			message: "Specified runtime name not recognized"}},
	}
	var all strings.Builder
	wants := map[string]failure{}
	for form := range specForms {
		good := h.u.specForm(form, "alpha", "one.json")
		for _, w := range wrong {
			// Only some forms name a bucket or a version.
			if spec := strings.Replace(good, w.of, w.by, 1); spec != good && strings.Count(spec, "version:") < 2 {
				name := form + "-wrong-" + w.name
				wants[name] = w.want
				all.WriteString("---\n" + predictor(name, spec))
			}
		}
	}
	untyped := fmt.Sprintf("{modelType: {name: alpha}, storage: {path: %s/one.json}}", h.u.namespace)
	wants["untyped"] = failure{reason: "ModelLoadFailed", located: true, message: "Predictor Storage field missing"}
	h.u.apply(all.String() + "---\n" + predictor("untyped", untyped) + "---\n" + predictor("nowhere", "{modelType: {name: alpha}}"))
	for name, want := range wants {
		t.Run(name, func(t *testing.T) { h.in(t).expectFailed(name, want) })
	}
	t.Run("nowhere", func(t *testing.T) {
		h.in(t).expectInvalid("nowhere", "Predictor Storage field missing")
	})
}

// expectInvalid waits until it is said of a new object that no model can be made of it.
func (h *history) expectInvalid(name, message string) {
	h.u.t.Helper()
	all := h.until(name, 0, "InvalidSpec", func(r reading) bool { return r.Transition == "InvalidSpec" })
	last := all[len(all)-1]
	if want := (reading{Transition: "InvalidSpec", Active: "Pending"}); last.without() != want {
		h.u.t.Errorf("%s: %v, want %v", name, last, want)
	}
	failure{reason: "InvalidPredictorSpec", whole: true, message: message}.check(h.u.t, name, last.Failure)
}

// testOtherRuntimes: a runtime for one model, and one that is off, get no Deployment, and hold no model.
func testOtherRuntimes(t *testing.T, h *history) {
	var all strings.Builder
	wants := map[string]failure{}
	for _, runtime := range []string{"single", "disabled"} {
		spec := h.u.specForm("storage", runtime, "one.json")
		all.WriteString("---\n" + predictor("for-"+runtime, spec) + "---\n" +
			predictor("on-"+runtime, strings.Replace(spec, "{modelType", "{runtime: {name: "+runtime+"}, modelType", 1)))
		wants["for-"+runtime] = failure{reason: "NoSupportingRuntime", whole: true,
			message: "No ServingRuntime supports specified model type and/or protocol"}
		wants["on-"+runtime] = failure{reason: "RuntimeNotRecognized", whole: true, message: "Specified runtime name not recognized"}
	}
	h.u.apply(all.String())
	for name, want := range wants {
		h.expectFailed(name, want)
	}
	// The Deployments of the others are there.
	h.u.untilField("deployment/modelmesh-serving-alpha", ".status.readyReplicas", "1")
	for name := range strings.FieldsSeq(h.u.kubectl("get", "deployments", "-o", "name")) {
		if strings.HasSuffix(name, "-single") || strings.HasSuffix(name, "-disabled") {
			t.Errorf("there is a %s", name)
		}
	}
}

// testInferenceServices: both forms load and answer, each with its ways to name a file and a runtime.
func testInferenceServices(t *testing.T, h *history) {
	file := h.u.namespace + "/one.json"
	forms := map[string]struct{ annotations, predictor string }{
		"new-uri": {"serving.kserve.io/secretKey: localMinIO",
			"{model: {modelFormat: {name: alpha}, storageUri: s3://modelmesh-example-models/" + file + "}}"},
		"new-storage": {"", `{model: {modelFormat: {name: alpha, version: "1"}, storage: {key: localMinIO, path: ` + file + "}}}"},
		"new-runtime": {"", "{model: {modelFormat: {name: anything}, runtime: beta, storage: {key: localMinIO, path: " + file + "}}}"},
		"old-uri": {"serving.kserve.io/secretKey: localMinIO",
			"{pytorch: {storageUri: s3://modelmesh-example-models/" + file + "}}"},
		"old-runtime": {"serving.kserve.io/servingRuntime: alpha", "{sklearn: {storage: {key: localMinIO, path: " + file + "}}}"},
	}
	var all strings.Builder
	for name, form := range forms {
		all.WriteString("---\n" + inferenceService(name, form.annotations, form.predictor))
	}
	h.u.apply(all.String())
	for name := range forms {
		t.Run(name, func(t *testing.T) {
			h := h.in(t)
			h.expectLoaded(name)
			if id := h.u.served(name); !strings.HasPrefix(id, name+"__isvc-") {
				t.Errorf("%s is served by %s", name, id)
			}
			if got, want := h.u.field("isvc/"+name, ".status.url"), "grpc://modelmesh-serving.fvt-models:8033"; got != want {
				t.Errorf("URL %q, want %q", got, want)
			}
		})
	}
}

// inferenceService is one for the mesh; annotations and predictor are YAML in one line.
func inferenceService(name, annotations, predictor string) string {
	if annotations != "" {
		annotations = ", " + annotations
	}
	return fmt.Sprintf("{apiVersion: serving.kserve.io/v1beta1, kind: InferenceService, metadata: {name: %s, "+
		"annotations: {serving.kserve.io/deploymentMode: ModelMesh%s}}, spec: {predictor: %s}}\n", name, annotations, predictor)
}
