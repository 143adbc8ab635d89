package simulate

import (
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// servingRuntime is what all runtimes of a simulation are.
const servingRuntime = "simulated"

// newsPause lets changes of one moment come to the arbiter together.
const newsPause = 100 * time.Microsecond

// mesh is a host's part in the mesh: its arbiter, and what goes between that, the machine and other hosts, as package mesh
// has it.
type mesh struct {
	host    *host
	arbiter *arbiter.Machine
	timer   uint64
	// answers is who waits for the arbiter here.
	answers map[arbiter.AskID]awaited
	lastAsk uint64
	// asks under way for requests of this host, by what is asked.
	asks    map[asking]*asked
	news    news
	history history
	// parts of the hosts as of now; moved are those who wait for these to change.
	parts []part
	// free is what they had when freed was last asked.
	free  []modelcache.Resources
	moved []func()
	// arbiters of models, as long as the parts stay.
	arbiters map[uint64]string

	flights map[flight]int
	meter   meter
	drain   drain
}

// awaited is an answer of the arbiter that somebody waits for since then.
type awaited struct {
	answer func(arbiter.Result)
	since  time.Duration
}

// news is what has changed since the arbiter last looked.
type news struct {
	planned bool
	// view has changed, and parts in it.
	view, parts bool
	keys        []uint64
	upserts     []*syncv1.Model
	removed     []string
}

func newMesh(h *host) *mesh {
	m := &mesh{
		host: h, answers: map[arbiter.AskID]awaited{}, asks: map[asking]*asked{},
		flights: map[flight]int{}, history: history{kept: map[uint64]*kept{}}, arbiters: map[uint64]string{},
	}
	m.arbiter = arbiter.New(arbiter.Config{
		Self:    h.spec.Name,
		View:    func() *members.View { return h.peers.view },
		Copies:  func(key uint64, into []residency.Copy) []residency.Copy { return h.peers.table.Copies(key, into) },
		Failure: func(key uint64, host string) *syncv1.Failure { return h.peers.failures[failed{key, host}] },
		Place:   h.world.policies.place,

		ScaleDownAfter: h.world.scaleDownAfter(),
	})
	return m
}

func (m *mesh) start() {
	if m.host.spec.Gateway {
		return
	}
	m.host.every(sampleEvery, m.sample)
	m.host.every(historyEvery, m.tellHistory)
}

// scaleDownAfter is how long a copy has not been needed when it is given up: the default where requests are recorded, and else
// shorter, so that a mesh is soon in order again.
func (w *World) scaleDownAfter() time.Duration {
	if w.recorded {
		return arbiter.DefaultScaleDownAfter
	}
	return scaleDownSoon
}

const scaleDownSoon = 15 * time.Second

// meshAsSeen tells the lifecycle machine of other hosts.
type meshAsSeen struct{ host *host }

func (s meshAsSeen) Home(key uint64, runtimes []string) bool {
	return s.host.peers.arbiter && s.host.peers.view.Home(key, runtimes)
}

func (s meshAsSeen) CopiesElsewhere(key uint64) int {
	var room [8]residency.Copy
	n := 0
	for _, c := range s.host.peers.table.Copies(key, room[:0]) {
		switch c.State {
		case residency.Queued, residency.Loading, residency.Loaded:
			if c.Host != s.host.spec.Name {
				n++
			}
		}
	}
	return n
}

func (s meshAsSeen) Room(runtimes []string, need modelcache.Resources, keep modelcache.Keep, last time.Time) bool {
	all := s.host.peers.view.All()
	for i := range all {
		h, f := &all[i], &all[i].Figures
		if h.ID == s.host.spec.Name || !h.Eligible(runtimes) || h.Draining || !h.RuntimeReady || !f.Capacity.Covers(need.CountedIn(f.Capacity)) {
			continue
		}
		if f.Free.Covers(need.CountedIn(f.Capacity)) || keep.Pinned || keep.Priority > 0 || !f.Oldest.IsZero() && f.Oldest.Before(last) {
			return true
		}
	}
	return false
}

// viewChanged, copiesChanged and catalogChanged pass on what is new.
func (m *mesh) viewChanged() {
	m.news.view = true
	if m.partsMoved() {
		m.news.parts, m.history.pending = true, true
		clear(m.arbiters)
		moved := m.moved
		m.moved = nil
		for _, wake := range moved {
			m.host.plan(0, wake)
		}
	}
	m.tell()
}

func (m *mesh) copiesChanged(keys []uint64) {
	if len(keys) == 0 {
		return
	}
	m.news.keys = append(m.news.keys, keys...)
	m.tell()
}

func (m *mesh) catalogChanged(upserts []*syncv1.Model, removed []string) {
	m.news.upserts = append(m.news.upserts, upserts...)
	m.news.removed = append(m.news.removed, removed...)
	m.tell()
}

func (m *mesh) tell() {
	if m.news.planned {
		return
	}
	m.news.planned = true
	m.host.plan(newsPause, m.listen)
}

// listen has the machines and those who wait look at what is new.
func (m *mesh) listen() {
	n := m.news
	m.news = news{}
	slices.Sort(n.keys)
	n.keys = slices.Compact(n.keys)
	if m.host.peers.arbiter && !m.host.spec.Gateway {
		if len(n.upserts)+len(n.removed) > 0 {
			m.step(arbiter.CatalogChanged{Upserts: n.upserts, Removed: n.removed})
		}
		if n.view {
			m.step(arbiter.ViewChanged{})
		}
		if len(n.keys) > 0 {
			m.step(arbiter.CopiesChanged{Keys: n.keys})
		}
	} else {
		m.news.upserts, m.news.removed, m.news.view, m.news.keys = n.upserts, n.removed, n.view, n.keys
	}
	m.tellMachine(n)
}

// tellMachine has the lifecycle machine look at what may let it load more.
func (m *mesh) tellMachine(n news) {
	if m.host.spec.Gateway {
		return
	}
	changed := machine.MeshChanged{All: n.parts, Room: n.view && m.freed()}
	for _, key := range n.keys {
		if model := m.host.world.byKey[key]; model != nil && !m.heldAnywhere(key) && m.host.lists(model.spec.Name) {
			changed.Uncovered = append(changed.Uncovered, model.spec.Name)
		}
	}
	if changed.All || changed.Room || len(changed.Uncovered) > 0 {
		m.host.exec.step(changed)
	}
}

// freed reports whether a host has more free memory than when this was last asked.
func (m *mesh) freed() bool {
	free := make([]modelcache.Resources, len(m.host.world.hosts))
	more := false
	for _, member := range m.host.peers.view.All() {
		i := m.host.world.host(member.ID).index
		free[i] = member.Figures.Free
		more = more || m.free == nil || !m.free[i].Covers(free[i])
	}
	m.free = free
	return more
}

func (m *mesh) heldAnywhere(key uint64) bool {
	var room [8]residency.Copy
	return slices.ContainsFunc(m.host.peers.table.Copies(key, room[:0]), func(c residency.Copy) bool {
		return c.State >= residency.Queued && c.State <= residency.Draining
	})
}

// part is what a host has to do with models, apart from its figures.
type part struct {
	live, draining, arbiter bool
	epoch                   uint64
}

// partsMoved reports whether a host has another part in the mesh than in the View before.
func (m *mesh) partsMoved() bool {
	parts := make([]part, len(m.host.world.hosts))
	for _, member := range m.host.peers.view.All() {
		parts[m.host.world.host(member.ID).index] = part{member.Live, member.Draining, member.Arbiter, member.Epoch}
	}
	moved := !slices.Equal(parts, m.parts)
	m.parts = parts
	return moved
}

// step feeds the arbiter and performs what it wants.
func (m *mesh) step(event arbiter.Event) {
	h := m.host
	for _, effect := range m.arbiter.Step(h.now(), event) {
		switch effect := effect.(type) {
		case arbiter.Answer:
			for _, id := range effect.Asks {
				if awaited, ok := m.answers[id]; ok {
					delete(m.answers, id)
					awaited.answer(effect.Result)
				}
			}
		case arbiter.Reserve:
			m.reserve(effect)
		case arbiter.Release:
			m.release(effect)
		case arbiter.SetTimer:
			m.setTimer(effect.At)
		}
	}
}

func (m *mesh) setTimer(at time.Time) {
	m.timer++
	if at.IsZero() {
		return
	}
	timer := m.timer
	m.host.plan(at.Sub(m.host.now()), func() {
		if m.timer == timer {
			m.step(arbiter.Tick{})
		}
	})
}

// reserve asks a host, maybe this one, to load a model.
func (m *mesh) reserve(effect arbiter.Reserve) {
	h := m.host
	h.note("reserve "+effect.Purpose.String()+" on "+effect.Host, effect.Model, int64(effect.ID))
	h.world.stats.Reservations++
	h.world.decided(h, effect)
	m.toHost(effect.Host, arbiter.DefaultReserveTimeout, func(target *host) any {
		return target.mesh.reserved(effect)
	}, func(answer any, err error) {
		reserved, ok := answer.(arbiter.Reserved)
		if !ok {
			reserved = arbiter.Reserved{Err: err}
		}
		h.world.settled(h, effect, reserved.Granted, !ok)
		reserved.ID = effect.ID
		m.step(reserved)
	})
}

// reserved is the asked host's part.
func (m *mesh) reserved(effect arbiter.Reserve) arbiter.Reserved {
	h := m.host
	if !h.lists(effect.Model) {
		return arbiter.Reserved{Reason: peerv1.UnplacedReason_UNPLACED_REASON_STALE, Message: "not in the catalog of this host"}
	}
	ask := machine.Reserve{Model: effect.Model, Purpose: effect.Purpose, ExpectsFree: effect.ExpectsFree, Final: effect.Final}
	if u := effect.Usage; u != nil {
		ask.Usage = &u.Record
		ask.LoadCost, ask.SizeBytes = u.LoadCost, u.Size
	}
	before := h.exec.stages[effect.Model]
	answer := h.exec.reserve(ask)
	figures := h.peers.self().Figures
	if answer.Granted {
		if before == machine.Absent || before == machine.Failed {
			h.exec.purposes[effect.Model] = effect.Purpose
		}
		h.world.granted(h, effect, before)
	}
	return arbiter.Reserved{
		Granted: answer.Granted, Reason: answer.Reason, Message: answer.Message, Failure: failureOf(answer.Failure),
		Figures: &figures, State: stateOf(answer.State),
	}
}

// release asks a host to give a copy up.
func (m *mesh) release(effect arbiter.Release) {
	m.host.note("release on "+effect.Host, effect.Model, int64(effect.ID))
	m.toHost(effect.Host, arbiter.DefaultReserveTimeout, func(target *host) any {
		return target.exec.giveUp(effect.Model).Released
	}, func(answer any, _ error) {
		released, _ := answer.(bool)
		m.step(arbiter.Released{ID: effect.ID, Released: released})
	})
}

// toHost calls a host by its id, this one included; done runs once, with an error when there is no answer in time.
func (m *mesh) toHost(id string, timeout time.Duration, serve func(*host) any, done func(any, error)) {
	h := m.host
	if id == h.spec.Name {
		h.plan(0, func() { done(serve(h), nil) })
		return
	}
	target := h.world.host(id)
	if target == nil {
		h.plan(0, func() { done(nil, errLost) })
		return
	}
	call := h.conns[target.index].ask(func(answer func(any)) { answer(serve(target)) }, done)
	h.plan(timeout, func() { call.end(nil, errLate) })
}

// arbiterOf is the host that decides about a model; empty for none.
func (m *mesh) arbiterOf(key uint64) string {
	if id, known := m.arbiters[key]; known {
		return id
	}
	id := ""
	if order := m.host.peers.view.Arbiters(key, runtimes()); len(order) > 0 {
		id = order[0].ID
	}
	m.arbiters[key] = id
	return id
}

func runtimes() []string { return []string{servingRuntime} }

// offer has the arbiter place a model of which this host is the home.
func (m *mesh) offer(effect machine.Offer) {
	m.host.plan(0, func() {
		if !m.host.lists(effect.Model) {
			m.host.exec.step(machine.OfferAnswered{Offer: effect.ID, Reason: peerv1.UnplacedReason_UNPLACED_REASON_STALE})
			return
		}
		m.step(arbiter.Remembered{Host: m.host.spec.Name, Usage: []arbiter.Usage{{Key: effect.Key, Size: effect.Size[modelcache.HostMemory]}}})
		m.host.peers.publishFigures()
		m.place(effect.Model, effect.Purpose, nil, func(result arbiter.Result) {
			answer := machine.OfferAnswered{Offer: effect.ID, Placed: result.Placed != nil}
			if result.Unplaced != nil {
				answer.Reason, answer.RetryAfter = result.Unplaced.Reason, result.Unplaced.RetryAfter
			}
			m.host.exec.step(answer)
		})
	})
}
