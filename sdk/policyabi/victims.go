package policyabi

import (
	"cmp"
	"slices"
)

// SortVictims puts answers in the order in which a host evicts: the lowest Keep first, of equal ones the least recently
// used, of those the older load, which has the lower id. copyOf answers both of a row.
func SortVictims(answers []EvictAnswer, copyOf func(row uint32) (lastUsedMs int64, copyID uint64)) {
	slices.SortFunc(answers, func(a, b EvictAnswer) int {
		usedA, idA := copyOf(a.Row)
		usedB, idB := copyOf(b.Row)
		return cmp.Or(cmp.Compare(a.Keep, b.Keep), cmp.Compare(usedA, usedB), cmp.Compare(idA, idB), cmp.Compare(a.Row, b.Row))
	})
}
