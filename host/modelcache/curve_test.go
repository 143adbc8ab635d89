package modelcache

import (
	"math"
	"testing"
)

func TestReclaim(t *testing.T) {
	capacity := memory(160) // Points at 10, 20, 40, 80.
	copyOf := func(id CopyID, size int64) Candidate {
		return Candidate{CopyInfo: CopyInfo{ID: id, Size: memory(size)}}
	}
	plain := []Candidate{copyOf(1, 20), copyOf(2, 20), copyOf(3, 40), copyOf(4, 80)}
	barred := []Candidate{copyOf(1, 20), copyOf(2, 20), copyOf(3, 40), copyOf(4, 80)}
	barred[0].Keep.Pinned = true
	barred[1].Loading = true
	barred[2].InFlight = 3
	tests := []struct {
		name   string
		copies []Candidate
		ranked []Ranked
		want   Curve
	}{
		{"the lowest first", plain, []Ranked{{ID: 4, Keep: 100}, {ID: 2, Keep: 50}, {ID: 1, Keep: 30}, {ID: 3, Keep: 70}}, Curve{15, 30, 80, 150}},
		{"values below nothing are nothing", plain, []Ranked{{ID: 1, Keep: -9}, {ID: 2, Keep: 10}, {ID: 3, Keep: 10}, {ID: 4, Keep: 10}}, Curve{0, 0, 10, 20}},
		{"one may be all", plain, []Ranked{{ID: 4, Keep: 8}}, Curve{1, 2, 4, 8}},
		{"when they do not suffice it is all", plain, []Ranked{{ID: 1, Keep: 8}}, Curve{4, 8, 8, 8}},
		{"said twice", plain, []Ranked{{ID: 1, Keep: 10}, {ID: 1, Keep: 10}, {ID: 1, Keep: 10}, {ID: 3, Keep: 100}}, Curve{5, 10, 60, 110}},
		{"pinned and loading do not count, busy does", barred, []Ranked{{ID: 1}, {ID: 2}, {ID: 3, Keep: 40}, {ID: 4, Keep: 50}}, Curve{10, 20, 40, 65}},
		{"nothing here", nil, []Ranked{{ID: 9, Keep: 5}}, Curve{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Reclaim(Ranking{Capacity: capacity, Copies: test.copies}, test.ranked); got != test.want {
				t.Errorf("curve %v, want %v", got, test.want)
			}
		})
	}
}

func TestReclaimDoesNotWrap(t *testing.T) {
	const size = 1 << 60
	copies := []Candidate{{CopyInfo: CopyInfo{ID: 1, Size: memory(size)}}}
	got := Reclaim(Ranking{Capacity: memory(size), Copies: copies}, []Ranked{{ID: 1, Keep: math.MaxInt32}})
	if want := (Curve{math.MaxInt64 / 16, math.MaxInt64 / 8, math.MaxInt64 / 4, math.MaxInt64 / 2}); got != want {
		t.Errorf("curve %v, want %v", got, want)
	}
}
