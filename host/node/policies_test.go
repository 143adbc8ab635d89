package node

import (
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/placement"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// limits collects which limits were counted.
type limits struct{ rules []string }

func (l *limits) Decided(syncv1.DecisionOutcome, time.Duration, uint64) {}

func (l *limits) Count(event hook.Event, detail string) {
	if event == hook.EnvelopeHit {
		l.rules = append(l.rules, detail)
	}
}

// newDecider makes one whose hooks these policies decide.
func newDecider(t *testing.T, place, evict builtin.Policy) (*decider, *limits) {
	t.Helper()
	hits := &limits{}
	open := func(policy builtin.Policy) *hook.Hook {
		h, err := hook.New(hook.Config{Hook: policy.Hook, BuiltIn: policy, Host: "h", Observer: hits})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.Close)
		return h
	}
	return &decider{
		host: "h", logger: slog.New(slog.DiscardHandler), place: open(place), evict: open(evict), builtIn: evict,
		limited: map[uint64][]placement.Rule{},
	}, hits
}

// here is a model and the hosts that may take it, as an arbiter sees them.
func here(model string) (placement.Model, []placement.Host) {
	return placement.Model{ID: model, Key: 1, Need: modelcache.Resources{10}, Purpose: policyabi.PurposeMiss, Asker: "h"}, []placement.Host{
		{ID: "g", Free: modelcache.Resources{5}, Capacity: modelcache.Resources{100}, Draining: true},
		{ID: "h", Free: modelcache.Resources{50}, Capacity: modelcache.Resources{100}, Warming: true, Preferred: true},
	}
}

// onlyRecord answers the one decision about a model.
func onlyRecord(t *testing.T, h *hook.Hook, model string) *syncv1.Decision {
	t.Helper()
	records := h.Records(hook.Filter{Model: model})
	if len(records) != 1 {
		t.Fatalf("%d decisions about %s", len(records), model)
	}
	return records[0]
}

// Where a model went, and what came of it, can be looked up.
func TestWhatCameOfAPlacementIsRecorded(t *testing.T) {
	d, hits := newDecider(t, builtin.Default(policyabi.HookPlace), builtin.Default(policyabi.HookEvict))
	model, hosts := here("m")
	decision := d.where(time.Now(), model, hosts)
	if len(decision.Candidates) != 1 || decision.Candidates[0].Host != "h" {
		t.Fatalf("candidates %+v", decision.Candidates)
	}
	for _, effect := range []string{"loading on h", "loaded on h"} {
		d.notePlaced(decision.ID, effect)
		if got := onlyRecord(t, d.place, "m").GetEffect(); got != effect {
			t.Errorf("effect %q, want %q", got, effect)
		}
	}
	request, err := policyabi.DecodePlaceRequest(onlyRecord(t, d.place, "m").GetRequest())
	if err != nil {
		t.Fatal(err)
	}
	if len(request.Rows) != 2 || request.Rows[1].Name != "h" || request.Rows[1].FreeMemory != 50 ||
		request.Rows[1].Flags != policyabi.HostFlagSelf|policyabi.HostFlagWarming|policyabi.HostFlagPreferred ||
		request.Context.Purpose != policyabi.PurposeMiss || request.Context.NeedMemory != 10 {
		t.Errorf("request %+v", request)
	}
	if len(hits.rules) != 0 {
		t.Errorf("limits hit: %v", hits.rules)
	}
}

// A policy that wants no host is told of as a limit, which stays through later notes, and the request's load goes on.
func TestAPolicyThatWantsNoHostIsALimit(t *testing.T) {
	nobody := builtin.Policy{Name: "nobody", Hook: policyabi.HookPlace, Decide: func([]byte) ([]byte, error) { return nil, nil }}
	d, hits := newDecider(t, nobody, builtin.Default(policyabi.HookEvict))
	model, hosts := here("m")
	decision := d.where(time.Now(), model, hosts)
	if len(decision.Candidates) != 1 {
		t.Fatalf("candidates %+v", decision.Candidates)
	}
	d.notePlaced(decision.ID, "loading on h")
	d.notePlaced(decision.ID, "loaded on h")
	if got := onlyRecord(t, d.place, "m").GetEffect(); got != "loaded on h; limit: nobody" {
		t.Errorf("effect %q", got)
	}
	if !reflect.DeepEqual(hits.rules, []string{"nobody"}) {
		t.Errorf("limits %v", hits.rules)
	}
}

func TestRankingIsAskedOfTheEvictHook(t *testing.T) {
	lru, _ := builtin.ByName(policyabi.HookEvict, "lru")
	d, hits := newDecider(t, builtin.Default(policyabi.HookPlace), lru)
	now := time.UnixMilli(1_700_000_000_000)
	r := modelcache.Ranking{
		Now: now, Free: modelcache.Resources{5}, Capacity: modelcache.Resources{100},
		Incoming: modelcache.Incoming{Model: "new", Key: 9, Need: modelcache.Resources{30}, Purpose: modelcache.Miss, Declared: true},
		Copies: []modelcache.Candidate{
			{CopyInfo: modelcache.CopyInfo{ID: 11, Size: modelcache.Resources{20}, LastUsed: now.Add(-time.Minute), LoadedAt: now.Add(-time.Hour), Uses: 4}, Model: "a", Rate: 3, RateRecent: 2, LoadCost: 1500 * time.Millisecond, Inflation: 8},
			{CopyInfo: modelcache.CopyInfo{ID: 12, LastUsed: now.Add(-time.Hour), InFlight: 2}, Model: "b"},
			{CopyInfo: modelcache.CopyInfo{ID: 13, LastUsed: now.Add(-time.Hour), Keep: modelcache.Keep{Pinned: true, Priority: 2}}, Model: "c", Loading: true},
		},
	}
	ranked, decision := d.order(r)
	keep := map[modelcache.CopyID]int32{}
	for _, said := range ranked {
		keep[said.ID] = said.Keep
	}
	if len(keep) != 3 || keep[11] >= keep[12] {
		t.Errorf("of three copies, 12 is in use now and 11 was a minute ago: %+v", ranked)
	}
	if decision == 0 {
		t.Error("the decision has no number")
	}
	record := onlyRecord(t, d.evict, "new")
	request, err := policyabi.DecodeEvictRequest(record.GetRequest())
	if err != nil {
		t.Fatal(err)
	}
	want := policyabi.EvictRow{
		Name: "a", CopyID: 11, SizeMemory: 20, LastUsedMs: now.Add(-time.Minute).UnixMilli(), LoadedAtMs: now.Add(-time.Hour).UnixMilli(),
		Uses: 4, Rate: 3, RateRecent: 2, LoadMs: 1500, Inflation: 8,
	}
	if request.Rows[0] != want {
		t.Errorf("row %+v, want %+v", request.Rows[0], want)
	}
	if b := request.Rows[1]; b.Flags != policyabi.CopyFlagInFlight || b.LastUsedMs != now.UnixMilli() || b.InFlight != 2 {
		t.Errorf("row of a copy in flight %+v", b)
	}
	if c := request.Rows[2]; c.Flags != policyabi.CopyFlagPinned|policyabi.CopyFlagLoading || c.LoadedAtMs != 0 || c.Priority != 2 {
		t.Errorf("row of a pinned one being loaded %+v", c)
	}
	context := policyabi.EvictContext{
		Name: "new", ModelKey: 9, NeedMemory: 30, FreeMemory: 5, CapacityMemory: 100, Purpose: policyabi.PurposeMiss, Flags: policyabi.ModelFlagDeclared,
	}
	if request.Context != context {
		t.Errorf("context %+v, want %+v", request.Context, context)
	}

	d.Decided(machine.Decided{Decision: decision, Model: "new", Victims: []string{"a"}, Limits: []machine.Limit{machine.LimitInFlight}})
	record = onlyRecord(t, d.evict, "a") // Found by its victim.
	if want := "evicted a on h to make room for new; limit: in-flight"; record.GetEffect() != want {
		t.Errorf("effect %q, want %q", record.GetEffect(), want)
	}
	if !reflect.DeepEqual(hits.rules, []string{"in-flight"}) {
		t.Errorf("limits %v", hits.rules)
	}
}

// A ranking that came to nothing says so.
func TestARankingThatLedToNothing(t *testing.T) {
	d, _ := newDecider(t, builtin.Default(policyabi.HookPlace), builtin.Default(policyabi.HookEvict))
	_, decision := d.order(modelcache.Ranking{
		Now: time.Now(), Incoming: modelcache.Incoming{Model: "new"},
		Copies: []modelcache.Candidate{{CopyInfo: modelcache.CopyInfo{ID: 1}, Model: "a"}},
	})
	d.Decided(machine.Decided{Decision: decision, Model: "new"})
	if got := onlyRecord(t, d.evict, "new").GetEffect(); !strings.HasPrefix(got, "evicted nothing on h for new") {
		t.Errorf("effect %q", got)
	}
}

// manyCopies is a ranking of so many, no two of the same worth.
func manyCopies(n int) modelcache.Ranking {
	now := time.UnixMilli(1_700_000_000_000)
	r := modelcache.Ranking{
		Now: now, Capacity: modelcache.Resources{int64(n) << 20},
		Incoming: modelcache.Incoming{Model: "new", Need: modelcache.Resources{1 << 20}, Purpose: modelcache.Miss},
	}
	for i := range n {
		shuffled := uint64(i) * 2654435761 % uint64(n)
		r.Copies = append(r.Copies, modelcache.Candidate{
			CopyInfo: modelcache.CopyInfo{ID: modelcache.CopyID(i + 1), Size: modelcache.Resources{1 << 20}, LastUsed: now.Add(-time.Millisecond)},
			Model:    fmt.Sprintf("model-%06d", i), Rate: 1 + shuffled, LoadCost: time.Second,
		})
	}
	return r
}

// With more copies than a request holds the built-in policy decides, as it would if there were no limit: not the recency
// that copies go by which nobody has ranked, and the module, which could not be asked, is not blamed.
func TestMoreCopiesThanARequestHolds(t *testing.T) {
	d, _ := newDecider(t, builtin.Default(policyabi.HookPlace), builtin.Default(policyabi.HookEvict))
	generation := costAware(t)
	d.evict.Activate(generation)
	r := manyCopies(60_000)
	ranked, decision := d.order(r)
	if len(ranked) != len(r.Copies) || decision != 0 {
		t.Fatalf("%d of %d copies ranked, decision %d", len(ranked), len(r.Copies), decision)
	}
	seen := map[modelcache.CopyID]bool{}
	for i, said := range modelcache.Arrange(r, ranked) {
		c := r.Copies[said.ID-1]
		if seen[said.ID] || i > 0 && said.Keep == modelcache.Unranked {
			t.Fatalf("copy %d at %d: keep %d", said.ID, i, said.Keep)
		}
		seen[said.ID] = true
		if want := uint64(i) + 1; c.Rate != want {
			t.Fatalf("place %d has the copy of rate %d, want the rarest first", i, c.Rate)
		}
	}
	// What fits is the module's again.
	if _, decision = d.order(manyCopies(100)); decision == 0 {
		t.Error("a hundred copies went unrecorded")
	}
	if got := generation.Figures(time.Now()); got.Answered != 1 || got.Failed != 0 {
		t.Errorf("the module's figures: %+v", got)
	}
}

// costAware is the module that ships, ready to be activated.
func costAware(t testing.TB) *hook.Generation {
	t.Helper()
	module, err := os.ReadFile("../../wasm-policies/evict-cost-aware/evict-cost-aware.wasm")
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	program, err := e.Compile(t.Context(), engine.Source{Name: "evict-cost-aware", Module: module})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(program.Release)
	return hook.NewGeneration(&syncv1.Generation{Id: "evict-cost-aware@1"}, program)
}

// BenchmarkRanking is one eviction's ranking, from the machine's words to the ledger's order: by the built-in policy, and by
// the same as a module. More than a module takes is the built-in's either way.
func BenchmarkRanking(b *testing.B) {
	for _, by := range []string{"built-in", "module"} {
		h, err := hook.New(hook.Config{Hook: policyabi.HookEvict, BuiltIn: builtin.Default(policyabi.HookEvict), Host: "h"})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(h.Close)
		if by == "module" {
			h.Activate(costAware(b))
		}
		d := &decider{host: "h", logger: slog.New(slog.DiscardHandler), evict: h, builtIn: builtin.Default(policyabi.HookEvict)}
		for _, copies := range []int{1000, 10_000, 60_000} {
			b.Run(fmt.Sprintf("%s/%d", by, copies), func(b *testing.B) {
				r := manyCopies(copies)
				for b.Loop() {
					ranked, _ := d.order(r)
					modelcache.Arrange(r, ranked)
				}
			})
		}
	}
}
