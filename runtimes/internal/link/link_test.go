package link

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/runtimes"
)

// listen runs a gRPC server without services; any call on it makes a connection.
func listen(t *testing.T, address string) (*grpc.Server, string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return server, listener.Addr().String()
}

func dial(t *testing.T, address string) *Link {
	t.Helper()
	l, err := Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func call(ctx context.Context, l *Link) error {
	return l.Invoke(ctx, "/nobody/knows", nil, nil)
}

func TestWaitLostFollowsTheServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, address := listen(t, "127.0.0.1:0")
	l := dial(t, address)

	if err := l.WaitLost(ctx); err != nil {
		t.Fatalf("WaitLost before any connection: %v; want nil", err)
	}
	if code := status.Code(call(ctx, l)); code != codes.Internal && code != codes.Unimplemented {
		t.Fatalf("a call that no service takes: %v", code)
	}
	l.Arm()
	first, ok := l.Connection()
	if !ok {
		t.Fatal("no connection after a call")
	}
	given, giveUp := context.WithCancel(ctx)
	giveUp()
	if err := l.WaitLost(given); !errors.Is(err, context.Canceled) {
		t.Fatalf("WaitLost of a healthy server: %v; want context.Canceled", err)
	}

	server.Stop()
	if err := l.WaitLost(ctx); err != nil {
		t.Fatalf("WaitLost after the server stopped: %v; want nil", err)
	}
	err := call(ctx, l)
	if failure := l.Failure(ctx, "the server", err); !runtimes.IsUnavailable(failure) {
		t.Errorf("Failure(%v) = %v; want kind Unavailable", err, failure)
	}

	listen(t, address)
	// A call waits for the connection when it is told to.
	if err := l.Invoke(ctx, "/nobody/knows", nil, nil, grpc.WaitForReady(true)); status.Code(err) == codes.Unavailable {
		t.Fatal(err)
	}
	if second, ok := l.Connection(); !ok || second == first {
		t.Errorf("Connection = %d, %v after %d was lost; want another one", second, ok, first)
	}
	if err := l.WaitLost(ctx); err != nil {
		t.Errorf("WaitLost, not armed since the loss: %v; want nil", err)
	}
	l.Arm()
	if err := l.WaitLost(given); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitLost, armed since the loss: %v; want context.Canceled", err)
	}
}

// TestEndsAreMatched: grpc may tell the end of a connection after its replacement has begun and been armed.
func TestEndsAreMatched(t *testing.T) {
	c := newConnections()
	lost := func() bool {
		select {
		case <-c.lossSinceArm():
			return true
		default:
			return false
		}
	}
	begin := func() context.Context {
		ctx := c.TagConn(context.Background(), nil)
		c.HandleConn(ctx, &stats.ConnBegin{})
		return ctx
	}
	first := begin()
	c.arm()
	second := begin()
	c.arm()
	c.HandleConn(first, &stats.ConnEnd{})
	if lost() {
		t.Error("the late end of the first connection counted as the loss of the second")
	}
	third := begin()
	c.HandleConn(second, &stats.ConnEnd{})
	if !lost() {
		t.Error("the end of the armed connection did not count, because another one stands")
	}
	c.arm()
	c.HandleConn(third, &stats.ConnEnd{})
	if !lost() {
		t.Error("the end of the last connection did not count")
	}
}

func TestFailure(t *testing.T) {
	l := dial(t, "127.0.0.1:1")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	past, cancelPast := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancelPast()
	cases := []struct {
		name string
		ctx  context.Context
		err  error
		want error // nil: the server's own answer
	}{
		{"the caller went away", cancelled, status.Error(codes.Unavailable, "x"), context.Canceled},
		{"the caller's deadline passed", past, status.Error(codes.DeadlineExceeded, "x"), context.DeadlineExceeded},
		{"the server's own deadline passed", context.Background(), status.Error(codes.DeadlineExceeded, "x"), nil},
		{"the server refused", context.Background(), status.Error(codes.Internal, "x"), nil},
	}
	for _, c := range cases {
		if got := l.Failure(c.ctx, "the server", c.err); !errors.Is(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
	}
	if err := NotReady(context.DeadlineExceeded); !runtimes.IsUnavailable(err) {
		t.Errorf("NotReady of a passed deadline: %v; want kind Unavailable", err)
	}
	if err := NotReady(context.Canceled); !errors.Is(err, context.Canceled) || runtimes.IsUnavailable(err) {
		t.Errorf("NotReady of a cancelled call: %v; want it as it is", err)
	}
	if _, err := Dial(""); err == nil {
		t.Error("Dial of no address succeeded")
	}
}
