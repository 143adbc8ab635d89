package simulate

import (
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/route"
)

// request is one of a client, from its arrival to its outcome.
type request struct {
	world  *World
	number int
	model  *model
	// entry is the host that the client chose, touched the others that it was passed to.
	entry   *host
	touched []*host
	arrived time.Duration
	// deadline is when the client goes away; work how long the runtime is busy with it.
	deadline, work time.Duration
	// steps that its trip took.
	steps int
	// cold: it waited for a load, or for somebody to say where.
	cold bool
	// probe: it comes in the end, when everything has to be in order.
	probe   bool
	session *session
	ended   bool
	outcome route.Outcome
}

// clients are everybody who asks.
type clients struct {
	world *World
	last  int
	// waiting are the requests without an outcome, by entry.
	waiting [][]*request
	// working are the requests that runtimes work on, by host.
	working [][]*working
	dice    dice
	// probes have yet to be sent.
	probes int
}

// idle reports whether nobody waits for an answer, and nothing is left of those who did.
func (c *clients) idle() bool {
	for _, h := range c.world.hosts {
		if len(c.waiting[h.index])+len(c.working[h.index]) > 0 {
			return false
		}
	}
	return true
}

func newClients(w *World) *clients {
	return &clients{
		world: w, waiting: make([][]*request, len(w.hosts)), working: make([][]*working, len(w.hosts)),
		dice: newDice(w.seed, "clients"),
	}
}

// ask sends a request to a host, nil for any that is ready.
func (c *clients) ask(r *request) {
	w := c.world
	c.last++
	r.world, r.number, r.arrived = w, c.last, w.clock.now
	r.deadline += w.clock.now
	w.stats.Requests++
	if r.entry == nil {
		r.entry = c.anyReady()
	}
	if r.entry == nil || !r.entry.up || r.entry.mesh.drain.stopped {
		w.stats.Refused++
		return // Nobody takes the connection.
	}
	h := r.entry
	w.note(h, "request", r.model.spec.Name, int64(r.number))
	c.waiting[h.index] = append(c.waiting[h.index], r)
	w.clock.after(r.deadline-w.clock.now, func() {
		if !r.ended {
			if r.session != nil {
				s := r.session
				h.run(h.life, s.abandon)
			}
			r.answer(route.DeadlineExceeded)
		}
	})
	h.run(h.life, func() {
		if !r.ended {
			r.session = h.mesh.accept(r)
		}
	})
}

// anyReady draws one of the hosts that take requests.
func (c *clients) anyReady() *host {
	var ready []*host
	for _, h := range c.world.hosts {
		if h.up && !h.mesh.drain.notReady && h.hasCatalog {
			ready = append(ready, h)
		}
	}
	if len(ready) == 0 {
		return nil
	}
	return ready[c.dice.below(len(ready))]
}

// answer is the request's outcome; there is one.
func (r *request) answer(outcome route.Outcome) {
	w := r.world
	if r.ended {
		w.broken("request %d for %s ends as %v, and has ended as %v", r.number, r.model.spec.Name, outcome, r.outcome)
		return
	}
	r.ended, r.outcome = true, outcome
	waiting := w.clients.waiting[r.entry.index]
	if i := slices.Index(waiting, r); i >= 0 {
		waiting[i] = waiting[len(waiting)-1]
		w.clients.waiting[r.entry.index] = waiting[:len(waiting)-1]
	}
	w.stats.Outcomes[outcome]++
	if r.cold && outcome == route.Served {
		w.stats.Cold = append(w.stats.Cold, max(w.clock.now-r.arrived-r.work, 0))
	}
	w.note(r.entry, "outcome "+outcome.String(), r.model.spec.Name, int64(r.number))
	w.checkOutcome(r)
}

// died ends what was under way at a host whose process is gone.
func (c *clients) died(h *host) {
	for _, w := range c.working[h.index] {
		w.done = nil
	}
	c.working[h.index] = nil
	waiting := c.waiting[h.index]
	c.waiting[h.index] = nil
	for _, r := range waiting {
		r.answer(route.Interrupted)
	}
}

// runtimeDied ends what the runtime of a host worked on.
func (c *clients) runtimeDied(h *host) {
	for _, w := range slices.Clone(c.working[h.index]) {
		h.run(h.life, func() { w.end(route.Interrupted) })
	}
}

func (c *clients) forget(h *host, w *working) {
	working := c.working[h.index]
	if i := slices.Index(working, w); i >= 0 {
		last := len(working) - 1
		working[i], working[last] = working[last], nil
		c.working[h.index] = working[:last]
	}
}
