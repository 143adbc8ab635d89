package spi_test

import (
	"context"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/runtimetest"
	"github.com/wasmesh/wasmesh/runtimes/spi"
	"github.com/wasmesh/wasmesh/sdk/proto/mmesh"
)

// scripted is a ModelRuntime that answers what a test has put down and records what it is asked.
type scripted struct {
	mmesh.UnimplementedModelRuntimeServer
	mu       sync.Mutex
	asked    []string
	statuses []*mmesh.RuntimeStatusResponse // the last one is repeated
	request  *mmesh.LoadModelRequest
	load     func() (*mmesh.LoadModelResponse, error)
	unload   error
	size     func() (*mmesh.ModelSizeResponse, error)
}

func (s *scripted) ask(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, call)
}

// calls answers what was asked since the last look.
func (s *scripted) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *scripted) RuntimeStatus(context.Context, *mmesh.RuntimeStatusRequest) (*mmesh.RuntimeStatusResponse, error) {
	s.ask("status")
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.statuses[0]
	if len(s.statuses) > 1 {
		s.statuses = s.statuses[1:]
	}
	return answer, nil
}

func (s *scripted) LoadModel(_ context.Context, request *mmesh.LoadModelRequest) (*mmesh.LoadModelResponse, error) {
	s.ask("load")
	s.request = request
	return s.load()
}

func (s *scripted) UnloadModel(context.Context, *mmesh.UnloadModelRequest) (*mmesh.UnloadModelResponse, error) {
	s.ask("unload")
	return &mmesh.UnloadModelResponse{}, s.unload
}

func (s *scripted) ModelSize(context.Context, *mmesh.ModelSizeRequest) (*mmesh.ModelSizeResponse, error) {
	s.ask("size")
	return s.size()
}

var readyStatus = &mmesh.RuntimeStatusResponse{Status: mmesh.RuntimeStatusResponse_READY}

func loads(response *mmesh.LoadModelResponse, err error) func() (*mmesh.LoadModelResponse, error) {
	return func() (*mmesh.LoadModelResponse, error) { return response, err }
}

func sizes(bytes uint64, err error) func() (*mmesh.ModelSizeResponse, error) {
	return func() (*mmesh.ModelSizeResponse, error) { return &mmesh.ModelSizeResponse{SizeInBytes: bytes}, err }
}

// open serves s and answers an adapter for it, and a function that restarts the server.
func open(t *testing.T, s *scripted) (context.Context, *spi.Adapter, func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	address := "127.0.0.1:0"
	var server *grpc.Server
	start := func() {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		address = listener.Addr().String()
		server = grpc.NewServer()
		mmesh.RegisterModelRuntimeServer(server, s)
		go func(server *grpc.Server) { _ = server.Serve(listener) }(server)
	}
	start()
	t.Cleanup(func() { server.Stop() })
	adapter, err := spi.New(runtimes.Config{ManagementAddress: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = adapter.Close() })
	return ctx, adapter, func() {
		server.Stop()
		if err := adapter.WaitLost(ctx); err != nil {
			t.Fatal(err)
		}
		start()
	}
}

func TestStatusIsTranslated(t *testing.T) {
	s := &scripted{statuses: []*mmesh.RuntimeStatusResponse{{
		Status: mmesh.RuntimeStatusResponse_READY, RuntimeVersion: "v9", CapacityInBytes: 1 << 40, MaxLoadingConcurrency: 2,
		ModelLoadingTimeoutMs: 1500, DefaultModelSizeInBytes: 77,
		MethodInfos: map[string]*mmesh.RuntimeStatusResponse_MethodInfo{"a.B/C": {IdInjectionPath: []uint32{1, 2}}, "a.B/D": {}},
	}}}
	ctx, adapter, _ := open(t, s)
	got, err := adapter.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := runtimes.Status{
		Version: "v9", CapacityBytes: 1 << 40, MaxLoadingConcurrency: 2, LoadTimeout: 1500 * time.Millisecond, DefaultModelBytes: 77,
		Methods: map[string]runtimes.Method{"a.B/C": {IDPath: []uint32{1, 2}}, "a.B/D": {}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("status %+v; want %+v", got, want)
	}

	s = &scripted{statuses: []*mmesh.RuntimeStatusResponse{readyStatus}}
	ctx, adapter, _ = open(t, s)
	if got, err = adapter.Status(ctx); err != nil || !got.AllowAnyMethod {
		t.Errorf("status without methods = %+v, %v; want any method allowed", got, err)
	}
}

// TestStatusDoesNotPurgeTwice: runtimeStatus makes a runtime drop its models, so it is not repeated while they may be in use.
func TestStatusDoesNotPurgeTwice(t *testing.T) {
	starting := &mmesh.RuntimeStatusResponse{Status: mmesh.RuntimeStatusResponse_STARTING}
	s := &scripted{statuses: []*mmesh.RuntimeStatusResponse{starting, readyStatus}}
	ctx, adapter, restart := open(t, s)
	if _, err := adapter.Status(ctx); !runtimes.IsUnavailable(err) || !strings.Contains(err.Error(), "STARTING") {
		t.Fatalf("Status of a runtime that starts: %v; want kind Unavailable with its state", err)
	}
	for range 3 {
		if _, err := adapter.Status(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.calls(), []string{"status", "status"}; !reflect.DeepEqual(got, want) {
		t.Errorf("asked %v; want %v: once while it starts, once when it is ready", got, want)
	}
	restart()
	runtimetest.AwaitReady(ctx, t, adapter)
	if got, want := s.calls(), []string{"status"}; !reflect.DeepEqual(got, want) {
		t.Errorf("asked %v after a restart; want %v", got, want)
	}
}

func TestResetWaitsForReady(t *testing.T) {
	starting := &mmesh.RuntimeStatusResponse{Status: mmesh.RuntimeStatusResponse_STARTING}
	s := &scripted{statuses: []*mmesh.RuntimeStatusResponse{starting, readyStatus}}
	ctx, adapter, _ := open(t, s)
	if err := adapter.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if got, want := s.calls(), []string{"status", "status"}; !reflect.DeepEqual(got, want) {
		t.Errorf("asked %v; want %v", got, want)
	}
	s = &scripted{statuses: []*mmesh.RuntimeStatusResponse{{Status: mmesh.RuntimeStatusResponse_FAILING}}}
	ctx, adapter, _ = open(t, s)
	if err := adapter.Reset(ctx); !runtimes.IsUnavailable(err) {
		t.Errorf("Reset of a runtime that fails: %v; want kind Unavailable", err)
	}
}

func TestLoadRequest(t *testing.T) {
	s := &scripted{load: loads(&mmesh.LoadModelResponse{SizeInBytes: 5}, nil)}
	ctx, adapter, _ := open(t, s)
	cases := []struct {
		model runtimes.Model
		label string
		key   string
	}{
		{
			runtimes.Model{ID: "m", FormatName: "onnx", FormatVersion: "1", Path: "/models/m/f", SchemaPath: "/models/m/_schema.json", DiskBytes: 12},
			"mt:onnx:1", `{"model_type":{"name":"onnx","version":"1"},"disk_size_bytes":12,"schema_path":"/models/m/_schema.json"}`,
		},
		{
			runtimes.Model{ID: "m", FormatName: "onnx", Path: "/models/m/f"},
			"mt:onnx", `{"model_type":{"name":"onnx"},"disk_size_bytes":0}`,
		},
	}
	for _, c := range cases {
		if _, err := adapter.Load(ctx, c.model); err != nil {
			t.Fatal(err)
		}
		got := s.request
		if got.GetModelId() != "m" || got.GetModelPath() != "/models/m/f" || got.GetModelType() != c.label || got.GetModelKey() != c.key {
			t.Errorf("request %v; want type %s and key %s", got, c.label, c.key)
		}
	}
}

func TestLoadAnswers(t *testing.T) {
	limited := &mmesh.RuntimeStatusResponse{Status: mmesh.RuntimeStatusResponse_READY, LimitModelConcurrency: true}
	cases := []struct {
		name   string
		status *mmesh.RuntimeStatusResponse
		load   func() (*mmesh.LoadModelResponse, error)
		size   func() (*mmesh.ModelSizeResponse, error)
		unload error
		want   runtimes.Loaded
		kind   runtimes.Kind // of the error, 0 for none
		words  string
		calls  []string // after status
	}{
		{
			name: "size in the answer", load: loads(&mmesh.LoadModelResponse{SizeInBytes: 9, MaxConcurrency: 4}, nil),
			want: runtimes.Loaded{SizeBytes: 9}, calls: []string{"load"},
		},
		{
			name: "concurrency counts when the runtime limits it", status: limited, load: loads(&mmesh.LoadModelResponse{SizeInBytes: 9, MaxConcurrency: 4}, nil),
			want: runtimes.Loaded{SizeBytes: 9, MaxConcurrency: 4}, calls: []string{"load"},
		},
		{
			name: "size asked for", load: loads(&mmesh.LoadModelResponse{}, nil), size: sizes(123, nil),
			want: runtimes.Loaded{SizeBytes: 123}, calls: []string{"load", "size"},
		},
		{
			name: "size that cannot be told", load: loads(&mmesh.LoadModelResponse{}, nil), size: sizes(0, status.Error(codes.Unimplemented, "")),
			calls: []string{"load", "size"},
		},
		{
			name: "size asked of a runtime that goes away", load: loads(&mmesh.LoadModelResponse{}, nil), size: sizes(0, status.Error(codes.Unavailable, "")),
			kind: runtimes.Unavailable, words: "does not answer", calls: []string{"load", "size", "unload"},
		},
		{
			name: "failed", load: loads(nil, status.Error(codes.Internal, "no such operator")),
			kind: runtimes.ModelRejected, words: "no such operator", calls: []string{"load", "unload"},
		},
		{
			name: "failed without words", load: loads(nil, status.Error(codes.ResourceExhausted, "")),
			kind: runtimes.ModelRejected, words: "ResourceExhausted", calls: []string{"load", "unload"},
		},
		{
			name: "not attempted", load: loads(nil, status.Error(codes.FailedPrecondition, "what type?")),
			kind: runtimes.ModelRejected, words: "what type?", calls: []string{"load"},
		},
		{
			name: "invalid", load: loads(nil, status.Error(codes.InvalidArgument, "no path")),
			kind: runtimes.ModelRejected, words: "no path", calls: []string{"load"},
		},
		{
			name: "failed, and the unload finds nothing", load: loads(nil, status.Error(codes.Internal, "bad")), unload: status.Error(codes.NotFound, ""),
			kind: runtimes.ModelRejected, words: "bad", calls: []string{"load", "unload"},
		},
		{
			name: "failed, and so does the unload", load: loads(nil, status.Error(codes.Internal, "bad")), unload: status.Error(codes.Internal, "stuck"),
			kind: runtimes.Unavailable, words: "stuck", calls: []string{"load", "unload"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.status == nil {
				c.status = readyStatus
			}
			s := &scripted{statuses: []*mmesh.RuntimeStatusResponse{c.status}, load: c.load, size: c.size, unload: c.unload}
			ctx, adapter, _ := open(t, s)
			if err := adapter.Reset(ctx); err != nil {
				t.Fatal(err)
			}
			s.calls()
			got, err := adapter.Load(ctx, runtimes.Model{ID: "m", FormatName: "onnx", Path: "/m"})
			check(t, err, c.kind, c.words)
			if got != c.want {
				t.Errorf("Load = %+v; want %+v", got, c.want)
			}
			if calls := s.calls(); !reflect.DeepEqual(calls, c.calls) {
				t.Errorf("asked %v; want %v", calls, c.calls)
			}
		})
	}
}

// check compares an error with a kind, 0 for none, and words in it.
func check(t *testing.T, err error, kind runtimes.Kind, words string) {
	t.Helper()
	if kind == 0 {
		if err != nil {
			t.Errorf("error %v; want none", err)
		}
		return
	}
	e, ok := err.(*runtimes.Error)
	if !ok || e.Kind != kind || !strings.Contains(e.Message, words) {
		t.Errorf("error %v (%T); want kind %v with %q", err, err, kind, words)
	}
}
