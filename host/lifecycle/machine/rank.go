package machine

import (
	"errors"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
)

// worth is what the machine remembers in order to tell what copies are worth.
type worth struct {
	clock modelcache.EvictionClock
	// surveyed is when keep-values were last asked for to draw the reclaim curve, and seen what there was then.
	surveyed time.Time
	seen     census
	last     Worth
	// rows is reused from ranking to ranking.
	rows []modelcache.Candidate
}

// census changes whenever a copy comes, goes or is used.
type census struct {
	copies int
	ids    modelcache.CopyID
	uses   uint64
}

// order is who goes, first to go first, and on whose word.
type order struct {
	ids []modelcache.CopyID
	// ranked is the whole order, those included that may not go.
	ranked   []modelcache.Ranked
	barred   map[modelcache.CopyID]Limit
	decision uint64
}

// said is what the order says of a copy; nothing when it says nothing.
func (o order) said(id modelcache.CopyID) modelcache.Ranked {
	for _, r := range o.ranked {
		if r.ID == id && r.Keep != modelcache.Unranked {
			return r
		}
	}
	return modelcache.Ranked{}
}

// eviction is the victims of one reservation and the order they went by.
type eviction struct {
	victims []modelcache.Victim
	order   order
}

// residents is the ledger's snapshot without what is draining, taken once per step.
func (m *Machine) residents() []modelcache.CopyInfo {
	if m.step.copies == nil {
		m.step.copies = slices.DeleteFunc(m.ledger.Snapshot(), func(c modelcache.CopyInfo) bool { return c.Draining })
	}
	return m.step.copies
}

// moved: a copy has come or gone.
func (m *Machine) moved() { m.step.copies, m.step.oldest = nil, nil }

// makeRoom has claim find memory for a model: without any victim, and if that does not do, with those that may go, in
// the order that the copies are ranked in. Ranking costs, and is recorded: nobody is asked to rank copies while those
// that may go would not suffice in any order.
func (m *Machine) makeRoom(mo *model, claim func([]modelcache.CopyID) ([]modelcache.Victim, error)) (eviction, error) {
	victims, err := claim(nil)
	none, full := errors.AsType[*modelcache.NoRoomError](err)
	if !full {
		return eviction{victims: victims}, err
	}
	may := m.mayGo(mo)
	if none.Evictable = m.evictable(may, none.Missing); !none.Evictable.Covers(none.Missing) {
		return eviction{}, none
	}
	out := eviction{order: m.rank(mo, may)}
	out.victims, err = claim(out.order.ids)
	m.decided(mo, out)
	return out, err
}

// mayGo says which copies may go for a model; nil, any that the ledger lets go, when a request waits for it.
func (m *Machine) mayGo(mo *model) func(modelcache.CopyInfo) bool {
	if mo.wanted() {
		return nil
	}
	return m.mayReplace(mo)
}

// evictable answers what the idle copies hold that may go; if that does not cover what is missing, those in flight tell
// when they become idle. may is nil when a request waits.
func (m *Machine) evictable(may func(modelcache.CopyInfo) bool, missing modelcache.Resources) modelcache.Resources {
	var idle modelcache.Resources
	var ids []modelcache.CopyID
	for _, c := range m.residents() {
		if may != nil && !may(c) {
			continue
		}
		ids = append(ids, c.ID)
		if c.InFlight == 0 && !c.Keep.Pinned {
			idle = idle.Plus(c.Size)
		}
	}
	if idle.Covers(missing) {
		return idle
	}
	return m.ledger.Watch(ids)
}

// rank has the configured order say who goes for a model.
func (m *Machine) rank(mo *model, may func(modelcache.CopyInfo) bool) order {
	r := m.ranking(modelcache.Incoming{
		Model: mo.id, Key: mo.key, Need: m.wants(mo), Purpose: modelcache.Miss, Keep: mo.keep(), Declared: mo.declared(),
	})
	if !mo.wanted() {
		r.Incoming.Purpose = modelcache.Background
	}
	ranked, decision := m.config.Order(r)
	o := order{
		ids: make([]modelcache.CopyID, 0, len(r.Copies)), ranked: modelcache.Arrange(r, ranked),
		barred: map[modelcache.CopyID]Limit{}, decision: decision,
	}
	for i := range r.Copies {
		if limit := limitOf(&r.Copies[i], may); limit != "" {
			o.barred[r.Copies[i].ID] = limit
		}
	}
	for _, said := range o.ranked {
		// What is pinned or in flight the ledger finds out by itself, as of when it looks, if a request waits. In the
		// background what was in flight a moment ago has just been used.
		if limit := o.barred[said.ID]; limit == "" || may == nil && limit != LimitLoading {
			o.ids = append(o.ids, said.ID)
		}
	}
	return o
}

// limitOf says why a copy may not go; empty when it may.
func limitOf(c *modelcache.Candidate, may func(modelcache.CopyInfo) bool) Limit {
	switch {
	case c.Loading:
		return LimitLoading
	case c.Keep.Pinned:
		return LimitPinned
	case c.InFlight > 0:
		return LimitInFlight
	case may != nil && !may(c.CopyInfo):
		return LimitBackground
	}
	return ""
}

// wants is what a model has reserved, or would.
func (m *Machine) wants(mo *model) modelcache.Resources {
	if mo.load != nil {
		return mo.load.reservation.Need()
	}
	return m.need(mo)
}

// ranking describes everything that is here or on its way. It is good until the next.
func (m *Machine) ranking(incoming modelcache.Incoming) modelcache.Ranking {
	rows := m.worth.rows[:0]
	for _, info := range m.residents() {
		rows = append(rows, m.candidate(m.copies[info.ID], info))
	}
	for _, mo := range m.running {
		if mo.load != nil && mo.id != incoming.Model {
			c := m.candidate(mo, modelcache.CopyInfo{
				ID: mo.copyID, Size: mo.load.reservation.Need(), LastUsed: mo.use.last, Keep: mo.keep(),
			})
			c.Loading = true
			rows = append(rows, c)
		}
	}
	m.worth.rows = rows
	return modelcache.Ranking{
		Now: m.step.now, Incoming: incoming, Free: m.ledger.Free(), Capacity: m.ledger.Capacity(), Copies: rows,
	}
}

func (m *Machine) candidate(mo *model, info modelcache.CopyInfo) modelcache.Candidate {
	c := modelcache.Candidate{CopyInfo: info}
	if mo == nil {
		return c // The ledger knows no copy that is not a model's.
	}
	if info.Uses > 0 {
		mo.rates.Read(m.step.now, info)
	}
	c.Model, c.Key, c.LoadCost = mo.id, mo.key, mo.cost
	c.Rate, c.RateRecent = mo.rates.Rates(m.step.now)
	c.CopiesElsewhere = m.elsewhere(mo)
	c.Inflation = m.worth.clock.Since(info.UsedAt(m.step.now))
	return c
}

// decided tells what came of a ranking that has a number.
func (m *Machine) decided(mo *model, out eviction) {
	if out.order.decision == 0 {
		return
	}
	d := Decided{Decision: out.order.decision, Model: mo.id}
	left := make(map[modelcache.CopyID]bool, len(out.victims))
	for _, v := range out.victims {
		left[v.ID] = true
		d.Victims = append(d.Victims, m.copies[v.ID].id)
	}
	for _, said := range out.order.ranked {
		if len(left) == 0 {
			break
		}
		delete(left, said.ID)
		if limit := out.order.barred[said.ID]; limit != "" && len(left) > 0 && !slices.Contains(d.Limits, limit) {
			d.Limits = append(d.Limits, limit)
		}
	}
	m.emit(d)
}

// survey reads how copies are used, and if anything has changed tells what they are worth.
func (m *Machine) survey() {
	now := census{}
	for _, c := range m.residents() {
		now.copies++
		now.ids += c.ID
		now.uses += c.Uses
	}
	last, pause := m.worth.seen, m.step.now.Sub(m.worth.surveyed)
	switch {
	case now.copies != last.copies || now.ids != last.ids || pause >= surveyAtLeast:
	case now.uses != last.uses && pause >= surveyUsed:
	default:
		return
	}
	m.worth.seen, m.worth.surveyed = now, m.step.now
	r := m.ranking(modelcache.Incoming{Purpose: modelcache.Worth})
	w := Worth{}
	for i := range r.Copies {
		w.Rate += r.Copies[i].Rate
	}
	if len(r.Copies) > 0 {
		ranked, _ := m.config.Order(r)
		w.Reclaim = modelcache.Reclaim(r, ranked)
	}
	m.worth.last = w
	m.emit(w)
}
