package mesh

import (
	"math"
	"time"
)

const (
	// sampleEvery is how often the requests at copies are counted.
	sampleEvery = 100 * time.Millisecond
	// smoothing is the time constant of the average that is told.
	smoothing = 500 * time.Millisecond
	// A copy is too busy when it has been above its target for busyFor, by an average of time constant busySmoothing in
	// which no sample counts for more than twice the target. So a step is told of 0.9 s after it came at the latest, and a
	// burst of any height only if it lasts for half a second.
	busySmoothing = 250 * time.Millisecond
	busyFor       = 500 * time.Millisecond
	// settling is how long a new copy has for the requests that waited for its load: they come all at once, and how busy it
	// is shows when they are through.
	settling = time.Second
	// busyEvery is how often a copy above its target is told of, and calmEvery another of which somebody should know.
	busyEvery = 250 * time.Millisecond
	calmEvery = time.Second
	// sameEvery is how often one is told of whose use has not changed. The arbiter forgets use that it does not hear of.
	sameEvery = 2 * time.Second
	// negligible is a concurrency that counts as none.
	negligible = 0.005
)

// meter follows how many requests are at each copy here, smoothed. It takes no clock; one goroutine uses it. Its size is
// bounded by the copies that are loaded.
type meter struct {
	copies map[uint64]*gauge
	// round tells gauges of copies that are still there from others.
	round uint64
}

// reading is one sample of a copy.
type reading struct {
	key uint64
	// requests in it and waiting for it; target is how many there should be at most.
	requests, target int
	loadedAt         time.Time
}

// gauge is one copy.
type gauge struct {
	target float64
	// concurrency is the average that is told; busy the one that says whether the copy is too busy, which it has been since
	// above, zero for not.
	concurrency, busy float64
	above             time.Time
	at                time.Time
	round             uint64
	// watched: the arbiter is to know of it whatever it does, for there are other copies, or a second is worth having.
	watched bool
	// told is what was last said of it, when, and to whom.
	told        uint32
	toldSteady  bool
	toldAt      time.Time
	toldArbiter string
}

func newMeter() *meter { return &meter{copies: make(map[uint64]*gauge)} }

// begin starts a round of samples; end forgets the copies that had none in it.
func (m *meter) begin() { m.round++ }

func (m *meter) end() {
	for key, g := range m.copies {
		if g.round != m.round {
			delete(m.copies, key)
		}
	}
}

// sample takes in a reading.
func (m *meter) sample(now time.Time, r reading) *gauge {
	g := m.copies[r.key]
	if g == nil {
		g = &gauge{at: now}
		m.copies[r.key] = g
	}
	g.round, g.target = m.round, float64(r.target)
	requests := float64(r.requests)
	if now.Sub(r.loadedAt) < settling {
		requests = min(requests, g.target)
	}
	since := now.Sub(g.at)
	g.concurrency = blend(g.concurrency, requests, since, smoothing)
	g.busy = blend(g.busy, min(requests, 2*g.target), since, busySmoothing)
	if g.concurrency < negligible {
		g.concurrency = 0
	}
	switch {
	case g.busy <= g.target:
		g.above = time.Time{}
	case g.above.IsZero():
		g.above = now
	}
	g.at = now
	return g
}

// blend is an average after so long of another value.
func blend(average, value float64, since, constant time.Duration) float64 {
	kept := math.Exp(-float64(max(since, 0)) / float64(constant))
	return average*kept + value*(1-kept)
}

// tooBusy reports whether the copy stays above its target.
func (g *gauge) tooBusy() bool { return !g.above.IsZero() && g.at.Sub(g.above) >= busyFor }

// milli is the average as it is told, in thousandths: above the target only when the copy stays there.
func (g *gauge) milli() uint32 {
	concurrency := g.concurrency
	if !g.tooBusy() {
		concurrency = min(concurrency, g.target)
	}
	return uint32(min(concurrency*1000+0.5, math.MaxUint32))
}

// quiet reports whether there is nothing to tell of the copy, whoever its arbiter is.
func (g *gauge) quiet() bool {
	target := g.targetMilli()
	return !g.watched && g.milli() <= target && g.told <= target
}

func (g *gauge) targetMilli() uint32 { return uint32(min(g.target*1000, math.MaxUint32)) }

// due reports whether the copy is to be told of now.
func (g *gauge) due(now time.Time, steady bool, arbiter string) bool {
	since, target := now.Sub(g.toldAt), g.targetMilli()
	switch milli := g.milli(); {
	case milli > target:
		return since >= busyEvery || g.told <= target
	case g.told > target || arbiter != g.toldArbiter && g.watched:
		return since >= busyEvery
	case !g.watched:
		return false
	case milli != g.told || steady != g.toldSteady:
		return since >= calmEvery
	default:
		return since >= sameEvery
	}
}

// tell notes that it has been.
func (g *gauge) tell(now time.Time, steady bool, arbiter string) {
	g.told, g.toldSteady, g.toldAt, g.toldArbiter = g.milli(), steady, now, arbiter
}
