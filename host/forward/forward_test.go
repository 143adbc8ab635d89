package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

const inferMethod = "inference.GRPCInferenceService/ModelInfer"

// upstream is a model server whose ModelInfer is the test's.
type upstream struct {
	inference.UnimplementedGRPCInferenceServiceServer
	infer func(context.Context, *inference.ModelInferRequest) (*inference.ModelInferResponse, error)
}

func (u *upstream) ModelInfer(ctx context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	return u.infer(ctx, r)
}

// echo answers the name and the id that it was asked for.
func echo(ctx context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	grpc.SetHeader(ctx, metadata.Pairs("seen-id", strings.Join(md.Get("mm-model-id"), ",")))
	grpc.SetTrailer(ctx, metadata.Pairs("cost", "7"))
	if len(r.RawInputContents) > 0 && len(r.RawInputContents[0]) == 3 {
		return nil, status.Error(codes.NotFound, "Model ä not found")
	}
	return &inference.ModelInferResponse{ModelName: r.ModelName, Id: r.Id}, nil
}

// serve starts a model server and returns it with its address.
func serve(t *testing.T, listener net.Listener, u *upstream) *grpc.Server {
	t.Helper()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(1 << 30))
	inference.RegisterGRPCInferenceServiceServer(server, u)
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	t.Cleanup(func() { server.Stop(); <-done })
	return server
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newForwarder(t *testing.T) *Forwarder {
	t.Helper()
	f := New(Config{MaxMessageBytes: 16 << 20, Memory: &budget{limit: 64 << 20}})
	t.Cleanup(f.Close)
	return f
}

func target(address string) Target {
	return Target{Address: address, IDPaths: map[string][]uint32{inferMethod: {1}}}
}

func headOf(message []byte) Head {
	return Head{
		Method: inferMethod, ModelID: "digits__isvc-1", Name: "digits",
		Metadata: http.Header{"Content-Type": {"application/grpc"}},
		Body:     BytesBody(frame(0, message)),
	}
}

// finish reads a stream to its end.
func finish(t *testing.T, s *Stream) []byte {
	t.Helper()
	defer s.Close()
	out, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCall(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	tcp := listen(t, "tcp", "127.0.0.1:0")
	for address, l := range map[string]net.Listener{tcp.Addr().String(): tcp, "unix:" + socket: listen(t, "unix", socket)} {
		serve(t, l, &upstream{infer: echo})
		f := newForwarder(t)
		stream, err := f.Open(t.Context(), target(address), headOf(infer(t, "digits", 100)))
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		if got := stream.Header().Get("Seen-Id"); got != "digits__isvc-1" {
			t.Errorf("the server saw id %q", got)
		}
		answer := messages(t, finish(t, stream))
		var response inference.ModelInferResponse
		if len(answer) != 1 || proto.Unmarshal(answer[0], &response) != nil || response.ModelName != "digits__isvc-1" {
			t.Errorf("got %v", &response)
		}
		if stream.Status().Code != codes.OK || stream.Trailer().Get("Cost") != "7" || stream.TrailersOnly() {
			t.Errorf("status %v, trailers %v", stream.Status(), stream.Trailer())
		}

		stream, err = f.Open(t.Context(), target(address), headOf(infer(t, "digits", 3)))
		if err != nil {
			t.Fatal(err)
		}
		finish(t, stream)
		if got := stream.Status(); got.Code != codes.NotFound || got.Message != "Model ä not found" {
			t.Errorf("got %v", got)
		}
	}
}

func TestMethodNotOffered(t *testing.T) {
	head := headOf(nil)
	head.Method = "other.Service/Do"
	_, err := newForwarder(t).Open(t.Context(), target("127.0.0.1:1"), head)
	if bad, ok := errors.AsType[*RequestError](err); !ok || bad.Code != codes.Unimplemented {
		t.Fatalf("got %v", err)
	}
}

func TestUnsent(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	l.Close()
	head := headOf(infer(t, "digits", 10))
	_, err := newForwarder(t).Open(t.Context(), target(l.Addr().String()), head)
	if _, ok := errors.AsType[*Unsent](err); !ok || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Fatalf("refused connection: got %v", err)
	}
	if !head.Body.Replayable() {
		t.Error("the request must be ready to be sent again")
	}
}

func TestGracefulStopOfTheServerLosesNoCall(t *testing.T) {
	// The server sends GOAWAY while a call is under way; a new call must get a new connection.
	l := listen(t, "tcp", "127.0.0.1:0")
	address := l.Addr().String()
	entered, leave := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	slow := func(ctx context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		if calls.Add(1) == 1 {
			close(entered)
			<-leave
		}
		return echo(ctx, r)
	}
	server := serve(t, l, &upstream{infer: slow})
	f := newForwarder(t)
	first := make(chan error, 1)
	go func() {
		stream, err := f.Open(context.Background(), target(address), headOf(infer(t, "digits", 10)))
		if err == nil {
			_, err = io.ReadAll(stream)
			stream.Close()
		}
		first <- err
	}()
	<-entered
	stopped := make(chan struct{})
	go func() { server.GracefulStop(); close(stopped) }()
	// The listener is closed before GOAWAY is sent, so once a new one is up the address is free.
	var again net.Listener
	for again == nil {
		again, _ = net.Listen("tcp", address)
	}
	serve(t, again, &upstream{infer: echo})
	for range 20 {
		stream, err := f.Open(t.Context(), target(address), headOf(infer(t, "digits", 10)))
		if err != nil {
			if _, ok := errors.AsType[*Unsent](err); !ok {
				t.Fatalf("during a graceful stop: %v", err)
			}
			continue
		}
		finish(t, stream)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Errorf("the call under way: %v", err)
	}
	<-stopped
}

func TestInterrupted(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	entered := make(chan struct{})
	hang := func(ctx context.Context, _ *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	server := serve(t, l, &upstream{infer: hang})
	go func() { <-entered; server.Stop() }()
	_, err := newForwarder(t).Open(t.Context(), target(l.Addr().String()), headOf(infer(t, "digits", 10)))
	if _, ok := errors.AsType[*Interrupted](err); !ok {
		t.Fatalf("got %v", err)
	}
}

func TestServerGoneWhileTheClientStreams(t *testing.T) {
	// The client has sent one message and waits; nothing but the server's end can end the call.
	l := listen(t, "tcp", "127.0.0.1:0")
	server := serve(t, l, &upstream{infer: echo})
	pr, pw := io.Pipe()
	defer pw.Close()
	head := headOf(nil)
	head.Body = NewBody(pr)
	opened := make(chan error)
	go func() {
		_, err := newForwarder(t).Open(context.Background(), target(l.Addr().String()), head)
		opened <- err
	}()
	// Once this much has been taken the call is under way.
	pw.Write(frame(0, infer(t, "digits", 10))[:20])
	server.Stop()
	if err := <-opened; err == nil {
		t.Fatal("no error")
	}
}

func TestContextEndsACall(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	entered, gone := make(chan struct{}), make(chan struct{})
	hang := func(ctx context.Context, _ *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		close(entered)
		<-ctx.Done()
		close(gone)
		return nil, ctx.Err()
	}
	serve(t, l, &upstream{infer: hang})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	_, err := newForwarder(t).Open(ctx, target(l.Addr().String()), headOf(infer(t, "digits", 10)))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	<-gone // the server is told
}

func TestClientErrorsEndTheCallAtTheServer(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	serve(t, l, &upstream{infer: func(context.Context, *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		t.Error("the server must not get a message that was refused on the way")
		return nil, nil
	}})
	f := newForwarder(t)
	head := headOf(nil)
	head.Body = BytesBody(frame(0, infer(t, "other", 10)))
	_, err := f.Open(t.Context(), target(l.Addr().String()), head)
	if bad, ok := errors.AsType[*RequestError](err); !ok || bad.Code != codes.InvalidArgument {
		t.Errorf("another model's name: %v", err)
	}
	head.Body = NewBody(io.NopCloser(&broken{errors.New("client disconnected")}))
	if _, err := f.Open(t.Context(), target(l.Addr().String()), head); !errors.Is(err, context.Canceled) {
		t.Errorf("client went away: %v", err)
	}
}

func TestNotAGRPCServer(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: &protocols, Handler: http.NotFoundHandler()}
	go server.Serve(l)
	defer server.Close()
	_, err := newForwarder(t).Open(t.Context(), target(l.Addr().String()), headOf(infer(t, "digits", 10)))
	if _, ok := errors.AsType[*Interrupted](err); !ok || !strings.Contains(err.Error(), "404") {
		t.Fatalf("got %v", err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	counted := &countingListener{Listener: l}
	arrived, leave := make(chan struct{}), make(chan struct{})
	serveOn := &upstream{infer: func(ctx context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		arrived <- struct{}{}
		<-leave
		return echo(ctx, r)
	}}
	serve(t, counted, serveOn)
	f := newForwarder(t)
	const calls = maxConns*streamsPerConn + 50
	done := make(chan error, calls)
	for range calls {
		go func() {
			stream, err := f.Open(context.Background(), target(l.Addr().String()), headOf(infer(t, "digits", 10)))
			if err == nil {
				_, err = io.ReadAll(stream)
				stream.Close()
			}
			done <- err
		}()
	}
	for range calls {
		<-arrived
	}
	close(leave)
	for range calls {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if n := counted.n.Load(); n < 2 || n > maxConns {
		t.Errorf("%d connections, want 2 to %d", n, maxConns)
	}
	f.Close()
	if _, err := f.Open(t.Context(), target(l.Addr().String()), headOf(nil)); err == nil {
		t.Error("a closed forwarder still forwards")
	}
}

// countingListener counts connections.
type countingListener struct {
	net.Listener
	n atomic.Int32
}

func (c *countingListener) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

// A request whose metadata the server has said that it does not take fails by its own fault: sending it again, or doubting
// the server, would be wrong.
func TestMetadataLargerThanTheServerTakes(t *testing.T) {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: &protocols, MaxHeaderBytes: 4 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "0")
	})}
	listener := listen(t, "tcp", "127.0.0.1:0")
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-done })
	f := newForwarder(t)
	// The first call waits for the server's settings, of which the limit is one.
	stream, err := f.Open(t.Context(), target(listener.Addr().String()), headOf(infer(t, "digits", 1)))
	if err != nil {
		t.Fatal(err)
	}
	finish(t, stream)
	head := headOf(infer(t, "digits", 1))
	head.Metadata = http.Header{"Authorization": {strings.Repeat("x", 8<<10)}}
	_, err = f.Open(t.Context(), target(listener.Addr().String()), head)
	bad, ok := errors.AsType[*RequestError](err)
	if !ok || bad.Code != codes.ResourceExhausted {
		t.Errorf("got %T: %v", err, err)
	}
}

// A server that was killed may leave a port on which the kernel still takes connections for a moment. Nobody reads what
// is sent there, so the request can be sent again.
func TestConnectionThatNobodyTakesIsUnsent(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.ReadFull(conn, make([]byte, 64)) // the request is on its way
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	head := headOf(infer(t, "digits", 1))
	_, err := newForwarder(t).Open(t.Context(), target(listener.Addr().String()), head)
	if _, ok := errors.AsType[*Unsent](err); !ok || !head.Body.Replayable() {
		t.Errorf("got %T: %v, replayable %v; want it to be sent again", err, err, head.Body.Replayable())
	}
}
