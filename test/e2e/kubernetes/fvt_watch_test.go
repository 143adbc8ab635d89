//go:build cluster

package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// failureInfo is lastFailureInfo of a Predictor or an InferenceService.
type failureInfo struct {
	Location, Reason, Message, ModelID, ModelRevisionName string
	Time                                                  time.Time
}

// reading is one status of a model object, of either kind.
type reading struct {
	Available                  bool
	Transition, Active, Target string
	Failure                    *failureInfo
}

func (r reading) String() string {
	s := fmt.Sprintf("available=%v %s active=%q target=%q", r.Available, r.Transition, r.Active, r.Target)
	if r.Failure != nil {
		s += fmt.Sprintf(" failure=%+v", *r.Failure)
	}
	return s
}

// without is the reading without what a test looks at elsewhere.
func (r reading) without() reading { r.Failure = nil; return r }

// history has every status that objects of one kind had, in order, as `kubectl get --watch` shows them.
type history struct {
	u    *user
	seen *record[reading]
}

// watch follows all model objects of a kind in the namespace, from now to the end of the test.
func (u *user) watch(resource string) *history {
	u.t.Helper()
	h := &history{u, &record[reading]{values: map[string][]reading{}}}
	u.follow(resource, func(name string, object json.RawMessage) {
		var w watched
		if json.Unmarshal(object, &w) == nil {
			h.seen.add(name, w.reading())
		}
	})
	return h
}

// in is the same history for a subtest.
func (h *history) in(t *testing.T) *history { return &history{&user{t, h.u.namespace}, h.seen} }

// record has the values that objects had, by name and in order, without repetitions.
type record[T any] struct {
	mu     sync.Mutex
	values map[string][]T
}

func (r *record[T]) add(name string, value T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.values[name]
	if len(all) == 0 || !reflect.DeepEqual(all[len(all)-1], value) {
		r.values[name] = append(all, value)
	}
}

// of is what was recorded of an object since a mark.
func (r *record[T]) of(name string, mark int) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.values[name][mark:])
}

// mark is where the record of an object stands.
func (r *record[T]) mark(name string) int { return len(r.of(name, 0)) }

// follow tells of every object of a kind that there is, comes or changes, until the end of the test.
func (u *user) follow(resource string, tell func(name string, object json.RawMessage)) {
	u.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c, err := theCluster.Command(ctx, "kubectl", "--namespace", u.namespace, "get", resource, "--watch", "--output-watch-events", "-o", "json")
	if err != nil {
		cancel()
		u.t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		cancel()
		u.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		cancel()
		u.t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for events := json.NewDecoder(out); ; {
			var event struct {
				Type   string
				Object json.RawMessage
			}
			var named struct{ Metadata struct{ Name string } }
			if events.Decode(&event) != nil {
				return // kubectl has ended.
			}
			if (event.Type == "ADDED" || event.Type == "MODIFIED") && json.Unmarshal(event.Object, &named) == nil {
				tell(named.Metadata.Name, event.Object)
			}
		}
	})
	u.t.Cleanup(func() {
		cancel()
		reading.Wait()
		_ = c.Wait() // It was killed.
	})
}

// mark is where the history of an object stands.
func (h *history) mark(name string) int { return h.seen.mark(name) }

// until waits for a status after a mark, and answers the history up to it.
func (h *history) until(name string, mark int, what string, is func(reading) bool) []reading {
	h.u.t.Helper()
	var all []reading
	if !h.u.eventually(name+": "+what, func() bool {
		all = h.seen.of(name, mark)
		i := slices.IndexFunc(all, is)
		if i >= 0 {
			all = all[:i+1]
		}
		return i >= 0
	}) {
		h.u.t.Fatalf("%s was\n%s", name, lines(all))
	}
	return all
}

// watched is the part of a Predictor or an InferenceService that readings come from.
type watched struct {
	Status struct {
		Available                                            bool
		TransitionStatus, ActiveModelState, TargetModelState string
		LastFailureInfo                                      *failureInfo
		Conditions                                           []struct{ Type, Status string }
		ModelStatus                                          *struct {
			TransitionStatus string
			LastFailureInfo  *failureInfo
			States           struct{ ActiveModelState, TargetModelState string }
		}
	}
}

func (w watched) reading() reading {
	s := w.Status
	if m := s.ModelStatus; m != nil {
		ready := slices.Contains(s.Conditions, struct{ Type, Status string }{"Ready", "True"})
		return reading{ready, m.TransitionStatus, m.States.ActiveModelState, m.States.TargetModelState, m.LastFailureInfo}
	}
	return reading{s.Available, s.TransitionStatus, s.ActiveModelState, s.TargetModelState, s.LastFailureInfo}
}

// steps is a history as a state machine sees it: one state of each reading, repetitions and the optional Standby left out.
func steps(all []reading, state func(reading) string) []string {
	var out []string
	for _, r := range all {
		if s := state(r); s != "Standby" {
			out = append(out, s)
		}
	}
	return slices.Compact(out)
}

func active(r reading) string { return r.Active }
func target(r reading) string { return r.Target }

func lines(all []reading) string {
	var b strings.Builder
	for _, r := range all {
		fmt.Fprintln(&b, " ", r)
	}
	return b.String()
}

var loaded = reading{Available: true, Transition: "UpToDate", Active: "Loaded"}

// expectLoaded waits until a new object's model serves, having gone there in order and without a failure of its own. It
// answers the states on the way: one that is short may not have been written.
func (h *history) expectLoaded(name string) []string {
	h.u.t.Helper()
	all := h.until(name, 0, "Loaded", func(r reading) bool { return reflect.DeepEqual(r, loaded) })
	got := steps(all, active)
	if !inOrder(got, "", "Pending", "Loading", "Loaded") {
		h.u.t.Errorf("%s went %q:\n%s", name, got, lines(all))
	}
	for _, r := range all {
		// While it loads it may be available: requests wait for it.
		if r.Target != "" || r.Available && (r.Active == "" || r.Active == "Pending") || r.Failure != nil && r.Failure.Reason != "RuntimeUnhealthy" {
			h.u.t.Errorf("%s on its way to Loaded: %v", name, r)
		}
	}
	return got
}

// inOrder is whether all of got are of order, and in it.
func inOrder(got []string, order ...string) bool {
	for _, s := range got {
		i := slices.Index(order, s)
		if i < 0 {
			return false
		}
		order = order[i:]
	}
	return true
}

// expectFailed waits until a new object's model has failed, and checks why.
func (h *history) expectFailed(name string, want failure) {
	h.u.t.Helper()
	all := h.until(name, 0, "FailedToLoad", func(r reading) bool {
		return r.Active == "FailedToLoad" && r.Failure != nil
	})
	last := all[len(all)-1]
	if last.Available || last.Target != "" {
		h.u.t.Errorf("%s: %v", name, last)
	}
	want.check(h.u.t, name, last.Failure)
}

// failure is what lastFailureInfo must say.
type failure struct {
	reason string
	// located: a host failed, and says where and when.
	located bool
	// message is a part of what was said, or with whole all of it.
	message string
	whole   bool
}

func (f failure) check(t *testing.T, name string, got *failureInfo) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: no lastFailureInfo, want %s", name, f.reason)
		return
	}
	if got.Reason != f.reason || (got.Location != "") != f.located || !strings.Contains(got.Message, f.message) || got.Message == "" {
		t.Errorf("%s: lastFailureInfo %+v, want %+v", name, *got, f)
	}
	if f.whole && got.Message != f.message {
		t.Errorf("%s: message %q, want %q", name, got.Message, f.message)
	}
	if age := time.Since(got.Time); age > patience || age < -2*time.Second {
		t.Errorf("%s failed at %v, %v ago", name, got.Time, age)
	}
}
