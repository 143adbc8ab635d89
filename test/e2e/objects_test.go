package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gocloud.dev/blob"

	"github.com/wasmesh/wasmesh/test/installed"
	"github.com/wasmesh/wasmesh/test/s3server"
)

const (
	bucket    = "modelmesh-example-models"
	accessKey = "AKIAIOSFODNN7EXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// store is a real S3 server with one bucket.
type store struct {
	t      *testing.T
	bucket *blob.Bucket
	url    string
}

func newStore(t *testing.T) *store {
	t.Helper()
	server, err := s3server.Start(t.Context(), s3server.Config{
		Binary: installed.Tool(t, "versitygw"), Dir: t.TempDir(), AccessKey: accessKey, SecretKey: secretKey,
		Region: "us-south",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	if err := server.MakeBucket(bucket); err != nil {
		t.Fatal(err)
	}
	s := &store{t: t, url: server.URL()}
	if s.bucket, err = server.Bucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.bucket.Close() })
	return s
}

// put writes one object.
func (s *store) put(path string, content []byte) {
	s.t.Helper()
	if err := s.bucket.WriteAll(s.t.Context(), path, content, nil); err != nil {
		s.t.Fatal(err)
	}
}

// behaviour is a model of the fake runtime: the artifact says how it behaves.
type behaviour struct {
	LoadMS      int    `json:"load_ms,omitempty"`
	ServiceMS   int    `json:"service_ms,omitempty"`
	SizeBytes   int64  `json:"size_bytes,omitempty"`
	Fail        string `json:"fail,omitempty"`
	CrashOnLoad bool   `json:"crash_on_load,omitempty"`
}

func (s *store) putFake(name string, b behaviour) (path string) {
	s.t.Helper()
	content, err := json.Marshal(b)
	if err != nil {
		s.t.Fatal(err)
	}
	path = "fake/" + name + ".json"
	s.put(path, content)
	return path
}

func (s *store) secret() string { return secretYAML(s.url, accessKey, secretKey, bucket) }

func secretYAML(endpoint, access, secret, bucket string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata:
  name: storage-config
stringData:
  localMinIO: |
    {
      "type": "s3",
      "access_key_id": %q,
      "secret_access_key": %q,
      "endpoint_url": %q,
      "default_bucket": %q,
      "region": "us-south"
    }
`, access, secret, endpoint, bucket)
}

// fakeRuntime is a ServingRuntime whose models may take this many bytes together.
func fakeRuntime(capacity int64) string {
	const buffer = 1 << 20
	return fmt.Sprintf(`apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: fake-1.x
  annotations:
    maxLoadingConcurrency: "2"
spec:
  supportedModelFormats:
    - name: fake
      version: "1"
      autoSelect: true
  multiModel: true
  grpcEndpoint: "port:8085"
  grpcDataEndpoint: "port:8001"
  containers:
    - name: fake
      image: wasmesh/fake-runtime
      resources:
        requests: {cpu: 100m, memory: "%d"}
  builtInAdapter:
    serverType: fake
    runtimeManagementPort: 8001
    memBufferBytes: %d
    modelLoadingTimeoutMillis: 60000
`, capacity+buffer, buffer)
}

// sized declares the model's size, as its owner would: the artifact of a fake model says little about it.
func sized(service string, bytes int64) string {
	return strings.Replace(service, "  annotations:\n", fmt.Sprintf("  annotations:\n    wasmesh.dev/model-size: \"%d\"\n", bytes), 1)
}

// fakeService is an InferenceService of the fake runtime over one path of the bucket.
func fakeService(name, path string) string { return serviceOf(name, "fake", path) }

func serviceOf(name, format, path string) string {
	return fmt.Sprintf(`apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: %s
  annotations:
    serving.kserve.io/deploymentMode: ModelMesh
    serving.kserve.io/secretKey: localMinIO
spec:
  predictor:
    model:
      modelFormat:
        name: %s
      storageUri: s3://%s/%s
`, name, format, bucket, path)
}
