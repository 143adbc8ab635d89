package simulate

import "time"

// start is the wall's time at virtual time 0. Machines are given times without a monotonic reading, so that a host's skew
// shows.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clock is virtual time, and what is to happen in it: the earliest first, and of one moment what was planned first.
type clock struct {
	now     time.Duration
	planned uint64
	// heap is ordered so that no event is before its parent (i-1)/2.
	heap []event
	// fired counts the events that have happened.
	fired int
}

type event struct {
	at    time.Duration
	order uint64
	fire  func()
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

// after plans something for later, or for this moment after everything that is planned for it.
func (c *clock) after(d time.Duration, fire func()) {
	c.planned++
	c.heap = append(c.heap, event{at: c.now + max(d, 0), order: c.planned, fire: fire})
	for i := len(c.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !c.heap[i].before(&c.heap[parent]) {
			return
		}
		c.heap[i], c.heap[parent] = c.heap[parent], c.heap[i]
		i = parent
	}
}

// next goes on to the earliest event and takes it out; false when nothing is planned until then.
func (c *clock) next(until time.Duration) (func(), bool) {
	if len(c.heap) == 0 || c.heap[0].at > until {
		c.now = max(c.now, until)
		return nil, false
	}
	first := c.heap[0]
	last := len(c.heap) - 1
	c.heap[0], c.heap[last] = c.heap[last], event{}
	c.heap = c.heap[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if c.heap[child].before(&c.heap[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		c.heap[i], c.heap[least] = c.heap[least], c.heap[i]
		i = least
	}
	c.now = first.at
	c.fired++
	return first.fire, true
}
