package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/source"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// bench is a Loop between a source and a store of the test's own and a real sync server without hosts. Everything runs
// in a synctest bubble.
type bench struct {
	t    *testing.T
	loop *Loop
	mesh *syncserver.Server

	snapshot atomic.Pointer[source.Snapshot]
	changed  chan struct{}

	// mu guards what was saved, and how often; broken makes saving fail.
	mu        sync.Mutex
	decisions int
	active    map[decide.Key]*syncv1.Model
	statuses  []Statuses
	broken    error
}

func (b *bench) Snapshot() *source.Snapshot { return b.snapshot.Load() }
func (b *bench) Changed() <-chan struct{}   { return b.changed }

func (b *bench) SaveDecision(active map[decide.Key]*syncv1.Model, _ map[decide.Key]string, _ map[decide.Key]bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.decisions++
	if b.broken == nil {
		b.active = maps.Clone(active)
	}
	return b.broken
}

func (b *bench) SaveStatuses(s Statuses) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.statuses = append(b.statuses, s)
	return nil
}

func (b *bench) breakStore(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

func (b *bench) passes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.decisions
}

// saved answers every save of the statuses.
func (b *bench) saved() []Statuses {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.statuses)
}

func (b *bench) lastSaved() Statuses {
	all := b.saved()
	return all[len(all)-1]
}

func (b *bench) activeOf(name string) *syncv1.Model {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.active[key(name)]
}

func (b *bench) SaveHosts([]syncserver.HostKey) error { return nil }

// newBench starts a loop that has made its first pass.
func newBench(t *testing.T, restored Restored, names ...string) (b *bench, stop func()) {
	b = &bench{
		t: t, changed: make(chan struct{}, 1),
		mesh: syncserver.New(syncserver.Config{Term: 1, Logger: slog.New(slog.DiscardHandler)}),
	}
	b.declare(names...)
	b.loop = New(Config{Source: b, Mesh: b.mesh, Store: b, Restored: restored, Logger: slog.New(slog.DiscardHandler)})
	return b, b.run()
}

// run starts the loop, which has made its first pass when this returns.
func (b *bench) run() (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.loop.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("run: %v", err)
		}
	}
}

// declare replaces everything declared by these InferenceServices.
func (b *bench) declare(names ...string) {
	s := &source.Snapshot{}
	for _, name := range names {
		path := "path"
		s.Objects.InferenceServices = append(s.Objects.InferenceServices, &v1beta1.InferenceService{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Generation: 1, Annotations: map[string]string{
				serving.AnnotationDeploymentMode: serving.DeploymentModeModelMesh,
			}},
			Spec: v1beta1.InferenceServiceSpec{Predictor: v1beta1.PredictorSpec{Model: &v1beta1.ModelSpec{
				ModelFormat:            v1beta1.ModelFormat{Name: "sklearn"},
				PredictorExtensionSpec: v1beta1.PredictorExtensionSpec{Storage: &v1beta1.StorageSpec{Path: &path}},
			}}},
		})
	}
	b.snapshot.Store(s)
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

func (b *bench) rows() (keys []string) {
	for _, row := range b.mesh.Rows() {
		keys = append(keys, row.GetKey())
	}
	return keys
}

func (b *bench) hasRow(key string) bool { return strings.Contains(strings.Join(b.rows(), " "), key) }

func key(name string) decide.Key {
	return decide.Key{Namespace: "default", Kind: v1beta1.Kind, Name: name}
}

// later lets time pass.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestDurableBeforePublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := newBench(t, Restored{}, "a")
		defer stop()
		if !b.hasRow("alias/default/a") || b.activeOf("a") == nil {
			t.Fatalf("rows %v, active %v", b.rows(), b.activeOf("a"))
		}
		b.breakStore(errors.New("disk full"))
		b.declare("a", "b")
		later(time.Second)
		if b.hasRow("alias/default/b") {
			t.Error("published what could not be saved")
		}
		view, _ := b.loop.View()
		if len(view.Warnings) != 1 || !strings.Contains(view.Warnings[0].String(), "disk full") {
			t.Errorf("warnings %v", view.Warnings)
		}
		b.breakStore(nil)
		later(2 * retryInterval)
		if view, _ = b.loop.View(); !b.hasRow("alias/default/b") || len(view.Warnings) != 0 {
			t.Errorf("after the repair: rows %v, warnings %v", b.rows(), view.Warnings)
		}
	})
}

func TestBurstsAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := newBench(t, Restored{})
		defer stop()
		later(time.Second)
		before := b.passes()
		const seconds = 2
		var names []string
		for i := range seconds * 1000 {
			if i%50 == 0 {
				names = append(names, fmt.Sprint("a", i))
			}
			b.declare(names...)
			time.Sleep(time.Millisecond)
		}
		later(time.Second)
		passes := b.passes() - before
		if most := (seconds+1)*int(time.Second/passInterval) + 1; passes > most || passes < 10 {
			t.Errorf("%d passes in %d s", passes, seconds)
		}
		if !b.hasRow(fmt.Sprintf("alias/default/%s", names[len(names)-1])) {
			t.Error("the last change was not seen")
		}
		quiet := b.passes()
		later(time.Hour)
		if more := b.passes() - quiet; more > 5 {
			t.Errorf("%d passes in an hour without changes", more)
		}
	})
}

func TestStatusesAreSavedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := newBench(t, Restored{}, "a")
		b.declare("a", "b")
		later(statusSaveDelay / 2)
		if n := len(b.saved()); n != 0 {
			t.Errorf("%d saves at once", n)
		}
		later(statusSaveDelay)
		if all := b.saved(); len(all) != 1 || len(all[0].InferenceServices) != 2 {
			t.Errorf("saved %d times: %v", len(all), all)
		}
		b.declare("b")
		later(2 * statusSaveDelay)
		if last := b.lastSaved(); len(last.InferenceServices) != 1 {
			t.Errorf("the status of a deleted object is kept: %v", last)
		}
		// What is not yet saved is saved at the end.
		b.declare("b", "c")
		later(statusSaveDelay / 2)
		stop()
		if last := b.lastSaved(); len(last.InferenceServices) != 2 {
			t.Errorf("at the end: %v", last)
		}
	})
}

func TestRestoredStatusIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second))
		old := v1beta1.InferenceServiceStatus{Conditions: []v1beta1.Condition{
			{Type: v1beta1.ConditionReady, Status: "False", LastTransitionTime: since},
		}}
		b, stop := newBench(t, Restored{Statuses: Statuses{InferenceServices: map[decide.Key]v1beta1.InferenceServiceStatus{key("a"): old}}}, "a")
		defer stop()
		view, _ := b.loop.View()
		for _, c := range view.Objects.InferenceServices[0].Status.Conditions {
			if c.Type == v1beta1.ConditionReady && !c.LastTransitionTime.Equal(&since) {
				t.Errorf("Ready moved from %v to %v though it is still %s", since, c.LastTransitionTime, c.Status)
			}
		}
		if b.Snapshot().Objects.InferenceServices[0].Status.Conditions != nil {
			t.Error("the source's object was changed")
		}
	})
}

func TestEventsAreBoundedAndCounted(t *testing.T) {
	r := newRecorder()
	at := time.Unix(1000, 0)
	event := func(object, message string) decide.Event {
		return decide.Event{Object: key(object), Type: "Warning", Reason: "Failed", Message: message}
	}
	r.record(at, event("a", "one"))
	r.record(at.Add(time.Second), event("a", "two"))
	r.record(at.Add(2*time.Second), event("a", "one"))
	got := r.list(key("a"))
	if len(got) != 2 || got[0].Message != "two" || got[1].Count != 2 || !got[1].Last.Equal(at.Add(2*time.Second)) {
		t.Errorf("events %+v, want two, then one counted twice", got)
	}
	for i := range 2 * eventsPerObject {
		r.record(at, event("b", fmt.Sprint(i)))
	}
	if got := r.list(key("b")); len(got) != eventsPerObject || got[0].Message != fmt.Sprint(eventsPerObject) {
		t.Errorf("%d events, the oldest %q", len(got), got[0].Message)
	}
	for i := range eventObjects {
		r.record(at, event(fmt.Sprint("c", i), "x"))
	}
	if got := r.list(key("a")); len(got) != 0 {
		t.Errorf("events of the object that had none for longest are still there: %v", got)
	}
}
