// Package servingruntime carries out what a mesh needs of Kubernetes: for each ServingRuntime and ClusterServingRuntime of
// a mesh namespace its Deployment with autoscaler and disruption budget, for the namespace its Services, the monitor of its
// metrics and, where idle runtimes have no pods, the gateway. How these look is controller/resources' to say, whether a
// runtime is needed the Loop's, whose View is followed; when it has pods is decided here (awake.go).
//
// Two reconcilers: one keyed by namespace, one by namespace and runtime. Each gathers from the cache, decides, and writes
// by server-side apply what differs (apply.go). Nothing is polled but the Secret of TLS (settings.go): everything else that
// is read is watched, and time passes by requeueing.
//
// Invariants:
//   - Nothing is written when nothing has changed.
//   - The number of pods is never written while an autoscaler says it; only from and to zero.
//   - A controller that starts anew takes no pods away before one grace period has passed in its sight.
//   - A runtime or a model that is wrong changes nothing for the others, and leaves its own Deployment as it was while
//     models need it; ModelMesh's Deployment of a runtime that is wrong goes.
//   - Only objects that this controller made, or ModelMesh's under the same names, are changed or deleted.
package servingruntime

import (
	"fmt"
	"log/slog"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// FieldManager owns every field of the objects made here, the number of pods aside.
const FieldManager = "wasmesh-controller"

// ScaleManager owns the number of pods of a Deployment that no autoscaler has.
const ScaleManager = "wasmesh-scale"

// Decisions are what is carried out; *reconcile.Loop has them.
type Decisions interface {
	// View answers the newest, nil before there is one, and a channel that is closed when there is a newer one.
	View() (*reconcile.View, <-chan struct{})
}

// Mesh is what hosts were told and what they said; *syncserver.Server is one.
type Mesh interface {
	Hosts() []decide.Host
	// Rows of the catalog, nil before there is one.
	Rows() []*syncv1.Row
}

// Events is where people are told what happens to their runtimes. Record must not block.
type Events interface {
	Record(decide.Event)
}

// Deps of the reconcilers.
type Deps struct {
	Decisions Decisions
	Mesh      Mesh
	Events    Events
	// Sleep is told which runtimes sleep.
	Sleep *Sleep
	// Config answers the newest settings, and Meshes the namespaces that have a mesh; a change of either must bring a new
	// View. *kubernetes.Source has both.
	Config func() config.Config
	Meshes func() []string
	Logger *slog.Logger

	// NamespaceScope: nothing of the cluster may be read. What belongs to the namespace is then owned by the Deployment
	// ControllerDeployment in ControllerNamespace, else by the Namespace.
	NamespaceScope                            bool
	ControllerNamespace, ControllerDeployment string
	// ControllerAddress and HostImage are those of resources.Mesh.
	ControllerAddress, HostImage string
}

// workers look at runtimes at a time: what each does is to wait for the API server.
const workers = 4

// SetUp adds the reconcilers to the manager. Its cache must hold Namespaces (unless NamespaceScope is set), the storage
// Secrets, the metadata of PersistentVolumeClaims, and what CacheByObject says.
func SetUp(mgr ctrl.Manager, deps Deps) error {
	f := newFollower(deps)
	if err := mgr.Add(f); err != nil {
		return fmt.Errorf("follow decisions: %w", err)
	}
	g := gatherer{deps: deps, writer: writer{cached: mgr.GetClient(), live: mgr.GetAPIReader(), controller: deps.ControllerNamespace}, secrets: mgr.GetCache()}
	written := builder.WithPredicates(exceptStatus())
	err := ctrl.NewControllerManagedBy(mgr).Named("servingruntime").
		WatchesRawSource(fed(f.runtimes)).
		Watches(&appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(ofRuntime), written).
		Watches(&autoscalingv2.HorizontalPodAutoscaler{}, handler.EnqueueRequestsFromMapFunc(ofRuntime), written).
		Watches(&policyv1.PodDisruptionBudget{}, handler.EnqueueRequestsFromMapFunc(ofRuntime), written).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(allOf(f))).
		WatchesMetadata(&corev1.PersistentVolumeClaim{}, handler.EnqueueRequestsFromMapFunc(allOf(f)),
			builder.WithPredicates(exceptUpdates())).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(newRuntimeReconciler(g, f))
	if err != nil {
		return fmt.Errorf("set up the reconciler of ServingRuntimes: %w", err)
	}
	err = ctrl.NewControllerManagedBy(mgr).Named("mesh").
		WatchesRawSource(fed(f.meshes)).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(ofMesh), written).
		Watches(&appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(ofMesh), written).
		Watches(&autoscalingv2.HorizontalPodAutoscaler{}, handler.EnqueueRequestsFromMapFunc(ofMesh), written).
		Watches(&policyv1.PodDisruptionBudget{}, handler.EnqueueRequestsFromMapFunc(ofMesh), written).
		Complete(&meshReconciler{gatherer: g, follower: f, mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("set up the reconciler of meshes: %w", err)
	}
	return nil
}
