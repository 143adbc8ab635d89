package lifecycle

import (
	"slices"
	"sync"
)

// gate lets so many requests at once to a copy that takes no more, and has others wait in the order in which they came.
// Copies without a limit have none. While somebody waits the copy is in flight, so it is not evicted. Safe for
// concurrent use.
//
// Invariant: somebody waits only while all slots are taken.
type gate struct {
	// limit of requests at once, and bound of those that may come to wait for a slot.
	limit, bound int

	mu      sync.Mutex // guards below; nothing is called while it is held
	taken   int
	waiting []*place
	shut    bool
}

// queueLeast and queueShare bound the queue of a copy: a few times what it takes at once, and enough for a burst where that
// is one.
const (
	queueLeast = 16
	queueShare = 8
)

func newGate(limit int) *gate {
	if limit <= 0 {
		return nil
	}
	return &gate{limit: limit, bound: max(queueLeast, queueShare*limit)}
}

// place is one request at a gate.
type place struct {
	// turn is closed when the request has a slot, or the gate is shut.
	turn chan struct{}
	// held: it has a slot. Guarded by gate.mu until turn is closed.
	held bool
}

// try takes a slot if one is free.
func (g *gate) try() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.taken >= g.limit || g.shut {
		return false
	}
	g.taken++
	return true
}

// join takes a slot or a place in line. Nil: too many wait already. Who has waited for the load is not sent away.
func (g *gate) join(waited bool) *place {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := &place{turn: make(chan struct{})}
	switch {
	case g.shut:
		close(p.turn)
	case g.taken < g.limit:
		g.taken++
		p.held = true
		close(p.turn)
	case !waited && len(g.waiting) >= g.bound:
		return nil
	default:
		g.waiting = append(g.waiting, p)
	}
	return p
}

// leave gives a slot to whoever is next.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.taken--
		return
	}
	next := g.waiting[0]
	g.waiting[0] = nil
	g.waiting = g.waiting[1:]
	next.held = true
	close(next.turn)
}

// quit gives up a place, whatever it has come to.
func (g *gate) quit(p *place) {
	g.mu.Lock()
	if i := slices.Index(g.waiting, p); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	held := p.held
	g.mu.Unlock()
	if held {
		g.leave()
	}
}

// close sends everybody away who waits: the copy takes no more requests. Those that have a slot keep it.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for _, p := range g.waiting {
		close(p.turn)
	}
	g.waiting = nil
}

// counts answers how many have a slot and how many wait.
func (g *gate) counts() (taken, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.taken, len(g.waiting)
}
