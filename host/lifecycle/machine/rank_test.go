package machine

import (
	"fmt"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func rowOf(id string, bytes uint64) *syncv1.Model {
	// Another runtime comes first, so that only requests load it here.
	return &syncv1.Model{Id: id, Runtimes: []string{"other", "r"}, SizeHint: &syncv1.Resources{HostMemoryBytes: bytes}}
}

// loadAll loads one copy of each model, for a request that has ended.
func loadAll(t *testing.T, m *Machine, now time.Time, ids ...string) (copies []*modelcache.Copy) {
	t.Helper()
	for i, id := range ids {
		effects := m.Step(now, Wanted{Model: id, Waiter: WaiterID(1000 + i)})
		for len(effects) > 0 {
			effect := effects[0]
			effects = effects[1:]
			switch e := effect.(type) {
			case Estimate:
				effects = append(effects, m.Step(now, Estimated{ID: e.ID, Bytes: 1})...)
			case Pull:
				effects = append(effects, m.Step(now, Pulled{ID: e.ID, Artifact: Artifact{Bytes: 1}})...)
			case Load:
				effects = append(effects, m.Step(now, LoadDone{ID: e.ID, Took: time.Second})...)
			case Unload:
				effects = append(effects, m.Step(now, Unloaded{ID: e.ID})...)
			case RemoveFiles:
				effects = append(effects, m.Step(now, FilesRemoved(e))...)
			case Wake:
				if e.Copy == nil {
					t.Fatal(e.Err)
				}
				copies = append(copies, e.Copy)
				e.Copy.Release()
			}
		}
	}
	return copies
}

// A full host with a long queue: however many steps there are, the policy is asked only when something can go, once for
// each model that it makes room for.
func TestAFullHostDoesNotAskInVain(t *testing.T) {
	const resident, queue = 100, 50
	asked := 0
	m := New(Config{Runtime: "r", Capacity: modelcache.Resources{resident}, Order: func(r modelcache.Ranking) ([]modelcache.Ranked, uint64) {
		asked++
		return modelcache.ByRecency(r)
	}})
	now := time.Unix(1_700_000_000, 0)
	m.Step(now, RuntimeReady{})
	var rows []*syncv1.Model
	var ids []string
	for i := range resident + queue {
		ids = append(ids, fmt.Sprintf("m%03d", i))
		rows = append(rows, rowOf(ids[i], 1))
	}
	m.Step(now, CatalogChanged{Upserts: rows})
	copies := loadAll(t, m, now, ids[:resident]...)
	for _, c := range copies {
		c.Acquire(now)
	}
	for i, id := range ids[resident:] {
		for _, effect := range m.Step(now, Wanted{Model: id, Waiter: WaiterID(i)}) {
			if e, ok := effect.(Estimate); ok {
				m.Step(now, Estimated{ID: e.ID, Bytes: 1})
			}
		}
	}
	for range 1000 {
		now = now.Add(time.Millisecond)
		m.Step(now, Idle{})
	}
	if asked != 0 {
		t.Fatalf("asked %d times while nothing could go", asked)
	}
	if !copies[7].Release() {
		t.Fatal("nobody wants to know that a copy is idle")
	}
	evicted := 0
	for _, effect := range m.Step(now, Idle{}) {
		if _, ok := effect.(Evicted); ok {
			evicted++
		}
	}
	if evicted != 1 || asked != 1 {
		t.Errorf("one copy is idle: %d evicted, asked %d times", evicted, asked)
	}
}

// A model that leaves the catalog and comes back is not a stranger: what it costs and how often it is used is remembered.
func TestUsageSurvivesTheCatalog(t *testing.T) {
	var last modelcache.Ranking
	m := New(Config{Runtime: "r", Capacity: modelcache.Resources{10}, History: 4, Order: func(r modelcache.Ranking) ([]modelcache.Ranked, uint64) {
		last = r
		return nil, 0
	}})
	now := time.Unix(1_700_000_000, 0)
	m.Step(now, RuntimeReady{})
	m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{rowOf("a", 5)}})
	loadAll(t, m, now, "a")[0].Touch(now)
	for _, effect := range m.Step(now, CatalogChanged{Removed: []string{"a"}}) {
		if e, ok := effect.(Unload); ok {
			m.Step(now, Unloaded{ID: e.ID})
		}
	}
	m.Step(now, FilesRemoved{Model: "a"})
	if m.Stats().Managed != 0 {
		t.Fatalf("still there: %+v", m.Stats())
	}
	m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{rowOf("a", 5)}})
	loadAll(t, m, now, "a")
	m.Step(now.Add(time.Hour), Survey{})
	if len(last.Copies) != 1 || last.Copies[0].LoadCost != time.Second || lately(2*last.Copies[0].Rate) < 4 {
		t.Errorf("known of the model: %+v", last.Copies)
	}

	// As much as the history holds, and no more.
	for i := range 20 {
		id := fmt.Sprintf("n%d", i)
		m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{rowOf(id, 5)}})
		loadAll(t, m, now, id)
		for _, effect := range m.Step(now, CatalogChanged{Removed: []string{id}}) {
			if e, ok := effect.(Unload); ok {
				m.Step(now, Unloaded{ID: e.ID})
			}
		}
		m.Step(now, FilesRemoved{Model: id})
	}
	if n := m.former.Len(); n != 4 {
		t.Errorf("%d models that are gone are remembered, want 4", n)
	}
}

// What is being loaded is in the rows, so that a policy knows where the memory is, but not the model that asks.
func TestWhatIsBeingLoadedIsRanked(t *testing.T) {
	var last modelcache.Ranking
	m := New(Config{Runtime: "r", Capacity: modelcache.Resources{20}, Order: func(r modelcache.Ranking) ([]modelcache.Ranked, uint64) {
		last = r
		// The one being loaded first, which may not go.
		return []modelcache.Ranked{{ID: r.Copies[len(r.Copies)-1].ID, Keep: -1}}, 7
	}})
	now := time.Unix(1_700_000_000, 0)
	m.Step(now, RuntimeReady{})
	m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{rowOf("a", 10), rowOf("b", 10), rowOf("c", 10)}})
	loadAll(t, m, now, "a")
	begin := func(id string) (effects []Effect) {
		for _, effect := range m.Step(now, Wanted{Model: id, Waiter: 1}) {
			if e, ok := effect.(Estimate); ok {
				effects = m.Step(now, Estimated{ID: e.ID, Bytes: 1})
			}
		}
		return effects
	}
	begin("b")
	effects := begin("c")
	if len(last.Copies) != 2 || !last.Copies[1].Loading || last.Copies[1].Model != "b" || last.Copies[1].Size != (modelcache.Resources{10}) {
		t.Fatalf("ranked %+v", last.Copies)
	}
	if last.Incoming.Model != "c" || last.Incoming.Purpose != modelcache.Miss || !last.Incoming.Declared || last.Incoming.Need != (modelcache.Resources{10}) {
		t.Errorf("incoming %+v", last.Incoming)
	}
	for _, effect := range effects {
		if d, ok := effect.(Decided); ok && (d.Decision != 7 || len(d.Victims) != 1 || d.Victims[0] != "a" || len(d.Limits) != 1 || d.Limits[0] != LimitLoading) {
			t.Errorf("decided %+v", d)
		}
	}
}

// Ranking ten thousand copies, the most that a host is built for.
func BenchmarkRanking(b *testing.B) {
	for _, copies := range []int{100, 10_000} {
		b.Run(fmt.Sprint(copies), func(b *testing.B) {
			m := New(Config{Runtime: "r", Capacity: modelcache.Resources{int64(copies)}})
			now := time.Unix(1_700_000_000, 0)
			m.Step(now, RuntimeReady{})
			for i := range copies {
				id := fmt.Sprintf("m%05d", i)
				m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{rowOf(id, 1)}})
				m.Step(now, Wanted{Model: id, Waiter: WaiterID(i)})
				last := m.given.id
				m.Step(now, Estimated{ID: last, Bytes: 1})
				m.Step(now, Pulled{ID: last + 1, Artifact: Artifact{Bytes: 1}})
				for _, e := range m.Step(now, LoadDone{ID: last + 1}) {
					if w, ok := e.(Wake); ok {
						w.Copy.Release()
					}
				}
			}
			if n := m.Stats().Loaded; n != copies {
				b.Fatalf("%d loaded", n)
			}
			mo := m.models["m00000"]
			b.ResetTimer()
			for b.Loop() {
				m.step = step{now: now}
				m.rank(mo, nil)
			}
		})
	}
}

// What was in flight when copies were ranked, and is idle when victims are claimed, has just been used: no background load
// takes it, whatever the policy says.
func TestBackgroundNeverTakesWhatHasJustBeenUsed(t *testing.T) {
	var busy *modelcache.Copy
	m := New(Config{Runtime: "r", Capacity: modelcache.Resources{20}, Envelope: Envelope{MinResidency: time.Nanosecond}, Order: func(r modelcache.Ranking) ([]modelcache.Ranked, uint64) {
		if r.Incoming.Purpose == modelcache.Background {
			busy.Release() // Its request ends at the worst moment.
		}
		return []modelcache.Ranked{{ID: busy.ID(), Keep: -1}}, 1
	}})
	now := time.Unix(1_700_000_000, 0)
	m.Step(now, RuntimeReady{})
	m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{rowOf("idle", 10), rowOf("busy", 10)}})
	copies := loadAll(t, m, now, "idle", "busy")
	busy = copies[1]
	now = now.Add(3 * time.Hour)
	busy.Acquire(now)
	row := rowOf("new", 10)
	row.Runtimes = []string{"r"}
	effects := m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{row}})
	var evicted []string
	for len(effects) > 0 {
		effect := effects[0]
		effects = effects[1:]
		switch e := effect.(type) {
		case Estimate:
			effects = append(effects, m.Step(now, Estimated{ID: e.ID, Bytes: 1})...)
		case Evicted:
			evicted = append(evicted, e.Model)
		}
	}
	if len(evicted) != 1 || evicted[0] != "idle" {
		t.Errorf("evicted %v, want the one that nobody uses", evicted)
	}
}

// A victim that the runtime does not let go has others go in its place; in the background, only such as might have gone at
// first.
func TestAStalledVictimIsReplacedWithinTheLimits(t *testing.T) {
	m := New(Config{Runtime: "r", Capacity: modelcache.Resources{20}, Envelope: Envelope{MinResidency: time.Nanosecond}})
	now := time.Unix(1_700_000_000, 0)
	m.Step(now, RuntimeReady{})
	m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{rowOf("old", 10), rowOf("used", 10)}})
	copies := loadAll(t, m, now, "old", "used")
	now = now.Add(3 * time.Hour)
	copies[1].Touch(now)
	row := rowOf("new", 10)
	row.Runtimes = []string{"r"}
	effects := m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{row}})
	var evicted []string
	for len(effects) > 0 {
		effect := effects[0]
		effects = effects[1:]
		switch e := effect.(type) {
		case Estimate:
			effects = append(effects, m.Step(now, Estimated{ID: e.ID, Bytes: 1})...)
		case Evicted:
			evicted = append(evicted, e.Model)
		case Unload:
			if e.Model == "old" {
				effects = append(effects, m.Step(now, Unloaded{ID: e.ID, Fault: &Fault{Cause: BadModel, Message: "busy"}})...)
			}
		}
	}
	if len(evicted) != 1 || evicted[0] != "old" {
		t.Errorf("evicted %v, want the old one only: the other was used a moment ago", evicted)
	}
}

// With gdsf, models that all have one priority go as if none had one.
func TestPrioritiesDoNotMoveTheEvictionClock(t *testing.T) {
	for _, priority := range []int32{-2, 0, 3} {
		var inflation int64
		m := New(Config{Runtime: "r", Capacity: modelcache.Resources{20}, Order: func(r modelcache.Ranking) (ranked []modelcache.Ranked, decision uint64) {
			for _, c := range r.Copies {
				inflation = max(inflation, c.Inflation)
				ranked = append(ranked, modelcache.Ranked{ID: c.ID, Keep: c.Keep.Priority<<27 + 100})
			}
			return ranked, 0
		}})
		now := time.Unix(1_700_000_000, 0)
		m.Step(now, RuntimeReady{})
		for i := range 4 {
			now = now.Add(time.Minute)
			row := rowOf(fmt.Sprint(i), 10)
			row.Knobs = &syncv1.Knobs{Priority: priority}
			m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{row}})
			loadAll(t, m, now, row.GetId())
		}
		if inflation != 100 {
			t.Errorf("priority %d: inflation %d by the second eviction, want the 100 of the first", priority, inflation)
		}
	}
}
