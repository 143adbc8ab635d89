//go:build wasip1

// Command goguest is a policy as a Go compiler makes it, with the whole of Go's runtime: what it answers shows what a
// guest learns of the world. Tests build it.
package main

import (
	"encoding/binary"
	"os"
	"runtime"
	"time"
	"unsafe"
)

var buffer []byte

//go:wasmimport wasi_snapshot_preview1 random_get
func randomGet(address *byte, length uint32) uint32

//go:wasmexport mesh_abi
func abi() int32 { return 1 << 16 }

//go:wasmexport mesh_buf
func buf(size int32) int32 {
	if int(size) > len(buffer) {
		buffer = make([]byte, size+16)
	}
	address := uintptr(unsafe.Pointer(&buffer[0]))
	return int32((address + 15) &^ 15)
}

// The id of the decision says what to do.
//
//go:wasmexport mesh_place
func place(length int32) int32 {
	defer runtime.Gosched()
	address := uintptr(unsafe.Pointer(&buffer[0]))
	request := unsafe.Slice((*byte)(unsafe.Pointer((address+15)&^15)), length)
	answer := request[binary.LittleEndian.Uint32(request[72:]):]
	switch binary.LittleEndian.Uint64(request[24:]) {
	case 1: // The clock before and after an hour of sleep, random bytes, and in which order a map comes.
		binary.LittleEndian.PutUint64(answer, uint64(time.Now().UnixNano()))
		time.Sleep(time.Hour)
		binary.LittleEndian.PutUint64(answer[8:], uint64(time.Now().UnixNano()))
		randomGet(&answer[16], 16)
		n := 32
		for k := range map[byte]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: 8} {
			answer[n] = k
			n++
		}
		return int32(n)
	case 2:
		var none []int
		return int32(none[length])
	case 3:
		os.Exit(5)
	case 4:
		println("hello from the guest")
		return 0
	case 5: // Garbage.
		garbage := make([]byte, 64<<10)
		return int32(garbage[length] & 1)
	case 6:
		return -int32(len(os.Args) + len(os.Environ()) + 1)
	}
	return 0
}

func main() {}
