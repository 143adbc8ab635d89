package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const requestFile = `{"inputs":[{"name":"x","shape":[1],"datatype":"INT32","contents":{"intContents":[8]}}]}`

func writeRequest(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "request.json")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInferREST(t *testing.T) {
	m := digits()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || string(body) != requestFile {
			t.Errorf("%s %s with %q", r.Method, r.Header.Get("Content-Type"), body)
		}
		if r.URL.Path != "/v2/models/digits/infer" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintln(w, `{"error":"no model `+r.URL.Path+`"}`)
			return
		}
		fmt.Fprintln(w, `{"model_name":"digits__isvc-0123456789"}`)
	}))
	defer server.Close()
	// The host whose runtime may hold the model, not the first; the first answers for what nobody knows.
	m.hosts[1].Hello.RestAddress = server.Listener.Addr().String()
	m.serve(t)
	file := writeRequest(t, requestFile)
	out, _, err := m.run(t, "infer", "digits", "-f", file)
	if err != nil || out != `{"model_name":"digits__isvc-0123456789"}`+"\n" {
		t.Errorf("answer %q, %v", out, err)
	}
	m.hosts[0].Hello.RestAddress = server.Listener.Addr().String()
	out, _, err = m.run(t, "infer", "nobody", "-f", file)
	if err == nil || err.Error() != `404 Not Found: {"error":"no model /v2/models/nobody/infer"}` || out != "" {
		t.Errorf("answer %q, error %v", out, err)
	}
}

// inferenceServer refuses every model but one.
type inferenceServer struct {
	inference.UnimplementedGRPCInferenceServiceServer
}

func (inferenceServer) ModelInfer(_ context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	if r.GetModelName() != "digits" {
		return nil, status.Errorf(codes.NotFound, "no model %s", r.GetModelName())
	}
	// Longer than gRPC's own bound of 4 MiB.
	raw := make([]byte, 5<<20)
	return &inference.ModelInferResponse{
		ModelName:         "digits__isvc-0123456789",
		Outputs:           []*inference.ModelInferResponse_InferOutputTensor{{Name: r.GetInputs()[0].GetName(), Shape: []int64{1}}},
		RawOutputContents: [][]byte{raw},
	}, nil
}

// serveGRPC answers its address.
func serveGRPC(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	inference.RegisterGRPCInferenceServiceServer(server, inferenceServer{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// serveREST answers its address, and to every request the path.
func serveREST(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "{%q: true}", r.URL.Path) }))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestInferGRPC(t *testing.T) {
	m := digits()
	address := serveGRPC(t)
	m.hosts[0].Hello.GrpcAddress = address
	m.hosts[1].Hello.GrpcAddress = address
	m.serve(t)
	file := writeRequest(t, requestFile)
	out, _, err := m.run(t, "infer", "digits", "--grpc", "-f", file)
	if err != nil || !strings.Contains(out, "digits__isvc-0123456789") || !strings.Contains(out, `"x"`) {
		t.Errorf("answer of %d bytes, %v", len(out), err)
	}
	if _, _, err = m.run(t, "infer", "nobody", "--grpc", "-f", file); err == nil || err.Error() != "NotFound: no model nobody" {
		t.Errorf("error %v", err)
	}
	_, _, err = m.run(t, "infer", "digits", "--grpc", "-f", writeRequest(t, `{"inputs":[{"name":"x","data":[8]}]}`))
	if err == nil || !strings.Contains(err.Error(), "JSON form of inference.ModelInferRequest") || !strings.Contains(err.Error(), "data") {
		t.Errorf("a REST body sent over gRPC: %v", err)
	}
}

// While the launcher starts the controller again, the mesh is not gone: a command waits for hosts to be back.
func TestInferWaitsForARestartedController(t *testing.T) {
	m := digits()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "{}") }))
	defer server.Close()
	m.hosts[1].Hello.RestAddress = server.Listener.Addr().String()
	m.serve(t)
	lockMesh(t, m)
	m.hideHosts.Store(2)
	out, errs, err := m.run(t, "infer", "digits", "-f", writeRequest(t, requestFile))
	if err != nil || out != "{}\n" || errs != "" {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
}

func TestARestartingControllerIsToldFromNoMesh(t *testing.T) {
	m := digits()
	m.dataDir = t.TempDir()
	if err := os.Mkdir(filepath.Join(m.dataDir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	lockMesh(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no patience
	client, err := dialLocal(m.dataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.close()
	err = client.patiently(ctx, func() error { return status.Error(codes.Unavailable, "no socket") })
	if err = client.explain(err); err == nil || !strings.Contains(err.Error(), "is being restarted") ||
		!strings.Contains(err.Error(), filepath.Join(m.dataDir, "logs")) {
		t.Errorf("error %v", err)
	}
}

// lockMesh takes the launcher's lock on the data directory.
func lockMesh(t *testing.T, m *mesh) {
	t.Helper()
	lock, err := os.Create(filepath.Join(m.dataDir, "run", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

func TestInferReadsStandardInput(t *testing.T) {
	m := digits()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer server.Close()
	m.hosts[1].Hello.RestAddress = server.Listener.Addr().String()
	m.serve(t)
	var out strings.Builder
	err := Run(t.Context(), []string{"wasmesh", "infer", "digits", "-f", "-", "--data-dir", m.dataDir},
		Streams{In: strings.NewReader(requestFile), Out: &out, Err: io.Discard})
	if err != nil || out.String() != requestFile+"\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestInferWithoutHosts(t *testing.T) {
	m := digits()
	m.hosts[0].Connected = false
	m.hosts[1].Hello.Namespace = "other"
	m.serve(t)
	_, _, err := m.run(t, "infer", "digits", "-f", writeRequest(t, requestFile))
	if err == nil || !strings.Contains(err.Error(), "no host of namespace default is connected") ||
		!strings.Contains(err.Error(), filepath.Join(m.dataDir, "logs")) {
		t.Errorf("error %v", err)
	}
}
