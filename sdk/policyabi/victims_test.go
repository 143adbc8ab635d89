package policyabi

import (
	"slices"
	"testing"
)

func TestSortVictims(t *testing.T) {
	used, ids := []int64{30, 10, 20, 10, 10}, []uint64{1, 9, 3, 4, 4}
	answers := []EvictAnswer{{Row: 0, Keep: 5}, {Row: 4, Keep: 5}, {Row: 3, Keep: 5}, {Row: 2, Keep: -1}, {Row: 1, Keep: 5}}
	SortVictims(answers, func(row uint32) (int64, uint64) { return used[row], ids[row] })
	var rows []uint32
	for _, a := range answers {
		rows = append(rows, a.Row)
	}
	if want := []uint32{2, 3, 4, 1, 0}; !slices.Equal(rows, want) {
		t.Errorf("victims %v, want %v", rows, want)
	}
}
