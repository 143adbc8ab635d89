package mesh

import (
	"context"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

var _ machine.Mesh = (*Mesh)(nil)

// MembersChanged implements peers.Listener.
func (m *Mesh) MembersChanged(view *members.View) {
	m.arbiter.news.viewChanged()
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
	return m.synced() && m.peers.View().Home(key, runtimes)
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

// Homeless implements lifecycle.MeshPort: the arbiter of the model, most likely this host, looks for somebody with room.
// When too many wait, this one comes again later: the machine offers it until it has a home.
func (m *Mesh) Homeless(h machine.Homeless) {
	row, ok := m.rows.model(h.Key)
	if !ok || !m.changes.homeless.TryAcquire(1) {
		return
	}
	m.workers.Go(func() {
		defer m.changes.homeless.Release(1)
		result, err := m.asks.place(m.base, question{row: row, purpose: policyabi.PurposeRebalance, exclude: []string{m.config.HostID}})
		if err == nil && result.Placed != nil {
			m.deps.Logger.Debug("model placed elsewhere for want of room", "model", h.Model, "target", result.Placed.Host)
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
	// homeless bounds the models that are being placed elsewhere.
	homeless *semaphore.Weighted

	mu sync.Mutex // guards below
	// parts of the hosts in the last View.
	parts map[string]part
	// all: homes may have changed; uncovered are models without a copy on another host.
	all       bool
	uncovered map[uint64]struct{}
}

func (c *changes) init() {
	c.wake = make(chan struct{}, 1)
	c.homeless = semaphore.NewWeighted(homelessWaiting)
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
		event := machine.MeshChanged{All: c.all}
		for key := range c.uncovered {
			if row, ok := m.rows.model(key); ok {
				event.Uncovered = append(event.Uncovered, row.GetId())
			}
		}
		c.all = false
		clear(c.uncovered)
		c.mu.Unlock()
		if !event.All && len(event.Uncovered) == 0 {
			continue
		}
		if err := m.executor.MeshChanged(ctx, event); err != nil && ctx.Err() == nil {
			m.deps.Logger.Warn("change in the mesh not taken in", "error", err)
		}
	}
}
