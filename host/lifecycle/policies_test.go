package lifecycle

import (
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
)

// toldPolicies writes down what it hears.
type toldPolicies struct {
	mu    sync.Mutex // guards below
	lines []string
}

func (p *toldPolicies) add(words ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, strings.Join(words, " "))
}

// take answers what was heard since the last time.
func (p *toldPolicies) take() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

func (p *toldPolicies) Decided(decided machine.Decided) {
	p.add("evicted", strings.Join(decided.Victims, ","), "for", decided.Model)
}

// Policies hear what a ranking led to.
func TestPoliciesHearWhatCameOfIt(t *testing.T) {
	config := capacity(2)
	var mu sync.Mutex // guards last
	last := map[string]modelcache.Candidate{}
	config.Machine.Order = func(r modelcache.Ranking) (ranked []modelcache.Ranked, decision uint64) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range r.Copies {
			last[c.Model] = c
			// In the order of their names, the last first.
			ranked = append(ranked, modelcache.Ranked{ID: c.ID, Keep: -int32(c.Model[0])})
		}
		return ranked, 1
	}
	run(t, config, func(t *testing.T, h *host) {
		expect := func(want ...string) {
			t.Helper()
			if got := h.told.take(); !reflect.DeepEqual(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		h.catalog("a", "b", "c", "broken")
		h.runtime.program(func() { h.runtime.loadErr["broken"] = errPickle })
		expect()

		var group sync.WaitGroup
		for range 20 {
			group.Go(func() { h.use("b") })
		}
		group.Wait()
		h.use("b")
		h.use("a")
		expect()

		h.use("c") // a is the least recently used, b what the policy says.
		expect("evicted b for c")
		mu.Lock()
		if b := last["b"]; b.LoadCost != h.runtime.loadTime || b.Rate == 0 || b.Uses != 21 {
			t.Errorf("the policy was told of b: %+v", b)
		}
		mu.Unlock()

		if _, err := h.acquire("broken"); err == nil {
			t.Error("a broken model was loaded")
		}
		expect("evicted c for broken")
	})
}

// What it would cost to make room is known a moment after a model was loaded.
func TestReclaimCurve(t *testing.T) {
	config := capacity(4)
	config.Machine.Order = func(r modelcache.Ranking) (ranked []modelcache.Ranked, decision uint64) {
		for _, c := range r.Copies {
			ranked = append(ranked, modelcache.Ranked{ID: c.ID, Keep: 5})
		}
		return ranked, 0
	}
	run(t, config, func(t *testing.T, h *host) {
		h.catalog("a", "b")
		if got := h.ReclaimCurve(); got != (modelcache.Curve{}) {
			t.Errorf("without a model: %v", got)
		}
		h.use("a")
		h.use("b")
		time.Sleep(2 * figuresInterval)
		synctest.Wait()
		if got, want := h.ReclaimCurve(), (modelcache.Curve{1, 2, 5, 10}); got != want {
			t.Errorf("curve %v, want %v", got, want)
		}
	})
}
