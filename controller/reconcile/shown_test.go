package reconcile

import (
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wasmesh/wasmesh/controller/decide"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// redeclare publishes a Snapshot in which only what edit returns is another object.
func (b *bench) redeclare(edit func(*v1beta1.InferenceService) *v1beta1.InferenceService) {
	s := *b.snapshot.Load()
	s.Objects.InferenceServices = slices.Clone(s.Objects.InferenceServices)
	for i, o := range s.Objects.InferenceServices {
		s.Objects.InferenceServices[i] = edit(o)
	}
	b.snapshot.Store(&s)
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// Who follows Views looks at pointers: what has not changed is the same one, what has is another.
func TestViewKeepsPointers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := newBench(t, Restored{}, "a", "b")
		defer stop()
		before, _ := b.loop.View()
		b.redeclare(func(o *v1beta1.InferenceService) *v1beta1.InferenceService {
			if o.Name != "b" {
				return o
			}
			other, path := *o, "other"
			other.Spec.Predictor.Model.Storage = &v1beta1.StorageSpec{Path: &path}
			other.Generation++
			return &other
		})
		later(time.Second)
		after, _ := b.loop.View()
		if before == after {
			t.Fatal("no new View")
		}
		if a := "a"; before.Objects.InferenceServices[0] != after.Objects.InferenceServices[0] || before.Active[key(a)] != after.Active[key(a)] {
			t.Error("what has not changed is another pointer")
		}
		if before.Objects.InferenceServices[1] == after.Objects.InferenceServices[1] {
			t.Error("what has changed is the same pointer")
		}
	})
}

// An object that was deleted and made again between two looks has neither the status nor the memory of the one before.
func TestReplacedObjectBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second))
		old := v1beta1.InferenceServiceStatus{Conditions: []v1beta1.Condition{
			{Type: v1beta1.ConditionReady, Status: "False", LastTransitionTime: since},
		}}
		b := &bench{
			t: t, changed: make(chan struct{}, 1),
			mesh: syncserver.New(syncserver.Config{Term: 1, Logger: slog.New(slog.DiscardHandler)}),
		}
		b.declare("a")
		withUID := func(uid types.UID) func(*v1beta1.InferenceService) *v1beta1.InferenceService {
			return func(o *v1beta1.InferenceService) *v1beta1.InferenceService {
				other := *o
				other.UID = uid
				return &other
			}
		}
		b.redeclare(withUID("1"))
		remembered := &syncv1.Model{Namespace: "default", Alias: "a", Id: "a__isvc-0123456789", Storage: &syncv1.StorageReference{Path: "old"}}
		restored := Restored{
			Active: map[decide.Key]*syncv1.Model{key("a"): remembered},
			Statuses: Statuses{InferenceServices: map[decide.Key]v1beta1.InferenceServiceStatus{
				key("a"): old,
			}},
		}
		b.loop = New(Config{Source: b, Mesh: b.mesh, Store: b, Restored: restored, Logger: slog.New(slog.DiscardHandler)})
		stop := b.run()
		defer stop()
		if b.activeOf("a").GetStorage().GetPath() != "old" {
			t.Fatalf("active %v, want what was remembered", b.activeOf("a"))
		}
		b.redeclare(withUID("2"))
		later(time.Second)
		if b.activeOf("a").GetStorage().GetPath() == "old" {
			t.Error("another object has the active model of the one before")
		}
		view, _ := b.loop.View()
		for _, c := range view.Objects.InferenceServices[0].Status.Conditions {
			if c.LastTransitionTime.Equal(&since) {
				t.Errorf("another object has condition %+v of the one before", c)
			}
		}
		if len(restored.Active) != 1 {
			t.Error("what was restored was changed")
		}
	})
}

type recording struct {
	mu  sync.Mutex
	all []decide.Event
}

func (r *recording) Record(e decide.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
}

// Events go to the Recorder as well, and statuses have the Snapshot's endpoints, also when only those change.
func TestRecorderAndEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recording{}
		b := &bench{
			t: t, changed: make(chan struct{}, 1),
			mesh: syncserver.New(syncserver.Config{Term: 1, Logger: slog.New(slog.DiscardHandler)}),
		}
		b.declare("a")
		b.loop = New(Config{
			Source: b, Mesh: b.mesh, Store: b, Recorder: events, Logger: slog.New(slog.DiscardHandler),
			Endpoints: decide.Endpoints{GRPC: "grpc://fixed"},
		})
		stop := b.run()
		defer stop()
		if got := b.loop.endpoints().GRPC; got != "grpc://fixed" {
			t.Errorf("endpoint %q", got)
		}
		s := *b.snapshot.Load()
		s.Endpoints = decide.Endpoints{GRPC: "grpc://configured"}
		b.snapshot.Store(&s)
		b.changed <- struct{}{}
		later(time.Second)
		if got := b.loop.endpoints().GRPC; got != "grpc://configured" {
			t.Errorf("endpoint %q", got)
		}
		if len(events.all) == 0 || len(events.all) != len(b.loop.Events(key("a"))) {
			t.Errorf("recorded %v, want %v", events.all, b.loop.Events(key("a")))
		}
	})
}
