package residency

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// TestReadersSeeWhatWasWritten: a host changes whole generations of entries while others read them. Readers never see a
// copy of a host that never had one, nor the size of one host on another.
func TestReadersSeeWhatWasWritten(t *testing.T) {
	const keys, hosts = 300, 4
	table := NewTable()
	done := make(chan struct{})
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(r), 0))
			var copies []Copy
			for {
				select {
				case <-done:
					return
				default:
				}
				copies = table.Copies(random.Uint64N(keys), copies[:0])
				for i, c := range copies {
					if c.Size != int64(c.Host[0]-'a'+1)*SizeUnit {
						t.Errorf("host %s has a copy of %d bytes", c.Host, c.Size)
					}
					if i > 0 && copies[i-1].Host >= c.Host {
						t.Errorf("copies out of order: %v", copies)
					}
				}
				if n := table.Len(); n < 0 || n > keys*hosts {
					t.Errorf("%d entries", n)
				}
				for e := range table.Entries("b") {
					if e.Size != 2*SizeUnit {
						t.Errorf("b has an entry of %d bytes", e.Size)
					}
				}
			}
		})
	}
	write(t, table, keys, hosts)
	close(done)
	readers.Wait()
}

func write(t *testing.T, table *Table, keys uint64, hosts int) {
	random := rand.New(rand.NewPCG(9, 9))
	logs := make([]*Log, hosts)
	for i := range logs {
		logs[i] = NewLog(32)
	}
	for round := range 400 {
		i := random.IntN(hosts)
		host := string(rune('a' + i))
		after := logs[i].Stamp().Sequence
		for range random.IntN(60) {
			logs[i].Set(Entry{Key: random.Uint64N(keys), State: State(random.IntN(6)), Size: int64(i+1) * SizeUnit})
		}
		entries, stamp, ok := logs[i].Since(after)
		if ok {
			if _, err := table.Advance(host, 1, after, entries, stamp); err == nil {
				continue
			}
		}
		if round%7 == 0 {
			table.Drop(host)
			continue
		}
		replace(t, table, host, 1, logs[i])
	}
}
