package shippedruntimes

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/wasmesh/wasmesh/controller/decide"
)

type reconciler struct {
	deps Deps
	// client reads runtimes from the cache.
	client client.Client
	// direct reads the ConfigMap, whose content the cache may not keep, and the owner.
	direct client.Reader
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	_, err := r.pass(ctx)
	return reconcile.Result{}, err
}

// pass gathers, then applies and deletes what differs. It answers the names of those that are there now, all when there is
// no error.
func (r *reconciler) pass(ctx context.Context) (applied []string, err error) {
	var config corev1.ConfigMap
	if err := r.direct.Get(ctx, client.ObjectKey{Namespace: r.deps.Namespace, Name: ConfigMap}, &config); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	existing, err := r.existing(ctx)
	if err != nil {
		return nil, err
	}
	owners, err := r.owners(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	unread := false
	for _, entry := range read(config.Data, r.kind()) {
		if entry.err != nil {
			unread = true
			r.warn("RuntimeUnreadable", fmt.Sprintf("%s is left as it is: %v", entry.key, entry.err))
			continue
		}
		name := entry.runtime.GetName()
		ours, exists := existing[name]
		delete(existing, name)
		if exists && !ours {
			r.warn("RuntimeNotOurs", fmt.Sprintf("%s %s was made by somebody else and is left as it is: delete it to get the one of this installation",
				r.kind().name, name))
			continue
		}
		err := r.apply(ctx, entry.runtime, owners)
		if err == nil {
			applied = append(applied, name)
		}
		errs = append(errs, err)
	}
	if unread {
		// One of those that remain may be what could not be read.
		return applied, errors.Join(errs...)
	}
	for name, ours := range existing {
		if ours {
			errs = append(errs, r.delete(ctx, name))
		}
	}
	return applied, errors.Join(errs...)
}

// existing says of each runtime that there is whether it is ours.
func (r *reconciler) existing(ctx context.Context) (map[string]bool, error) {
	list := r.kind().list
	if err := r.client.List(ctx, list, client.InNamespace(r.kind().namespace)); err != nil {
		return nil, fmt.Errorf("list runtimes: %w", err)
	}
	existing := map[string]bool{}
	err := meta.EachListItem(list, func(o runtime.Object) error {
		object := o.(client.Object)
		existing[object.GetName()] = object.GetLabels()[Label] == r.deps.Namespace
		return nil
	})
	return existing, err
}

// owners answers the object with which the runtimes go, if there is one.
func (r *reconciler) owners(ctx context.Context) ([]metav1.OwnerReference, error) {
	var owner client.Object = &rbacv1.ClusterRole{}
	key := client.ObjectKey{Name: r.deps.Owner}
	reference := metav1.OwnerReference{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole", Name: r.deps.Owner}
	if r.deps.NamespaceScope {
		owner, key.Namespace = &appsv1.Deployment{}, r.deps.Namespace
		reference.APIVersion, reference.Kind = appsv1.SchemeGroupVersion.String(), "Deployment"
	}
	switch err := r.direct.Get(ctx, key, owner); {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get owner of runtimes: %w", err)
	}
	reference.UID = owner.GetUID()
	return []metav1.OwnerReference{reference}, nil
}

func (r *reconciler) apply(ctx context.Context, runtime *unstructured.Unstructured, owners []metav1.OwnerReference) error {
	labels := runtime.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[Label] = r.deps.Namespace
	runtime.SetLabels(labels)
	runtime.SetOwnerReferences(owners)
	err := r.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(runtime), client.FieldOwner(FieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply runtime %s: %w", runtime.GetName(), err)
	}
	return nil
}

func (r *reconciler) delete(ctx context.Context, name string) error {
	object := r.kind().object
	object.SetName(name)
	object.SetNamespace(r.kind().namespace)
	if err := client.IgnoreNotFound(r.client.Delete(ctx, object)); err != nil {
		return fmt.Errorf("delete runtime %s: %w", name, err)
	}
	r.deps.Logger.Info("runtime deleted: the installation has it no more", "runtime", name)
	return nil
}

// warn tells the owner of the ConfigMap.
func (r *reconciler) warn(reason, message string) {
	r.deps.Events.Record(decide.Event{
		Object: decide.Key{Namespace: r.deps.Namespace, Kind: "ConfigMap", Name: ConfigMap},
		Type:   corev1.EventTypeWarning, Reason: reason, Message: message,
	})
}
