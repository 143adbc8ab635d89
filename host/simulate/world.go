package simulate

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/host/simulate/scenario"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Config is what a simulation is made from.
type Config struct {
	Scenario *scenario.Scenario
	// Policies answer the hooks; nil ones are the built-in defaults.
	Policies Policies
	// Trace takes a line for everything that happens; nil takes none.
	Trace io.Writer
}

// World is a simulated mesh.
type World struct {
	scenario *scenario.Scenario
	seed     uint64
	clock    clock
	trace    trace
	network  network
	hosts    []*host
	byName   map[string]*host
	models   map[string]*model
	byKey    map[uint64]*model
	catalog  *catalog
	clients  *clients
	policies *policies
	// beats are sent only where messages can be lost: else they say nothing new.
	beats bool
	// recorded: the requests are recorded ones, and may be more than the mesh can serve.
	recorded bool
	checks   checks
	stats    Stats
	asked    []ModelResult
	failed   []string
}

// Run plays a scenario to its end, or to the first promise that is broken.
func Run(config Config) *Result {
	w := newWorld(config)
	w.play()
	return w.result()
}

func (w *World) result() *Result {
	w.stats.Events, w.stats.End = w.clock.fired, w.clock.now
	return &Result{Broken: w.failed, Hash: w.trace.hash, Stats: w.stats, Models: w.asked}
}

func newWorld(config Config) *World {
	s := config.Scenario
	w := &World{
		scenario: s, seed: s.Seed, trace: newTrace(config.Trace), byName: map[string]*host{}, models: map[string]*model{},
		byKey: map[uint64]*model{}, checks: newChecks(), stats: Stats{Outcomes: map[route.Outcome]int{}, LoadsFor: map[policyabi.Purpose]int{}},
	}
	w.policies = &policies{world: w, hooks: config.Policies}
	for i := range s.Hosts {
		h := &host{world: w, spec: s.Hosts[i], index: i, dice: newDice(s.Seed, "host", s.Hosts[i].Name), skew: s.Hosts[i].Skew, disk: disk{}}
		h.runtime.host = h
		w.hosts = append(w.hosts, h)
		w.byName[h.spec.Name] = h
	}
	for _, h := range w.hosts {
		h.conns = make([]*conn, len(w.hosts))
		for _, other := range w.hosts {
			if other != h {
				h.conns[other.index] = &conn{world: w, from: h, to: other}
			}
		}
	}
	w.network = newNetwork(&w.clock, s.Seed, w.hosts)
	w.beats = slices.ContainsFunc(s.Steps, func(step scenario.Step) bool { return step.Verb == scenario.Lose })
	w.catalog = &catalog{world: w}
	w.clients = newClients(w)
	for i := range s.Models {
		m := &model{spec: s.Models[i], key: keyOf(s.Models[i].Name), broken: map[string]int{}, changed: never}
		w.models[m.spec.Name], w.byKey[m.key] = m, m
		if !m.spec.Later {
			m.row = rowOf(m)
			w.catalog.changes = append(w.catalog.changes, change{m, m.row})
		}
	}
	return w
}

// never is a time before all others.
const never = -1 << 62 * time.Nanosecond

// play runs everything.
func (w *World) play() {
	for _, h := range w.hosts {
		if !h.spec.Later {
			w.clock.after(h.dice.between(0, 50*time.Millisecond), h.boot)
		}
	}
	for i := range w.scenario.Steps {
		step := w.scenario.Steps[i]
		w.clock.after(step.At, func() { w.act(step) })
	}
	w.runUntil(w.scenario.End() + w.scenario.Quiet)
	w.checkQuiet()
	w.countModels()
	w.probe()
}

// countModels counts what came of the models that were asked for.
func (w *World) countModels() {
	names := map[string]bool{}
	for i := range w.scenario.Steps {
		if step := &w.scenario.Steps[i]; step.Verb == scenario.Request {
			names[step.Model] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		w.asked = append(w.asked, ModelResult{Name: name, Loads: w.model(name).loads, Copies: w.copies(name)})
	}
}

// copies is on how many hosts a model is loaded.
func (w *World) copies(name string) int {
	n := 0
	for _, h := range w.hosts {
		if h.up && h.exec.served[name] != nil {
			n++
		}
	}
	return n
}

// runUntil lets things happen until then, or until a promise is broken.
func (w *World) runUntil(end time.Duration) {
	at, busy := w.clock.now, 0
	for len(w.failed) == 0 {
		fire, ok := w.clock.next(end)
		if !ok {
			return
		}
		if w.clock.now != at {
			at, busy = w.clock.now, 0
		}
		if busy++; busy > busiest {
			w.broken("something goes on and on without time going by")
			return
		}
		fire()
	}
}

// busiest is more events than any moment has for a good reason.
const busiest = 200_000

// broken records a promise that was not kept.
func (w *World) broken(format string, args ...any) {
	what := fmt.Sprintf("at %v: ", w.clock.now) + fmt.Sprintf(format, args...)
	w.failed = append(w.failed, what)
	if w.trace.out != nil {
		fmt.Fprintln(w.trace.out, "BROKEN", what)
	}
}

func (w *World) note(h *host, what, about string, number int64) {
	name := ""
	if h != nil {
		name = h.spec.Name
	}
	w.trace.note(w.clock.now, name, what, about, number)
}

func (w *World) host(name string) *host { return w.byName[name] }

func (w *World) model(name string) *model { return w.models[name] }
