package ingress

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

func TestInferReachesTheConcreteModel(t *testing.T) {
	var seen metadata.MD
	target, _ := (&runtimeServer{infer: func(ctx context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		seen, _ = metadata.FromIncomingContext(ctx)
		grpc.SetHeader(ctx, metadata.Pairs("runtime-header", "h"))
		grpc.SetTrailer(ctx, metadata.Pairs("runtime-trailer-bin", "\x00\xff"))
		return &inference.ModelInferResponse{ModelName: r.ModelName, Id: r.Id, RawOutputContents: r.RawInputContents}, nil
	}}).start(t)
	m := newMesh(t, Config{}, target)
	payload := strings.Repeat("tensor", 100_000)
	var head, trail metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "r1", "mm-balanced", "true")
	got, err := m.infer.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "digits", Id: "9", RawInputContents: [][]byte{[]byte(payload)}},
		grpc.Header(&head), grpc.Trailer(&trail))
	if err != nil {
		t.Fatal(err)
	}
	if got.ModelName != "digits__isvc-1" || got.Id != "9" || string(got.RawOutputContents[0]) != payload {
		t.Errorf("answer of %s, id %s, %d bytes", got.ModelName, got.Id, len(got.RawOutputContents[0]))
	}
	if header(head, "runtime-header") != "h" || header(trail, "runtime-trailer-bin") != "\x00\xff" {
		t.Errorf("header %v, trailer %v", head, trail)
	}
	if _, ok := head["date"]; ok {
		t.Errorf("headers that the runtime did not send: %v", head)
	}
	if header(seen, "mm-model-id") != "digits__isvc-1" || header(seen, "x-request-id") != "r1" || header(seen, "mm-balanced") != "" {
		t.Errorf("the runtime saw %v", seen)
	}
	if got := m.outcomes(t); got["served"] != 1 || len(got) != 1 {
		t.Errorf("outcomes %v", got)
	}
}

func TestRuntimeStatusPassesUntouched(t *testing.T) {
	target, _ := (&runtimeServer{infer: func(context.Context, *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		s, _ := status.New(codes.OutOfRange, "100 % zu groß\n").WithDetails(&errdetails.ErrorInfo{Reason: "R"})
		return nil, s.Err()
	}}).start(t)
	m := newMesh(t, Config{}, target)
	_, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"})
	got := status.Convert(err)
	if got.Code() != codes.OutOfRange || got.Message() != "100 % zu groß\n" || len(got.Details()) != 1 {
		t.Errorf("got %v with details %v", got, got.Details())
	}
	if got := m.outcomes(t); got["served"] != 1 {
		t.Errorf("outcomes %v", got)
	}
}

func TestModelNameInHeaders(t *testing.T) {
	echo := &runtimeServer{stream: func(_ string, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		stream.SetHeader(metadata.Pairs("seen-id", header(md, "mm-model-id"), "seen-alias", header(md, "mm-vmodel-id")))
		var message inference.ModelReadyRequest
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		return stream.SendMsg(&message)
	}}
	target, _ := echo.start(t)
	m := newMesh(t, Config{}, target)
	tests := []struct {
		name string
		md   []string
		code codes.Code
		says string
	}{
		{"alias", []string{"mm-vmodel-id", "digits"}, codes.OK, ""},
		{"id", []string{"mm-model-id", "digits"}, codes.OK, ""},
		{"binary", []string{"mm-vmodel-id-bin", "digits"}, codes.OK, ""},
		{"both", []string{"mm-model-id", "digits", "mm-vmodel-id", "digits"}, codes.InvalidArgument, "one model"},
		{"two", []string{"mm-model-id", "digits", "mm-model-id", "other"}, codes.InvalidArgument, "one model"},
		{"empty", []string{"mm-model-id", ""}, codes.InvalidArgument, "empty"},
		{"none", nil, codes.InvalidArgument, "mm-vmodel-id or mm-model-id"},
		{"unknown", []string{"mm-model-id", "nobody"}, codes.NotFound, `"nobody"`},
	}
	for _, tt := range tests {
		var head metadata.MD
		ctx := metadata.AppendToOutgoingContext(t.Context(), tt.md...)
		var answer inference.ModelReadyRequest
		err := m.conn.Invoke(ctx, "/custom.Service/Do", &inference.ModelReadyRequest{Version: "x"}, &answer, grpc.Header(&head))
		if status.Code(err) != tt.code || !strings.Contains(status.Convert(err).Message(), tt.says) {
			t.Errorf("%s: got %v, want %v with %q", tt.name, err, tt.code, tt.says)
		}
		if tt.code == codes.OK && (header(head, "seen-id") != "digits__isvc-1" || header(head, "seen-alias") != "" || answer.Version != "x") {
			t.Errorf("%s: the runtime saw %v", tt.name, head)
		}
	}
}

func TestStreams(t *testing.T) {
	echo := &runtimeServer{stream: func(method string, stream grpc.ServerStream) error {
		stream.SetTrailer(metadata.Pairs("method", method))
		for {
			var message inference.ModelReadyRequest
			if err := stream.RecvMsg(&message); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if message.Name == "fail" {
				return status.Error(codes.Aborted, "as asked")
			}
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
	}}
	target, _ := echo.start(t)
	m := newMesh(t, Config{}, target)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "mm-vmodel-id", "digits")
	open := func() grpc.ClientStream {
		stream, err := m.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/custom.Service/Talk")
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	// Each message is answered before the next is sent, so nothing may be held back on the way.
	talk := open()
	for _, text := range []string{"a", "b", "c"} {
		var back inference.ModelReadyRequest
		if err := talk.SendMsg(&inference.ModelReadyRequest{Name: text}); err != nil {
			t.Fatal(err)
		}
		if err := talk.RecvMsg(&back); err != nil || back.Name != text {
			t.Fatalf("got %q %v", back.Name, err)
		}
	}
	talk.CloseSend()
	if err := talk.RecvMsg(&inference.ModelReadyRequest{}); err != io.EOF || header(talk.Trailer(), "method") != "/custom.Service/Talk" {
		t.Errorf("end: %v, trailer %v", err, talk.Trailer())
	}
	// The server may end the call while the client would still send.
	talk = open()
	talk.SendMsg(&inference.ModelReadyRequest{Name: "fail"})
	if err := talk.RecvMsg(&inference.ModelReadyRequest{}); status.Code(err) != codes.Aborted {
		t.Errorf("the server's early end: %v", err)
	}
}

func TestStreamOfInferences(t *testing.T) {
	target, _ := (&runtimeServer{stream: func(_ string, stream grpc.ServerStream) error {
		for {
			var request inference.ModelInferRequest
			if err := stream.RecvMsg(&request); err != nil {
				return nil
			}
			if err := stream.SendMsg(&inference.ModelInferResponse{ModelName: request.ModelName, Id: request.Id}); err != nil {
				return err
			}
		}
	}}).start(t)
	m := newMesh(t, Config{}, target)
	stream, err := m.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+inferenceService+"ModelStreamInfer")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"digits", "", "digits"} {
		var back inference.ModelInferResponse
		stream.SendMsg(&inference.ModelInferRequest{ModelName: name, Id: "7"})
		if err := stream.RecvMsg(&back); err != nil || back.ModelName != "digits__isvc-1" || back.Id != "7" {
			t.Fatalf("%q: got %v %v", name, &back, err)
		}
	}
	stream.SendMsg(&inference.ModelInferRequest{ModelName: "digits__v2"})
	if err := stream.RecvMsg(&inference.ModelInferResponse{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("another model in the same stream: %v", err)
	}
}

func TestCompressedRequests(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	m := newMesh(t, Config{}, target)
	for _, size := range []int{10, 1 << 20} {
		request := &inference.ModelInferRequest{ModelName: "digits", Id: "5", RawInputContents: [][]byte{noise(size)}}
		got, err := m.infer.ModelInfer(t.Context(), request, grpc.UseCompressor(gzip.Name))
		if err != nil || got.ModelName != "digits__isvc-1" || got.Id != "5" {
			t.Errorf("%d bytes: %v %v", size, got, err)
		}
	}
}

// noise is data that does not compress, the same each time.
func noise(size int) []byte {
	out := make([]byte, size)
	state := uint64(88172645463325252)
	for i := range out {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		out[i] = byte(state)
	}
	return out
}

func TestRefusedBeforeAnyLoad(t *testing.T) {
	target, _ := (&runtimeServer{stream: func(method string, _ grpc.ServerStream) error {
		t.Errorf("%s reached the runtime", method)
		return nil
	}}).start(t)
	m := newMesh(t, Config{MaxMessageBytes: 1 << 20}, target)
	m.copies.loaded.Store(false)
	raw := func(b string) []byte { return []byte(b) }
	infer := "/" + inferMethod
	huge, _ := proto.Marshal(&inference.ModelInferRequest{RawInputContents: [][]byte{make([]byte, 100<<10)}})
	tests := []struct {
		name, method string
		headers      http.Header
		body         []byte
		code         codes.Code
		says         string
	}{
		{"unknown model", infer, nil, framed(marshal(t, "nobody")), codes.NotFound, `no model is named "nobody"`},
		{"nothing to run it on", infer, nil, framed(marshal(t, "orphan")), codes.FailedPrecondition, "no ServingRuntime"},
		{"on other hosts", infer, nil, framed(marshal(t, "elsewhere")), codes.Unavailable, "it runs on others"},
		{"no name", infer, nil, framed(marshal(t, "")), codes.InvalidArgument, "names no model"},
		{"no message", infer, nil, nil, codes.InvalidArgument, "names no model"},
		{"not protobuf", infer, nil, framed(raw("\xff\xff\xff")), codes.InvalidArgument, "not a valid protobuf"},
		{"cut short", infer, nil, framed(marshal(t, "digits"))[:9], codes.InvalidArgument, "ended"},
		{"name not at the start", infer, nil, framed(append(huge, marshal(t, "digits")...)), codes.InvalidArgument, "within the first 65536 bytes"},
		{"over the limit", infer, nil, raw("\x00\x00\x10\x00\x01"), codes.ResourceExhausted, "1048577 bytes, over this server's limit of 1048576"},
		{"unknown compression", infer, http.Header{"Grpc-Encoding": {"snappy"}}, raw("\x01\x00\x00\x00\x01x"), codes.Unimplemented, "identity,gzip"},
		{"not gzip", infer, http.Header{"Grpc-Encoding": {"gzip"}}, raw("\x01\x00\x00\x00\x0anot gzip!!"), codes.InvalidArgument, "decompress"},
		{"bad timeout", infer, http.Header{"Grpc-Timeout": {"soon"}}, framed(marshal(t, "digits")), codes.InvalidArgument, "grpc-timeout"},
		{"bad binary header", "/custom.Service/Do", http.Header{"Mm-Model-Id-Bin": {"!"}}, nil, codes.InvalidArgument, "base64"},
		{"the SPI", "/mmesh.ModelRuntime/unloadModel", http.Header{"Mm-Model-Id": {"digits"}}, nil, codes.Unimplemented, "manages"},
		{"the older repository service", "/inference.model_repository.ModelRepositoryService/RepositoryModelUnload", http.Header{"Mm-Model-Id": {"digits"}}, nil, codes.Unimplemented, "manages"},
		{"repository calls", "/" + inferenceService + "RepositoryModelUnload", http.Header{"Mm-Model-Id": {"digits"}}, framed(nil), codes.Unimplemented, "InferenceServices"},
	}
	for _, tt := range tests {
		got := m.raw(t, tt.method, tt.headers, tt.body)
		if got.Code() != tt.code || !strings.Contains(got.Message(), tt.says) {
			t.Errorf("%s: got %v, want %v with %q", tt.name, got, tt.code, tt.says)
		}
	}
	if n := m.copies.acquires.Load(); n != 0 {
		t.Errorf("%d loads for requests that can never be served", n)
	}
}

func marshal(t testing.TB, name string) []byte {
	t.Helper()
	b, err := proto.Marshal(&inference.ModelInferRequest{ModelName: name})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func framed(message []byte) []byte {
	n := len(message)
	return append([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, message...)
}

// raw makes a call with any bytes as body and returns its status. A call that fails must be answered by headers alone:
// that is what lets the retry policy of a client act on it.
func (m *mesh) raw(t testing.TB, method string, headers http.Header, body []byte) *status.Status {
	t.Helper()
	return m.rawFrom(t, method, headers, strings.NewReader(string(body)))
}

// rawFrom is raw with a body that comes in its own time.
func (m *mesh) rawFrom(t testing.TB, method string, headers http.Header, body io.Reader) *status.Status {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+m.grpcAddr+method, body)
	if err != nil {
		t.Fatal(err)
	}
	for key, values := range headers {
		request.Header[key] = values
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); n != 0 || err != nil {
		t.Errorf("%s: %d bytes, %v", method, n, err)
	}
	for _, unwanted := range []string{"Date", "Content-Length"} {
		if strings.HasPrefix(method, "/custom") && response.Header.Get(unwanted) != "" {
			t.Errorf("%s: header %s: %s", method, unwanted, response.Header.Get(unwanted))
		}
	}
	from := response.Header
	if from.Get("Grpc-Status") == "" {
		from = response.Trailer
	}
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s: HTTP status %s", method, response.Status)
	}
	number := 0
	for _, c := range from.Get("Grpc-Status") {
		number = number*10 + int(c-'0')
	}
	return status.New(codes.Code(number), strings.ReplaceAll(from.Get("Grpc-Message"), "%22", `"`))
}

func TestNotGRPC(t *testing.T) {
	m := newMesh(t, Config{}, targetAt("127.0.0.1:1"))
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	defer client.CloseIdleConnections()
	for _, tt := range []struct {
		method, contentType string
		want                int
	}{
		{http.MethodGet, "application/grpc", http.StatusMethodNotAllowed},
		{http.MethodPost, "application/json", http.StatusUnsupportedMediaType},
		{http.MethodPost, "application/grpc-web", http.StatusUnsupportedMediaType},
		{http.MethodPost, "", http.StatusUnsupportedMediaType},
	} {
		request, _ := http.NewRequestWithContext(t.Context(), tt.method, "http://"+m.grpcAddr+"/"+inferMethod, nil)
		request.Header.Set("Content-Type", tt.contentType)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != tt.want {
			t.Errorf("%s with %q: %d, want %d", tt.method, tt.contentType, response.StatusCode, tt.want)
		}
	}
}

func TestDeadlines(t *testing.T) {
	left := make(chan time.Duration, 1)
	target, _ := (&runtimeServer{infer: func(ctx context.Context, _ *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		return &inference.ModelInferResponse{}, nil
	}}).start(t)
	m := newMesh(t, Config{}, target)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := m.infer.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "digits"}); err != nil {
		t.Fatal(err)
	}
	if got := <-left; got <= 0 || got > time.Hour {
		t.Errorf("the runtime has %v left of an hour", got)
	}

	m.copies.loaded.Store(false)
	m.copies.load = func(ctx context.Context, _ string, _ int) (target2 forward.Target, _ error) {
		<-ctx.Done()
		return target2, ctx.Err()
	}
	got := m.raw(t, "/"+inferMethod, http.Header{"Grpc-Timeout": {"20m"}}, framed(marshal(t, "digits")))
	if got.Code() != codes.DeadlineExceeded || !strings.Contains(got.Message(), "waited for model digits to be loaded") {
		t.Errorf("got %v", got)
	}
	if got := m.outcomes(t); got["deadline_exceeded"] != 1 {
		t.Errorf("outcomes %v", got)
	}
}

// The deadline holds for the client's part too: a request that stops half-way does not stay.
func TestDeadlineOfARequestThatDoesNotArrive(t *testing.T) {
	m := newMesh(t, Config{}, targetAt("127.0.0.1:1"))
	half := framed(marshal(t, "digits"))[:7]
	unfinished, client := io.Pipe()
	defer client.Close()
	go client.Write(half)
	got := m.rawFrom(t, "/"+inferMethod, http.Header{"Grpc-Timeout": {"20m"}}, unfinished)
	if got.Code() != codes.DeadlineExceeded {
		t.Errorf("got %v", got)
	}
	if got := m.outcomes(t); got["deadline_exceeded"] != 1 {
		t.Errorf("outcomes %v", got)
	}
}
