package eviction

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// drawn makes a small trace; of equal models if so wanted.
func drawn(random *rand.Rand, models, requests int, equal bool) *Trace {
	t := &Trace{Name: "drawn"}
	for i := range models {
		m := Model{Name: fmt.Sprint("m", i), Size: 10, Load: time.Second}
		if !equal {
			m.Size, m.Load = 1+random.Int64N(10), time.Duration(1+random.Int64N(9))*100*time.Millisecond
		}
		t.Models = append(t.Models, m)
	}
	at := time.Duration(0)
	for range requests {
		at += time.Duration(1+random.Int64N(60_000)) * time.Millisecond
		t.Requests = append(t.Requests, Request{At: at, Model: int32(random.IntN(models))})
	}
	return t
}

// optimum is the least load time that there can be: of all sets of models that can be in memory, request by request.
func optimum(t *Trace, capacity int64) time.Duration {
	fits := make([]bool, 1<<len(t.Models))
	for set := range fits {
		size := int64(0)
		for i, m := range t.Models {
			if set>>i&1 != 0 {
				size += m.Size
			}
		}
		fits[set] = size <= capacity
	}
	best := map[int]time.Duration{0: 0}
	for _, r := range t.Requests {
		bit := 1 << r.Model
		next := map[int]time.Duration{}
		for set, cost := range best {
			if set&bit == 0 {
				cost += t.Models[r.Model].Load
			}
			rest := set &^ bit
			for sub := rest; ; sub = (sub - 1) & rest {
				if after := sub | bit; fits[after] {
					if had, ok := next[after]; !ok || cost < had {
						next[after] = cost
					}
				}
				if sub == 0 {
					break
				}
			}
		}
		best = next
	}
	least := time.Duration(math.MaxInt64)
	for _, cost := range best {
		least = min(least, cost)
	}
	return least
}

// TestForesight: for equal models it is the optimum; for others no order of eviction is below it, nor is the bound wild.
func TestForesight(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		trace := drawn(random, 6, 40, true)
		got, err := ReplayForesight(trace, 35)
		if want := optimum(trace, 35); err != nil || got.Loading != want {
			t.Fatalf("equal models: %v (%v), the optimum is %v: %+v", got.Loading, err, want, trace)
		}
	}
	for range 20 {
		trace := drawn(random, 6, 40, false)
		capacity := max(trace.TotalSize()/2, 10)
		least := optimum(trace, capacity)
		foresight, err := ReplayForesight(trace, capacity)
		if err != nil || foresight.Loading < least || foresight.Loading > least*3/2 {
			t.Fatalf("with foresight %v (%v), the optimum is %v: %+v", foresight.Loading, err, least, trace)
		}
		for _, policy := range Policies() {
			if got := replayBuiltIn(t, trace, capacity, policy); got.Loading < least {
				t.Fatalf("%s: %v, and the optimum is %v: %+v", policy, got.Loading, least, trace)
			}
		}
	}
}

// TestReplayLRU holds the replay to a list that is moved to the front.
func TestReplayLRU(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	for range 30 {
		trace := drawn(random, 12, 300, true)
		var recent []int32
		want := Result{}
		for _, r := range trace.Requests {
			at := slices.Index(recent, r.Model)
			if at >= 0 {
				recent = slices.Delete(recent, at, at+1)
			} else {
				want.Loads++
				want.Loading += time.Second
			}
			if recent = append(recent, r.Model); len(recent) > 5 {
				recent = recent[1:]
				want.Evictions++
				want.Rankings++
			}
		}
		if got := replayBuiltIn(t, trace, 59, "lru"); got != want {
			t.Fatalf("result %+v, want %+v", got, want)
		}
	}
}

// TestReplayTooLarge: what cannot stay is loaded each time, and nothing goes for it.
func TestReplayTooLarge(t *testing.T) {
	trace := &Trace{
		Models:   []Model{{Name: "small", Size: 1, Load: time.Second}, {Name: "large", Size: 100, Load: time.Minute}},
		Requests: []Request{{At: 0, Model: 0}, {At: 1, Model: 1}, {At: 2, Model: 0}, {At: 3, Model: 1}},
	}
	if got, want := replayBuiltIn(t, trace, 50, "cost-aware"), (Result{Loading: 121 * time.Second, Loads: 3}); got != want {
		t.Errorf("result %+v, want %+v", got, want)
	}
}

// TestCompareIsDeterministic: however many replays run at once, and in whatever order they end.
func TestCompareIsDeterministic(t *testing.T) {
	trace := drawn(rand.New(rand.NewPCG(9, 9)), 60, 4000, false)
	open := func(_ context.Context, policy string) (Ranker, func(), error) {
		rank, err := BuiltIn(policy)
		return rank, func() {}, err
	}
	var first []Row
	for _, parallel := range []int{1, 4} {
		rows, err := Compare(t.Context(), trace, open, parallel)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = rows
		}
		if !reflect.DeepEqual(rows, first) {
			t.Errorf("%d at once: %+v, and before %+v", parallel, rows, first)
		}
	}
}

// TestPrint: the last line is what programs read.
func TestPrint(t *testing.T) {
	row := func(lru, costAware, offline time.Duration) Row {
		return Row{Percent: 5, Policies: []Result{{Loading: lru}, {Loading: lru}, {Loading: costAware}}, Foresight: Result{Loading: offline}}
	}
	trace := &Trace{Name: "t", Models: []Model{{Name: "m", Size: 1, Load: time.Second}}, Requests: []Request{{}}}
	var b strings.Builder
	if err := Print(&b, trace, []Row{row(100, 80, 60), row(100, 104, 50), row(0, 0, 0), row(7, 7, 7)}); err != nil {
		t.Fatal(err)
	}
	// 50, -8 and twice 100 percent.
	if want := "\nfigures: gap_closed_percent=60.5 worst_vs_lru=1.040\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("printed %q, want it to end with %q", b.String(), want)
	}
}

func replayBuiltIn(t *testing.T, trace *Trace, capacity int64, policy string) Result {
	t.Helper()
	rank, err := BuiltIn(policy)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Replay(trace, capacity, rank)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
