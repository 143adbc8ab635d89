package machine

import (
	"maps"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/route"
)

// home reports whether the model is this host's to see to: nobody else holds it, and nobody else would.
func (m *Machine) home(mo *model) bool {
	mesh := m.config.Mesh
	return mesh.Home(mo.key, mo.row.GetRuntimes()) && mesh.CopiesElsewhere(mo.key) == 0
}

// elsewhere is how many copies other hosts have.
func (m *Machine) elsewhere(mo *model) int {
	if m.config.Mesh == nil {
		return 0
	}
	return m.config.Mesh.CopiesElsewhere(mo.key)
}

func (m *Machine) meshChanged(ev MeshChanged) {
	if b := &m.background; ev.Room {
		b.roomAt, b.lookAt = m.step.now, noTime
	}
	if ev.All {
		m.reviewAll()
	}
	for _, id := range ev.Uncovered {
		if mo := m.models[id]; mo != nil && mo.row != nil {
			if ttl := mo.idleTTL(); ttl > 0 && mo.copy == nil && m.step.now.Sub(mo.use.last) >= ttl {
				// As far as is known here it went for want of use.
				mo.use.retired = true
			}
			m.reconsider(mo)
		}
	}
}

// reviewAll has all models looked at again. It goes on where the last review has come to: homes that change all the time must
// not have the first models looked at for ever, and the last never.
func (m *Machine) reviewAll() {
	ids := slices.Sorted(maps.Keys(m.models))
	if left := m.background.review; len(left) > 0 {
		next, _ := slices.BinarySearch(ids, left[0])
		ids = slices.Concat(ids[next:], ids[:next])
	}
	m.background.review = ids
}

// review looks again at some of the models of which it may have changed whose they are to see to.
func (m *Machine) review() {
	b := &m.background
	n := min(len(b.review), considerPerStep)
	for _, id := range b.review[:n] {
		if mo := m.models[id]; mo != nil && mo.row != nil {
			m.reconsider(mo)
		}
	}
	if b.review = b.review[n:]; len(b.review) > 0 {
		b.runAgain(m.step.now)
	}
}

// awaitRuntime has the requests try elsewhere that came while the runtime was down, once that has been so for long. Those
// that come later have been told that there is nobody else.
func (m *Machine) awaitRuntime() {
	if m.config.Mesh == nil || m.runtime.ready || m.runtime.despaired {
		return
	}
	if at := m.runtime.down.Add(runtimePatience); at.After(m.step.now) {
		m.background.runAgain(at)
		return
	}
	m.runtime.despaired = true
	m.sendAway()
}

// reconsider offers a model that is this host's to see to now, and leaves alone one that no longer is.
func (m *Machine) reconsider(mo *model) {
	b := &m.background
	offered := b.unsized.has(mo) || b.sized.has(mo) || b.standby.has(mo) || b.offers.has(mo) || mo.offering.id != 0
	may := m.mayOffer(mo)
	switch {
	case offered && !may:
		m.rest(mo)
	case offered || !may:
	case mo.state == Absent && !m.bound(mo) && m.sizeKnown(mo) && !m.mayFit(mo):
		m.stand(mo) // As it would come to be, and nobody needs to be told that it was in line in between.
	case mo.state == Absent, mo.state == Failed && mo.due.IsZero():
		m.offer(mo)
	}
}

// setDraining begins or ends the host's leaving.
func (m *Machine) setDraining(ev SetDraining) {
	if ev.Draining == m.leaving {
		return
	}
	m.leaving = ev.Draining
	m.meshChanged(MeshChanged{All: true})
	if !m.leaving {
		return
	}
	for _, mo := range slices.Clone(m.running) {
		if !mo.wanted() {
			m.callOff(mo)
		}
	}
}

// callOff ends an undertaking early.
func (m *Machine) callOff(mo *model) {
	mo.use.brought = false
	m.show(mo)
	switch {
	case mo.state == Sizing:
		m.discard(mo)
	case mo.state == Pulling && mo.load.artifact != nil:
		m.giveUp(mo)
		m.settle(mo)
	default:
		m.emit(CancelLoad{ID: mo.copyID})
	}
}

// gaveUp lets go of a copy that is not needed, or of the load of one. Whatever the arbiter may think, the last copy stays.
func (m *Machine) gaveUp(ev GiveUp) {
	answer := GaveUp{Ticket: ev.Ticket, Released: true}
	mo := m.models[ev.Model]
	switch {
	case mo == nil || mo.row == nil:
	case len(mo.waiters) > 0:
		answer = GaveUp{Ticket: ev.Ticket, Message: "requests wait for it"}
	case mo.offered:
	case mo.state == Loaded && m.elsewhere(mo) == 0:
		answer = GaveUp{Ticket: ev.Ticket, Message: "no other host has a copy, as far as this one knows"}
	case mo.state == Loaded:
		m.drain(mo)
	case mo.under():
		m.dropTicket(mo)
		m.callOff(mo)
	case mo.state == Queued:
		m.dropTicket(mo)
		mo.use.brought = false
		m.offer(mo)
	}
	m.emit(answer)
}

// remembered takes in what the mesh knows of models that have gone elsewhere.
func (m *Machine) remembered(ev Remembered) {
	for _, r := range ev.Models {
		if mo := m.models[r.Model]; mo != nil && mo.row != nil {
			m.recall(mo, r)
			if ttl := mo.idleTTL(); mo.use.retired && m.step.now.Sub(mo.use.last) < ttl {
				mo.use.retired = false
				m.reconsider(mo)
			}
			continue
		}
		past, _ := m.former.Get(r.Model)
		past.rates.Merge(m.step.now, r.Usage)
		if r.LoadCost > 0 {
			past.cost = r.LoadCost
		}
		m.former.Add(r.Model, past)
	}
}

// recall adds to what is known of a model what somebody else remembers of it.
func (m *Machine) recall(mo *model, r Remember) {
	mo.rates.Merge(m.step.now, r.Usage)
	if mo.cost == 0 {
		mo.cost = max(r.LoadCost, 0)
	}
	mo.use.displaced = mo.use.displaced || r.Evicted && mo.copy == nil
	used := later(r.Usage.At, r.LastUsed)
	if used.After(m.step.now) {
		used = m.step.now // By a clock that runs ahead.
	}
	if mo.copy == nil && used.After(mo.use.last) {
		mo.use.last = used
		m.background.reorder(mo)
	}
	// Another host's word for the size spares the question to storage, and holds until there is a newer one, for the first
	// may have been a guess, or until this host knows better; what can never fit is found out here.
	bytes := r.Size[modelcache.HostMemory]
	known, ok := m.history.Peek(mo.id)
	if own := ok && known.disk != anyBytes; !own && bytes > 0 && bytes <= m.ledger.Capacity()[modelcache.HostMemory] {
		m.history.Add(mo.id, learned{memory: bytes, disk: anyBytes})
	}
}

// tell has what is known of a model remembered beyond its copy, which is here for the last time or the first.
func (m *Machine) tell(mo *model) {
	m.emit(Remember{
		Model: mo.id, Key: mo.key, Usage: mo.rates.Record(), LastUsed: mo.copy.LastUsed(), LoadCost: mo.cost,
		Size: mo.copy.Size(), Evicted: mo.evicted,
	})
}

// sendAway has the requests that wait here try elsewhere, for the runtime may be long in coming back.
func (m *Machine) sendAway() {
	if m.config.Mesh == nil {
		return
	}
	for _, mo := range slices.Concat(m.queue, m.running, m.draining) {
		if !mo.wanted() {
			continue
		}
		err := route.Errorf(route.NoHost, "the runtime of this host does not answer, and the request waited for model %q to load; try again", mo.id)
		err.RetryAfter = time.Second
		mo.use.brought = false
		m.dropTicket(mo)
		waiters := m.takeWaiters(mo)
		if mo.state == Queued {
			m.offer(mo)
		}
		m.show(mo)
		if len(waiters) > 0 {
			// What of it is still under way is of no use to them.
			m.emit(Wake{Waiters: waiters, Err: err, State: Absent})
		}
	}
}
