package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// slowStarter is a server whose connections take requests at once and say only later how many they take; it answers none.
type slowStarter struct {
	address  string
	requests chan struct{}
	settings chan struct{}
}

func newSlowStarter(t *testing.T) *slowStarter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &slowStarter{address: listener.Addr().String(), requests: make(chan struct{}, 1000), settings: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { conn.Close() })
			serving.Go(func() { s.read(conn) })
			serving.Go(func() {
				select {
				case <-s.settings:
					http2.NewFramer(conn, nil).WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000})
				case <-ctx.Done():
				}
			})
		}
	})
	t.Cleanup(func() { stop(); listener.Close(); serving.Wait() })
	return s
}

func (s *slowStarter) read(conn net.Conn) {
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(nil, conn)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		if _, ok := frame.(*http2.HeadersFrame); ok {
			s.requests <- struct{}{}
		}
	}
}

// open begins a call that ends when ctx does; its error goes to done.
func open(ctx context.Context, f *Forwarder, target Target, done chan<- error) {
	body := BytesBody([]byte{0, 0, 0, 0, 0})
	defer body.Close()
	stream, err := f.Open(ctx, target, Head{Method: "s/m", Metadata: http.Header{}, ModelID: "m", Wait: true, Body: body})
	if err == nil {
		stream.Close()
	}
	done <- err
}

// TestABurstOnNewConnections: when a server says that it takes more calls than a client may assume, none is left behind.
func TestABurstOnNewConnections(t *testing.T) {
	const calls = maxConns*unsettledStreams + 50
	for _, peer := range []bool{false, true} {
		server := newSlowStarter(t)
		f := New(Config{MaxMessageBytes: 1 << 20})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, calls)
		for range calls {
			go open(ctx, f, Target{Address: server.address, AllowAnyMethod: true, Peer: peer}, done)
		}
		for n := range calls {
			if n == maxConns*unsettledStreams {
				close(server.settings)
			}
			<-server.requests
		}
		cancel()
		for range calls {
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		f.Close()
	}
}

// TestForgetWhileConnecting: nobody waits for a host that does not answer once it is known to be gone.
func TestForgetWhileConnecting(t *testing.T) {
	f := New(Config{MaxMessageBytes: 1 << 20})
	defer f.Close()
	target := Target{Address: "peer:1", Peer: true}
	p, err := f.pool(target)
	if err != nil {
		t.Fatal(err)
	}
	dialing := make(chan struct{}, 1)
	p.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		dialing <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	done := make(chan error, 2)
	go open(t.Context(), f, target, done)
	<-dialing
	go open(t.Context(), f, target, done) // waits for the same dial, or comes too late for the pool
	f.Forget("peer:1")
	if _, unsent := errors.AsType[*Unsent](<-done); !unsent {
		t.Error("not Unsent")
	}
	if _, unsent := errors.AsType[*Unsent](<-done); !unsent {
		t.Error("not Unsent")
	}
}
