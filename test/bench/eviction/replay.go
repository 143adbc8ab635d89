package eviction

import (
	"fmt"
	"time"
)

// epoch is the start of every trace.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Time is when the request comes, in the time of Hosts.
func (r Request) Time() time.Time { return epoch.Add(r.At) }

// Result is what a replay cost.
type Result struct {
	// Loading is the time of all loads, of which there were so many.
	Loading time.Duration
	Loads   int
	// Rankings were asked for, and so many copies were evicted.
	Rankings, Evictions int
}

// Replay serves the trace from so many bytes of memory. A model that is larger is loaded for each request and never stays.
func Replay(t *Trace, capacity int64, rank Ranker) (Result, error) {
	h := NewHost(t, capacity, rank)
	for i, r := range t.Requests {
		h.Pass(r.Time())
		if !h.Holds(r.Model) {
			if _, err := h.Load(i, r.Model); err != nil {
				return h.result, fmt.Errorf("replay request %d at %v: %w", i, r.At, err)
			}
		}
		h.Use(r.Model)
	}
	return h.result, nil
}
