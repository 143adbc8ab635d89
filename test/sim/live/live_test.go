package live

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/peers/residency"
)

var (
	seeds = flag.Uint64("seeds", 100, "how many schedules are run")
	first = flag.Uint64("first", 1, "the seed of the first schedule")
	logs  = flag.Bool("logs", false, "have the hosts log to standard error")
)

func TestSchedule(t *testing.T) {
	for seed := *first; seed < *first+*seeds; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, draw(seed)) })
		})
	}
}

// play runs one schedule from its first host to its last.
func play(t *testing.T, p *plan) {
	w := newWorld(t, p)
	for n := range p.hosts {
		w.add(slotID(n+1), slotIP(n+1), newServer(w, slotID(n+1), p.capacity), false)
	}
	defer w.end()
	time.Sleep(2 * time.Second)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for n := range p.clients {
		clients.Go(func() { w.client(p.seed, uint64(n), stop) })
	}
	began := time.Now()
	for _, s := range p.steps {
		time.Sleep(time.Until(began.Add(s.at)))
		w.tasks.Go(func() {
			if *logs {
				t.Logf("%v: %s", s.at, s.what)
			}
			s.do(w)
		})
	}
	time.Sleep(time.Until(began.Add(chaos)))
	close(stop)
	clients.Wait()
	w.tasks.Wait()
	w.atLeastTwo(p)
	time.Sleep(settling)
	synctest.Wait()
	w.agree()
	w.everybodyServes()
	time.Sleep(settling)
	synctest.Wait()
	w.agree()
	w.frugal()
	w.report(p)
}

// atLeastTwo brings hosts back when too few are left to speak of a mesh.
func (w *world) atLeastTwo(p *plan) {
	for n := 1; n <= p.hosts && len(w.living()) < 2; n++ {
		if h := w.host(slotID(n)); h.ending.Load() {
			<-h.gone
			h.port.revive()
			w.add(h.id, slotIP(n), h.port.server, false)
		}
	}
}

// end stops all hosts. A goroutine that is left then fails the test: the bubble waits for none. memberlist's own may take
// as long as one of its timeouts.
func (w *world) end() {
	for _, h := range w.all {
		h.kill()
	}
	w.tasks.Wait()
	time.Sleep(5 * time.Second)
}

// agree: all hosts see each other and the same copies, which are there.
func (w *world) agree() {
	living := w.living()
	for _, h := range w.all {
		if !slices.Contains(living, h) && !h.ending.Load() {
			w.wrong("%s lives beside %s", h, w.host(h.id))
		}
	}
	var alive []string
	for _, h := range living {
		alive = append(alive, h.String())
	}
	for _, h := range living {
		var seen []string
		for _, m := range h.peers.View().All() {
			if m.Live {
				seen = append(seen, fmt.Sprintf("%s (epoch %d at %s)", m.ID, m.Epoch, m.PeerAddress[:len(m.PeerAddress)-len(":8080")]))
			}
		}
		if !slices.Equal(seen, alive) {
			w.wrong("%s sees %v live, but these are: %v", h, seen, alive)
		}
	}
	for _, m := range w.catalog() {
		there := map[string]residency.State{}
		for _, h := range living {
			if state := residencyOf(h.executor.State(m.id)); state != residency.Absent {
				there[h.id] = state
			}
			if held := h.port.held()[m.id]; held != (there[h.id] == residency.Loaded) && settled(there[h.id]) {
				w.wrong("%s on %s is %s, and that its inference server holds it is %v", m.id, h, there[h.id], held)
			}
		}
		for _, h := range living {
			believed := map[string]residency.State{}
			for _, c := range h.peers.Table().Copies(m.key(), nil) {
				believed[c.Host] = c.State
			}
			if !maps.Equal(believed, there) {
				w.wrong("%s believes that copies of %s are %v, but they are %v", h, m.id, believed, there)
			}
		}
	}
}

// settled: nothing is under way.
func settled(s residency.State) bool {
	return s == residency.Absent || s == residency.Loaded || s == residency.Failed
}

func residencyOf(s machine.State) residency.State {
	switch s {
	case machine.Queued, machine.Estimating:
		return residency.Queued
	case machine.Pulling, machine.Loading, machine.Sizing:
		return residency.Loading
	case machine.Loaded:
		return residency.Loaded
	case machine.Draining:
		return residency.Draining
	case machine.Failed:
		return residency.Failed
	}
	return residency.Absent
}

// frugal: no model has more copies than it needs, when nobody asks for any.
func (w *world) frugal() {
	for _, m := range w.catalog() {
		var on []string
		for _, h := range w.living() {
			if h.executor.State(m.id) == machine.Loaded {
				on = append(on, h.id)
			}
		}
		if need := max(1, int(m.minCopies)); len(on) > need {
			w.wrong("%s has %d copies, on %v, and needs %d", m.id, len(on), on, need)
		}
	}
}

// everybodyServes: each host serves each model, those that failed when they are due.
func (w *world) everybodyServes() {
	for _, h := range w.living() {
		for _, m := range w.catalog() {
			err := w.ask(h, m, 2*time.Minute, time.Millisecond)
			for attempt := 0; err != nil && w.mayFail(m.id) && attempt < 10; attempt++ {
				time.Sleep(retryAfter(err))
				err = w.ask(h, m, 2*time.Minute, time.Millisecond)
			}
			if err != nil {
				w.wrong("%s does not serve %s although all is well again: %v", h, m.id, err)
			}
		}
	}
}
