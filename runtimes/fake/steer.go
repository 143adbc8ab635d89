package fake

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Calls counts what the server was asked since its start.
type Calls struct {
	Loads, Unloads, Sizes, Statuses, Infers int
	// LoadsDone counts loads that ended with the model in memory.
	LoadsDone int
	// Bytes is the memory taken now, loads under way included; PeakBytes is the most there ever was.
	Bytes, PeakBytes int64
	// PeakLoading is the most loads there ever were under way at once, waiting ones not included.
	PeakLoading int
	// OverCapacity counts loads that were refused for want of memory: a host that keeps its ledger causes none.
	OverCapacity int
	// UnloadedInFlight counts unloads of a model that had requests in flight: a host that drains causes none.
	UnloadedInFlight int

	loading int
}

// steering is what a test in the same process has set.
type steering struct {
	failNext  []error
	loadDelay *time.Duration
	hold      chan struct{} // loads wait until it is closed
}

// Calls answers the counters.
func (s *Server) Calls() Calls {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Loaded answers the ids of the models in memory, sorted.
func (s *Server) Loaded() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := []string{}
	for id, m := range s.models {
		if m.loaded {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// LoadSpan answers when the load of a model in memory began and ended; ok is false when it is not in memory.
func (s *Server) LoadSpan(modelID string) (began, ended time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.models[modelID]
	if m == nil || !m.loaded {
		return time.Time{}, time.Time{}, false
	}
	return m.began, m.ended, true
}

// InFlight is how many requests are in the server.
func (s *Server) InFlight() (requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.models {
		requests += m.inFlight
	}
	return requests
}

// FailNextLoad makes one coming load fail with err, a gRPC status error; further calls queue further failures. The
// artifact is not looked at.
func (s *Server) FailNextLoad(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steer.failNext = append(s.steer.failNext, err)
}

// SetLoadDelay replaces Config.LoadDelay for loads that begin later.
func (s *Server) SetLoadDelay(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steer.loadDelay = &delay
}

// HoldLoads keeps loads from ending until release is called.
func (s *Server) HoldLoads() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hold := make(chan struct{})
	s.steer.hold = hold
	var once sync.Once
	return func() {
		once.Do(func() {
			s.mu.Lock()
			if s.steer.hold == hold {
				s.steer.hold = nil
			}
			s.mu.Unlock()
			close(hold)
		})
	}
}

// WaitLoading blocks until the model is being loaded or is loaded.
func (s *Server) WaitLoading(ctx context.Context, modelID string) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.models[modelID] == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.changed.Wait()
	}
	return nil
}
