package mlserver_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/mlserver"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// bench is a real MLServer with an adapter and a client of its own.
type bench struct {
	*server
	ctx     context.Context
	adapter runtimes.Adapter
	client  inference.GRPCInferenceServiceClient
}

func newBench(t *testing.T, env ...string) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	s := newServer(t, env...)
	conn, err := grpc.NewClient("passthrough:///"+s.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &bench{server: s, ctx: ctx, adapter: s.ready(ctx, t), client: inference.NewGRPCInferenceServiceClient(conn)}
}

// TestBehaviour tries on one real MLServer what is particular to it.
func TestBehaviour(t *testing.T) {
	b := newBench(t)
	t.Run("refusals", b.refusals)
	t.Run("native directory", b.nativeDirectory)
	t.Run("schema", b.schema)
	t.Run("unload that raises", b.unloadThatRaises)
	t.Run("repository stays small", b.repositoryStaysSmall)
	t.Run("blocking load given up", b.blockingLoadGivenUp)
}

func (b *bench) mustLoad(t *testing.T, model runtimes.Model) {
	t.Helper()
	if _, err := b.adapter.Load(b.ctx, model); err != nil {
		t.Fatal(err)
	}
}

// refusals is what a user reads for each way in which a model can be wrong.
func (b *bench) refusals(t *testing.T) {
	cases := []struct {
		name, format string
		// files of the model directory; file is the one that is the model, or empty for the directory itself.
		files  map[string]string
		file   string
		schema string
		want   []string
	}{
		{
			name: "not a joblib", format: "sklearn", files: map[string]string{"m.joblib": "{}"}, file: "m.joblib",
			want: []string{`could not load "m.joblib" with mlserver_sklearn.SKLearnModel: 123`, "not of the declared format"},
		},
		{
			name: "format without implementation", format: "tensorflow", files: map[string]string{"m.pb": ""}, file: "m.pb",
			want: []string{`no implementation for model format "tensorflow"`, "lightgbm", "MLSERVER_MODEL_IMPLEMENTATION"},
		},
		{
			name: "implementation that is not installed", format: "xgboost", files: map[string]string{"m.json": ""}, file: "m.json",
			want: []string{"mlserver_xgboost.XGBoostModel", "No module named 'mlserver_xgboost'"},
		},
		{
			name: "settings that name a file which is not there", format: "sklearn",
			files: map[string]string{"model-settings.json": `{"parameters": {"uri": "./absent.joblib"}}`},
			want:  []string{"Invalid URI specified for model", "absent.joblib"},
		},
		{
			name: "settings that are cut off", format: "sklearn",
			files: map[string]string{"model-settings.json": `{"parameters": {`},
			want:  []string{"model-settings.json", "unexpected end of JSON input"},
		},
		{
			name: "settings that MLServer finds fault with", format: "sklearn",
			files: map[string]string{"model-settings.json": `{"implementation": "mlserver_sklearn.SKLearnModel", "max_batch_size": "many"}`},
			want:  []string{"did not accept the settings", "log"},
		},
		{
			name: "schema with a datatype that does not exist", format: "sklearn", files: map[string]string{"m.joblib": ""}, file: "m.joblib",
			schema: `{"inputs": [{"name": "x", "datatype": "FLOAT", "shape": [1]}]}`,
			want:   []string{"inputs[0]", `datatype "FLOAT"`, "FP32"},
		},
		{
			name: "name that MLServer cannot open", format: "sklearn", files: map[string]string{"m#1.joblib": ""}, file: "m#1.joblib",
			want: []string{`"m#1.joblib"`, "rename"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range c.files {
				file(t, dir, name, content)
			}
			model := runtimes.Model{ID: "refused__isvc-1", FormatName: c.format, Path: filepath.Join(dir, c.file)}
			if c.schema != "" {
				model.SchemaPath = filepath.Join(file(t, t.TempDir(), "schema.json", c.schema), "schema.json")
			}
			_, err := b.adapter.Load(b.ctx, model)
			if err == nil || runtimes.IsUnavailable(err) {
				t.Fatalf("Load: %v; want a refusal", err)
			}
			for _, words := range c.want {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("the refusal reads %q; want %q in it", err, words)
				}
			}
			if entries, _ := os.ReadDir(mlserver.RepositoryDir(b.modelsDir)); len(entries) > 0 {
				t.Errorf("%v is left in the repository", entries)
			}
		})
	}
}

// nativeDirectory loads a directory made for MLServer, with settings and code of its own.
func (b *bench) nativeDirectory(t *testing.T) {
	const id = "native__isvc-1"
	dir := t.TempDir()
	digits, request := digits(t, id)
	raw, err := os.ReadFile(digits.Path)
	if err != nil {
		t.Fatal(err)
	}
	file(t, dir, "weights/digits.joblib", string(raw))
	file(t, dir, "own.py", "from mlserver_sklearn import SKLearnModel\nfrom parts.mine import Kept\n")
	file(t, dir, "parts/mine.py", "class Kept:\n    pass\n")
	file(t, dir, "model-settings.json", `{"name": "another name", "implementation": "own.SKLearnModel",
		"parameters": {"uri": "./weights/digits.joblib", "version": "7"}}`)
	// A model inside the model, which would take the place of somebody else's.
	file(t, dir, "parts/model-settings.json", `{"name": "victim__isvc-2", "implementation": "own.SKLearnModel"}`)

	b.mustLoad(t, runtimes.Model{ID: id, FormatName: "python", Path: dir})
	response, err := b.client.ModelInfer(b.ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if response.GetModelName() != id || response.GetModelVersion() != "" || response.GetOutputs()[0].GetContents().GetInt64Contents()[0] != 8 {
		t.Errorf("answer %v; want 8 from %s without a version", response, id)
	}
	index, err := b.client.RepositoryIndex(b.ctx, &inference.RepositoryIndexRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, model := range index.GetModels() {
		if model.GetName() == "victim__isvc-2" {
			t.Errorf("MLServer lists the model inside the model: %v", index)
		}
	}
}

// schema: what a user's schema says is what ModelMetadata answers.
func (b *bench) schema(t *testing.T) {
	model, _ := digits(t, "described__isvc-1")
	model.SchemaPath = filepath.Join(file(t, t.TempDir(), "schema.json",
		`{"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}], "outputs": [{"name": "digit", "datatype": "STRING", "shape": [-1]}]}`),
		"schema.json")
	b.mustLoad(t, model)
	got, err := b.client.ModelMetadata(b.ctx, &inference.ModelMetadataRequest{Name: model.ID})
	if err != nil {
		t.Fatal(err)
	}
	type tensor = inference.ModelMetadataResponse_TensorMetadata
	want := &inference.ModelMetadataResponse{
		Name:    model.ID,
		Inputs:  []*tensor{{Name: "pixels", Datatype: "FP32", Shape: []int64{-1, 64}}},
		Outputs: []*tensor{{Name: "digit", Datatype: "BYTES", Shape: []int64{-1}}},
	}
	if !proto.Equal(&inference.ModelMetadataResponse{Name: got.GetName(), Inputs: got.GetInputs(), Outputs: got.GetOutputs()}, want) {
		t.Errorf("metadata %v; want %v", got, want)
	}
}

// TestImplementationFromEnvironment: a format that the adapter does not know is served by what the container says.
func TestImplementationFromEnvironment(t *testing.T) {
	b := newBench(t, "MLSERVER_MODEL_IMPLEMENTATION=mlserver_sklearn.SKLearnModel")
	model, request := digits(t, "custom__isvc-1")
	model.FormatName = "custom"
	b.mustLoad(t, model)
	if _, err := b.client.ModelInfer(b.ctx, request); err != nil {
		t.Error(err)
	}
	if err := b.adapter.Reset(b.ctx); err != nil {
		t.Errorf("Reset, with a model in the index that exists in the environment only: %v", err)
	}
}

// unloadThatRaises: a model whose own clean-up fails is gone all the same.
func (b *bench) unloadThatRaises(t *testing.T) {
	const id = "stubborn__isvc-1"
	dir := file(t, t.TempDir(), "stubborn.py", `
from mlserver import MLModel

class Stubborn(MLModel):
    async def unload(self) -> bool:
        raise RuntimeError("I stay")
`)
	file(t, dir, "model-settings.json", `{"implementation": "stubborn.Stubborn"}`)
	b.mustLoad(t, runtimes.Model{ID: id, FormatName: "python", Path: dir})
	if err := b.adapter.Unload(b.ctx, id); err != nil {
		t.Errorf("Unload: %v", err)
	}
	if held, err := b.adapter.Holds(b.ctx, id); held || err != nil {
		t.Errorf("Holds = %v, %v; want false", held, err)
	}
}

// repositoryStaysSmall: settings of loaded models are out of MLServer's sight, since it parses all it sees on
// every load; Reset finds those models by their directories.
func (b *bench) repositoryStaysSmall(t *testing.T) {
	if err := b.adapter.Reset(b.ctx); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a__isvc-1", "b__isvc-1"} {
		model, _ := digits(t, id)
		b.mustLoad(t, model)
	}
	index, err := b.client.RepositoryIndex(b.ctx, &inference.RepositoryIndexRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(index.GetModels()) != 0 {
		t.Errorf("MLServer's repository lists %v beside loaded models; want nothing", index.GetModels())
	}
	if err := b.adapter.Reset(b.ctx); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a__isvc-1", "b__isvc-1"} {
		if held, err := b.adapter.Holds(b.ctx, id); held || err != nil {
			t.Errorf("Holds(%s) after Reset = %v, %v; want false", id, held, err)
		}
	}
}

// blockingLoadGivenUp: a library call cannot be interrupted; the model must be gone once Unload has answered.
func (b *bench) blockingLoadGivenUp(t *testing.T) {
	const id = "blocking__isvc-1"
	model, started := blocking(t, id)
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := b.adapter.Load(ctx, model)
		ended <- err
	}()
	if err := started(b.ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := b.adapter.Unload(b.ctx, id); err != nil {
		t.Errorf("Unload: %v", err)
	}
	if held, err := b.adapter.Holds(b.ctx, id); held || err != nil {
		t.Errorf("Holds after Unload = %v, %v; want false", held, err)
	}
	if err := <-ended; err != context.Canceled {
		t.Errorf("Load: %v; want context.Canceled", err)
	}
}
