package arbiter

import (
	"time"
)

// use is the last report on one copy.
type use struct {
	host                string
	at                  time.Time
	concurrency, target uint64 // In thousandths.
	steady              bool
}

// useReported takes in how copies are used, of models that are this arbiter's.
func (m *Machine) useReported(event UseReported) {
	if h := m.step.view.Find(event.Host); h == nil || !h.Live {
		return
	}
	for _, u := range event.Uses {
		mo := m.models[u.Key]
		if mo == nil || u.TargetMilli == 0 || !m.home(mo) {
			continue
		}
		mo.report(use{
			host: event.Host, at: m.step.now, concurrency: uint64(u.ConcurrencyMilli), target: uint64(u.TargetMilli), steady: u.Steady,
		})
		m.check(mo)
	}
}

func (mo *model) report(u use) {
	for i := range mo.uses {
		if mo.uses[i].host == u.host {
			mo.uses[i] = u
			return
		}
	}
	mo.uses = append(mo.uses, u)
}

// traffic is what the copies of a model have to do together.
type traffic struct {
	// needed are the copies that would do it, each at its target; comfortable are those that would with a fifth to spare, so
	// that a copy that goes is not missed at once.
	needed, comfortable int
	steady              bool
}

// traffic sums up what the hosts with copies report. Copies may differ in their targets; it counts with the mean.
func (mo *model) traffic(c census) traffic {
	var t traffic
	var concurrency, target, copies uint64
	for _, u := range mo.uses {
		mo.wake(u.at.Add(useTTL))
		if c.on(u.host) == nil {
			continue // Its requests go to the others by now.
		}
		concurrency += u.concurrency
		target += u.target
		copies++
		t.steady = t.steady || u.steady
	}
	if copies > 0 {
		t.needed = int(ceil(concurrency*copies, target))
		t.comfortable = int(ceil(concurrency*copies*5, target*4))
	}
	return t
}

func ceil(n, by uint64) uint64 { return (n + by - 1) / by }
