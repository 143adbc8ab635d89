package ingress

import (
	"context"
	"errors"
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

// errNotHere makes a host's copies answer with that reason.
func errNotHere(reason route.Reason) func(context.Context, string) error {
	return func(context.Context, string) error { return &route.NotHere{Reason: reason} }
}

// TestTurnedAway: a request goes on to another host whole, however large it is and wherever it was turned away.
func TestTurnedAway(t *testing.T) {
	target, _ := (&runtimeServer{infer: func(_ context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		return &inference.ModelInferResponse{RawOutputContents: r.RawInputContents}, nil
	}}).start(t)
	for _, waits := range []bool{false, true} {
		for _, size := range []int{100, 60_000, 8 << 20} {
			t.Run(fmt.Sprintf("%d bytes, waits %v", size, waits), func(t *testing.T) {
				one, two, three := newPeerHost(t, Config{}, target), newPeerHost(t, Config{}, target), newPeerHost(t, Config{}, target)
				one.here.try, one.here.join = errNotHere(route.Absent), errNotHere(route.Draining)
				two.here.try = func(context.Context, string) error {
					return &route.NotHere{Reason: route.Failed, Err: route.Errorf(route.LoadFailed, "no joblib")}
				}
				two.here.join = two.here.try
				m, relay := newRelay(t, Config{}, waits, one, two, three)
				payload := noise(size)
				got, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits", RawInputContents: [][]byte{payload}})
				if err != nil || !reflect.DeepEqual(got.RawOutputContents[0], payload) {
					t.Fatalf("got %v", err)
				}
				want := []string{"absent", "failed"}
				if waits {
					want[0] = "draining"
				}
				if got := relay.refusals(); !reflect.DeepEqual(got, want) {
					t.Errorf("refused for %v, want %v", got, want)
				}
				if got := two.proxiedResults(t); got["not_here_failed"] != 1 || len(got) != 1 {
					t.Errorf("proxied %v", got)
				}
				if got := m.outcomes(t); got["served"] != 1 || len(got) != 1 {
					t.Errorf("outcomes %v", got)
				}
			})
		}
	}
}

// TestAnOpenStreamIsTurnedAway: the client has more to say, and none of it is lost.
func TestAnOpenStreamIsTurnedAway(t *testing.T) {
	target, _ := (&runtimeServer{stream: func(_ string, stream grpc.ServerStream) error {
		for {
			var in inference.ModelInferRequest
			if err := stream.RecvMsg(&in); err != nil {
				return nil
			}
			stream.SendMsg(&inference.ModelInferResponse{Id: in.Id})
		}
	}}).start(t)
	one, two := newPeerHost(t, Config{}, target), newPeerHost(t, Config{}, target)
	one.here.try = errNotHere(route.Stopping)
	m, _ := newRelay(t, Config{}, false, one, two)
	stream, err := m.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+inferenceService+"ModelStreamInfer")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"first", "second"} {
		stream.SendMsg(&inference.ModelInferRequest{ModelName: "digits", Id: id})
		var got inference.ModelInferResponse
		if err := stream.RecvMsg(&got); err != nil || got.Id != id {
			t.Fatalf("got %v %v", &got, err)
		}
	}
	stream.CloseSend()
}

// TestTheLastWordOfAPeer: without another host the client hears what the last one said.
func TestTheLastWordOfAPeer(t *testing.T) {
	host := newPeerHost(t, Config{}, nobody(t))
	host.here.try = func(context.Context, string) error {
		return &route.NotHere{Reason: route.Refused, Err: &route.Error{Outcome: route.QueueFull, Message: "model queue overload: 16 of 16", RetryAfter: time.Second}}
	}
	m, relay := newRelay(t, Config{}, false, host)
	next := relay.next
	relay.next = func(ctx context.Context, n int, why *route.NotHere) (Lease, error) {
		if why != nil {
			return nil, why.Err
		}
		return next(ctx, n, why)
	}
	var trail metadata.MD
	_, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"}, grpc.Trailer(&trail))
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "16 of 16") || header(trail, "grpc-retry-pushback-ms") != "1000" {
		t.Errorf("got %v %v", err, trail)
	}
	if got := m.outcomes(t); got["queue_full"] != 1 || len(got) != 1 {
		t.Errorf("outcomes %v", got)
	}
}

// TestAPeersModelServerIsDown: the peer doubts it, and the request can go elsewhere.
func TestAPeersModelServerIsDown(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	down, up := newPeerHost(t, Config{}, nobody(t)), newPeerHost(t, Config{}, target)
	m, relay := newRelay(t, Config{}, false, down, up)
	if _, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits", RawInputContents: [][]byte{make([]byte, 50_000)}}); err != nil {
		t.Fatal(err)
	}
	if got := relay.refusals(); down.here.suspects.Load() != 1 || !reflect.DeepEqual(got, []string{"absent"}) {
		t.Errorf("suspected %d times, refused for %v", down.here.suspects.Load(), got)
	}
}

func TestAPeersModelServerForgot(t *testing.T) {
	forgetful, _ := (&runtimeServer{infer: func(context.Context, *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		return nil, status.Error(codes.NotFound, "no such model")
	}}).start(t)
	target, _ := (&runtimeServer{}).start(t)
	one, two := newPeerHost(t, Config{}, forgetful), newPeerHost(t, Config{}, target)
	one.here.forgot.Store(true)
	m, _ := newRelay(t, Config{}, false, one, two)
	if _, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"}); err != nil {
		t.Error(err)
	}
	if got := one.proxiedResults(t); got["not_here_absent"] != 1 {
		t.Errorf("proxied %v", got)
	}
}

// TestAPeerThatIsGone: nobody listens there any more.
func TestAPeerThatIsGone(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	gone, up := newPeerHost(t, Config{}, target), newPeerHost(t, Config{}, target)
	gone.address = nobody(t).Address
	m, relay := newRelay(t, Config{}, false, gone, up)
	if _, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"}); err != nil {
		t.Error(err)
	}
	if got := relay.refusals(); !reflect.DeepEqual(got, []string{"unreachable"}) {
		t.Errorf("refused for %v", got)
	}
}

// TestAPeerBreaksDownWhileRequestsWaitThere: they go elsewhere, however large, whether the connection breaks or the peer is
// only not heard of any more.
func TestAPeerBreaksDownWhileRequestsWaitThere(t *testing.T) {
	target, _ := (&runtimeServer{infer: func(_ context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		return &inference.ModelInferResponse{RawOutputContents: r.RawInputContents}, nil
	}}).start(t)
	for name, breakDown := range map[string]func(m *mesh, one *peerHost){
		"dies":    func(_ *mesh, one *peerHost) { one.peerServer.Close() },
		"unheard": func(m *mesh, one *peerHost) { m.Forget(one.address) },
	} {
		t.Run(name, func(t *testing.T) {
			one, two := newPeerHost(t, Config{}, target), newPeerHost(t, Config{}, target)
			entered := make(chan struct{}, 3)
			one.here.join = func(ctx context.Context, _ string) error {
				entered <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}
			m, relay := newRelay(t, Config{}, true, one, two)
			sizes := []int{100, 60_000, 4 << 20}
			done := make(chan error, len(sizes))
			for _, size := range sizes {
				go func() {
					payload := noise(size)
					got, err := m.infer.ModelInfer(context.Background(), &inference.ModelInferRequest{ModelName: "digits", RawInputContents: [][]byte{payload}})
					if err == nil && !reflect.DeepEqual(got.RawOutputContents[0], payload) {
						err = errors.New("the request was not sent whole")
					}
					done <- err
				}()
				<-entered
			}
			breakDown(m, one)
			for range sizes {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			if got := relay.refusals(); !reflect.DeepEqual(got, []string{"unreachable", "unreachable", "unreachable"}) {
				t.Errorf("refused for %v", got)
			}
			if used := m.budget.Used(); used != 0 {
				t.Errorf("%d bytes are still charged", used)
			}
		})
	}
}

// TestAPeerBreaksDownWithARequest that the model server has: it is not sent again.
func TestAPeerBreaksDownWithARequest(t *testing.T) {
	entered := make(chan struct{})
	target, _ := (&runtimeServer{infer: func(ctx context.Context, _ *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	}}).start(t)
	for _, waits := range []bool{false, true} {
		entered = make(chan struct{})
		host := newPeerHost(t, Config{}, target)
		m, relay := newRelay(t, Config{}, waits, host)
		go func() { <-entered; host.peerServer.Close() }()
		_, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"})
		if status.Code(err) != codes.Unavailable || len(relay.refusals()) != 0 {
			t.Errorf("got %v, refused for %v", err, relay.refusals())
		}
		if got := m.outcomes(t); got["interrupted"] != 1 || len(got) != 1 {
			t.Errorf("outcomes %v", got)
		}
	}
}

// TestAForgottenPeerServesOn: what is under way there ends as ever, and a peer that is back is spoken to again.
func TestAForgottenPeerServesOn(t *testing.T) {
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	target, _ := (&runtimeServer{infer: func(context.Context, *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		entered <- struct{}{}
		<-leave
		return &inference.ModelInferResponse{}, nil
	}}).start(t)
	host := newPeerHost(t, Config{}, target)
	m, relay := newRelay(t, Config{}, false, host)
	done := make(chan error, 1)
	go func() {
		_, err := m.infer.ModelInfer(context.Background(), &inference.ModelInferRequest{ModelName: "digits"})
		done <- err
	}()
	<-entered
	m.Forget(host.address)
	m.Forget("nobody:1")
	close(leave)
	if err := <-done; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if _, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"}); err != nil {
		t.Errorf("one after it was back: %v", err)
	}
	if got := relay.refusals(); len(got) != 0 {
		t.Errorf("refused for %v", got)
	}
}

// TestShutdownOfAPeer: first its own clients' requests end, meanwhile it serves peers; then what peers pass on is sent
// elsewhere, and what they have passed on is served to its end.
func TestShutdownOfAPeer(t *testing.T) {
	type visit struct{ leave chan struct{} }
	visits := make(chan visit)
	target, _ := (&runtimeServer{infer: func(context.Context, *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		v := visit{make(chan struct{})}
		visits <- v
		<-v.leave
		return &inference.ModelInferResponse{}, nil
	}}).start(t)
	other, _ := (&runtimeServer{}).start(t)
	one, two := newPeerHost(t, Config{}, target), newPeerHost(t, Config{}, other)
	m, relay := newRelay(t, Config{}, false, one, two)
	infer := func(at *mesh) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := at.infer.ModelInfer(context.Background(), &inference.ModelInferRequest{ModelName: "digits"})
			done <- err
		}()
		return done
	}
	own := infer(one.mesh)
	ownVisit := <-visits
	stopped := make(chan error, 1)
	go func() { stopped <- one.Shutdown(context.Background()) }()
	<-one.drained
	early := infer(m)
	earlyVisit := <-visits // served although its host stops
	if one.turningAway.Load() {
		t.Error("peers are turned away while clients are served")
	}
	close(ownVisit.leave)
	if err := <-own; err != nil {
		t.Errorf("its own client: %v", err)
	}
	waitFor(t, one.turningAway.Load)
	if err := <-infer(m); err != nil {
		t.Errorf("a late one: %v", err)
	}
	if got := relay.refusals(); len(got) != 1 || got[0] != "stopping" && got[0] != "unreachable" {
		t.Errorf("refused for %v", got)
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a request of a peer in flight: %v", err)
	default:
	}
	close(earlyVisit.leave)
	if err := <-early; err != nil {
		t.Errorf("the one in flight: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// TestShutdownOfAPeerOutOfTime ends what waits there, and every goroutine.
func TestShutdownOfAPeerOutOfTime(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	one, two := newPeerHost(t, Config{}, target), newPeerHost(t, Config{}, target)
	entered := make(chan struct{})
	one.here.join = func(ctx context.Context, _ string) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}
	m, _ := newRelay(t, Config{}, true, one, two)
	done := make(chan error, 1)
	go func() {
		_, err := m.infer.ModelInfer(context.Background(), &inference.ModelInferRequest{ModelName: "digits"})
		done <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := one.Shutdown(ctx); err == nil {
		t.Error("no error although a request of a peer was waiting")
	}
	if err := <-done; err != nil {
		t.Errorf("the request was not sent elsewhere: %v", err)
	}
}

func TestPeerServiceIsNotForModels(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	host := newPeerHost(t, Config{}, target)
	asked := make(chan string, 1)
	host.peers.Service = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		answer{code: codes.OK}.writeGRPC(w)
	})
	conn := (&mesh{grpcAddr: host.address}).dial(t)
	if err := conn.Invoke(t.Context(), peerService+"Place", &inference.ServerLiveRequest{}, &inference.ServerLiveResponse{}); err == nil {
		t.Error("a trailers-only OK has no message")
	}
	if got := <-asked; got != peerService+"Place" {
		t.Errorf("asked for %s", got)
	}
}
