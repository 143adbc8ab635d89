package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/identity"
	"github.com/wasmesh/wasmesh/host/ingress"
	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/mesh"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers"
	"github.com/wasmesh/wasmesh/host/policies"
	"github.com/wasmesh/wasmesh/host/storage"
	"github.com/wasmesh/wasmesh/host/tlsfiles"
	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/builtin"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// node is one host, composed. Built by build, owned by Run. What a gateway has not is nil.
type node struct {
	config   Config
	logger   *slog.Logger
	registry *prometheus.Registry
	reporter *catalog.Reporter
	started  time.Time
	epoch    uint64

	// identity is nil without --ca-file, files without --tls-cert-file.
	identity *identity.Identity
	files    *tlsfiles.Files

	runtime  *watchedRuntime
	store    *storage.Store
	engine   *engine.Engine
	policies *policies.Set
	decider  *decider
	mesh     *mesh.Mesh
	// together are the peers of a host that is not alone; peers are those, or mesh.Alone.
	together *peers.Peers
	peers    mesh.Peers
	executor *lifecycle.Executor
	conn     *grpc.ClientConn // nil without controller
	client   *catalog.Client
	server   *ingress.Server
	pages    []*page
	// listeners of the server; peer is nil for a host that is alone.
	grpc, rest, peer net.Listener
	// drains holds the controller's wish that this host leaves: how long the handing over may take.
	drains chan time.Duration
	// leaving is closed when the host begins to leave, whoever wants it, and unloaded when nothing is loaded any more.
	leaving, unloaded chan struct{}
	// ran: the parts have been started, and ended.
	ran bool
}

// Run serves until ctx ends, the controller wants the host to leave, or a part fails; then it stops everything in order.
func Run(ctx context.Context, config Config, logger *slog.Logger) error {
	if err := config.Validate(); err != nil {
		return err
	}
	n := newNode(config, logger)
	defer n.close()
	if err := n.build(); err != nil {
		return err
	}
	logger.Info("host is up", "grpc", n.grpc.Addr(), "rest", n.rest.Addr(), "capacity_bytes", config.CapacityBytes,
		"gateway", config.Gateway(), "alone", config.Alone())
	return n.run(ctx)
}

func newNode(config Config, logger *slog.Logger) *node {
	return &node{
		config: config, logger: logger, registry: prometheus.NewRegistry(), reporter: catalog.NewReporter(), started: time.Now(),
		drains: make(chan time.Duration, 1), leaving: make(chan struct{}), unloaded: make(chan struct{}),
	}
}

func (n *node) build() error {
	dirs := []string{n.config.StateDir}
	steps := []func() error{n.buildListeners, n.buildSecurity, n.buildConn, n.buildPolicies, n.buildMesh, n.buildPeers}
	if !n.config.Gateway() {
		dirs = append(dirs, n.config.ModelsDir)
		steps = append(steps, n.buildRuntime, n.buildStore, n.buildExecutor)
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range append(steps, n.buildCatalog, n.buildServer, n.buildPages) {
		if err := step(); err != nil {
			return err
		}
	}
	n.bind()
	return nil
}

func (n *node) buildListeners() (err error) {
	if n.epoch, err = nextEpoch(n.config.StateDir, n.started); err != nil {
		return err
	}
	if n.grpc, err = net.Listen("tcp", n.config.GRPCAddress); err != nil {
		return fmt.Errorf("listen for gRPC: %w", err)
	}
	if n.rest, err = net.Listen("tcp", n.config.RESTAddress); err != nil {
		return fmt.Errorf("listen for REST: %w", err)
	}
	if n.config.Alone() {
		return nil
	}
	if n.peer, err = net.Listen("tcp", n.config.PeerAddress); err != nil {
		return fmt.Errorf("listen for other hosts: %w", err)
	}
	return nil
}

func (n *node) buildRuntime() error {
	server, err := builtin.Lookup(n.config.RuntimeType)
	if err != nil {
		return err
	}
	adapter, err := server.NewAdapter(runtimes.Config{
		ManagementAddress: n.config.RuntimeManagementAddress, ModelsDir: n.config.ModelsDir,
	})
	if err != nil {
		return err
	}
	n.runtime = &watchedRuntime{Adapter: adapter, address: n.config.RuntimeDataAddress}
	return nil
}

func (n *node) buildStore() (err error) {
	budget := n.config.DiskBudgetBytes
	if budget == 0 {
		if budget, err = diskBudget(n.config.ModelsDir); err != nil {
			return err
		}
	}
	n.store, err = storage.Open(storage.Config{
		ModelsDir: n.config.ModelsDir, DiskBudgetBytes: budget, FileRoots: n.config.FileRoots, PVCRoot: n.config.PVCRoot, Logger: n.logger,
	})
	return err
}

func (n *node) buildExecutor() (err error) {
	n.executor, err = lifecycle.New(lifecycle.Config{
		Machine: machine.Config{
			Runtime:        n.config.ServingRuntime,
			Capacity:       modelcache.Resources{modelcache.HostMemory: n.config.CapacityBytes},
			Loads:          n.config.LoadingConcurrency,
			Order:          n.decider.order,
			MaxConcurrency: n.config.PerModelConcurrency,
			Mesh:           n.mesh,
		},
		LoadTimeout: n.config.LoadingTimeout,
	}, lifecycle.Deps{
		Runtime: n.runtime, Artifacts: n.store, Publisher: n.mesh, Policies: n.decider, Mesh: n.mesh, Logger: n.logger, Metrics: n.registry,
	})
	return err
}

func (n *node) buildConn() (err error) {
	if n.config.Controller != "" {
		n.conn, err = dialController(n.config.Controller, n.identity)
	}
	return err
}

func (n *node) buildCatalog() (err error) {
	own := n.config.AdvertiseAddress
	config := catalog.Config{
		Hello: &syncv1.Hello{
			Namespace: n.config.Namespace, HostId: n.config.HostID, Epoch: n.epoch, Runtime: n.config.ServingRuntime,
			GrpcAddress: advertised(n.grpc.Addr(), own), RestAddress: advertised(n.rest.Addr(), own), MetricsAddress: n.config.MetricsAddress,
			Capacity:        &syncv1.Resources{HostMemoryBytes: uint64(n.config.CapacityBytes)},
			SoftwareVersion: softwareVersion(), Zone: n.config.Zone, Gateway: n.config.Gateway(),
		},
		StateDir: n.config.StateDir, Policies: n.policies, Logger: n.logger,
		Mesh: &meshListener{self: n.config.HostID, peers: n.together, drain: n.drains},
	}
	if n.together != nil {
		config.Hello.PeerAddress, config.Hello.GossipAddress = advertised(n.peer.Addr(), own), n.together.GossipAddress()
		config.Peers = standIn{n.peers}
	}
	if n.conn != nil {
		config.Controller = n.conn
	}
	n.client, err = catalog.NewClient(config, n.reporter, &listener{mesh: n.mesh, executor: n.executor, store: n.store, logger: n.logger})
	return err
}

func (n *node) buildServer() error {
	deps := ingress.Deps{
		Catalog: &names{catalog: n.client, mesh: n.mesh, runtime: n.config.ServingRuntime, alone: n.config.Alone()},
		Models:  mesh.Router{Mesh: n.mesh},
		Log:     n.logger,
		Metrics: n.registry,
	}
	if n.together != nil {
		deps.Peers = &ingress.Peers{
			Here: mesh.Here{Mesh: n.mesh}, CheckToken: n.together.CheckToken, Service: n.together.Server(), Refused: n.together.CountRefused,
		}
	}
	n.server = ingress.New(ingress.Config{
		MaxMessageBytes: n.config.MaxMessageBytes, WaitingBytes: n.config.WaitingBudgetBytes, Version: softwareVersion(),
		MaxConnectionAge: n.config.MaxConnectionAge, PeerTLS: n.peerTLS(), AccessLog: n.config.AccessLog,
	}, deps)
	return nil
}

// ready is for whoever starts hosts one after the other: the next may go only when this one takes its share. Requests that
// come earlier wait.
func (n *node) ready() bool {
	return n.server.Ready() && n.mesh.Synced() && (n.identity == nil || n.identity.Enrolled())
}

func (n *node) buildPages() error {
	if n.config.MetricsAddress != "" {
		metrics, err := newPage(n.config.MetricsAddress, metricsHandler(n.registry))
		if err != nil {
			return err
		}
		n.pages = append(n.pages, metrics)
	}
	if n.config.HealthAddress != "" {
		health, err := newPage(n.config.HealthAddress, healthHandler(n.ready))
		if err != nil {
			return err
		}
		n.pages = append(n.pages, health)
	}
	if n.config.PrestopAddress != "" {
		prestop, err := newPage(n.config.PrestopAddress, n.prestopHandler())
		if err != nil {
			return err
		}
		n.pages = append(n.pages, prestop)
	}
	return nil
}

// close lets go of what build took, in reverse; what was not built is nil.
func (n *node) close() {
	var errs []error
	if n.together != nil && !n.ran {
		// It ends what it began when it was made.
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		errs = append(errs, n.together.Run(ended))
	}
	if n.policies != nil {
		errs = append(errs, n.policies.Close())
	}
	if n.engine != nil {
		errs = append(errs, n.engine.Close())
	}
	if n.conn != nil {
		errs = append(errs, n.conn.Close())
	}
	for _, listener := range []net.Listener{n.grpc, n.rest, n.peer} {
		if listener != nil {
			_ = listener.Close() // Its server may have closed it.
		}
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	if n.runtime != nil {
		errs = append(errs, n.runtime.Close())
	}
	if err := errors.Join(errs...); err != nil {
		n.logger.Warn("closing", "error", err)
	}
}

// softwareVersion is the module's version when it was built as one, else "devel".
func softwareVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
