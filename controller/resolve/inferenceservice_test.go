package resolve

import (
	"errors"
	"reflect"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// isvc reads an InferenceService "ns/m" with the given metadata.annotations and spec.predictor, both in flow style.
func isvc(t *testing.T, annotations, predictor string) *v1beta1.InferenceService {
	t.Helper()
	o := &v1beta1.InferenceService{}
	text := "metadata: {name: m, namespace: ns, annotations: " + annotations + "}\nspec: {predictor: " + predictor + "}"
	if err := yaml.Unmarshal([]byte(text), o); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func TestFromInferenceService(t *testing.T) {
	type want struct {
		id, format, version, protocol, runtime string
		key, path, schema                      string
		parameters                             map[string]string
	}
	bucket := map[string]string{"type": "s3", "bucket": "modelmesh-example-models"}
	tests := []struct {
		name, annotations, predictor string
		want                         want
	}{
		{
			name:        "the tutorial's model",
			annotations: `{serving.kserve.io/deploymentMode: ModelMesh, serving.kserve.io/secretKey: localMinIO}`,
			predictor:   `{model: {modelFormat: {name: sklearn}, storageUri: "s3://modelmesh-example-models/sklearn/mnist-svm.joblib"}}`,
			want:        want{id: "m__isvc-3642375d03", format: "sklearn", key: "localMinIO", path: "sklearn/mnist-svm.joblib", parameters: bucket},
		},
		{
			name:      "storage key and path",
			predictor: `{model: {modelFormat: {name: sklearn}, storage: {key: localMinIO, path: sklearn/mnist-svm.joblib}}}`,
			want:      want{id: "m__isvc-6b2eb0b8bf", format: "sklearn", key: "localMinIO", path: "sklearn/mnist-svm.joblib", parameters: map[string]string{}},
		},
		{
			name:        "legacy framework",
			annotations: `{serving.kserve.io/secretKey: localMinIO}`,
			predictor:   `{sklearn: {storageUri: "s3://modelmesh-example-models/sklearn/mnist-svm.joblib"}}`,
			want:        want{id: "m__isvc-3642375d03", format: "sklearn", key: "localMinIO", path: "sklearn/mnist-svm.joblib", parameters: bucket},
		},
		{
			name:      "a volume claim",
			predictor: `{model: {modelFormat: {name: sklearn}, storageUri: "pvc://my-models-pvc/sklearn/mnist-svm.joblib"}}`,
			want: want{
				id: "m__isvc-3d2daa3370", format: "sklearn", path: "sklearn/mnist-svm.joblib",
				parameters: map[string]string{"type": "pvc", "name": "my-models-pvc"},
			},
		},
		{
			name:        "fields win over annotations, the URI over parameters",
			annotations: `{serving.kserve.io/secretKey: a, serving.kserve.io/schemaPath: b}`,
			predictor: `{model: {modelFormat: {name: onnx, version: "1"}, runtime: r, protocolVersion: grpc-v2, storageUri: "s3://B/P",
				storage: {key: k, schemaPath: s, parameters: {bucket: other, region: eu}}}}`,
			want: want{
				id: "m__isvc-80d8d92561", format: "onnx", version: "1", protocol: "grpc-v2", runtime: "r", key: "k", path: "P", schema: "s",
				parameters: map[string]string{"type": "s3", "bucket": "B", "region": "eu"},
			},
		},
		{
			name:        "annotations where fields are absent",
			annotations: `{serving.kserve.io/secretKey: a, serving.kserve.io/schemaPath: b, serving.kserve.io/servingRuntime: triton-2.x}`,
			predictor:   `{onnx: {storage: {path: p}, protocolVersion: v2}}`,
			want: want{
				id: "m__isvc-465705124b", format: "onnx", protocol: "v2", runtime: "triton-2.x", key: "a", path: "p", schema: "b",
				parameters: map[string]string{},
			},
		},
		{
			name:      "the first framework in ModelMesh's order counts, paddle and huggingface never",
			predictor: `{paddle: {}, huggingface: {}, pmml: {storage: {path: x}}, lightgbm: {storage: {path: p}}, sklearn: {}}`,
			want:      want{id: "m__isvc-b005b0280f", format: "lightgbm", path: "p", parameters: map[string]string{}},
		},
		{
			name:      "fields that only KServe reads are ignored",
			predictor: `{minReplicas: 3, model: {modelFormat: {name: onnx}, storage: {path: p}, resources: {limits: {cpu: 1}}, env: [{name: A, value: b}]}}`,
			want:      want{id: "m__isvc-c19f80312f", format: "onnx", path: "p", parameters: map[string]string{}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.annotations == "" {
				tt.annotations = "{}"
			}
			in := isvc(t, tt.annotations, tt.predictor)
			before := in.DeepCopy()
			s, err := FromInferenceService(in)
			if err != nil {
				t.Fatal(err)
			}
			got := want{
				s.ID.String(), s.Format, s.FormatVersion, s.Protocol, s.Runtime,
				s.Storage.SecretKey, s.Storage.Path, s.Storage.SchemaPath, s.Storage.Parameters,
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			if s.Namespace != "ns" || s.ID.Name != "m" {
				t.Errorf("namespace %q, name %q", s.Namespace, s.ID.Name)
			}
			if !reflect.DeepEqual(in, before) {
				t.Error("the InferenceService was changed")
			}
		})
	}
}

func TestFromInferenceServiceRefuses(t *testing.T) {
	const model = `{model: {modelFormat: {name: sklearn}, `
	tests := []struct {
		name, annotations, predictor, want string
	}{
		{
			"both storageUri and storage.path", `{}`, model + `storageUri: "s3://b/p", storage: {path: p}}}`,
			"the InferenceService ns/m cannot have both the storageUri and the storage.path",
		},
		{
			"neither", `{}`, model + `storage: {key: k}}}`,
			"the InferenceService ns/m must have either the storageUri or the storage.path",
		},
		{
			"bad scheme", `{}`, model + `storageUri: "ftp://b/p"}}`,
			"the InferenceService ns/m has an unsupported storageUri scheme ftp: use s3 or pvc",
		},
		{
			"model and framework", `{}`, `{model: {modelFormat: {name: onnx}}, sklearn: {}}`,
			"the InferenceService m cannot have both the model spec and a framework spec (sklearn)",
		},
		{
			"model and runtime annotation", `{serving.kserve.io/servingRuntime: r}`, model + `storageUri: "s3://b/p"}}`,
			"the InferenceService m cannot have both the model spec and the runtime annotation serving.kserve.io/servingRuntime",
		},
		{
			"unknown framework", `{}`, `{mxnet: {storageUri: "s3://b/p"}}`,
			"no valid InferenceService predictor framework found: use spec.predictor.model with a modelFormat and a storageUri or storage.path",
		},
		{
			"no format", `{}`, `{model: {storageUri: "s3://b/p"}}`,
			"the InferenceService m must have spec.predictor.model.modelFormat.name",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := FromInferenceService(isvc(t, tt.annotations, tt.predictor))
			wantInvalid(t, err, tt.want)
		})
	}
}

// wantInvalid wants a Reason InvalidPredictorSpec with exactly this message.
func wantInvalid(t *testing.T, err error, message string) {
	t.Helper()
	var reason *Reason
	if !errors.As(err, &reason) {
		t.Fatalf("error %v is no Reason", err)
	}
	if want := (Reason{v1beta1.InvalidPredictorSpec, message}); *reason != want {
		t.Errorf("got  %+v\nwant %+v", *reason, want)
	}
}

func TestIsModelMesh(t *testing.T) {
	for annotations, want := range map[string]bool{
		`{serving.kserve.io/deploymentMode: ModelMesh}`:     true,
		`{serving.kserve.io/deploymentMode: RawDeployment}`: false,
		`{}`: false,
	} {
		if got := IsModelMesh(isvc(t, annotations, `{}`)); got != want {
			t.Errorf("IsModelMesh with annotations %s = %v", annotations, got)
		}
	}
}
