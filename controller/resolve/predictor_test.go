package resolve

import (
	"reflect"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// predictor reads a Predictor "ns/m" with the given spec in flow style.
func predictor(t *testing.T, spec string) *v1alpha1.Predictor {
	t.Helper()
	o := &v1alpha1.Predictor{}
	if err := yaml.UnmarshalStrict([]byte("metadata: {name: m, namespace: ns}\nspec: "+spec), o); err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	return o
}

func TestFromPredictor(t *testing.T) {
	type want struct {
		id, format, version, protocol, runtime string
		key, path, schema                      string
		parameters                             map[string]string
	}
	tests := []struct {
		name, spec string
		want       want
	}{
		{
			"ModelMesh's example",
			`{modelType: {name: onnx}, path: onnx/mnist.onnx, storage: {s3: {secretKey: localMinIO}}}`,
			want{id: "m__ksp-0dbc77db1a", format: "onnx", key: "localMinIO", path: "onnx/mnist.onnx"},
		},
		{
			"s3 with a bucket and a schema",
			`{modelType: {name: onnx, version: "1"}, path: p, schemaPath: s, storage: {s3: {secretKey: k, bucket: b}}}`,
			want{id: "m__ksp-483003b1f4", format: "onnx", version: "1", key: "k", path: "p", schema: "s", parameters: map[string]string{"bucket": "b"}},
		},
		{
			"the new form",
			`{modelType: {name: sklearn}, runtime: {name: r}, protocolVersion: grpc-v2, gpu: preferred, serviceAccountName: sa,
			  storage: {key: k, path: p, schemaPath: s, parameters: {type: pvc, name: claim}}}`,
			want{
				id: "m__ksp-0cae310b95", format: "sklearn", protocol: "grpc-v2", runtime: "r", key: "k", path: "p", schema: "s",
				parameters: map[string]string{"type": "pvc", "name": "claim"},
			},
		},
		{
			"empty parameters are not absent ones",
			`{modelType: {name: sklearn}, storage: {key: localMinIO, path: sklearn/mnist-svm.joblib, parameters: {}}}`,
			want{id: "m__ksp-6b2eb0b8bf", format: "sklearn", key: "localMinIO", path: "sklearn/mnist-svm.joblib", parameters: map[string]string{}},
		},
		{
			"absent parameters",
			`{modelType: {name: sklearn}, storage: {key: localMinIO, path: sklearn/mnist-svm.joblib}}`,
			want{id: "m__ksp-296de9268b", format: "sklearn", key: "localMinIO", path: "sklearn/mnist-svm.joblib"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := FromPredictor(predictor(t, tt.spec))
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
		})
	}
}

func TestFromPredictorRefuses(t *testing.T) {
	tests := []struct{ name, spec, want string }{
		{"no storage", `{modelType: {name: onnx}, path: p}`, "Predictor Storage field missing"},
		{"no type", `{storage: {path: p}}`, "spec.modelType.name must be specified"},
		{"two paths", `{modelType: {name: onnx}, path: p, storage: {path: p}}`, "Only one of spec.path and spec.storage.path can be specified"},
		{
			"two schemas", `{modelType: {name: onnx}, schemaPath: p, storage: {schemaPath: p}}`,
			"Only one of spec.schemaPath and spec.storage.schemaPath can be specified",
		},
		{
			"claim", `{modelType: {name: onnx}, storage: {persistentVolumeClaim: {claimName: c}}}`,
			"spec.storage.PersistentVolumeClaim is not supported",
		},
		{
			"s3 and key", `{modelType: {name: onnx}, path: p, storage: {key: k, s3: {secretKey: k}}}`,
			"spec.storage.s3 cannot be specified with any other keys in spec.storage",
		},
		{
			"s3 and empty parameters", `{modelType: {name: onnx}, path: p, storage: {parameters: {}, s3: {secretKey: k}}}`,
			"spec.storage.s3 cannot be specified with any other keys in spec.storage",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := FromPredictor(predictor(t, tt.spec))
			wantInvalid(t, err, tt.want)
		})
	}
}
