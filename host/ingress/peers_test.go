package ingress

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

func TestTwoHops(t *testing.T) {
	var seen metadata.MD
	target, _ := (&runtimeServer{infer: func(ctx context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		seen, _ = metadata.FromIncomingContext(ctx)
		grpc.SetHeader(ctx, metadata.Pairs("runtime-header", "h", "wasmesh-not-here", "absent"))
		grpc.SetTrailer(ctx, metadata.Pairs("runtime-trailer-bin", "\x00\xff", "wasmesh-outcome", "internal"))
		return &inference.ModelInferResponse{ModelName: r.ModelName, Id: r.Id, RawOutputContents: r.RawInputContents}, nil
	}}).start(t)
	for _, waits := range []bool{false, true} {
		for _, size := range []int{10, 100, 60_000, 1_000_000} {
			t.Run(fmt.Sprintf("%d bytes, waits %v", size, waits), func(t *testing.T) {
				host := newPeerHost(t, Config{}, target)
				m, _ := newRelay(t, Config{}, waits, host)
				payload := noise(size)
				var head, trail metadata.MD
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "r1", "mm-balanced", "true", "wasmesh-model-id", "spoofed",
					"wasmesh-mesh-token", "spoofed", "wasmesh-extra", "spoofed", "blob-bin", "\x01\xfe")
				got, err := m.infer.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "digits", Id: "9", RawInputContents: [][]byte{payload}},
					grpc.Header(&head), grpc.Trailer(&trail))
				if err != nil {
					t.Fatal(err)
				}
				if got.ModelName != "digits__isvc-1" || got.Id != "9" || !reflect.DeepEqual(got.RawOutputContents[0], payload) {
					t.Errorf("answer of %s, id %s, %d bytes", got.ModelName, got.Id, len(got.RawOutputContents[0]))
				}
				if header(head, "runtime-header") != "h" || header(trail, "runtime-trailer-bin") != "\x00\xff" {
					t.Errorf("header %v, trailer %v", head, trail)
				}
				if header(seen, "mm-model-id") != "digits__isvc-1" || header(seen, "x-request-id") != "r1" || header(seen, "blob-bin") != "\x01\xfe" {
					t.Errorf("the runtime saw %v", seen)
				}
				for _, md := range []metadata.MD{seen, head, trail} {
					for key := range md {
						if route.IsInternal(key) || key == "expect" || key == "date" || key == "mm-balanced" {
							t.Errorf("header %s got through", key)
						}
					}
				}
				if got := m.outcomes(t); got["served"] != 1 || len(got) != 1 {
					t.Errorf("outcomes %v", got)
				}
				if got := host.outcomes(t); len(got) != 0 {
					t.Errorf("the peer counts %v as its own clients'", got)
				}
				if got := host.proxiedResults(t); got["served"] != 1 || len(got) != 1 {
					t.Errorf("proxied %v", got)
				}
				if got := m.gather(t, "wasmesh_request_hops")[0].GetHistogram().GetSampleSum(); got != 1 {
					t.Errorf("%v hops", got)
				}
				if invoked := host.gather(t, "modelmesh_invoke_model_milliseconds"); len(invoked) != 1 || m.gather(t, "modelmesh_invoke_model_milliseconds") != nil {
					t.Error("the model server's time is to be counted where it is")
				}
			})
		}
	}
}

// TestErrorsPassBothHops: what the model server says passes, and is never taken for a peer's refusal.
func TestErrorsPassBothHops(t *testing.T) {
	for _, code := range []codes.Code{codes.NotFound, codes.OutOfRange, codes.Unavailable, codes.Unauthenticated} {
		target, _ := (&runtimeServer{infer: func(ctx context.Context, _ *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
			grpc.SetHeader(ctx, metadata.Pairs("wasmesh-not-here", "absent"))
			grpc.SetTrailer(ctx, metadata.Pairs("wasmesh-not-here", "absent", "why", "because"))
			s, _ := status.New(code, "100 % zu groß\n").WithDetails(&errdetails.ErrorInfo{Reason: "R"})
			return nil, s.Err()
		}}).start(t)
		m, relay := newRelay(t, Config{}, false, newPeerHost(t, Config{}, target))
		var trail metadata.MD
		_, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"}, grpc.Trailer(&trail))
		got := status.Convert(err)
		if got.Code() != code || got.Message() != "100 % zu groß\n" || header(trail, "why") != "because" {
			t.Errorf("got %v, trailer %v", err, trail)
		}
		if details := got.Details(); len(details) != 1 || details[0].(*errdetails.ErrorInfo).Reason != "R" {
			t.Errorf("details %v", details)
		}
		if got := relay.refusals(); len(got) != 0 {
			t.Errorf("sent again after %v", got)
		}
		if got := m.outcomes(t); got["served"] != 1 || len(got) != 1 {
			t.Errorf("outcomes %v", got)
		}
	}
}

func TestStreamsPassBothHops(t *testing.T) {
	target, _ := (&runtimeServer{stream: func(_ string, stream grpc.ServerStream) error {
		for {
			var in inference.ModelInferRequest
			if err := stream.RecvMsg(&in); err == io.EOF {
				stream.SetTrailer(metadata.Pairs("last", "word"))
				return nil
			} else if err != nil {
				return err
			}
			if err := stream.SendMsg(&inference.ModelInferResponse{ModelName: in.ModelName, Id: in.Id}); err != nil {
				return err
			}
		}
	}}).start(t)
	for _, waits := range []bool{false, true} {
		m, _ := newRelay(t, Config{}, waits, newPeerHost(t, Config{}, target))
		stream, err := m.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+inferenceService+"ModelStreamInfer")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			id := fmt.Sprint(i)
			if err := stream.SendMsg(&inference.ModelInferRequest{ModelName: "digits", Id: id, RawInputContents: [][]byte{make([]byte, i*10_000)}}); err != nil {
				t.Fatal(err)
			}
			var got inference.ModelInferResponse
			if err := stream.RecvMsg(&got); err != nil || got.Id != id || got.ModelName != "digits__isvc-1" {
				t.Fatalf("message %d: got %v %v", i, &got, err)
			}
		}
		stream.CloseSend()
		if err := stream.RecvMsg(&inference.ModelInferResponse{}); err != io.EOF || header(stream.Trailer(), "last") != "word" {
			t.Errorf("the end: %v, trailer %v", err, stream.Trailer())
		}
	}
}

// TestAStreamThatNamesAnotherModel: the peer follows the names in later messages as the first host would.
func TestAStreamThatNamesAnotherModel(t *testing.T) {
	target, _ := (&runtimeServer{stream: func(_ string, stream grpc.ServerStream) error {
		for {
			if err := stream.RecvMsg(&inference.ModelInferRequest{}); err != nil {
				return err
			}
			stream.SendMsg(&inference.ModelInferResponse{})
		}
	}}).start(t)
	m, _ := newRelay(t, Config{}, false, newPeerHost(t, Config{}, target))
	stream, err := m.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+inferenceService+"ModelStreamInfer")
	if err != nil {
		t.Fatal(err)
	}
	stream.SendMsg(&inference.ModelInferRequest{ModelName: "digits"})
	if err := stream.RecvMsg(&inference.ModelInferResponse{}); err != nil {
		t.Fatal(err)
	}
	stream.SendMsg(&inference.ModelInferRequest{ModelName: "digits__v2"})
	if err := stream.RecvMsg(&inference.ModelInferResponse{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v", err)
	}
	if got := m.outcomes(t); got["invalid_request"] != 1 || len(got) != 1 {
		t.Errorf("outcomes %v: the peer says how it ended", got)
	}
}

func TestRESTOverTwoHops(t *testing.T) {
	target, _ := (&runtimeServer{infer: func(_ context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		if r.Id == "bad" {
			return nil, status.Error(codes.InvalidArgument, "no such input")
		}
		return &inference.ModelInferResponse{ModelName: r.ModelName, Id: r.Id}, nil
	}}).start(t)
	for _, waits := range []bool{false, true} {
		m, _ := newRelay(t, Config{}, waits, newPeerHost(t, Config{}, target))
		for id, want := range map[string]int{"good": http.StatusOK, "bad": http.StatusBadRequest} {
			body := fmt.Sprintf(`{"id":%q,"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}`, id)
			response, err := http.Post(m.restURL+"/v2/models/digits/infer", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode != want || id == "good" && !strings.Contains(string(text), "digits__isvc-1") || id == "bad" && !strings.Contains(string(text), "no such input") {
				t.Errorf("%s: got %d %s", id, response.StatusCode, text)
			}
		}
		response, err := http.Get(m.restURL + "/v2/models/digits")
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("metadata: %v %v", response, err)
		}
		response.Body.Close()
	}
}

func TestDeadlinePassesBothHops(t *testing.T) {
	left := make(chan time.Duration, 1)
	target, _ := (&runtimeServer{infer: func(ctx context.Context, _ *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		return &inference.ModelInferResponse{}, nil
	}}).start(t)
	m, _ := newRelay(t, Config{}, false, newPeerHost(t, Config{}, target))
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := m.infer.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "digits"}); err != nil {
		t.Fatal(err)
	}
	if got := <-left; got > time.Hour || got < 50*time.Minute {
		t.Errorf("the runtime has %v left", got)
	}
}

// TestDeadlineWhileWaitingAtAPeer: the client hears what its time went to, and the peer gives up too.
func TestDeadlineWhileWaitingAtAPeer(t *testing.T) {
	host := newPeerHost(t, Config{}, nobody(t))
	left := make(chan error, 1)
	host.here.join = func(ctx context.Context, _ string) error {
		<-ctx.Done()
		left <- ctx.Err()
		return ctx.Err()
	}
	m, _ := newRelay(t, Config{}, true, host)
	message := marshal(t, "digits")
	// A grpc-go client would break the request off at the same moment.
	newBareClient(t, m.grpcAddr).send(t, "/"+inferMethod, map[string]string{"grpc-timeout": "50m"}, append([]byte{0, 0, 0, 0, byte(len(message))}, message...))
	<-left
	waitFor(t, func() bool { return len(m.outcomes(t)) > 0 })
	if got := m.outcomes(t); got["deadline_exceeded"] != 1 {
		t.Errorf("outcomes %v", got)
	}
}

func TestMessageLimitOnBothHops(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	large := &inference.ModelInferRequest{ModelName: "digits", RawInputContents: [][]byte{make([]byte, 200_000)}}
	for _, limits := range [][2]int64{{100_000, 1 << 20}, {1 << 20, 100_000}} {
		m, _ := newRelay(t, Config{MaxMessageBytes: limits[0]}, false, newPeerHost(t, Config{MaxMessageBytes: limits[1]}, target))
		_, err := m.infer.ModelInfer(t.Context(), large)
		if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "limit of 100000") {
			t.Errorf("limits %v: got %v", limits, err)
		}
		if got := m.outcomes(t); got["too_large"] != 1 || len(got) != 1 {
			t.Errorf("limits %v: outcomes %v", limits, got)
		}
	}
}

func TestWrongTokenAndMalformedHeaders(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	host := newPeerHost(t, Config{}, target)
	m, relay := newRelay(t, Config{}, false, host)
	relay.next = func(_ context.Context, n int, why *route.NotHere) (Lease, error) {
		if n == 2 {
			return nil, why.Err
		}
		return &at{relay: relay, address: host.address, token: "of another mesh"}, nil
	}
	_, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"})
	if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "mesh key") || <-host.refused != "token" {
		t.Errorf("wrong token: %v", err)
	}
	good := http.Header{"Wasmesh-Mesh-Token": {meshToken}, "Wasmesh-Model-Id": {"m"}, "Content-Type": {"application/grpc"}}
	for _, tt := range []struct {
		name, method, path string
		header             http.Header
	}{
		{"no model", "POST", "/" + inferMethod, http.Header{"Wasmesh-Model-Id": nil}},
		{"two models", "POST", "/" + inferMethod, http.Header{"Wasmesh-Model-Id": {"m", "n"}}},
		{"an id that is no text", "POST", "/" + inferMethod, http.Header{"Wasmesh-Model-Id": {"%ff"}}},
		{"an empty id", "POST", "/" + inferMethod, http.Header{"Wasmesh-Model-Id": {""}}},
		{"a strange wait", "POST", "/" + inferMethod, http.Header{"Wasmesh-Wait": {"yes"}}},
		{"a broken name", "POST", "/" + inferMethod, http.Header{"Wasmesh-Name": {"%z"}}},
		{"management", "POST", "/mmesh.ModelRuntime/loadModel", nil},
		{"not for a model", "POST", "/grpc.health.v1.Health/Check", nil},
		{"no gRPC", "POST", "/" + inferMethod, http.Header{"Content-Type": {"text/plain"}}},
		{"GET", "GET", "/" + inferMethod, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := http.NewRequest(tt.method, "http://"+host.address+tt.path, strings.NewReader(""))
			r.Header = good.Clone()
			for key, values := range tt.header {
				r.Header[key] = values
			}
			var protocols http.Protocols
			protocols.SetUnencryptedHTTP2(true)
			transport := &http.Transport{Protocols: &protocols}
			defer transport.CloseIdleConnections()
			response, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			why, err := route.ParseNotHere(response.Header.Get(route.HeaderNotHere))
			if err != nil || why.Reason != route.Refused || response.Header.Get("Grpc-Status") != "3" || <-host.refused != "malformed" {
				t.Errorf("got %v %v %v", response.Header, why, err)
			}
		})
	}
	if got := host.proxiedResults(t); len(got) != 0 {
		t.Errorf("refused requests count as %v", got)
	}
}
