package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	managerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/identity"
	"github.com/wasmesh/wasmesh/controller/inferenceservice"
	"github.com/wasmesh/wasmesh/controller/policystatus"
	"github.com/wasmesh/wasmesh/controller/predictor"
	"github.com/wasmesh/wasmesh/controller/servingruntime"
	"github.com/wasmesh/wasmesh/controller/shippedruntimes"
	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// leaseName is that of the Lease that the leader holds.
const leaseName = "wasmesh-controller"

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, v1beta1.AddToScheme, v1alpha1.AddToScheme, kubernetes.AddLegacyToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make scheme: %w", err)
		}
	}
	return scheme, nil
}

func newManager(c Config, scheme *runtime.Scheme, settings config.Config) (manager.Manager, error) {
	several := true
	cached := kubernetes.CacheOptions(c.Namespace, c.NamespaceScope, settings.StorageSecretName, c.ConfigMap)
	maps.Copy(cached.ByObject, servingruntime.CacheByObject())
	m, err := manager.New(limited(c.REST), manager.Options{
		Scheme: scheme,
		Cache:  cached,
		// The cache has one Secret of each namespace; whoever wants another is to be answered, not told that there is none.
		Client:         client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Logger:         logSink(c.Logger),
		LeaderElection: c.LeaderElect, LeaderElectionID: leaseName, LeaderElectionNamespace: c.Namespace,
		// The next leader need not wait for the Lease to end: Run returns, and the process ends.
		LeaderElectionReleaseOnCancel: true,
		Metrics:                       metricsserver.Options{BindAddress: c.MetricsAddress},
		HealthProbeBindAddress:        c.HealthAddress,
		// Two controllers may run in one process, as they do in tests.
		Controller: managerconfig.Controller{SkipNameValidation: &several},
	})
	if err != nil {
		return nil, fmt.Errorf("make manager: %w", err)
	}
	return m, nil
}

// watchIdentity has the leader's authority told of its objects, by a cache beside the manager's, which has other Secrets and
// ConfigMaps.
func (a *assembly) watchIdentity(ctx context.Context) error {
	options := identity.CacheOptions(a.config.Namespace, a.config.NamespaceScope)
	options.Scheme, options.Mapper, options.HTTPClient = a.manager.GetScheme(), a.manager.GetRESTMapper(), a.manager.GetHTTPClient()
	watched, err := cache.New(a.manager.GetConfig(), options)
	if err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	if err := a.identity.Watch(ctx, watched); err != nil {
		return err
	}
	return a.manager.Add(watched)
}

// limited bounds the rate of requests, which otherwise client-go does, at a few a second.
func limited(config *rest.Config) *rest.Config {
	bounded := rest.CopyConfig(config)
	bounded.QPS, bounded.Burst = requestsPerSecond, requestBurst
	return bounded
}

// setUp adds everything that runs.
func (a *assembly) setUp(ctx context.Context, kinds kubernetes.Kinds) error {
	c, m := a.config, a.manager
	_, port, err := net.SplitHostPort(c.SyncAddress)
	if err != nil {
		return fmt.Errorf("address for hosts: %w", err)
	}
	errs := []error{
		m.AddHealthzCheck("ping", healthz.Ping),
		m.AddReadyzCheck("objects", a.readObjects),
		m.Add(&leader{assembly: a}),
		m.Add(laterKinds{
			detect: func() (kubernetes.Kinds, error) { return kubernetes.Detect(m.GetRESTMapper(), c.Wishes) }, had: kinds,
		}),
		a.watchIdentity(ctx),
		policystatus.SetUp(m, policystatus.Deps{Decisions: a.seat, Logger: c.Logger}),
		servingruntime.SetUp(m, servingruntime.Deps{
			Decisions: a.seat, Mesh: a.seat, Events: a.recorder, Sleep: a.sleep,
			Config: a.source.Config, Meshes: a.source.Meshes, Logger: c.Logger,
			ControllerNamespace: c.Namespace, ControllerDeployment: c.Deployment, NamespaceScope: c.NamespaceScope,
			ControllerAddress: fmt.Sprintf("dns:///wasmesh-controller.%s.svc:%s", c.Namespace, port), HostImage: c.HostImage,
		}),
	}
	if c.NamespaceScope && kinds.ServingRuntimes || !c.NamespaceScope && kinds.ClusterServingRuntimes {
		a.shipped, err = shippedruntimes.SetUp(m, shippedruntimes.Deps{
			Namespace: c.Namespace, NamespaceScope: c.NamespaceScope, Owner: shippedruntimes.DefaultOwner, Events: a.recorder, Logger: c.Logger,
		})
		errs = append(errs, err)
	}
	if kinds.InferenceServices {
		errs = append(errs, inferenceservice.SetUp(m, inferenceservice.Deps{Decisions: a.seat}))
	}
	if kinds.Predictors {
		errs = append(errs, predictor.SetUp(m, predictor.Deps{Decisions: a.seat}))
	}
	if kinds.LegacyPredictors {
		errs = append(errs, predictor.SetUpLegacy(m, predictor.Deps{Decisions: a.seat}))
	}
	return errors.Join(errs...)
}

// readObjects is the readiness check: a replica that has not read all objects could not take over.
func (a *assembly) readObjects(*http.Request) error {
	if !a.source.Synced() {
		return errors.New("the objects have not been read yet")
	}
	return nil
}
