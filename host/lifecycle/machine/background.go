package machine

import (
	"errors"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
)

// background is what the machine does when no request waits: load what is new, bring back what had to go, try again
// what failed. All of it gives way to requests: it starts only while no request waits in the queue, takes free memory or
// replaces what is worth less, and leaves at least one slot of each kind free where there is more than one.
type background struct {
	// pending models have not been looked at since they were offered; to the outside they are Queued.
	pending modelHeap
	// standby models were looked at, and there was no room for them.
	standby modelHeap
	// lookAt is when standby models are looked at again, whatever happens until then; earlier if what is free is no
	// longer what it was the last time.
	lookAt   time.Time
	seenFree modelcache.Resources
	// startAt is when the next load may start.
	startAt time.Time
	// more: this step has had its share of pending models.
	more      bool
	evictions quota
	// switching is the target of every alias that is changing over, and its active model.
	switching map[string]string
}

// quota counts something per minute.
type quota struct {
	since time.Time
	used  int
}

func (q *quota) left(now time.Time, most int) bool {
	if now.Sub(q.since) >= time.Minute {
		*q = quota{since: now}
	}
	return q.used < most
}

// reorder moves a model whose worth has changed.
func (b *background) reorder(mo *model) {
	for _, h := range []*modelHeap{&b.pending, &b.standby} {
		if h.has(mo) {
			h.add(mo)
		}
	}
}

// offer has a model loaded in the background once there is room.
func (m *Machine) offer(mo *model) {
	if !m.mayOffer(mo) {
		m.rest(mo)
		return
	}
	m.dequeue(mo)
	if mo.state != Queued {
		m.become(mo, Queued)
	}
	m.background.pending.add(mo)
}

// mayOffer reports whether the model is loaded here without a request: this host is the first choice for it, or has
// served it before; and it was not retired for want of use.
func (m *Machine) mayOffer(mo *model) bool {
	return mo.row != nil && !mo.use.retired && (mo.use.here || mo.row.GetRuntimes()[0] == m.config.Runtime)
}

// fill starts what may start in the background.
func (m *Machine) fill() {
	b := &m.background
	b.more = false
	if !m.runtime.ready || len(m.queue) > 0 || b.pending.len()+b.standby.len() == 0 || !m.mayStart() {
		return
	}
	m.followActive()
	var cleaning []*model
	for n := 0; b.pending.len() > 0 && m.mayStart(); n++ {
		if n == considerPerStep {
			b.more = true
			break
		}
		mo := b.pending.pop()
		switch {
		case mo.files.cleaning: // FilesRemoved brings us back.
			cleaning = append(cleaning, mo)
		case !m.consider(mo):
			m.rest(mo)
			m.stand(mo)
		}
	}
	for _, mo := range cleaning {
		b.pending.add(mo)
	}
	if !b.more && m.lookDue() {
		m.lookAtStandby()
	}
}

// lookAtStandby gives the most valuable standby models another chance.
func (m *Machine) lookAtStandby() {
	b := &m.background
	var passed []*model
	for len(passed) < standbyPerPass && b.standby.len() > 0 && m.mayStart() {
		mo := b.standby.pop()
		guarded := m.step.now.Sub(mo.use.evicted) < m.config.Envelope.ReloadGuard
		if guarded || mo.files.cleaning || !m.consider(mo) {
			passed = append(passed, mo)
		}
	}
	for _, mo := range passed {
		b.standby.add(mo)
	}
	switch {
	case !m.mayStart():
		b.lookAt = noTime // The rest is looked at when a slot is free again.
	case len(b.switching) > 0:
		b.lookAt = m.step.now.Add(recheckSwitch)
	default:
		b.lookAt = m.step.now.Add(recheck)
	}
	b.seenFree = m.ledger.Free()
}

// lookDue reports whether standby models are worth a look.
func (m *Machine) lookDue() bool {
	return !m.step.now.Before(m.background.lookAt) || m.ledger.Free() != m.background.seenFree
}

// stand puts an absent model on standby.
func (m *Machine) stand(mo *model) {
	if mo.state == Absent && m.mayOffer(mo) {
		m.background.standby.add(mo)
	}
}

// mayStart reports whether a slot is free for background work, and the pause since the last start is over.
func (m *Machine) mayStart() bool {
	slots := max(1, min(m.config.Pulls, m.loads())-1)
	for _, mo := range m.running {
		if !mo.wanted() {
			slots--
		}
	}
	return slots > 0 && !m.step.now.Before(m.background.startAt)
}

// consider starts on a model if there is room. False: there is none; a model that failed instead is Failed.
func (m *Machine) consider(mo *model) bool {
	if !m.sizeKnown(mo) {
		if m.ledger.Free()[modelcache.HostMemory] == 0 && len(m.replaceable(mo)) == 0 {
			return false // Whatever its size.
		}
		m.estimate(mo)
		return true
	}
	before := m.count[Draining]
	err := m.reserve(mo, m.replaceable)
	if err != nil {
		_, full := errors.AsType[*modelcache.NoRoomError](err)
		return !full
	}
	m.background.evictions.used += m.count[Draining] - before
	m.background.startAt = m.step.now.Add(m.config.Envelope.Pause)
	return true
}

// replaceable is who may go for a model that no request waits for: idle copies that are worth no more than it, as long
// as the envelope allows.
func (m *Machine) replaceable(mo *model) []modelcache.CopyID {
	now, envelope := m.step.now, m.config.Envelope
	if !m.background.evictions.left(now, envelope.EvictionsPerMinute) {
		return nil
	}
	keep, last := mo.keep(), mo.use.last
	less := func(c modelcache.CopyInfo) bool {
		switch {
		case c.Keep.Pinned || c.InFlight > 0 || now.Sub(c.LoadedAt) < envelope.MinResidency:
			return false
		case keep.Pinned:
			return true
		case c.Keep.Priority != keep.Priority:
			return c.Keep.Priority < keep.Priority
		}
		return !c.LastUsed.After(last)
	}
	var copies []modelcache.CopyInfo
	for _, c := range m.residents() {
		if less(c) {
			copies = append(copies, c)
		}
	}
	return m.config.Order(now, copies)
}

// followActive gives the target of every alias that is changing over the last use of the active model, if that is loaded:
// what may replace the active one's neighbours is what will take its place.
func (m *Machine) followActive() {
	for target, active := range m.background.switching {
		to, from := m.models[target], m.models[active]
		if to == nil || from == nil || from.state != Loaded || to.copy != nil {
			continue
		}
		if used := from.copy.LastUsed(); used.After(to.use.last) {
			to.use.last = used
			m.background.reorder(to)
		}
	}
}

// nextFill is when fill has to run again though nothing may have happened; zero for never.
func (m *Machine) nextFill() time.Time {
	b := &m.background
	switch {
	case !m.runtime.ready || len(m.queue) > 0 || b.pending.len()+b.standby.len() == 0:
		return noTime
	case m.step.now.Before(b.startAt) && (b.pending.len() > 0 || m.lookDue()):
		return b.startAt
	case m.step.now.Before(b.startAt):
		return later(b.startAt, b.lookAt)
	case !m.mayStart():
		return noTime // The end of what is running brings us back.
	case b.more:
		return m.step.now
	case b.standby.len() > 0:
		return b.lookAt
	}
	return noTime // What is pending waits for its files to be removed.
}

// later answers the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
