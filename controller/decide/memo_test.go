package decide

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// TestOnlyWhatChangedIsDecided: of a mesh at rest, one edit has one object decided, and the rows of the others stay the
// same pointers, by which whoever publishes them sees that there is nothing to do.
func TestOnlyWhatChangedIsDecided(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"))
	for i := range 5 {
		s.declare(sklearn(fmt.Sprintf("m-%d", i), "sklearn/a"))
	}
	host := s.host("host-0", tutorialRuntime)
	s.decide()
	s.ack()
	for _, row := range s.out.Rows {
		if m := row.GetModel(); m != nil {
			host.Copies[m.Id] = &syncv1.Copy{ModelId: m.Id, State: loadedCopy}
		}
	}
	var asked []string
	s.in.Status = func(r *policyabi.StatusRequest) policyabi.StatusAnswer {
		asked = append(asked, r.Context.Name)
		return strict(r)
	}
	s.decide()
	s.decide()

	decide := func(what string, want ...string) Output {
		t.Helper()
		s.in.Hosts = []Host{*host}
		asked = nil
		out := Decide(s.in)
		if !slices.Equal(asked, want) {
			t.Errorf("%s: asked about %v, want %v", what, asked, want)
		}
		s.in = apply(s.in, out)
		return out
	}
	const third = "default/" + v1beta1.Kind + "/m-2"
	before := decide("nothing changed")
	host.Acked = &syncv1.Version{Term: 1, Sequence: s.sequence + 7}
	decide("a host has acknowledged more")
	s.declare(sklearn("m-2", "sklearn/b"))
	after := decide("an edit", third)
	shared := 0
	for _, row := range after.Rows {
		if slices.Contains(before.Rows, row) {
			shared++
		}
	}
	if shared != 8 { // An alias and a model each of the four others.
		t.Errorf("%d rows are the same pointers, want 8", shared)
	}

	host.Copies = maps.Clone(host.Copies)
	delete(host.Copies, s.alias("m-4").ActiveModelId)
	decide("a copy has left", third, "default/"+v1beta1.Kind+"/m-4")
	s.in.StatusVersion++
	decide("the policy may answer otherwise", append(slices.Collect(func(yield func(string) bool) {
		for i := range 4 {
			yield(fmt.Sprintf("default/%s/m-%d", v1beta1.Kind, i))
		}
	}), "default/"+v1beta1.Kind+"/m-4")...)
}

// FuzzMemo lets everything that an Input has change at random, and compares each decision with that of a twin which
// remembers nothing.
func FuzzMemo(f *testing.F) {
	for seed := range uint64(30) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := newMemoWorld(seed)
		for step := range 60 {
			for range 1 + w.IntN(2) {
				w.turn()
			}
			w.in.Now = w.in.Now.Add(time.Duration(w.IntN(3000)) * time.Millisecond)
			// A few looks at the same: what is at rest is noticed by the second.
			for range 1 + w.IntN(3) {
				twin := w.in
				twin.Memo = nil
				out, want := Decide(w.in), Decide(twin)
				if a, b := fingerprint(out), fingerprint(want); a != b {
					t.Fatalf("step %d: with a memo:\n%s\n----\nwithout:\n%s", step, a, b)
				}
				if !maps.Equal(out.Refuted, want.Refuted) {
					t.Fatalf("step %d: refuted %v with a memo, %v without", step, out.Refuted, want.Refuted)
				}
				if w.IntN(8) == 0 {
					w.in.Memo = out.Memo // It could not be applied.
					continue
				}
				w.in = apply(w.in, out)
				w.publish(out)
			}
		}
	})
}

// memoWorld is an Input that changes. What is reachable from an Input that was decided on is never changed.
type memoWorld struct {
	*rand.Rand
	in       Input
	sequence uint64
}

func newMemoWorld(seed uint64) *memoWorld {
	w := &memoWorld{Rand: rand.New(rand.NewPCG(seed, 3))}
	w.in = Input{Now: time.Date(2026, 4, 14, 10, 0, 0, 0, time.UTC), Settled: true, Published: Published{Since: map[string]*syncv1.Version{}}}
	w.in.Objects.ServingRuntimes = []*v1alpha1.ServingRuntime{mlserver(tutorialRuntime, "sklearn")}
	for _, id := range []string{"host-0", "host-1", "gateway"} {
		w.in.Hosts = append(w.in.Hosts, Host{
			Hello:        &syncv1.Hello{Namespace: "default", HostId: id, Runtime: tutorialRuntime, Gateway: id == "gateway"},
			RuntimeState: syncv1.RuntimeState_RUNTIME_STATE_READY, Connected: true, Complete: true, Acked: &syncv1.Version{Term: 1},
		})
	}
	for i := range 4 {
		w.edit(fmt.Sprintf("m-%d", i))
	}
	return w
}

func (w *memoWorld) publish(out Output) {
	since := map[string]*syncv1.Version{}
	w.sequence++ // Of what is new now, hosts hear with the next.
	for _, row := range out.Rows {
		since[row.Key] = w.in.Published.Since[row.Key]
		if since[row.Key] == nil || w.IntN(20) == 0 {
			since[row.Key] = &syncv1.Version{Term: 1, Sequence: w.sequence + 1}
		}
	}
	w.in.Published = Published{Since: since}
	if w.IntN(3) > 0 {
		w.in.Hosts = slices.Clone(w.in.Hosts)
		for i := range w.in.Hosts {
			w.in.Hosts[i].Acked = &syncv1.Version{Term: 1, Sequence: w.sequence}
		}
	}
}

// edit declares an InferenceService of a name, which may be another than before, and keeps its status.
func (w *memoWorld) edit(name string) {
	o := service(name, []string{"sklearn", "sklearn", "xgboost"}[w.IntN(3)], fmt.Sprintf("sklearn/%d", w.IntN(2)))
	if w.IntN(6) == 0 {
		o = contradictory(name)
	}
	if w.IntN(4) == 0 {
		o.Annotations[serving.AnnotationMinCopies] = []string{"1", "2", "many"}[w.IntN(3)]
	}
	all := slices.Clone(w.in.Objects.InferenceServices)
	i := slices.IndexFunc(all, func(o *v1beta1.InferenceService) bool { return o.Name == name })
	if i < 0 {
		w.in.Objects.InferenceServices = append(all, o)
		return
	}
	o.Generation, o.Status = all[i].Generation+1, all[i].Status
	all[i] = o
	w.in.Objects.InferenceServices = all
}

// remove takes a random element out of a copy.
func remove[T any](w *memoWorld, all []T) []T {
	if len(all) == 0 {
		return nil
	}
	i := w.IntN(len(all))
	return slices.Delete(slices.Clone(all), i, i+1)
}

// turn changes one thing.
func (w *memoWorld) turn() {
	name := fmt.Sprintf("m-%d", w.IntN(5))
	objects := &w.in.Objects
	switch w.IntN(24) {
	case 0:
		w.edit(name)
	case 2:
		objects.InferenceServices = remove(w, objects.InferenceServices)
	case 3:
		objects.Predictors = append(slices.Clone(objects.Predictors), predictor(name, "sklearn/p"))
	case 4:
		objects.Predictors = remove(w, objects.Predictors)
	case 5:
		w.turnRuntimes()
	case 6:
		w.in.Settled = w.IntN(4) > 0
	case 7:
		w.in.Endpoints = Endpoints{GRPC: []string{"", "grpc://127.0.0.1:8033"}[w.IntN(2)]}
	case 8:
		w.in.StatusVersion++
		w.in.Status = nil
		switch w.IntN(3) {
		case 0:
			w.in.Status = strict
		case 1: // It contradicts the facts.
			w.in.Status = func(r *policyabi.StatusRequest) policyabi.StatusAnswer {
				answer := strict(r)
				answer.Ready, answer.ActiveState = 1, policyabi.ModelStateFailedToLoad
				return answer
			}
		}
	case 9:
		w.in.Asleep = map[Key]bool{{Namespace: "default", Name: tutorialRuntime}: true}
		if w.IntN(2) == 0 {
			w.in.Asleep = nil
		}
	default:
		w.in.Hosts = slices.Clone(w.in.Hosts)
		w.turnHost(&w.in.Hosts[w.IntN(len(w.in.Hosts))])
	}
}

func (w *memoWorld) turnRuntimes() {
	all := slices.Clone(w.in.Objects.ServingRuntimes)
	switch w.IntN(5) {
	case 0:
		all = remove(w, all)
	case 1:
		all = append(all, mlserver("other", "xgboost"))
	case 2:
		disabled := mlserver(tutorialRuntime, "sklearn")
		disabled.Spec.Disabled = new(bool)
		*disabled.Spec.Disabled = w.IntN(2) == 0
		all = append(slices.DeleteFunc(all, func(r *v1alpha1.ServingRuntime) bool { return r.Name == tutorialRuntime }), disabled)
	case 3:
		all = []*v1alpha1.ServingRuntime{mlserver(tutorialRuntime, "sklearn", "xgboost")}
	case 4:
		faulty := mlserver(tutorialRuntime, "sklearn")
		faulty.Spec.Containers = nil
		all = []*v1alpha1.ServingRuntime{faulty}
	}
	w.in.Objects.ServingRuntimes = slices.CompactFunc(all, func(a, b *v1alpha1.ServingRuntime) bool { return a.Name == b.Name })
}

func (w *memoWorld) turnHost(h *Host) {
	switch w.IntN(14) {
	case 0:
		h.Connected = w.IntN(4) > 0
		h.Complete = h.Connected && w.IntN(4) > 0
	case 1:
		h.RuntimeState, h.RuntimeMessage = syncv1.RuntimeState(w.IntN(4)), []string{"", "out of memory"}[w.IntN(2)]
	case 2:
		h.Draining = &syncv1.Draining{Closing: w.IntN(2) == 0}
	case 3:
		h.Draining = nil
	case 4, 5:
		h.Acked = &syncv1.Version{Term: 1, Sequence: w.sequence - min(w.sequence, w.Uint64N(4))}
	case 6:
		h.Acked = nil
	default:
		w.turnCopy(h)
	}
}

func (w *memoWorld) turnCopy(h *Host) {
	models := slices.SortedFunc(maps.Keys(w.in.Active), compareKeys)
	if len(models) == 0 || h.Hello.Gateway {
		return
	}
	copies := maps.Clone(h.Copies)
	if copies == nil {
		copies = map[string]*syncv1.Copy{}
	}
	id := w.in.Active[models[w.IntN(len(models))]].Id
	if rows := slices.Sorted(maps.Keys(w.in.Published.Since)); w.IntN(3) == 0 {
		// Of a model that is on its way, perhaps.
		if of, found := strings.CutPrefix(rows[w.IntN(len(rows))], ModelRowKey("default", "")); found {
			id = of
		}
	}
	c := &syncv1.Copy{ModelId: id, State: syncv1.CopyState(w.IntN(6))}
	if c.State == syncv1.CopyState_COPY_STATE_FAILED || w.IntN(4) == 0 {
		c.Failure = &syncv1.Failure{Reason: syncv1.FailureReason(w.IntN(4)), Message: "broken", TimeMs: w.in.Now.UnixMilli()}
	}
	copies[id] = c
	if w.IntN(5) == 0 {
		delete(copies, id)
	}
	h.Copies = copies
}
