package servingruntime

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/resources"
)

// meshReconciler makes what belongs to a mesh as a whole, and removes what belongs to none; requests have the name of the
// namespace.
type meshReconciler struct {
	gatherer
	follower *follower
	mapper   meta.RESTMapper
}

// Reconcile implements reconcile.Reconciler.
func (r *meshReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	d := r.follower.newest()
	if d == nil {
		// The follower brings meshes here again, but not namespaces that were one.
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	m, ok, err := r.mesh(ctx, req.Name, d.config)
	if err != nil {
		return ctrl.Result{}, err
	}
	runtimes, isMesh := d.meshes[req.Name]
	if !isMesh || !ok {
		// Also in a namespace that is being deleted: Kubernetes first looks for its pods after 5 s, and if there are any, again
		// after half of the grace that they may take at most, which is minutes. By then ours have left.
		return ctrl.Result{}, ignoreEnding(r.prune(ctx, req.Name, nil, d))
	}
	wanted := inventory{}
	for _, name := range runtimes {
		keep := keepAny
		if d.runtimes[types.NamespacedName{Namespace: req.Name, Name: name}].faulty {
			keep = keepApplied
		}
		wanted.addRuntime(resources.DeploymentName(m, name), keep)
	}
	err = r.make(ctx, m, wanted)
	result := ctrl.Result{RequeueAfter: tlsLook(m)}
	// What is in the way of one thing is not in the way of tidying up.
	return result, ignoreEnding(errors.Join(err, r.prune(ctx, req.Name, wanted, d)))
}

func ignoreEnding(err error) error {
	if ending(err) {
		return nil
	}
	return err
}

// make makes everything be there, and adds it to the inventory.
func (r *meshReconciler) make(ctx context.Context, m resources.Mesh, wanted inventory) error {
	var errs []error
	for _, s := range resources.Services(m) {
		wanted.add(kindService, s.Name)
		errs = append(errs, r.makeService(ctx, s))
	}
	if d, err := resources.Gateway(m); err != nil || d != nil {
		wanted.add(kindDeployment, resources.GatewayName(m))
		if err == nil {
			errs = append(errs, r.makeGateway(ctx, d))
		} else {
			// It lacks what the Secret of TLS has to hold, and stays as it is. Reconcile looks again soon; an error would be
			// tried again ever later.
			r.deps.Logger.Warn("the gateway is not deployed", "namespace", m.Namespace, "reason", err)
		}
	}
	if monitor := resources.ServiceMonitor(m); monitor != nil {
		wanted.add(kindMonitor, monitor.GetName())
		errs = append(errs, r.makeMonitor(ctx, monitor))
	}
	return errors.Join(errs...)
}

// makeService replaces one that is headless by one that is not, and the other way round: that cannot be changed.
func (r *meshReconciler) makeService(ctx context.Context, s *corev1.Service) error {
	there, exists, err := find(ctx, r.writer.cached, client.ObjectKeyFromObject(s), &corev1.Service{})
	if err != nil {
		return fmt.Errorf("read Service %s/%s: %w", s.Namespace, s.Name, err)
	}
	if !exists {
		return r.writer.apply(ctx, s, nil)
	}
	headless := func(s *corev1.Service) bool { return s.Spec.ClusterIP == corev1.ClusterIPNone }
	if headless(s) == headless(there) {
		return r.writer.apply(ctx, s, there)
	}
	if err := r.writer.remove(ctx, there); err != nil {
		return err
	}
	return r.writer.apply(ctx, s, nil)
}

func (r *meshReconciler) makeGateway(ctx context.Context, d *appsv1.Deployment) error {
	there, exists, err := r.writer.findDeployment(ctx, client.ObjectKeyFromObject(d))
	switch {
	case err != nil:
		return err
	case !exists:
		return r.writer.apply(ctx, d, nil)
	case !sameSelector(there, d) && !r.writer.mayReplace(there):
		return occupied(there)
	case !sameSelector(there, d):
		return r.writer.remove(ctx, there)
	}
	return r.writer.apply(ctx, d, there)
}

// sameSelector says whether one can become the other: a selector cannot be changed.
func sameSelector(a, b *appsv1.Deployment) bool {
	return equality.Semantic.DeepEqual(a.Spec.Selector, b.Spec.Selector)
}

// makeMonitor does nothing in a cluster that has no ServiceMonitors.
func (r *meshReconciler) makeMonitor(ctx context.Context, monitor *unstructured.Unstructured) error {
	if there, err := r.hasMonitors(); err != nil || !there {
		return err
	}
	present := &unstructured.Unstructured{}
	present.SetGroupVersionKind(monitorKind())
	key := types.NamespacedName{Namespace: monitor.GetNamespace(), Name: monitor.GetName()}
	// Asked of the API server, since a watch of something that comes and goes with another's chart would fail with it.
	err := r.writer.live.Get(ctx, key, present)
	if apierrors.IsNotFound(err) {
		return r.writer.apply(ctx, monitor, nil)
	}
	if err != nil {
		return fmt.Errorf("read ServiceMonitor %s: %w", key, err)
	}
	return r.writer.apply(ctx, monitor, present)
}

func (r *meshReconciler) hasMonitors() (bool, error) {
	_, err := r.mapper.RESTMapping(monitorKind().GroupKind(), monitorKind().Version)
	if meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for ServiceMonitors: %w", err)
	}
	return true, nil
}
