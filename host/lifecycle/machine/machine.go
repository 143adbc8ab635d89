package machine

import (
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/wasmesh/wasmesh/host/modelcache"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Machine decides for one host what is loaded, unloaded, waited for and refused. It performs nothing: Step takes an event
// and the time, and answers effects. Not safe for concurrent use, except for Ledger.
//
// Invariants between two Steps:
//
//   - of each model at most one of {Estimate, Pull, Load, Unload} is under way, and no Pull beside a RemoveFiles;
//   - a model is Loaded exactly when a copy of it is resident in the ledger;
//   - a waiter waits for a model that is Queued, Estimating, Pulling, Loading, Sizing or Draining, so that there is
//     always something under way, or some memory to wait for, that ends its wait.
type Machine struct {
	config  Config
	ledger  *modelcache.Ledger
	history *simplelru.LRU[string, learned]
	// former is what is remembered of models that the catalog does not list.
	former *simplelru.LRU[string, former]

	models map[string]*model
	copies map[modelcache.CopyID]*model // By model.copyID, where that is not 0.
	count  [states]int                  // Models by state.
	// offered are those in count that are not here to others.
	offered [states]int

	queue      []*model // Queued with a request waiting, by arrival.
	running    []*model // From Estimating to Sizing.
	draining   []*model
	background background
	due        modelHeap
	tickets    []*model // With a ticket, by the time when it expires.
	worth      worth
	leaving    bool // The host is being drained.

	runtime runtimeState
	waiting int // Sum of waiters.
	given   numbers
	timer   time.Time // What the last SetTimer asked for.
	step    step
}

// runtimeState is what the machine knows of the runtime.
type runtimeState struct {
	// ready: it takes loads, under these limits.
	ready  bool
	limits Limits
	// down is since when it does not; meaningless while it is ready.
	down time.Time
	// despaired: those that waited for it have been sent away.
	despaired bool
}

// numbers is what was given out last of numbers that are never given out again.
type numbers struct {
	id      modelcache.CopyID
	arrival uint64
	offer   OfferID
}

// step is the part of a Machine that lives for one Step.
type step struct {
	now     time.Time
	effects []Effect
	// copies is the ledger's snapshot, until a copy comes or goes. Requests go on meanwhile: the ledger checks again.
	copies []modelcache.CopyInfo
	// oldest is, of the copies that may go for a load that nobody waits for, the least recent last use by priority.
	oldest map[int32]time.Time
	// reserved is the answer to the Reserve of this Step, about reservedModel; nil for none.
	reserved      *Reserved
	reservedModel string
}

// New makes a Machine that knows no model and whose runtime is not ready.
func New(config Config) *Machine {
	config = config.withDefaults()
	m := &Machine{
		config:  config,
		ledger:  modelcache.New(config.Capacity),
		models:  make(map[string]*model),
		copies:  make(map[modelcache.CopyID]*model),
		history: newLRU[learned](config.History),
		former:  newLRU[former](config.History),
		due:     modelHeap{kind: byDue, before: func(a, b *model) bool { return a.due.Before(b.due) }},
	}
	m.background.unsized = modelHeap{kind: unsized, before: worthMore}
	m.background.sized = modelHeap{kind: sized, before: worthMore}
	m.background.standby = modelHeap{kind: standby, before: worthMore}
	m.background.offers = modelHeap{kind: offers, before: worthMore}
	m.background.out = make(map[OfferID]*model)
	return m
}

func newLRU[V any](size int) *simplelru.LRU[string, V] {
	if size < 1 {
		size = DefaultHistory
	}
	lru, _ := simplelru.NewLRU[string, V](size, nil) // Fails for sizes below 1 only.
	return lru
}

// Ledger is for reading (Stats, Snapshot), from any goroutine.
func (m *Machine) Ledger() *modelcache.Ledger { return m.ledger }

// Stats counts what there is.
type Stats struct {
	// Models of the catalog that this host may hold, and how many of them have failed.
	Managed, Failed int
	Loaded          int
	// Queued for a load here, and being estimated, pulled, loaded or sized for one.
	Queued, Running int
	// Waiting requests.
	Waiting int
}

// Stats answers the counts after the last Step.
func (m *Machine) Stats() Stats {
	return Stats{
		Managed: len(m.models),
		Failed:  m.count[Failed],
		Loaded:  m.count[Loaded],
		Queued:  m.count[Queued] - m.offered[Queued],
		Running: m.count[Estimating] - m.offered[Estimating] + m.count[Pulling] + m.count[Loading] + m.count[Sizing],
		Waiting: m.waiting,
	}
}

// Step takes in one event and answers what is to be done, in order. now never goes back.
func (m *Machine) Step(now time.Time, event Event) []Effect {
	m.step = step{now: now}
	if m.runtime.down.IsZero() {
		m.runtime.down = now
	}
	switch event := event.(type) {
	case CatalogChanged:
		m.catalogChanged(event)
	case CredentialsChanged:
		m.retryFailed(syncv1.FailureReason_FAILURE_REASON_MODEL_LOAD_FAILED)
	case Wanted:
		m.wanted(event)
	case WaiterGone:
		m.waiterGone(event)
	case Estimated:
		m.estimated(event)
	case Pulled:
		m.pulled(event)
	case LoadDone:
		m.loadDone(event)
	case Unloaded:
		m.unloaded(event)
	case FilesRemoved:
		m.filesRemoved(event)
	case Idle:
		m.unloadIdle()
	case RuntimeReady:
		m.runtimeReady(event)
	case RuntimeLost:
		m.runtimeLost()
	case RuntimeForgot:
		m.runtimeForgot(event)
	case Reserve:
		m.reserved(event)
	case GiveUp:
		m.gaveUp(event)
	case SetDraining:
		m.setDraining(event)
	case MeshChanged:
		m.meshChanged(event)
	case OfferAnswered:
		m.offerAnswered(event)
	case Remembered:
		m.remembered(event)
	case Survey:
		m.survey()
	case Tick:
		m.timer = noTime
	}
	m.runDue()
	m.expireTickets()
	m.advance()
	m.admit()
	m.fill()
	m.confirm()
	m.setTimer()
	return m.step.effects
}

func (m *Machine) emit(effect Effect) { m.step.effects = append(m.step.effects, effect) }

// become moves a model to a state and publishes it.
func (m *Machine) become(mo *model, state State) {
	m.count[mo.state]--
	m.count[state]++
	if mo.offered {
		m.offered[mo.state]--
	}
	mo.state, mo.since = state, m.step.now
	if mo.offered = m.isOffer(mo); mo.offered {
		m.offered[state]++
	}
	p := Publish{
		Model: mo.id, Key: mo.key, State: state, Since: mo.since, Size: mo.size(), LastUsed: mo.lastUse(), Failure: mo.trouble.last,
		Offered: mo.offered,
	}
	if state == Loaded {
		p.Copy, p.MaxConcurrency = mo.copy, mo.load.maxConcurrency
	}
	m.emit(p)
	m.running = regroup(m.running, mo, state == Estimating || state == Pulling || state == Loading || state == Sizing)
	m.draining = regroup(m.draining, mo, state == Draining)
}

// regroup adds a model to a group or takes it out, if it is not as it should be.
func regroup(group []*model, mo *model, belongs bool) []*model {
	switch i := slices.Index(group, mo); {
	case belongs && i < 0:
		return append(group, mo)
	case !belongs && i >= 0:
		return slices.Delete(group, i, i+1)
	}
	return group
}

// name gives the model's next undertaking an id of its own.
func (m *Machine) name(mo *model) modelcache.CopyID {
	m.unname(mo)
	m.given.id++
	mo.copyID = m.given.id
	m.copies[mo.copyID] = mo
	return mo.copyID
}

func (m *Machine) unname(mo *model) {
	delete(m.copies, mo.copyID)
	mo.copyID = 0
}

// find answers the model of an undertaking, if that is still in one of these states; else the event is stale.
func (m *Machine) find(id modelcache.CopyID, in ...State) (*model, bool) {
	mo, ok := m.copies[id]
	return mo, ok && slices.Contains(in, mo.state)
}

// setDue has runDue look at the model at this time; the zero time takes that back.
func (m *Machine) setDue(mo *model, at time.Time) {
	mo.due = at
	if at.IsZero() {
		m.due.remove(mo)
	} else {
		m.due.add(mo)
	}
}

// runDue looks at every model whose time has come.
func (m *Machine) runDue() {
	for mo := m.due.first(); mo != nil && !mo.due.After(m.step.now); mo = m.due.first() {
		m.setDue(mo, noTime)
		switch mo.state {
		case Failed:
			m.retryDue(mo)
		case Absent, Queued:
			m.offerLost(mo)
		case Loaded:
			m.checkIdle(mo)
		case Draining:
			m.unload(mo)
		}
	}
}

// setTimer asks for the next Tick, if that differs from what was asked for last.
func (m *Machine) setTimer() {
	at := m.background.again
	if mo := m.due.first(); mo != nil && (at.IsZero() || mo.due.Before(at)) {
		at = mo.due
	}
	if len(m.tickets) > 0 && (at.IsZero() || m.tickets[0].ticket.expires.Before(at)) {
		at = m.tickets[0].ticket.expires
	}
	if !at.Equal(m.timer) {
		m.timer = at
		m.emit(SetTimer{At: at})
	}
}
