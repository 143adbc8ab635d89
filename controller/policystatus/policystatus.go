// Package policystatus tells the owner of each ConfigMap that holds a policy what became of it, in the annotation
// wasmesh.dev/policy-status ("place: programmed 2/2"). What it writes is what the Loop's View says; the Events beside come
// from the Loop itself.
//
// It is not part of controller/policyconfig, which is pure and which the standalone controller and the simulator use:
// neither should link a client of the API server for it.
//
// Invariants:
//   - The annotation is the only field that is written, by a field manager of its own: whatever others apply to the
//     ConfigMap, they neither lose it nor meet a conflict over it. One who replaces the whole ConfigMap has it written again.
//   - It is written when it differs from what is there, and never makes a ConfigMap that is gone.
package policystatus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/controller/reconcile"
)

// Annotation is where the status of a policy stands.
const Annotation = "wasmesh.dev/policy-status"

// FieldManager owns Annotation.
const FieldManager = "wasmesh-policy"

// maxBytes of the annotation: all annotations of an object share 256 KiB, and kubectl puts a copy of the ConfigMap there.
const maxBytes = 4096

// firstViewInterval is when a ConfigMap is looked at again as long as there is no View. After the first, changes are
// followed.
const firstViewInterval = time.Second

// Decisions are what is carried out; *reconcile.Loop has them.
type Decisions interface {
	// View answers the newest, nil before there is one, and a channel that is closed when there is a newer one.
	View() (*reconcile.View, <-chan struct{})
}

// Deps of the reconciler.
type Deps struct {
	Decisions Decisions
	Logger    *slog.Logger
}

// SetUp adds the reconciler to the manager, whose cache must hold the ConfigMaps that have policyconfig.Label or had it.
func SetUp(mgr ctrl.Manager, deps Deps) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("policystatus").
		WatchesRawSource(follow(deps.Decisions)).
		Watches(&corev1.ConfigMap{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(concerned())).
		Complete(&reconciler{client: mgr.GetClient(), deps: deps})
	if err != nil {
		return fmt.Errorf("set up the reconciler of policies' statuses: %w", err)
	}
	return nil
}

// concerned passes ConfigMaps whose annotation somebody else has changed, and those that are or were policies.
func concerned() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return isConcerned(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return (isConcerned(e.ObjectOld) || isConcerned(e.ObjectNew)) &&
				(e.ObjectOld.GetAnnotations()[Annotation] != e.ObjectNew.GetAnnotations()[Annotation] ||
					e.ObjectOld.GetLabels()[policyconfig.Label] != e.ObjectNew.GetLabels()[policyconfig.Label] ||
					e.ObjectOld.GetUID() != e.ObjectNew.GetUID())
		},
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
}

func isConcerned(o client.Object) bool {
	_, labelled := o.GetLabels()[policyconfig.Label]
	_, annotated := o.GetAnnotations()[Annotation]
	return labelled || annotated
}

// follow queues the ConfigMaps of which something else is said. Its goroutine ends with the controller's context.
func follow(decisions Decisions) source.Source {
	return source.TypedFunc[ctrl.Request](func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
		go func() {
			var before map[decide.Key]string
			for {
				view, changed := decisions.View()
				if view != nil {
					for _, name := range different(before, view.Annotations) {
						queue.Add(ctrl.Request{NamespacedName: name})
					}
					before = view.Annotations
				}
				select {
				case <-changed:
				case <-ctx.Done():
					return
				}
			}
		}()
		return nil
	})
}

// different answers the ConfigMaps of which the two say different things.
func different(a, b map[decide.Key]string) []types.NamespacedName {
	var names []types.NamespacedName
	add := func(key decide.Key) {
		if key.Kind == policyconfig.KindConfigMap {
			names = append(names, types.NamespacedName{Namespace: key.Namespace, Name: key.Name})
		}
	}
	for key, text := range b {
		if a[key] != text {
			add(key)
		}
	}
	for key := range a {
		if _, still := b[key]; !still {
			add(key)
		}
	}
	return names
}

type reconciler struct {
	client client.Client
	deps   Deps
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	view, _ := r.deps.Decisions.View()
	if view == nil {
		return ctrl.Result{RequeueAfter: firstViewInterval}, nil
	}
	cm := &corev1.ConfigMap{}
	if err := r.client.Get(ctx, req.NamespacedName, cm); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	said, isSaid := cm.Annotations[Annotation]
	should := bounded(view.Annotations[decide.Key{Namespace: req.Namespace, Kind: policyconfig.KindConfigMap, Name: req.Name}])
	if why := policyconfig.Mislabelled(cm); should == "" && why != "" {
		should = bounded("ignored: " + why)
	}
	switch {
	case cm.DeletionTimestamp != nil || said == should && isSaid == (should != ""):
		return ctrl.Result{}, nil
	case should == "" && policyconfig.Declared(cm):
		return ctrl.Result{}, nil // Nothing is known yet, and what was said before is the best there is.
	}
	if err := r.write(ctx, cm, should); err != nil {
		return ctrl.Result{}, fmt.Errorf("write the status of policy %s: %w", req.NamespacedName, err)
	}
	return ctrl.Result{}, nil
}

// write makes the annotation say it; empty removes it.
func (r *reconciler) write(ctx context.Context, cm *corev1.ConfigMap, text string) error {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(policyconfig.KindConfigMap))
	u.SetNamespace(cm.Namespace)
	u.SetName(cm.Name)
	// Of this one only: otherwise one that is gone would be made.
	u.SetUID(cm.UID)
	if text != "" {
		u.SetAnnotations(map[string]string{Annotation: text})
	}
	err := r.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(FieldManager), client.ForceOwnership)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // It is gone.
	}
	if err == nil {
		r.deps.Logger.Info("policy", "configMap", cm.Name, "status", text)
	}
	return err
}

// bounded is the text, of which an annotation holds so much.
func bounded(text string) string {
	if len(text) <= maxBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxBytes-len("...")], "") + "..."
}
