package arbiter

import (
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
)

// remembered takes in what a host remembers. Each host counts the requests that came to its own copies and what it was
// told when it loaded them, so that records of several hosts overlap: they are merged, and merged again change nothing.
func (m *Machine) remembered(event Remembered) {
	for _, u := range event.Usage {
		past, _ := m.history.Get(u.Key)
		m.history.Add(u.Key, merge(m.step.now, past, u))
	}
}

// merge puts two records of one model together. What a load takes is of the later one that knows.
func merge(now time.Time, past, u Usage) Usage {
	var usage modelcache.Usage
	usage.Merge(now, past.Record)
	usage.Merge(now, u.Record)
	newer := !u.LastUsed.Before(past.LastUsed)
	merged := past
	merged.Key, merged.Record = u.Key, usage.Record()
	if newer {
		merged.LastUsed, merged.Evicted = u.LastUsed, u.Evicted
		if merged.LastUsed.After(now) { // By a clock that is ahead.
			merged.LastUsed = now
		}
	}
	if u.LoadCost > 0 && (newer || past.LoadCost <= 0) {
		merged.LoadCost = u.LoadCost
	}
	if u.Size > 0 && (newer || past.Size <= 0) {
		merged.Size = u.Size
	}
	return merged
}

// usageOf is what a host that is to load the model is told; nil for nothing.
func (m *Machine) usageOf(key uint64) *Usage {
	if u, ok := m.history.Get(key); ok {
		return &u
	}
	return nil
}
