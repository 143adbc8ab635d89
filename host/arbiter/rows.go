package arbiter

import (
	"math"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/placement"
)

// need is the memory that a copy is expected to take.
type need struct {
	memory modelcache.Resources
	// declared: by the owner. known: by the owner, or because it was loaded before; else it is a guess.
	declared, known bool
}

// need is what is declared, else what the model took when it was last loaded, else what it takes where it is loaded.
func (m *Machine) need(mo *model, c census) need {
	hint := mo.row.GetSizeHint()
	signed := func(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
	n := need{memory: modelcache.Resources{
		modelcache.HostMemory: signed(hint.GetHostMemoryBytes()), modelcache.DeviceMemory: signed(hint.GetDeviceMemoryBytes()),
		modelcache.Slots: signed(hint.GetSlots()),
	}}
	past, _ := m.history.Peek(mo.key)
	switch bytes := &n.memory[modelcache.HostMemory]; {
	case *bytes > 0:
		n.declared, n.known = true, true
	case past.Size > 0:
		*bytes, n.known = past.Size, true
	case c.size > 0:
		*bytes, n.known = c.size, true
	default:
		*bytes = m.usualCopy(mo)
	}
	return n
}

// usualCopy is a guess of what a copy takes, in bytes: the mean copy of the host in the middle; 0 while there is none. One
// host cannot make it absurd, whatever it says, and a guess rules out no host: it is at most what the smallest one has.
func (m *Machine) usualCopy(mo *model) int64 {
	var means []int64
	smallest := int64(math.MaxInt64)
	all := m.step.view.All()
	for i := range all {
		h := &all[i]
		if !h.Live || h.Gateway {
			continue
		}
		f := m.figures(h)
		capacity := f.Capacity[modelcache.HostMemory]
		if used := capacity - f.Free[modelcache.HostMemory]; used > 0 && f.Copies > 0 {
			means = append(means, used/int64(f.Copies))
		}
		if capacity > 0 && h.Eligible(mo.runtimes()) {
			smallest = min(smallest, capacity)
		}
	}
	if len(means) == 0 {
		return 0
	}
	slices.Sort(means)
	return min(means[(len(means)-1)/2], smallest)
}

// modelOf is the model as the place hook sees it.
func (m *Machine) modelOf(mo *model, d *decision, c census) placement.Model {
	knobs := mo.row.GetKnobs()
	past, _ := m.history.Peek(mo.key)
	var usage modelcache.Usage
	usage.Merge(m.step.now, past.Record)
	rate, recent := usage.Rates(m.step.now)
	last := past.LastUsed
	if c.used.After(last) {
		last = c.used
	}
	last = m.atLatestNow(last)
	return placement.Model{
		ID: mo.id, Key: mo.key, Need: d.need.memory, Declared: d.need.declared,
		Keep: modelcache.Keep{Pinned: knobs.GetPinned(), Priority: knobs.GetPriority()}, LastUsed: last,
		Rate: rate, RateRecent: recent, LoadCost: past.LoadCost, Purpose: d.purpose, Asker: d.asker,
	}
}

// rows are the live hosts that have a runtime for the model. strict leaves out those that had better not take it while
// there are others; soft says whether that made a difference.
func (m *Machine) rows(mo *model, d *decision, c census, strict bool) (rows []placement.Host, soft bool) {
	all := m.step.view.All()
	rows = make([]placement.Host, 0, len(all))
	for i := range all {
		member := &all[i]
		if !member.Eligible(mo.runtimes()) {
			continue
		}
		row := m.row(member, mo)
		row.HasCopy = c.on(member.ID) != nil || member.ID == c.leaving
		row.Excluded = !d.accepts(member.ID) || d.out(member.ID) || c.failureOn(member.ID) != nil ||
			d.want == wantSecond && !hasReserve(row, d.need.memory) || d.want != wantNone && !placement.Waits(d.purpose) && m.isFull(member)
		if strict && !row.Excluded && !row.HasCopy && !row.Draining && m.reluctant(member, row, d, c) {
			row.Excluded, soft = true, true
		}
		rows = append(rows, row)
	}
	return rows, soft
}

// isFull reports whether the host refused a load that nobody waits for a moment ago.
func (m *Machine) isFull(member *members.Member) bool {
	return m.hosts.of(member).full.After(m.step.now)
}

// row is a member with the newest figures, and all that it was asked to do taken as done.
func (m *Machine) row(member *members.Member, mo *model) placement.Host {
	free, loads := m.believed(member)
	row := placement.FromMember(member, m.figures(member), mo.runtimes())
	row.Free, row.Oldest, row.Started = free, m.atLatestNow(row.Oldest), m.atLatestNow(row.Started)
	row.LoadsQueued += loads
	return row
}

// atLatestNow is a time by another host's clock, which may be ahead.
func (m *Machine) atLatestNow(t time.Time) time.Time {
	if t.After(m.step.now) {
		return m.step.now
	}
	return t
}

// hasReserve reports whether enough stays free for requests that miss.
func hasReserve(row placement.Host, need modelcache.Resources) bool {
	left := row.Free.Minus(counted(need, row.Capacity))
	for d := range left {
		if left[d] < row.Capacity[d]/steadyReserve {
			return false
		}
	}
	return true
}

// reluctant reports whether the host should take the model only if no other does: it gave no answer a moment ago, its
// runtime is not ready, it has just come and has its share of loads, or its zone has the copy that this one is to stand
// in for.
func (m *Machine) reluctant(member *members.Member, row placement.Host, d *decision, c census) bool {
	if m.step.now.Before(m.hosts.of(member).distrust) || !member.RuntimeReady {
		return true
	}
	if member.Warming && !placement.Waits(d.purpose) && m.settled() && row.LoadsQueued+row.LoadsRunning >= warmingLoads {
		return true
	}
	return d.want == wantSecond && c.inZone(member.Zone)
}

// settled reports whether some host of the View is beyond its beginnings. While none is, a joining host has no others to keep
// pace with.
func (m *Machine) settled() bool {
	return slices.ContainsFunc(m.step.view.All(), func(h members.Member) bool {
		return h.Live && !h.Gateway && !h.Draining && !h.Warming
	})
}

// inZone reports whether there is a copy in this zone; a host without zone is in none.
func (c *census) inZone(zone string) bool {
	for i := range c.held {
		if zone != "" && c.held[i].host.Zone == zone {
			return true
		}
	}
	return false
}
