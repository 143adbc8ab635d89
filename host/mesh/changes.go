package mesh

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

var _ machine.Mesh = (*Mesh)(nil)

// MembersChanged implements peers.Listener.
func (m *Mesh) MembersChanged(view *members.View) {
	m.arbiter.news.viewChanged()
	m.changes.freed(view)
	if gone, moved := m.changes.seen(view); moved {
		next := make(chan struct{})
		close(*m.moved.Swap(&next))
		for _, address := range gone {
			if m.forget != nil {
				m.forget(address)
			}
		}
		m.history.arbitersChanged()
	}
}

// CopiesChanged implements peers.Listener.
func (m *Mesh) CopiesChanged(keys []uint64) {
	m.arbiter.news.copiesChanged(keys)
	m.changes.copiesChanged(m, keys)
}

// Home implements machine.Mesh.
func (m *Mesh) Home(key uint64, runtimes []string) bool {
	return m.Synced() && m.peers.View().Home(key, runtimes)
}

// CopiesElsewhere implements machine.Mesh.
func (m *Mesh) CopiesElsewhere(key uint64) int {
	n := 0
	for _, c := range m.copiesElsewhere(key) {
		switch c.State {
		case residency.Queued, residency.Loading, residency.Loaded:
			n++
		}
	}
	return n
}

// copiesElsewhere are the copies on other hosts, in whatever state.
func (m *Mesh) copiesElsewhere(key uint64) []residency.Copy {
	var room [8]residency.Copy // most models have fewer copies
	copies := m.peers.Table().Copies(key, room[:0])
	return slices.DeleteFunc(copies, func(c residency.Copy) bool { return c.Host == m.config.HostID })
}

// Room implements machine.Mesh.
func (m *Mesh) Room(runtimes []string, need modelcache.Resources, keep modelcache.Keep, last time.Time) bool {
	all := m.peers.View().All()
	return slices.ContainsFunc(all, func(h members.Member) bool {
		f := &h.Figures
		if h.ID == m.config.HostID || !h.Eligible(runtimes) || h.Draining || !h.RuntimeReady || !f.Capacity.Covers(need.CountedIn(f.Capacity)) {
			return false
		}
		return f.Free.Covers(need.CountedIn(f.Capacity)) || keep.Pinned || keep.Priority > 0 || !f.Oldest.IsZero() && f.Oldest.Before(last)
	})
}

// Offer implements lifecycle.MeshPort: the arbiter of the model, most likely this host, has it placed. The machine makes
// only so many offers at once.
func (m *Mesh) Offer(o machine.Offer) {
	m.workers.Go(func() {
		answer := machine.OfferAnswered{Offer: o.ID, Reason: peerv1.UnplacedReason_UNPLACED_REASON_STALE}
		if row, ok := m.rows.model(o.Key); ok {
			// What the arbiter here goes by: the size, as the machine knows it, and what is free, as of now.
			m.arbiter.post(m.base, arbiter.Remembered{Host: m.config.HostID, Usage: []arbiter.Usage{{
				Key: o.Key, Size: o.Size[modelcache.HostMemory],
			}}})
			m.figures.publish(m)
			result, err := m.asks.place(m.base, question{row: row, purpose: o.Purpose})
			switch {
			case err != nil:
				return // This host ends.
			case result.Placed != nil:
				answer.Placed = true
			case result.Unplaced != nil:
				answer.Reason, answer.RetryAfter = result.Unplaced.Reason, result.Unplaced.RetryAfter
			}
		}
		if err := m.executor.OfferAnswered(m.base, answer); err != nil && m.base.Err() == nil {
			m.deps.Logger.Debug("answer to an offer not taken in", "model", o.Model, "error", err)
		}
	})
}

// part is what a host has to do with models, apart from its figures.
type part struct {
	live, draining, arbiter, gateway bool
	epoch                            uint64
	runtime, address                 string
}

func partOf(m *members.Member) part {
	return part{m.Live, m.Draining, m.Arbiter, m.Gateway, m.Epoch, m.Runtime, m.PeerAddress}
}

// changes tells the executor what has changed in the mesh. It takes an event at a time, so what comes meanwhile coalesces.
type changes struct {
	wake chan struct{}

	mu sync.Mutex // guards below
	// parts of the hosts in the last View.
	parts map[string]part
	// all: homes may have changed; uncovered are models without a copy on another host.
	all       bool
	uncovered map[uint64]struct{}
	// free is what each host had in the last View; room: one has more than before.
	free map[string]modelcache.Resources
	room bool
}

func (c *changes) init() {
	c.wake = make(chan struct{}, 1)
	c.uncovered = make(map[uint64]struct{})
}

// seen reports whether a host has another part in the mesh than in the View before, and the addresses of those that are
// not there any more.
func (c *changes) seen(view *members.View) (gone []string, moved bool) {
	all := view.All()
	parts := make(map[string]part, len(all))
	for i := range all {
		parts[all[i].ID] = partOf(&all[i])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if maps.Equal(parts, c.parts) {
		return nil, false
	}
	for id, before := range c.parts {
		if now, there := parts[id]; !there || now.address != before.address || before.live && !now.live {
			gone = append(gone, before.address)
		}
	}
	c.parts, c.all = parts, true
	c.signal()
	return gone, true
}

// freed notes whether a host has more free memory than before.
func (c *changes) freed(view *members.View) {
	all := view.All()
	c.mu.Lock()
	defer c.mu.Unlock()
	free := make(map[string]modelcache.Resources, len(all))
	more := false
	for i := range all {
		h := &all[i]
		free[h.ID] = h.Figures.Free
		more = more || !c.free[h.ID].Covers(h.Figures.Free)
	}
	c.free = free
	if more {
		c.room = true
		c.signal()
	}
}

// copiesChanged notes the models that no other host holds now, and this one does not either.
func (c *changes) copiesChanged(m *Mesh, keys []uint64) {
	if m.executor == nil {
		return
	}
	var bare []uint64
	var room [8]residency.Copy
	for _, key := range keys {
		copies := m.peers.Table().Copies(key, room[:0])
		held := slices.ContainsFunc(copies, func(c residency.Copy) bool { return c.State >= residency.Queued && c.State <= residency.Draining })
		if !held {
			bare = append(bare, key)
		}
	}
	if len(bare) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range bare {
		c.uncovered[key] = struct{}{}
	}
	c.signal()
}

func (c *changes) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run tells the executor until ctx ends.
func (c *changes) run(ctx context.Context, m *Mesh) {
	synced := m.peers.Synced()
	for {
		select {
		case <-c.wake:
		case <-synced:
			// Only now this host is the home of any model.
			c.mu.Lock()
			c.all = true
			c.mu.Unlock()
			synced = nil
		case <-ctx.Done():
			return
		}
		if m.executor == nil {
			continue
		}
		c.mu.Lock()
		event := machine.MeshChanged{All: c.all, Room: c.room}
		for key := range c.uncovered {
			if row, ok := m.rows.model(key); ok {
				event.Uncovered = append(event.Uncovered, row.GetId())
			}
		}
		c.all, c.room = false, false
		clear(c.uncovered)
		c.mu.Unlock()
		if !event.All && !event.Room && len(event.Uncovered) == 0 {
			continue
		}
		if err := m.executor.MeshChanged(ctx, event); err != nil && ctx.Err() == nil {
			m.deps.Logger.Warn("change in the mesh not taken in", "error", err)
		}
	}
}
