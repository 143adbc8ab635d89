package simulate

import (
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// As in packages mesh and node.
const (
	drainTimeout        = 2 * time.Minute
	drainGrace          = 15 * time.Second
	handovers           = 8
	inUseWithin         = time.Hour
	handoverAgain       = 500 * time.Millisecond
	handoverPoll        = 20 * time.Millisecond
	maxHandoverFailures = 3
	leavePause          = 500 * time.Millisecond
	// farewell is how long a host that takes nothing more looks whether all has ended.
	farewell = 100 * time.Millisecond
)

// drain is a host's leaving: copies in use are loaded elsewhere, then clients are told, then what is under way ends.
type drain struct {
	begun, notReady, stopped bool
	until                    time.Duration
	// done are the models that need no more care; queue those that do, in this round, and busy how many are cared for now.
	done  map[string]bool
	queue []*model
	busy  int
}

// leave begins to drain.
func (m *mesh) leave() {
	h := m.host
	if m.drain.begun {
		return
	}
	h.note("drain", "", 0)
	m.drain = drain{begun: true, until: h.world.clock.now + drainTimeout, done: map[string]bool{}}
	h.peers.draining, h.leaving = true, true
	h.peers.publishFigures()
	if !h.spec.Gateway {
		h.exec.step(machine.SetDraining{Draining: true})
	}
	h.plan(drainTimeout, m.notReady)
	m.round()
}

// round hands over what is in use, and again what came meanwhile.
func (m *mesh) round() {
	h, d := m.host, &m.drain
	if d.notReady || d.busy > 0 || len(d.queue) > 0 {
		return
	}
	type leaving struct {
		model *model
		used  time.Time
	}
	var copies []leaving
	for _, s := range h.exec.inOrder {
		used := s.LastUsed()
		if s.inside+len(s.queue) > 0 {
			used = h.now()
		}
		knobs := h.rows[s.model.spec.Name].GetKnobs()
		if !d.done[s.model.spec.Name] && h.lists(s.model.spec.Name) &&
			(h.now().Sub(used) < inUseWithin || knobs.GetPinned() || knobs.GetMinCopies() > 0) {
			copies = append(copies, leaving{s.model, used})
		}
	}
	slices.SortStableFunc(copies, func(a, b leaving) int { return b.used.Compare(a.used) })
	for _, c := range copies {
		d.queue = append(d.queue, c.model)
	}
	if len(d.queue) == 0 {
		m.notReady()
		return
	}
	m.handOver()
}

// handOver cares for the next copies, several at once.
func (m *mesh) handOver() {
	d := &m.drain
	for len(d.queue) > 0 && d.busy < handovers {
		next := d.queue[0]
		d.queue = d.queue[1:]
		d.busy++
		handover := &handover{mesh: m, model: next}
		handover.place()
	}
	m.round()
}

// handover is the care for one copy.
type handover struct {
	mesh   *mesh
	model  *model
	failed []string
	// since it was placed on a host, and whether it has been seen there.
	since time.Duration
	seen  bool
}

func (o *handover) end(what string) {
	o.mesh.host.note(what, o.model.spec.Name, 0)
	o.mesh.drain.done[o.model.spec.Name] = true
	o.mesh.drain.busy--
	o.mesh.handOver()
}

// place has the model's arbiter load it elsewhere.
func (o *handover) place() {
	m, name := o.mesh, o.model.spec.Name
	switch {
	case m.drain.notReady:
		return
	case !m.host.lists(name) || o.elsewhere():
		o.end("moved")
		return
	case !o.somebodyElse():
		o.end("stranded")
		return
	}
	exclude := append([]string{m.host.spec.Name}, o.failed...)
	m.place(name, policyabi.PurposeDrain, exclude, func(result arbiter.Result) {
		if placed := result.Placed; placed != nil {
			o.since, o.seen = m.host.world.clock.now, false
			o.watch(placed.Host)
			return
		}
		switch result.Unplaced.Reason {
		case peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT, peerv1.UnplacedReason_UNPLACED_REASON_FAILED,
			peerv1.UnplacedReason_UNPLACED_REASON_ENOUGH:
			o.end("stranded")
		default:
			m.host.plan(max(handoverAgain, result.Unplaced.RetryAfter), o.place)
		}
	})
}

// watch waits until the model is loaded on a host that stays, or has no chance to be loaded on the one where it was placed.
func (o *handover) watch(host string) {
	h := o.mesh.host
	waited := h.world.clock.now - o.since
	there := residency.Absent
	for _, c := range h.peers.table.Copies(o.model.key, nil) {
		if c.Host == host {
			there = c.State
		}
	}
	target := h.peers.view.Find(host)
	switch {
	case o.mesh.drain.notReady:
		return
	case o.elsewhere():
		o.end("moved")
		return
	case there == residency.Queued, there == residency.Loading:
		o.seen = true
	case there == residency.Failed && (o.seen || waited > handoverAgain):
		if o.failed = append(o.failed, host); len(o.failed) >= maxHandoverFailures {
			o.end("stranded")
			return
		}
		o.place()
		return
	case target == nil, !target.Live, target.Draining, o.seen, waited > 2*handoverAgain:
		h.plan(handoverAgain, o.place)
		return
	}
	h.plan(handoverPoll, func() { o.watch(host) })
}

// elsewhere reports whether a host that stays has the model.
func (o *handover) elsewhere() bool {
	h := o.mesh.host
	return slices.ContainsFunc(h.peers.table.Copies(o.model.key, nil), func(c residency.Copy) bool {
		host := h.peers.view.Find(c.Host)
		return c.Host != h.spec.Name && c.State == residency.Loaded && host != nil && host.Live && !host.Draining
	})
}

func (o *handover) somebodyElse() bool {
	h := o.mesh.host
	all := h.peers.view.All()
	return slices.ContainsFunc(all, func(other members.Member) bool {
		return other.ID != h.spec.Name && !other.Draining && other.Eligible(runtimes()) && !slices.Contains(o.failed, other.ID)
	})
}

// notReady tells clients that this host leaves; for a while it goes on taking their requests.
func (m *mesh) notReady() {
	if m.drain.notReady {
		return
	}
	m.host.note("not ready", "", int64(len(m.drain.queue)+m.drain.busy))
	m.drain.notReady = true
	m.host.plan(drainGrace, m.finish)
}

// finish takes nothing more of clients and has the others drop this host, so that they send nothing here.
func (m *mesh) finish() {
	h := m.host
	m.drain.stopped = true
	for _, other := range h.world.hosts {
		if other != h {
			other.conns[h.index].retire()
		}
	}
	h.plan(leavePause, m.exit)
}

// exit ends the process when what is under way has ended.
func (m *mesh) exit() {
	h := m.host
	if len(h.world.clients.waiting[h.index])+len(h.world.clients.working[h.index])+len(h.exec.waiters) > 0 {
		h.plan(farewell, m.exit)
		return
	}
	h.world.stats.Drained++
	h.die("left")
}
