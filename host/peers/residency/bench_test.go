package residency

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// The mesh of the benchmarks: 64 hosts of 20,000 copies each, on average two of each model.
const (
	benchHosts  = 64
	benchCopies = 20_000
	benchModels = benchHosts * benchCopies / 2
)

// fill answers the table, and the logs of the hosts, by number.
func fill(b *testing.B) (*Table, []*Log) {
	table, logs := NewTable(), make([]*Log, benchHosts)
	random := rand.New(rand.NewPCG(1, 2))
	for h := range logs {
		logs[h] = NewLog(1024)
		for logs[h].Len() < benchCopies {
			logs[h].Set(Entry{Key: mix(random.Uint64N(benchModels)), State: Loaded, Size: random.Int64N(1 << 32), Used: 5_900_000})
		}
		entries, stamp := logs[h].Snapshot()
		if _, err := table.Replace(benchHost(h), 1, entries, stamp); err != nil {
			b.Fatal(err)
		}
	}
	return table, logs
}

func benchHost(h int) string { return fmt.Sprintf("host-%02d", h) }

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkMemory(b *testing.B) {
	var table *Table
	var bytes uint64
	for b.Loop() {
		table = nil
		before := heap()
		table, _ = fill(b)
		bytes = heap() - before
	}
	b.ReportMetric(float64(bytes)/float64(table.Len()), "bytes_per_entry")
}

func BenchmarkCopies(b *testing.B) {
	table, _ := fill(b)
	var copies []Copy
	random := rand.New(rand.NewPCG(3, 4))
	b.ReportAllocs()
	for b.Loop() {
		copies = table.Copies(mix(random.Uint64N(benchModels)), copies[:0])
	}
}

func BenchmarkAdvance(b *testing.B) {
	table, logs := fill(b)
	random := rand.New(rand.NewPCG(5, 6))
	states := []State{Absent, Loading, Loaded, Draining}
	b.ReportAllocs()
	for b.Loop() {
		h := random.IntN(benchHosts)
		after := logs[h].Stamp().Sequence
		logs[h].Set(Entry{Key: mix(random.Uint64N(benchModels)), State: states[random.IntN(4)], Size: 1 << 20})
		entries, stamp, _ := logs[h].Since(after)
		if _, err := table.Advance(benchHost(h), 1, after, entries, stamp); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDropAndReplace(b *testing.B) {
	table, logs := fill(b)
	entries, stamp := logs[7].Snapshot()
	for b.Loop() {
		table.Drop(benchHost(7))
		if _, err := table.Replace(benchHost(7), 1, entries, stamp); err != nil {
			b.Fatal(err)
		}
	}
}
