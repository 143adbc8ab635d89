package eviction

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
)

// Foresight is a clairvoyant policy: what counts against a copy, beside the time to its next use.
type Foresight int

// The policies with foresight.
const (
	// Belady evicts what is needed again last. It is the optimum for models of equal size and load time.
	Belady Foresight = iota
	// BeladySize evicts what holds the most memory for the longest time.
	BeladySize
	// BeladyCost evicts what holds the most memory for the longest time by the time that its load takes.
	BeladyCost
)

// ReplayForesight serves the trace knowing it. The result is a bound in practice: better orders may exist, but none that
// anybody knows how to find.
func ReplayForesight(t *Trace, capacity int64) (Result, error) {
	best := Result{Loading: math.MaxInt64}
	next := nextUses(t)
	for _, by := range []Foresight{Belady, BeladySize, BeladyCost} {
		result, err := Replay(t, capacity, by.ranker(t, next))
		if err != nil {
			return Result{}, err
		}
		if result.Loading < best.Loading {
			best = result
		}
	}
	return best, nil
}

// never is the next use of what is used no more.
const never = math.MaxInt32

// nextUses answers the index of the next request for the same model, for each request.
func nextUses(t *Trace) []int32 {
	next := make([]int32, len(t.Requests))
	last := make([]int32, len(t.Models))
	for i := range last {
		last[i] = never
	}
	for i := len(t.Requests) - 1; i >= 0; i-- {
		m := t.Requests[i].Model
		next[i], last[m] = last[m], int32(i)
	}
	return next
}

// ranker ranks by foresight: a copy's keep-value is its place. next is what nextUses answers.
func (f Foresight) ranker(t *Trace, next []int32) Ranker {
	// upcoming is the next request for each model, as of the request that was looked at last.
	upcoming := make([]int32, len(t.Models))
	for i := range upcoming {
		upcoming[i] = never
	}
	seen := 0
	type future struct {
		id   modelcache.CopyID
		cost float64
	}
	var futures []future
	var ranked []modelcache.Ranked
	return func(request int, r modelcache.Ranking) ([]modelcache.Ranked, error) {
		for ; seen < request; seen++ {
			upcoming[t.Requests[seen].Model] = next[seen]
		}
		futures = futures[:0]
		for i := range r.Copies {
			model := r.Copies[i].Key - 1
			futures = append(futures, future{r.Copies[i].ID, f.cost(t, model, upcoming[model], t.Requests[request].At)})
		}
		slices.SortFunc(futures, func(a, b future) int {
			return cmp.Or(cmp.Compare(b.cost, a.cost), cmp.Compare(a.id, b.id))
		})
		ranked = ranked[:0]
		for at, c := range futures {
			ranked = append(ranked, modelcache.Ranked{ID: c.id, Keep: int32(at)})
		}
		return ranked, nil
	}
}

// cost is what it costs to keep a model until it is used again.
func (f Foresight) cost(t *Trace, model uint64, next int32, now time.Duration) float64 {
	if next == never {
		return math.Inf(1)
	}
	wait := max(float64(t.Requests[next].At-now), 1)
	switch f {
	case BeladySize:
		return wait * float64(t.Models[model].Size)
	case BeladyCost:
		return wait * float64(t.Models[model].Size) / float64(max(t.Models[model].Load, 1))
	}
	return wait
}
