package modelcache

import "testing"

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
		{"the lowest first", plain, []Ranked{{ID: 4, Keep: 100}, {ID: 2, Keep: 5}, {ID: 1, Keep: 3}, {ID: 3, Keep: 7}}, Curve{3, 3, 8, 15}},
		{"values below nothing are nothing", plain, []Ranked{{ID: 1, Keep: -9}, {ID: 2, Keep: 1}, {ID: 3, Keep: 1}, {ID: 4, Keep: 1}}, Curve{0, 0, 1, 2}},
		{"one may be all", plain, []Ranked{{ID: 4, Keep: 1}}, Curve{1, 1, 1, 1}},
		{"said twice", plain, []Ranked{{ID: 1, Keep: 1}, {ID: 1, Keep: 1}, {ID: 1, Keep: 1}, {ID: 3, Keep: 10}}, Curve{1, 1, 11, 11}},
		{"pinned and loading do not count, busy does", barred, []Ranked{{ID: 1}, {ID: 2}, {ID: 3, Keep: 4}, {ID: 4, Keep: 5}}, Curve{4, 4, 4, 9}},
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
