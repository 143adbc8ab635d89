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
		m.answer(ev.Waiter, route.Errorf(route.UnknownModel, "model %q is not in this host's catalog", ev.Model))
		return
	}
	if mo.state == Loaded {
		mo.copy.Acquire(m.step.now)
		m.emit(Wake{Waiters: []WaiterID{ev.Waiter}, Copy: mo.copy})
		return
	}
	if mo.pausing(m.step.now) {
		m.answer(ev.Waiter, mo.trouble.last.refusal(mo.id, m.step.now))
		return
	}
	if err := m.full(mo); err != nil {
		m.answer(ev.Waiter, err)
		return
	}
	if !mo.wanted() {
		m.given.arrival++
		mo.arrived = m.given.arrival
	}
	mo.waiters = append(mo.waiters, ev.Waiter)
	m.waiting++
	mo.use.last, mo.use.here, mo.use.retired = m.step.now, true, false
	switch mo.state {
	case Absent, Failed, Queued:
		m.enqueue(mo)
	}
	// Else it is on its way already, or on its way out and comes back when that has ended.
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

func (m *Machine) answer(waiter WaiterID, err *route.Error) {
	m.emit(Wake{Waiters: []WaiterID{waiter}, Err: err})
}

// refuse ends the wait of everybody who waits for the model.
func (m *Machine) refuse(mo *model, err *route.Error) {
	if mo.wanted() {
		m.emit(Wake{Waiters: m.takeWaiters(mo), Err: err})
	}
}

// serve hands the loaded copy to everybody who waits for it. It is acquired here, on their behalf: otherwise the next
// model in the queue could claim the copy, idle for an instant, before those it was loaded for have used it.
func (m *Machine) serve(mo *model) {
	if !mo.wanted() {
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
}

// dequeue takes a model out of every queue.
func (m *Machine) dequeue(mo *model) {
	m.queue = slices.DeleteFunc(m.queue, func(o *model) bool { return o == mo })
	m.background.unsized.remove(mo)
	m.background.sized.remove(mo)
	m.background.standby.remove(mo)
}

// admit starts on the models for which requests wait, by arrival. One that finds no room waits for some; those behind it
// that do find room pass it by, for a model that must wait for others' requests to end should not hold up everybody.
func (m *Machine) admit() {
	if !m.runtime.ready {
		return
	}
	var refused *modelcache.NoRoomError
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
		case refused != nil && !refused.Free.Plus(refused.Evictable).Covers(m.need(mo)):
			// What was too little for one ahead is too little for this one.
		default:
			if none, ok := errors.AsType[*modelcache.NoRoomError](m.reserve(mo)); ok {
				refused = none
			}
		}
	}
}
