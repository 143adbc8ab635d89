package ingress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

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

// TestAPeerThatGivesUpItself: what ends a wait at a peer without a load need not be the end of the request.
func TestAPeerThatGivesUpItself(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	one, two := newPeerHost(t, Config{}, target), newPeerHost(t, Config{}, target)
	one.here.join = func(context.Context, string) error { return route.Errorf(route.NoHost, "this host is stopping") }
	m, relay := newRelay(t, Config{}, true, one, two)
	if _, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"}); err != nil {
		t.Error(err)
	}
	if got := relay.refusals(); !reflect.DeepEqual(got, []string{"refused"}) {
		t.Errorf("refused for %v", got)
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
	entered := make(chan struct{}, 1)
	target, _ := (&runtimeServer{infer: func(ctx context.Context, _ *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}).start(t)
	for _, waits := range []bool{false, true} {
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

// TestShutdownEndsTheOtherCallsOfPeers, which go on for as long as a host lives.
func TestShutdownEndsTheOtherCallsOfPeers(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	host := newPeerHost(t, Config{}, target)
	entered, left := make(chan struct{}), make(chan struct{})
	service := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		defer close(left)
		close(entered)
		<-stream.Context().Done()
		return stream.Context().Err()
	}))
	defer service.Stop()
	host.peers.Service = service
	conn := (&mesh{grpcAddr: host.address}).dial(t)
	if _, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, peerService+"Link"); err != nil {
		t.Fatal(err)
	}
	<-entered
	if err := host.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	<-left
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
