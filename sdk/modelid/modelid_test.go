package modelid

import (
	"testing"
)

func ptr(s string) *string { return &s }

// s3Predictor is the deprecated shape that ModelMesh's example models use.
func s3Predictor(format, path string) Spec {
	return Spec{
		ModelType: ModelType{Name: format},
		Path:      path,
		Storage:   &Storage{S3: &S3{SecretKey: "localMinIO"}},
	}
}

// The ids that ModelMesh's documentation shows: a client that has stored one must find its model under it here.
func TestDocumentedIDs(t *testing.T) {
	sklearn := ModelType{Name: "sklearn"}
	svm := ptr("sklearn/mnist-svm.joblib")
	tests := []struct {
		name      string
		source    Source
		spec      Spec
		canonical string
		want      string
	}{
		{
			name: "example-sklearn-isvc", source: InferenceService,
			spec: Spec{ModelType: sklearn, Storage: &Storage{
				Path: svm, Parameters: map[string]string{"type": "s3", "bucket": "modelmesh-example-models"}, Key: ptr("localMinIO"),
			}},
			canonical: `{"modelType":{"name":"sklearn"},"path":"","storage":{"path":"sklearn/mnist-svm.joblib","parameters":{"bucket":"modelmesh-example-models","type":"s3"},"key":"localMinIO"}}`,
			want:      "example-sklearn-isvc__isvc-3642375d03",
		},
		{
			name: "example-sklearn-isvc", source: InferenceService,
			spec:      Spec{ModelType: sklearn, Storage: &Storage{Path: svm, Parameters: map[string]string{}, Key: ptr("localMinIO")}},
			canonical: `{"modelType":{"name":"sklearn"},"path":"","storage":{"path":"sklearn/mnist-svm.joblib","parameters":{},"key":"localMinIO"}}`,
			want:      "example-sklearn-isvc__isvc-6b2eb0b8bf",
		},
		{
			name: "sklearn-pvc-example", source: InferenceService,
			spec: Spec{ModelType: sklearn, Storage: &Storage{
				Path: svm, Parameters: map[string]string{"type": "pvc", "name": "my-models-pvc"},
			}},
			canonical: `{"modelType":{"name":"sklearn"},"path":"","storage":{"path":"sklearn/mnist-svm.joblib","parameters":{"name":"my-models-pvc","type":"pvc"}}}`,
			want:      "sklearn-pvc-example__isvc-3d2daa3370",
		},
		{
			name: "example-onnx-mnist", source: Predictor,
			spec:      s3Predictor("onnx", "onnx/mnist.onnx"),
			canonical: `{"modelType":{"name":"onnx"},"path":"onnx/mnist.onnx","storage":{"s3":{"secretKey":"localMinIO"}}}`,
			want:      "example-onnx-mnist__ksp-0dbc77db1a",
		},
		{name: "m", source: Predictor, spec: s3Predictor("sklearn", "sklearn/mnist-svm.joblib"), want: "m__ksp-7702c1b55a"},
		{name: "m", source: Predictor, spec: s3Predictor("keras", "keras/mnist.h5"), want: "m__ksp-f3ccc51d50"},
		{name: "m", source: Predictor, spec: s3Predictor("tensorflow", "tensorflow/mnist.savedmodel"), want: "m__ksp-c3597b719f"},
		{name: "m", source: Predictor, spec: s3Predictor("pytorch", "pytorch/cifar"), want: "m__ksp-d2b754f2bf"},
		{name: "m", source: Predictor, spec: s3Predictor("lightgbm", "lightgbm/mushroom.bst"), want: "m__ksp-297b372253"},
		{name: "m", source: Predictor, spec: s3Predictor("xgboost", "xgboost/mushroom.json"), want: "m__ksp-f624b27e99"},
	}
	for _, tt := range tests {
		if got := New(tt.name, tt.source, tt.spec).String(); got != tt.want {
			t.Errorf("id of %s = %s, want %s", tt.spec.Canonical(), got, tt.want)
		}
		if tt.canonical != "" && string(tt.spec.Canonical()) != tt.canonical {
			t.Errorf("canonical form\n got %s\nwant %s", tt.spec.Canonical(), tt.canonical)
		}
	}
}

// Every field has its place, and what Go's JSON escapes stays escaped: both are part of the hash.
func TestCanonicalForm(t *testing.T) {
	everything := Spec{
		ServiceAccountName: ptr("sa"),
		ModelType:          ModelType{Name: "onnx", Version: ptr("1")},
		Path:               "p",
		SchemaPath:         ptr("s"),
		Storage: &Storage{
			Path: ptr("a"), SchemaPath: ptr("b"), Parameters: map[string]string{"url": "https://h?x=1&y=<2>"},
			Key: ptr(""), S3: &S3{SecretKey: "k", Bucket: ptr("bu")},
		},
		GPU:             ptr("required"),
		Runtime:         &Runtime{Name: "triton-2.x"},
		ProtocolVersion: ptr("grpc-v2"),
	}
	const want = `{"serviceAccountName":"sa","modelType":{"name":"onnx","version":"1"},"path":"p","schemaPath":"s",` +
		`"storage":{"path":"a","schemaPath":"b","parameters":{"url":"https://h?x=1\u0026y=\u003c2\u003e"},"key":"",` +
		`"s3":{"secretKey":"k","bucket":"bu"}},"gpu":"required","runtime":{"name":"triton-2.x"},"protocolVersion":"grpc-v2"}`
	if got := string(everything.Canonical()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		in   string
		want ID
		ok   bool
	}{
		{"example-sklearn-isvc__isvc-3642375d03", ID{"example-sklearn-isvc", InferenceService, "3642375d03"}, true},
		{"m__ksp-0dbc77db1a", ID{"m", Predictor, "0dbc77db1a"}, true},
		{"a__b__isvc-3642375d03", ID{"a__b", InferenceService, "3642375d03"}, true},
		{"", ID{}, false},
		{"example-sklearn-isvc", ID{}, false},
		{"__isvc-3642375d03", ID{}, false},
		{"m__isvc", ID{}, false},
		{"m__isvc3642375d03", ID{}, false},
		{"m__foo-3642375d03", ID{}, false},
		{"m__isvc-3642375d0", ID{}, false},
		{"m__isvc-3642375d033", ID{}, false},
		{"m__isvc-3642375D03", ID{}, false},
		{"m__isvc-3642-75d03", ID{}, false},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in)
		if (err == nil) != tt.ok || got != tt.want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
		if err == nil && got.String() != tt.in {
			t.Errorf("Parse(%q).String() = %q", tt.in, got)
		}
	}
}

// Keys are compared between processes of different versions, so their value is part of the contract.
func TestKeyOf(t *testing.T) {
	const id = "example-sklearn-isvc__isvc-3642375d03"
	if got, want := KeyOf("default", id).String(), "c510eb9f2176b87c"; got != want {
		t.Errorf("KeyOf = %s, want %s", got, want)
	}
	if KeyOf("a", "b") == KeyOf("ab", "") || KeyOf("a", "b") == KeyOf("b", "a") {
		t.Error("namespace and id run into each other")
	}
}
