package servingruntime

import (
	"context"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// CacheByObject restricts what a cache holds to what the reconcilers read: of a whole cluster only the objects that are
// made here, or were by ModelMesh.
func CacheByObject() map[client.Object]cache.ByObject {
	managed := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{LabelManagedBy: ManagedBy})}
	return map[client.Object]cache.ByObject{
		&appsv1.Deployment{}:                     managed,
		&corev1.Service{}:                        managed,
		&autoscalingv2.HorizontalPodAutoscaler{}: managed,
		&policyv1.PodDisruptionBudget{}:          managed,
	}
}

// ofRuntime leads from an object to the runtime that owns it, in its namespace.
func ofRuntime(_ context.Context, o client.Object) []ctrl.Request {
	for _, owner := range o.GetOwnerReferences() {
		if owner.Kind == v1alpha1.KindServingRuntime || owner.Kind == v1alpha1.KindClusterServingRuntime {
			return []ctrl.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: owner.Name}}}
		}
	}
	return nil
}

// ofMesh leads from an object to its namespace.
func ofMesh(_ context.Context, o client.Object) []ctrl.Request {
	if o.GetLabels()[LabelManagedBy] != ManagedBy {
		return nil
	}
	return []ctrl.Request{{NamespacedName: types.NamespacedName{Name: o.GetNamespace()}}}
}

// allOf leads from what all pods of a mesh depend on to each of its runtimes.
func allOf(f *follower) handler.MapFunc {
	return func(_ context.Context, o client.Object) []ctrl.Request {
		d := f.newest()
		if d == nil {
			return nil // All are looked at when there is one.
		}
		var requests []ctrl.Request
		for _, key := range d.of(o.GetNamespace()) {
			requests = append(requests, ctrl.Request{NamespacedName: key})
		}
		return requests
	}
}

// exceptStatus passes what changes anything that is applied; a Deployment's status changes with each of its pods.
func exceptStatus() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld, e.ObjectNew
		return !maps.Equal(before.GetLabels(), after.GetLabels()) ||
			!maps.Equal(before.GetAnnotations(), after.GetAnnotations()) ||
			!equality.Semantic.DeepEqual(before.GetOwnerReferences(), after.GetOwnerReferences()) ||
			!before.GetDeletionTimestamp().Equal(after.GetDeletionTimestamp()) ||
			!equality.Semantic.DeepEqual(specOf(before), specOf(after))
	}}
}

func specOf(o client.Object) any {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return o.Spec
	case *corev1.Service:
		return o.Spec
	case *autoscalingv2.HorizontalPodAutoscaler:
		return o.Spec
	case *policyv1.PodDisruptionBudget:
		return o.Spec
	}
	return o.GetResourceVersion()
}

// exceptUpdates passes what comes and goes, and what begins to go.
func exceptUpdates() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !e.ObjectOld.GetDeletionTimestamp().Equal(e.ObjectNew.GetDeletionTimestamp())
	}}
}
