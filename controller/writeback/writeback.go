// Package writeback carries the loop's decisions about InferenceServices and Predictors back to the API server: their
// status, and beside it the active model that must outlive the controller. Packages inferenceservice and predictor say what
// is special to their kind; the store of package cluster writes memory that cannot wait.
//
// Invariants:
//   - Nothing is decided here: what the View says is compared with what the object has.
//   - Only our fields are written, by server-side apply, and only when they differ. A controller that starts anew and
//     decides what was decided before writes nothing.
//   - What was decided about one object is never written to another that has taken its name.
package writeback

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Field managers of what is written, one each, so that neither apply removes the other's fields.
const (
	StatusManager = "wasmesh-status"
	ActiveManager = "wasmesh-active"
)

// body is what is applied. The uid keeps a patch from another object of the name, and from making one; on a status, where
// the API server of a custom resource ignores it, the resourceVersion does.
type body struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Status     any            `json:"status,omitempty"`
}

// newBody begins a patch of an object that has kind, apiVersion and uid.
func newBody(o client.Object) body {
	version, kind := o.GetObjectKind().GroupVersionKind().ToAPIVersionAndKind()
	return body{APIVersion: version, Kind: kind, Metadata: map[string]any{
		"name": o.GetName(), "namespace": o.GetNamespace(), "uid": o.GetUID(),
	}}
}

// reference is the same object for a client that is to be answered no more than metadata.
func reference(o client.Object) *metav1.PartialObjectMetadata {
	p := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName()}}
	p.SetGroupVersionKind(o.GetObjectKind().GroupVersionKind())
	return p
}

// statusPatch writes the status of an object.
type statusPatch struct {
	client client.Client
	// object has kind, apiVersion and uid; version is the resourceVersion at which it was looked at. Should anybody have
	// written meanwhile, nothing is, and the event of that brings the object up again.
	object  client.Object
	version string
	// into is filled with what the object then is.
	into client.Object
}

// apply makes status, in its JSON, all that our manager has of the object's.
func (p statusPatch) apply(ctx context.Context, status any) error {
	return p.patch(ctx, types.ApplyPatchType, status, client.ForceOwnership)
}

// merge sets the fields of status that are given and removes those that are null, whoever has them.
func (p statusPatch) merge(ctx context.Context, status any) error {
	return p.patch(ctx, types.MergePatchType, status)
}

func (p statusPatch) patch(ctx context.Context, how types.PatchType, status any, options ...client.SubResourcePatchOption) error {
	o := p.object
	b := newBody(o)
	b.Status, b.Metadata["resourceVersion"] = status, p.version
	p.into.SetNamespace(o.GetNamespace())
	p.into.SetName(o.GetName())
	data, err := json.Marshal(b)
	if err == nil {
		options = append(options, client.FieldOwner(StatusManager))
		err = gone(p.client.Status().Patch(ctx, p.into, client.RawPatch(how, data), options...))
	}
	if err != nil {
		return fmt.Errorf("write status of %s %s/%s: %w", b.Kind, o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

// gone forgives that the object is not there any more, or is another than was looked at: it comes up again.
func gone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// Actual reads the object from the cache; nil when it is gone, or another is in its place.
func Actual(ctx context.Context, c client.Reader, o client.Object) (client.Object, error) {
	var actual client.Object
	switch o.GetObjectKind().GroupVersionKind() {
	case v1beta1.GroupVersion.WithKind(v1beta1.Kind):
		actual = &v1beta1.InferenceService{}
	case v1alpha1.GroupVersion.WithKind(v1alpha1.KindPredictor):
		actual = &v1alpha1.Predictor{}
	case kubernetes.LegacyGroupVersion.WithKind(v1alpha1.KindPredictor):
		actual = &kubernetes.LegacyPredictor{}
	default:
		return nil, fmt.Errorf("read %T: it has no kind that is written back", o)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(o), actual); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if actual.GetUID() != o.GetUID() {
		return nil, nil
	}
	return actual, nil
}
