package mesh

import "sync"

// flightShards spreads requests over locks; a power of two.
const flightShards = 64

// flights counts the requests that this host has on their way to copies on peers. There is an entry for a copy only while
// one is, so its size is bounded by the requests in flight.
type flights struct {
	shards [flightShards]flightShard
}

type flightShard struct {
	mu sync.Mutex
	// counts by model and host; guarded by mu.
	counts map[flight]int
}

// flight is a copy.
type flight struct {
	key  uint64
	host string
}

func (f *flights) shard(key uint64) *flightShard { return &f.shards[key%flightShards] }

// begin counts a request; the caller ends it.
func (f *flights) begin(key uint64, host string) {
	s := f.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = make(map[flight]int)
	}
	s.counts[flight{key, host}]++
}

func (f *flights) end(key uint64, host string) {
	s := f.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[flight{key, host}]--; s.counts[flight{key, host}] <= 0 {
		delete(s.counts, flight{key, host})
	}
}

// of answers how many are on their way.
func (f *flights) of(key uint64, host string) int {
	s := f.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[flight{key, host}]
}
