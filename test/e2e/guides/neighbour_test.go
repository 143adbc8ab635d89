//go:build cluster

package guides

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// What the neighbour keeps on every InferenceService.
const (
	neighbourLabel     = "networking.knative.dev/visibility"
	neighbourFinalizer = "inferenceservice.finalizers"
	neighbourCondition = "IngressReady"
	neighbourManager   = "kserve"
)

// neighbour stands in for KServe's controller: on every InferenceService of a namespace it keeps a label, a finalizer,
// addresses, a component and conditions of its own, from the moment the object is there, and puts back whatever somebody
// else changes of that. It writes whole objects and whole statuses, as KServe does. Two neighbours that each put back what
// the other does would never come to rest.
type neighbour struct {
	objects dynamic.ResourceInterface
	// said is the message of its condition, which changes while life goes on.
	said atomic.Int64
	// failure is the first that is not one of many that write at once.
	failure atomic.Pointer[error]

	mu sync.Mutex // guards below
	// written are the versions that it has made, and seen all that there were since it began, in order.
	written map[string]bool
	seen    []*unstructured.Unstructured
}

// newNeighbour begins; it ends with the test, after which no object has its finalizer.
func newNeighbour(t *testing.T, namespace string) *neighbour {
	t.Helper()
	n := &neighbour{objects: api.Resource(inferenceServices).Namespace(namespace), written: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	working.Go(func() {
		for ctx.Err() == nil {
			if err := n.follow(ctx); err != nil && ctx.Err() == nil {
				n.failure.CompareAndSwap(nil, &err)
				return
			}
		}
	})
	t.Cleanup(func() {
		// The test's context has ended. The neighbour lets go of what is deleted.
		if out, err := theCluster.Output(context.Background(), nil, "kubectl", "delete", "isvc", "--all", "--namespace", namespace, "--timeout=1m"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		cancel()
		working.Wait()
		if err := n.failure.Load(); err != nil {
			t.Errorf("the neighbour: %v", *err)
		}
	})
	return n
}

// follow keeps all objects until the watch ends, which is after half an hour or more: changes are counted by a single one.
func (n *neighbour) follow(ctx context.Context) error {
	events, err := n.objects.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		o, is := event.Object.(*unstructured.Unstructured)
		if !is {
			return fmt.Errorf("watch: %v", event.Object)
		}
		switch event.Type {
		case watch.Modified:
			n.mu.Lock()
			n.seen = append(n.seen, o)
			n.mu.Unlock()
		case watch.Deleted:
			continue
		}
		if err := n.keep(ctx, o); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// keep writes what the object lacks. A conflict is forgiven: the write that was first brings the object here again.
func (n *neighbour) keep(ctx context.Context, there *unstructured.Unstructured) error {
	wanted := there.DeepCopy()
	if there.GetDeletionTimestamp() != nil {
		wanted.SetFinalizers(slices.DeleteFunc(wanted.GetFinalizers(), func(f string) bool { return f == neighbourFinalizer }))
	} else {
		if !slices.Contains(wanted.GetFinalizers(), neighbourFinalizer) {
			wanted.SetFinalizers(append(wanted.GetFinalizers(), neighbourFinalizer))
		}
		labels := map[string]string{}
		maps.Copy(labels, wanted.GetLabels())
		labels[neighbourLabel] = "cluster-local"
		wanted.SetLabels(labels)
	}
	there, err := n.write(ctx, there, wanted, false)
	if err != nil || there.GetDeletionTimestamp() != nil {
		return err
	}
	wanted = there.DeepCopy()
	url := "http://" + there.GetName() + "." + there.GetNamespace() + ".example.com"
	for _, field := range []struct {
		value any
		path  []string
	}{
		{url, []string{"status", "address", "url"}},
		{url, []string{"status", "components", "transformer", "url"}},
		{"transformer-00001", []string{"status", "components", "transformer", "latestReadyRevision"}},
		{"transformer-00001", []string{"status", "components", "predictor", "latestCreatedRevision"}},
		{n.conditions(wanted), []string{"status", "conditions"}},
	} {
		if err := unstructured.SetNestedField(wanted.Object, field.value, field.path...); err != nil {
			return err
		}
	}
	_, err = n.write(ctx, there, wanted, true)
	return err
}

// conditions are those of the object with the neighbour's own.
func (n *neighbour) conditions(o *unstructured.Unstructured) []any {
	all, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for i, kind := range []string{neighbourCondition, "TransformerReady"} {
		mine := map[string]any{"type": kind, "status": "True", "severity": "Info", "lastTransitionTime": "2024-06-25T12:00:00Z"}
		if i == 0 {
			mine["message"] = fmt.Sprintf("looked %d times", n.said.Load())
		}
		at := slices.IndexFunc(all, func(c any) bool { return c.(map[string]any)["type"] == kind })
		if at < 0 {
			all = append(all, mine)
		} else {
			all[at] = mine
		}
	}
	return all
}

// write updates an object that differs, or its status, and answers what it then is.
func (n *neighbour) write(ctx context.Context, there, wanted *unstructured.Unstructured, status bool) (*unstructured.Unstructured, error) {
	if equality.Semantic.DeepEqual(there.Object, wanted.Object) {
		return there, nil
	}
	options := metav1.UpdateOptions{FieldManager: neighbourManager}
	var after *unstructured.Unstructured
	var err error
	if status {
		after, err = n.objects.UpdateStatus(ctx, wanted, options)
	} else {
		after, err = n.objects.Update(ctx, wanted, options)
	}
	if err == nil {
		n.mu.Lock()
		n.written[after.GetResourceVersion()] = true
		n.mu.Unlock()
	}
	return after, err
}

// count answers how many changes there were.
func (n *neighbour) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.seen)
}

// others are the changes since a count that somebody else has made.
func (n *neighbour) others(since int) (others []*unstructured.Unstructured) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.seen[since:] {
		if !n.written[o.GetResourceVersion()] {
			others = append(others, o)
		}
	}
	return others
}

// look is what its life consists of: it says something new on every object.
func (n *neighbour) look(ctx context.Context) error {
	n.said.Add(1)
	all, err := n.objects.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for i := range all.Items {
		if err := n.keep(ctx, &all.Items[i]); err != nil && !apierrors.IsConflict(err) {
			return err
		}
	}
	return nil
}

// caughtUp is nil when every object is as it was seen last.
func (n *neighbour) caughtUp(ctx context.Context) error {
	all, err := n.objects.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	last := map[string]string{}
	for _, o := range n.seen {
		last[o.GetName()] = o.GetResourceVersion()
	}
	for i := range all.Items {
		if o := &all.Items[i]; last[o.GetName()] != o.GetResourceVersion() {
			return fmt.Errorf("the last change of %s was not seen yet", o.GetName())
		}
	}
	return nil
}

// describe says of changes who had written last.
func describe(changes []*unstructured.Unstructured) string {
	var b strings.Builder
	for _, o := range changes {
		status, _ := json.Marshal(o.Object["status"])
		fmt.Fprintf(&b, "%s at %s: %s %s\n", o.GetName(), o.GetResourceVersion(), status, writers(o))
	}
	return b.String()
}

func writers(o *unstructured.Unstructured) (all []string) {
	for _, e := range o.GetManagedFields() {
		all = append(all, fmt.Sprint(e.Manager, " ", e.Operation, " ", e.Time))
	}
	return all
}
