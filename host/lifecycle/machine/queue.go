package machine

import (
	"cmp"
	"errors"
	"slices"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/route"
)

// wanted lets a request wait for its model, or answers it at once.
func (m *Machine) wanted(ev Wanted) {
	mo := m.models[ev.Model]
	if mo == nil || mo.row == nil {
		m.emit(Wake{
			Waiters: []WaiterID{ev.Waiter}, Err: route.Errorf(route.UnknownModel, "model %q is not in this host's catalog", ev.Model),
		})
		return
	}
	if mo.state == Loaded {
		mo.copy.Acquire(m.step.now)
		m.dropTicket(mo)
		m.emit(Wake{Waiters: []WaiterID{ev.Waiter}, Copy: mo.copy})
		return
	}
	if mo.pausing(m.step.now) {
		m.answer(ev.Waiter, mo, mo.trouble.last.refusal(mo.id, m.step.now))
		return
	}
	if ev.Join && (mo.offered || !mo.under() && mo.state != Queued && !mo.wanted()) {
		m.answer(ev.Waiter, mo, route.Errorf(route.NoHost, "model %q is not on this host; try again", mo.id))
		return
	}
	if err := m.full(mo); err != nil {
		m.answer(ev.Waiter, mo, err)
		return
	}
	if !mo.wanted() {
		m.arrive(mo)
	}
	mo.waiters = append(mo.waiters, ev.Waiter)
	m.waiting++
	m.dropTicket(mo) // This is who it was for.
	mo.use.last, mo.use.here, mo.use.brought, mo.use.retired = m.step.now, true, true, false
	switch mo.state {
	case Absent, Failed, Queued:
		m.enqueue(mo)
	case Estimating:
		m.show(mo)
	}
	// Else it is on its way already, or on its way out and comes back when that has ended.
}

// arrive gives a model its place in the order of arrivals.
func (m *Machine) arrive(mo *model) {
	m.given.arrival++
	mo.arrived = m.given.arrival
	mo.passed = passed{}
}

// full says why one more request may not wait.
func (m *Machine) full(mo *model) *route.Error {
	var err *route.Error
	switch n := len(mo.waiters); {
	case n >= m.config.WaitersPerModel:
		err = route.Errorf(route.QueueFull,
			"%d requests already wait for model %q to load (limit %d); try again later", n, mo.id, m.config.WaitersPerModel)
	case m.waiting >= m.config.Waiters:
		err = route.Errorf(route.QueueFull,
			"%d requests already wait for models to load on this host (limit %d); try again later", m.waiting, m.config.Waiters)
	default:
		return nil
	}
	err.RetryAfter = queueRetry
	return err
}

// waiterGone forgets one request. A load that nobody waits for any more goes on in the background: who asked once is
// likely to ask again.
func (m *Machine) waiterGone(ev WaiterGone) {
	mo := m.models[ev.Model]
	if mo == nil {
		return
	}
	i := slices.Index(mo.waiters, ev.Waiter)
	if i < 0 {
		return // Woken at the same moment.
	}
	mo.waiters = slices.Delete(mo.waiters, i, i+1)
	m.waiting--
	if !mo.wanted() && mo.state == Queued {
		m.offer(mo)
	}
}

func (m *Machine) answer(waiter WaiterID, mo *model, err *route.Error) {
	m.emit(Wake{Waiters: []WaiterID{waiter}, Err: err, State: mo.shown(), Failure: mo.trouble.last})
}

// refuse ends the wait of everybody who waits for the model, and of nobody else: who was to come hears it then.
func (m *Machine) refuse(mo *model, err *route.Error) {
	m.dropTicket(mo)
	if len(mo.waiters) > 0 {
		m.emit(Wake{Waiters: m.takeWaiters(mo), Err: err, State: mo.state, Failure: mo.trouble.last})
	}
}

// serve hands the loaded copy to everybody who waits for it. It is acquired here, on their behalf: otherwise the next
// model in the queue could claim the copy, idle for an instant, before those it was loaded for have used it.
func (m *Machine) serve(mo *model) {
	if mo.ticket.valid() {
		m.hold(mo)
	}
	if len(mo.waiters) == 0 {
		return
	}
	for range mo.waiters {
		mo.copy.Acquire(m.step.now)
	}
	m.emit(Wake{Waiters: m.takeWaiters(mo), Copy: mo.copy})
}

func (m *Machine) takeWaiters(mo *model) []WaiterID {
	waiters := mo.waiters
	mo.waiters = nil
	m.waiting -= len(waiters)
	return waiters
}

// enqueue puts a model for which a request waits in its place in the queue.
func (m *Machine) enqueue(mo *model) {
	m.dequeue(mo)
	i, _ := slices.BinarySearchFunc(m.queue, mo.arrived, func(o *model, arrived uint64) int {
		return cmp.Compare(o.arrived, arrived)
	})
	m.queue = slices.Insert(m.queue, i, mo)
	m.setDue(mo, noTime)
	if mo.state != Queued {
		m.become(mo, Queued)
	}
	m.show(mo)
}

// dequeue takes a model out of every queue.
func (m *Machine) dequeue(mo *model) {
	m.queue = slices.DeleteFunc(m.queue, func(o *model) bool { return o == mo })
	m.background.unsized.remove(mo)
	m.background.sized.remove(mo)
	m.background.standby.remove(mo)
	m.background.offers.remove(mo)
	m.withdraw(mo)
}

// admit starts on the models for which requests wait, by arrival. One that finds no room waits for some; those behind it
// that do find room pass it by, for a model that must wait for others' requests to end should not hold up everybody.
func (m *Machine) admit() {
	if !m.runtime.ready {
		return
	}
	var refused *modelcache.NoRoomError
	var poor []*model // Those before that found no room.
	heldUp := false   // For the sake of one of those nobody behind it is given any.
	for _, mo := range slices.Clone(m.queue[:min(len(m.queue), considerPerStep)]) {
		mayEstimate, mayPull := m.count[Estimating] < m.config.Estimates, m.count[Pulling] < m.config.Pulls
		known := m.sizeKnown(mo)
		switch {
		case !mayEstimate && !mayPull:
			return
		case mo.files.cleaning:
			// FilesRemoved brings us back.
		case !known && mayEstimate:
			m.estimate(mo)
		case !known || !mayPull:
			// The end of what is running brings us back.
		case heldUp || refused != nil && !refused.Free.Plus(refused.Evictable).Covers(m.need(mo)):
			// What was too little for one ahead is too little for this one.
		default:
			err := m.reserve(mo)
			if none, ok := errors.AsType[*modelcache.NoRoomError](err); ok {
				refused = none
				poor, heldUp = append(poor, mo), m.holdsUp(mo, none)
			} else if err == nil {
				for _, o := range poor {
					o.passed.by++
				}
			}
		}
	}
}

// holdsUp reports whether the models behind one that found no room have to wait for its sake: so many have passed it by
// that it would wait forever while there is traffic. They do not wait forever in turn, for nobody knows how long the
// requests take that hold the memory it needs.
func (m *Machine) holdsUp(mo *model, refused *modelcache.NoRoomError) bool {
	p := &mo.passed
	switch {
	case p.by < passesMost<<p.vain || !m.couldFit(refused.Need):
		return false
	case p.holds.IsZero():
		p.holds = m.step.now.Add(patience)
	case !m.step.now.Before(p.holds):
		*p = passed{vain: min(p.vain+1, vainMost)}
		return false
	}
	m.setDue(mo, p.holds) // Nothing else may happen until then.
	return true
}

// couldFit reports whether there would be room if nothing were in flight.
func (m *Machine) couldFit(need modelcache.Resources) bool {
	left := m.ledger.Capacity()
	for _, c := range m.residents() {
		if c.Keep.Pinned {
			left = left.Minus(c.Size)
		}
	}
	return left.Covers(need)
}
