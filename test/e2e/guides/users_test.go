//go:build cluster

package guides

import (
	"fmt"
	"testing"
)

// What users of ModelMesh have declared. The ids of the models are those that ModelMesh gives them, by which its clients
// know answers; the first and the last are in its documentation.
const (
	sklearnISVC  = "example-sklearn-isvc"
	sklearnModel = "example-sklearn-isvc__isvc-6b2eb0b8bf"
	customISVC   = "custom-model"
	customModel  = "custom-model__isvc-eb03845bf5"
	brokenISVC   = "broken"
	// kservesISVC is not ModelMesh's.
	kservesISVC  = "kserves"
	oldPredictor = "example-sklearn-mnist-svm"
	oldModel     = "example-sklearn-mnist-svm__ksp-7702c1b55a"
	missingPath  = "sklearn/missing.joblib"

	deployedByMesh  = "{serving.kserve.io/deploymentMode: ModelMesh}"
	deployedByPlain = "{serving.kserve.io/deploymentMode: RawDeployment}"
)

// isvc is an InferenceService; annotations are YAML.
func isvc(name, annotations, format, path string) string {
	return fmt.Sprintf("---\n{apiVersion: serving.kserve.io/v1beta1, kind: InferenceService, metadata: {name: %s, annotations: %s}, "+
		"spec: {predictor: {model: {modelFormat: {name: %s}, storage: {key: localMinIO, path: %s}}}}}\n", name, annotations, format, path)
}

// declare makes them, with the statuses that ModelMesh has written.
func (o *owner) declare() {
	o.t.Helper()
	o.pipe(isvc(sklearnISVC, deployedByMesh, "sklearn", modelPath)+isvc(customISVC, deployedByMesh, "custom", modelPath)+
		isvc(brokenISVC, deployedByMesh, "sklearn", missingPath)+isvc(kservesISVC, deployedByPlain, "sklearn", modelPath)+
		"---\n{apiVersion: serving.kserve.io/v1alpha1, kind: Predictor, metadata: {name: "+oldPredictor+"}, "+
		"spec: {modelType: {name: sklearn}, path: "+modelPath+", storage: {s3: {secretKey: localMinIO}}}}\n", "apply")
	at := "2024-06-25T12:00:00Z"
	loaded := fmt.Sprintf(`{"status": {"url": %[1]q, "components": {"predictor": {"url": %[1]q, "grpcUrl": %[1]q, "restUrl": %[2]q}},
		"conditions": [{"type": "PredictorReady", "status": "True", "lastTransitionTime": %[3]q}, {"type": "Ready", "status": "True", "lastTransitionTime": %[3]q}],
		"modelStatus": {"transitionStatus": "UpToDate", "states": {"activeModelState": "Loaded", "targetModelState": ""}, "copies": {"failedCopies": 0, "totalCopies": 1}}}}`,
		o.grpcURL(), "http://modelmesh-serving."+o.namespace+":8008", at)
	failed := fmt.Sprintf(`{"status": {"conditions": [{"type": "PredictorReady", "status": "False", "lastTransitionTime": %[1]q}, {"type": "Ready", "status": "False", "lastTransitionTime": %[1]q}],
		"modelStatus": {"transitionStatus": "UpToDate", "states": {"activeModelState": "FailedToLoad", "targetModelState": ""}, "copies": {"failedCopies": 1, "totalCopies": 1},
			"lastFailureInfo": {"location": "5d9bcbd6c4-x7x", "message": "no such file or directory", "modelRevisionName": "broken__isvc-0000000000", "reason": "ModelLoadFailed", "time": %[1]q}}}}`, at)
	predictor := fmt.Sprintf(`{"status": {"available": true, "transitionStatus": "UpToDate", "activeModelState": "Loaded", "targetModelState": "", "totalCopies": 1, "failedCopies": 0,
		"grpcEndpoint": %q, "httpEndpoint": %q}}`, o.grpcURL(), "http://modelmesh-serving."+o.namespace+":8008")
	for object, status := range map[string]string{
		"isvc/" + sklearnISVC: loaded, "isvc/" + customISVC: loaded, "isvc/" + brokenISVC: failed, "predictor/" + oldPredictor: predictor,
	} {
		o.kubectl("patch", object, "--subresource=status", "--type=merge", "--field-manager=manager", "--patch", status)
	}
}

func (o *owner) grpcURL() string { return "grpc://modelmesh-serving." + o.namespace + ":8033" }

// served checks that every object says what ModelMesh said of it, and that models answer by the same ids.
func (o *owner) served() {
	o.t.Helper()
	for _, name := range []string{sklearnISVC, customISVC} {
		o.untilField("isvc/"+name, `.status.conditions[?(@.type=="Ready")].status`, "True")
		o.untilField("isvc/"+name, ".status.url", o.grpcURL())
		o.untilField("isvc/"+name, ".status.modelStatus.transitionStatus", "UpToDate")
	}
	o.untilField("isvc/"+brokenISVC, ".status.modelStatus.states.activeModelState", "FailedToLoad")
	o.untilField("isvc/"+brokenISVC, ".status.modelStatus.lastFailureInfo.reason", "ModelLoadFailed")
	o.untilField("isvc/"+kservesISVC, ".status", "")
	o.untilField("predictor/"+oldPredictor, ".status.available", "true")
	o.untilField("predictor/"+oldPredictor, ".status.grpcEndpoint", o.grpcURL())
	o.answers(sklearnISVC, sklearnModel)
	o.answers(customISVC, customModel)
	o.answers(oldPredictor, oldModel)
}

// define applies the definitions as ModelMesh's manifests do it, without helm.
func define(t *testing.T) {
	t.Helper()
	run(t, "kubectl", "create", "-f", "charts/wasmesh/files/crds")
	run(t, "kubectl", "wait", "--for=condition=Established", "--timeout=1m", "-f", "charts/wasmesh/files/crds")
}
