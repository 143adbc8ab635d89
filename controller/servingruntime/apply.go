package servingruntime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// writer makes objects be as they should. It writes what differs, and nothing else.
type writer struct {
	// cached reads from the cache and writes; live asks the API server.
	cached client.Client
	live   client.Reader
	// controller is what AnnotationController says.
	controller string
}

// find answers the object of a name, as the cache has it, and whether there is one.
func find[T client.Object](ctx context.Context, in client.Reader, key types.NamespacedName, into T) (found T, ok bool, err error) {
	if err := in.Get(ctx, key, into); err != nil {
		return found, false, client.IgnoreNotFound(err)
	}
	return into, true, nil
}

// findDeployment asks the API server for one that the cache does not have: it may have been made a moment ago, and have
// pods, or by somebody without our labels. Of other objects it does not matter, since applying twice is applying once.
func (w writer) findDeployment(ctx context.Context, key types.NamespacedName) (*appsv1.Deployment, bool, error) {
	d, ok, err := find(ctx, w.cached, key, &appsv1.Deployment{})
	if err == nil && !ok {
		d, ok, err = find(ctx, w.live, key, &appsv1.Deployment{})
	}
	if err != nil {
		return nil, false, fmt.Errorf("read Deployment %s: %w", key, err)
	}
	return d, ok, nil
}

// apply writes the wanted object unless the one that is there, which is nil for none, says the same. It takes over what
// ModelMesh made. Others' fields stay.
func (w writer) apply(ctx context.Context, wanted, there client.Object) error {
	u, err := w.fields(wanted)
	if err != nil {
		return err
	}
	return w.applyFields(ctx, u, there)
}

// applyDeployment is apply for one that says no number of pods. That is 0 as long as there are none: left out it would
// become 1.
func (w writer) applyDeployment(ctx context.Context, wanted, there *appsv1.Deployment) error {
	u, err := w.fields(wanted)
	if err != nil {
		return err
	}
	if there == nil {
		return w.applyFields(ctx, withoutPods(u), nil)
	}
	if podsOf(there) == 0 {
		u = withoutPods(u)
		u.SetResourceVersion(there.ResourceVersion) // Only if there are none still: the cache may be behind.
	}
	return w.applyFields(ctx, u, there)
}

// withoutPods sets their number to 0.
func withoutPods(u *unstructured.Unstructured) *unstructured.Unstructured {
	if spec, ok := u.Object["spec"].(map[string]any); ok {
		spec["replicas"] = int64(0)
	}
	return u
}

// podsOf is how many the Deployment is to have.
func podsOf(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1 // As the API server has it.
	}
	return *d.Spec.Replicas
}

func (w writer) fields(o client.Object) (*unstructured.Unstructured, error) {
	kind, err := apiutil.GVKForObject(o, w.cached.Scheme())
	if err != nil {
		return nil, fmt.Errorf("apply %T %s: %w", o, o.GetName(), err)
	}
	marked, _ := o.DeepCopyObject().(client.Object)
	annotations := maps.Clone(o.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[AnnotationController] = w.controller
	marked.SetAnnotations(annotations)
	return fields(marked, kind)
}

func (w writer) applyFields(ctx context.Context, u *unstructured.Unstructured, there client.Object) error {
	what := fmt.Sprintf("%s %s/%s", u.GetKind(), u.GetNamespace(), u.GetName())
	if there != nil {
		if same, err := says(there, u); same || err != nil {
			return err
		}
		if there.GetAnnotations()[AnnotationApplied] == "" {
			adopted, err := w.adopt(ctx, there, u)
			if err != nil {
				return fmt.Errorf("take over %s: %w", what, err)
			}
			if adopted && u.GetResourceVersion() != "" {
				// The cache tells nobody of this change, so that the version in hand is an old one: whoever asked has to look again,
				// and must not give pods to a Deployment that is still ModelMesh's.
				return fmt.Errorf("apply %s: %w", what, apierrors.NewConflict(
					schema.GroupResource{Group: u.GroupVersionKind().Group, Resource: u.GetKind()}, u.GetName(),
					errors.New("its managed fields have just been taken over")))
			}
		}
	}
	err := w.cached.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(FieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply %s: %w", what, err)
	}
	return nil
}

// scale sets the number of a Deployment's pods.
func (w writer) scale(ctx context.Context, there client.Object, pods int32) error {
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":`+strconv.Itoa(int(pods))+`}}`))
	o := &unstructured.Unstructured{}
	kind, err := apiutil.GVKForObject(there, w.cached.Scheme())
	if err != nil {
		return fmt.Errorf("scale %s: %w", there.GetName(), err)
	}
	o.SetGroupVersionKind(kind)
	o.SetNamespace(there.GetNamespace())
	o.SetName(there.GetName())
	if err := w.cached.Patch(ctx, o, patch, client.FieldOwner(ScaleManager)); err != nil {
		return fmt.Errorf("scale %s %s/%s to %d: %w", kind.Kind, o.GetNamespace(), o.GetName(), pods, err)
	}
	return nil
}

// remove deletes exactly this object, not another of its name; one that is gone is no error.
func (w writer) remove(ctx context.Context, o client.Object) error {
	if o.GetDeletionTimestamp() != nil {
		return nil
	}
	uid := o.GetUID()
	err := w.cached.Delete(ctx, o, client.Preconditions{UID: &uid}, client.PropagationPolicy("Background"))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete %T %s/%s: %w", o, o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

// ending says that a write failed because the namespace is being deleted: then there is nothing left to do in it.
func ending(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// isRefusal says that the API server has answered that it will not do what it was asked, and not that it cannot do it just
// now or that the cache is behind.
func isRefusal(err error) bool {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return false
	}
	for _, passes := range []func(error) bool{
		apierrors.IsConflict, apierrors.IsAlreadyExists, apierrors.IsNotFound,
		apierrors.IsTimeout, apierrors.IsServerTimeout, apierrors.IsTooManyRequests, apierrors.IsServiceUnavailable,
	} {
		if passes(err) {
			return false
		}
	}
	return true
}
