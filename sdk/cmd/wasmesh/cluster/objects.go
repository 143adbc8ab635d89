package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// resourceOf the kinds that wasmesh.admin.v1 lists.
func resourceOf(kind string) (schema.GroupVersionResource, error) {
	switch kind {
	case v1beta1.Kind:
		return v1beta1.GroupVersion.WithResource("inferenceservices"), nil
	case v1alpha1.KindPredictor:
		return v1alpha1.GroupVersion.WithResource("predictors"), nil
	case v1alpha1.KindServingRuntime:
		return v1alpha1.GroupVersion.WithResource("servingruntimes"), nil
	case v1alpha1.KindClusterServingRuntime:
		return v1alpha1.GroupVersion.WithResource("clusterservingruntimes"), nil
	}
	return schema.GroupVersionResource{}, fmt.Errorf("list objects: no kind %q", kind)
}

// selection is which objects are asked for.
type selection struct {
	resource        schema.GroupVersionResource
	namespace, name string
}

func (s selection) options() metav1.ListOptions {
	if s.name == "" {
		return metav1.ListOptions{}
	}
	return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", s.name).String()}
}

// ListObjects answers what the API server has. It never asks the controller.
func (a *Admin) ListObjects(ctx context.Context, r *adminv1.ListObjectsRequest, _ ...grpc.CallOption) (*adminv1.ListObjectsResponse, error) {
	resource, err := resourceOf(r.GetKind())
	if err != nil {
		return nil, err
	}
	found, _, err := a.cluster.look(ctx, selection{resource, r.GetNamespace(), r.GetName()})
	if err != nil {
		return nil, err
	}
	texts, err := found.texts()
	return &adminv1.ListObjectsResponse{Objects: texts}, err
}

// look lists the selection, and answers from which version on a watch goes on.
func (c *Cluster) look(ctx context.Context, s selection) (found objects, version string, err error) {
	all, err := c.in(s.resource, s.namespace).List(ctx, s.options())
	if err != nil {
		return nil, "", c.explain(err, "list", s.resource, s.namespace)
	}
	found = objects{}
	for i := range all.Items {
		found.put(&all.Items[i])
	}
	return found, all.GetResourceVersion(), nil
}

// objects by namespace and name.
type objects map[[2]string]*unstructured.Unstructured

func keyOf(o *unstructured.Unstructured) [2]string { return [2]string{o.GetNamespace(), o.GetName()} }

func (all objects) put(o *unstructured.Unstructured) {
	o.SetManagedFields(nil) // as kubectl prints objects
	all[keyOf(o)] = o
}

// texts are the objects as JSON, sorted by namespace and name.
func (all objects) texts() ([]string, error) {
	keys := make([][2]string, 0, len(all))
	for key := range all {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	texts := make([]string, 0, len(keys))
	for _, key := range keys {
		text, err := json.Marshal(all[key].Object)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", key[1], err)
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

// WatchObjects sends the whole list at once and again after each change, until the context ends.
func (a *Admin) WatchObjects(ctx context.Context, r *adminv1.WatchObjectsRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[adminv1.WatchObjectsResponse], error) {
	resource, err := resourceOf(r.GetKind())
	if err != nil {
		return nil, err
	}
	return &objectWatch{cluster: a.cluster, ctx: ctx, wanted: selection{resource, r.GetNamespace(), r.GetName()}}, nil
}

// objectWatch lists, follows the changes from there, and lists again when the API server ends the watch, as it does from
// time to time.
type objectWatch struct {
	grpc.ClientStream // nil: only Recv is used
	cluster           *Cluster
	ctx               context.Context
	wanted            selection

	found   objects
	changes watch.Interface
}

// relist is the pause before the list is made again, so that a server which ends watches at once is not pressed.
const relist = time.Second

// Recv answers the next list. io.EOF never comes: watches have no end of their own.
func (w *objectWatch) Recv() (*adminv1.WatchObjectsResponse, error) {
	for w.changes != nil {
		select {
		case <-w.ctx.Done():
			w.changes.Stop()
			return nil, w.ctx.Err()
		case event, open := <-w.changes.ResultChan():
			if w.follow(event, open) {
				return w.answer()
			}
		}
	}
	return w.begin()
}

// follow takes a change over and says whether there is something to tell.
func (w *objectWatch) follow(event watch.Event, open bool) bool {
	object, isObject := event.Object.(*unstructured.Unstructured)
	if !open || event.Type == watch.Error || !isObject {
		w.changes.Stop()
		w.changes = nil
		select {
		case <-time.After(relist):
		case <-w.ctx.Done():
		}
		return false
	}
	switch event.Type {
	case watch.Added, watch.Modified:
		w.found.put(object)
	case watch.Deleted:
		delete(w.found, keyOf(object))
	default:
		return false
	}
	return true
}

func (w *objectWatch) begin() (*adminv1.WatchObjectsResponse, error) {
	found, version, err := w.cluster.look(w.ctx, w.wanted)
	if err != nil {
		return nil, err
	}
	options := w.wanted.options()
	options.ResourceVersion = version
	changes, err := w.cluster.in(w.wanted.resource, w.wanted.namespace).Watch(w.ctx, options)
	if err != nil {
		return nil, w.cluster.explain(err, "watch", w.wanted.resource, w.wanted.namespace)
	}
	w.found, w.changes = found, changes
	return w.answer()
}

func (w *objectWatch) answer() (*adminv1.WatchObjectsResponse, error) {
	texts, err := w.found.texts()
	return &adminv1.WatchObjectsResponse{Objects: texts}, err
}

// CloseSend implements grpc.ClientStream.
func (*objectWatch) CloseSend() error { return io.ErrClosedPipe }

// ListEvents answers the Events of an object, oldest first.
func (a *Admin) ListEvents(ctx context.Context, r *adminv1.ListEventsRequest, _ ...grpc.CallOption) (*adminv1.ListEventsResponse, error) {
	about := fields.Set{"involvedObject.kind": r.GetKind(), "involvedObject.name": r.GetName()}
	if r.GetNamespace() != "" { // Events of objects without one are in some namespace.
		about["involvedObject.namespace"] = r.GetNamespace()
	}
	found, err := list[corev1.Event](ctx, a.cluster, events, r.GetNamespace(), metav1.ListOptions{FieldSelector: about.AsSelector().String()})
	if err != nil {
		return nil, err
	}
	answer := &adminv1.ListEventsResponse{}
	for i := range found {
		answer.Events = append(answer.Events, eventOf(&found[i]))
	}
	slices.SortStableFunc(answer.Events, func(x, y *adminv1.ListEventsResponse_Event) int { return cmp.Compare(x.GetTimeMs(), y.GetTimeMs()) })
	return answer, nil
}

// eventOf reads either form: Events of events.k8s.io have their time and count elsewhere.
func eventOf(e *corev1.Event) *adminv1.ListEventsResponse_Event {
	last, count := e.LastTimestamp.Time, uint32(max(e.Count, 1))
	if last.IsZero() {
		last = e.EventTime.Time
	}
	if e.Series != nil {
		last, count = e.Series.LastObservedTime.Time, uint32(max(e.Series.Count, 1))
	}
	if last.IsZero() {
		last = e.CreationTimestamp.Time
	}
	return &adminv1.ListEventsResponse_Event{Type: e.Type, Reason: e.Reason, Message: e.Message, TimeMs: last.UnixMilli(), Count: count}
}
