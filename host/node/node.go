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
	"github.com/wasmesh/wasmesh/host/ingress"
	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/policies"
	"github.com/wasmesh/wasmesh/host/storage"
	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/builtin"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// node is one host, composed. Built by build, owned by Run.
type node struct {
	config   Config
	logger   *slog.Logger
	runtime  *watchedRuntime
	store    *storage.Store
	engine   *engine.Engine
	policies *policies.Set
	decider  *decider
	executor *lifecycle.Executor
	conn     *grpc.ClientConn // nil without controller
	client   *catalog.Client
	server   *ingress.Server
	pages    []*page
	// listeners of the server.
	grpc, rest net.Listener
}

// Run serves until ctx ends or a part fails, then stops everything in order.
func Run(ctx context.Context, config Config, logger *slog.Logger) error {
	if err := config.Validate(); err != nil {
		return err
	}
	n := &node{config: config, logger: logger}
	defer n.close()
	if err := n.build(); err != nil {
		return err
	}
	logger.Info("host is up", "grpc", n.grpc.Addr(), "rest", n.rest.Addr(), "capacity_bytes", config.CapacityBytes)
	return n.run(ctx)
}

func (n *node) build() error {
	for _, dir := range []string{n.config.StateDir, n.config.ModelsDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reporter := catalog.NewReporter()
	for _, step := range []func() error{
		n.buildRuntime,
		n.buildStore,
		n.buildConn,
		func() error { return n.buildPolicies(reporter, registry) },
		func() error { return n.buildExecutor(reporter, registry) },
		func() error { return n.buildCatalog(reporter) },
		func() error { return n.buildServer(reporter, registry) },
		func() error { return n.buildPages(registry) },
	} {
		if err := step(); err != nil {
			return err
		}
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
		ModelsDir: n.config.ModelsDir, DiskBudgetBytes: budget, FileRoots: n.config.FileRoots, Logger: n.logger,
	})
	return err
}

func (n *node) buildExecutor(reporter *catalog.Reporter, registry *prometheus.Registry) (err error) {
	n.executor, err = lifecycle.New(lifecycle.Config{
		Machine: machine.Config{
			Runtime:  n.config.ServingRuntime,
			Capacity: modelcache.Resources{modelcache.HostMemory: n.config.CapacityBytes},
			Loads:    n.config.LoadingConcurrency,
			Order:    n.decider.order,
		},
		LoadTimeout: n.config.LoadingTimeout,
	}, lifecycle.Deps{
		Runtime: n.runtime, Artifacts: n.store, Publisher: reporter, Policies: n.decider, Logger: n.logger, Metrics: registry,
	})
	return err
}

func (n *node) buildConn() (err error) {
	if n.config.Controller != "" {
		n.conn, err = dialController(n.config.Controller)
	}
	return err
}

func (n *node) buildCatalog(reporter *catalog.Reporter) error {
	epoch, err := nextEpoch(n.config.StateDir, time.Now())
	if err != nil {
		return err
	}
	if n.grpc, err = net.Listen("tcp", n.config.GRPCAddress); err != nil {
		return fmt.Errorf("listen for gRPC: %w", err)
	}
	if n.rest, err = net.Listen("tcp", n.config.RESTAddress); err != nil {
		return fmt.Errorf("listen for REST: %w", err)
	}
	config := catalog.Config{
		Hello: &syncv1.Hello{
			Namespace: n.config.Namespace, HostId: n.config.HostID, Epoch: epoch, Runtime: n.config.ServingRuntime,
			GrpcAddress: n.grpc.Addr().String(), RestAddress: n.rest.Addr().String(), MetricsAddress: n.config.MetricsAddress,
			Capacity:        &syncv1.Resources{HostMemoryBytes: uint64(n.config.CapacityBytes)},
			SoftwareVersion: softwareVersion(),
		},
		StateDir: n.config.StateDir, Policies: n.policies, Logger: n.logger,
	}
	if n.conn != nil {
		config.Controller = n.conn
	}
	n.client, err = catalog.NewClient(config, reporter, &listener{executor: n.executor, store: n.store, logger: n.logger})
	return err
}

func (n *node) buildServer(reporter *catalog.Reporter, registry *prometheus.Registry) error {
	n.server = ingress.New(ingress.Config{
		MaxMessageBytes: n.config.MaxMessageBytes, WaitingBytes: n.config.WaitingBudgetBytes, Version: softwareVersion(),
	}, ingress.Deps{
		Catalog: &names{catalog: n.client, reporter: reporter, runtime: n.config.ServingRuntime},
		Models:  &models{executor: n.executor, runtime: n.runtime},
		Log:     n.logger,
		Metrics: registry,
	})
	return nil
}

func (n *node) buildPages(registry *prometheus.Registry) error {
	if n.config.MetricsAddress != "" {
		metrics, err := newPage(n.config.MetricsAddress, metricsHandler(registry))
		if err != nil {
			return err
		}
		n.pages = append(n.pages, metrics)
	}
	if n.config.HealthAddress != "" {
		health, err := newPage(n.config.HealthAddress, healthHandler(n.server.Ready))
		if err != nil {
			return err
		}
		n.pages = append(n.pages, health)
	}
	return nil
}

// run starts the parts, waits for the end of ctx or the first failure, and stops them in the order of the package's doc.
func (n *node) run(ctx context.Context) error {
	failures := make(chan error, 8)
	policy := begin(failures, n.policies.Run)
	executor := begin(failures, n.executor.Run)
	client := begin(failures, n.client.Run)
	servers := []*part{
		begin(failures, func(context.Context) error { return n.server.ServeGRPC(n.grpc) }),
		begin(failures, func(context.Context) error { return n.server.ServeREST(n.rest) }),
	}
	for _, p := range n.pages {
		servers = append(servers, begin(failures, p.serve))
	}

	var failure error
	select {
	case <-ctx.Done():
	case failure = <-failures:
	}
	n.logger.Info("stopping", "failure", failure)
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.config.DrainTimeout)
	defer cancel()
	if err := n.server.Shutdown(draining); err != nil {
		n.logger.Warn("requests in flight did not finish in time", "within", n.config.DrainTimeout)
	}
	executor.end()
	policy.end()
	client.end()
	for _, p := range n.pages {
		p.close()
	}
	for _, server := range servers {
		server.end()
	}
	return failure
}

// part is one of the loops that make a host.
type part struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// begin runs a part until it is ended; its failure is reported once. failures must have room for every part.
func begin(failures chan<- error, run func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			failures <- err
		}
	}()
	return p
}

func (p *part) end() {
	p.cancel()
	<-p.done
}

// close lets go of what build took, in reverse; what was not built is nil.
func (n *node) close() {
	var errs []error
	if n.policies != nil {
		errs = append(errs, n.policies.Close())
	}
	if n.engine != nil {
		errs = append(errs, n.engine.Close())
	}
	if n.conn != nil {
		errs = append(errs, n.conn.Close())
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
