package simulate

import (
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// namespace of all models.
const namespace = "default"

// How long a change takes from the controller to a host, and how long a host that hears nothing of the controller waits
// before it takes the catalog from another.
const (
	syncLeast, syncMost = 2 * time.Millisecond, 50 * time.Millisecond
	orphanPause         = 5 * time.Second
)

// catalog is the controller as hosts see it: a list of changes of which each host has taken in so many.
type catalog struct {
	world   *World
	changes []change
	// away counts the reasons for which no host hears of it.
	away int
}

// change is a model that came or changed, with its row, or that went.
type change struct {
	model *model
	row   *syncv1.Model
}

// write makes a change; row is nil for a model that goes.
func (c *catalog) write(m *model, row *syncv1.Model) {
	m.row = row
	m.changed = c.world.clock.now
	c.changes = append(c.changes, change{m, row})
	for _, h := range c.world.hosts {
		c.tell(h)
	}
}

// attach connects a host that has just started.
func (c *catalog) attach(h *host) {
	if h.applied > 0 {
		h.learnCatalog(0, h.applied) // From its disk.
	}
	c.tell(h)
	h.every(orphanPause, func() {
		if c.away > 0 {
			c.fromPeer(h)
		}
	})
}

// tell brings a host what it does not have, when the controller can be reached.
func (c *catalog) tell(h *host) {
	if c.away > 0 || !h.up {
		return
	}
	h.plan(h.dice.between(syncLeast, syncMost), func() {
		if c.away == 0 {
			h.learnCatalog(h.applied, len(c.changes))
		}
	})
}

// fromPeer brings a host the catalog of one that has more.
func (c *catalog) fromPeer(h *host) {
	for _, conn := range h.conns {
		if conn == nil || !conn.synced || conn.to.applied <= h.applied {
			continue
		}
		conn.ask(func(answer func(any)) { answer(conn.to.applied) }, func(answer any, _ error) {
			if applied, ok := answer.(int); ok && applied > h.applied {
				h.learnCatalog(h.applied, applied)
			}
		})
		return
	}
}

// back has all hosts hear of the controller again.
func (c *catalog) back() {
	for _, h := range c.world.hosts {
		c.tell(h)
	}
}

// learnCatalog takes in the changes from one number up to another.
func (h *host) learnCatalog(from, to int) {
	if to < from || to == from && from > 0 {
		return
	}
	rows := map[*model]*syncv1.Model{}
	var order []*model
	for _, change := range h.world.catalog.changes[from:to] {
		if _, seen := rows[change.model]; !seen {
			order = append(order, change.model)
		}
		rows[change.model] = change.row
	}
	var ev machine.CatalogChanged
	for _, m := range order {
		if row := rows[m]; row != nil {
			ev.Upserts = append(ev.Upserts, row)
			h.rows[m.spec.Name] = row
		} else {
			ev.Removed = append(ev.Removed, m.spec.Name)
			delete(h.rows, m.spec.Name)
		}
	}
	h.applied, h.hasCatalog = to, true
	h.note("catalog", "", int64(to))
	if !h.spec.Gateway {
		h.exec.step(ev)
	}
	h.mesh.catalogChanged(ev.Upserts, ev.Removed)
	h.peers.figuresChanged()
}

// lists reports whether the model is in the catalog as the host has it.
func (h *host) lists(name string) bool { return h.rows[name] != nil }

// rowOf is the catalog row of a model.
func rowOf(m *model) *syncv1.Model {
	spec := m.spec
	row := &syncv1.Model{
		Namespace: namespace, Id: spec.Name, Type: &syncv1.ModelType{Name: "sklearn"}, Runtimes: runtimes(),
		Storage: &syncv1.StorageReference{Path: spec.Name},
		Knobs: &syncv1.Knobs{
			MinCopies: uint32(spec.Min), MaxCopies: uint32(spec.Max), Pinned: spec.Pinned, Priority: int32(spec.Priority),
			IdleTtlMs: spec.IdleTTL.Milliseconds(),
		},
	}
	if spec.Declared {
		row.SizeHint = &syncv1.Resources{HostMemoryBytes: uint64(spec.Bytes)}
	}
	return row
}

func keyOf(name string) uint64 { return uint64(modelid.KeyOf(namespace, name)) }
