package servingruntime

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/resources"
)

// Kinds that are made.
const (
	kindDeployment = "Deployment"
	kindAutoscaler = "HorizontalPodAutoscaler"
	kindBudget     = "PodDisruptionBudget"
	kindService    = "Service"
	kindMonitor    = "ServiceMonitor"
)

// monitorKind is kindMonitor in full: nothing of our own knows it.
func monitorKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: kindMonitor}
}

// LabelManagedBy and ManagedBy are on every object that is made here, as they were on every one of ModelMesh's.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	ManagedBy      = "modelmesh-controller"
)

// keep says which object of a name is left where it is.
type keep int

const (
	keepNone keep = iota
	// keepApplied keeps what was applied here. Of a runtime that is faulty what ModelMesh made is never taken over: its pods
	// would stay behind the Service of the mesh, to which they mean nothing.
	keepApplied
	keepAny
)

// holds says that the object stays.
func (k keep) holds(o client.Object) bool {
	return k == keepAny || k == keepApplied && o.GetAnnotations()[AnnotationApplied] != ""
}

// inventory is what should be in a namespace, by kind and name.
type inventory map[string]map[string]keep

func (i inventory) add(kind, name string) { i.addIf(kind, name, keepAny) }

func (i inventory) addIf(kind, name string, k keep) {
	if i[kind] == nil {
		i[kind] = map[string]keep{}
	}
	i[kind][name] = k
}

// addRuntime adds what a runtime has or may have; which of it, is its own reconciler's to say.
func (i inventory) addRuntime(name string, k keep) {
	i.addIf(kindDeployment, name, k)
	i.addIf(kindAutoscaler, name, k)
	i.addIf(kindBudget, name, k)
}

// AnnotationController is the namespace of the controller that made an object: one for a single namespace may stand beside
// the cluster's, to which that namespace is none with a mesh.
const AnnotationController = "wasmesh.dev/controller"

// ours says that an object was made by this controller, or an earlier one in its place.
func (w writer) ours(o client.Object) bool {
	return o.GetAnnotations()[AnnotationApplied] != "" && o.GetAnnotations()[AnnotationController] == w.controller
}

// ofModelMesh says that an object is one that ModelMesh made, as it has labels that nothing else has. What it made for a
// mesh that is now this controller's is tidied up, what it has elsewhere is not.
func ofModelMesh(o client.Object) bool {
	return o.GetLabels()[LabelManagedBy] == ManagedBy && o.GetLabels()[resources.LabelService] != ""
}

// mayReplace says that an object may be deleted to make room for another of its name.
func (w writer) mayReplace(o client.Object) bool { return w.ours(o) || ofModelMesh(o) }

// occupied is about a Deployment that may not be replaced.
func occupied(d *appsv1.Deployment) error {
	return fmt.Errorf("the Deployment %s/%s is somebody else's and has the name that is needed: delete or rename one of the two", d.Namespace, d.Name)
}

// prune deletes what is of a mesh and not in the inventory, which was made of seen; nil is that of a namespace that has no
// mesh.
func (r *meshReconciler) prune(ctx context.Context, namespace string, wanted inventory, seen *declared) error {
	lists := map[string]client.ObjectList{
		kindDeployment: &appsv1.DeploymentList{}, kindAutoscaler: &autoscalingv2.HorizontalPodAutoscalerList{},
		kindBudget: &policyv1.PodDisruptionBudgetList{}, kindService: &corev1.ServiceList{},
	}
	var errs []error
	var left []client.Object
	for kind, list := range lists {
		err := r.writer.cached.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{LabelManagedBy: ManagedBy})
		if err != nil {
			errs = append(errs, fmt.Errorf("list %s of namespace %s: %w", kind, namespace, err))
			continue
		}
		errs = append(errs, meta.EachListItem(list, func(item runtime.Object) error {
			o, ok := item.(client.Object)
			if ok && !wanted[kind][o.GetName()].holds(o) && (r.writer.ours(o) || wanted != nil && ofModelMesh(o)) {
				left = append(left, o)
			}
			return nil
		}))
	}
	// Asked after the lists: what is in them may be of a runtime that was declared since the inventory was made. The follower
	// brings such a mesh here again.
	if !r.follower.newest().sameMesh(seen, namespace) {
		return errors.Join(errs...)
	}
	for _, o := range left {
		errs = append(errs, r.writer.remove(ctx, o))
	}
	return errors.Join(append(errs, r.pruneMonitor(ctx, namespace, wanted))...)
}

// pruneMonitor deletes the one ServiceMonitor that may have been made.
func (r *meshReconciler) pruneMonitor(ctx context.Context, namespace string, wanted inventory) error {
	if wanted[kindMonitor][resources.MonitorName] != keepNone {
		return nil
	}
	if there, err := r.hasMonitors(); err != nil || !there {
		return err
	}
	monitor := &unstructured.Unstructured{}
	monitor.SetGroupVersionKind(monitorKind())
	err := r.writer.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: resources.MonitorName}, monitor)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if !r.writer.ours(monitor) && (wanted == nil || !ofModelMesh(monitor)) {
		return nil
	}
	return r.writer.remove(ctx, monitor)
}
