package machine

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
)

// noTime takes a due time or a timer back.
var noTime time.Time

// estimate asks storage for the model's size.
func (m *Machine) estimate(mo *model) {
	m.dequeue(mo)
	id := m.name(mo)
	m.become(mo, Estimating)
	m.emit(Estimate{ID: id, Model: mo.row})
}

func (m *Machine) estimated(ev Estimated) {
	mo, ok := m.find(ev.ID, Estimating)
	if !ok {
		return
	}
	m.unname(mo)
	mo.estimate = estimate{known: ev.Fault == nil, bytes: ev.Bytes}
	m.background.lookAt = noTime // Others may have waited for this one.
	m.ended(mo, ev.Fault)
}

// ended decides what becomes of a model when an undertaking has ended and nothing of it is left.
func (m *Machine) ended(mo *model, fault *Fault) {
	if fault == nil || fault.is(Cancelled) || mo.row == nil {
		m.settle(mo)
	} else {
		m.fail(mo, fault)
	}
}

// reserve finds memory for a model and has it pulled. While it is pulled its victims are unloaded. A
// *modelcache.NoRoomError leaves the model as it was; one that never fits has failed.
func (m *Machine) reserve(mo *model) error {
	need := m.need(mo)
	id := m.name(mo)
	var reservation *modelcache.Reservation
	out, err := m.makeRoom(mo, func(order []modelcache.CopyID) (victims []modelcache.Victim, err error) {
		reservation, victims, err = m.ledger.Reserve(id, need, order)
		return victims, err
	})
	if err != nil {
		m.unname(mo)
		if never, ok := errors.AsType[*modelcache.NeverFitsError](err); ok {
			m.fail(mo, cannotFit(never))
		}
		return err
	}
	m.dequeue(mo)
	queued := time.Duration(0)
	if mo.state == Queued {
		queued = m.step.now.Sub(mo.since)
	}
	mo.load = &load{reservation: reservation}
	mo.files.present = true
	m.become(mo, Pulling)
	m.evict(out)
	m.emit(Pull{ID: id, Model: mo.row, Queued: queued})
	return nil
}

func (m *Machine) pulled(ev Pulled) {
	mo, ok := m.find(ev.ID, Pulling)
	if !ok || mo.load.artifact != nil {
		return
	}
	if ev.Fault != nil || mo.row == nil {
		m.giveUp(mo)
		m.ended(mo, ev.Fault)
		return
	}
	mo.load.artifact, mo.load.took = &ev.Artifact, ev.Took
	mo.estimate = estimate{known: true, bytes: ev.Artifact.Bytes}
	// advance takes it from here, once the memory is there and it is its turn.
	m.resize(mo, m.needOnDisk(mo))
}

// resize settles the reservation of a model that is on disk or loaded with what is known of its size by now. False: it
// has no reservation any more.
func (m *Machine) resize(mo *model, need modelcache.Resources) bool {
	out, err := m.makeRoom(mo, func(order []modelcache.CopyID) ([]modelcache.Victim, error) {
		return mo.load.reservation.Resize(need, order)
	})
	if err == nil {
		m.evict(out)
		return true
	}
	never, hopeless := errors.AsType[*modelcache.NeverFitsError](err)
	switch {
	case mo.state == Loading && hopeless: // The runtime holds it, so it has to go first.
		m.note(mo, cannotFit(never))
		m.discard(mo)
		m.refuse(mo, mo.trouble.last.refusal(mo.id, m.step.now))
	case mo.state == Loading:
		m.discard(mo)
	case hopeless:
		m.giveUp(mo)
		m.fail(mo, cannotFit(never))
	default: // No room for that much now, or the runtime was lost since: in line again, with what was learned.
		m.giveUp(mo)
		m.settle(mo)
	}
	return false
}

// advance lets every model go on whose memory has come free: those the runtime has loaded are committed; those on disk
// are loaded, as many at once as the runtime takes, requested ones first.
func (m *Machine) advance() {
	if !m.runtime.ready {
		return
	}
	running := slices.Clone(m.running)
	slices.SortStableFunc(running, moreUrgent)
	for _, mo := range running {
		if mo.state == Sizing && mo.load.reservation.Ready() {
			m.commit(mo)
		}
	}
	for _, mo := range running {
		if mo.state == Pulling && mo.load.artifact != nil && mo.load.reservation.Ready() {
			if !m.mayLoad(mo) {
				return
			}
			m.become(mo, Loading)
			m.emit(Load{ID: mo.copyID, Model: mo.row, Artifact: *mo.load.artifact})
		}
	}
}

// moreUrgent orders models under way: requested ones by arrival, then the others in the order in which they started.
func moreUrgent(a, b *model) int {
	if a.wanted() != b.wanted() {
		if a.wanted() {
			return -1
		}
		return 1
	}
	if a.wanted() {
		return cmp.Compare(a.arrived, b.arrived)
	}
	return cmp.Compare(a.copyID, b.copyID)
}

// mayLoad reports whether the runtime takes one more load. A model during whose load the runtime died is loaded alone:
// when the runtime dies again it was this one, and no other is blamed.
func (m *Machine) mayLoad(mo *model) bool {
	if mo.trouble.deaths > 0 {
		return m.count[Loading] == 0
	}
	suspect := func(o *model) bool { return o.state == Loading && o.trouble.deaths > 0 }
	return m.count[Loading] < m.loads() && !slices.ContainsFunc(m.running, suspect)
}

// loads is how many loads the runtime takes at once.
func (m *Machine) loads() int { return cmp.Or(m.runtime.limits.Loads, m.config.Loads) }

func (m *Machine) loadDone(ev LoadDone) {
	mo, ok := m.find(ev.ID, Loading)
	if !ok {
		return
	}
	if ev.Fault.is(RuntimeUnavailable) && mo.row != nil {
		m.interrupted(mo)
		return
	}
	if ev.Fault != nil {
		m.giveUp(mo)
		m.ended(mo, ev.Fault)
		return
	}
	mo.load.maxConcurrency = ev.MaxConcurrency
	if most := m.config.MaxConcurrency; most > 0 && (ev.MaxConcurrency <= 0 || most < ev.MaxConcurrency) {
		mo.load.maxConcurrency = most
	}
	mo.load.took += ev.Took
	mo.cost = mo.load.took
	need := m.needLoaded(mo, ev.SizeBytes)
	// Should it have to go again, the next attempt asks for this much from the start.
	m.history.Add(mo.id, learned{memory: need[modelcache.HostMemory], disk: mo.load.artifact.Bytes})
	switch {
	case mo.row == nil:
		m.discard(mo)
	case !m.resize(mo, need):
		// It is on its way out again.
	case mo.load.reservation.Ready():
		m.commit(mo)
	default:
		m.become(mo, Sizing)
	}
}

// commit opens a loaded copy for requests.
func (m *Machine) commit(mo *model) {
	used := mo.use.last
	if mo.wanted() {
		used = m.step.now
	}
	c, err := mo.load.reservation.Commit(m.step.now, used, mo.keep())
	if err != nil {
		return // Not ready, which both callers have checked.
	}
	mo.copy = c
	mo.estimate = estimate{}
	mo.trouble = trouble{}
	mo.use.brought, mo.use.displaced, mo.evicted, mo.passed = false, false, false, passed{}
	mo.offering = offering{}
	m.become(mo, Loaded)
	mo.load = nil
	m.tell(mo)
	m.serve(mo)
	m.watchIdle(mo)
	m.moved() // A model that waits for room may claim this copy in the same step.
}

// giveUp ends an attempt that the runtime holds nothing of.
func (m *Machine) giveUp(mo *model) {
	mo.load.reservation.Abort()
	mo.load = nil
	m.unname(mo)
}

// discard unloads a model that was loaded and cannot stay. Its reservation stands for its memory until then.
func (m *Machine) discard(mo *model) {
	m.become(mo, Draining)
	m.unload(mo)
}
