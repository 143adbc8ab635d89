package machine

import (
	"slices"

	"github.com/wasmesh/wasmesh/host/modelcache"
)

// everything is who may go for a model that a request waits for: all that is idle and not pinned, in the configured order.
func (m *Machine) everything(*model) []modelcache.CopyID {
	return m.config.Order(m.step.now, m.residents())
}

// residents is the ledger's snapshot without what is draining, taken once per step.
func (m *Machine) residents() []modelcache.CopyInfo {
	if m.step.copies == nil {
		m.step.copies = slices.DeleteFunc(m.ledger.Snapshot(), func(c modelcache.CopyInfo) bool { return c.Draining })
	}
	return m.step.copies
}

// evict unloads the victims of a reservation. They are idle and closed already.
func (m *Machine) evict(victims []modelcache.Victim) {
	for _, v := range victims {
		mo, ok := m.find(v.ID, Loaded)
		if !ok {
			continue // The ledger knows no resident that is not Loaded.
		}
		m.emit(Evicted{Model: mo.id, Unused: m.step.now.Sub(v.LastUsed)})
		mo.use.evicted = m.step.now
		m.setDue(mo, noTime)
		m.become(mo, Draining)
		m.unload(mo)
	}
}

// drain closes a loaded copy, and unloads it once its last request has ended.
func (m *Machine) drain(mo *model) {
	m.setDue(mo, noTime)
	idle := m.ledger.Drain(mo.copyID)
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

// stalled accounts for a copy that a living runtime would not unload. Others go for those who wait for its memory; if
// those do not suffice, who waits lets go of what it has got meanwhile, and queues again.
func (m *Machine) stalled(mo *model) {
	victims, covered := m.ledger.Stall(mo.copyID, m.everything(mo))
	m.evict(victims)
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

// gone accounts for a copy that the runtime holds no more.
func (m *Machine) gone(mo *model) {
	mo.unloading = false
	m.setDue(mo, noTime)
	if mo.load != nil {
		m.giveUp(mo)
		return
	}
	m.ledger.Unloaded(mo.copyID)
	mo.use.last = mo.copy.LastUsed()
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
