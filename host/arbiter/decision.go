package arbiter

import (
	"fmt"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// decision is one search for a host.
type decision struct {
	demand
	need need
	// round counts rankings. In the last one all candidates are asked in order, before it the first only.
	round      int
	candidates []placement.Candidate
	refusals   []refusal
	// unsure are hosts whose figures said that the model fits and that said otherwise: it is not expected of them again.
	unsure []string
	// unready are hosts whose runtime is not: who waits does so there if there is no other.
	unready []string

	// hook is the number of the last ranking. The rest is the Reserve that is out.
	hook               uint64
	reserve            ReserveID
	host               string
	epoch              uint64
	expectsFree, final bool
	deadline           time.Time
}

// refusal is a host's last word in a decision.
type refusal struct {
	host    string
	reason  peerv1.UnplacedReason // Unspecified when it did not answer.
	message string
	failure *syncv1.Failure
}

// out reports whether the host has been asked in vain.
func (d *decision) out(host string) bool {
	return slices.ContainsFunc(d.refusals, func(r refusal) bool { return r.host == host })
}

// someBusy reports whether a host refused only for having too much to do.
func (d *decision) someBusy() bool {
	return slices.ContainsFunc(d.refusals, func(r refusal) bool { return r.reason == peerv1.UnplacedReason_UNPLACED_REASON_BUSY })
}

// begin decides about the model; none is being decided about.
func (m *Machine) begin(mo *model, wanted demand, c census) {
	mo.decision = &decision{demand: wanted, need: m.need(mo, c)}
	if wanted.want.waitsForTurn() {
		m.background++
	}
	m.advance(mo)
}

// advance ranks the hosts, unless that was done often enough, and asks the next.
func (m *Machine) advance(mo *model) {
	d, c := mo.decision, m.census(mo)
	if result := m.known(mo, c, d.demand); result != (Result{}) { // Somebody else has seen to it meanwhile.
		m.finish(mo, result)
		return
	}
	if m.failures(d, c) < m.config.FailedHosts {
		if d.round < Rounds {
			d.round++
			m.rank(mo, d, c)
		}
		for len(d.candidates) > 0 {
			next := d.candidates[0]
			d.candidates = d.candidates[1:]
			if h := m.step.view.Find(next.Host); h != nil && h.Live && !h.Draining {
				m.reserve(mo, next.Host)
				return
			}
		}
	}
	if m.awaitRuntime(mo) {
		return
	}
	unplaced := m.unplaced(mo, d, c)
	m.finish(mo, Result{Unplaced: &unplaced})
}

// awaitRuntime has a host take the model on for who waits although its runtime is not ready; false when there is none.
func (m *Machine) awaitRuntime(mo *model) bool {
	d := mo.decision
	for len(d.unready) > 0 {
		host := d.unready[0]
		d.unready = d.unready[1:]
		if h := m.step.view.Find(host); h != nil && h.Live && !h.Draining && !h.RuntimeReady {
			d.round = Rounds
			m.reserve(mo, host)
			return true
		}
	}
	return false
}

// rank has the place hook put the able hosts in order. Hosts that had better not are left out at first.
func (m *Machine) rank(mo *model, d *decision, c census) {
	model := m.modelOf(mo, d, c)
	hosts, soft := m.rows(mo, d, c, true)
	choice := m.config.Place(m.step.now, model, hosts)
	if len(choice.Candidates) == 0 && soft {
		hosts, _ = m.rows(mo, d, c, false)
		choice = m.config.Place(m.step.now, model, hosts)
	}
	d.hook, d.candidates = choice.ID, slices.Clone(choice.Candidates)
}

// reserve asks a host to take the model on.
func (m *Machine) reserve(mo *model, host string) {
	d := mo.decision
	member := m.step.view.Find(host)
	free, _ := m.believed(member)
	m.given.reserve++
	d.reserve, d.deadline = m.given.reserve, m.step.now.Add(m.config.ReserveTimeout)
	d.host, d.epoch = host, member.Epoch
	d.expectsFree = d.want == wantSecond ||
		d.need.known && free.Covers(counted(d.need.memory, m.figures(member).Capacity)) && !slices.Contains(d.unsure, host)
	d.final = d.round == Rounds && d.want != wantSecond
	m.reserves[d.reserve] = mo
	m.hosts.of(member).promise(promise{reserve: d.reserve, key: mo.key, need: d.need.memory, at: m.step.now})
	mo.wake(d.deadline)
	m.emit(Reserve{
		ID: d.reserve, Host: host, Model: mo.id, Key: mo.key, Decision: d.hook, Purpose: d.purpose, Usage: m.usageOf(mo.key),
		ExpectsFree: d.expectsFree, Final: d.final,
	})
}

// counted is the need in those dimensions that the host counts.
func counted(need, capacity modelcache.Resources) modelcache.Resources {
	for d := range need {
		if capacity[d] == 0 {
			need[d] = 0
		}
	}
	return need
}

// reserved takes a host's answer. One that comes too late changes nothing: if the host has taken the model on all the
// same, residency says so.
func (m *Machine) reserved(event Reserved) {
	mo := m.reserves[event.ID]
	if mo == nil {
		return
	}
	d := mo.decision
	h := m.hosts.named(d.host)
	if event.Err == nil {
		h.distrust = time.Time{}
	}
	if event.Figures != nil {
		h.heard(*event.Figures)
	}
	if event.Granted && event.Err == nil {
		m.granted(mo, event)
	} else {
		m.refused(mo, event)
	}
	m.settle(mo)
}

// granted ends the decision. The host counts as holding the model from now on.
func (m *Machine) granted(mo *model, event Reserved) {
	d := mo.decision
	m.count.Placed++
	if member := m.step.view.Find(d.host); member != nil {
		h := m.hosts.of(member)
		if !placement.Waits(d.purpose) {
			h.busy = time.Time{}
		}
		if event.State == residency.Loaded {
			h.withdraw(d.reserve)
		} else {
			h.promised(d.reserve, m.figures(member).Sequence)
		}
		mo.grants = slices.DeleteFunc(mo.grants, func(g grant) bool { return g.host == d.host })
		ttl := GrantTTL
		if !placement.Waits(d.purpose) {
			ttl = quietGrantTTL
		}
		mo.grants = append(mo.grants, grant{host: d.host, epoch: member.Epoch, until: m.step.now.Add(ttl)})
	}
	m.finish(mo, Result{Placed: &Placed{Host: d.host, Decision: d.hook, Already: event.State == residency.Loaded}})
}

// refused goes on without the host, or with it under other terms.
func (m *Machine) refused(mo *model, event Reserved) {
	d := mo.decision
	m.count.Refused++
	r := refusal{host: d.host, reason: event.Reason, message: event.Message, failure: event.Failure}
	if event.Err != nil {
		r = refusal{host: d.host, message: event.Err.Error()}
		m.hosts.named(d.host).distrust = m.step.now.Add(distrust)
	}
	m.turnedDown(mo, r)
}

// unanswered gives up on a host that takes too long.
func (m *Machine) unanswered(mo *model) {
	d := mo.decision
	m.count.Unanswered++
	m.hosts.named(d.host).distrust = m.step.now.Add(distrust)
	m.turnedDown(mo, refusal{host: d.host, message: fmt.Sprintf("no answer within %v", m.config.ReserveTimeout)})
}

// turnedDown goes on after a refusal. While somebody waits, a host that only has less free than was believed stays in the
// running, with its new figures; it is not told again what is expected, for it may say so whatever its figures are. A load
// that nobody waits for is not offered to it again for a moment, nor is any other.
func (m *Machine) turnedDown(mo *model, r refusal) {
	d := mo.decision
	m.hosts.named(d.host).withdraw(d.reserve)
	delete(m.reserves, d.reserve)
	if d.hook != 0 {
		m.emit(Note{Decision: d.hook, Effect: "refused by " + r.host + ": " + r.message})
	}
	busy, waits := r.reason == peerv1.UnplacedReason_UNPLACED_REASON_BUSY, placement.Waits(d.purpose)
	noRoom := busy || r.reason == peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM
	if r.reason == peerv1.UnplacedReason_UNPLACED_REASON_NO_HOST && d.purpose == policyabi.PurposeMiss && !d.final {
		d.unready = append(d.unready, r.host)
	}
	if noRoom && waits && d.expectsFree && !d.final {
		d.unsure = append(d.unsure, r.host)
	} else {
		d.refusals = append(d.refusals, r)
	}
	if noRoom && !waits && d.want != wantNone {
		m.hosts.named(r.host).full = m.step.now.Add(rest)
	}
	d.reserve, d.host = 0, ""
	// One that has yet to hear of a new model is as good as busy.
	behind := busy || r.reason == peerv1.UnplacedReason_UNPLACED_REASON_STALE
	if behind && !waits && d.want == wantNone && !m.overdue(r.host) {
		m.finish(mo, Result{Unplaced: &Unplaced{
			Reason: peerv1.UnplacedReason_UNPLACED_REASON_BUSY, RetryAfter: rest,
			Message: fmt.Sprintf("host %s is to take model %s and cannot yet: %s", r.host, mo.id, r.message),
		}})
		return
	}
	m.advance(mo)
}

// overdue reports whether a host that is busy has been so for too long.
func (m *Machine) overdue(host string) bool {
	h := m.hosts.named(host)
	if h.busy.IsZero() || m.step.now.Sub(h.busyAt) > busyPatience {
		h.busy = m.step.now
	}
	h.busyAt = m.step.now
	return m.step.now.Sub(h.busy) >= busyPatience
}

// abandonLost gives up on hosts that have gone while they were being asked, in the order of asking.
func (m *Machine) abandonLost() {
	var lost []ReserveID
	for id, mo := range m.reserves {
		if h := m.step.view.Find(mo.decision.host); h == nil || !h.Live || h.Epoch != mo.decision.epoch {
			lost = append(lost, id)
		}
	}
	slices.Sort(lost)
	for _, id := range lost {
		mo := m.reserves[id]
		m.turnedDown(mo, refusal{host: mo.decision.host, message: "it has gone"})
		m.settle(mo)
	}
}

// finish ends the decision and answers those that it is an answer to. All others are looked at again.
func (m *Machine) finish(mo *model, result Result) {
	d := mo.decision
	m.drop(mo)
	if placed := result.Placed; placed != nil {
		switch {
		case d.hook != 0 && placed.Already:
			m.emit(Note{Decision: d.hook, Effect: "there already: " + placed.Host})
		case d.hook != 0:
			m.emit(Note{Decision: d.hook, Effect: "reserved on " + placed.Host})
		}
		mo.retries[d.want] = retry{}
		m.answer(mo, func(a ask) bool {
			return a.accepts(placed.Host) && (!a.adds() || a.same(d.demand))
		}, result)
		return
	}
	if d.hook != 0 {
		m.emit(Note{Decision: d.hook, Effect: "not placed: " + result.Unplaced.Message})
	}
	if d.want != wantNone && result.Unplaced.Reason == peerv1.UnplacedReason_UNPLACED_REASON_ENOUGH {
		return
	}
	if d.want != wantNone {
		m.postpone(mo, d, result.Unplaced)
		return
	}
	m.answer(mo, func(a ask) bool { return a.same(d.demand) }, result)
}

// drop forgets the decision; an answer that comes yet changes nothing.
func (m *Machine) drop(mo *model) {
	d := mo.decision
	delete(m.reserves, d.reserve)
	mo.decision = nil
	if d.want.waitsForTurn() {
		m.background--
	}
}
