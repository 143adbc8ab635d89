package ingress

import (
	"context"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// table is a Catalog of aliases.
type table struct {
	mu      sync.Mutex
	unready bool
	aliases map[string]Resolved
	states  map[string]ModelStatus
}

func newTable() *table {
	return &table{
		aliases: map[string]Resolved{
			"digits":     {ModelID: "digits__isvc-1"},
			"orphan":     {ModelID: "orphan__isvc-1", Reason: "no ServingRuntime supports the format"},
			"elsewhere":  {ModelID: "elsewhere__isvc-1", NotHere: "it runs on others"},
			"digits__v2": {ModelID: "digits__isvc-2"},
		},
		states: map[string]ModelStatus{"digits": {Ready: true}, "bad": {Reason: "the file is corrupt"}},
	}
}

func (c *table) Ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.unready
}

func (c *table) setReady(ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unready = !ready
}

func (c *table) point(alias, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aliases[alias] = Resolved{ModelID: id}
}

func (c *table) Resolve(name string) (Resolved, *route.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if resolved, ok := c.aliases[name]; ok {
		return resolved, nil
	}
	return Resolved{}, route.Errorf(route.UnknownModel, "no model is named %q", name)
}

func (c *table) ModelStatus(name string) (ModelStatus, *route.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state, ok := c.states[name]; ok {
		return state, nil
	}
	return ModelStatus{}, route.Errorf(route.UnknownModel, "no model is named %q", name)
}

// copies are Models whose loads the test decides.
type copies struct {
	target forward.Target
	// loaded models are found at once.
	loaded atomic.Bool
	// load, if set, is called by Acquire with the number of the call, from 1.
	load func(ctx context.Context, id string, call int) (forward.Target, error)
	// forgot is the answer of Forgot.
	forgot atomic.Bool

	acquires, suspects, forgots, leases atomic.Int32
}

func (m *copies) Start(model Resolved) Session { return &session{m, model.ModelID} }

// session is a Session whose leases are all of this host.
type session struct {
	*copies
	id string
}

func (w *session) Refused(Lease, *route.NotHere) {}

func (w *session) Try() (Lease, bool) {
	m, id := w.copies, w.id
	if !m.loaded.Load() {
		return nil, false
	}
	m.leases.Add(1)
	return &lease{m, id, m.target}, true
}

func (w *session) Acquire(ctx context.Context) (Lease, error) {
	m, id := w.copies, w.id
	call := int(m.acquires.Add(1))
	target := m.target
	if m.load != nil {
		var err error
		if target, err = m.load(ctx, id, call); err != nil {
			return nil, err
		}
	}
	m.leases.Add(1)
	return &lease{m, id, target}, nil
}

func (m *copies) Forgot(context.Context, string) bool { m.forgots.Add(1); return m.forgot.Load() }

func (m *copies) Suspect() { m.suspects.Add(1) }

type lease struct {
	copies *copies
	id     string
	target forward.Target
}

func (l *lease) Target() forward.Target { return l.target }
func (l *lease) ModelID() string        { return l.id }
func (l *lease) Local() bool            { return true }
func (l *lease) Waits() bool            { return false }
func (l *lease) Release()               { l.copies.leases.Add(-1) }

// runtimeServer is a model server: ModelInfer is the test's, any other method is an echo of raw messages.
type runtimeServer struct {
	inference.UnimplementedGRPCInferenceServiceServer
	infer func(context.Context, *inference.ModelInferRequest) (*inference.ModelInferResponse, error)
	// stream, if set, serves every other method.
	stream func(method string, stream grpc.ServerStream) error
}

func (u *runtimeServer) ModelInfer(ctx context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	if u.infer == nil {
		return &inference.ModelInferResponse{ModelName: r.ModelName, Id: r.Id}, nil
	}
	return u.infer(ctx, r)
}

func (u *runtimeServer) ModelMetadata(_ context.Context, r *inference.ModelMetadataRequest) (*inference.ModelMetadataResponse, error) {
	return &inference.ModelMetadataResponse{Name: r.Name, Platform: "test",
		Inputs: []*inference.ModelMetadataResponse_TensorMetadata{{Name: "x", Datatype: "FP32", Shape: []int64{-1, 64}}}}, nil
}

// start serves u on a free port and returns how to reach it.
func (u *runtimeServer) start(t testing.TB) (forward.Target, *grpc.Server) {
	t.Helper()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(1<<30), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		return u.stream(method, stream)
	}))
	inference.RegisterGRPCInferenceServiceServer(server, u)
	listener := listen(t)
	var done sync.WaitGroup
	done.Go(func() { server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); done.Wait() })
	return targetAt(listener.Addr().String()), server
}

func targetAt(address string) forward.Target {
	return forward.Target{
		Address: address,
		IDPaths: map[string][]uint32{
			inferMethod: {1}, metadataMethod: {1}, inferenceService + "ModelStreamInfer": {1},
		},
		AllowAnyMethod: true,
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// mesh is a Server on free ports with everything around it.
type mesh struct {
	*Server
	table    *table
	copies   *copies
	registry *prometheus.Registry
	conn     *grpc.ClientConn
	infer    inference.GRPCInferenceServiceClient
	grpcAddr string
	restURL  string
}

// newMesh starts a Server in front of target, where all models are loaded.
func newMesh(t testing.TB, config Config, target forward.Target) *mesh {
	t.Helper()
	return newMeshOf(t, config, target, nil)
}

// newMeshOf is newMesh with peers.
func newMeshOf(t testing.TB, config Config, target forward.Target, peers *Peers) *mesh {
	t.Helper()
	return startMesh(t, config, target, peers, io.Discard)
}

// newLoggedMesh is newMesh whose log goes to said.
func newLoggedMesh(t testing.TB, config Config, target forward.Target, said io.Writer) *mesh {
	t.Helper()
	return startMesh(t, config, target, nil, said)
}

func startMesh(t testing.TB, config Config, target forward.Target, peers *Peers, said io.Writer) *mesh {
	t.Helper()
	m := &mesh{table: newTable(), copies: &copies{target: target}, registry: prometheus.NewRegistry()}
	m.copies.loaded.Store(true)
	m.Server = New(config, Deps{
		Catalog: m.table, Models: m.copies, Peers: peers, Log: slog.New(slog.NewTextHandler(said, nil)), Metrics: m.registry,
	})
	onGRPC, onREST := listen(t), listen(t)
	var serving sync.WaitGroup
	serving.Go(func() { m.ServeGRPC(onGRPC) })
	serving.Go(func() { m.ServeREST(onREST) })
	m.grpcAddr, m.restURL = onGRPC.Addr().String(), "http://"+onREST.Addr().String()
	m.conn = m.dial(t)
	m.infer = inference.NewGRPCInferenceServiceClient(m.conn)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		m.Shutdown(ctx)
		serving.Wait()
		if n := m.copies.leases.Load(); n != 0 {
			t.Errorf("%d leases were not released", n)
		}
		if n := m.budget.Used(); n != 0 {
			t.Errorf("%d bytes of the waiting budget were not given back", n)
		}
	})
	return m
}

// newBareMesh is a Server without listeners or clients, where load decides.
func newBareMesh(load func(context.Context, string, int) (forward.Target, error)) *mesh {
	m := &mesh{table: newTable(), copies: &copies{load: load}, registry: prometheus.NewRegistry()}
	m.Server = New(Config{}, Deps{
		Catalog: m.table, Models: m.copies, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: m.registry,
	})
	return m
}

// dial opens a gRPC client of its own connection.
func (m *mesh) dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(m.grpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(1<<30), grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// outcomes reads wasmesh_requests_total.
func (m *mesh) outcomes(t testing.TB) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, metric := range m.gather(t, "wasmesh_requests_total") {
		found[metric.GetLabel()[0].GetValue()] = int(metric.GetCounter().GetValue())
	}
	return found
}

func (m *mesh) gather(t testing.TB, name string) []*dto.Metric {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()
		}
	}
	return nil
}

// header is the first value of a metadata key.
func header(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// waitFor looks until ok holds; the test's deadline ends it otherwise.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for !ok() {
		if t.Context().Err() != nil {
			t.Fatal("the test ended first")
		}
		runtime.Gosched()
	}
}
