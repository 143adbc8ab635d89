package modelcache

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// recency is the order that ByRecency leads to.
func recency(now time.Time, copies []CopyInfo) []CopyID {
	return ids(arrangedBy(ByRecency, ranking(now, copies)))
}

func ranking(now time.Time, copies []CopyInfo) Ranking {
	r := Ranking{Now: now}
	for _, c := range copies {
		r.Copies = append(r.Copies, Candidate{CopyInfo: c})
	}
	return r
}

func arrangedBy(order Order, r Ranking) []Ranked {
	ranked, _ := order(r)
	return Arrange(r, ranked)
}

func ids(ranked []Ranked) []CopyID {
	ids := make([]CopyID, len(ranked))
	for i, r := range ranked {
		ids[i] = r.ID
	}
	return ids
}

func TestArrange(t *testing.T) {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	r := ranking(at(100), []CopyInfo{
		{ID: 1, LastUsed: at(30)},
		{ID: 2, LastUsed: at(10)},
		{ID: 3, LastUsed: at(20)},
		{ID: 4, LastUsed: at(5), InFlight: 1}, // In use now, whatever its stamp says.
		{ID: 5, LastUsed: at(1), Keep: Keep{Priority: 3}},
	})
	tests := []struct {
		name   string
		ranked []Ranked
		want   []CopyID
	}{
		{"lowest keep first", []Ranked{{ID: 1, Keep: -5}, {ID: 2, Keep: 9}, {ID: 3, Keep: 0}, {ID: 4, Keep: 1}, {ID: 5, Keep: 3}}, []CopyID{1, 3, 4, 5, 2}},
		{"ties by use, whatever the priority", []Ranked{{ID: 1}, {ID: 2}, {ID: 3}, {ID: 4}, {ID: 5}}, []CopyID{5, 2, 3, 1, 4}},
		{"left out goes last, by priority and use", []Ranked{{ID: 1, Keep: Unranked}}, []CopyID{1, 2, 3, 4, 5}},
		{"strangers are dropped", []Ranked{{ID: 77, Keep: -1}, {ID: 0}, {ID: 3, Keep: 1}}, []CopyID{3, 2, 1, 4, 5}},
		{"of doubles the lowest counts", []Ranked{{ID: 3, Keep: 5}, {ID: 1, Keep: 4}, {ID: 3, Keep: 1}, {ID: 3, Keep: 7}}, []CopyID{3, 1, 2, 4, 5}},
		{"nothing said", nil, []CopyID{2, 3, 1, 4, 5}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := ids(Arrange(r, test.ranked)); !reflect.DeepEqual(got, test.want) {
				t.Errorf("order %v, want %v", got, test.want)
			}
		})
	}
	if got := ids(Arrange(Ranking{}, []Ranked{{ID: 1}})); len(got) != 0 {
		t.Errorf("an order of nothing: %v", got)
	}
}

func TestByRecency(t *testing.T) {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	got := recency(at(100), []CopyInfo{
		{ID: 9, LastUsed: at(7)},
		{ID: 3, LastUsed: at(7)}, // The older load of two used at the same time.
		{ID: 4, LastUsed: at(1), InFlight: 2},
		{ID: 5, LastUsed: at(2), Keep: Keep{Priority: 1}},
		{ID: 6, LastUsed: at(90), Keep: Keep{Priority: -1}},
	})
	if want := []CopyID{6, 3, 9, 4, 5}; !reflect.DeepEqual(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

// hostile answers anything at all.
func hostile(random *rand.Rand) Order {
	return func(r Ranking) ([]Ranked, uint64) {
		var ranked []Ranked
		for range random.IntN(2*len(r.Copies) + 2) {
			id := CopyID(random.IntN(40))
			if len(r.Copies) > 0 && random.IntN(3) > 0 {
				id = r.Copies[random.IntN(len(r.Copies))].ID
			}
			ranked = append(ranked, Ranked{ID: id, Keep: int32(random.Uint32()), Reason: uint16(random.Uint32())})
		}
		return ranked, random.Uint64()
	}
}

// Whatever an Order answers, the memory of idle copies that are not pinned is there for who asks, and no other is: the
// ledger gives exactly as much as it would by recency.
func TestNoOrderWithholdsMemory(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		var sizes []int64
		for range random.IntN(9) {
			sizes = append(sizes, 1+random.Int64N(30))
		}
		const free = 3
		l, copies := loaded(t, free+sum(sizes), sizes...)
		evictable := int64(0)
		mayGo := map[CopyID]bool{}
		for i, c := range copies {
			switch random.IntN(4) {
			case 0:
				c.Acquire(start)
			case 1:
				l.SetKeep(c.ID(), Keep{Pinned: true})
			default:
				evictable += sizes[i]
				mayGo[c.ID()] = true
			}
		}
		need := 1 + random.Int64N(free+sum(sizes))
		order := ids(arrangedBy(hostile(random), ranking(start, l.Snapshot())))
		_, victims, err := l.Reserve(99, memory(need), order)
		if fits := need <= evictable+free; fits != (err == nil) {
			t.Fatalf("seed %d: %d asked, %d evictable: %v", seed, need, evictable, err)
		}
		for _, v := range victims {
			if !mayGo[v.ID] {
				t.Fatalf("seed %d: copy %d went, pinned or in flight", seed, v.ID)
			}
		}
		if stats := l.Stats(); !stats.Capacity.Covers(stats.Used.Plus(stats.Reserved).Plus(stats.Draining)) {
			t.Fatalf("seed %d: over capacity: %+v", seed, stats)
		}
	}
}

func sum(sizes []int64) (total int64) {
	for _, size := range sizes {
		total += size
	}
	return total
}

func FuzzArrange(f *testing.F) {
	f.Add(uint64(1), uint8(5))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) {
		random := rand.New(rand.NewPCG(seed, 2))
		var copies []CopyInfo
		for i := range n % 32 {
			copies = append(copies, CopyInfo{ID: CopyID(i) + 1, LastUsed: start.Add(time.Duration(random.IntN(5)))})
		}
		r := ranking(start, copies)
		ranked, _ := hostile(random)(r)
		got := Arrange(r, ranked)
		lowest := map[CopyID]int32{}
		for _, said := range ranked {
			if before, ok := lowest[said.ID]; !ok || said.Keep < before {
				lowest[said.ID] = said.Keep
			}
		}
		var seen []CopyID
		for i, g := range got {
			seen = append(seen, g.ID)
			keep, said := lowest[g.ID]
			if said && g.Keep != keep || !said && g.Keep != Unranked {
				t.Fatalf("copy %d at %d, lowest said %d", g.ID, g.Keep, keep)
			}
			if i > 0 && got[i-1].Keep > g.Keep {
				t.Fatalf("%v is not in order", got)
			}
		}
		slices.Sort(seen)
		if len(slices.Compact(seen)) != len(copies) || len(got) != len(copies) {
			t.Fatalf("%d copies, %d arranged", len(copies), len(got))
		}
	})
}
