// Package shippedruntimes keeps the runtimes that come with an installation: the ServingRuntimes or ClusterServingRuntimes
// whose YAML stands in the ConfigMap wasmesh-runtimes of the controller's namespace, which the chart writes. (The chart
// cannot make them itself: Helm refuses a manifest with kinds that are unknown before its first object is made, and the
// CustomResourceDefinitions are objects of the same release.)
//
// Invariants:
//   - The objects are as the ConfigMap says, whoever changes or deletes them; fields that it does not mention stay free.
//   - A runtime that somebody else made under one of the names is left alone, and so is one that has lost the label Label.
//   - An entry that cannot be read changes nothing, not even for the runtime that it once was.
//   - Nothing is deleted because the ConfigMap is gone. The garbage collector does that when the installation goes, by the
//     owner of the objects.
//
// Package cluster sets it up on the replica that leads.
package shippedruntimes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

const (
	// ConfigMap is where the runtimes stand, one a key.
	ConfigMap = "wasmesh-runtimes"
	// Label marks the objects that are kept; its value is the controller's namespace.
	Label = "wasmesh.dev/shipped-by"
	// FieldManager owns what the ConfigMap says of them.
	FieldManager = "wasmesh-shipped-runtimes"
)

// Events is where people are told what was not done, and why. Record must not block.
type Events interface {
	Record(decide.Event)
}

// Deps of the reconciler.
type Deps struct {
	// Namespace is the controller's.
	Namespace string
	// NamespaceScope: the runtimes are ServingRuntimes of Namespace, else ClusterServingRuntimes.
	NamespaceScope bool
	// Owner is the name of the object with which the runtimes go: in namespace scope a Deployment of Namespace, else a
	// ClusterRole. One that does not exist owns nothing.
	Owner  string
	Events Events
	Logger *slog.Logger
}

// DefaultOwner is what the chart calls both owners in one word.
const DefaultOwner = "wasmesh-controller"

// Shipped are the runtimes of an installation.
type Shipped struct{ reconciler *reconciler }

// Apply does at once what the reconciler does in its own time, and answers the names of the runtimes that are there
// afterwards: whoever judges models before the runtimes of a new installation are there tells people that there are none.
func (s *Shipped) Apply(ctx context.Context) ([]string, error) { return s.reconciler.pass(ctx) }

// SetUp adds the reconciler to the manager, whose cache must hold the ConfigMaps of the controller's namespace. The kind of
// the runtimes must exist.
func SetUp(mgr ctrl.Manager, deps Deps) (*Shipped, error) {
	if deps.Namespace == "" || deps.Owner == "" || deps.Events == nil || deps.Logger == nil {
		return nil, errors.New("set up shipped runtimes: namespace, owner, events and logger are required")
	}
	r := &reconciler{deps: deps, client: mgr.GetClient(), direct: mgr.GetAPIReader()}
	request := reconcile.Request{NamespacedName: client.ObjectKey{Namespace: deps.Namespace, Name: ConfigMap}}
	enqueue := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{request}
	})
	err := ctrl.NewControllerManagedBy(mgr).Named("shipped-runtimes").
		For(&corev1.ConfigMap{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
			return client.ObjectKeyFromObject(o) == request.NamespacedName
		}))).
		// Their statuses are empty: each change is one of what is kept here, or our own.
		Watches(r.kind().object, enqueue).
		Complete(r)
	if err != nil {
		return nil, fmt.Errorf("set up shipped runtimes: %w", err)
	}
	return &Shipped{reconciler: r}, nil
}

// kind is that of the runtimes.
type kind struct {
	name   string
	object client.Object
	list   client.ObjectList
	// namespace of the objects; empty for none.
	namespace string
}

func (r *reconciler) kind() kind {
	if r.deps.NamespaceScope {
		return kind{v1alpha1.KindServingRuntime, &v1alpha1.ServingRuntime{}, &v1alpha1.ServingRuntimeList{}, r.deps.Namespace}
	}
	return kind{v1alpha1.KindClusterServingRuntime, &v1alpha1.ClusterServingRuntime{}, &v1alpha1.ClusterServingRuntimeList{}, ""}
}
