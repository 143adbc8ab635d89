package arbiter

import (
	"cmp"
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/sdk/modelid"
)

// Machine decides where models are loaded, and how many copies there are. It performs nothing: Step takes an event and the
// time, and answers effects. Not safe for concurrent use.
//
// Invariants between two Steps:
//
//   - of each model at most one decision is under way, with exactly one Reserve that is not answered and not too old;
//   - every ask that is not answered waits at a model that has a decision under way;
//   - the Machine never adds to the copies of a model beyond the owner's max-copies, except for a request that cannot
//     reach those there are.
type Machine struct {
	config Config
	// models are those of the catalog, by key and by id.
	models  map[uint64]*model
	ids     map[string]*model
	history *simplelru.LRU[uint64, Usage]

	hosts hosts
	// shape is the View without its figures, as of the last ViewChanged.
	shape []standing
	// reserves and releases are those without an answer.
	reserves map[ReserveID]*model
	releases map[ReleaseID]*model
	// checks are models to look at, in order; watched are those for which the View matters although nobody asks.
	checks  []*model
	watched map[*model]struct{}
	due     dueHeap
	// background is how many decisions count against Config.Background; backlog are models that wait to be one of them.
	// While resting none of them begins.
	background int
	backlog    []*model
	resting    time.Time

	// copies and others are room for what Config.Copies answers.
	copies, others []residency.Copy

	asks  int
	count Counts
	given struct {
		reserve ReserveID
		release ReleaseID
	}
	timer time.Time // What the last SetTimer asked for.
	step  step
}

// step is the part of a Machine that lives for one Step.
type step struct {
	now     time.Time
	view    *members.View
	effects []Effect
}

// standing is what of a host decides on who may hold and who decides.
type standing struct {
	id, runtime                                      string
	epoch                                            uint64
	live, gateway, draining, arbiter, ready, warming bool
}

// New makes a Machine that knows no model.
func New(config Config) *Machine {
	config = config.withDefaults()
	// Fails for sizes below 1 only.
	history, _ := simplelru.NewLRU[uint64, Usage](max(config.History, 1), nil)
	return &Machine{
		config: config, history: history,
		models: make(map[uint64]*model), ids: make(map[string]*model), hosts: make(hosts),
		reserves: make(map[ReserveID]*model), releases: make(map[ReleaseID]*model), watched: make(map[*model]struct{}),
	}
}

// Counts is what has happened since the start, for metrics.
type Counts struct {
	// Placed are Reserves that were granted, Refused those that were not, Unanswered those that got no answer in time.
	Placed, Refused, Unanswered uint64
	// Surplus is how often a model had more copies than it needs; Released are copies that were given up for it.
	Surplus, Released uint64
}

// Stats is what there is after the last Step.
type Stats struct {
	Counts
	// Models of the catalog, Watched those whose number of copies is looked after.
	Models, Watched int
	// Asks wait, Decisions are under way, Backlog are models that wait for a decision in the background.
	Asks, Decisions, Backlog int
	// History is of how many models the use is remembered.
	History int
}

// Stats answers the counts after the last Step.
func (m *Machine) Stats() Stats {
	return Stats{
		Counts: m.count, Models: len(m.models), Watched: len(m.watched), Asks: m.asks, Decisions: len(m.reserves),
		Backlog: len(m.backlog), History: m.history.Len(),
	}
}

// Step takes in one event and answers what is to be done, in order. now never goes back.
func (m *Machine) Step(now time.Time, event Event) []Effect {
	m.step = step{now: now, view: m.config.View()}
	switch event := event.(type) {
	case CatalogChanged:
		m.catalogChanged(event)
	case PlaceAsked:
		m.placeAsked(event)
	case Reserved:
		m.reserved(event)
	case Released:
		m.released(event)
	case UseReported:
		m.useReported(event)
	case Remembered:
		m.remembered(event)
	case CopiesChanged:
		m.copiesChanged(event)
	case ViewChanged:
		m.viewChanged()
	case Tick:
		m.timer = time.Time{}
	}
	for mo := m.due.first(); mo != nil && !mo.due.After(now); mo = m.due.first() {
		mo.due = time.Time{}
		m.due.put(mo)
		m.check(mo)
	}
	m.runChecks()
	m.setTimer()
	return m.step.effects
}

func (m *Machine) emit(effect Effect) { m.step.effects = append(m.step.effects, effect) }

// check has the model looked at soon, after those that were to be before.
func (m *Machine) check(mo *model) {
	if !mo.checking {
		mo.checking = true
		m.checks = append(m.checks, mo)
	}
}

// runChecks looks at so many of the models that something happened to, and then at those that wait for their turn.
func (m *Machine) runChecks() {
	for n := 0; n < checksPerStep; n++ {
		if len(m.checks) == 0 && !m.nextTurn() {
			return
		}
		mo := m.checks[0]
		m.checks[0] = nil
		m.checks = m.checks[1:]
		mo.checking = false
		m.settle(mo)
	}
}

// setTimer asks for the next Tick, if that differs from what was asked for last.
func (m *Machine) setTimer() {
	var at time.Time
	if mo := m.due.first(); mo != nil {
		at = mo.due
	}
	if turn := m.nextTurnAt(); !turn.IsZero() && (at.IsZero() || turn.Before(at)) {
		at = turn
	}
	if len(m.checks) > 0 {
		at = m.step.now
	}
	if !at.Equal(m.timer) {
		m.timer = at
		m.emit(SetTimer{At: at})
	}
}

// catalogChanged takes in rows. All are looked at: copies of a model may be known before the model is.
func (m *Machine) catalogChanged(event CatalogChanged) {
	for _, row := range event.Upserts {
		mo := m.ids[row.GetId()]
		if mo == nil {
			key := uint64(modelid.KeyOf(row.GetNamespace(), row.GetId()))
			if m.models[key] != nil {
				continue // The controller lets only one of two models have a key.
			}
			mo = &model{key: key, id: row.GetId()}
			m.models[key], m.ids[mo.id] = mo, mo
		}
		mo.row, mo.retries = row, [wants]retry{}
		m.check(mo)
	}
	for _, id := range event.Removed {
		if mo := m.ids[id]; mo != nil {
			m.forget(mo)
		}
	}
}

// copiesChanged looks at models that may have a copy too few or too many, or that somebody waits for.
func (m *Machine) copiesChanged(event CopiesChanged) {
	for _, key := range event.Keys {
		if mo := m.models[key]; mo != nil {
			m.check(mo)
		}
	}
}

// viewChanged looks at everything that depends on who is there, if that has changed. New figures alone have nobody looked
// at: they are read when the next model is placed.
func (m *Machine) viewChanged() {
	shape := shapeOf(m.step.view)
	if slices.Equal(shape, m.shape) {
		return
	}
	m.shape = shape
	m.hosts.keep(m.step.view)
	m.abandonLost()
	changed := make([]*model, 0, len(m.watched))
	for mo := range m.watched {
		changed = append(changed, mo)
	}
	slices.SortFunc(changed, func(a, b *model) int { return cmp.Compare(a.key, b.key) })
	for _, mo := range changed {
		mo.retries = [wants]retry{}
		m.check(mo)
	}
}

func shapeOf(view *members.View) []standing {
	all := view.All()
	shape := make([]standing, len(all))
	for i := range all {
		h := &all[i]
		shape[i] = standing{
			id: h.ID, runtime: h.Runtime, epoch: h.Epoch, live: h.Live, gateway: h.Gateway, draining: h.Draining, arbiter: h.Arbiter,
			ready: h.RuntimeReady, warming: h.Warming,
		}
	}
	return shape
}
