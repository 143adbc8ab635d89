package machine

import (
	"fmt"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// ticket is the promise that a request is to come for a load that an arbiter reserved. Until it comes, or the ticket
// expires, the model is one that a request waits for; once it is loaded its copy is held for the request.
type ticket struct {
	// expires is zero for no ticket.
	expires time.Time
	// holding: the copy is loaded and held.
	holding bool
}

func (t ticket) valid() bool { return !t.expires.IsZero() }

// setTicket keeps a place for the request that is to come to the model.
func (m *Machine) setTicket(mo *model, t ticket) {
	m.dropTicket(mo)
	if !mo.wanted() && !t.holding {
		m.arrive(mo)
	}
	mo.ticket = t
	i, _ := slices.BinarySearchFunc(m.tickets, t.expires, func(o *model, expires time.Time) int {
		if o.ticket.expires.After(expires) {
			return 1
		}
		return -1 // Behind those that expire at the same time.
	})
	m.tickets = slices.Insert(m.tickets, i, mo)
}

// dropTicket ends a model's ticket, if it has one. What becomes of the model then is for the caller to say.
func (m *Machine) dropTicket(mo *model) {
	if !mo.ticket.valid() {
		return
	}
	m.tickets = slices.DeleteFunc(m.tickets, func(o *model) bool { return o == mo })
	if mo.ticket.holding {
		mo.copy.Unhold() // Whoever waits for its memory is looked at in this Step.
	}
	mo.ticket = ticket{}
}

// hold keeps a copy that has just been loaded, or is loaded already, for the request that is to come.
func (m *Machine) hold(mo *model) {
	m.setTicket(mo, ticket{expires: m.step.now.Add(TicketTTL), holding: true})
	mo.copy.Hold()
}

// expireTickets ends the tickets for which nobody came. A load under way goes on in the background.
func (m *Machine) expireTickets() {
	for len(m.tickets) > 0 && !m.tickets[0].ticket.expires.After(m.step.now) {
		mo := m.tickets[0]
		m.dropTicket(mo)
		if mo.state == Queued && !mo.wanted() {
			m.offer(mo)
		}
	}
}

// reserved answers an arbiter. The answer goes out at the end of the Step, after all that comes of it.
func (m *Machine) reserved(ev Reserve) {
	answer := &Reserved{Ticket: ev.Ticket}
	m.step.reserved, m.step.reservedModel = answer, ev.Model
	mo := m.models[ev.Model]
	if !m.mayReserve(mo, ev, answer) {
		return
	}
	m.recall(mo, Remember{Usage: orNone(ev.Usage), LoadCost: ev.LoadCost, Size: modelcache.Resources{modelcache.HostMemory: ev.SizeBytes}})
	answer.Granted = true
	if quiet(ev.Purpose) {
		m.reserveQuietly(mo, ev, answer)
		return
	}
	answer.TTL = TicketTTL
	if ev.Purpose == policyabi.PurposeDrain {
		answer.TTL = drainTicket
	}
	switch {
	case mo.state == Loaded:
		answer.TTL = TicketTTL
		m.hold(mo)
	case len(mo.waiters) > 0:
		// They keep the load by themselves.
	case !mo.wanted() && m.crowded(answer), !mo.wanted() && !mo.under() && m.unfree(mo, ev, answer):
		answer.Granted, answer.TTL = false, 0
	default:
		m.ask(mo, ticket{expires: m.step.now.Add(answer.TTL)})
	}
}

func orNone(u *modelcache.UsageRecord) modelcache.UsageRecord {
	if u == nil {
		return modelcache.UsageRecord{}
	}
	return *u
}

// quiet reports whether a reservation of this purpose may be refused for want of free memory.
func quiet(p policyabi.Purpose) bool {
	return p != policyabi.PurposeMiss && p != policyabi.PurposeDrain
}

// ask has the model loaded as if a request waited.
func (m *Machine) ask(mo *model, t ticket) {
	m.setTicket(mo, t)
	mo.use.last, mo.use.here, mo.use.brought, mo.use.retired = m.step.now, true, true, false
	switch mo.state {
	case Absent, Failed, Queued:
		m.enqueue(mo)
	case Estimating:
		m.show(mo)
	}
}

// mayReserve says whether a model may be loaded here for an arbiter, however much is free.
func (m *Machine) mayReserve(mo *model, ev Reserve, answer *Reserved) bool {
	no := func(reason peerv1.UnplacedReason, format string, args ...any) bool {
		answer.Reason, answer.Message = reason, fmt.Sprintf(format, args...)
		return false
	}
	switch {
	case mo == nil || mo.row == nil:
		return no(peerv1.UnplacedReason_UNPLACED_REASON_STALE, "model %q is not in this host's catalog", ev.Model)
	case m.leaving:
		return no(peerv1.UnplacedReason_UNPLACED_REASON_NO_HOST, "this host is being drained")
	case mo.state == Loaded:
		return true
	case !m.runtime.ready && (quiet(ev.Purpose) || !ev.Final && m.step.now.Sub(m.runtime.down) >= runtimePatience):
		return no(peerv1.UnplacedReason_UNPLACED_REASON_NO_HOST, "the runtime of this host is not ready")
	case mo.pausing(m.step.now):
		answer.Failure = mo.trouble.last
		return no(reasonOfFailure(mo.trouble.last), "%s", mo.trouble.last.refusal(mo.id, m.step.now).Message)
	}
	if need, known := m.needKnown(mo); known {
		// A capacity of which nobody has said anything yet is the runtime's to state.
		if capacity := m.ledger.Capacity(); m.runtime.ready && !capacity.Covers(need.CountedIn(capacity)) {
			never := &modelcache.NeverFitsError{Need: need, Capacity: capacity}
			return no(peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT, "%s", cannotFit(never).Message)
		}
	}
	return true
}

func reasonOfFailure(f *Failure) peerv1.UnplacedReason {
	if f.Reason == syncv1.FailureReason_FAILURE_REASON_CANNOT_FIT {
		return peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT
	}
	return peerv1.UnplacedReason_UNPLACED_REASON_FAILED
}

// needKnown is what a copy would take, as far as that is known without asking storage.
func (m *Machine) needKnown(mo *model) (need modelcache.Resources, known bool) {
	if mo.load != nil || mo.declared() || m.sizeKnown(mo) || m.history.Contains(mo.id) {
		return m.wants(mo), true
	}
	return need, false
}

// unfree reports whether an arbiter is wrong about what is free here, and would rather know.
func (m *Machine) unfree(mo *model, ev Reserve, answer *Reserved) bool {
	need, known := m.needKnown(mo)
	if !ev.ExpectsFree || ev.Final || !known || !m.runtime.ready {
		return false
	}
	free := m.ledger.Free()
	for _, o := range slices.Concat(m.queue, m.running) { // They come first.
		if ahead, known := m.needKnown(o); known && o.wanted() && o.load == nil {
			free = free.Minus(ahead)
		}
	}
	if free.Covers(need.CountedIn(m.ledger.Capacity())) {
		return false
	}
	m.noRoom(answer, need, free.Positive())
	return true
}

// crowded reports whether too much is waited for already.
func (m *Machine) crowded(answer *Reserved) bool {
	if n := m.waiting + len(m.tickets); n >= m.config.Waiters {
		answer.Reason = peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM
		answer.Message = fmt.Sprintf("%d requests already wait, or are expected, for models to load on this host (limit %d)", n, m.config.Waiters)
		return true
	}
	return false
}

func (m *Machine) noRoom(answer *Reserved, need, free modelcache.Resources) {
	answer.Reason = peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM
	answer.Message = fmt.Sprintf("needs %v, with %v of %v free that nobody waits for", need, free, m.ledger.Capacity())
}

// reserveQuietly starts a load that no request waits for, at once or not at all.
func (m *Machine) reserveQuietly(mo *model, ev Reserve, answer *Reserved) {
	refuse := func(reason peerv1.UnplacedReason, message string) {
		*answer = Reserved{Ticket: ev.Ticket, Reason: reason, Message: message}
	}
	no := func(message string) { refuse(peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM, message) }
	switch slots := m.slots(); {
	case mo.state == Estimating:
		mo.use.brought = true
		m.show(mo)
		return
	case mo.state == Loaded || mo.under() || mo.wanted():
		return
	case mo.state == Draining:
		no("the model is just being unloaded here")
		return
	case len(m.queue) > 0:
		no("requests wait for other models to load here")
		return
	case mo.files.cleaning || m.step.now.Sub(mo.use.evicted) < m.config.Envelope.ReloadGuard:
		no("the model has just made room for another here")
		return
	case slots.loads == 0 || slots.estimates == 0 && !m.sizeKnown(mo):
		refuse(peerv1.UnplacedReason_UNPLACED_REASON_BUSY, "as much is being loaded here as may be without a request waiting")
		return
	case ev.ExpectsFree && !ev.Final && !m.sizeKnown(mo):
		no("how much it needs is not known here, and it was to take only what is free")
		return
	case m.unfree(mo, ev, answer):
		answer.Granted = false
		return
	}
	m.followActive()
	before := mo.use
	mo.use.brought, mo.use.retired = true, false
	if ev.Purpose == policyabi.PurposeScale {
		mo.use.last = m.step.now // Its copies are busy.
	}
	switch known := m.sizeKnown(mo); {
	case !known && !m.hopeless(mo):
		m.estimate(mo)
	case known && m.start(mo):
	default:
		mo.use = before
		need, _ := m.needKnown(mo)
		*answer = Reserved{Ticket: ev.Ticket}
		m.noRoom(answer, need, m.ledger.Free())
	}
}

// confirm sends the answer to the Reserve of this Step.
func (m *Machine) confirm() {
	if answer := m.step.reserved; answer != nil {
		if mo := m.models[m.step.reservedModel]; mo != nil {
			answer.State = mo.shown()
		}
		m.emit(*answer)
	}
}
