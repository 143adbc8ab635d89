package v1alpha1

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Every field of a ServingRuntime that ModelMesh has is one here.
func TestServingRuntimeFields(t *testing.T) {
	const text = `
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: mlserver-1.x}
spec:
  supportedModelFormats: [{name: sklearn, version: "0", autoSelect: true, priority: 1}]
  multiModel: true
  disabled: true
  protocolVersions: [grpc-v2]
  containers: [{name: mlserver, image: i, resources: {requests: {memory: 1Gi}}}]
  volumes: [{name: v, emptyDir: {}}]
  nodeSelector: {a: b}
  affinity: {nodeAffinity: {}}
  tolerations: [{key: k}]
  labels: {a: b}
  annotations: {a: b}
  imagePullSecrets: [{name: s}]
  grpcEndpoint: "port:8085"
  grpcDataEndpoint: "port:8001"
  httpDataEndpoint: "port:8002"
  replicas: 2
  storageHelper: {disabled: true}
  builtInAdapter: {serverType: mlserver, runtimeManagementPort: 8001, memBufferBytes: 1, modelLoadingTimeoutMillis: 2, env: [{name: A, value: b}]}
`
	sr := &ServingRuntime{}
	if err := yaml.UnmarshalStrict([]byte(text), sr); err != nil {
		t.Fatal(err)
	}
	s := sr.Spec
	if !s.IsDisabled() || !s.IsMultiModel() || *s.GrpcMultiModelManagementEndpoint != "port:8085" || *s.Replicas != 2 ||
		s.BuiltInAdapter.ServerType != "mlserver" || s.Containers[0].Resources.Requests.Memory().Value() != 1<<30 {
		t.Errorf("spec %+v", s)
	}
	if unset := (&ServingRuntimeSpec{}); unset.IsDisabled() || unset.IsMultiModel() {
		t.Error("a runtime that says neither is disabled or multi-model")
	}
}

func TestPredictorStatusJSON(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	got, err := json.Marshal(PredictorStatus{
		Available: true, TransitionStatus: v1beta1.UpToDate, ActiveModelState: v1beta1.Loaded, TotalCopies: 1,
		LastFailureInfo: &FailureInfo{Location: "h", Reason: v1beta1.ModelLoadFailed, Message: "m", ModelID: "m__ksp-0", Time: &at},
		GrpcEndpoint:    "grpc://a", HTTPEndpoint: "http://b",
	})
	const want = `{"available":true,"transitionStatus":"UpToDate","activeModelState":"Loaded","targetModelState":"",` +
		`"lastFailureInfo":{"location":"h","reason":"ModelLoadFailed","message":"m","modelId":"m__ksp-0","time":"2026-01-02T03:04:05Z"},` +
		`"httpEndpoint":"http://b","grpcEndpoint":"grpc://a","totalCopies":1,"failedCopies":0}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestAddToScheme(t *testing.T) {
	s := runtime.NewScheme()
	if err := AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{KindServingRuntime, KindClusterServingRuntime, KindPredictor} {
		for _, k := range []string{kind, kind + "List"} {
			if _, err := s.New(GroupVersion.WithKind(k)); err != nil {
				t.Error(err)
			}
		}
	}
}
