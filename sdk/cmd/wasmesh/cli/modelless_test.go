package cli

import (
	"fmt"
	"strings"
	"testing"
)

// isvcOf is an InferenceService without a model: its annotation for the mode, and what follows the metadata.
func isvcOf(namespace, name, mode, rest string) string {
	annotations := ""
	if mode != "" {
		annotations = ", annotations: {serving.kserve.io/deploymentMode: " + mode + "}"
	}
	return fmt.Sprintf("{apiVersion: serving.kserve.io/v1beta1, kind: InferenceService, metadata: {namespace: %s, name: %s%s}, %s}", namespace, name, annotations, rest)
}

// An object that the API server has and the mesh has no model of is not denied: what is wrong with it is said.
func TestWhyAnObjectHasNoModel(t *testing.T) {
	const sound = "spec: {predictor: {model: {modelFormat: {name: sklearn}, storageUri: s3://b/p}}}"
	k := digits().inKubernetes(t)
	if err := k.Put(
		"{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {modelmesh-enabled: 'true'}}}",
		"{apiVersion: v1, kind: Namespace, metadata: {name: wasmesh}}",
		"{apiVersion: v1, kind: Namespace, metadata: {name: bare}}",
		isvcOf("default", "unmarked", "", sound), isvcOf("default", "mistyped", "Modelmesh", sound), isvcOf("wasmesh", "early", "ModelMesh", sound),
		isvcOf("bare", "strayed", "ModelMesh", sound),
		isvcOf("default", "unclear", "ModelMesh", strings.Replace(sound, "s3:", "hdfs:", 1)+`, status: {modelStatus: {lastFailureInfo: {reason: InvalidPredictorSpec, message: "the InferenceService default/unclear has an unsupported storageUri scheme hdfs"}}}`),
		isvcOf("default", "unready", "ModelMesh", sound+`, status: {conditions: [{type: Ready, status: "False", message: "waits for hosts"}]}`),
		"{apiVersion: serving.kserve.io/v1alpha1, kind: Predictor, metadata: {namespace: bare, name: p}, spec: {modelType: {name: onnx}, path: a, storage: {s3: {secretKey: k}}}}",
	); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		namespace, kind, name string
		want                  []string
	}{
		{"default", "isvc", "unmarked", []string{"warning: it is left alone, as by ModelMesh: it has no annotation serving.kserve.io/deploymentMode: ModelMesh"}},
		{"default", "isvc", "mistyped", []string{`warning: it is left alone, as by ModelMesh: its annotation serving.kserve.io/deploymentMode is not ModelMesh but "Modelmesh"`}},
		{"default", "isvc", "unclear", []string{
			// Which lint finds in the same words.
			"its status says: InvalidPredictorSpec: the InferenceService default/unclear has an unsupported storageUri scheme hdfs",
		}},
		{"default", "isvc", "unready", []string{"its status says: Ready: waits for hosts"}},
		{"bare", "isvc", "strayed", []string{"namespace bare has no mesh: `kubectl label namespace bare modelmesh-enabled=true --overwrite` makes one"}},
		{"bare", "predictor", "p", []string{"namespace bare has no mesh: `kubectl label namespace bare modelmesh-enabled=true --overwrite` makes one"}},
		{"wasmesh", "isvc", "early", nil},
	} {
		kind := map[string]string{"isvc": "InferenceService", "predictor": "Predictor"}[c.kind]
		want := fmt.Sprintf("%s %q of namespace %s has no model so far; `wasmesh --kube describe %s %[2]s -n %[3]s` shows its status and events", kind, c.name, c.namespace, c.kind)
		if len(c.want) > 0 {
			want = fmt.Sprintf("%s %q of namespace %s has no model:\n  %s", kind, c.name, c.namespace, strings.Join(c.want, "\n  "))
		}
		if _, _, err := k.run(t, "why", c.name, "-n", c.namespace); err == nil || err.Error() != want {
			t.Errorf("why %s:\n%v\nwant\n%s", c.name, err, want)
		}
		want = "\nModels:  <none>\n"
		for _, line := range c.want {
			want += "  " + line + "\n"
		}
		if out, _, err := k.run(t, "describe", c.kind, c.name, "-n", c.namespace); err != nil || !strings.Contains(out, want+"Events:") {
			t.Errorf("describe %s: error %v\n%s\nwant in it\n%s", c.name, err, out, want)
		}
	}
	if _, _, err := k.run(t, "why", "nobody"); err == nil || !strings.HasPrefix(err.Error(), "no model, InferenceService or Predictor") {
		t.Errorf("nobody: %v", err)
	}
}

// On one machine the status says it.
func TestWhyADeclaredFileHasNoModel(t *testing.T) {
	m := digits()
	m.objects[kindService] = append(m.objects[kindService], serviceObject("broken", failedStatus))
	m.serve(t)
	if _, _, err := m.run(t, "why", "broken"); err == nil ||
		err.Error() != "InferenceService \"broken\" of namespace default has no model:\n  its status says: ModelLoadFailed: no such bucket" {
		t.Errorf("error %v", err)
	}
}
