package reconcile

import (
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// shown holds the objects with their statuses as the last View had them, so that the next one copies only what differs:
// of ten thousand objects a pass changes a few.
type shown struct {
	inferenceServices map[decide.Key]pair[v1beta1.InferenceService]
	predictors        map[decide.Key]pair[v1alpha1.Predictor]
}

// pair is an object as it was declared, and the same with its status.
type pair[T any] struct{ declared, withStatus *T }

func newShown() shown {
	return shown{map[decide.Key]pair[v1beta1.InferenceService]{}, map[decide.Key]pair[v1alpha1.Predictor]{}}
}

// forget has the next onto copy the objects whose status a decision changed.
func (s *shown) forget(out decide.Output) {
	for key := range out.InferenceServices {
		delete(s.inferenceServices, key)
	}
	for key := range out.Predictors {
		delete(s.predictors, key)
	}
}

// onto puts the statuses on copies of the objects.
func (s *shown) onto(declared decide.Objects, statuses Statuses) decide.Objects {
	objects := declared
	objects.InferenceServices, s.inferenceServices = overlay(declared.InferenceServices, s.inferenceServices, inferenceServiceKey,
		func(o *v1beta1.InferenceService, key decide.Key) { o.Status = statuses.InferenceServices[key] })
	objects.Predictors, s.predictors = overlay(declared.Predictors, s.predictors, predictorKey,
		func(o *v1alpha1.Predictor, key decide.Key) { o.Status = statuses.Predictors[key] })
	return objects
}

// overlay answers the objects with their statuses, and the pairs of the next call.
func overlay[T any](declared []*T, before map[decide.Key]pair[T], keyOf func(*T) decide.Key, setStatus func(*T, decide.Key)) (
	[]*T, map[decide.Key]pair[T],
) {
	all := make([]*T, len(declared))
	after := make(map[decide.Key]pair[T], len(declared))
	for i, o := range declared {
		key := keyOf(o)
		p := before[key]
		if p.declared != o {
			withStatus := *o
			setStatus(&withStatus, key)
			p = pair[T]{o, &withStatus}
		}
		all[i], after[key] = p.withStatus, p
	}
	return all, after
}

// identities tell an object from one that was deleted and made again under its name, between two looks at the source. A
// source that gives objects no UID cannot tell, and need not: there an object is its name.
type identities map[decide.Key]types.UID

// forgetReplaced forgets what was known of objects in whose place others now are.
func (l *Loop) forgetReplaced() {
	present := make(identities, len(l.identity))
	look := func(key decide.Key, uid types.UID) {
		present[key] = uid
		if before, known := l.identity[key]; known && before != uid {
			delete(l.statuses.InferenceServices, key)
			delete(l.statuses.Predictors, key)
			l.active, l.refused = without(l.active, key), without(l.refused, key)
			delete(l.shown.inferenceServices, key)
			delete(l.shown.predictors, key)
		}
	}
	for _, o := range l.snapshot.Objects.InferenceServices {
		look(inferenceServiceKey(o), o.UID)
	}
	for _, o := range l.snapshot.Objects.Predictors {
		look(predictorKey(o), o.UID)
	}
	l.identity = present
}

// without answers a copy, since others hold the map.
func without[V any](all map[decide.Key]V, key decide.Key) map[decide.Key]V {
	if _, found := all[key]; !found {
		return all
	}
	rest := make(map[decide.Key]V, len(all))
	for k, v := range all {
		if k != key {
			rest[k] = v
		}
	}
	return rest
}

// keepPointers puts the old pointer in the place of each new one that says the same.
func keepPointers(after, before map[decide.Key]*syncv1.Model) {
	for key, m := range after {
		if old := before[key]; old != m && old != nil && proto.Equal(old, m) {
			after[key] = old
		}
	}
}

// sameMemory compares what keepPointers has gone over.
func sameMemory(a, b map[decide.Key]*syncv1.Model) bool {
	if len(a) != len(b) {
		return false
	}
	for key, m := range a {
		if b[key] != m {
			return false
		}
	}
	return true
}
