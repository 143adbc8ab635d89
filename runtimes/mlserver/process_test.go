package mlserver

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/runtimes"
)

func TestProcess(t *testing.T) {
	config := runtimes.ProcessConfig{
		GRPCAddress: "127.0.0.1:41", HTTPAddress: "127.0.0.1:42", MetricsAddress: "127.0.0.1:43",
		ModelsDir: "/data/models", WorkDir: "/data/run",
		Env: []string{
			"MLSERVER_GRPC_PORT=8001", "MLSERVER_HTTP_PORT=8002", "MLSERVER_HOST=0.0.0.0", // of a container
			"MLSERVER_MODELS_DIR=/models/_mlserver_models/", "MLSERVER_LOAD_MODELS_AT_STARTUP=true",
			"MLSERVER_PARALLEL_WORKERS=2", "OMP_NUM_THREADS=4", "HF_HOME=/a=b",
		},
	}
	got, err := Process(config)
	if err != nil {
		t.Fatal(err)
	}
	if got.Program != "mlserver" || !reflect.DeepEqual(got.Args, []string{"start", "/data/models/_mlserver_models"}) || got.Ours {
		t.Errorf("process %+v", got)
	}
	want := []string{
		"HF_HOME=/a=b",
		"MKL_NUM_THREADS=1",
		"MLSERVER_DEBUG=false",
		"MLSERVER_ENVIRONMENTS_DIR=/data/run/.envs",
		"MLSERVER_GRPC_MAX_MESSAGE_LENGTH=-1",
		"MLSERVER_GRPC_PORT=41",
		"MLSERVER_HOST=127.0.0.1",
		"MLSERVER_HTTP_PORT=42",
		"MLSERVER_LOAD_MODELS_AT_STARTUP=false",
		"MLSERVER_METRICS_DIR=/data/run/.metrics",
		"MLSERVER_METRICS_PORT=43",
		"MLSERVER_MODELS_DIR=/data/models/_mlserver_models",
		"MLSERVER_MODEL_NAME=dummy-model-fixme",
		"MLSERVER_MODEL_REPOSITORY_ROOT=/data/models/_mlserver_models",
		"MLSERVER_PARALLEL_WORKERS=2",
		"OMP_NUM_THREADS=4",
		"OPENBLAS_NUM_THREADS=1",
	}
	if env := slices.Sorted(slices.Values(got.Env)); !reflect.DeepEqual(env, want) {
		t.Errorf("environment\n%s\nwant\n%s", strings.Join(env, "\n"), strings.Join(want, "\n"))
	}

	config.HTTPAddress = "127.0.0.2:42"
	if _, err := Process(config); err == nil {
		t.Error("two hosts were accepted, though MLServer has one setting for both")
	}
}
