package machine

import (
	"errors"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
)

// background is what the machine does when no request waits: load what is new, bring back what had to go, try again
// what failed. All of it gives way to requests: it starts only while no request waits in the queue, takes free memory or
// replaces what is worth less, and leaves half of the slots free where there is more than one.
type background struct {
	// unsized and sized models have not been looked at since they were offered; to the outside they are Queued. Of the
	// unsized, storage is asked the size first.
	unsized, sized modelHeap
	// standby models were looked at, and there was no room for them.
	standby modelHeap
	// offers are for a mesh: models that have not been offered to their arbiter; out are those without an answer.
	offers modelHeap
	out    map[OfferID]*model
	// offerAt is when the next offer may go out, and roomAt when some host was last heard to have more room.
	offerAt, roomAt time.Time
	// lookAt is when standby models are looked at again, whatever happens until then; earlier if what is free is no
	// longer what it was the last time. In a mesh, if there is more than that, and lookedAt was not just now.
	lookAt, lookedAt time.Time
	seenFree         modelcache.Resources
	// startAt is when the next load may start.
	startAt   time.Time
	evictions quota
	// refusals counts the offers of Standby models that came to nothing.
	refusals quota
	// review are models that are to be looked at again because homes have changed.
	review []string
	// switching is the target of every alias that is changing over, and its active model.
	switching map[string]string
	// again is when fill has to run although nothing may have happened; zero for never.
	again time.Time
}

// runAgain has fill run at this time, if not earlier.
func (b *background) runAgain(at time.Time) {
	if b.again.IsZero() || at.Before(b.again) {
		b.again = at
	}
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
	for _, h := range []*modelHeap{&b.unsized, &b.sized, &b.standby, &b.offers} {
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
	m.show(mo)
	switch {
	case !m.sizeKnown(mo):
		m.background.unsized.add(mo)
	case m.bound(mo):
		m.background.sized.add(mo)
	default:
		m.background.offers.add(mo)
	}
}

// mayOffer reports whether the model is loaded here without a request. A host that is alone does that for what it is the
// first choice for, or has served before; in a mesh the model's home sees to it that somebody does, while nobody else has a
// copy, and else whoever was asked to, and neither while its runtime is down. Nobody does for what was retired for want of
// use.
func (m *Machine) mayOffer(mo *model) bool {
	switch {
	case mo.row == nil || mo.use.retired || m.leaving:
		return false
	case m.config.Mesh != nil:
		return m.runtime.ready && (mo.use.brought || m.home(mo))
	}
	return mo.use.here || mo.row.GetRuntimes()[0] == m.config.Runtime
}

// bound reports whether a background load of the model goes to this host, and no arbiter is asked.
func (m *Machine) bound(mo *model) bool { return m.config.Mesh == nil || mo.use.brought }

// lapsed leaves a model alone that has been offered and by now is not this host's to see to.
func (m *Machine) lapsed(mo *model) bool {
	if m.config.Mesh == nil || m.mayOffer(mo) {
		return false
	}
	m.rest(mo)
	return true
}

// fill starts what may start in the background.
func (m *Machine) fill() {
	b := &m.background
	b.again = noTime
	m.review()
	m.awaitRuntime()
	if m.leaving || !m.runtime.ready || len(m.queue) > 0 || b.unsized.len()+b.sized.len()+b.offers.len()+b.standby.len() == 0 {
		return
	}
	m.followActive()
	m.fillUnsized()
	m.fillSized()
	if m.config.Mesh == nil {
		m.fillStandby()
		return
	}
	m.fillOffers()
	m.seekStandby()
}

// fillUnsized asks storage for sizes, unless no size at all would fit.
func (m *Machine) fillUnsized() {
	b := &m.background
	var cleaning []*model // FilesRemoved brings us back to these.
	for n := 0; b.unsized.len() > 0 && m.slots().estimates > 0; n++ {
		if n == considerPerStep {
			b.runAgain(m.step.now)
			break
		}
		mo := b.unsized.pop()
		switch {
		case m.lapsed(mo):
		case mo.files.cleaning:
			cleaning = append(cleaning, mo)
		case m.bound(mo) && m.hopeless(mo), !m.bound(mo) && !m.mayFit(mo):
			m.stand(mo)
		default:
			m.estimate(mo)
		}
	}
	for _, mo := range cleaning {
		b.unsized.add(mo)
	}
}

// fillSized starts loads, the most valuable first.
func (m *Machine) fillSized() {
	b := &m.background
	var cleaning []*model
	for n := 0; b.sized.len() > 0 && m.slots().loads > 0; n++ {
		mo := b.sized.first()
		if m.held(mo) {
			break // And so is the rest, which is worth less.
		}
		if n == considerPerStep {
			b.runAgain(m.step.now)
			break
		}
		b.sized.remove(mo)
		switch {
		case m.lapsed(mo):
		case mo.files.cleaning:
			cleaning = append(cleaning, mo)
		case !m.sizeKnown(mo): // Forgotten since, for want of history.
			b.unsized.add(mo)
			b.runAgain(m.step.now)
		case !m.start(mo):
			m.stand(mo)
		}
	}
	for _, mo := range cleaning {
		b.sized.add(mo)
	}
}

// fillStandby gives the most valuable standby models another chance.
func (m *Machine) fillStandby() {
	b := &m.background
	if b.standby.len() == 0 {
		return
	}
	if m.step.now.Before(b.lookAt) && m.ledger.Free() == b.seenFree {
		b.runAgain(b.lookAt)
		return
	}
	slots := true // For all that were looked at.
	var passed []*model
	for len(passed) < standbyPerPass && b.standby.len() > 0 {
		mo := b.standby.pop()
		known := m.sizeKnown(mo)
		switch {
		case m.lapsed(mo):
		case mo.files.cleaning || m.step.now.Sub(mo.use.evicted) < m.config.Envelope.ReloadGuard:
			passed = append(passed, mo)
		case known && (m.slots().loads == 0 || m.held(mo)), !known && m.slots().estimates == 0:
			slots = false
			passed = append(passed, mo)
		case known && !m.start(mo), !known && m.hopeless(mo):
			passed = append(passed, mo)
		case !known:
			m.estimate(mo)
		}
	}
	for _, mo := range passed {
		b.standby.add(mo)
	}
	b.lookAt, b.seenFree = noTime, m.ledger.Free()
	if slots { // Else the next step looks again.
		b.lookAt = m.step.now.Add(recheck)
		if len(b.switching) > 0 {
			b.lookAt = m.step.now.Add(recheckSwitch)
		}
		b.runAgain(b.lookAt)
	}
}

// slots says how many more estimates and loads may run in the background.
func (m *Machine) slots() (free struct{ estimates, loads int }) {
	half := func(all int) int { return max(1, all/2) }
	free.estimates, free.loads = half(m.config.Estimates), half(m.config.Pulls)
	for _, mo := range m.running {
		switch {
		case mo.wanted():
		case mo.state == Estimating:
			free.estimates--
		default:
			free.loads--
		}
	}
	free.estimates, free.loads = max(free.estimates, 0), max(free.loads, 0)
	return free
}

// held reports whether a model has to wait, for the pause between loads or for one worth more whose size is being asked
// for.
func (m *Machine) held(mo *model) bool {
	until := m.background.startAt
	for _, other := range m.running {
		if other.state == Estimating && worthMore(other, mo) {
			until = later(until, other.since.Add(headStart))
		}
	}
	if !until.After(m.step.now) {
		return false
	}
	m.background.runAgain(until)
	return true
}

// stand puts a model that is nowhere on standby.
func (m *Machine) stand(mo *model) {
	mo.use.brought = false
	m.rest(mo)
	switch {
	case !m.mayOffer(mo):
	case mo.state == Absent:
		m.background.standby.add(mo)
	case mo.state == Failed:
		m.setDue(mo, later(mo.offering.again, m.step.now.Add(recheck)))
	}
}

// hopeless reports whether there is no room for the model, whatever its size.
func (m *Machine) hopeless(mo *model) bool {
	return m.ledger.Full() && !slices.ContainsFunc(m.residents(), m.mayReplace(mo))
}

// start starts a load if there is room. False: there is none; a model that failed instead is Failed.
func (m *Machine) start(mo *model) bool {
	before := m.count[Draining]
	if err := m.reserve(mo); err != nil {
		_, full := errors.AsType[*modelcache.NoRoomError](err)
		return !full
	}
	m.background.evictions.used += m.count[Draining] - before
	m.background.startAt = m.step.now.Add(m.config.Envelope.Pause)
	return true
}

// mayReplace says who may go for a model that no request waits for: idle copies that are worth no more than it, as long
// as the envelope allows. This is the host's rule; which of them go first is the order's.
func (m *Machine) mayReplace(mo *model) func(modelcache.CopyInfo) bool {
	if !m.mayEvict() {
		return func(modelcache.CopyInfo) bool { return false }
	}
	keep, last := mo.keep(), mo.use.last
	_, switching := m.background.switching[mo.id]
	return func(c modelcache.CopyInfo) bool {
		switch {
		case !m.replaceable(c):
			return false
		case keep.Pinned:
			return true
		case c.Keep.Priority != keep.Priority:
			return c.Keep.Priority < keep.Priority
		}
		// Of two that are worth the same, and many are that nobody has ever used, the one that is here stays, lest they push
		// each other out for ever; but the target of a switch has the active model's last use, and may have to take its place.
		return c.LastUsed.Before(last) || switching && c.LastUsed.Equal(last)
	}
}

// mayEvict reports whether loads that nobody waits for may have more copies go in this minute.
func (m *Machine) mayEvict() bool {
	return m.background.evictions.left(m.step.now, m.config.Envelope.EvictionsPerMinute)
}

// replaceable reports whether a copy may go for a load that nobody waits for, whatever that is worth.
func (m *Machine) replaceable(c modelcache.CopyInfo) bool {
	return !c.Keep.Pinned && c.InFlight == 0 && m.step.now.Sub(c.LoadedAt) >= m.config.Envelope.MinResidency
}

// replacesSome reports whether there is a copy that may go for the model, as mayReplace says it of one that is no target of
// a switch. Thousands of models may be asked about in one Step.
func (m *Machine) replacesSome(mo *model) bool {
	if !m.mayEvict() {
		return false
	}
	if m.step.oldest == nil {
		m.step.oldest = make(map[int32]time.Time)
		for _, c := range m.residents() {
			if used, seen := m.step.oldest[c.Keep.Priority]; m.replaceable(c) && (!seen || c.LastUsed.Before(used)) {
				m.step.oldest[c.Keep.Priority] = c.LastUsed
			}
		}
	}
	keep := mo.keep()
	for priority, used := range m.step.oldest {
		if keep.Pinned || priority < keep.Priority || priority == keep.Priority && used.Before(mo.use.last) {
			return true
		}
	}
	return false
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

// later answers the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
