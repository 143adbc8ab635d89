package place

import (
	"encoding/binary"
	"os"
	"testing"
	"unsafe"

	policy "github.com/wasmesh/wasmesh/sdk/policy/go"
)

func vector(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("../../../policyabi/testdata/place.bin")
	if err != nil {
		t.Fatal(err)
	}
	words := make([]uint64, len(b)/8)
	to := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(b))
	copy(to, b)
	return to
}

// TestCall is what the export does.
func TestCall(t *testing.T) {
	if n := call(vector(t)); n != 0 {
		t.Errorf("without a function it returned %d, not that it abstains", n)
	}
	Handle(func(r Request, a *Answers) { a.Add(r.Len()-1, -5, ReasonWarming) })
	defer Handle(nil)
	for range 2 { // Nothing is left of the call before.
		b := vector(t)
		if n := call(b); n != 16 {
			t.Errorf("returned %d, want 16", n)
		}
		answer := b[binary.LittleEndian.Uint32(b[72:]):]
		if row, score, reason := answer[0], int8(answer[4]), policy.Reason(answer[8]); row != 2 || score != -5 || reason != ReasonWarming {
			t.Errorf("answered row %d, score %d, reason %v", row, score, reason)
		}
	}
	old := vector(t)
	old[4] = 9
	if n := call(old); n != -int32(policy.CallErrorVersion) {
		t.Errorf("returned %d for another major version, want %d", n, -int32(policy.CallErrorVersion))
	}
}
