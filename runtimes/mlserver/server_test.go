package mlserver_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/mlserver"
	"github.com/wasmesh/wasmesh/runtimes/runtimetest"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/process"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"github.com/wasmesh/wasmesh/test/installed"
)

// server is a real MLServer, started as the launcher starts it.
type server struct {
	address, modelsDir, workDir string
	spec                        runtimes.Process
	program                     string
	log                         *os.File
	process                     *process.Process
}

// newServer starts MLServer with the given container environment; it ends with the test.
func newServer(t *testing.T, env ...string) *server {
	t.Helper()
	s := &server{address: runtimetest.FreeAddress(t), modelsDir: t.TempDir(), workDir: t.TempDir()}
	s.program = filepath.Join(installed.RuntimesDir(t, "mlserver"), "mlserver", "bin", "mlserver")
	var err error
	s.spec, err = mlserver.Process(runtimes.ProcessConfig{
		GRPCAddress:    s.address,
		HTTPAddress:    runtimetest.FreeAddress(t),
		MetricsAddress: runtimetest.FreeAddress(t),
		ModelsDir:      s.modelsDir,
		WorkDir:        s.workDir,
		Env:            env,
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.log, err = os.Create(filepath.Join(t.TempDir(), "mlserver.log")); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(func() {
		s.kill(t)
		_ = s.log.Close()
		if raw, err := os.ReadFile(s.log.Name()); err == nil && t.Failed() {
			t.Logf("MLServer wrote:\n%s", raw)
		}
	})
	return s
}

func (s *server) start(t *testing.T) {
	t.Helper()
	command := exec.Command(s.program, s.spec.Args...)
	command.Env = append(os.Environ(), s.spec.Env...)
	command.Dir = s.workDir
	command.Stdout, command.Stderr = s.log, s.log
	var err error
	if s.process, err = process.Start(command); err != nil {
		t.Fatal(err)
	}
}

func (s *server) kill(t *testing.T) {
	t.Helper()
	select {
	case <-s.process.Done():
		return
	default:
	}
	if err := syscall.Kill(s.process.PID(), syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		t.Fatal(err)
	}
	<-s.process.Done()
}

func (s *server) open(t *testing.T) runtimes.Adapter {
	t.Helper()
	adapter, err := mlserver.New(runtimes.Config{ManagementAddress: s.address, ModelsDir: s.modelsDir})
	if err != nil {
		t.Fatal(err)
	}
	return adapter
}

// digits is the tutorial's model and its picture of an 8.
func digits(t *testing.T, id string) (runtimes.Model, *inference.ModelInferRequest) {
	t.Helper()
	samples := installed.SampleModels(t)
	sample := samples.Models[0]
	path := filepath.Join(samples.Dir, samples.Bucket, sample.Key)
	pixels := make([]float32, len(sample.Input))
	for i, pixel := range sample.Input {
		pixels[i] = float32(pixel)
	}
	return runtimes.Model{ID: id, FormatName: "sklearn", FormatVersion: "0", Path: path, DiskBytes: sample.Bytes},
		&inference.ModelInferRequest{
			ModelName: id,
			Inputs: []*inference.ModelInferRequest_InferInputTensor{{
				Name: "predict", Datatype: "FP32", Shape: []int64{1, int64(len(pixels))},
				Contents: &inference.InferTensorContents{Fp32Contents: pixels},
			}},
		}
}

// ready answers an adapter for a server that is up and empty.
func (s *server) ready(ctx context.Context, t *testing.T) runtimes.Adapter {
	t.Helper()
	adapter := s.open(t)
	t.Cleanup(func() { _ = adapter.Close() })
	runtimetest.AwaitReady(ctx, t, adapter)
	if err := adapter.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	return adapter
}

// file writes a file of a model and answers the directory.
func file(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
