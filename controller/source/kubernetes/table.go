package kubernetes

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// table is what an informer has said of one kind, as T. It implements the informer's handler.
type table[T client.Object] struct {
	source *Source
	// take makes a T of an object of the cache, which it must not change; false when it is nothing to decisions.
	take func(object any) (T, bool)
	// same says that two versions of one object do not differ for decisions.
	same func(a, b T) bool

	// The rest is guarded by Source.mu.
	byName map[types.NamespacedName]T
	// sorted by namespace and name; nil when it has to be made.
	sorted []T
}

func newTable[T client.Object](s *Source, take func(any) (T, bool), same func(a, b T) bool) *table[T] {
	return &table[T]{source: s, take: take, same: same, byName: map[types.NamespacedName]T{}}
}

// OnAdd implements toolscache.ResourceEventHandler.
func (t *table[T]) OnAdd(object any, _ bool) { t.put(object) }

// OnUpdate implements toolscache.ResourceEventHandler.
func (t *table[T]) OnUpdate(_, object any) { t.put(object) }

// OnDelete implements toolscache.ResourceEventHandler.
func (t *table[T]) OnDelete(object any) {
	if gone, missed := object.(toolscache.DeletedFinalStateUnknown); missed {
		object = gone.Obj
	}
	if o, is := object.(client.Object); is {
		t.remove(client.ObjectKeyFromObject(o))
	}
}

func (t *table[T]) put(object any) {
	taken, wanted := t.take(object)
	if !wanted {
		if o, is := object.(client.Object); is {
			t.remove(client.ObjectKeyFromObject(o))
		}
		return
	}
	name := client.ObjectKeyFromObject(taken)
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	if before, present := t.byName[name]; present && before.GetUID() == taken.GetUID() && t.same(before, taken) {
		return
	}
	t.byName[name] = taken
	t.sorted = nil
	t.source.touch()
}

func (t *table[T]) remove(name types.NamespacedName) {
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	if _, present := t.byName[name]; present {
		delete(t.byName, name)
		t.sorted = nil
		t.source.touch()
	}
}

// in answers the objects of some namespaces, in order; that of a cluster's object is "". The caller holds the lock. A nil
// table has none: its kind is not watched.
func (t *table[T]) in(wanted func(namespace string) bool) []T {
	if t == nil {
		return nil
	}
	if t.sorted == nil {
		t.sorted = make([]T, 0, len(t.byName))
		for _, o := range t.byName {
			t.sorted = append(t.sorted, o)
		}
		slices.SortFunc(t.sorted, func(a, b T) int {
			return compareNames(a.GetNamespace(), a.GetName(), b.GetNamespace(), b.GetName())
		})
	}
	chosen := make([]T, 0, len(t.sorted))
	for _, o := range t.sorted {
		if wanted(o.GetNamespace()) {
			chosen = append(chosen, o)
		}
	}
	return chosen
}

func compareNames(namespaceA, nameA, namespaceB, nameB string) int {
	return cmp.Or(cmp.Compare(namespaceA, namespaceB), cmp.Compare(nameA, nameB))
}
