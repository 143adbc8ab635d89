package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/wasmesh/wasmesh/host/statefile"
	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// patience bounds whatever a test waits for; no test depends on how long it takes.
const patience = 30 * time.Second

// rig is a mesh of real hosts in this process, over real sockets: each with a fake runtime, all with one controller that
// says what the test wants.
type rig struct {
	t          *testing.T
	dir        string
	controller *controller
	address    string
	hosts      map[string]*rigHost
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), controller: newController(), hosts: map[string]*rigHost{}}
	r.listen(func(*grpc.Server) {})
	if err := os.MkdirAll(r.artifacts(), 0o755); err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256([]byte("a key for tests"))
	if err := os.WriteFile(r.keyFile(), []byte(hex.EncodeToString(key[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.controller.credentials = map[string][]byte{"local": fmt.Appendf(nil, `{"type":"file","directory":%q}`, r.artifacts())}
	return r
}

// listen has the controller answer at a new address, with further services.
func (r *rig) listen(register func(*grpc.Server), options ...grpc.ServerOption) {
	r.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.address = listener.Addr().String()
	server := grpc.NewServer(options...)
	syncv1.RegisterSyncServiceServer(server, r.controller)
	register(server)
	go server.Serve(listener)
	r.t.Cleanup(server.Stop)
}

func (r *rig) artifacts() string { return filepath.Join(r.dir, "artifacts") }
func (r *rig) keyFile() string   { return filepath.Join(r.dir, "mesh.key") }

// model declares a model of runtime "r" under its own name, and its alias, and waits until all hosts know it.
func (r *rig) model(name string, artifact fake.Artifact, change ...func(*syncv1.Model)) {
	r.t.Helper()
	if err := artifact.WriteFile(filepath.Join(r.artifacts(), name+".json")); err != nil {
		r.t.Fatal(err)
	}
	id := name + "__isvc-0123456789"
	row := &syncv1.Model{
		Namespace: "default", Id: id, Alias: name, Runtimes: []string{"r"}, Type: &syncv1.ModelType{Name: "fake"},
		Storage: &syncv1.StorageReference{SecretKey: "local", Path: name + ".json"},
	}
	for _, f := range change {
		f(row)
	}
	r.controller.set(
		&syncv1.Row{Key: "model/default/" + id, Value: &syncv1.Row_Model{Model: row}},
		&syncv1.Row{Key: "alias/default/" + name, Value: &syncv1.Row_Alias{Alias: &syncv1.Alias{
			Namespace: "default", Name: name, Owner: "isvc", ActiveModelId: id,
		}}},
	)
	r.eventually("all hosts know "+name, func() bool {
		for _, h := range r.hosts {
			if _, ok := h.node.client.Table().Alias(name); !ok {
				return false
			}
		}
		return true
	})
}

// rigHost is one host and its runtime.
type rigHost struct {
	id      string
	node    *node
	runtime *fake.Server
	client  inference.GRPCInferenceServiceClient
	// stop is what a signal does; ended is closed when the host has ended, with err.
	stop  context.CancelFunc
	ended chan struct{}
	err   error
	conns []*breakable
}

// start starts a host and waits until it is ready.
func (r *rig) start(id string, change ...func(*Config)) *rigHost {
	r.t.Helper()
	h := &rigHost{id: id, ended: make(chan struct{})}
	config := Config{
		Namespace: "default", Mesh: DefaultMesh, HostID: id, MeshKeyFile: r.keyFile(), RuntimeType: "fake", ServingRuntime: "r",
		CapacityBytes: 64 << 20, LoadingConcurrency: 2, StateDir: filepath.Join(r.dir, id, "state"), ModelsDir: filepath.Join(r.dir, id, "models"),
		FileRoots: []string{r.artifacts()}, Controller: r.address,
		GRPCAddress: "127.0.0.1:0", RESTAddress: "127.0.0.1:0", PeerAddress: "127.0.0.1:0", GossipAddress: "127.0.0.1:0",
		MaxMessageBytes: DefaultMaxMessageBytes, WaitingBudgetBytes: DefaultWaitingBudgetBytes, DiskBudgetBytes: 1 << 30,
		DrainTimeout: patience, HandoverTimeout: patience, DrainGrace: 100 * time.Millisecond, HandoverOnSignal: true,
	}
	for _, f := range change {
		f(&config)
	}
	if !config.Gateway() {
		var err error
		if h.runtime, err = fake.Listen("127.0.0.1:0", fake.Config{Name: id, CapacityBytes: config.CapacityBytes}); err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(h.runtime.Kill)
		config.RuntimeManagementAddress, config.RuntimeDataAddress = h.runtime.Address(), h.runtime.Address()
	}
	if err := config.Validate(); err != nil {
		r.t.Fatal(err)
	}
	h.node = newNode(config, slog.New(slog.NewTextHandler(testWriter{r.t, id}, &slog.HandlerOptions{Level: slog.LevelInfo})))
	if err := h.node.build(); err != nil {
		r.t.Fatal(err)
	}
	for _, l := range []*net.Listener{&h.node.grpc, &h.node.rest, &h.node.peer} {
		if *l != nil {
			b := &breakable{Listener: *l}
			*l, h.conns = b, append(h.conns, b)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	go func() {
		defer close(h.ended)
		defer h.node.close()
		h.err = h.node.run(ctx)
	}()
	r.hosts[id] = h
	r.t.Cleanup(func() { r.end(h) })
	conn, err := grpc.NewClient("passthrough:///"+h.node.grpc.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	h.client = inference.NewGRPCInferenceServiceClient(conn)
	r.eventually(id+" is ready", func() bool { return h.node.server.Ready() })
	return h
}

// remember has a host that is to start know of another from an earlier life.
func (r *rig) remember(stateDir, id, gossip string) {
	r.t.Helper()
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	seen := &syncv1.Hosts{Hosts: []*syncv1.Hosts_Host{{Id: id, GossipAddress: gossip}}}
	if err := statefile.Write(filepath.Join(stateDir, "peers.pb"), seen); err != nil {
		r.t.Fatal(err)
	}
}

// together waits until all hosts that were started see each other.
func (r *rig) together() {
	r.t.Helper()
	r.eventually("all hosts see each other", func() bool {
		for _, h := range r.hosts {
			live := 0
			for _, m := range h.node.peers.View().All() {
				if m.Live && (m.Gateway || m.RuntimeReady && m.Arbiter) {
					live++
				}
			}
			if live != len(r.hosts) {
				return false
			}
		}
		return true
	})
}

// end stops a host at once, without handing over.
func (r *rig) end(h *rigHost) {
	h.node.config.HandoverOnSignal = false
	h.stop()
	<-h.ended
	delete(r.hosts, h.id)
}

// kill is the end of a host as others see it: no connection to it answers any more.
func (r *rig) kill(h *rigHost) {
	for _, c := range h.conns {
		c.sever()
	}
	delete(r.hosts, h.id)
}

// ask has a model of this name answer through this host.
func (h *rigHost) ask(ctx context.Context, model string) (server string, err error) {
	response, err := h.client.ModelInfer(ctx, &inference.ModelInferRequest{
		ModelName: model, Inputs: []*inference.ModelInferRequest_InferInputTensor{{
			Name: "x", Datatype: "INT32", Shape: []int64{1}, Contents: &inference.InferTensorContents{IntContents: []int32{7}},
		}},
	})
	if err != nil {
		return "", err
	}
	return response.GetParameters()["server"].GetStringParam(), nil
}

// must is ask that has to succeed.
func (r *rig) must(h *rigHost, model string) (server string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	server, err := h.ask(ctx, model)
	if err != nil {
		r.t.Fatalf("%s through %s: %v", model, h.id, err)
	}
	return server
}

// eventually waits for a state; it looks again and again because nobody tells.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// loads counts the loads of all runtimes.
func (r *rig) loads() (n int) {
	for _, h := range r.hosts {
		if h.runtime != nil {
			n += h.runtime.Calls().LoadsDone
		}
	}
	return n
}

// copies answers which of the runtimes hold a model.
func (r *rig) copies(model string) (hosts []string) {
	for id, h := range r.hosts {
		if h.runtime != nil && slices.ContainsFunc(h.runtime.Loaded(), func(m string) bool { return strings.HasPrefix(m, model+"__") }) {
			hosts = append(hosts, id)
		}
	}
	slices.Sort(hosts)
	return hosts
}

// testWriter logs to a test until it has ended.
type testWriter struct {
	t  *testing.T
	id string
}

func (w testWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Logf("%s", strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// breakable is a listener whose connections can be cut.
type breakable struct {
	net.Listener
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (b *breakable) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut {
		c.Close()
		return nil, net.ErrClosed
	}
	b.conns = append(b.conns, c)
	return c, nil
}

func (b *breakable) sever() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut = true
	b.Listener.Close()
	for _, c := range b.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

// controller says what the test has set, to every host that connects, and keeps what they report.
type controller struct {
	syncv1.UnimplementedSyncServiceServer
	credentials map[string][]byte

	mu       sync.Mutex // guards below
	sequence uint64
	rows     map[string]*syncv1.Row
	streams  map[string]*hostStream
	// drainings is what each host last said of its leaving.
	drainings map[string]*syncv1.Draining
	away      bool
}

// hostStream is a host that is connected.
type hostStream struct {
	stream grpc.BidiStreamingServer[syncv1.ConnectRequest, syncv1.ConnectResponse]
	end    context.CancelFunc
	hello  *syncv1.Hello
	// report is the newest.
	report *syncv1.Report
}

func newController() *controller {
	return &controller{rows: map[string]*syncv1.Row{}, streams: map[string]*hostStream{}, drainings: map[string]*syncv1.Draining{}}
}

func (c *controller) Connect(stream grpc.BidiStreamingServer[syncv1.ConnectRequest, syncv1.ConnectResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	c.mu.Lock()
	if c.away {
		c.mu.Unlock()
		return io.ErrUnexpectedEOF
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	h := &hostStream{stream: stream, hello: first.GetHello(), end: cancel}
	c.streams[h.hello.GetHostId()] = h
	c.tell(h)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.streams[h.hello.GetHostId()] == h {
			delete(c.streams, h.hello.GetHostId())
		}
		c.tellHosts()
	}()
	go c.read(h, cancel)
	<-ctx.Done()
	return nil
}

func (c *controller) read(h *hostStream, done context.CancelFunc) {
	defer done()
	for {
		message, err := h.stream.Recv()
		if err != nil {
			return
		}
		c.mu.Lock()
		if report := message.GetReport(); report != nil {
			h.report = report
			if report.GetDraining() != nil {
				c.drainings[h.hello.GetHostId()] = report.GetDraining()
			}
		}
		c.mu.Unlock()
	}
}

// tell sends a host everything. The caller holds mu.
func (c *controller) tell(h *hostStream) {
	_ = h.stream.Send(&syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Credentials{
		Credentials: &syncv1.Credentials{Storage: c.credentials},
	}})
	c.tellRows(h)
	c.tellHosts()
}

func (c *controller) tellRows(h *hostStream) {
	index := &syncv1.Index{Version: &syncv1.Version{Term: 1, Sequence: c.sequence}}
	for key, row := range c.rows {
		index.Entries = append(index.Entries, &syncv1.Index_Entry{Key: key, Digest: row.GetDigest()})
	}
	_ = h.stream.Send(&syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Update{Update: &syncv1.Update{
		Version: index.GetVersion(), Upserts: slices.Collect(maps.Values(c.rows)), Complete: true,
	}}})
}

func (c *controller) tellHosts() {
	hosts := &syncv1.Hosts{}
	for _, h := range c.streams {
		hosts.Hosts = append(hosts.Hosts, &syncv1.Hosts_Host{
			Id: h.hello.GetHostId(), Runtime: h.hello.GetRuntime(), PeerAddress: h.hello.GetPeerAddress(),
			GossipAddress: h.hello.GetGossipAddress(), Connected: true, Epoch: h.hello.GetEpoch(),
		})
	}
	for _, h := range c.streams {
		_ = h.stream.Send(&syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Hosts{Hosts: hosts}})
	}
}

// set adds or replaces rows.
func (c *controller) set(rows ...*syncv1.Row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, row := range rows {
		c.sequence++
		row.Digest = fmt.Append(nil, c.sequence)
		c.rows[row.GetKey()] = row
	}
	for _, h := range c.streams {
		c.tellRows(h)
	}
}

// remove withdraws rows.
func (c *controller) remove(keys ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sequence++
	for _, key := range keys {
		delete(c.rows, key)
	}
	for _, h := range c.streams {
		_ = h.stream.Send(&syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Update{Update: &syncv1.Update{
			Version: &syncv1.Version{Term: 1, Sequence: c.sequence}, RemovedKeys: keys, Complete: true,
		}}})
	}
}

// drain has a host leave.
func (c *controller) drain(host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.streams[host].stream.Send(&syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Drain{Drain: &syncv1.Drain{}}})
}

// come takes streams again.
func (c *controller) come() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = false
}

// leave ends all streams, and takes none until come.
func (c *controller) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = true
	for _, h := range c.streams {
		h.end()
	}
}

// reported is what a host last reported; nil while it is not connected.
func (c *controller) reported(host string) *syncv1.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.streams[host]; h != nil {
		return h.report
	}
	return nil
}

// farewell is the last that a host said of its leaving.
func (c *controller) farewell(host string) *syncv1.Draining {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drainings[host]
}
