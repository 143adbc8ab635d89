package arbiter

import (
	"cmp"
	"fmt"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
)

// surplus is since when a model has had more copies than it needs, and how many it needed at most meanwhile.
type surplus struct {
	since time.Time
	keep  int
}

// release is a copy that is being given up.
type release struct {
	id       ReleaseID
	host     string
	deadline time.Time
	// done: the host has let go of it, and residency is to follow.
	done bool
}

// shed gives up copies that have not been needed for a while, one after the other: those of models that are less used
// than they were, and those that were loaded twice because two arbiters could not see each other.
func (m *Machine) shed(mo *model, c census, keep int) {
	s := &mo.surplus
	switch {
	case len(c.held) <= keep:
		*s = surplus{}
		return
	case s.since.IsZero():
		m.count.Surplus++
		*s = surplus{since: m.step.now, keep: keep}
	default:
		s.keep = max(s.keep, keep)
	}
	if until := s.since.Add(m.config.ScaleDownAfter); until.After(m.step.now) {
		mo.wake(until)
		return
	}
	if len(c.held) <= s.keep { // It needed them in between.
		*s = surplus{since: m.step.now, keep: keep}
		mo.wake(m.step.now.Add(m.config.ScaleDownAfter))
		return
	}
	if mo.release != nil || mo.decision != nil || c.loaded <= s.keep {
		return // What is under way ends in a look at the model.
	}
	m.giveUp(mo, c, s.keep)
}

// giveUp has one copy go.
func (m *Machine) giveUp(mo *model, c census, keep int) {
	h := m.leastNeeded(mo, c)
	m.given.release++
	mo.release = &release{id: m.given.release, host: h.host.ID, deadline: m.step.now.Add(GrantTTL)}
	m.releases[m.given.release] = mo
	mo.wake(mo.release.deadline)
	m.emit(Release{
		ID: mo.release.id, Host: h.host.ID, Model: mo.id, Key: mo.key,
		Why: fmt.Sprintf("model %s has %d copies; %d have been enough for %v", mo.id, len(c.held), keep, m.config.ScaleDownAfter),
	})
}

// leastNeeded is the loaded copy to give up. It goes by what all hosts know alike, so that two arbiters would give up the
// same: one whose zone has another, then the one on the runtime preferred less, then the one unused for longest, then the
// one on the fullest host.
func (m *Machine) leastNeeded(mo *model, c census) *holding {
	var least *holding
	for i := range c.held {
		h := &c.held[i]
		if h.state == residency.Loaded && (least == nil || m.compare(mo, c, h, least) < 0) {
			least = h
		}
	}
	return least
}

func (m *Machine) compare(mo *model, c census, a, b *holding) int {
	alone := func(h *holding) int {
		for i := range c.held {
			if o := &c.held[i]; o.host != h.host && o.host.Zone == h.host.Zone {
				return 0
			}
		}
		return 1
	}
	preference := func(h *holding) int {
		for i, runtime := range mo.runtimes() {
			if runtime == h.host.Runtime {
				return -i
			}
		}
		return -len(mo.runtimes())
	}
	free := func(h *holding) float64 {
		f := m.figures(h.host)
		return float64(f.Free[modelcache.HostMemory]) / float64(max(f.Capacity[modelcache.HostMemory], 1))
	}
	return cmp.Or(
		cmp.Compare(alone(a), alone(b)), cmp.Compare(preference(a), preference(b)), cmp.Compare(a.used, b.used),
		cmp.Compare(free(a), free(b)), cmp.Compare(a.host.ID, b.host.ID),
	)
}

// released takes a host's answer. A copy that stays was needed: it is looked at again after the same while.
func (m *Machine) released(event Released) {
	mo := m.releases[event.ID]
	if mo == nil {
		return
	}
	delete(m.releases, event.ID)
	if event.Released {
		m.count.Released++
		mo.release.done = true
		mo.release.deadline = m.step.now.Add(GrantTTL)
	} else {
		mo.release = nil
		mo.surplus = surplus{}
	}
	m.settle(mo)
}

// endRelease counts the copy again, if it is there still.
func (m *Machine) endRelease(mo *model) {
	if !mo.release.done {
		delete(m.releases, mo.release.id)
		mo.surplus = surplus{}
	}
	mo.release = nil
}
