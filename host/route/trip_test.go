package route

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// picture makes an Input for host "a" from words: "b" is a live host, "b!" one that leaves, "b?" one that is not live, "b-"
// one that cannot hold the model; "b=loaded" is one with a copy in that state.
func picture(words string) Input {
	in := Input{Self: "a", Runtimes: []string{"mlserver"}}
	var hosts []members.Member
	for _, word := range strings.Fields(words) {
		id, state, _ := strings.Cut(word, "=")
		m := members.Member{ID: strings.TrimRight(id, "!?-"), Live: true, Runtime: "mlserver"}
		m.Draining, m.Live = strings.Contains(id, "!"), !strings.Contains(id, "?")
		if strings.Contains(id, "-") {
			m.Runtime = "other"
		}
		hosts = append(hosts, m)
		for s := residency.Queued; s <= residency.Failed; s++ {
			if s.String() == state {
				in.Copies = append(in.Copies, residency.Copy{Host: m.ID, State: s})
			}
		}
	}
	in.View = members.NewView("a", hosts)
	return in
}

func (a Action) word() string {
	word := a.Do.String()
	if a.Host != "" {
		word += " " + a.Host
	}
	if a.Wait {
		word += " wait"
	}
	if len(a.Exclude) > 0 {
		word += " without " + strings.Join(a.Exclude, ",")
	}
	if a.Err != nil {
		word += " " + a.Err.Outcome.String()
	}
	return word
}

// TestTrips tells stories: pairs of what the mesh looks like and what the trip wants then, with what happened between.
func TestTrips(t *testing.T) {
	type step struct {
		mesh   string
		want   string
		happen func(t *Trip)
	}
	notHere := func(host string, reason Reason) func(*Trip) {
		return func(t *Trip) { t.NotHere(host, &NotHere{Reason: reason}) }
	}
	saying := func(host string, reason Reason, outcome Outcome) func(*Trip) {
		return func(t *Trip) { t.NotHere(host, &NotHere{Reason: reason, Err: Errorf(outcome, "numbers")}) }
	}
	placed := func(host string) func(*Trip) { return func(t *Trip) { t.Placed(host) } }
	lost := func(host string) func(*Trip) { return func(t *Trip) { t.Lost(host, true) } }
	unplaced := func(reason peerv1.UnplacedReason) func(*Trip) {
		return func(t *Trip) { t.Unplaced(reason, UnplacedError(reason, "", 0)) }
	}
	tests := []struct {
		name   string
		config TripConfig
		steps  []step
	}{
		{"a cold model is placed and waited for", TripConfig{}, []step{
			{"a b c", "place", placed("b")},
			{"a b c", "forward b wait", nil},
		}},
		{"placed here", TripConfig{}, []step{
			{"a b", "place", placed("a")},
			{"a b", "serve a wait", nil},
		}},
		{"residency was out of date", TripConfig{}, []step{
			{"a b=loaded c", "forward b", notHere("b", Absent)},
			{"a b=loaded c", "place", placed("b")},
			{"a b=loaded c", "forward b wait", nil},
		}},
		{"the local copy went", TripConfig{}, []step{
			{"a=loaded b=loaded", "serve a", notHere("a", Absent)},
			{"a=loaded b=loaded", "forward b", nil},
		}},
		{"it loads there: wait", TripConfig{}, []step{
			{"a b=loaded", "forward b", notHere("b", Loading)},
			{"a b=loaded", "forward b wait", notHere("b", Loading)},
			{"a b=loaded", "place", nil},
		}},
		{"every copy is busy: the first queue", TripConfig{}, []step{
			{"a b=loaded", "forward b", notHere("b", Busy)},
			{"a=loaded b=loaded c=loading", "serve a", notHere("a", Busy)},
			{"a=loaded b=loaded c=loading", "forward b wait", saying("b", Refused, QueueFull)},
			{"a=loaded b=loaded c=loading", "serve a wait", saying("a", Refused, QueueFull)},
			{"a=loaded b=loaded c=loading", "forward c wait", notHere("c", Absent)},
			{"a=loaded b=loaded c=loading", "fail queue_full", nil},
		}},
		{"a full queue is no reason for a load", TripConfig{}, []step{
			{"a b=loaded", "forward b", saying("b", Refused, QueueFull)},
			{"a b=loaded", "fail queue_full", nil},
		}},
		{"three failed loads", TripConfig{}, []step{
			{"a b c d", "place", placed("b")},
			{"a b c d", "forward b wait", saying("b", Failed, LoadFailed)},
			{"a b c d", "place without b", placed("a")},
			{"a b c d", "serve a wait", saying("a", Failed, LoadFailed)},
			{"a b c d", "place without b,a", placed("c")},
			{"a b c d", "forward c wait", saying("c", Failed, LoadFailed)},
			{"a b c d", "fail load_failed", nil},
			{"a=loaded b c d", "fail load_failed", nil},
		}},
		{"the only host failed", TripConfig{AwaitHost: true}, []step{
			{"a", "place", placed("a")},
			{"a", "serve a wait", saying("a", Failed, LoadFailed)},
			{"a", "fail load_failed", nil},
		}},
		{"a host breaks down while the request waits there", TripConfig{}, []step{
			{"a b=loading c", "forward b wait", lost("b")},
			{"a b=loading c", "place without b", placed("c")},
			{"a c", "forward c wait", nil},
		}},
		{"a host breaks down with the request", TripConfig{}, []step{
			{"a b=loaded c=loaded", "forward", func(t *Trip) { t.Lost("b", false) }},
			{"a b=loaded c=loaded", "fail interrupted", nil},
		}},
		{"a host that stops", TripConfig{}, []step{
			{"a b=loaded c", "forward b", notHere("b", Stopping)},
			{"a b=loaded c", "place without b", nil},
		}},
		{"the arbiter knows a host that this one does not", TripConfig{}, []step{
			{"a b", "place", placed("x")},
			{"a b", "place without x", placed("b")},
			{"a b", "forward b wait", nil},
		}},
		{"an arbiter that names an excluded host", TripConfig{}, []step{
			{"a b=loaded c", "forward b", notHere("b", Stopping)},
			{"a b=loaded c", "place without b", placed("b")},
			{"a b=loaded c", "place without b", placed("c")},
			{"a b=loaded c", "forward c wait", nil},
		}},
		{"no arbiter yet", TripConfig{}, []step{
			{"a b", "place", unplaced(peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER)},
			{"a b", "await no_host", nil},
			{"a b", "place", unplaced(peerv1.UnplacedReason_UNPLACED_REASON_STALE)},
			{"a b", "await no_host", nil},
			{"a b=loaded", "forward b", nil},
		}},
		{"too large", TripConfig{}, []step{
			{"a b", "place", unplaced(peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT)},
			{"a b", "fail cannot_fit", nil},
		}},
		{"nobody", TripConfig{}, []step{{"a- b-", "fail no_host", nil}}},
		{"a gateway waits for somebody", TripConfig{AwaitHost: true}, []step{
			{"a-", "await no_host", nil},
			{"a- b?", "await no_host", nil},
			{"a- b", "place", placed("b")},
			{"a- b", "forward b wait", lost("b")},
			{"a- b?", "await no_host", nil},
			{"a- b", "place", nil},
		}},
		{"a host with another catalog", TripConfig{}, []step{
			{"a b=loaded", "forward b", saying("b", Refused, UnknownModel)},
			{"a- b=loaded", "fail no_host", nil},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			trip := NewTrip(tt.config)
			for i, s := range tt.steps {
				got := trip.Next(picture(s.mesh))
				if word := got.word(); word != s.want && (s.want != "forward" || got.Do != Forward) {
					t.Fatalf("step %d: got %q, want %q", i+1, word, s.want)
				}
				if s.happen != nil {
					s.happen(&trip)
				}
			}
		})
	}
}

func TestHostsThatSendEverythingOn(t *testing.T) {
	// Each is named again once: the copy may have had to go in between. After that somebody else has to load the model.
	trip := NewTrip(TripConfig{Model: "digits"})
	visits := map[string]int{}
	for {
		action := trip.Next(picture("a b c"))
		switch action.Do {
		case Place:
			for _, host := range []string{"b", "c"} {
				if !slices.Contains(action.Exclude, host) {
					trip.Placed(host)
					break
				}
			}
			if len(action.Exclude) == 2 {
				trip.Unplaced(peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM, nil)
			}
		case Forward:
			visits[action.Host]++
			trip.NotHere(action.Host, &NotHere{Reason: Absent})
		case Fail:
			if visits["b"] != 2 || visits["c"] != 2 || action.Err.Outcome != NoHost || action.Err.RetryAfter != time.Second || action.Err.Message == "" {
				t.Errorf("%v visits, then %v %v", visits, action.Err.Outcome, action.Err)
			}
			return
		}
	}
}

func TestUnplacedError(t *testing.T) {
	got := UnplacedError(peerv1.UnplacedReason_UNPLACED_REASON_FAILED, "no joblib", 9*time.Second)
	if want := (&Error{Outcome: LoadFailed, Message: "no joblib", RetryAfter: 9 * time.Second}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := UnplacedError(peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM, "", 0); got.Outcome != NoHost || got.RetryAfter == 0 || got.Message == "" {
		t.Errorf("got %+v", got)
	}
}

// dice are the fuzzer's bytes as a source of choices; when they have run out it always chooses the first.
type dice []byte

func (d *dice) roll(n int) int {
	if len(*d) == 0 {
		return 0
	}
	rolled := int((*d)[0]) % n
	*d = (*d)[1:]
	return rolled
}

// world is a mesh that behaves as the dice say, and watches one trip.
type world struct {
	*testing.T
	dice dice
	in   Input
	trip Trip
	// leave is what entitles the trip to go to a host again.
	leave map[string]bool
	seen  map[string]bool
	out   []string

	visits, asks, awaits, failures int
}

var fuzzHosts = []string{"a", "b", "c", "d", "e"}

func (w *world) change() {
	hosts := make([]members.Member, 0, len(fuzzHosts))
	w.in.Copies = w.in.Copies[:0]
	for _, id := range fuzzHosts {
		m := members.Member{ID: id, Runtime: "mlserver", Live: w.dice.roll(4) != 1, Draining: w.dice.roll(5) == 1, Gateway: w.dice.roll(6) == 1}
		hosts = append(hosts, m)
		if state := residency.State(w.dice.roll(8)); state > residency.Absent && state <= residency.Failed {
			w.in.Copies = append(w.in.Copies, residency.Copy{Host: id, State: state})
		}
	}
	w.in.View = members.NewView("a", hosts)
	w.in.Rand = uint64(w.dice.roll(256))<<32 | uint64(w.dice.roll(256))
	w.in.Target, w.in.LocalInFlight = w.dice.roll(3), w.dice.roll(4)
}

// visit checks that the trip may go there, and answers for the host. served ends the trip.
func (w *world) visit(a Action) (served bool) {
	if w.visits++; w.visits > MaxVisits {
		w.Fatalf("visit %d", w.visits)
	}
	if w.seen[a.Host] && !(w.leave[a.Host] && a.Wait) {
		w.Fatalf("back at %s (wait %v) without leave", a.Host, a.Wait)
	}
	if slices.Contains(w.out, a.Host) {
		w.Fatalf("at %s, which is out", a.Host)
	}
	m := w.in.View.Find(a.Host)
	if (a.Do == ServeLocal) != (a.Host == "a") || a.Do == Forward && (m == nil || !m.Live) {
		w.Fatalf("%s: %+v", a.word(), m)
	}
	w.seen[a.Host], w.leave[a.Host] = true, false
	switch reason := Reason(w.dice.roll(12)); reason {
	case Absent, Draining:
		w.trip.NotHere(a.Host, &NotHere{Reason: reason})
	case Loading, Busy:
		w.leave[a.Host] = !a.Wait
		w.trip.NotHere(a.Host, &NotHere{Reason: reason})
	case Failed:
		w.failures++
		w.out = append(w.out, a.Host)
		w.trip.NotHere(a.Host, &NotHere{Reason: Failed, Err: Errorf(LoadFailed, "no")})
	case Refused:
		w.out = append(w.out, a.Host)
		w.trip.NotHere(a.Host, &NotHere{Reason: Refused, Err: Errorf(Outcome(1+w.dice.roll(int(Internal))), "no")})
	case Stopping, Unreachable:
		w.out = append(w.out, a.Host)
		w.trip.NotHere(a.Host, &NotHere{Reason: reason})
	case Unreachable + 1:
		w.trip.Lost(a.Host, false)
		if got := w.trip.Next(w.in); got.Do != Fail || got.Err.Outcome != Interrupted && w.failures < MaxFailedLoads {
			w.Fatalf("a request that may have run: %s", got.word())
		}
	default:
		return true
	}
	return false
}

func (w *world) place(a Action) {
	if w.asks++; w.asks > MaxAsks+w.awaits {
		w.Fatalf("asked %d times", w.asks)
	}
	for _, host := range w.out {
		if !slices.Contains(a.Exclude, host) {
			w.Fatalf("asked without excluding %s, only %v", host, a.Exclude)
		}
	}
	if reason := w.dice.roll(12); reason < 8 {
		w.trip.Unplaced(peerv1.UnplacedReason(reason), nil)
		return
	}
	host := fuzzHosts[w.dice.roll(len(fuzzHosts))]
	w.leave[host] = true
	w.trip.Placed(host)
}

// FuzzTrip: whatever the mesh does, a trip ends in one outcome, within its bounds, and does not go round.
func FuzzTrip(f *testing.F) {
	for i := range 20 {
		seed := make([]byte, 400)
		for j := range seed {
			seed[j] = byte((i*131 + j*j*7 + j>>3) >> 1)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w := &world{T: t, dice: data, leave: map[string]bool{}, seen: map[string]bool{}}
		w.in = Input{Self: "a", Runtimes: []string{"mlserver"}}
		w.trip = NewTrip(TripConfig{Model: "digits", AwaitHost: w.dice.roll(2) == 1})
		w.change()
		for range MaxVisits + 2*MaxAsks + 2*MaxAwaits {
			if w.dice.roll(3) == 1 {
				w.change()
			}
			switch action := w.trip.Next(w.in); action.Do {
			case ServeLocal, Forward:
				if w.visit(action) {
					return
				}
			case Place:
				w.place(action)
			case Await:
				// Whoever comes back is met as if for the first time.
				w.awaits++
				w.seen, w.leave, w.out = map[string]bool{}, map[string]bool{}, nil
				w.change()
			case Fail:
				w.ended(action)
				return
			}
		}
		t.Fatal("the trip does not end")
	})
}

// ended checks that the end is one, whatever happens afterwards.
func (w *world) ended(a Action) {
	if a.Err == nil || a.Err.Outcome == Served || a.Err.Message == "" || a.Host != "" {
		w.Fatalf("ended with %+v", a)
	}
	if w.failures > MaxFailedLoads {
		w.Fatalf("%d failed loads", w.failures)
	}
	w.trip.NotHere("b", &NotHere{Reason: Failed, Err: Errorf(LoadFailed, "late")})
	w.trip.Lost("c", false)
	w.trip.Unplaced(peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT, nil)
	w.trip.Placed("d")
	if again := w.trip.Next(w.in); !reflect.DeepEqual(again, a) {
		w.Fatalf("two ends: %v, then %v", fmt.Sprint(a), fmt.Sprint(again))
	}
}
