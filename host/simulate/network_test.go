package simulate

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/simulate/scenario"
)

// pair is a world of two hosts that have found each other.
func pair(t *testing.T) (w *World, a, b *host) {
	t.Helper()
	s := &scenario.Scenario{Seed: 1}
	for _, name := range []string{"a", "b"} {
		s.Hosts = append(s.Hosts, scenario.Host{Name: name, Capacity: 1 << 20})
	}
	w = newWorld(Config{Scenario: s})
	for _, h := range w.hosts {
		w.clock.after(0, h.boot)
	}
	w.runUntil(5 * time.Second)
	a, b = w.hosts[0], w.hosts[1]
	if !a.conns[1].synced || !b.conns[0].synced || len(w.failed) > 0 {
		t.Fatalf("they have not found each other: %v", w.failed)
	}
	return w, a, b
}

// later lets time go by.
func later(w *World, d time.Duration) { w.runUntil(w.clock.now + d) }

// Messages arrive in order, whatever each takes; over a wire that is cut they arrive when it is mended.
func TestNetworkOrder(t *testing.T) {
	w, a, b := pair(t)
	var arrived []int
	for i := range 300 {
		w.network.send(a, b, func() { arrived = append(arrived, i) })
		if i == 100 {
			w.network.cut(a, b)
		}
		if i == 200 {
			w.network.mend(a, b)
		}
		later(w, time.Millisecond/4)
	}
	later(w, time.Second)
	if len(arrived) != 300 || !slices.IsSorted(arrived) {
		t.Errorf("arrived: %v", arrived)
	}
}

// A connection that is silent for a second breaks, and stands again when something gets through.
func TestConnBreaks(t *testing.T) {
	for _, c := range []struct {
		name       string
		begin, end func(w *World, a, b *host)
	}{
		{"cut", func(w *World, a, b *host) { w.network.cut(a, b) }, func(w *World, a, b *host) { w.network.mend(a, b) }},
		{"hang", func(_ *World, _, b *host) { b.hang() }, func(_ *World, _, b *host) { b.resume() }},
		{"crash", func(_ *World, _, b *host) { b.die("crash") }, func(_ *World, _, b *host) { b.boot() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a, b := pair(t)
			c.begin(w, a, b)
			later(w, silence+100*time.Millisecond)
			if a.conns[1].synced || a.peers.view.Find("b") != nil {
				t.Error("the connection stands")
			}
			c.end(w, a, b)
			later(w, 5*time.Second)
			if !a.conns[1].synced || !b.conns[0].synced || a.peers.view.Find("b").Epoch != b.epoch {
				t.Error("it does not stand again")
			}
			if len(w.failed) > 0 {
				t.Error(w.failed)
			}
		})
	}
}

// A call ends once: with its answer, with the connection, or not at all when it was given up; never with an answer from an
// earlier time of the connection.
func TestCallEndsOnce(t *testing.T) {
	w, a, b := pair(t)
	type end struct {
		answer any
		err    error
	}
	ask := func(wait time.Duration) (ends *[]end, asked *call) {
		ends = &[]end{}
		asked = a.conns[1].ask(func(answer func(any)) {
			b.plan(wait, func() { answer("yes") })
		}, func(answer any, err error) { *ends = append(*ends, end{answer, err}) })
		return ends, asked
	}
	answered, _ := ask(0)
	dropped, call := ask(0)
	call.drop()
	lost, _ := ask(30 * time.Second)
	later(w, time.Second)
	a.conns[1].lose()
	unsent, _ := ask(0)
	later(w, time.Minute)
	if !a.conns[1].synced {
		t.Fatal("the connection does not stand again")
	}
	if len(*answered) != 1 || (*answered)[0].answer != "yes" || len(*dropped) != 0 {
		t.Errorf("answered: %v, dropped: %v", *answered, *dropped)
	}
	for _, ends := range []*[]end{lost, unsent} {
		if len(*ends) != 1 || !errors.Is((*ends)[0].err, errLost) {
			t.Errorf("a call over a broken connection ended with %v", *ends)
		}
	}
	if len(a.conns[1].calls) > 0 {
		t.Error("calls that have ended are kept")
	}
}
