package writeback

import (
	"cmp"
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
)

// feed queues the objects about which something else was decided. Its goroutine ends with the controller's context.
func feed[T client.Object](r *Reconciler[T]) source.Source {
	return source.TypedFunc[ctrl.Request](func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
		go func() {
			var before *reconcile.View
			for {
				view, changed := r.decisions.View()
				for _, name := range r.kind.changes(before, view) {
					queue.Add(ctrl.Request{NamespacedName: name})
				}
				before = view
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

// changes answers the objects of a View that are not as the one before had them: what has not changed is the same pointer.
func (k Kind[T]) changes(before, after *reconcile.View) (changed []types.NamespacedName) {
	if after == nil {
		return nil
	}
	if before == nil {
		before = &reconcile.View{}
	}
	old := k.Listed(before)
	for _, o := range k.Listed(after) {
		name := client.ObjectKeyFromObject(o)
		for len(old) > 0 && compareNames(client.ObjectKeyFromObject(old[0]), name) < 0 {
			old = old[1:]
		}
		key := decide.Key{Namespace: name.Namespace, Kind: k.Kind, Name: name.Name}
		if len(old) == 0 || client.Object(old[0]) != client.Object(o) ||
			before.Active[key] != after.Active[key] || before.Refused[key] != after.Refused[key] {
			changed = append(changed, name)
		}
	}
	return changed
}

func find[T client.Object](sorted []T, name types.NamespacedName) (found T, ok bool) {
	at, ok := slices.BinarySearchFunc(sorted, name, func(o T, wanted types.NamespacedName) int {
		return compareNames(client.ObjectKeyFromObject(o), wanted)
	})
	if ok {
		found = sorted[at]
	}
	return found, ok
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
