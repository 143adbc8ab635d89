// Package runtimetest is the conformance suite of runtimes.Adapter: what a host relies on, tried against a running
// inference server. Every adapter's own tests call Run.
package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// patience bounds what depends on a real server; a run that needs it all has failed.
const patience = 60 * time.Second

// Fixture is one server, with what the suite needs to know of it. It is used by one test at a time.
type Fixture struct {
	// Open makes an adapter for the server, as a host process does when it starts. The suite closes it.
	Open func(t *testing.T) runtimes.Adapter
	// DataAddress is where the server takes inference, "host:port".
	DataAddress string
	// ModelsDir is the directory shared with the server; after an unload nothing in it may be named after the model.
	// Artifacts that Good, Broken and Slow make must not lie in it.
	ModelsDir string

	// Good makes a model that loads, Broken one that the server refuses, saying BrokenWords.
	Good, Broken func(t *testing.T, id string) runtimes.Model
	BrokenWords  string
	// Slow makes a model whose load takes longer than the suite waits. started blocks until the server is at it.
	Slow func(t *testing.T, id string) (model runtimes.Model, started func(context.Context) error)
	// Request is an inference that the Good model answers; Check looks at the answer beyond its model name, if not nil.
	Request func(id string) *inference.ModelInferRequest
	Check   func(*inference.ModelInferResponse) error

	// Kill ends the server without warning and returns when it is gone; Start brings it back at the same addresses.
	Kill, Start func(t *testing.T)

	// CannotTell: the server's API has no question for a single model, so Holds is always false.
	CannotTell bool
}

// Factory makes the fixture, its server started. Clean-up goes through t.
type Factory func(t *testing.T) Fixture

// Run runs the suite. The server is made once; each part begins as a host does, with Status and Reset.
func Run(t *testing.T, factory Factory) {
	s := &suite{Fixture: factory(t)}
	conn, err := grpc.NewClient("passthrough:///"+s.DataAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatalf("dial the server's data address: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s.data = inference.NewGRPCInferenceServiceClient(conn)

	t.Run("a model's life", s.life)
	t.Run("an unknown model", s.unknown)
	t.Run("a broken model", s.broken)
	t.Run("loads at once", s.concurrent)
	t.Run("a host that died", s.hostDied)
	t.Run("a host that died while loading", s.hostDiedLoading)
	t.Run("a load given up", s.givenUp)
	t.Run("a load past its deadline", s.late)
	t.Run("a server that died", s.serverDied)
}

type suite struct {
	Fixture
	data inference.GRPCInferenceServiceClient
}

// host opens an adapter and brings the server to the state in which a host may load.
func (s *suite) host(t *testing.T) (context.Context, runtimes.Adapter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	adapter := s.Open(t)
	t.Cleanup(func() {
		if err := adapter.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	AwaitReady(ctx, t, adapter)
	if err := adapter.Reset(ctx); err != nil {
		t.Fatalf("Reset: %v", err)
	}
	return ctx, adapter
}

// AwaitReady polls Status until it succeeds, as a host does; any error but Unavailable fails the test at once.
func AwaitReady(ctx context.Context, t *testing.T, adapter runtimes.Adapter) runtimes.Status {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := adapter.Status(ctx)
		if err == nil {
			return answer
		}
		if !runtimes.IsUnavailable(err) {
			t.Fatalf("Status: %v; want an error of kind Unavailable while the server is not ready", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the server did not become ready: %v", err)
		}
	}
}

func (s *suite) infer(ctx context.Context, id string) error {
	response, err := s.data.ModelInfer(ctx, s.Request(id))
	if err != nil {
		return err
	}
	if response.GetModelName() != id {
		return fmt.Errorf("the answer's model name is %q, want %q", response.GetModelName(), id)
	}
	if s.Check != nil {
		return s.Check(response)
	}
	return nil
}

// load loads and expects success.
func (s *suite) load(ctx context.Context, t *testing.T, adapter runtimes.Adapter, model runtimes.Model) {
	t.Helper()
	loaded, err := adapter.Load(ctx, model)
	if err != nil {
		t.Fatalf("Load %s: %v", model.ID, err)
	}
	if loaded.SizeBytes < 0 || loaded.MaxConcurrency < 0 {
		t.Errorf("Load %s = %+v, which has a negative figure", model.ID, loaded)
	}
}

// present expects that the server serves the model, absent that it does not and that no file of it is left.
func (s *suite) present(ctx context.Context, t *testing.T, adapter runtimes.Adapter, id string) {
	t.Helper()
	s.holds(ctx, t, adapter, id, !s.CannotTell)
	if err := s.infer(ctx, id); err != nil {
		t.Errorf("inference on loaded model %s: %v", id, err)
	}
}

func (s *suite) absent(ctx context.Context, t *testing.T, adapter runtimes.Adapter, id string) {
	t.Helper()
	s.holds(ctx, t, adapter, id, false)
	if err := s.infer(ctx, id); status.Code(err) != codes.NotFound {
		t.Errorf("inference on model %s, which is not loaded: %v; want code NotFound", id, err)
	}
	err := filepath.WalkDir(s.ModelsDir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.Contains(filepath.Base(path), id) {
			t.Errorf("%s is left of model %s", path, id)
		}
		return err
	})
	if err != nil {
		t.Errorf("search the models directory: %v", err)
	}
}

func (s *suite) holds(ctx context.Context, t *testing.T, adapter runtimes.Adapter, id string, want bool) {
	t.Helper()
	got, err := adapter.Holds(ctx, id)
	if err != nil || got != want {
		t.Errorf("Holds(%s) = %v, %v; want %v", id, got, err, want)
	}
}

func wantRejected(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*runtimes.Error](err)
	if !ok || e.Kind != runtimes.ModelRejected {
		t.Fatalf("error %v (%T); want one of kind ModelRejected", err, err)
	}
}

func wantUnavailable(t *testing.T, call string, err error) {
	t.Helper()
	if !runtimes.IsUnavailable(err) {
		t.Errorf("%s: %v; want an error of kind Unavailable", call, err)
	}
}
