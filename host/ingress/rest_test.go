package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// tutorial answers as MLServer does to the tutorial's request.
func tutorial(ctx context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if len(r.Inputs) != 1 || len(r.RawInputContents) != 1 || len(r.RawInputContents[0]) != 4*64 {
		return nil, status.Errorf(codes.InvalidArgument, "got %v", r)
	}
	return &inference.ModelInferResponse{
		ModelName: r.ModelName, Id: r.Id + header(md, "x-request-id"),
		Outputs: []*inference.ModelInferResponse_InferOutputTensor{{
			Name: "predict", Datatype: "INT64", Shape: []int64{1, 1}, Contents: &inference.InferTensorContents{Int64Contents: []int64{8}},
		}},
	}, nil
}

// digit is the tutorial's request.
var digit = `{"id":"7","inputs":[{"name":"predict","shape":[1,64],"datatype":"FP32","data":[` +
	strings.TrimSuffix(strings.Repeat("0.0,", 64), ",") + `]}]}`

// do makes a REST request and returns its status and body.
func (m *mesh) do(t testing.TB, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, m.restURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}

func TestRESTInfer(t *testing.T) {
	target, _ := (&runtimeServer{infer: tutorial}).start(t)
	m := newMesh(t, Config{}, target)
	// curl -d says that a body is a form.
	for _, path := range []string{"/v2/models/digits/infer", "/v2/models/digits__isvc-1/versions/3/infer"} {
		m.table.point("digits__isvc-1", "digits__isvc-1")
		response, body := m.do(t, "POST", path, digit, "Content-Type", "application/x-www-form-urlencoded", "Grpc-Metadata-X-Request-Id", "-r")
		var got struct {
			ModelName string `json:"model_name"`
			ID        string
			Outputs   []struct{ Data []int }
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || response.StatusCode != 200 {
			t.Fatalf("%s: %s %s %v", path, response.Status, body, err)
		}
		if got.ModelName != "digits__isvc-1" || got.ID != "7-r" || got.Outputs[0].Data[0] != 8 {
			t.Errorf("%s: %s", path, body)
		}
		if response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("content type %q", response.Header.Get("Content-Type"))
		}
	}
	if got := m.outcomes(t); got["served"] != 2 || len(got) != 1 {
		t.Errorf("outcomes %v", got)
	}
}

func TestRESTQuestions(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	m := newMesh(t, Config{Version: "1.2.3"}, target)
	tests := []struct {
		path   string
		status int
		says   string
	}{
		{"/v2", 200, `"name":"wasmesh"`},
		{"/v2/health/live", 200, ""},
		{"/v2/health/ready", 200, ""},
		{"/v2/models/digits", 200, `"shape":[-1,64]`},
		{"/v2/models/digits/versions/1", 200, `"name":"digits__isvc-1"`},
		{"/v2/models/digits/ready", 200, ""},
		{"/v2/models/digits/versions/1/ready", 200, ""},
		{"/v2/models/bad/ready", 503, "the file is corrupt"},
		{"/v2/models/nobody/ready", 404, "nobody"},
		{"/v2/models/nobody", 404, "nobody"},
	}
	for _, tt := range tests {
		response, body := m.do(t, "GET", tt.path, "")
		if response.StatusCode != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%s: %s %s, want %d with %q", tt.path, response.Status, body, tt.status, tt.says)
		}
	}
	m.table.setReady(false)
	if response, body := m.do(t, "GET", "/v2/health/ready", ""); response.StatusCode != 503 || !strings.Contains(body, `"error"`) {
		t.Errorf("ready before the catalog: %s %s", response.Status, body)
	}
}

func TestRESTErrors(t *testing.T) {
	answers := map[string]error{
		"digits__isvc-1": status.Error(codes.InvalidArgument, "bad width"),
		"busy":           status.Error(codes.ResourceExhausted, "busy"),
		"broken":         status.Error(codes.Internal, "Traceback"),
	}
	target, _ := (&runtimeServer{infer: func(_ context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		if r.ModelName == "senseless" {
			return &inference.ModelInferResponse{Outputs: []*inference.ModelInferResponse_InferOutputTensor{{Name: "y", Datatype: "FP32", Shape: []int64{3}}},
				RawOutputContents: [][]byte{{1}}}, nil
		}
		return nil, answers[r.ModelName]
	}}).start(t)
	m := newMesh(t, Config{MaxMessageBytes: 4096}, target)
	for _, name := range []string{"busy", "broken", "senseless"} {
		m.table.point(name, name)
	}
	tensor := func(rest string) string {
		return `{"inputs":[{"name":"x",` + rest + `}]}`
	}
	const infer = "/v2/models/digits/infer"
	tests := []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"not JSON", "POST", infer, "not json", 400, "JSON"},
		{"empty", "POST", infer, "", 400, "JSON"},
		{"no inputs", "POST", infer, "{}", 400, "inputs"},
		{"wrong shape", "POST", infer, tensor(`"shape":[2,3],"datatype":"FP32","data":[1,2]`), 400, `x`},
		{"wrong datatype", "POST", infer, tensor(`"shape":[1],"datatype":"FLOAT","data":[1]`), 400, "FLOAT"},
		{"wrong element", "POST", infer, tensor(`"shape":[1],"datatype":"INT32","data":[1.5]`), 400, "1.5"},
		{"no data", "POST", infer, tensor(`"shape":[1],"datatype":"INT32"`), 400, "data"},
		{"over the limit", "POST", infer, strings.Repeat(" ", 5000), 413, "4096"},
		{"unknown model", "POST", "/v2/models/nobody/infer", digit, 404, "nobody"},
		{"not to be run", "POST", "/v2/models/orphan/infer", digit, 424, "no ServingRuntime"},
		{"on other hosts", "POST", "/v2/models/elsewhere/infer", digit, 503, "others"},
		{"the runtime's error", "POST", infer, digit, 400, "bad width"},
		{"the runtime is busy", "POST", "/v2/models/busy/infer", digit, 429, "busy"},
		{"the runtime is broken", "POST", "/v2/models/broken/infer", digit, 500, "Traceback"},
		{"a senseless answer", "POST", "/v2/models/senseless/infer", digit, 500, "y"},
		{"unknown path", "GET", "/v1/models/digits", "", 404, "/v1/models/digits"},
		{"method", "GET", infer, "", 405, "POST"},
		{"method", "POST", "/v2/models/digits", "{}", 405, "GET"},
	}
	for _, tt := range tests {
		response, body := m.do(t, tt.method, tt.path, tt.body)
		var answer struct{ Error string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Errorf("%s: body %q is not an error: %v", tt.name, body, err)
		}
		if response.StatusCode != tt.status || !strings.Contains(answer.Error, tt.says) {
			t.Errorf("%s: %s %q, want %d with %q", tt.name, response.Status, answer.Error, tt.status, tt.says)
		}
	}
	if response, body := m.do(t, "POST", infer, digit, "Inference-Header-Content-Length", "10"); response.StatusCode != 400 || !strings.Contains(body, "binary") {
		t.Errorf("binary tensors: %s %s", response.Status, body)
	}
	if response, body := m.do(t, "POST", infer, digit, "Content-Encoding", "gzip"); response.StatusCode != 400 && response.StatusCode != 415 || !strings.Contains(body, "gzip") {
		t.Errorf("compressed body: %s %s", response.Status, body)
	}
	chunked, err := http.NewRequestWithContext(t.Context(), "POST", m.restURL+infer, io.MultiReader(strings.NewReader(strings.Repeat(" ", 5000))))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(chunked)
	if err != nil || response.StatusCode != 413 {
		t.Errorf("a body of unknown length over the limit: %v %v", response, err)
	}
	response.Body.Close()
}

func TestRESTRetryAfter(t *testing.T) {
	m := newMesh(t, Config{}, forward.Target{})
	m.copies.loaded.Store(false)
	m.copies.load = func(context.Context, string, int) (forward.Target, error) {
		failed := route.Errorf(route.LoadFailed, "not a joblib")
		failed.RetryAfter = 1500 * time.Millisecond
		return forward.Target{}, failed
	}
	response, body := m.do(t, "POST", "/v2/models/digits/infer", digit)
	if response.StatusCode != 424 || response.Header.Get("Retry-After") != "2" {
		t.Errorf("%s, retry after %q: %s", response.Status, response.Header.Get("Retry-After"), body)
	}
	got := m.raw(t, "/"+inferMethod, nil, framed(marshal(t, "digits")))
	if got.Code() != codes.FailedPrecondition {
		t.Errorf("gRPC: %v", got)
	}
}

func TestRESTIsSentAgain(t *testing.T) {
	calls := 0
	target, _ := (&runtimeServer{infer: func(ctx context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		if calls++; calls == 1 {
			return nil, status.Error(codes.NotFound, "forgotten")
		}
		return tutorial(ctx, r)
	}}).start(t)
	m := newMesh(t, Config{}, target)
	m.copies.forgot.Store(true)
	if response, body := m.do(t, "POST", "/v2/models/digits/infer", digit); response.StatusCode != 200 {
		t.Errorf("%s %s", response.Status, body)
	}
}

// pipeListener hands out one end of in-memory connections, which synctest's clock governs.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestRESTWaitsForASlowLoad(t *testing.T) {
	tests := []struct {
		name   string
		load   time.Duration
		status int
	}{
		{"within the limit", 3 * time.Minute, 424},
		{"beyond it", time.Hour, 504},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			m := newBareMesh(func(ctx context.Context, _ string, _ int) (forward.Target, error) {
				if err := pause(ctx, tt.load); err != nil {
					return forward.Target{}, err
				}
				return forward.Target{}, route.Errorf(route.LoadFailed, "loaded at last, but broken")
			})
			listener := &pipeListener{make(chan net.Conn), make(chan struct{})}
			served := make(chan error, 1)
			go func() { served <- m.ServeREST(listener) }()
			transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				listener.conns <- theirs
				return ours, nil
			}}
			response, err := (&http.Client{Transport: transport}).Post("http://mesh/v2/models/digits/infer", "", bytes.NewReader([]byte(digit)))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode != tt.status {
				t.Errorf("%s: %s, want %d", tt.name, response.Status, tt.status)
			}
			transport.CloseIdleConnections()
			if err := m.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			<-served
		})
	}
}

func TestRESTBodiesInMemoryAreBounded(t *testing.T) {
	// Four of the largest bodies may be on their way; a fifth is not even read. Those that wait for a load do not count.
	entered, leave := make(chan struct{}), make(chan struct{})
	target, _ := (&runtimeServer{infer: func(_ context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		if r.ModelName == "digits__isvc-1" {
			entered <- struct{}{}
			<-leave
		}
		return &inference.ModelInferResponse{}, nil
	}}).start(t)
	m := newMesh(t, Config{MaxMessageBytes: 4096}, target)
	body := digit + strings.Repeat(" ", 4096-len(digit))
	done := make(chan int, bodiesAtOnce+1)
	post := func(name string) {
		response, _ := m.do(t, "POST", "/v2/models/"+name+"/infer", body)
		done <- response.StatusCode
	}
	for range bodiesAtOnce {
		go post("digits")
		<-entered
	}
	go post("digits__v2")
	waitFor(t, func() bool {
		return m.gather(t, "wasmesh_requests_in_flight")[0].GetGauge().GetValue() == bodiesAtOnce+1
	})
	if m.decoding.bytes.TryAcquire(1) {
		t.Error("there is room for more")
	}
	close(leave)
	for range bodiesAtOnce + 1 {
		if code := <-done; code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}

	m.copies.loaded.Store(false)
	arrived, loaded := make(chan struct{}), make(chan struct{})
	m.copies.load = func(context.Context, string, int) (forward.Target, error) {
		arrived <- struct{}{}
		<-loaded
		return target, nil
	}
	for range bodiesAtOnce + 1 {
		go post("digits__v2")
	}
	for range bodiesAtOnce + 1 {
		<-arrived
	}
	close(loaded)
	for range bodiesAtOnce + 1 {
		if code := <-done; code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}
	if !m.decoding.bytes.TryAcquire(bodiesAtOnce * 4096) {
		t.Error("a body is still counted")
	}
}

func TestRESTHeaderWithoutAMetadataNameBlamesNobody(t *testing.T) {
	target, _ := (&runtimeServer{infer: tutorial}).start(t)
	m := newMesh(t, Config{}, target)
	response, body := m.do(t, "POST", "/v2/models/digits/infer", digit, "Grpc-Metadata-", "x")
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s %s", response.Status, body)
	}
	if n := m.copies.suspects.Load(); n != 0 {
		t.Errorf("the model server was suspected %d times", n)
	}
}

// A client that pipelines is not watched for its end by net/http, so the end of its connection does not end its request.
func TestShutdownBreaksOffAPipelinedRequest(t *testing.T) {
	m := newMesh(t, Config{}, forward.Target{})
	m.copies.loaded.Store(false)
	arrived := make(chan struct{})
	m.copies.load = func(ctx context.Context, _ string, _ int) (forward.Target, error) {
		close(arrived)
		<-ctx.Done()
		return forward.Target{}, ctx.Err()
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(m.restURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v2/models/digits/infer HTTP/1.1\r\nHost: mesh\r\nContent-Length: %d\r\n\r\n%s", len(digit), digit)
	<-arrived
	io.WriteString(conn, "GET /v2 HTTP/1.1\r\n")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Shutdown(ctx); err == nil {
		t.Error("the end of time went unnoticed")
	}
	if got := m.outcomes(t)["cancelled"]; got != 1 {
		t.Errorf("outcomes %v", m.outcomes(t))
	}
}

// A body of unknown length counts as the largest while it is read, but then as what it is: many clients never tell a length.
func TestRESTBodiesOfUnknownLengthRunAtOnce(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	target, _ := (&runtimeServer{infer: func(context.Context, *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		entered <- struct{}{}
		<-leave
		return &inference.ModelInferResponse{}, nil
	}}).start(t)
	m := newMesh(t, Config{MaxMessageBytes: 4096}, target)
	done := make(chan int)
	for range 2 * bodiesAtOnce {
		go func() {
			// A reader of a type that net/http does not know is sent in chunks.
			response, err := http.Post(m.restURL+"/v2/models/digits/infer", "", struct{ io.Reader }{strings.NewReader(digit)})
			if err != nil {
				done <- 0
				return
			}
			response.Body.Close()
			done <- response.StatusCode
		}()
	}
	for range 2 * bodiesAtOnce {
		select {
		case <-entered:
		case code := <-done:
			t.Fatalf("status %d", code)
		}
	}
	close(leave)
	for range 2 * bodiesAtOnce {
		if code := <-done; code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}
	if !m.decoding.bytes.TryAcquire(bodiesAtOnce * 4096) {
		t.Error("a body is still counted")
	}
}
