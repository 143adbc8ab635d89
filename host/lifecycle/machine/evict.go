package machine

import (
	"slices"

	"github.com/wasmesh/wasmesh/host/modelcache"
)

// evict unloads the victims of a reservation. They are idle and closed already.
func (m *Machine) evict(out eviction) {
	highest := int32(0)
	for _, v := range out.victims {
		mo, ok := m.find(v.ID, Loaded)
		if !ok {
			continue // The ledger knows no resident that is not Loaded.
		}
		said := out.order.said(v.ID)
		highest = max(highest, modelcache.WithoutTier(said.Keep, v.Keep.Priority))
		m.emit(Evicted{
			Model: mo.id, Unused: m.step.now.Sub(v.LastUsed), Decision: out.order.decision, Keep: said.Keep, Reason: said.Reason,
		})
		m.dropTicket(mo) // Its request has come and gone.
		mo.use.evicted, mo.use.displaced, mo.evicted = m.step.now, true, true
		m.setDue(mo, noTime)
		m.become(mo, Draining)
		m.unload(mo)
	}
	m.worth.clock.Evicted(m.step.now, highest)
	m.moved()
}

// drain closes a loaded copy, and unloads it once its last request has ended.
func (m *Machine) drain(mo *model) {
	m.setDue(mo, noTime)
	m.dropTicket(mo)
	idle := m.ledger.Drain(mo.copyID)
	m.moved()
	m.become(mo, Draining)
	if idle {
		m.unload(mo)
	}
}

// unloadIdle unloads those whose last request has ended.
func (m *Machine) unloadIdle() {
	for _, mo := range slices.Clone(m.draining) {
		if mo.copy != nil && !mo.unloading && mo.due.IsZero() && mo.copy.InFlight() == 0 {
			m.unload(mo)
		}
	}
}

func (m *Machine) unload(mo *model) {
	mo.unloading = true
	m.emit(Unload{ID: mo.copyID, Model: mo.id})
}

func (m *Machine) unloaded(ev Unloaded) {
	mo, ok := m.find(ev.ID, Draining)
	if !ok || !mo.unloading {
		return
	}
	mo.unloading = false
	if ev.Fault != nil {
		m.setDue(mo, m.step.now.Add(unloadRetry))
		if ev.Fault.is(BadModel) {
			m.stalled(mo)
		}
		return
	}
	m.gone(mo)
	if mo.row == nil || mo.wanted() || mo.trouble.last != nil {
		m.settle(mo)
		return
	}
	m.stand(mo)
}

// stalled accounts for a copy that a living runtime would not unload. Others go for those who wait for its memory, in the
// background only such as may go for the first of them; if those do not suffice, who waits lets go of what it has got
// meanwhile, and queues again.
func (m *Machine) stalled(mo *model) {
	out := eviction{}
	_, covered := m.ledger.Stall(mo.copyID, nil)
	if waits := m.firstWithoutMemory(); !covered && waits != nil {
		out.order = m.rank(waits, m.mayGo(waits))
		out.victims, covered = m.ledger.Stall(mo.copyID, out.order.ids)
		m.decided(waits, out)
	}
	m.evict(out)
	if covered {
		return
	}
	for _, waits := range slices.Clone(m.running) {
		switch {
		case waits.load == nil || waits.load.reservation.Ready():
		case waits.state == Sizing:
			m.discard(waits)
		case waits.load.artifact == nil:
			waits.load.reservation.Abort() // The end of the pull finds it so.
		default:
			m.giveUp(waits)
			m.settle(waits)
		}
	}
}

// firstWithoutMemory is the most urgent of those that wait for the memory of others; nil when none does.
func (m *Machine) firstWithoutMemory() *model {
	var first *model
	for _, mo := range m.running {
		if mo.load != nil && !mo.load.reservation.Ready() && (first == nil || moreUrgent(mo, first) < 0) {
			first = mo
		}
	}
	return first
}

// gone accounts for a copy that the runtime holds no more.
func (m *Machine) gone(mo *model) {
	mo.unloading = false
	m.setDue(mo, noTime)
	if mo.load != nil {
		m.giveUp(mo)
		return
	}
	m.ledger.Unloaded(mo.copyID)
	mo.rates.Read(m.step.now, mo.copy.Info())
	mo.use.last = mo.copy.LastUsed()
	m.tell(mo)
	if mo.ticket.holding {
		m.dropTicket(mo)
	}
	mo.copy = nil
	m.unname(mo)
}

// watchIdle looks at a loaded model again when it will have been unused for its TTL, if it has one.
func (m *Machine) watchIdle(mo *model) {
	if ttl := mo.idleTTL(); ttl > 0 {
		m.setDue(mo, later(mo.copy.LastUsed(), mo.since).Add(ttl))
	} else {
		m.setDue(mo, noTime)
	}
}

// checkIdle unloads a model that has been unused for its TTL. Only a request brings it back.
func (m *Machine) checkIdle(mo *model) {
	unused := later(mo.copy.LastUsed(), mo.since).Add(mo.idleTTL())
	switch {
	case mo.copy.InFlight() > 0:
		m.setDue(mo, m.step.now.Add(mo.idleTTL()))
	case unused.After(m.step.now):
		m.setDue(mo, unused)
	default:
		mo.use.retired = true
		m.drain(mo)
	}
}
