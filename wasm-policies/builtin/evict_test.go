package builtin_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

const (
	nowMs  = 1_700_000_000_000
	minute = 60_000
	hour   = 60 * minute
	mib    = 1 << 20
)

// aCopy is of 100 MiB, loads in 1 s, and was used ten times an hour, last a minute ago.
func aCopy(name string) policyabi.EvictRow {
	return policyabi.EvictRow{Name: name, SizeMemory: 100 * mib, LoadMs: 1000, LastUsedMs: nowMs - minute,
		LoadedAtMs: nowMs - 5*hour, Rate: 2777, Uses: 50}
}

// TestEvictOrder: who goes first, by each policy.
func TestEvictOrder(t *testing.T) {
	type row = policyabi.EvictRow
	change := func(r row, f func(*row)) row { f(&r); return r }
	for _, c := range []struct {
		name, policy string
		rows         []row
		want         string
	}{
		{"small goes last", "cost-aware", []row{change(aCopy("small"), func(r *row) { r.SizeMemory /= 2 }), aCopy("large")}, "[large small]"},
		{"dear goes last", "cost-aware", []row{change(aCopy("dear"), func(r *row) { r.LoadMs *= 2 }), aCopy("cheap")}, "[cheap dear]"},
		{"popular goes last", "cost-aware", []row{change(aCopy("popular"), func(r *row) { r.Rate *= 2 }), aCopy("rare")}, "[rare popular]"},
		{"what has gone quiet goes first, however popular it was", "cost-aware",
			[]row{aCopy("steady"), change(aCopy("quiet"), func(r *row) { r.Rate, r.LastUsedMs = 1e6, nowMs-20*minute })}, "[quiet steady]"},
		{"what comes up is not what is gone", "cost-aware", []row{
			change(aCopy("new"), func(r *row) { r.Rate, r.RateRecent, r.LastUsedMs = 48, 1155, nowMs-1000 }),
			change(aCopy("old"), func(r *row) { r.Rate, r.LastUsedMs = 300, nowMs-40*minute }),
		}, "[old new]"},
		{"copies share the use", "cost-aware", []row{aCopy("only"), change(aCopy("twin"), func(r *row) { r.CopiesElsewhere = 1 })}, "[twin only]"},
		{"in flight is in use", "cost-aware", []row{
			change(aCopy("busy"), func(r *row) { r.InFlight, r.Rate, r.LastUsedMs = 1, 5000, nowMs-hour }), aCopy("idle"),
		}, "[idle busy]"},
		{"priority first", "cost-aware", []row{
			change(aCopy("dear"), func(r *row) {
				r.Priority = -1
				r.LoadMs = math.MaxUint32
				r.Rate = math.MaxUint64
				r.LastUsedMs = nowMs
			}),
			change(aCopy("idle"), func(r *row) { r.Rate = 0 }),
			change(aCopy("loved"), func(r *row) { r.Priority = 1; r.Rate = 0 }),
		}, "[dear idle loved]"},
		{"recency", "lru", []row{change(aCopy("late"), func(r *row) { r.LastUsedMs++ }), aCopy("early")}, "[early late]"},
		{"recency over days", "lru", []row{
			change(aCopy("yesterday"), func(r *row) { r.LastUsedMs -= 24 * hour }),
			change(aCopy("never"), func(r *row) { r.LastUsedMs = 0 }),
			change(aCopy("last week"), func(r *row) { r.LastUsedMs -= 7 * 24 * hour }),
		}, "[never last week yesterday]"},
		{"recency, priority first", "lru", []row{aCopy("old"), change(aCopy("new"), func(r *row) { r.Priority = -2; r.LastUsedMs = nowMs })}, "[new old]"},
		{"uses since the load", "gdsf", []row{change(aCopy("more"), func(r *row) { r.Uses++ }), aCopy("less")}, "[less more]"},
		{"the clock has moved on", "gdsf", []row{change(aCopy("old"), func(r *row) { r.Uses, r.Inflation = 60, 1000 }), aCopy("new")}, "[old new]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := policyabi.EvictRequest{
				Header: policyabi.Header{NowMs: nowMs}, Context: policyabi.EvictContext{CapacityMemory: 1 << 40}, Rows: c.rows,
			}
			answers := evict(t, c.policy, r)
			slices.SortStableFunc(answers, func(a, b policyabi.EvictAnswer) int { return cmp.Compare(a.Keep, b.Keep) })
			names := []string{}
			for _, a := range answers {
				names = append(names, c.rows[a.Row].Name)
			}
			if got := fmt.Sprint(names); got != c.want {
				t.Errorf("%v goes first to last, want %v: %+v", got, c.want, answers)
			}
		})
	}
}

// TestKeepIsAnAmount: where eviction takes place, twice as much use, or load time, for half the memory is worth twice as
// much, so that sums compare; and so do capacities of different kinds.
func TestKeepIsAnAmount(t *testing.T) {
	keep := func(c policyabi.EvictContext, row policyabi.EvictRow) int32 {
		return evict(t, "cost-aware", policyabi.EvictRequest{
			Header: policyabi.Header{NowMs: nowMs}, Context: c, Rows: []policyabi.EvictRow{row},
		})[0].Keep
	}
	memory := policyabi.EvictContext{CapacityMemory: 16 * gib}
	one, twice := aCopy("one"), aCopy("twice")
	one.Rate, twice.Rate = 100, 200
	a, b := keep(memory, one), keep(memory, twice)
	if a < 1000 || b < 2*a-1 || b > 2*a+1 {
		t.Errorf("twice as much use is worth %d, and once %d", b, a)
	}
	// 16 KiB units: 100 MiB are 6400. 100 uses in 1e6 s are 1e5 in 1e9 s, of 1000 ms each.
	if want := int32(100_000 * 1000 / 6400); a != want {
		t.Errorf("keep-value %d, want %d", a, want)
	}
	device := policyabi.EvictContext{CapacityDevice: 16 * gib}
	one.SizeMemory, one.SizeDevice = 0, 100*mib
	if got := keep(device, one); got != a {
		t.Errorf("on a device it is worth %d, in memory %d", got, a)
	}
	// A slot of 16 is as much as 1 GiB of 16.
	slots := policyabi.EvictContext{CapacityMemory: 16 * gib, CapacitySlots: 16}
	one.SizeMemory, one.SizeDevice, one.SizeSlots = mib, 0, 1
	twice.SizeMemory, twice.SizeSlots, twice.Rate = gib, 1, 100
	if a, b := keep(slots, one), keep(slots, twice); a != b {
		t.Errorf("a small copy in a large slot is worth %d, one that fills it %d", a, b)
	}
}

func evict(t *testing.T, policy string, r policyabi.EvictRequest) []policyabi.EvictAnswer {
	t.Helper()
	got, err := policyabi.DecodeEvictAnswers(decide(t, policyabi.HookEvict, policy, &r), len(r.Rows))
	if err != nil {
		t.Fatal(err)
	}
	return got
}
