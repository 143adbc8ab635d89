// Package policytest calls the functions of policies in ordinary Go tests: it makes requests as a host does, and refuses the
// answers that a host would refuse.
//
//	answers, err := policytest.Place(mostFree, &policytest.PlaceRequest{
//		Context: policytest.PlaceContext{NeedMemory: 1 << 30},
//		Rows:    []policytest.PlaceRow{{Name: "a", FreeMemory: 2 << 30}, {Name: "b", FreeMemory: 4 << 30}},
//	})
//
// How a module behaves under its limits is tested by `wasmesh policy test`.
package policytest

import (
	"fmt"
	"unsafe"
)

// aligned is size bytes that begin at a multiple of 8.
func aligned(size int) []byte {
	words := make([]uint64, (size+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), size)
}

// check is what a host checks of answers about rows. all: there has to be one about each.
func check(answered []uint32, rows int, all bool) error {
	seen := make(map[uint32]bool)
	for i, row := range answered {
		if int64(row) >= int64(rows) || seen[row] {
			return fmt.Errorf("answer %d is about row %d of %d, which does not exist or has an answer", i, row, rows)
		}
		seen[row] = true
	}
	if all && len(answered) > 0 && len(answered) < rows {
		return fmt.Errorf("%d answers about %d rows: each row needs one", len(answered), rows)
	}
	return nil
}
