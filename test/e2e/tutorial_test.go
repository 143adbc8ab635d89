package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"github.com/wasmesh/wasmesh/test/installed"
	"google.golang.org/protobuf/encoding/protojson"
)

// The tutorial of ModelMesh, on the YAML that the quickstart uses: real MLServer, real S3, real model.
func TestTutorial(t *testing.T) {
	examples := filepath.Join(installed.Root(t), "docs", "examples")
	s3 := newStore(t)
	samples := installed.SampleModels(t)
	model, err := os.ReadFile(filepath.Join(samples.Dir, samples.Bucket, "sklearn/mnist-svm.joblib"))
	if err != nil {
		t.Fatal(err)
	}
	s3.put("sklearn/mnist-svm.joblib", model)
	s3.put("sklearn/not-a-joblib.joblib", []byte("this is not a model"))

	files := make(map[string]string)
	for _, dir := range []string{"quickstart", "variants"} {
		paths, err := filepath.Glob(filepath.Join(examples, dir, "*.yaml"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("examples in %s: %v, %v", dir, paths, err)
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[dir+"-"+filepath.Base(path)] = strings.ReplaceAll(string(content), "http://127.0.0.1:9000", s3.url)
		}
	}
	files["broken.yaml"] = serviceOf("broken", "sklearn", "sklearn/not-a-joblib.joblib")
	m := up(t, files)
	m.untilLoaded("example-sklearn-isvc")
	rest, err := os.ReadFile(filepath.Join(examples, "quickstart-requests/input-rest.json"))
	if err != nil {
		t.Fatal(err)
	}

	t.Run("REST", func(t *testing.T) {
		code, body := m.post("/v2/models/example-sklearn-isvc/infer", "application/json", rest)
		expectEight(t, body, "example-sklearn-isvc__isvc-3642375d03")
		if code != 200 {
			t.Errorf("status %d", code)
		}
	})
	t.Run("gRPC", func(t *testing.T) {
		out, err := m.run("infer", "example-sklearn-isvc", "--grpc", "-f", filepath.Join(examples, "quickstart-requests/input-grpc.json"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, "example-sklearn-isvc__isvc-3642375d03") {
			t.Errorf("answer: %s", out)
		}
	})
	t.Run("grpcurl", func(t *testing.T) {
		request, err := os.ReadFile(filepath.Join(examples, "quickstart-requests/input-grpc.json"))
		if err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), installed.Tool(t, "grpcurl"), "-plaintext",
			"-import-path", filepath.Join(installed.Root(t), "sdk", "proto"), "-proto", "inference/inference.proto", "-d", string(request),
			m.grpc, "inference.GRPCInferenceService.ModelInfer")
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var answer struct {
			ModelName string
			Outputs   []struct {
				Name     string
				Contents struct{ Int64Contents []string }
			}
		}
		if err := json.Unmarshal(out, &answer); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if answer.ModelName != "example-sklearn-isvc__isvc-3642375d03" || len(answer.Outputs) != 1 ||
			answer.Outputs[0].Name != "predict" || strings.Join(answer.Outputs[0].Contents.Int64Contents, "") != "8" {
			t.Errorf("answer: %s", out)
		}
	})
	for name, prefix := range map[string]string{
		"example-sklearn-storage":   "isvc-6b2eb0b8bf",
		"example-sklearn-legacy":    "isvc-3642375d03",
		"example-sklearn-predictor": "ksp-",
	} {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			code, body := m.post("/v2/models/"+name+"/infer", "application/json", rest)
			expectEight(t, body, name+"__"+prefix)
			if code != 200 {
				t.Errorf("status %d", code)
			}
		})
	}
	t.Run("health and metadata", func(t *testing.T) {
		m := m.in(t)
		for path, want := range map[string]string{
			"/v2/health/live":                       `{"live":true}`,
			"/v2/health/ready":                      `{"ready":true}`,
			"/v2/models/example-sklearn-isvc/ready": `{"ready":true}`,
			"/v2":                                   `"name":"wasmesh"`,
			"/v2/models/example-sklearn-isvc":       `"name":"example-sklearn-isvc__isvc-3642375d03"`,
		} {
			if code, body := m.get(path); code != 200 || !strings.Contains(body, want) {
				t.Errorf("GET %s: %d %s, want %s", path, code, body, want)
			}
		}
		if code, body := m.get("/v2/models/nobody/ready"); code != 404 || !strings.Contains(errorOf(t, body), "nobody") {
			t.Errorf("unknown model: %d %s", code, body)
		}
	})
	t.Run("get", func(t *testing.T) {
		m := m.in(t)
		out, err := m.run("get", "isvc", "example-sklearn-isvc")
		if err != nil {
			t.Fatal(err)
		}
		header, row, _ := strings.Cut(out, "\n")
		if got := strings.Join(strings.Fields(header), " "); got != "NAME URL READY PREV LATEST PREVROLLEDOUTREVISION LATESTREADYREVISION AGE" {
			t.Errorf("columns %q", got)
		}
		if fields := strings.Fields(row); len(fields) < 3 || fields[1] != "grpc://"+m.grpc || fields[2] != "True" {
			t.Errorf("row %q", row)
		}
		for _, kind := range []string{"runtimes", "models", "hosts"} {
			if out, err := m.run("get", kind); err != nil || !strings.Contains(out, "mlserver-1.x") {
				t.Errorf("get %s: %v\n%s", kind, err, out)
			}
		}
	})
	t.Run("an input that the model refuses", func(t *testing.T) {
		m := m.in(t)
		code, body := m.post("/v2/models/example-sklearn-isvc/infer", "application/json",
			[]byte(`{"inputs":[{"name":"predict","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}`))
		if code != 500 || !strings.Contains(errorOf(t, body), "expecting 64 features") {
			t.Errorf("%d %s, want MLServer's own words", code, body)
		}
	})
	t.Run("a file that is no model", func(t *testing.T) {
		m := m.in(t)
		s := m.until("broken", "has failed", func(s service) bool { return s.active() == "FailedToLoad" })
		reason, message := s.failure()
		t.Logf("%s: %s", reason, message)
		if reason != "ModelLoadFailed" || message == "" {
			t.Errorf("failure %s: %q", reason, message)
		}
	})
	t.Run("MLServer is killed", func(t *testing.T) {
		m := m.in(t)
		client := m.grpcClient()
		var request inference.ModelInferRequest
		content, err := os.ReadFile(filepath.Join(examples, "quickstart-requests/input-grpc.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := protojson.Unmarshal(content, &request); err != nil {
			t.Fatal(err)
		}
		m.killUnderLoad("runtime-mlserver-1.x-0", func(ctx context.Context) (*inference.ModelInferResponse, error) {
			return client.ModelInfer(ctx, &request)
		})
		m.untilLoaded("example-sklearn-storage")
	})
}

// expectEight reads a V2 answer: output "predict" is 8, from a model whose id starts like that.
func expectEight(t *testing.T, body, id string) {
	t.Helper()
	var answer struct {
		ModelName string `json:"model_name"`
		Outputs   []struct {
			Name string
			Data []int
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if !strings.HasPrefix(answer.ModelName, id) || len(answer.Outputs) != 1 || answer.Outputs[0].Name != "predict" ||
		len(answer.Outputs[0].Data) != 1 || answer.Outputs[0].Data[0] != 8 {
		t.Errorf("answer %s, want 8 from %s", body, id)
	}
}
