package ingress

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The two ends below speak bare HTTP/2 frames, so that what a test finds in memory is the host's and not theirs.

// bareClient sends requests over one connection and ignores what comes back.
type bareClient struct {
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	stream  uint32
	ended   sync.WaitGroup
	conn    net.Conn
}

func newBareClient(t testing.TB, address string) *bareClient {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := &bareClient{conn: conn, framer: http2.NewFramer(conn, conn), stream: 1}
	c.encoder = hpack.NewEncoder(&c.block)
	io.WriteString(conn, http2.ClientPreface)
	c.framer.WriteSettings()
	c.ended.Go(func() { io.Copy(io.Discard, conn) })
	t.Cleanup(func() { conn.Close(); c.ended.Wait() })
	return c
}

// send begins a request; without a message it stays open, and the receiver is to ask for more.
func (c *bareClient) send(t testing.TB, path string, header map[string]string, message []byte) {
	t.Helper()
	c.block.Reset()
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "mesh"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		c.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	for name, value := range header {
		c.encoder.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.stream, BlockFragment: c.block.Bytes(), EndHeaders: true})
	if err == nil && message != nil {
		err = c.framer.WriteData(c.stream, true, message)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.stream += 2
}

// silentPeer takes requests and answers none.
type silentPeer struct {
	address string
	// requests and bytes count what came.
	requests, bytes atomic.Int64
}

func newSilentPeer(t testing.TB) *silentPeer {
	t.Helper()
	p := &silentPeer{}
	listener := listen(t)
	p.address = listener.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { conn.Close() })
			serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() { stop(); listener.Close(); serving.Wait() })
	return p
}

func (p *silentPeer) serve(conn net.Conn) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: peerStreams})
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			p.requests.Add(1)
		case *http2.DataFrame:
			p.bytes.Add(int64(len(frame.Data())))
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				framer.WritePing(true, frame.Data)
			}
		}
	}
}

// growth is what begin, which starts n waiting requests of that many bytes each and returns when they wait, adds to the
// memory in use, per request.
func growth(n, size int, begin func()) (bytes int64, goroutines float64) {
	before, routines := settledHeap(), runtime.NumGoroutine()
	begin()
	return (settledHeap()-before)/int64(n) - int64(size), float64(runtime.NumGoroutine()-routines) / float64(n)
}

// settledHeap is heap after pools are empty and stacks that have been deep are short again, which takes some collections.
func settledHeap() (bytes int64) {
	for range 6 {
		bytes = heap()
	}
	return bytes
}

// TestAWaitingRequestIsCheap measures what a request costs while it waits at a peer for a load, besides its own bytes: at
// the host that got it, and at the host that loads.
func TestAWaitingRequestIsCheap(t *testing.T) {
	const requests, most = 500, perWaiting
	message := marshal(t, "digits")
	frame := append([]byte{0, 0, 0, 0, byte(len(message))}, message...)

	t.Run("at the host that got it", func(t *testing.T) {
		peer := newSilentPeer(t)
		m, _ := newRelay(t, Config{}, true, &peerHost{address: peer.address})
		client := newBareClient(t, m.grpcAddr)
		cost, goroutines := growth(requests, len(frame), func() {
			for range requests {
				client.send(t, "/"+inferMethod, nil, frame)
			}
			waitFor(t, func() bool { return peer.requests.Load() == requests })
		})
		t.Logf("%d bytes and %.1f goroutines each; charged %d", cost, goroutines, m.budget.Used()/requests)
		if cost > most {
			t.Errorf("more than %d", most)
		}
		if got := peer.bytes.Load(); got != 0 {
			t.Errorf("%d bytes were sent to a peer that had not asked for them", got)
		}
	})
	t.Run("at the host that loads", func(t *testing.T) {
		host := newPeerHost(t, Config{}, nobody(t))
		var waiting atomic.Int64
		host.here.join = func(ctx context.Context, _ string) error {
			waiting.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}
		client := newBareClient(t, host.address)
		header := map[string]string{"wasmesh-mesh-token": meshToken, "wasmesh-model-id": "digits__isvc-1", "wasmesh-wait": "1", "expect": "100-continue"}
		cost, goroutines := growth(requests, 0, func() {
			for range requests {
				client.send(t, "/"+inferMethod, header, nil)
			}
			waitFor(t, func() bool { return waiting.Load() == requests })
		})
		t.Logf("%d bytes and %.1f goroutines each; charged %d", cost, goroutines, host.budget.Used()/requests)
		if cost > most {
			t.Errorf("more than %d", most)
		}
	})
}
