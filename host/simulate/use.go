package simulate

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
)

// As in package mesh.
const (
	sampleEvery  = 100 * time.Millisecond
	smoothing    = 500 * time.Millisecond
	busyEvery    = 250 * time.Millisecond
	calmEvery    = time.Second
	sameEvery    = 10 * time.Second
	historyEvery = 250 * time.Millisecond
	negligible   = 0.005
)

// As in package lifecycle: a copy used for so long, without a pause of more than so long, is in steady use.
const (
	steadyAfter = 7 * time.Minute
	steadyPause = 2 * time.Minute
)

// meter follows how many requests are at each copy of a host, smoothed, as package mesh does.
type meter struct {
	watched time.Duration
	// calm: no request has come to any copy since the last sample, and there is nothing to tell. It spares most samples.
	calm bool
}

// gauge is one copy.
type gauge struct {
	concurrency float64
	at          time.Duration
	watched     bool
	// steadyFrom is since when it has been used without a long pause.
	steadyFrom time.Time
	used       time.Time

	told        uint32
	toldSteady  bool
	toldAt      time.Duration
	toldArbiter string
}

// sample takes one sample of every copy, and tells their arbiters what they should know.
func (m *mesh) sample() {
	h := m.host
	now := h.world.clock.now
	watch := now-m.meter.watched >= calmEvery
	if watch {
		m.meter.watched = now
	} else if m.meter.calm {
		return
	}
	m.meter.calm = true
	told := map[string][]arbiter.Use{}
	for _, found := range h.exec.inOrder {
		g := &found.gauge
		requests := found.inside + len(found.queue)
		if requests == 0 && g.concurrency == 0 && g.told == 0 && !watch && !g.watched {
			continue
		}
		if g.concurrency == 0 {
			// It was not looked at while it was calm. The first sample starts the average from none, as there.
			g.at = max(g.at, now-sampleEvery)
		}
		g.sample(now, requests)
		m.meter.calm = m.meter.calm && requests == 0 && g.concurrency == 0 && g.told == 0 && !g.watched
		steady := g.steady(h.now(), found.Copy)
		if watch {
			g.watched = steady || (meshAsSeen{h}).CopiesElsewhere(found.model.key) > 0
		}
		target := uint32(1000 * copyConcurrency)
		if found.limit > 0 {
			target = min(target, uint32(1000*found.limit))
		}
		if !g.watched && g.milli() <= target && g.told <= target {
			continue
		}
		to := m.arbiterOf(found.model.key)
		if to == "" || !g.due(now, target, steady, to) {
			continue
		}
		g.told, g.toldSteady, g.toldAt, g.toldArbiter = g.milli(), steady, now, to
		told[to] = append(told[to], arbiter.Use{
			Key: found.model.key, ConcurrencyMilli: g.milli(), TargetMilli: target, Steady: steady,
		})
	}
	for _, to := range slices.Sorted(maps.Keys(told)) {
		uses := told[to]
		m.report(to, func(target *host) { target.mesh.step(arbiter.UseReported{Host: h.spec.Name, Uses: uses}) }, func(bool) {})
	}
}

func (g *gauge) sample(now time.Duration, requests int) {
	kept := math.Exp(-float64(now-g.at) / float64(smoothing))
	g.concurrency = g.concurrency*kept + float64(requests)*(1-kept)
	if g.concurrency < negligible {
		g.concurrency = 0
	}
	g.at = now
}

func (g *gauge) milli() uint32 { return uint32(min(g.concurrency*1000+0.5, math.MaxUint32)) }

func (g *gauge) steady(now time.Time, on *modelcache.Copy) bool {
	used := on.LastUsed()
	if on.InFlight() > 0 {
		used = now
	}
	switch {
	case now.Sub(used) > steadyPause:
		g.steadyFrom = time.Time{}
	case g.steadyFrom.IsZero() && used.After(g.used):
		g.steadyFrom = used
	}
	g.used = used
	return !g.steadyFrom.IsZero() && now.Sub(g.steadyFrom) >= steadyAfter
}

func (g *gauge) due(now time.Duration, target uint32, steady bool, arbiter string) bool {
	since := now - g.toldAt
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

// report calls an arbiter, this host included; arrived hears whether it got there.
func (m *mesh) report(to string, take func(*host), arrived func(bool)) {
	m.toHost(to, time.Second, func(target *host) any {
		if target.spec.Gateway || !target.peers.arbiter {
			return false
		}
		take(target)
		return true
	}, func(answer any, _ error) {
		taken, _ := answer.(bool)
		arrived(taken)
	})
}

// history is what a host has to say of models beyond their copies, and with which arbiter it is kept.
type history struct {
	kept    map[uint64]*kept
	pending bool
}

type kept struct {
	usage machine.Remember
	to    string
}

func (m *mesh) remember(r machine.Remember) {
	m.history.kept[r.Key] = &kept{usage: r}
	m.history.pending = true
}

// tellHistory tells arbiters what they do not have.
func (m *mesh) tellHistory() {
	if !m.history.pending {
		return
	}
	m.history.pending = false
	news := map[string][]*kept{}
	for _, key := range slices.Sorted(maps.Keys(m.history.kept)) {
		k := m.history.kept[key]
		if to := m.arbiterOf(key); to != "" && to != k.to {
			news[to] = append(news[to], k)
		}
	}
	for _, to := range slices.Sorted(maps.Keys(news)) {
		all := news[to]
		usage := make([]machine.Remember, len(all))
		for i, k := range all {
			usage[i] = k.usage
		}
		m.report(to, func(target *host) { target.mesh.remembered(m.host.spec.Name, usage) }, func(arrived bool) {
			for _, k := range all {
				if arrived {
					k.to = to
				}
			}
			m.history.pending = m.history.pending || !arrived
		})
	}
}

// remembered takes in what another host remembers.
func (m *mesh) remembered(from string, usage []machine.Remember) {
	event := arbiter.Remembered{Host: from}
	for _, r := range usage {
		event.Usage = append(event.Usage, arbiter.Usage{
			Key: r.Key, Record: r.Usage, LastUsed: r.LastUsed, LoadCost: r.LoadCost, Size: r.Size[modelcache.HostMemory], Evicted: r.Evicted,
		})
	}
	m.step(event)
	if from != m.host.spec.Name {
		m.host.exec.step(machine.Remembered{Models: usage})
	}
}
