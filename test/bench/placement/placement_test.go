package placement

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/test/bench/eviction"
)

const mib = 1 << 20

// drawn makes a small trace.
func drawn(random *rand.Rand, models, requests int) *eviction.Trace {
	t := &eviction.Trace{Name: "drawn"}
	for i := range models {
		t.Models = append(t.Models, eviction.Model{
			Name: fmt.Sprint("m", i), Size: (1 + random.Int64N(10)) * mib, Load: time.Duration(1+random.Int64N(9)) * 100 * time.Millisecond,
		})
	}
	at := time.Duration(0)
	for range requests {
		at += time.Duration(1+random.Int64N(4000)) * time.Millisecond
		t.Requests = append(t.Requests, eviction.Request{At: at, Model: int32(random.IntN(models))})
	}
	return t
}

func ranker(t testing.TB) eviction.Ranker {
	rank, err := eviction.BuiltIn("cost-aware")
	if err != nil {
		t.Fatal(err)
	}
	return rank
}

// shippedPlacer is the built-in policy behind its hook.
func shippedPlacer(t testing.TB) Placer {
	place, done, err := OpenBuiltIn().Place(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	return place
}

func meshOf(t *testing.T, trace *eviction.Trace, config Config) *mesh {
	t.Helper()
	m, err := newMesh(trace, config)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// lags are all that the table has, and one that is worse.
func lags() []Lag {
	return []Lag{{}, Shipped(), {Delay: 200 * time.Millisecond}, {Delay: 2 * time.Second}, {Survey: time.Minute, Publish: time.Minute, Delay: time.Minute}}
}

// A mesh of one host is that host, however late its arbiter hears of it; nearly, for it looks at other moments at how its
// copies are used.
func TestOneHostIsThePooledHost(t *testing.T) {
	trace := drawn(rand.New(rand.NewPCG(1, 1)), 20, 2000)
	want, err := eviction.Replay(trace, 40*mib, ranker(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, lag := range lags() {
		got, err := Replay(trace, Config{Hosts: 1, Capacity: 40 * mib, Rank: ranker(t), Place: shippedPlacer(t), Lag: lag})
		if err != nil || got.Loads < want.Loads*99/100 || got.Loads > want.Loads*101/100 {
			t.Errorf("lag %+v: %+v (%v), want %+v", lag, got, err, want)
		}
	}
}

// With room for everything each model is loaded once, and where it is too large for any host, for each request.
func TestRoom(t *testing.T) {
	trace := drawn(rand.New(rand.NewPCG(2, 1)), 20, 500)
	for name, place := range map[string]Placer{
		"shipped": shippedPlacer(t), "random": Random(), "hash": ConsistentHash(), "two choices": TwoChoices(), "ModelMesh": ModelMesh(),
	} {
		got, err := Replay(trace, Config{Hosts: 3, Capacity: trace.TotalSize(), Rank: ranker(t), Place: place, Lag: Shipped()})
		if err != nil || got.Loads != len(trace.Models) || got.Evictions != 0 {
			t.Errorf("%s: %+v (%v), want each of %d models loaded once", name, got, err, len(trace.Models))
		}
		if got, err = Replay(trace, Config{Hosts: 3, Capacity: 1, Rank: ranker(t), Place: place, Lag: Shipped()}); err != nil || got.Loading != trace.Uncached() {
			t.Errorf("%s: %+v (%v), want %v of loading", name, got, err, trace.Uncached())
		}
	}
}

// Whatever the rule and the lag: a model is on one host at most, that which the mesh takes it to be on.
func TestOneCopy(t *testing.T) {
	for seed, lag := range lags() {
		random := rand.New(rand.NewPCG(uint64(seed), 7))
		trace := drawn(random, 40, 1500)
		m := meshOf(t, trace, Config{Hosts: 4, Capacity: 25 * mib, Rank: ranker(t), Place: shippedPlacer(t), Lag: lag})
		for i, r := range trace.Requests {
			if err := m.serve(i, r); err != nil {
				t.Fatal(err)
			}
			for model := range m.models {
				for at, n := range m.nodes {
					if n.Holds(int32(model)) != (m.models[model].at == at) {
						t.Fatalf("lag %+v, request %d: model %d is taken to be on %d, and %d says otherwise", lag, i, model, m.models[model].at, at)
					}
				}
			}
		}
	}
}

// spy is a Placer that takes the host that is wanted and notes what it was told.
type spy struct {
	want string
	told []placement.Host
}

func (s *spy) place(_ time.Time, _ placement.Model, hosts []placement.Host) ([]placement.Candidate, error) {
	s.told = slices.Clone(hosts)
	return []placement.Candidate{{Host: s.want}}, nil
}

// What happened on a host the others know after the lag, and not before.
func TestOthersHearLate(t *testing.T) {
	trace := drawn(rand.New(rand.NewPCG(3, 3)), 20, 1)
	for _, test := range []struct {
		lag            Lag
		before, latest time.Duration
	}{
		{Lag{Delay: time.Second}, 999 * time.Millisecond, time.Second},
		{Lag{Delay: 200 * time.Millisecond}, 199 * time.Millisecond, 200 * time.Millisecond},
		{Shipped(), 0, 501 * time.Millisecond},
	} {
		s := &spy{want: "host-02"}
		m := meshOf(t, trace, Config{Hosts: 3, Capacity: 100 * mib, Rank: ranker(t), Place: s.place, Lag: test.lag})
		const start = 10 * time.Second
		if err := m.serve(0, eviction.Request{At: start}); err != nil {
			t.Fatal(err)
		}
		copies := func(at time.Duration) int {
			if err := m.advance(eviction.TimeOf(eviction.Request{At: start + at})); err != nil {
				t.Fatal(err)
			}
			return m.nodes[2].known.Copies
		}
		if n := copies(test.before); n != 0 {
			t.Errorf("lag %+v: known %v later already", test.lag, test.before)
		}
		if n := copies(test.latest); n != 1 {
			t.Errorf("lag %+v: not known %v later", test.lag, test.latest)
		}
	}
}

// A host whose memory is not free any more refuses, and the arbiter then knows better.
func TestRefusal(t *testing.T) {
	trace := &eviction.Trace{}
	for i := range 20 {
		trace.Models = append(trace.Models, eviction.Model{Name: fmt.Sprint("m", i), Size: 10 * mib, Load: time.Second})
	}
	m := meshOf(t, trace, Config{Hosts: 2, Capacity: 15 * mib, Rank: ranker(t), Place: shippedPlacer(t), Lag: Lag{Delay: time.Minute}})
	var of [2][]int32
	for i := range m.models {
		of[m.models[i].arbiter] = append(of[m.models[i].arbiter], int32(i))
	}
	// Each arbiter takes both hosts for empty: four loads, for two of which there is no room.
	for i, model := range []int32{of[0][0], of[0][1], of[1][0], of[1][1]} {
		if err := m.serve(i, eviction.Request{At: time.Second, Model: model}); err != nil {
			t.Fatal(err)
		}
		if i == 1 && m.models[of[0][0]].at == m.models[of[0][1]].at {
			t.Error("what its own load took an arbiter forgot")
		}
	}
	if m.result.Refused != 2 {
		t.Errorf("%d refused, want each host to refuse once what the second arbiter takes for free", m.result.Refused)
	}
}

// What is known of a model's use goes with it, so that a host which never saw it knows what it is worth.
func TestUsageTravels(t *testing.T) {
	trace := &eviction.Trace{Models: []eviction.Model{{Name: "a", Size: 10 * mib, Load: time.Second}, {Name: "b", Size: 10 * mib, Load: time.Second}}}
	s := &spy{want: "host-00"}
	m := meshOf(t, trace, Config{Hosts: 2, Capacity: 15 * mib, Rank: ranker(t), Place: s.place})
	serve := func(at time.Duration, model int32) {
		t.Helper()
		if err := m.serve(0, eviction.Request{At: at, Model: model}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		serve(time.Duration(i)*time.Second, 0)
	}
	serve(time.Minute, 1) // which evicts it
	s.want = "host-01"
	serve(2*time.Minute, 0)
	if record := m.nodes[1].Record(0); record.Count < 40 {
		t.Errorf("host-01 knows of %.1f requests, 50 came", record.Count)
	}
}

func TestRules(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	host := func(id string, free int64, copies int, oldest int64, rate uint64) placement.Host {
		return placement.Host{
			ID: id, Free: modelcache.Resources{modelcache.HostMemory: free}, Capacity: modelcache.Resources{modelcache.HostMemory: 100},
			Copies: copies, Oldest: at(oldest), Rate: rate,
		}
	}
	model := placement.Model{ID: "m", Need: modelcache.Resources{modelcache.HostMemory: 30}, Purpose: policyabi.PurposeMiss}
	excluded := host("x", 100, 0, 1, 0)
	excluded.Excluded = true
	for _, test := range []struct {
		name  string
		place Placer
		hosts []placement.Host
		want  []string // any of them
	}{
		{"ModelMesh: room before age", ModelMesh(), []placement.Host{host("a", 0, 1, 1, 0), host("b", 40, 9, 5, 0), excluded}, []string{"b"}},
		{"ModelMesh: fewest copies", ModelMesh(), []placement.Host{host("a", 90, 3, 1, 0), host("b", 40, 2, 5, 0)}, []string{"b"}},
		{"ModelMesh: most room", ModelMesh(), []placement.Host{host("a", 40, 2, 1, 0), host("b", 50, 2, 5, 0)}, []string{"b"}},
		{"ModelMesh: oldest", ModelMesh(), []placement.Host{host("a", 0, 1, 7, 0), host("b", 20, 9, 5, 0), host("c", 0, 9, 6, 0)}, []string{"b"}},
		{"two choices: room", TwoChoices(), []placement.Host{host("a", 0, 1, 7, 0), host("b", 40, 9, 5, 9)}, []string{"b"}},
		{"two choices: most room", TwoChoices(), []placement.Host{host("a", 30, 1, 7, 0), host("b", 40, 9, 5, 9)}, []string{"b"}},
		{"two choices: fewest requests", TwoChoices(), []placement.Host{host("a", 0, 1, 7, 10), host("b", 0, 9, 5, 9)}, []string{"b"}},
		{"random", Random(), []placement.Host{host("a", 0, 1, 7, 0), host("b", 0, 9, 5, 0), excluded}, []string{"a", "b"}},
	} {
		seen := map[string]bool{}
		for range 50 {
			got, err := test.place(at(9), model, test.hosts)
			if err != nil || len(got) != 1 {
				t.Fatalf("%s: %v, %v", test.name, got, err)
			}
			seen[got[0].Host] = true
		}
		for _, id := range test.want {
			if !seen[id] || len(seen) != len(test.want) {
				t.Errorf("%s: took %v, want %v", test.name, seen, test.want)
			}
		}
	}
	hash := ConsistentHash()
	all := []placement.Host{host("a", 0, 0, 0, 0), host("b", 0, 0, 0, 0), host("c", 0, 0, 0, 0)}
	one, _ := hash(at(1), model, all)
	all[0], all[2], all[1].Free = all[2], all[0], modelcache.Resources{modelcache.HostMemory: 90}
	if two, _ := hash(at(99), model, all); !reflect.DeepEqual(one, two) {
		t.Errorf("consistent hashing took %v, and then %v", one, two)
	}
}

func TestPrint(t *testing.T) {
	trace := drawn(rand.New(rand.NewPCG(4, 4)), 60, 3000)
	table, err := Compare(t.Context(), trace, 3, OpenBuiltIn(), 2)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Compare(t.Context(), trace, 3, OpenBuiltIn(), 1)
	if err != nil || !reflect.DeepEqual(table, again) {
		t.Fatalf("the same trace costs something else the second time (%v)", err)
	}
	var out strings.Builder
	if err := table.Print(&out, trace); err != nil {
		t.Fatal(err)
	}
	last := out.String()[strings.LastIndex(strings.TrimSpace(out.String()), "\n")+1:]
	want := fmt.Sprintf("figures: vs_pooled=%.3f worst_vs_pooled=%.3f vs_modelmesh=%.3f\n",
		mean(table.VsPooled(shipped)), slices.Max(table.VsPooled(shipped)), mean(table.VsModelMesh()))
	if last != want {
		t.Errorf("last line %q, want %q", last, want)
	}
	if names := schemes(); names[modelMesh].name != "ModelMesh's rule" || names[shipped].lag != Shipped() {
		t.Error("the figures are of other schemes")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Compare(cancelled, trace, 3, OpenBuiltIn(), 1); err == nil {
		t.Error("it went on though nobody wants it")
	}
}
