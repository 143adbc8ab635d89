package arbiter

import (
	"cmp"
	"time"

	"github.com/wasmesh/wasmesh/sdk/policyabi"

	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// want is why this arbiter itself wants a copy more.
type want uint8

const (
	wantNone want = iota
	// wantMin: the owner asks for more than there are.
	wantMin
	// wantBusy: those that there are are above their target.
	wantBusy
	// wantSecond: it is in steady use, and the host of its only copy may go.
	wantSecond

	wants // The number of wants.
)

// purpose is what others are told.
func (w want) purpose() policyabi.Purpose {
	if w == wantMin {
		return policyabi.PurposeMinCopies
	}
	return policyabi.PurposeScale
}

// waitsForTurn reports whether only so many of them are decided about at once.
func (w want) waitsForTurn() bool { return w == wantMin || w == wantSecond }

// pauses are the first and the longest pause after a refusal.
func (w want) pauses() (first, longest time.Duration) {
	if w == wantBusy {
		return retryScale, retryScaleMax
	}
	return retryBackground, retryMax
}

// retry is when a want that was refused is tried again, and how long that pause was.
type retry struct {
	at    time.Time
	pause time.Duration
	// turns is how often it was refused by hosts with room that were not busy.
	turns int
}

// targets is how many copies there should be.
type targets struct {
	min, busy, second int
	// keep is how many are not given up.
	keep int
}

// targets of a model, within what the owner allows and one for each host.
func (m *Machine) targets(mo *model, c census) targets {
	t := mo.traffic(c)
	most := min(m.hostsFor(mo), mo.limit())
	within := func(n int) int { return min(n, most) }
	goal := targets{min: within(int(min(mo.row.GetKnobs().GetMinCopies(), uint32(most)))), busy: within(t.needed)}
	if c.loaded > 0 {
		// While the only copy is overwhelmed its queue grows, which says nothing of how many it would take to have none.
		goal.busy = min(goal.busy, 2*c.loaded)
	}
	if t.steady {
		goal.second = within(2)
	}
	goal.keep = min(max(1, goal.min, goal.second, t.comfortable), mo.limit())
	return goal
}

// wanted is how many copies there should be at least.
func (m *Machine) wanted(mo *model, c census) int {
	goal := m.targets(mo, c)
	return max(goal.min, goal.busy, goal.second)
}

// hostsFor counts the live hosts that stay and have a runtime for the model.
func (m *Machine) hostsFor(mo *model) (n int) {
	all := m.step.view.All()
	for i := range all {
		if h := &all[i]; h.Eligible(mo.runtimes()) && !h.Draining {
			n++
		}
	}
	return n
}

// balance adds a copy that is missing, or gives one up that is not needed, if this host comes first for the model.
func (m *Machine) balance(mo *model) {
	c := m.census(mo)
	home := m.home(mo)
	if !home {
		mo.surplus, mo.bare, mo.uses = surplus{}, time.Time{}, nil
	}
	m.watch(mo, c)
	if !home {
		return
	}
	goal := m.targets(mo, c)
	if len(c.held) > 0 || goal.min == 0 {
		mo.bare = time.Time{}
	} else if mo.bare.IsZero() {
		mo.bare = m.step.now
	}
	switch {
	case mo.decision != nil:
	case c.count() < goal.min:
		if settled := mo.bare.Add(settling); len(c.held) == 0 && settled.After(m.step.now) {
			mo.wake(settled)
			break
		}
		m.add(mo, c, wantMin)
	case c.count() < goal.busy:
		m.add(mo, c, wantBusy)
	case c.count() < goal.second && c.loaded > 0:
		m.add(mo, c, wantSecond)
	}
	m.shed(mo, c, goal.keep)
}

// watch keeps the models for which it matters who is there, whoever comes first for them now.
func (m *Machine) watch(mo *model, c census) {
	if mo.row.GetKnobs().GetMinCopies() > 0 || len(c.held) > 1 || len(mo.uses) > 0 {
		m.watched[mo] = struct{}{}
	} else {
		delete(m.watched, mo)
	}
}

// add decides about another copy, unless that was refused a moment ago or it is not the model's turn.
func (m *Machine) add(mo *model, c census, w want) {
	if again := mo.retries[w].at; again.After(m.step.now) {
		mo.wake(again)
		return
	}
	if w.waitsForTurn() && (m.background >= m.config.Background || m.resting.After(m.step.now)) {
		m.queue(mo)
		return
	}
	m.begin(mo, demand{purpose: w.purpose(), want: w}, c)
}

// queue has the model wait for its turn.
func (m *Machine) queue(mo *model) {
	if !mo.backlog {
		mo.backlog = true
		m.backlog = append(m.backlog, mo)
	}
}

// nextTurn has the next of those that wait looked at. It may not want a copy any more, and then it is the turn of the one
// after it.
func (m *Machine) nextTurn() bool {
	if len(m.backlog) == 0 || m.background >= m.config.Background || m.resting.After(m.step.now) {
		return false
	}
	mo := m.backlog[0]
	m.backlog[0] = nil
	m.backlog = m.backlog[1:]
	mo.backlog = false
	m.check(mo)
	return true
}

// nextTurnAt is when there is a turn to be had; zero when a decision has to end first.
func (m *Machine) nextTurnAt() time.Time {
	switch {
	case len(m.backlog) == 0 || m.background >= m.config.Background:
		return time.Time{}
	case m.resting.After(m.step.now):
		return m.resting
	}
	return m.step.now
}

// postpone has a want wait after a refusal: for another turn, when hosts have room and only too much to do, else longer
// each time.
func (m *Machine) postpone(mo *model, d *decision, u *Unplaced) {
	r := &mo.retries[d.want]
	if d.want.waitsForTurn() && u.Reason == peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM && m.roomSomewhere(mo, d) {
		if len(d.refusals) > 0 && !d.someBusy() {
			r.turns++
		}
		if r.turns <= turnsMost {
			m.resting = m.step.now.Add(rest)
			m.queue(mo)
			return
		}
	}
	first, longest := d.want.pauses()
	r.pause = min(max(2*r.pause, first), longest)
	r.at = m.step.now.Add(r.pause)
	if u.Reason == peerv1.UnplacedReason_UNPLACED_REASON_FAILED {
		// When the hosts try again themselves. If only a change helps, that has it looked at again anyhow.
		r.at = m.step.now.Add(max(r.pause, min(cmp.Or(u.RetryAfter, retryMax), retryMax)))
	}
	mo.wake(r.at)
}

// roomSomewhere reports whether a host refused the model, or another just now, although it fits into what is free there.
func (m *Machine) roomSomewhere(mo *model, d *decision) bool {
	all := m.step.view.All()
	for i := range all {
		h := &all[i]
		if !h.Eligible(mo.runtimes()) || h.Draining || !m.isFull(h) {
			continue
		}
		if row := m.row(h, mo); row.Free.Covers(counted(d.need.memory, row.Capacity)) {
			return true
		}
	}
	return false
}
