package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// bench is a Recorder that writes to a fake API server, in a synctest bubble.
type bench struct {
	t        *testing.T
	recorder *Recorder
	client   client.Client
	metrics  *prometheus.Registry

	mu sync.Mutex // guards below
	// broken is what the next writes answer.
	broken error
	tried  int
	// dropped: what is written is kept nowhere, of which the fake is slow with thousands.
	dropped bool
}

func newBench(t *testing.T, objects ...client.Object) *bench {
	t.Helper()
	b := &bench{t: t, metrics: prometheus.NewRegistry()}
	plain := fake.NewClientBuilder().WithScheme(newScheme(t)).WithObjects(objects...).Build()
	b.client = interceptor.NewClient(plain, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			b.mu.Lock()
			b.tried++
			err, dropped := b.broken, b.dropped
			b.mu.Unlock()
			if err != nil || dropped {
				return err
			}
			return c.Create(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			b.mu.Lock()
			b.tried++
			b.mu.Unlock()
			return c.Patch(ctx, o, p, opts...)
		},
	})
	recorder, err := New(Config{Client: b.client, Instance: "controller-0", LegacyPredictors: true, Metrics: b.metrics, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b.recorder = recorder
	return b
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, v1beta1.AddToScheme, kubernetes.AddLegacyToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// run runs the recorder until the answer is called.
func (b *bench) run() (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.recorder.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	}
}

func (b *bench) breakWrites(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

func (b *bench) tries() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tried
}

// written answers the Events that are there, by their notes.
func (b *bench) written() map[string]eventsv1.Event {
	b.t.Helper()
	var list eventsv1.EventList
	if err := b.client.List(b.t.Context(), &list); err != nil {
		b.t.Fatal(err)
	}
	byNote := map[string]eventsv1.Event{}
	for _, e := range list.Items {
		if _, twice := byNote[e.Note]; twice {
			b.t.Errorf("two Events say %q", e.Note)
		}
		byNote[e.Note] = e
	}
	return byNote
}

func (b *bench) counted(outcome string) float64 {
	b.t.Helper()
	families, err := b.metrics.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if len(m.Label) == 1 && m.Label[0].GetValue() == outcome {
				return m.Counter.GetValue()
			}
		}
	}
	b.t.Fatalf("no counter of outcome %s", outcome)
	return 0
}

func event(name, message string) decide.Event {
	return decide.Event{
		Object: decide.Key{Namespace: "ns", Kind: v1beta1.Kind, Name: name}, Type: corev1.EventTypeNormal, Reason: decide.EventLoaded,
		Message: message,
	}
}

func TestEventsAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		isvc := &v1beta1.InferenceService{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "m", UID: "uid-1"}}
		b := newBench(t, isvc)
		defer b.run()()
		b.recorder.Record(event("m", "Model m is loaded"))
		b.recorder.Record(decide.Event{
			Object: decide.Key{Kind: v1alpha1.KindClusterServingRuntime, Name: "mlserver"}, Type: corev1.EventTypeWarning,
			Reason: decide.EventInvalidSpec, Message: "bad",
		})
		synctest.Wait()
		all := b.written()
		e := all["Model m is loaded"]
		if r := e.Regarding; r.UID != "uid-1" || r.Kind != "InferenceService" || r.APIVersion != "serving.kserve.io/v1beta1" || r.Name != "m" || e.Namespace != "ns" {
			t.Errorf("Event in %s about %+v", e.Namespace, r)
		}
		if e.Type != "Normal" || e.Reason != "Loaded" || e.ReportingInstance != "controller-0" || e.Series != nil || !e.EventTime.Time.Equal(time.Now()) {
			t.Errorf("%+v", e)
		}
		// Events about objects of the cluster have no namespace of their own.
		if bad := all["bad"]; bad.Namespace != "default" || bad.Type != "Warning" || bad.Regarding.APIVersion != "serving.kserve.io/v1alpha1" {
			t.Errorf("%+v", bad)
		}
		if b.counted(outcomeWritten) != 2 {
			t.Error("not counted")
		}
	})
}

// What happens again is counted on the Event that is there, at most every repeatInterval; what is said in other words is
// another Event at once.
func TestRepetitionsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.run()()
		for range 3 {
			b.recorder.Record(event("m", "again"))
			time.Sleep(time.Second)
		}
		b.recorder.Record(event("m", "in other words"))
		synctest.Wait()
		if all := b.written(); len(all) != 2 || all["again"].Series != nil || b.tries() != 2 {
			t.Fatalf("%d Events by %d writes; want two by two", len(all), b.tries())
		}
		time.Sleep(repeatInterval)
		synctest.Wait()
		s := b.written()["again"].Series
		if s == nil || s.Count != 3 || b.tries() != 3 {
			t.Fatalf("series %+v by %d writes; want three times by three", s, b.tries())
		}
		// Gone from the API server: it is another.
		gone := b.written()["again"]
		if err := b.client.Delete(t.Context(), &gone); err != nil {
			t.Fatal(err)
		}
		b.recorder.Record(event("m", "again"))
		time.Sleep(repeatInterval)
		synctest.Wait()
		if _, there := b.written()["again"]; !there {
			t.Error("an Event that had gone is not written again")
		}
	})
}

// While the API server is away, Record takes what fits and never waits.
func TestRecordNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.dropped = true
		defer b.run()()
		b.breakWrites(errors.New("connection refused"))
		const more = 10
		for i := range queueSize + more + 1 {
			b.recorder.Record(event("m", fmt.Sprint("event ", i)))
			if i == 0 {
				synctest.Wait() // The first is being written.
			}
		}
		if got := b.counted(outcomeDropped); got != more {
			t.Errorf("%v dropped; want %d", got, more)
		}
		b.breakWrites(nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := b.counted(outcomeWritten); got != queueSize+1 {
			t.Errorf("%v written; want the %d that fitted", got, queueSize+1)
		}
	})
}

func TestWritesAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.run()()
		for i := range 2 * writeBurst {
			b.recorder.Record(event("m", fmt.Sprint("event ", i)))
		}
		synctest.Wait()
		if got := b.tries(); got != writeBurst {
			t.Errorf("%d at once; want %d", got, writeBurst)
		}
		time.Sleep(10 * writeInterval)
		synctest.Wait()
		if got := b.tries(); got != writeBurst+10 {
			t.Errorf("%d; want 10 more", got-writeBurst)
		}
	})
}

// What the API server refuses is not tried again, and does not keep others.
func TestRefusedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.run()()
		b.breakWrites(apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "e", errors.New("no")))
		b.recorder.Record(event("m", "refused"))
		synctest.Wait()
		b.breakWrites(nil)
		b.recorder.Record(event("m", "taken"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, there := b.written()["taken"]; !there || b.tries() != 2 || b.counted(outcomeRefused) != 1 {
			t.Errorf("%d writes, %v refused; want two and one", b.tries(), b.counted(outcomeRefused))
		}
	})
}

func TestLongMessagesAreCut(t *testing.T) {
	for _, text := range []string{strings.Repeat("ä", 1000), strings.Repeat("x", 5000), "short", "not \xff UTF-8"} {
		got := shortened(text, maxNoteBytes)
		if len(got) > maxNoteBytes || !utf8.ValidString(got) || len(text) > maxNoteBytes && !strings.HasSuffix(got, "...") {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
}

// Without the UID of the object, `kubectl describe` shows no Events of it.
func TestEventsAboutOlderPredictors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meta := func(name, uid string) metav1.ObjectMeta {
			return metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(uid)}
		}
		b := newBench(t, &v1alpha1.Predictor{ObjectMeta: meta("both", "newer")},
			&kubernetes.LegacyPredictor{ObjectMeta: meta("both", "older")}, &kubernetes.LegacyPredictor{ObjectMeta: meta("one", "older")})
		defer b.run()()
		for _, name := range []string{"both", "one", "none"} {
			b.recorder.Record(decide.Event{
				Object: decide.Key{Namespace: "ns", Kind: v1alpha1.KindPredictor, Name: name}, Type: corev1.EventTypeNormal,
				Reason: decide.EventLoaded, Message: name,
			})
		}
		synctest.Wait()
		for name, want := range map[string][2]string{
			"both": {"newer", "serving.kserve.io/v1alpha1"}, "one": {"older", "wmlserving.ai.ibm.com/v1"}, "none": {"", "serving.kserve.io/v1alpha1"},
		} {
			if r := b.written()[name].Regarding; string(r.UID) != want[0] || r.APIVersion != want[1] {
				t.Errorf("%s: about %q of %s; want %v", name, r.UID, r.APIVersion, want)
			}
		}
	})
}

// An object may have a name as long as any, and its Event has a longer one.
func TestLongNamesAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.run()()
		names := []string{"m", strings.Repeat("x", 253), strings.Repeat("x", maxNameBytes-2) + "-." + strings.Repeat("x", 17)}
		for i, name := range names {
			b.recorder.Record(event(name, fmt.Sprint(i)))
		}
		synctest.Wait()
		for i, name := range names {
			e := b.written()[fmt.Sprint(i)]
			if problems := validation.IsDNS1123Subdomain(e.Name); len(problems) > 0 || e.Regarding.Name != name {
				t.Errorf("Event %q about %q: %v", e.Name, e.Regarding.Name, problems)
			}
		}
	})
}
