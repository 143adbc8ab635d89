package policies

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

const (
	preparing   = syncv1.GenerationState_GENERATION_STATE_PREPARING
	preflighted = syncv1.GenerationState_GENERATION_STATE_PREFLIGHTED
	isActive    = syncv1.GenerationState_GENERATION_STATE_ACTIVE
	shadowing   = syncv1.GenerationState_GENERATION_STATE_SHADOWING
	failed      = syncv1.GenerationState_GENERATION_STATE_FAILED
	degraded    = syncv1.GenerationState_GENERATION_STATE_DEGRADED
)

// A generation's way: candidate, active, replaced, released.
func TestCandidateThenActiveThenGone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{}
		h := start(t, t.TempDir(), c, true)
		one, two := c.add(hooktest.Module{Backward: true}), c.add(hooktest.Module{})
		h.apply(plan(1, as(candidate, one)))
		h.expect(one, preflighted)
		if _, by := h.evict(); by != "" {
			t.Fatalf("decided by %q, but it is only a candidate", by)
		}
		h.apply(plan(2, as(active, one), as(candidate, two)))
		h.expect(one, isActive)
		h.expect(two, preflighted)
		if first, by := h.evict(); first != 2 || by != one.GetId() {
			t.Fatalf("victim %d by %q", first, by)
		}
		h.apply(plan(3, as(active, two), as(previous, one)))
		h.expect(two, isActive)
		h.expect(one, preflighted)
		if first, by := h.evict(); first != 0 || by != two.GetId() {
			t.Fatalf("victim %d by %q", first, by)
		}
		if c.fetches != 2 || h.engine.Programs() != 2 {
			t.Fatalf("%d fetches, %d programs; want 2 each", c.fetches, h.engine.Programs())
		}
		h.apply(plan(4))
		if _, by := h.evict(); by != "" || h.engine.Programs() != 0 || len(c.states()) != 0 {
			t.Fatalf("decided by %q, %d programs, reported %v; want the built-in policy and nothing left", by, h.engine.Programs(), c.states())
		}
	})
}

// A host that lacks what should decide does not fall back to what decided before.
func TestActiveThatIsNotPreparedLeavesItToTheBuiltIn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{}
		h := start(t, t.TempDir(), c, true)
		one, two := c.add(hooktest.Module{}), c.add(hooktest.Module{Backward: true})
		h.apply(plan(1, as(active, one)))
		c.hold = make(chan struct{})
		h.apply(plan(2, as(active, two), as(previous, one)))
		h.expect(two, preparing)
		h.expect(one, preflighted)
		if _, by := h.evict(); by != "" {
			t.Fatalf("decided by %q while the active generation is being prepared", by)
		}
		close(c.hold)
		synctest.Wait()
		h.expect(two, isActive)
		if _, by := h.evict(); by != two.GetId() {
			t.Fatalf("decided by %q", by)
		}
	})
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		make func(c *controller) *syncv1.Generation
		want []string
	}{
		"traps with a thousand rows": {
			func(c *controller) *syncv1.Generation {
				return c.add(hooktest.Module{Fault: hooktest.Traps, Rows: 1000})
			}, []string{"test-policy", "a thousand rows", "answers", "unreachable"}},
		"lies": {
			func(c *controller) *syncv1.Generation { return c.add(hooktest.Module{Fault: hooktest.Lies}) },
			[]string{"test-policy", "two rows", "valid answer", "row 0 again"}},
		"loops": {
			func(c *controller) *syncv1.Generation { return c.add(hooktest.Module{Fault: hooktest.Loops, Rows: 17}) },
			[]string{"test-policy", "seventeen rows", "fuel"}},
		"keeps state": {
			func(c *controller) *syncv1.Generation { return c.add(hooktest.Module{Fault: hooktest.Wavers}) },
			[]string{"test-policy", "pure"}},
		"not wasm": {
			func(c *controller) *syncv1.Generation { return c.addBytes([]byte("not wasm"), policyabi.HookEvict) },
			[]string{"test-policy", "refused"}},
		"configuration that nobody reads": {
			func(c *controller) *syncv1.Generation {
				g := c.add(hooktest.Module{})
				g.Config = []byte("a=1")
				return g
			}, []string{"test-policy", "configure"}},
		"hook of the controller": {
			func(c *controller) *syncv1.Generation {
				return c.addBytes(hooktest.Module{}.Wasm(), policyabi.HookStatus)
			}, []string{"test-policy", `"status"`}},
		"another module than planned": {
			func(c *controller) *syncv1.Generation {
				g := c.add(hooktest.Module{})
				digest := slices.Clone(g.GetModuleDigest())
				digest[0]++
				c.modules[string(digest)] = c.modules[string(g.GetModuleDigest())]
				g.ModuleDigest = digest
				return g
			}, []string{"test-policy", "SHA-256"}},
		"more bytes than planned": {
			func(c *controller) *syncv1.Generation {
				g := c.add(hooktest.Module{})
				g.ModuleBytes--
				return g
			}, []string{"test-policy", "bytes"}},
		"too many bytes": {
			func(c *controller) *syncv1.Generation {
				g := c.add(hooktest.Module{})
				g.ModuleBytes = 1 << 40
				return g
			}, []string{"test-policy", "at most 16777216"}},
		"a short digest": {
			func(c *controller) *syncv1.Generation {
				g := c.add(hooktest.Module{})
				g.ModuleDigest = g.ModuleDigest[:5]
				return g
			}, []string{"test-policy", "5 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := &controller{}
				h := start(t, t.TempDir(), c, true)
				g := test.make(c)
				h.apply(plan(1, as(active, g)))
				entry := h.expect(g, failed)
				for _, want := range test.want {
					if !strings.Contains(entry.GetMessage(), want) {
						t.Errorf("message %q does not mention %q", entry.GetMessage(), want)
					}
				}
				if _, by := h.evict(); by != "" || h.engine.Programs() != 0 {
					t.Errorf("decided by %q, %d programs; want the built-in policy and none", by, h.engine.Programs())
				}
				// It is not tried again before the plan changes.
				fetches := c.fetches
				sleep(time.Hour)
				h.apply(plan(1, as(active, clone(g))))
				if c.fetches != fetches {
					t.Errorf("fetched again")
				}
			})
		})
	}
}

// What may pass is tried again: a controller that is away, a module that it does not have yet.
func TestFetchIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{}
		h := start(t, t.TempDir(), c, true)
		g := c.add(hooktest.Module{})
		module := c.modules[string(g.GetModuleDigest())]
		delete(c.modules, string(g.GetModuleDigest()))
		h.apply(plan(1, as(active, g)))
		if entry := h.expect(g, preparing); !strings.Contains(entry.GetMessage(), "no generation has that digest") {
			t.Fatalf("message %q", entry.GetMessage())
		}
		sleep(10 * time.Minute)
		if c.fetches < 10 || c.fetches > 60 {
			t.Fatalf("%d fetches in ten minutes", c.fetches)
		}
		c.mu.Lock()
		c.modules[string(g.GetModuleDigest())] = module
		c.mu.Unlock()
		sleep(time.Minute)
		h.expect(g, isActive)
	})
}

// The newest plan wins: what is under way for an older one is given up.
func TestSupersededWorkIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{hold: make(chan struct{})}
		h := start(t, t.TempDir(), c, true)
		one, two := c.add(hooktest.Module{}), c.add(hooktest.Module{Backward: true})
		h.apply(plan(1, as(active, one)))
		c.mu.Lock()
		hold := c.hold
		c.hold = nil
		c.mu.Unlock()
		h.apply(plan(2, as(active, two))) // While the fetch of one hangs for ever.
		h.expect(two, isActive)
		if len(c.states()) != 1 {
			t.Fatalf("reported %v", c.states())
		}
		close(hold)
	})
}

func TestRestartWithoutController(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c, dir := &controller{}, t.TempDir()
		h := start(t, dir, c, true)
		one, gone := c.add(hooktest.Module{Backward: true}), c.add(hooktest.Module{})
		h.apply(plan(1, as(active, one), as(previous, gone)))
		h.apply(plan(2, as(active, one)))
		h.stop()

		entries, err := os.ReadDir(filepath.Join(dir, "policies"))
		if err != nil || len(entries) != 2 {
			t.Fatalf("files %v, %v; want the plan and one module", entries, err)
		}
		info, err := os.Stat(filepath.Join(dir, "policies", planFile))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("plan %v, %v; want mode 0600, as configurations may be secret", info, err)
		}
		c = &controller{}
		h = start(t, dir, c, false)
		h.expect(one, isActive)
		if first, by := h.evict(); first != 2 || by != one.GetId() {
			t.Fatalf("after a restart victim %d by %q", first, by)
		}
		h.stop()

		// A damaged module is fetched again; without a controller the built-in policy decides.
		path := filepath.Join(dir, "policies", moduleName(one))
		if err := os.WriteFile(path, []byte("damaged"), 0o644); err != nil {
			t.Fatal(err)
		}
		h = start(t, dir, c, false)
		h.expect(one, preparing)
		if _, by := h.evict(); by != "" {
			t.Fatalf("decided by %q", by)
		}
		h.stop()

		// So does it with a damaged plan.
		if err := os.WriteFile(filepath.Join(dir, "policies", planFile), []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		h = start(t, dir, c, false)
		if _, by := h.evict(); by != "" || len(c.states()) != 0 {
			t.Fatalf("decided by %q, reported %v", by, c.states())
		}
	})
}

// A policy that fails only when it counts passes every trial. It is found by its decisions, and the host says so at once.
func TestFailingPolicyIsDegraded(t *testing.T) {
	for _, fault := range []hooktest.Fault{hooktest.Traps, hooktest.Loops, hooktest.Lies} {
		inBubble(t, func(t *testing.T) {
			c := &controller{}
			h := start(t, t.TempDir(), c, true)
			g := c.add(hooktest.Module{Fault: fault, OnlyLive: true})
			h.apply(plan(1, as(active, g)))
			h.expect(g, isActive)
			for range 5 {
				if _, by := h.evict(); by != "" {
					t.Fatalf("decided by %q", by)
				}
				synctest.Wait()
			}
			entry := h.expect(g, degraded)
			if entry.GetFailed() != 5 || entry.GetMessage() == "" {
				t.Fatalf("reported %v", entry)
			}
			// Rolled back by the controller.
			good := c.add(hooktest.Module{})
			h.apply(plan(2, as(active, good)))
			if _, by := h.evict(); by != good.GetId() {
				t.Fatalf("decided by %q", by)
			}
		})
	}
}

func TestShadowIsComparedAndReported(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{}
		h := start(t, t.TempDir(), c, true)
		live, other := c.add(hooktest.Module{}), c.add(hooktest.Module{Backward: true})
		h.apply(plan(1, as(active, live), as(shadow, other)))
		h.expect(other, shadowing)
		reports := len(c.reports)
		for range 4 {
			if first, by := h.evict(); first != 0 || by != live.GetId() {
				t.Fatalf("victim %d by %q", first, by)
			}
			synctest.Wait()
		}
		sleep(reportEvery)
		if entry := h.expect(other, shadowing); entry.GetCompared() != 4 || entry.GetDiffered() != 4 {
			t.Fatalf("reported %v, want 4 compared, all different", entry)
		}
		if n := len(c.reports) - reports; n != 1 {
			t.Fatalf("%d reports of figures, want 1", n)
		}
		sleep(time.Minute)
		if n := len(c.reports) - reports; n != 1 {
			t.Fatalf("%d reports though nothing changed", n)
		}
	})
}

// The trial of a candidate says how many of the decisions that were taken here it would have taken otherwise.
func TestCandidateIsComparedWithWhatWasDecided(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{}
		h := start(t, t.TempDir(), c, true)
		live := c.add(hooktest.Module{})
		h.apply(plan(1, as(active, live)))
		for range 3 {
			h.evict()
		}
		same, other := c.add(hooktest.Module{Salt: "2"}), c.add(hooktest.Module{Backward: true})
		h.apply(plan(2, as(active, live), as(candidate, same), as(candidate, other)))
		if entry := h.expect(same, preflighted); entry.GetCompared() != 3 || entry.GetDiffered() != 0 {
			t.Errorf("reported %v, want 3 compared, all the same", entry)
		}
		if entry := h.expect(other, preflighted); entry.GetCompared() != 3 || entry.GetDiffered() != 3 {
			t.Errorf("reported %v, want 3 compared, all different", entry)
		}
	})
}

func TestGenerationsAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{}
		h := start(t, t.TempDir(), c, true)
		var entries []*syncv1.PolicyPlan_Entry
		for i := range maxGenerations + 2 {
			entries = append(entries, as(previous, c.add(hooktest.Module{Salt: string(rune('a' + i))})))
		}
		last := c.add(hooktest.Module{Salt: "active"})
		h.apply(plan(1, append(entries, as(active, last))...))
		h.expect(last, isActive)
		if n := h.engine.Programs(); n != maxGenerations {
			t.Fatalf("%d programs, want %d", n, maxGenerations)
		}
		refused := 0
		for _, entry := range c.states() {
			if entry.GetState() == failed && strings.Contains(entry.GetMessage(), "at most 8") {
				refused++
			}
		}
		if refused != 3 {
			t.Fatalf("%d refused, want 3", refused)
		}
	})
}

func TestQueries(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{}
		h := start(t, t.TempDir(), c, true)
		const decisions = 40
		for i := range decisions {
			model := "even"
			if i%2 == 1 {
				model = "odd"
			}
			got := h.Evict.Evict(evictRequest(400), hook.About{Model: model})
			if i == 7 {
				h.Evict.Note(got.Decision, "evicted one", []string{"victim"})
			}
		}
		h.Place.Place(&policyabi.PlaceRequest{}, hook.About{Model: "even"})
		for _, test := range []struct {
			query *syncv1.DecisionsQuery
			want  int
		}{
			{&syncv1.DecisionsQuery{}, decisions + 1},
			{&syncv1.DecisionsQuery{Limit: 5}, 5},
			{&syncv1.DecisionsQuery{ModelId: "odd"}, decisions / 2},
			{&syncv1.DecisionsQuery{ModelId: "even", Hook: "evict"}, decisions / 2},
			{&syncv1.DecisionsQuery{ModelId: "even", Hook: "place"}, 1},
			{&syncv1.DecisionsQuery{ModelId: "victim"}, 1},
			{&syncv1.DecisionsQuery{Hook: "status"}, 0},
		} {
			c.replies = nil
			h.DecisionsQuery(test.query)
			synctest.Wait()
			var got []*syncv1.Decision
			for i, reply := range c.replies {
				if reply.GetDone() != (i == len(c.replies)-1) {
					t.Fatalf("reply %d of %d: done is %v", i, len(c.replies), reply.GetDone())
				}
				if n := proto.Size(reply); n > replyBytes {
					t.Errorf("a reply of %d bytes", n)
				}
				got = append(got, reply.GetDecisions()...)
			}
			if len(got) != test.want {
				t.Errorf("%v: %d decisions, want %d", test.query, len(got), test.want)
			}
			if !slices.IsSortedFunc(got, hook.NewestFirst) {
				t.Errorf("%v: not newest first", test.query)
			}
			if test.query.GetModelId() == "victim" && got[0].GetEffect() != "evicted one" {
				t.Errorf("effect %q", got[0].GetEffect())
			}
		}
	})
}

// One decision that is larger than a message may be does not end the stream.
func TestHugeDecisionIsToldWithoutItsRequest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{}
		h := start(t, t.TempDir(), c, true)
		request := evictRequest(1)
		request.Rows[0].Name = strings.Repeat("n", 3<<20)
		h.Evict.Evict(request, hook.About{Model: "huge"})
		h.Evict.Evict(evictRequest(2), hook.About{Model: "small"})
		h.DecisionsQuery(&syncv1.DecisionsQuery{})
		synctest.Wait()
		got := c.replies[0].GetDecisions()
		if len(got) != 2 || len(got[0].GetRequest()) == 0 || len(got[1].GetRequest()) != 0 || !strings.Contains(got[1].GetEffect(), "left out") {
			t.Fatalf("%d decisions, with %d and %d bytes; effect %q", len(got), len(got[0].GetRequest()), len(got[1].GetRequest()), got[1].GetEffect())
		}
	})
}

// Queries that nobody takes the answers of do not pile up.
func TestQueriesAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		set, err := New(Config{StateDir: t.TempDir(), Metrics: newRegistry(), Logger: discard()})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		for i := range uint64(3 * maxQueries) {
			set.DecisionsQuery(&syncv1.DecisionsQuery{QueryId: i})
		}
		if n := len(set.queries); n != maxQueries {
			t.Fatalf("%d queries wait, want %d", n, maxQueries)
		}
		if oldest := <-set.queries; oldest.GetQueryId() != 2*maxQueries {
			t.Fatalf("query %d is the oldest, want the newest ones kept", oldest.GetQueryId())
		}
	})
}

func TestMetrics(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{}
		h := start(t, t.TempDir(), c, true)
		h.evict()
		g := c.add(hooktest.Module{})
		h.apply(plan(1, as(active, g)))
		h.evict()
		got := scrape(t, h.registry)
		for series, want := range map[string]float64{
			`wasmesh_policy_decisions_total{hook="evict",outcome="built_in"}`:                                  1,
			`wasmesh_policy_decisions_total{hook="evict",outcome="answered"}`:                                  1,
			`wasmesh_policy_decisions_total{hook="place",outcome="answered"}`:                                  0,
			`wasmesh_policy_decision_seconds{hook="evict"}`:                                                    2,
			`wasmesh_policy_fuel{hook="evict"}`:                                                                1,
			`wasmesh_policy_generation_info{generation="` + g.GetId() + `",hook="evict",policy="test-policy"}`: 1,
			`wasmesh_policy_generation_info{generation="built-in",hook="place",policy="balanced"}`:             1,
		} {
			if value, ok := got[series]; !ok || value != want {
				t.Errorf("%s = %v, %v; want %v", series, value, ok, want)
			}
		}
		if _, ok := got[`wasmesh_policy_generation_info{generation="built-in",hook="evict",policy="cost-aware"}`]; ok {
			t.Error("two policies are said to decide evict")
		}
	})
}
