package peers

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/peerstest"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	gossipPort = 11881
	peerPort   = 8080
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

// mesh is hosts on a network in memory, in a synctest bubble.
type mesh struct {
	t       *testing.T
	network *peerstest.Network
	hosts   []*testHost
}

// testHost is one of them, and what its Listener was told.
type testHost struct {
	*Peers
	ip     string
	stop   context.CancelFunc
	ended  chan error
	server *http.Server
	serves chan struct{}

	// changed wakes whoever waits in until.
	changed chan struct{}

	mu    sync.Mutex
	view  *members.View
	keys  map[uint64]int
	calls []string
}

func (h *testHost) MembersChanged(v *members.View) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view = v
	h.wake()
}

func (h *testHost) wake() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

func (h *testHost) CopiesChanged(keys []uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range keys {
		h.keys[key]++
	}
	h.wake()
}

// told is how often the listener was told of a model.
func (h *testHost) told(key uint64) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[key]
}

func (h *testHost) Place(_ context.Context, r *peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) {
	if r.GetModelId() == "panics" {
		panic("placing this one does")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, "place "+r.GetModelId()+" for "+r.GetAsker())
	return &peerv1.PlaceResponse{Result: &peerv1.PlaceResponse_Placed{Placed: &peerv1.Placed{HostId: h.config.HostID}}}, nil
}

func (h *testHost) Reserve(ctx context.Context, _ *peerv1.ReserveRequest) (*peerv1.ReserveResponse, error) {
	<-ctx.Done() // a host that is slow
	return nil, ctx.Err()
}

func (h *testHost) Release(context.Context, *peerv1.ReleaseRequest) (*peerv1.ReleaseResponse, error) {
	return &peerv1.ReleaseResponse{Released: true}, nil
}

func (h *testHost) Report(context.Context, *peerv1.ReportRequest) (*peerv1.ReportResponse, error) {
	return &peerv1.ReportResponse{}, nil
}

func (h *testHost) GetBlob(_ *syncv1.GetBlobRequest, s grpc.ServerStreamingServer[syncv1.GetBlobResponse]) error {
	return s.Send(&syncv1.GetBlobResponse{Chunk: []byte("module")})
}

func (h *testHost) GetCatalog(*peerv1.GetCatalogRequest, grpc.ServerStreamingServer[syncv1.Update]) error {
	return nil
}

func quiet(t testing.TB) *slog.Logger {
	if os.Getenv("PEERS_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func newMesh(t *testing.T) *mesh { return &mesh{t: t, network: peerstest.NewNetwork()} }

// config of the host at 10.0.0.n.
func (m *mesh) config(n int) (Config, *peerstest.Host) {
	ip := fmt.Sprintf("10.0.0.%d", n)
	wire := m.network.Host(ip)
	return Config{
		Mesh: "wasmesh", Namespace: "default", HostID: fmt.Sprintf("host-%d", n), Epoch: 1, Started: time.Now(),
		Runtime: "mlserver", Zone: "a", PeerAddress: net.JoinHostPort(ip, "8080"), GRPCAddress: net.JoinHostPort(ip, "8033"),
		RESTAddress: net.JoinHostPort(ip, "8008"), Key: testKey, SoftwareVersion: "test",
		Transport: wire.Gossip(gossipPort), Dial: wire.Dial,
	}, wire
}

// add starts a host; change may be nil.
func (m *mesh) add(n int, change func(*Config)) *testHost {
	m.t.Helper()
	config, wire := m.config(n)
	if change != nil {
		change(&config)
	}
	h := start(m.t, config, wire.Listen(peerPort))
	h.ip = fmt.Sprintf("10.0.0.%d", n)
	m.hosts = append(m.hosts, h)
	return h
}

func start(t testing.TB, config Config, listener net.Listener) *testHost {
	t.Helper()
	h := &testHost{keys: map[uint64]int{}, changed: make(chan struct{}, 1), ended: make(chan error, 1), serves: make(chan struct{})}
	p, err := New(config, Deps{Listener: h, Handler: h, Logger: quiet(t).With("self", config.HostID, "epoch", config.Epoch), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	h.Peers = p
	var protocols http.Protocols
	protocols.SetHTTP2(true) // when the listener is TLS
	protocols.SetUnencryptedHTTP2(true)
	h.server = &http.Server{Handler: p.Server(), Protocols: &protocols, ErrorLog: slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelDebug)}
	go func() {
		defer close(h.serves)
		h.server.Serve(listener)
	}()
	ctx, stop := context.WithCancel(t.Context())
	h.stop = stop
	go func() { h.ended <- p.Run(ctx) }()
	return h
}

// end stops the host, and answers what its Run did.
func (h *testHost) end() error {
	h.stop()
	err := <-h.ended
	h.ended <- err
	h.server.Close()
	<-h.serves
	h.links.Wait()
	return err
}

// end stops all hosts. A goroutine that is left then fails the test: the bubble waits for none. memberlist's own may take
// as long as one of its timeouts.
func (m *mesh) end() {
	for _, h := range m.hosts {
		h.end()
	}
	time.Sleep(10 * time.Second)
}

// seedAll tells every host of every other, as the controller does.
func (m *mesh) seedAll(hosts ...*testHost) {
	var seeds []Seed
	for _, h := range hosts {
		seeds = append(seeds, Seed{ID: h.config.HostID, Gossip: h.GossipAddress(), Peer: h.config.PeerAddress})
	}
	for _, h := range hosts {
		h.SetSeeds(seeds)
	}
}

// settle lets time pass.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// live are the ids of the hosts that this one takes for live, itself included.
func (h *testHost) live() string {
	var ids []string
	for _, m := range h.View().All() {
		if m.Live {
			ids = append(ids, strings.TrimPrefix(m.ID, "host-"))
		}
	}
	return strings.Join(ids, " ")
}

func (h *testHost) copies(key uint64) string {
	var out []string
	for _, c := range h.Table().Copies(key, nil) {
		out = append(out, fmt.Sprintf("%s:%s", strings.TrimPrefix(c.Host, "host-"), c.State))
	}
	return strings.Join(out, " ")
}

func (h *testHost) refusedFor(reason string) float64 {
	return valueOf(h.metrics.refusals.WithLabelValues(reason))
}

// valueOf a counter or gauge.
func valueOf(m prometheus.Metric) float64 {
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		panic(err)
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}

// wantLive fails unless every host takes these for live.
func (m *mesh) wantLive(want string, hosts ...*testHost) {
	m.t.Helper()
	for _, h := range hosts {
		if got := h.live(); got != want {
			m.t.Errorf("%s: live %q, want %q", h.config.HostID, got, want)
		}
		h.mu.Lock()
		if h.view == nil || !slices.Equal(h.view.All(), h.View().All()) {
			m.t.Errorf("%s: the listener was not told of the last view", h.config.HostID)
		}
		h.mu.Unlock()
	}
}

func loaded(key uint64) residency.Entry {
	return residency.Entry{Key: key, State: residency.Loaded, Size: 1 << 20, Used: 7}
}
