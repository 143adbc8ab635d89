// Package cluster is the controller in Kubernetes: informers, the loop, policies, the stream to hosts, the authority of the
// mesh and the reconcilers in one process, with leader election. cmd/wasmesh-controller runs it as `wasmesh-controller
// cluster`.
//
// Every replica reads all objects, so that one that becomes leader starts at once; only the leader decides, serves hosts and
// writes. The port for hosts of the others is closed, which hosts take for UNAVAILABLE, and try again. What must outlive a
// leader is in objects of the API server (memory.go, state.go).
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/wasmesh/wasmesh/controller/events"
	"github.com/wasmesh/wasmesh/controller/identity"
	"github.com/wasmesh/wasmesh/controller/servingruntime"
	"github.com/wasmesh/wasmesh/controller/shippedruntimes"
	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
)

const (
	// requestsPerSecond and requestBurst bound what the reconcilers ask of the API server together, and as much again what
	// everything else does: ten thousand new objects take two writes each, and others want to be answered meanwhile.
	requestsPerSecond = 200
	requestBurst      = 400
)

// Config of a controller in a cluster.
type Config struct {
	// REST is how the API server is reached.
	REST *rest.Config
	// Namespace of the controller itself, which also has the configuration and the policies.
	Namespace string
	// NamespaceScope: that namespace is the only mesh, and nothing of the whole cluster is read.
	NamespaceScope bool
	// LeaderElect lets several replicas run, of which one decides.
	LeaderElect bool
	// PodName tells the replicas apart in Events.
	PodName string
	// Deployment of the controller: it owns what is made for the namespace in namespace scope.
	Deployment string
	// HostImage is that of the hosts' containers.
	HostImage string
	// SyncAddress is where hosts connect, AdminAddress where operators' tools do: loopback only, since whoever connects is
	// trusted. MetricsAddress and HealthAddress may be "0" for none.
	SyncAddress, AdminAddress, MetricsAddress, HealthAddress string
	// ConfigMap is the name of the configuration's, and Defaults the YAML that it stands over.
	ConfigMap string
	Defaults  []byte
	// Wishes say which kinds to watch.
	Wishes kubernetes.Wishes
	// CacheDir keeps machine code of policies, and may be emptied at any time; "" for none.
	CacheDir string
	// Metrics is where ours are registered; nil is where MetricsAddress finds them.
	Metrics prometheus.Registerer
	Logger  *slog.Logger
}

// Run runs the controller until the context ends, or it ceases to be the leader, which is an error.
func Run(ctx context.Context, c Config) error {
	if c.REST == nil || c.Namespace == "" || c.Logger == nil {
		return errors.New("run controller: the API server, the namespace and a logger are required")
	}
	if c.Metrics == nil {
		c.Metrics = metrics.Registry
	}
	p, err := assemble(ctx, c)
	if err != nil {
		return err
	}
	if err := p.manager.Start(ctx); err != nil {
		return fmt.Errorf("run controller: %w", err)
	}
	return nil
}

// assembly is what every replica has.
type assembly struct {
	config   Config
	manager  manager.Manager
	live     client.Client
	source   *kubernetes.Source
	recorder *events.Recorder
	identity *identity.Authority
	seat     *seat
	sleep    *servingruntime.Sleep
	// shipped is nil where there is no kind for them.
	shipped *shippedruntimes.Shipped
}

func assemble(ctx context.Context, c Config) (*assembly, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	// Reads what it writes: what is cached may be late.
	live, err := client.New(limited(c.REST), client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	settings, text, err := firstConfig(ctx, live, c)
	if err != nil {
		return nil, err
	}
	a := &assembly{config: c, live: live, seat: newSeat(), sleep: servingruntime.NewSleep()}
	if a.manager, err = newManager(c, scheme, settings); err != nil {
		return nil, err
	}
	if a.recorder, err = events.New(events.Config{
		Client: a.manager.GetClient(), Instance: c.PodName, LegacyPredictors: c.Wishes.LegacyPredictors,
		Metrics: c.Metrics, Logger: c.Logger,
	}); err != nil {
		return nil, err
	}
	if a.identity, err = identity.New(identity.Config{Namespace: c.Namespace, Client: live, Metrics: c.Metrics, Logger: c.Logger}); err != nil {
		return nil, err
	}
	kinds, err := kubernetes.Detect(a.manager.GetRESTMapper(), c.Wishes)
	if err != nil {
		return nil, err
	}
	c.Logger.Info("kinds that are watched", "inferenceServices", kinds.InferenceServices, "predictors", kinds.Predictors,
		"legacyPredictors", kinds.LegacyPredictors, "servingRuntimes", kinds.ServingRuntimes,
		"clusterServingRuntimes", kinds.ClusterServingRuntimes)
	if a.source, err = kubernetes.New(ctx, a.manager.GetCache(), kubernetes.Options{
		Namespace: c.Namespace, NamespaceScope: c.NamespaceScope, Kinds: kinds, ConfigMap: c.ConfigMap, Defaults: c.Defaults,
		Config: settings, ConfigText: text, Recorder: a.recorder, Logger: c.Logger,
	}); err != nil {
		return nil, err
	}
	if err := a.setUp(ctx, kinds); err != nil {
		return nil, err
	}
	return a, nil
}

// logSink hands what controller-runtime logs to our logger.
func logSink(logger *slog.Logger) logr.Logger { return logr.FromSlogHandler(logger.Handler()) }
