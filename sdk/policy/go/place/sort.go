package place

import (
	"cmp"
	"encoding/binary"
	"slices"
	"unsafe"
)

// answerSize is that of one encoded Answer, scoreOffset where its Score lies.
const answerSize, scoreOffset = 16, 4

// Sort puts the hosts with the highest scores first, of equal ones the one that was added first: hosts are taken in the
// order of the answers, and scores are for people.
func (a *Answers) Sort() {
	if a.n == 0 {
		return
	}
	added := unsafe.Slice((*[answerSize]byte)(unsafe.Pointer(&a.response[0])), a.n/answerSize)
	slices.SortStableFunc(added, func(x, y [answerSize]byte) int { return cmp.Compare(score(y), score(x)) })
}

func score(answer [answerSize]byte) int32 {
	return int32(binary.LittleEndian.Uint32(answer[scoreOffset:]))
}
