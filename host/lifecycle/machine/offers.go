package machine

import (
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// offering is what has become of the offers of one model.
type offering struct {
	// id is that of the offer without an answer; 0 for none.
	id OfferID
	// again is when it is offered again. If it was refused for want of room, earlier when there is more of that since.
	again, refused time.Time
}

// isOffer reports whether the model is in line, or sized, only so that a host can be found for it.
func (m *Machine) isOffer(mo *model) bool {
	return m.config.Mesh != nil && !mo.wanted() && !mo.use.brought && (mo.state == Queued || mo.state == Estimating)
}

// show publishes a model again if to others it is here by now, or is not any more.
func (m *Machine) show(mo *model) {
	if mo.offered != m.isOffer(mo) {
		m.become(mo, mo.state)
	}
}

// shown is the model's state as others see it.
func (mo *model) shown() State {
	if mo.offered {
		return Absent
	}
	return mo.state
}

// fillOffers offers what is new, the most valuable first and only so many at once.
func (m *Machine) fillOffers() {
	b := &m.background
	var cleaning []*model
	for n := 0; b.offers.len() > 0 && m.mayPropose(b.offers.first()); n++ {
		if n == considerPerStep {
			b.runAgain(m.step.now)
			break
		}
		mo := b.offers.pop()
		switch {
		case m.lapsed(mo):
		case mo.files.cleaning:
			cleaning = append(cleaning, mo)
		case !m.sizeKnown(mo): // Forgotten since, for want of history.
			b.unsized.add(mo)
			b.runAgain(m.step.now)
		case m.mayFit(mo):
			m.propose(mo)
		default:
			m.stand(mo)
		}
	}
	for _, mo := range cleaning {
		b.offers.add(mo)
	}
}

// seekStandby offers the most valuable Standby models again whose time has come.
func (m *Machine) seekStandby() {
	b, now := &m.background, m.step.now
	if b.standby.len() == 0 {
		return
	}
	free := m.ledger.Free()
	if !b.seenFree.Covers(free) {
		b.roomAt, b.lookAt = now, noTime
	}
	b.seenFree = free
	// Under traffic there is a little more or less free with each event, here and elsewhere, and each look costs.
	if at := later(b.lookAt, b.lookedAt.Add(m.config.Envelope.Pause)); now.Before(at) {
		b.runAgain(at)
		return
	}
	b.lookedAt = now
	again := now.Add(recheck)
	if len(b.switching) > 0 {
		again = now.Add(recheckSwitch)
	}
	var passed []*model
	for tried := 0; len(passed) < considerPerStep && tried < standbyPerPass && b.standby.len() > 0; {
		mo := b.standby.pop()
		if m.lapsed(mo) {
			continue
		}
		passed = append(passed, mo)
		if due := m.offerDue(mo); due.After(now) || mo.files.cleaning {
			if due.After(now) && due.Before(again) {
				again = due
			}
			continue
		}
		tried++
		known := m.sizeKnown(mo)
		switch {
		case !m.mayFit(mo):
			continue
		case known && !m.mayPropose(mo), !known && m.slots().estimates == 0:
			again = noTime // The next step looks again.
		case known:
			passed = passed[:len(passed)-1]
			m.propose(mo)
			continue
		default:
			passed = passed[:len(passed)-1]
			m.estimate(mo)
			continue
		}
		break
	}
	for _, mo := range passed {
		b.standby.add(mo)
	}
	if b.lookAt = again; !again.IsZero() {
		b.runAgain(again)
	}
}

// offerDue is when a Standby model may be offered again.
func (m *Machine) offerDue(mo *model) time.Time {
	b, o := &m.background, &mo.offering
	due := o.again
	if !o.refused.IsZero() && b.roomAt.After(o.refused) {
		if news := o.refused.Add(offerNews); news.Before(due) {
			due = news
		}
	}
	if _, switching := b.switching[mo.id]; !switching && !b.refusals.left(m.step.now, refusalsPerMinute) {
		due = later(due, b.refusals.since.Add(time.Minute))
	}
	return due
}

// mayPropose reports whether one more offer may go out now; if not, the end of another, or fill, brings us back.
func (m *Machine) mayPropose(mo *model) bool {
	b := &m.background
	if len(b.out) >= max(1, m.config.Pulls/2) || m.held(mo) {
		return false
	}
	if b.offerAt.After(m.step.now) {
		b.runAgain(b.offerAt)
		return false
	}
	return true
}

// mayFit reports whether some host may take the model, so that it is worth the while to ask them all.
func (m *Machine) mayFit(mo *model) bool {
	need := modelcache.Resources{modelcache.HostMemory: 1}
	if m.sizeKnown(mo) {
		need = m.need(mo)
	}
	capacity := m.ledger.Capacity()
	need = need.CountedIn(capacity)
	if _, switching := m.background.switching[mo.id]; switching || !capacity.Covers(need) {
		return true // Whether it fits anywhere is the arbiter's to say.
	}
	if m.step.now.Sub(mo.use.evicted) >= m.config.Envelope.ReloadGuard &&
		(m.ledger.Free().Covers(need) || m.replacesSome(mo)) {
		return true
	}
	// Where all copies are as recent as this one, all but a moment, it would take the place of its like: hosts that evict all
	// the time would only hand their victims to each other.
	return m.config.Mesh.Room(mo.row.GetRuntimes(), need, mo.keep(), mo.use.last.Add(-m.config.Envelope.MinResidency))
}

// propose has the arbiter place the model, which stays as it is until there is an answer.
func (m *Machine) propose(mo *model) {
	m.dequeue(mo)
	m.given.offer++
	mo.offering.id = m.given.offer
	m.background.out[mo.offering.id] = mo
	m.setDue(mo, m.step.now.Add(offerTimeout))
	purpose := policyabi.PurposeBackground
	if mo.use.displaced {
		purpose = policyabi.PurposeRebalance
	}
	m.emit(Offer{ID: mo.offering.id, Model: mo.id, Key: mo.key, Purpose: purpose, Size: m.need(mo)})
}

// withdraw forgets an offer, whatever the answer: something else has become of the model.
func (m *Machine) withdraw(mo *model) {
	if mo.offering.id != 0 {
		delete(m.background.out, mo.offering.id)
		mo.offering.id = 0
		m.setDue(mo, noTime)
	}
}

// offerLost gives up on an offer of which nothing was heard.
func (m *Machine) offerLost(mo *model) {
	if mo.offering.id != 0 {
		m.offerAnswered(OfferAnswered{Offer: mo.offering.id})
	}
}

func (m *Machine) offerAnswered(ev OfferAnswered) {
	b, now := &m.background, m.step.now
	mo := b.out[ev.Offer]
	if mo == nil {
		return
	}
	m.withdraw(mo)
	switch {
	case ev.Placed:
		// Should nothing come of it, it is offered again.
		mo.offering.again, mo.offering.refused, mo.trouble.last = now.Add(offerPatience), noTime, nil
		b.startAt = later(b.startAt, now.Add(m.config.Envelope.Pause))
		m.stand(mo)
	case undecided(ev.Reason):
		b.offerAt = later(b.offerAt, now.Add(max(ev.RetryAfter, offerRetry)))
		if mo.state == Queued {
			m.offer(mo)
		} else {
			b.standby.add(mo)
			b.lookAt = noTime
		}
	default:
		m.offerRefused(mo, ev)
	}
}

// undecided reports whether the model's turn is yet to come: nobody decided, or all who might are busy.
func undecided(reason peerv1.UnplacedReason) bool {
	switch reason {
	case peerv1.UnplacedReason_UNPLACED_REASON_UNSPECIFIED, peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER,
		peerv1.UnplacedReason_UNPLACED_REASON_STALE, peerv1.UnplacedReason_UNPLACED_REASON_BUSY:
		return true
	}
	return false
}

// offerRefused puts the model on standby, or makes it known that it fits nowhere.
func (m *Machine) offerRefused(mo *model, ev OfferAnswered) {
	o, now := &mo.offering, m.step.now
	pause := offerPause
	if mo.state == Absent {
		m.background.refusals.used++
	}
	if _, switching := m.background.switching[mo.id]; switching {
		pause = recheckSwitch
	}
	o.again, o.refused = now.Add(pause), now
	switch ev.Reason {
	case peerv1.UnplacedReason_UNPLACED_REASON_FAILED: // Room does not help.
		o.again, o.refused = now.Add(max(pause, min(ev.RetryAfter, retryMost))), noTime
	case peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT:
		need, capacity := m.need(mo), m.ledger.Capacity()
		if !capacity.Covers(need.CountedIn(capacity)) {
			m.fail(mo, cannotFit(&modelcache.NeverFitsError{Need: need, Capacity: capacity}))
			return
		}
	}
	m.stand(mo)
}
