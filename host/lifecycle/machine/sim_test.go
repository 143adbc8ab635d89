package machine

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// sim drives a Machine with random events and a dumb executor that answers effects in any order, and holds it to what
// its package promises after every step.
type sim struct {
	t   *testing.T
	r   *rand.Rand
	m   *Machine
	now time.Time

	rows    map[string]*syncv1.Model
	ready   bool
	timer   time.Time
	pending []Effect // Estimate, Pull, Load, Unload, RemoveFiles: not answered yet.
	// holds is what the runtime holds, by model.
	holds map[string]modelcache.CopyID
	// published is the last Publish of each model.
	published map[string]Publish
	// waiters that wait, and the model of each; woken is everybody who was ever answered.
	waiters map[WaiterID]string
	woken   map[WaiterID]bool
	last    WaiterID
	// leases are requests in flight.
	leases []*modelcache.Copy
	// mesh is nil for a host that is alone; the tickets asked for in this step that have no answer yet.
	mesh    *scriptMesh
	ticket  TicketID
	asked   map[TicketID]string
	offers  []Offer // Without an answer.
	leaving bool
	trace   []string
}

const simCapacity = 100

func newSim(t *testing.T, seed uint64) *sim {
	var order modelcache.Order // By recency, half of the time.
	if seed%2 == 1 {
		order = hostile(rand.New(rand.NewPCG(seed, 9)))
	}
	config := Config{
		Runtime: "r", Capacity: modelcache.Resources{simCapacity}, Loads: 2, Pulls: 3, Estimates: 2,
		WaitersPerModel: 4, Waiters: 12, History: 6, Order: order,
		Envelope: Envelope{Pause: time.Second, MinResidency: 2 * time.Second, ReloadGuard: 3 * time.Second, EvictionsPerMinute: 8},
	}
	var mesh *scriptMesh // Two thirds have one.
	if seed%3 > 0 {
		mesh = &scriptMesh{home: map[uint64]bool{}, elsewhere: map[uint64]int{}}
		config.Mesh = mesh
	}
	return &sim{
		t: t, r: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1_700_000_000, 0), m: New(config),
		mesh: mesh, asked: map[TicketID]string{},
		rows: map[string]*syncv1.Model{}, holds: map[string]modelcache.CopyID{}, published: map[string]Publish{},
		waiters: map[WaiterID]string{}, woken: map[WaiterID]bool{},
	}
}

// hostile is an Order that says anything: nothing, doubles, strangers, one copy for all.
func hostile(random *rand.Rand) modelcache.Order {
	return func(r modelcache.Ranking) (ranked []modelcache.Ranked, decision uint64) {
		for range random.IntN(2*len(r.Copies) + 2) {
			id := modelcache.CopyID(random.IntN(100))
			if len(r.Copies) > 0 && random.IntN(3) > 0 {
				id = r.Copies[random.IntN(len(r.Copies))].ID
			}
			ranked = append(ranked, modelcache.Ranked{ID: id, Keep: int32(random.Uint32()), Reason: uint16(random.Uint32())})
		}
		return ranked, random.Uint64()
	}
}

func (s *sim) step(ev Event) {
	s.t.Helper()
	content, err := json.Marshal(ev)
	if err != nil {
		s.t.Fatal(err)
	}
	s.tracef("%T%s", ev, content)
	for _, effect := range s.m.Step(s.now, ev) {
		s.perform(effect)
	}
	s.check()
	s.checkTickets()
}

func (s *sim) tracef(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

// fatalf shows how it came to this.
func (s *sim) fatalf(format string, args ...any) {
	s.t.Helper()
	for _, line := range s.trace[max(0, len(s.trace)-60):] {
		s.t.Log(line)
	}
	s.t.Fatalf(format, args...)
}

// modelOf answers which model an effect is about.
func modelOf(effect Effect) string {
	switch e := effect.(type) {
	case Estimate:
		return e.Model.GetId()
	case Pull:
		return e.Model.GetId()
	case Load:
		return e.Model.GetId()
	case Unload:
		return e.Model
	case RemoveFiles:
		return e.Model
	}
	return ""
}

func (s *sim) perform(effect Effect) {
	s.t.Helper()
	switch e := effect.(type) {
	case Estimate, Pull, Load, Unload, RemoveFiles:
		s.tracef("  -> %T %s", e, modelOf(e))
		s.begin(e)
	case CancelLoad:
		s.tracef("  -> cancel %d", e.ID)
	case Publish:
		s.tracef("  -> %s is %v", e.Model, e.State)
		s.published[e.Model] = e
	case Reserved, GaveUp, Remember, Offer:
		content, err := json.Marshal(e)
		if err != nil {
			s.t.Fatal(err)
		}
		s.tracef("  -> %T%s", e, content)
		s.performMesh(e)
	case Evicted:
		if s.published[e.Model].State != Loaded {
			s.fatalf("evicted %s, which is %v", e.Model, s.published[e.Model].State)
		}
	case SetTimer:
		s.timer = e.At
	case Wake:
		s.tracef("  -> wake %v %v", e.Waiters, e.Err)
		s.wake(e)
	}
}

func (s *sim) begin(effect Effect) {
	s.t.Helper()
	name := modelOf(effect)
	_, removes := effect.(RemoveFiles)
	_, pulls := effect.(Pull)
	for _, other := range s.pending {
		if modelOf(other) != name {
			continue
		}
		_, otherRemoves := other.(RemoveFiles)
		_, otherPulls := other.(Pull)
		if !removes && !otherRemoves || removes && (otherPulls || otherRemoves) || pulls && otherRemoves {
			s.fatalf("%T and %T of %s at once", other, effect, name)
		}
	}
	switch e := effect.(type) {
	case Load, Unload:
		if !s.ready {
			s.fatalf("%T of %s without a runtime", e, name)
		}
	}
	if _, ok := effect.(Load); ok && s.holds[name] != 0 {
		s.fatalf("load of %s, which the runtime holds", name)
	}
	if removes && s.holds[name] != 0 {
		s.fatalf("files of %s go while the runtime holds it", name)
	}
	if u, ok := effect.(Unload); ok {
		for _, c := range s.leases {
			if c.ID() == u.ID {
				s.fatalf("unload of %s with a request in flight", name)
			}
		}
	}
	if _, estimates := effect.(Estimate); (estimates || pulls) && s.leaving && !s.m.models[name].wanted() {
		s.fatalf("%T of %s in the background on a host that is being drained", effect, name)
	}
	s.pending = append(s.pending, effect)
}

func (s *sim) wake(e Wake) {
	s.t.Helper()
	for _, w := range e.Waiters {
		if _, waits := s.waiters[w]; !waits || s.woken[w] {
			s.fatalf("waiter %d woken, who does not wait", w)
		}
		if (e.Copy == nil) == (e.Err == nil) {
			s.fatalf("waiter %d woken with copy %v and error %v", w, e.Copy, e.Err)
		}
		if e.Copy != nil {
			if p := s.published[s.waiters[w]]; p.Copy != e.Copy {
				s.fatalf("waiter %d for %s given another copy than the published", w, s.waiters[w])
			}
			s.leases = append(s.leases, e.Copy)
		}
		delete(s.waiters, w)
		s.woken[w] = true
	}
}

// answer ends one effect under way; well says that nothing goes wrong.
func (s *sim) answer(i int, well bool) {
	s.t.Helper()
	effect := s.pending[i]
	s.pending = slices.Delete(s.pending, i, i+1)
	var fault *Fault
	if !well && s.r.IntN(4) == 0 {
		fault = &Fault{Cause: Cause(1 + s.r.IntN(4)), Message: "by chance"}
	}
	bytes := int64(1 + s.r.IntN(30))
	switch e := effect.(type) {
	case Estimate:
		s.step(Estimated{ID: e.ID, Bytes: bytes, Fault: fault})
	case Pull:
		s.step(Pulled{ID: e.ID, Artifact: Artifact{Path: "/" + e.Model.GetId(), Bytes: bytes}, Fault: fault})
	case Load:
		if fault == nil && s.ready {
			s.holds[e.Model.GetId()] = e.ID
		}
		s.step(LoadDone{ID: e.ID, SizeBytes: int64(s.r.IntN(60)), Fault: fault})
	case Unload:
		if fault == nil {
			delete(s.holds, e.Model)
		}
		s.step(Unloaded{ID: e.ID, Fault: fault})
	case RemoveFiles:
		s.step(FilesRemoved(e))
	}
}

// random does one thing of many.
func (s *sim) random() {
	s.t.Helper()
	name := fmt.Sprintf("m%d", s.r.IntN(9))
	switch n := s.r.IntN(100); {
	case n < 35 && len(s.pending) > 0:
		s.answer(s.r.IntN(len(s.pending)), false)
	case n < 42:
		s.randomMesh(name)
	case n < 55:
		s.last++
		s.waiters[s.last] = name
		s.step(Wanted{Model: name, Waiter: s.last, Join: s.r.IntN(4) == 0})
	case n < 60:
		if ids := slices.Sorted(maps.Keys(s.waiters)); len(ids) > 0 {
			w := ids[s.r.IntN(len(ids))]
			model := s.waiters[w]
			delete(s.waiters, w)
			s.step(WaiterGone{Model: model, Waiter: w})
		}
	case n < 68: // A hit.
		if c := s.published[name].Copy; c != nil && c.Acquire(s.now) {
			s.leases = append(s.leases, c)
		}
	case n < 82 && len(s.leases) > 0:
		s.release(s.r.IntN(len(s.leases)))
	case n < 88:
		s.change(name)
	case n < 89:
		s.step(CredentialsChanged{})
		s.step(Survey{})
	case n < 90:
		s.toggleRuntime()
	case n < 91:
		if c := s.published[name].Copy; c != nil {
			delete(s.holds, name)
			s.step(RuntimeForgot{ID: c.ID()})
		}
	default:
		s.pass(time.Duration(s.r.IntN(3000)) * time.Millisecond)
	}
}

func (s *sim) release(i int) {
	s.t.Helper()
	c := s.leases[i]
	s.leases = slices.Delete(s.leases, i, i+1)
	if c.Release() {
		s.step(Idle{})
	}
}

// change adds, changes or removes a model.
func (s *sim) change(name string) {
	s.t.Helper()
	if s.rows[name] != nil && s.r.IntN(3) == 0 {
		delete(s.rows, name)
		s.step(CatalogChanged{Removed: []string{name}})
		return
	}
	row := &syncv1.Model{Id: name, Runtimes: []string{"r"}, Knobs: &syncv1.Knobs{
		Pinned: s.r.IntN(10) == 0, Priority: int32(s.r.IntN(3)), IdleTtlMs: int64(s.r.IntN(4)) * 4000,
	}}
	if s.r.IntN(3) == 0 {
		row.SizeHint = &syncv1.Resources{HostMemoryBytes: uint64(s.r.IntN(simCapacity + 20))}
	}
	if s.r.IntN(6) == 0 {
		row.Runtimes = []string{"other", "r"}
	}
	s.rows[name] = row
	switching := map[string]string{name: fmt.Sprintf("m%d", s.r.IntN(9))}
	s.step(CatalogChanged{Upserts: []*syncv1.Model{row}, Switching: switching})
}

// toggleRuntime loses the runtime, or brings it back as the executor does: after all it was given has been answered.
func (s *sim) toggleRuntime() {
	s.t.Helper()
	if s.ready {
		s.ready = false
		clear(s.holds)
		s.step(RuntimeLost{})
		return
	}
	for i := len(s.pending) - 1; i >= 0; i-- {
		switch s.pending[i].(type) {
		case Load, Unload:
			s.answer(i, false)
		}
	}
	s.ready = true
	s.step(RuntimeReady{})
}

func (s *sim) pass(d time.Duration) {
	s.t.Helper()
	s.now = s.now.Add(d)
	if !s.timer.IsZero() && !s.timer.After(s.now) {
		s.timer = time.Time{}
		s.step(Tick{})
	}
}

// check holds the machine to its invariants.
func (s *sim) check() {
	s.t.Helper()
	stats := s.m.Ledger().Stats()
	if sum := stats.Used.Plus(stats.Reserved).Plus(stats.Draining); !stats.Capacity.Covers(sum) {
		s.fatalf("ledger over capacity: %+v", stats)
	}
	residents := map[modelcache.CopyID]bool{}
	for _, c := range s.m.Ledger().Snapshot() {
		if !c.Draining {
			residents[c.ID] = true
		}
	}
	loaded := 0
	for name, mo := range s.m.models {
		if got := s.published[name].State; got != mo.state {
			s.fatalf("%s is %v but was published as %v", name, mo.state, got)
		}
		if mo.state == Loaded {
			loaded++
			if !residents[mo.copyID] || s.holds[name] != mo.copyID {
				s.fatalf("%s is loaded, resident %v, held by the runtime as %d", name, residents[mo.copyID], s.holds[name])
			}
		}
		s.checkModel(mo)
	}
	if loaded != len(residents) {
		s.fatalf("%d models loaded, %d copies resident", loaded, len(residents))
	}
	waiting := 0
	for _, name := range s.waiters {
		if mo := s.m.models[name]; mo != nil && len(mo.waiters) > 0 {
			waiting++
		}
	}
	if waiting != len(s.waiters) || s.m.waiting != waiting {
		s.fatalf("%d wait, the machine knows of %d and counts %d", len(s.waiters), waiting, s.m.waiting)
	}
}

func (s *sim) checkModel(mo *model) {
	s.t.Helper()
	underway := mo.state == Estimating || mo.state == Pulling || mo.state == Loading || mo.state == Sizing || mo.state == Draining
	if mo.wanted() && !underway && mo.state != Queued {
		s.fatalf("requests wait or are to come for %s, which is %v", mo.id, mo.state)
	}
	queued, inPending := slices.Contains(s.m.queue, mo), s.m.background.unsized.has(mo) || s.m.background.sized.has(mo) ||
		s.m.background.offers.has(mo) || mo.offering.id != 0
	if mo.state == Queued && queued == inPending || queued != (mo.state == Queued && mo.wanted()) {
		s.fatalf("%s is %v, wanted %v, in the queue %v, pending %v", mo.id, mo.state, mo.wanted(), queued, inPending)
	}
	if mo.offered != s.m.isOffer(mo) {
		s.fatalf("%s is %v, offered %v", mo.id, mo.state, mo.offered)
	}
	if s.m.background.standby.has(mo) && mo.state != Absent {
		s.fatalf("%s is on standby and %v", mo.id, mo.state)
	}
	if (mo.copyID != 0) != (underway || mo.state == Loaded) {
		s.fatalf("%s is %v with copy id %d", mo.id, mo.state, mo.copyID)
	}
	if mo.row == nil && (mo.state == Absent && !mo.files.cleaning || mo.state == Queued || mo.state == Failed) {
		s.fatalf("%s is not in the catalog and %v for no reason", mo.id, mo.state)
	}
}

// rest lets everything go well until nobody waits any more: whoever still waits then was forgotten.
func (s *sim) rest() {
	s.t.Helper()
	if !s.ready {
		s.toggleRuntime()
	}
	var unpinned []*syncv1.Model
	for _, name := range slices.Sorted(maps.Keys(s.rows)) {
		row := &syncv1.Model{Id: name, Runtimes: s.rows[name].Runtimes, SizeHint: s.rows[name].SizeHint}
		unpinned = append(unpinned, row)
	}
	s.step(CatalogChanged{Upserts: unpinned})
	for range 2000 {
		switch {
		case len(s.waiters) == 0:
			return
		case len(s.pending) > 0:
			s.answer(s.r.IntN(len(s.pending)), true)
		case len(s.leases) > 0:
			s.release(0)
		case !s.timer.IsZero():
			s.pass(max(s.timer.Sub(s.now), 0))
		default:
			s.fatalf("%d requests wait and nothing will ever happen", len(s.waiters))
		}
	}
	s.fatalf("%d requests still wait after everything that happened", len(s.waiters))
}

func runSim(t *testing.T, seed uint64) *sim {
	t.Helper()
	s := newSim(t, seed)
	for range 400 {
		s.random()
	}
	s.rest()
	return s
}

func TestSimulation(t *testing.T) {
	seeds := uint64(300)
	reached := map[State]int{}
	for seed := range seeds {
		s := runSim(t, seed)
		for _, p := range s.published {
			reached[p.State]++
		}
	}
	if len(reached) < 4 {
		t.Fatalf("the simulation ended in too few states to show anything: %v", reached)
	}
}

// The same events at the same times give the same effects, so that a run can be played again.
func TestSimulationReplays(t *testing.T) {
	digest := func(s *sim) uint64 {
		h := fnv.New64a()
		for _, line := range s.trace {
			_, _ = h.Write([]byte(line))
		}
		return h.Sum64()
	}
	for seed := range uint64(20) {
		if a, b := runSim(t, seed), runSim(t, seed); digest(a) != digest(b) {
			for i := range min(len(a.trace), len(b.trace)) {
				if a.trace[i] != b.trace[i] {
					t.Fatalf("seed %d, line %d: %s\nthen: %s", seed, i, a.trace[i], b.trace[i])
				}
			}
			t.Fatalf("seed %d: one run is longer", seed)
		}
	}
}
