package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/mesh"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers"
	"github.com/wasmesh/wasmesh/host/peers/peerstest"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
)

const (
	runtimeName = "r"
	gossipPort  = 11881
	peerPort    = 8080
	// scaleDownAfter is short, so that a schedule need not be long to see it pass.
	scaleDownAfter = 10 * time.Second
	// leavePause, drainGrace and finishWithin are what a node takes to stop: see package node.
	leavePause   = 500 * time.Millisecond
	drainGrace   = 2 * time.Second
	finishWithin = 30 * time.Second
)

// host is one start of a host: all of its goroutines but those of the listeners for clients and of the controller's stream.
type host struct {
	world *world
	id    string
	ip    string
	epoch uint64
	zone  string

	wire     *peerstest.Host
	port     *port
	catalog  *tables
	mesh     *mesh.Mesh
	peers    *peers.Peers
	executor *lifecycle.Executor
	front    *front
	server   *http.Server
	dial     func(context.Context, string) (net.Conn, error)

	// ctx ends when the host is killed; the parts end before when it is stopped.
	ctx   context.Context
	die   context.CancelFunc
	parts []part
	// served is closed when the listener has ended.
	served chan struct{}
	// ready: clients are sent here. gone is closed when nothing is left of it.
	ready  atomic.Bool
	ending atomic.Bool
	gone   chan struct{}
	// superseded: another host of its id made it end.
	superseded atomic.Bool
}

// part is a goroutine that stop ends.
type part struct {
	stop context.CancelFunc
	done chan struct{}
}

// tables is the catalog of one host, as it has arrived there.
type tables struct {
	mu    sync.Mutex
	table *catalog.Table
}

// Table implements mesh.Catalog.
func (c *tables) Table() *catalog.Table {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.table
}

// start starts a host beside this server.
func (w *world) start(id, ip string, epoch uint64, s *server) *host {
	h := &host{
		world: w, id: id, ip: ip, epoch: epoch, zone: string('a' + rune(ip[len(ip)-1]%2)), wire: w.network.Host(ip),
		catalog: &tables{table: w.table()}, served: make(chan struct{}), gone: make(chan struct{}),
	}
	h.ctx, h.die = context.WithCancel(context.Background())
	h.port = &port{s, h.ctx}
	h.dial = w.weather.dialer(ip, h.wire.Dial)
	if err := h.build(); err != nil {
		panic(err) // nothing that a schedule does makes that fail
	}
	h.run()
	return h
}

func (h *host) build() (err error) {
	logger, metrics := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	if *logs {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("host", h.id, "epoch", h.epoch)
	}
	h.mesh, err = mesh.New(mesh.Config{
		Namespace: namespace, HostID: h.id, Started: time.Now(), CopyConcurrency: 4, ScaleDownAfter: scaleDownAfter, DrainTimeout: time.Minute,
	}, mesh.Deps{
		Catalog: h.catalog, Reporter: catalog.NewReporter(), Place: h.world.place, Note: func(uint64, string) {},
		Current: func() bool { return true }, Logger: logger, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	h.peers, err = peers.New(peers.Config{
		Mesh: "wasmesh", Namespace: namespace, HostID: h.id, Epoch: h.epoch, Started: time.Now(), Runtime: runtimeName, Zone: h.zone,
		PeerAddress: net.JoinHostPort(h.ip, strconv.Itoa(peerPort)), GRPCAddress: h.ip + ":8033", RESTAddress: h.ip + ":8008",
		Key: meshKey, SoftwareVersion: "test", Transport: &lossy{h.wire.Gossip(gossipPort), &h.world.weather}, Dial: h.dial,
	}, peers.Deps{Listener: h.mesh, Handler: h.mesh, Logger: logger, Metrics: metrics})
	if err != nil {
		return err
	}
	h.executor, err = lifecycle.New(lifecycle.Config{Machine: machine.Config{
		Runtime: runtimeName, Capacity: modelcache.Resources{modelcache.HostMemory: h.port.capacity}, Mesh: h.mesh,
	}}, lifecycle.Deps{
		Runtime: h.port, Artifacts: store{h.world}, Publisher: h.mesh, Mesh: h.mesh, Logger: logger, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	h.front = newFront(h)
	h.mesh.Bind(mesh.Parts{Peers: h.peers, Executor: h.executor, Runtime: h.port, Forget: h.front.forget})
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	h.server = &http.Server{Handler: h.front, Protocols: &protocols, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	return nil
}

// place is the built-in policy for all hosts.
func (w *world) place(now time.Time, model placement.Model, hosts []placement.Host) placement.Decision {
	request := placement.Ask(now, model.Asker, model, hosts)
	buffer := make([]byte, request.Size())
	request.Encode(buffer)
	answer, err := builtin.Default(policyabi.HookPlace).Decide(buffer)
	if err != nil {
		w.wrong("the place policy: %v", err)
	}
	answers, err := policyabi.DecodePlaceAnswers(answer, len(request.Rows))
	if err != nil {
		w.wrong("the place policy: %v", err)
	}
	return placement.Decision{Choice: placement.Choose(model, hosts, answers)}
}

// run starts the parts, and has whatever ends one end the host.
func (h *host) run() {
	listener := &slowListener{h.wire.Listen(peerPort), &h.world.weather}
	go func() {
		defer close(h.served)
		if err := h.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) && h.ctx.Err() == nil {
			h.world.wrong("%s does not listen any more: %v", h.id, err)
		}
	}()
	// They end in this order, as in package node.
	h.parts = []part{h.begin("lifecycle", h.executor.Run), h.begin("mesh", h.mesh.Run), h.begin("peers", h.peers.Run)}
	if err := h.learn(h.catalog.Table(), h.world.rows()); err != nil {
		h.world.wrong("%s does not take its first catalog: %v", h.id, err)
	}
	h.ready.Store(true)
}

func (h *host) begin(name string, run func(context.Context) error) part {
	ctx, stop := context.WithCancel(h.ctx)
	p := part{stop, make(chan struct{})}
	go func() {
		defer close(p.done)
		err := run(ctx)
		switch {
		case errors.Is(err, peers.ErrSuperseded):
			h.superseded.Store(true)
			h.world.tasks.Go(func() { h.stop(false) })
		case err != nil:
			h.world.wrong("%s: %s ended with %v", h, name, err)
		}
	}()
	return p
}

// learn takes a new catalog in, with these models in it that are new.
func (h *host) learn(table *catalog.Table, models []*syncv1.Model) error {
	h.catalog.mu.Lock()
	h.catalog.table = table
	h.catalog.mu.Unlock()
	h.mesh.CatalogChanged(models, nil)
	return h.executor.CatalogChanged(h.ctx, machine.CatalogChanged{Upserts: models})
}

// kill ends the host without a word; nothing that it still does reaches anybody.
func (h *host) kill() {
	h.ready.Store(false)
	h.die()
	h.world.network.Kill(h.ip)
	if h.ending.CompareAndSwap(false, true) {
		h.end()
	}
	<-h.gone
}

// stop has the host leave, as an operator does (handOver), or as a process that was told to end.
func (h *host) stop(handOver bool) {
	if handOver {
		h.mesh.HandOver(h.ctx, 0)
		h.ready.Store(false)
		h.mesh.Closing()
		pause(h.ctx, drainGrace)
	}
	if !h.ending.CompareAndSwap(false, true) {
		<-h.gone
		return
	}
	h.ready.Store(false)
	ctx, cancel := context.WithTimeout(h.ctx, time.Second)
	_ = h.peers.Leave(ctx) // else others find out by themselves
	cancel()
	if handOver {
		pause(h.ctx, leavePause)
	}
	patience := time.AfterFunc(finishWithin, h.front.breakOff)
	defer patience.Stop()
	<-h.front.asked.close()
	h.front.leaving.Store(true)
	<-h.front.passed.close()
	h.end()
}

// end ends all parts.
func (h *host) end() {
	h.front.breakOff()
	for _, p := range h.parts {
		p.stop()
		<-p.done
	}
	h.server.Close()
	<-h.served
	h.front.client.CloseIdleConnections()
	h.die()
	close(h.gone)
}

func (h *host) String() string { return fmt.Sprintf("%s (epoch %d at %s)", h.id, h.epoch, h.ip) }

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
