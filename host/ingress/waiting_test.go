package ingress

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// bytesCodec sends messages that are encoded already, without a copy, so that many large requests cost the client
// nothing, and leaves answers encoded.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// sink is a model server that reads requests without keeping them and answers an empty message. The first of them it
// reads to the end; the others it answers early, as a server may, or a test of gigabytes would take minutes.
func sink(t testing.TB) forward.Target {
	t.Helper()
	const whole, part = 10, 256 << 10
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	var requests atomic.Int32
	server := &http.Server{Protocols: &protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := int64(part)
		if requests.Add(1) <= whole {
			limit = math.MaxInt64
		}
		if _, err := io.CopyN(io.Discard, r.Body, limit); err != nil && err != io.EOF {
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		w.Write(make([]byte, forward.PrefixBytes))
	})}
	listener := listen(t)
	var done sync.WaitGroup
	done.Go(func() { server.Serve(listener) })
	t.Cleanup(func() { server.Close(); done.Wait() })
	return targetAt(listener.Addr().String())
}

// countingListener counts the bytes that its connections read and tells when there are as many as wanted.
type countingListener struct {
	net.Listener
	read    atomic.Int64
	want    int64
	reached chan struct{}
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &countingConn{conn, l}, err
}

type countingConn struct {
	net.Conn
	listener *countingListener
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	l := c.listener
	if after := l.read.Add(int64(n)); after >= l.want && after-int64(n) < l.want {
		close(l.reached)
	}
	return n, err
}

// heap is the memory in use after a collection, goroutine stacks included.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}

func TestManyLargeRequestsWaitInLittleMemory(t *testing.T) {
	const requests, size = 300, 8 << 20
	m := newMesh(t, Config{}, sink(t))
	m.copies.loaded.Store(false)
	loaded := make(chan struct{})
	arrived := make(chan struct{}, requests)
	m.copies.load = func(ctx context.Context, _ string, _ int) (forward.Target, error) {
		arrived <- struct{}{}
		select {
		case <-loaded:
			return m.copies.target, nil
		case <-ctx.Done():
			return forward.Target{}, ctx.Err()
		}
	}
	// Every client sends as much as it may: a stream's window, nearly.
	counted := &countingListener{Listener: listen(t), want: requests * (streamWindow - 1024), reached: make(chan struct{})}
	var serving sync.WaitGroup
	serving.Go(func() { m.ServeGRPC(counted) })
	defer serving.Wait()
	defer counted.Close()
	m.grpcAddr = counted.Addr().String()
	conns := make([]*grpc.ClientConn, 10)
	for i := range conns {
		conns[i] = m.dial(t)
	}
	message := append(marshal(t, "digits"), 0x3a, 0x80, 0x80, 0x80, 0x04) // raw_input_contents of 8 MiB
	message = append(message, make([]byte, size)...)

	before := heap()
	done := make(chan error, requests)
	for i := range requests {
		go func() {
			var answer []byte
			done <- conns[i%len(conns)].Invoke(context.Background(), "/"+inferMethod, &message, &answer, grpc.ForceCodecV2(bytesCodec{}))
		}()
	}
	for range requests {
		<-arrived
	}
	<-counted.reached
	grown, charged := heap()-before, m.budget.Used()
	t.Logf("%d requests of %d MiB wait in %.1f MiB, charged %.1f MiB", requests, size>>20, float64(grown)/(1<<20), float64(charged)/(1<<20))
	// The clients' side of the streams is in this process too.
	if grown > 64<<20 {
		t.Errorf("%d bytes for %d waiting requests", grown, requests)
	}
	if charged < requests*streamWindow || charged > DefaultWaitingBytes {
		t.Errorf("%d bytes charged", charged)
	}
	close(loaded)
	for range requests {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if got := m.outcomes(t); got["served"] != requests || len(got) != 1 {
		t.Errorf("outcomes %v", got)
	}
}

func TestWaitingRequestsDoNotHoldUpOthersOnTheirConnection(t *testing.T) {
	m := newMesh(t, Config{}, sink(t))
	m.copies.loaded.Store(false)
	loaded := make(chan struct{})
	arrived := make(chan struct{})
	m.copies.load = func(_ context.Context, id string, _ int) (forward.Target, error) {
		if id == "digits__isvc-1" {
			arrived <- struct{}{}
			<-loaded
		}
		return m.copies.target, nil
	}
	const waiting = 200 // 12.5 MiB of unread bytes on one connection
	infer := func(name string) error {
		_, err := m.infer.ModelInfer(context.Background(), &inference.ModelInferRequest{ModelName: name, RawInputContents: [][]byte{make([]byte, 256<<10)}})
		return err
	}
	done := make(chan error, waiting)
	for range waiting {
		go func() { done <- infer("digits") }()
	}
	for range waiting {
		<-arrived
	}
	for range 20 {
		if err := infer("digits__v2"); err != nil {
			t.Fatal(err)
		}
	}
	close(loaded)
	for range waiting {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func TestWaitingBudget(t *testing.T) {
	m := newMesh(t, Config{WaitingBytes: 250_000}, sink(t))
	m.copies.loaded.Store(false)
	loaded := make(chan struct{})
	arrived := make(chan struct{}, 10)
	m.copies.load = func(context.Context, string, int) (forward.Target, error) {
		arrived <- struct{}{}
		<-loaded
		return m.copies.target, nil
	}
	large := &inference.ModelInferRequest{ModelName: "digits", RawInputContents: [][]byte{make([]byte, 1<<20)}}
	first := make(chan error, 2)
	for range 2 {
		go func() { _, err := m.infer.ModelInfer(context.Background(), large); first <- err }()
		<-arrived
	}
	_, err := m.infer.ModelInfer(t.Context(), large)
	got := status.Convert(err)
	used := m.budget.Used()
	if got.Code() != codes.ResourceExhausted || !strings.Contains(got.Message(), fmt.Sprintf("%d of 250000 are in use", used)) {
		t.Errorf("got %v with %d in use", got, used)
	}
	// A small request holds no window: it has been read to its end.
	small := make(chan error, 1)
	go func() {
		_, err := m.infer.ModelInfer(context.Background(), &inference.ModelInferRequest{ModelName: "digits"})
		small <- err
	}()
	<-arrived
	if grew := m.budget.Used() - used; grew <= 0 || grew > 32<<10 {
		t.Errorf("a small waiting request is charged %d bytes", grew)
	}
	close(loaded)
	for _, done := range []chan error{first, first, small} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := m.outcomes(t); got["queue_full"] != 1 || got["served"] != 3 {
		t.Errorf("outcomes %v", got)
	}
}
