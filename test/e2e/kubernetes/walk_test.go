//go:build cluster

package kubernetes

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The tutorial's InferenceService in both forms, and the ids of their models, which clients of ModelMesh know.
const (
	uriForm = `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: example-sklearn-isvc
  annotations:
    serving.kserve.io/deploymentMode: ModelMesh
    serving.kserve.io/secretKey: localMinIO
spec:
  predictor:
    model:
      modelFormat:
        name: sklearn
      storageUri: s3://modelmesh-example-models/sklearn/mnist-svm.joblib
`
	uriModel = "example-sklearn-isvc__isvc-3642375d03"
	keyForm  = `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: example-sklearn-isvc
  annotations:
    serving.kserve.io/deploymentMode: ModelMesh
spec:
  predictor:
    model:
      modelFormat:
        name: sklearn
      storage:
        key: localMinIO
        path: sklearn/mnist-svm.joblib
`
	keyModel = "example-sklearn-isvc__isvc-6b2eb0b8bf"
)

// TestWalk is ModelMesh's tutorial from the applied InferenceService to the digit 8, with everything real: the model
// server in a container of its own, the store an S3 server in the cluster.
func TestWalk(t *testing.T) {
	for _, form := range []struct{ namespace, isvc, model string }{{"walk-uri", uriForm, uriModel}, {"walk-key", keyForm, keyModel}} {
		t.Run(form.namespace, func(t *testing.T) {
			u := newUser(t, form.namespace)
			if got := u.kubectl("get", "clusterservingruntimes", "--no-headers"); !strings.Contains(got, "mlserver-1.x") {
				t.Errorf("runtimes: %s", got)
			}
			u.apply(form.isvc)
			u.untilField("isvc/example-sklearn-isvc", `.status.conditions[?(@.type=="Ready")].status`, "False")
			u.untilField("isvc/example-sklearn-isvc", `.status.modelStatus.states.activeModelState`, "Loaded")
			for path, want := range map[string]string{
				".status.url":                                            "grpc://modelmesh-serving." + form.namespace + ":8033",
				".status.components.predictor.grpcUrl":                   "grpc://modelmesh-serving." + form.namespace + ":8033",
				".status.components.predictor.restUrl":                   "http://modelmesh-serving." + form.namespace + ":8008",
				`.status.conditions[?(@.type=="PredictorReady")].status`: "True",
				`.status.conditions[?(@.type=="Ready")].status`:          "True",
				".status.modelStatus.transitionStatus":                   "UpToDate",
				".status.modelStatus.copies.failedCopies":                "0",
				".status.modelStatus.states.targetModelState":            "",
				".status.modelStatus.lastFailureInfo":                    "",
			} {
				if got := u.field("isvc/example-sklearn-isvc", path); got != want {
					t.Errorf("%s is %q, want %q", path, got, want)
				}
			}
			u.askREST("example-sklearn-isvc", form.model)
			u.askGRPC("example-sklearn-isvc", form.model)
		})
	}
}

// askREST asks for the digit as curl does, through a forwarded port of the Service.
func (u *user) askREST(name, model string) {
	u.t.Helper()
	stop := u.forward("8008")
	defer stop()
	out, err := theCluster.Output(u.t.Context(), nil, "curl", "-sS", "--fail-with-body", "-d", "@docs/examples/quickstart-requests/input-rest.json", "http://localhost:8008/v2/models/"+name+"/infer")
	if err != nil {
		u.t.Errorf("%v\n%s", err, out)
		return
	}
	var answer struct {
		Model   string `json:"model_name"`
		Outputs []struct {
			Data []int `json:"data"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Model != model || len(answer.Outputs) != 1 || len(answer.Outputs[0].Data) != 1 || answer.Outputs[0].Data[0] != 8 {
		u.t.Errorf("answer %s: %v, want 8 of %s", out, err, model)
	}
}

// askGRPC asks for the digit as grpcurl does.
func (u *user) askGRPC(name, model string) {
	u.t.Helper()
	stop := u.forward("8033")
	defer stop()
	request, err := os.ReadFile(filepath.Join(theCluster.Root, "docs/examples/quickstart-requests/input-grpc.json"))
	if err != nil {
		u.t.Fatal(err)
	}
	request = bytes.ReplaceAll(request, []byte(`"example-sklearn-isvc"`), []byte(`"`+name+`"`))
	out, err := theCluster.Output(u.t.Context(), bytes.NewReader(request), "grpcurl", "-plaintext", "-import-path", "sdk/proto", "-proto", "inference/inference.proto",
		"-d", "@", "localhost:8033", "inference.GRPCInferenceService.ModelInfer")
	if err != nil {
		u.t.Errorf("%v\n%s", err, out)
		return
	}
	var answer struct {
		ModelName string
		Outputs   []struct {
			Contents struct{ Int64Contents []string }
		}
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.ModelName != model || len(answer.Outputs) != 1 || strings.Join(answer.Outputs[0].Contents.Int64Contents, " ") != "8" {
		u.t.Errorf("answer %s: %v, want 8 of %s", out, err, model)
	}
}
