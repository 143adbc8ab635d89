//go:build wasip1

// Command guest exercises the Go runtime within WebAssembly: maps, goroutines, garbage collection, formatting.
package main

import (
	"fmt"
	"hash/crc32"
	"runtime"
	"sort"
	"strings"
)

func main() {}

// work returns a checksum of text made from n words.
//
//go:wasmexport work
func work(n int32) int32 {
	defer runtime.Gosched()
	words := map[string]int{}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for i := range n {
			lines <- fmt.Sprintf("%d %x %.3f", i, i*i, float64(i)/7)
		}
	}()
	for line := range lines {
		for _, w := range strings.Fields(line) {
			words[w] += len(w)
		}
	}
	names := make([]string, 0, len(words))
	for w := range words {
		names = append(names, w)
	}
	sort.Strings(names)
	return int32(crc32.ChecksumIEEE([]byte(strings.Join(names, ","))))
}
