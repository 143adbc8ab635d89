package eviction

import (
	"fmt"
	"time"
)

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
		h.Pass(TimeOf(r))
		if !h.Holds(r.Model) {
			if _, err := h.Load(i, r.Model); err != nil {
				return h.result, fmt.Errorf("replay request %d at %v: %w", i, r.At, err)
			}
		}
		h.Use(r.Model)
	}
	return h.result, nil
}
