package arbiter

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// mesh is hosts that do at once what they are told, and tell everybody.
type mesh struct {
	hosts  []members.Member
	copies map[uint64][]residency.Copy
	now    time.Time
	most   int                   // Copies of one host, if not 0.
	full   peerv1.UnplacedReason // What it says beyond that.
	views  int                   // How often the View has changed.
}

func newMesh(hosts int) *mesh {
	m := &mesh{copies: map[uint64][]residency.Copy{}, now: time.UnixMilli(1_700_000_000_000)}
	for i := range hosts {
		h := members.Member{ID: string(rune('a' + i)), Runtime: "r", Epoch: 1, Live: true, RuntimeReady: true, Arbiter: i == 0}
		h.Figures.Capacity[modelcache.HostMemory], h.Figures.Free[modelcache.HostMemory] = 1<<40, 1<<40
		m.hosts = append(m.hosts, h)
	}
	return m
}

// arbiter makes the Machine of one of the hosts, as that sees the mesh.
func (m *mesh) arbiter(self string, see func([]members.Member)) *Machine {
	var view *members.View
	made := -1
	return New(Config{
		Self: self,
		View: func() *members.View {
			if made != m.views {
				hosts := slices.Clone(m.hosts)
				see(hosts)
				view, made = members.NewView(self, hosts), m.views
			}
			return view
		},
		Copies: func(key uint64, into []residency.Copy) []residency.Copy { return append(into, m.copies[key]...) },
		Place: func(_ time.Time, model placement.Model, hosts []placement.Host) placement.Decision {
			var answers []policyabi.PlaceAnswer
			for i, h := range hosts {
				if placement.Unable(model, h) == "" {
					answers = append(answers, policyabi.PlaceAnswer{Row: uint32(i)})
				}
			}
			// The one with the fewest loads ahead comes first.
			slices.SortStableFunc(answers, func(a, b policyabi.PlaceAnswer) int {
				return hosts[a.Row].LoadsQueued - hosts[b.Row].LoadsQueued
			})
			return placement.Decision{Choice: placement.Choose(model, hosts, answers)}
		},
	})
}

func (m *mesh) set(key uint64, host string, state residency.State) {
	copies := slices.DeleteFunc(m.copies[key], func(c residency.Copy) bool { return c.Host == host })
	if state != residency.Absent {
		copies = append(copies, residency.Copy{Host: host, State: state, Size: 1})
	}
	slices.SortFunc(copies, func(a, b residency.Copy) int { return int(a.Host[0]) - int(b.Host[0]) })
	m.copies[key] = copies
}

// run feeds a Machine with an event and all that comes of it, until nothing more does at this time. It answers the answers.
func (m *mesh) run(a *Machine, event Event) (answers []Answer) {
	if event == (ViewChanged{}) {
		m.views++
	}
	for events := []Event{event}; len(events) > 0; events = events[1:] {
		for _, effect := range a.Step(m.now, events[0]) {
			switch e := effect.(type) {
			case Reserve:
				reserved := Reserved{ID: e.ID, Granted: m.most == 0 || m.held(e.Host) < m.most, State: residency.Loading}
				if reserved.Granted {
					m.set(e.Key, e.Host, residency.Loaded)
					events = append(events, CopiesChanged{Keys: []uint64{e.Key}})
				} else {
					reserved.Reason = m.full
				}
				events = append(events, reserved)
			case Release:
				m.set(e.Key, e.Host, residency.Absent)
				events = append(events, Released{ID: e.ID, Released: true}, CopiesChanged{Keys: []uint64{e.Key}})
			case SetTimer:
				if !e.At.IsZero() && !e.At.After(m.now) {
					events = append(events, Tick{})
				}
			case Answer:
				answers = append(answers, e)
			}
		}
	}
	return answers
}

func (m *mesh) held(host string) (n int) {
	for _, copies := range m.copies {
		for _, c := range copies {
			if c.Host == host {
				n++
			}
		}
	}
	return n
}

// wait lets time pass in steps.
func (m *mesh) wait(d time.Duration, machines ...*Machine) {
	for end := m.now.Add(d); m.now.Before(end); {
		m.now = m.now.Add(100 * time.Millisecond)
		for _, a := range machines {
			m.run(a, Tick{})
		}
	}
}

func asItIs(_ []members.Member) {}

// Thousands of models are created in the same instant: each gets its copies, none is forgotten because it looks like
// another, and no Step looks at all of them.
func TestCreatedAtOnce(t *testing.T) {
	const models = 1000
	m := newMesh(4)
	a := m.arbiter("a", asItIs)
	var rows []*syncv1.Model
	for i := range models {
		rows = append(rows, row([]string{fmt.Sprint("m", i), "min=2", "size=1"}))
	}
	m.run(a, CatalogChanged{Upserts: rows})
	m.wait(2*time.Second, a)
	perHost := map[string]int{}
	for _, r := range rows {
		copies := m.copies[keyOf(r.Id)]
		if len(copies) != 2 || copies[0].Host == copies[1].Host {
			t.Fatalf("model %s has copies %+v", r.Id, copies)
		}
		for _, c := range copies {
			perHost[c.Host]++
		}
	}
	// Each is judged by its own load: none gets them all.
	for host, n := range perHost {
		if n > models*2/3 {
			t.Errorf("%d of %d copies are on host %s: %v", n, 2*models, host, perHost)
		}
	}
	if s := a.Stats(); s.Backlog != 0 || s.Decisions != 0 || s.Watched != models {
		t.Errorf("%+v", s)
	}
}

// Hosts that take only so much are asked no more than a few times a second, and filled all the same.
func TestFillsHostsThatTakeLittle(t *testing.T) {
	m := newMesh(2)
	m.most, m.full = 3, peerv1.UnplacedReason_UNPLACED_REASON_BUSY
	a := m.arbiter("a", asItIs)
	var rows []*syncv1.Model
	for i := range 8 {
		rows = append(rows, row([]string{fmt.Sprint("m", i), "min=1", "size=1"}))
	}
	m.run(a, CatalogChanged{Upserts: rows})
	m.wait(3*time.Second, a)
	if n := m.held("a") + m.held("b"); n != 6 {
		t.Fatalf("%d copies where 6 have room", n)
	}
	before := a.Stats().Refused
	m.wait(10*time.Second, a)
	if n := a.Stats().Refused - before; n == 0 || n > 250 {
		t.Errorf("%d refusals in 10 s", n)
	}
	m.most = 4
	m.wait(time.Second, a)
	if n := m.held("a") + m.held("b"); n != 8 {
		t.Errorf("%d copies where 8 have room", n)
	}
}

// Hosts that claim to have room, and whatever is asked of them say that they have none, are asked less and less.
func TestHostsThatOnlyClaimRoom(t *testing.T) {
	m := newMesh(2)
	m.most, m.full = 1, peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM
	a := m.arbiter("a", asItIs)
	var rows []*syncv1.Model
	for i := range 8 {
		rows = append(rows, row([]string{fmt.Sprint("m", i), "min=1", "size=1"}))
	}
	m.run(a, CatalogChanged{Upserts: rows})
	m.wait(10*time.Second, a)
	before := a.Stats().Refused
	m.wait(10*time.Minute, a)
	if n := a.Stats().Refused - before; n == 0 || n > 200 {
		t.Errorf("%d refusals in ten minutes", n)
	}
	m.most = 4
	m.wait(retryMax, a)
	if n := m.held("a") + m.held("b"); n != 8 {
		t.Errorf("%d copies where 8 have room", n)
	}
}

// A host joins with many copies: who asks meanwhile does not wait until all have been looked at.
func TestAsksGoFirst(t *testing.T) {
	m := newMesh(3)
	a := m.arbiter("a", asItIs)
	var rows []*syncv1.Model
	var keys []uint64
	for i := range 6000 {
		rows = append(rows, row([]string{fmt.Sprint("m", i)}))
		keys = append(keys, keyOf(rows[i].Id))
		m.set(keys[i], "b", residency.Loaded)
		m.set(keys[i], "c", residency.Loaded)
	}
	a.Step(m.now, CatalogChanged{Upserts: rows})
	a.Step(m.now, CopiesChanged{Keys: keys})
	if s := a.Stats(); s.Watched == 0 || s.Watched > 3*checksPerStep {
		t.Errorf("%d models were looked at in two Steps", s.Watched)
	}
	answers := 0
	for _, effect := range a.Step(m.now, PlaceAsked{Ask: 1, Model: "m5999", Purpose: policyabi.PurposeMiss, Asker: "b"}) {
		if answer, ok := effect.(Answer); ok && answer.Result.Placed != nil {
			answers++
		}
	}
	if answers != 1 {
		t.Errorf("%d answers", answers)
	}
	m.run(a, Tick{})
	if s := a.Stats(); s.Watched != len(rows) {
		t.Errorf("%d of %d models were looked at in the end", s.Watched, len(rows))
	}
	m.now = m.now.Add(2 * time.Minute)
	m.run(a, Tick{})
	for _, key := range keys {
		if len(m.copies[key]) != 1 {
			t.Fatalf("copies %+v are left", m.copies[key])
		}
	}
}

// The mesh is split, both halves load the model, and when they see each other again one copy is left. Even if each of two
// arbiters takes itself for the only one for longer than that.
func TestTwoArbiters(t *testing.T) {
	for _, agree := range []bool{true, false} {
		m := newMesh(4)
		for i := range m.hosts {
			m.hosts[i].Arbiter = true
		}
		split := true
		halves := func(left bool, self string) func([]members.Member) {
			return func(hosts []members.Member) {
				for i := range hosts {
					hosts[i].Live = !split || (i < 2) == left
					hosts[i].Arbiter = agree && hosts[i].ID == "a" || !agree && hosts[i].ID == self
				}
			}
		}
		a, c := m.arbiter("a", halves(true, "a")), m.arbiter("c", halves(false, "c"))
		both := func(event Event) {
			m.run(a, event)
			m.run(c, event)
		}
		both(CatalogChanged{Upserts: []*syncv1.Model{row([]string{"x", "size=1"})}})
		both(ViewChanged{})
		all := PlaceAsked{Ask: 1, Model: "x", Purpose: policyabi.PurposeMiss, PassedOver: []string{"a", "b", "d"}}
		both(all)
		key := keyOf("x")
		if n := len(m.copies[key]); n != 2 {
			t.Fatalf("agree %v: %d copies in two halves", agree, n)
		}
		m.wait(2*time.Minute, a, c)
		if n := len(m.copies[key]); n != 2 {
			t.Fatalf("agree %v: %d copies in two halves after a while", agree, n)
		}
		split = false
		both(ViewChanged{})
		both(CopiesChanged{Keys: []uint64{key}})
		m.wait(DefaultScaleDownAfter+time.Second, a, c)
		if n := len(m.copies[key]); n != 1 {
			t.Errorf("agree %v: %d copies after a scale-down period together", agree, n)
		}
	}
}

// The host that came first for a model with three copies dies: the next one takes over, without being told of the model.
func TestChangeOfArbiter(t *testing.T) {
	m := newMesh(4)
	m.hosts[0].Arbiter, m.hosts[1].Arbiter = false, true
	a := m.arbiter("a", asItIs)
	key := keyOf("x")
	m.run(a, CatalogChanged{Upserts: []*syncv1.Model{row([]string{"x", "size=1"})}})
	for _, host := range []string{"a", "c", "d"} {
		m.set(key, host, residency.Loaded)
	}
	m.run(a, CopiesChanged{Keys: []uint64{key}})
	m.wait(5*time.Minute, a)
	if n := len(m.copies[key]); n != 3 {
		t.Fatalf("somebody who does not come first left %d of 3 copies", n)
	}
	m.hosts[1].Live, m.hosts[0].Arbiter = false, true
	m.run(a, ViewChanged{})
	m.wait(DefaultScaleDownAfter+time.Second, a)
	if n := len(m.copies[key]); n != 1 {
		t.Errorf("%d copies", n)
	}
}

func TestTooManyAsks(t *testing.T) {
	m := newMesh(2)
	a := m.arbiter("a", asItIs)
	a.Step(m.now, CatalogChanged{Upserts: []*syncv1.Model{row([]string{"x", "size=1"})}})
	for i := range AskID(DefaultAsksPerModel + 1) {
		last := a.Step(m.now, PlaceAsked{Ask: i, Model: "x", Purpose: policyabi.PurposeMiss})
		answers := slices.ContainsFunc(last, func(e Effect) bool {
			answer, ok := e.(Answer)
			return ok && answer.Result.Unplaced.Reason == peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM && answer.Result.Unplaced.RetryAfter > 0
		})
		if full := i == DefaultAsksPerModel; answers != full {
			t.Fatalf("ask %d: %+v", i, last)
		}
	}
}

func TestTargets(t *testing.T) {
	type u struct {
		host                string
		concurrency, target uint64
		steady              bool
	}
	tests := []struct {
		name     string
		min, max uint32
		loaded   int // On hosts a, b, ...; of five.
		queued   int // On those after them.
		uses     []u
		want     targets
	}{
		{"unused", 0, 0, 1, 0, nil, targets{keep: 1}},
		{"at its target", 0, 0, 1, 0, []u{{"a", 1000, 1000, false}}, targets{busy: 1, keep: 2}},
		{"with a fifth to spare", 0, 0, 2, 0, []u{{"a", 400, 1000, false}, {"b", 400, 1000, false}}, targets{busy: 1, keep: 1}},
		{"not with a fifth to spare", 0, 0, 2, 0, []u{{"a", 401, 1000, false}, {"b", 400, 1000, false}}, targets{busy: 1, keep: 2}},
		{"above", 0, 0, 1, 0, []u{{"a", 1001, 1000, false}}, targets{busy: 2, keep: 2}},
		{"far above: twice what answers, not twice what is to come", 0, 0, 1, 1, []u{{"a", 9000, 1000, false}}, targets{busy: 2, keep: 12}},
		{"twice again", 0, 0, 2, 0, []u{{"a", 9000, 1000, false}}, targets{busy: 4, keep: 12}},
		{"one for each host", 0, 0, 4, 0, []u{{"a", 9000, 1000, false}}, targets{busy: 5, keep: 12}},
		{"the owner's bound", 0, 3, 2, 0, []u{{"a", 9000, 1000, true}}, targets{busy: 3, second: 2, keep: 3}},
		{"the owner's bound is one", 0, 1, 1, 0, []u{{"a", 9000, 1000, true}}, targets{busy: 1, second: 1, keep: 1}},
		{"the owner's wish", 3, 0, 1, 0, nil, targets{min: 3, keep: 3}},
		{"the owner wishes more than there are hosts", 9, 0, 1, 0, nil, targets{min: 5, keep: 5}},
		{"steady", 0, 0, 1, 0, []u{{"a", 1, 1000, true}}, targets{busy: 1, second: 2, keep: 2}},
		{"copies of different targets", 0, 0, 2, 0, []u{{"a", 4000, 4000, false}, {"b", 1000, 1000, false}}, targets{busy: 2, keep: 3}},
		{"a copy that has gone does not count", 0, 0, 1, 0, []u{{"a", 800, 1000, false}, {"e", 5000, 1000, true}}, targets{busy: 1, keep: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mesh := newMesh(5)
			m := mesh.arbiter("a", asItIs)
			r := row([]string{"x"})
			r.Knobs.MinCopies, r.Knobs.MaxCopies = test.min, test.max
			mo := &model{key: keyOf("x"), row: r}
			for i := range test.loaded + test.queued {
				state := residency.Loaded
				if i >= test.loaded {
					state = residency.Queued
				}
				mesh.set(mo.key, mesh.hosts[i].ID, state)
			}
			for _, u := range test.uses {
				mo.report(use{host: u.host, at: mesh.now, concurrency: u.concurrency, target: u.target, steady: u.steady})
			}
			m.step = step{now: mesh.now, view: m.config.View()}
			if got := m.targets(mo, m.census(mo)); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// Records of one model come from several hosts, in any order and again: what is remembered is the same.
func FuzzMerge(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		now := time.UnixMilli(1_700_000_000_000)
		var records []Usage
		for i := range 5 {
			at := now.Add(-time.Duration(i)*time.Minute - time.Duration(random.IntN(50))*time.Second)
			records = append(records, Usage{
				Key: 1, LastUsed: at, Record: modelcache.UsageRecord{At: at, Count: random.Float64() * 1e3, Recent: random.Float64() * 1e3},
				LoadCost: time.Duration(random.IntN(3)) * time.Second, Size: random.Int64N(3), Evicted: random.IntN(2) == 0,
			})
		}
		all := func() (u Usage) {
			for _, r := range records {
				u = merge(now, u, r)
			}
			return u
		}
		first := all()
		if !first.LastUsed.Equal(records[0].LastUsed) || first.Evicted != records[0].Evicted {
			t.Fatalf("%+v of %+v", first, records)
		}
		if again := merge(now, first, records[0]); !reflect.DeepEqual(again, first) {
			t.Fatalf("told again %+v, before %+v", again, first)
		}
		random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		other := all()
		if d := other.Record.Count - first.Record.Count; d > 1e-6 || d < -1e-6 || !other.LastUsed.Equal(first.LastUsed) || other.Evicted != first.Evicted {
			t.Fatalf("in another order %+v, before %+v", other, first)
		}
	})
}

// BenchmarkMiss is one ask for a model that is nowhere in a mesh of 64 hosts, without the policy's part.
func BenchmarkMiss(b *testing.B) {
	m := newMesh(64)
	view := members.NewView("a", slices.Clone(m.hosts))
	a := m.arbiter("a", asItIs)
	a.config.View = func() *members.View { return view }
	var rows []*syncv1.Model
	for i := range 4096 {
		rows = append(rows, row([]string{fmt.Sprint("m", i), "size=1"}))
	}
	m.run(a, CatalogChanged{Upserts: rows})
	for i := 0; b.Loop(); i++ {
		m.now = m.now.Add(10 * time.Millisecond)
		for _, effect := range a.Step(m.now, PlaceAsked{Ask: AskID(i), Model: rows[i%len(rows)].Id, Purpose: policyabi.PurposeMiss}) {
			if r, ok := effect.(Reserve); ok {
				a.Step(m.now, Reserved{ID: r.ID, Granted: true, State: residency.Loaded})
			}
		}
	}
}

// Times by the clocks of others, which may be years ahead, are at the latest now: policies tell how long ago they are.
func TestClocksThatAreAhead(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	ahead := now.Add(1000 * time.Hour)
	room := modelcache.Resources{100}
	view := members.NewView("a", []members.Member{
		{ID: "a", Epoch: 1, Runtime: "r", Live: true, Arbiter: true, RuntimeReady: true, Figures: members.Figures{Free: room, Capacity: room}},
		{ID: "b", Epoch: 1, Runtime: "r", Live: true, RuntimeReady: true, Started: ahead, Figures: members.Figures{
			Free: room, Capacity: room, Oldest: ahead,
		}},
	})
	asked := false
	a := New(Config{
		Self: "a", View: func() *members.View { return view },
		Copies: func(_ uint64, into []residency.Copy) []residency.Copy {
			return append(into, residency.Copy{Host: "b", State: residency.Loaded, Used: uint32(ahead.Unix() / residency.UsedUnit)})
		},
		Failure: func(uint64, string) *syncv1.Failure { return nil },
		Place: func(_ time.Time, model placement.Model, hosts []placement.Host) placement.Decision {
			asked = true
			if b := hosts[1]; model.LastUsed.After(now) || b.Oldest.After(now) || b.Started.After(now) {
				t.Errorf("model used at %v, host %+v", model.LastUsed, b)
			}
			return placement.Decision{}
		},
	})
	a.Step(now, CatalogChanged{Upserts: []*syncv1.Model{row([]string{"m"})}})
	a.Step(now, PlaceAsked{Ask: 1, Model: "m", Purpose: policyabi.PurposeMiss, Exclude: []string{"b"}})
	if !asked {
		t.Error("no policy was asked")
	}
}
