// Package buffer owns the memory of a module that the host writes requests into. The exports of the packages above call it.
package buffer

import "unsafe"

const (
	align = 16
	// maxSize bounds one request; a host asks for a few MiB at most.
	maxSize = 64 << 20
	// minSize spares small modules the first growths.
	minSize = 64 << 10
)

var (
	memory []byte
	start  int // of the first multiple of align
)

// Reserve returns the address of at least size bytes, valid until the next Reserve; 0 refuses.
func Reserve(size int32) uintptr {
	if size < 0 || size > maxSize {
		return 0
	}
	if memory == nil || int(size) > len(memory)-start {
		grown := minSize
		for grown < int(size) {
			grown *= 2
		}
		memory = nil // Nobody needs what was in it.
		memory = make([]byte, grown+align)
		start = int(-uintptr(unsafe.Pointer(unsafe.SliceData(memory))) % align)
	}
	return uintptr(unsafe.Pointer(unsafe.SliceData(memory))) + uintptr(start)
}

// Bytes is what the host wrote there, no more than was reserved.
//
// Whoever exports a function that gets bytes calls runtime.Gosched before it returns: a module of Go's has one thread, and
// its garbage collector works between goroutines. Without it, large allocations in each call exhaust the memory.
func Bytes(length int32) []byte {
	if length < 0 || int(length) > len(memory)-start {
		return nil
	}
	end := start + int(length)
	return memory[start:end:end]
}
