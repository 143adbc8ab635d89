package v1beta1

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// What kubectl, KServe's SDK and dashboards read: the names and nesting of every field.
func TestStatusJSON(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	status := InferenceServiceStatus{
		ObservedGeneration: 2,
		Conditions: []Condition{
			{Type: ConditionReady, Status: "False", Severity: "Info", LastTransitionTime: at, Reason: "R", Message: "m"},
			{Type: ConditionPredictorReady, Status: "True"},
		},
		URL:        "grpc://a",
		Components: map[ComponentType]ComponentStatusSpec{PredictorComponent: {URL: "grpc://a", GrpcURL: "grpc://a", RestURL: "http://b"}},
		ModelStatus: ModelStatus{
			TransitionStatus:    BlockedByFailedLoad,
			ModelRevisionStates: &ModelRevisionStates{ActiveModelState: Loaded, TargetModelState: FailedToLoad},
			ModelCopies:         &ModelCopies{FailedCopies: 1, TotalCopies: 2},
			LastFailureInfo: &FailureInfo{
				Location: "host", Reason: ModelLoadFailed, Message: "no", ModelRevisionName: "m__isvc-0", Time: &at, ExitCode: 3,
			},
		},
	}
	const want = `{"observedGeneration":2,"conditions":[` +
		`{"type":"Ready","status":"False","severity":"Info","lastTransitionTime":"2026-01-02T03:04:05Z","reason":"R","message":"m"},` +
		`{"type":"PredictorReady","status":"True"}],` +
		`"url":"grpc://a","components":{"predictor":{"url":"grpc://a","grpcUrl":"grpc://a","restUrl":"http://b"}},` +
		`"modelStatus":{"transitionStatus":"BlockedByFailedLoad","states":{"activeModelState":"Loaded","targetModelState":"FailedToLoad"},` +
		`"lastFailureInfo":{"location":"host","reason":"ModelLoadFailed","message":"no","modelRevisionName":"m__isvc-0",` +
		`"time":"2026-01-02T03:04:05Z","exitCode":3},"copies":{"failedCopies":1,"totalCopies":2}}}`
	got, err := json.Marshal(status)
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

// What is counted and named is there even when it is nothing: server-side apply leaves to others what is absent.
func TestEmptyStatusJSON(t *testing.T) {
	got, err := json.Marshal(ModelStatus{
		TransitionStatus: UpToDate, ModelRevisionStates: &ModelRevisionStates{ActiveModelState: Standby}, ModelCopies: &ModelCopies{},
	})
	const want = `{"transitionStatus":"UpToDate","states":{"activeModelState":"Standby","targetModelState":""},` +
		`"copies":{"failedCopies":0,"totalCopies":0}}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

// Everything that ModelMesh reads from an InferenceService has a field here, under its name.
func TestSpecFields(t *testing.T) {
	ext := `{storageUri: u, protocolVersion: v2, storage: {key: k, path: p, schemaPath: s, parameters: {a: b}}}`
	text := `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: m, annotations: {serving.kserve.io/deploymentMode: ModelMesh}}
spec:
  predictor:
    model: {modelFormat: {name: sklearn, version: "0"}, runtime: r, ` + ext[1:] + `
    xgboost: ` + ext + `
    lightgbm: {}
    sklearn: {}
    tensorflow: {}
    onnx: {}
    pytorch: {}
    triton: {}
    pmml: {}
    paddle: {}
    huggingface: {}
`
	isvc := &InferenceService{}
	if err := yaml.UnmarshalStrict([]byte(text), isvc); err != nil {
		t.Fatal(err)
	}
	model := isvc.Spec.Predictor.Model
	if model.ModelFormat.Name != "sklearn" || *model.ModelFormat.Version != "0" || *model.Runtime != "r" {
		t.Errorf("model %+v", model)
	}
	for _, e := range []*PredictorExtensionSpec{&model.PredictorExtensionSpec, isvc.Spec.Predictor.XGBoost} {
		if *e.StorageURI != "u" || *e.ProtocolVersion != "v2" || *e.Storage.StorageKey != "k" || *e.Storage.Path != "p" ||
			*e.Storage.SchemaPath != "s" || e.Storage.Parameters["a"] != "b" {
			t.Errorf("extension %+v", e)
		}
	}
}

func TestAddToScheme(t *testing.T) {
	s := runtime.NewScheme()
	if err := AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{Kind, Kind + "List"} {
		if _, err := s.New(GroupVersion.WithKind(kind)); err != nil {
			t.Error(err)
		}
	}
}
