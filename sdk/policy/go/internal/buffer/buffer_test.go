package buffer

import (
	"testing"
	"unsafe"
)

func TestReserve(t *testing.T) {
	for _, size := range []int32{0, 1, 100, minSize, minSize + 1, 5 << 20, 3} {
		at := Reserve(size)
		if at == 0 || at%align != 0 {
			t.Fatalf("%d bytes at %#x, want a multiple of %d", size, at, align)
		}
		b := Bytes(size)
		if len(b) != int(size) || size > 0 && uintptr(unsafe.Pointer(&b[0])) != at {
			t.Errorf("%d bytes were reserved at %#x, and %d are elsewhere", size, at, len(b))
		}
	}
	at := Reserve(8)
	if again := Reserve(16); again != at {
		t.Errorf("moved from %#x to %#x with room to spare", at, again)
	}
}

func TestReserveRefuses(t *testing.T) {
	for _, size := range []int32{-1, -1 << 31, maxSize + 1} {
		if at := Reserve(size); at != 0 {
			t.Errorf("%d bytes at %#x, want none", size, at)
		}
	}
	Reserve(100)
	for _, length := range []int32{-1, 1 << 30} {
		if b := Bytes(length); b != nil {
			t.Errorf("%d bytes of 100", len(b))
		}
	}
}
