package simulate

import (
	"time"

	"github.com/wasmesh/wasmesh/host/simulate/scenario"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// host is one machine: a host's process, the runtime beside it, and its disk, which outlives both.
type host struct {
	world *World
	spec  scenario.Host
	index int
	dice  dice

	// life counts the processes that there have been; what is planned for an earlier one never happens.
	life uint64
	up   bool
	// epoch is on disk, and grows with every life.
	epoch   uint64
	started time.Duration
	// hung counts the reasons for which the process does nothing; what comes meanwhile waits in backlog.
	hung    int
	backlog []func()
	// skew is how far its clock is ahead.
	skew time.Duration
	slow struct{ network, disk time.Duration }
	// refuse is how many reasons there are for which the runtime does not unload anything.
	sticky int
	// leaving: it drains, or has, and is not started again by itself.
	leaving bool

	// rows is the catalog as the process has it; applied, how far, is on disk.
	rows    map[string]*syncv1.Model
	applied int
	// hasCatalog: this life has one, so that it is ready for clients.
	hasCatalog bool
	disk       disk
	runtime    runtime
	conns      []*conn // by index of the other host; nil for itself
	peers      *peers
	exec       *executor
	mesh       *mesh
}

// now is the time as the host sees it.
func (h *host) now() time.Time { return start.Add(h.world.clock.now + h.skew) }

// run does something on the host's behalf now, or when it goes on; never when its process has died since.
func (h *host) run(life uint64, do func()) {
	switch {
	case !h.up || h.life != life:
	case h.hung > 0:
		h.backlog = append(h.backlog, func() { h.run(life, do) })
	default:
		do()
	}
}

// plan has the host do something later in this life.
func (h *host) plan(d time.Duration, do func()) {
	life := h.life
	h.world.clock.after(d, func() { h.run(life, do) })
}

// every has the host do something again and again for as long as it lives, first after a part of the pause that is its own.
func (h *host) every(pause time.Duration, do func()) {
	var again func()
	again = func() {
		do()
		h.plan(pause, again)
	}
	h.plan(h.dice.between(0, pause), again)
}

// absent reports whether the others have no reason to look for the host: it has not come yet, or has left for good.
func (h *host) absent() bool { return !h.up && (h.leaving || h.life == 0) }

func (h *host) note(what, about string, number int64) {
	h.world.trace.note(h.world.clock.now, h.spec.Name, what, about, number)
}

// boot starts the process.
func (h *host) boot() {
	if h.up {
		return
	}
	h.life++
	h.epoch++
	h.up, h.leaving = true, false
	h.started = h.world.clock.now
	h.note("start", "", int64(h.epoch))
	h.rows, h.hasCatalog = map[string]*syncv1.Model{}, false
	h.exec = newExecutor(h)
	h.peers = newPeers(h)
	h.mesh = newMesh(h)
	h.exec.start()
	h.peers.start()
	h.mesh.start()
	h.world.catalog.attach(h)
	h.runtime.boot()
}

// die ends the process at once, and the runtime with it.
func (h *host) die(what string) {
	if !h.up {
		return
	}
	h.note(what, "", 0)
	h.up = false
	h.life++
	h.backlog = nil
	h.runtime.kill()
	for _, other := range h.world.hosts {
		if other == h {
			continue
		}
		// The kernel resets what the process had open, if that gets through.
		for _, c := range []*conn{other.conns[h.index], h.conns[other.index]} {
			h.resetLater(c)
		}
	}
	h.world.clients.died(h)
}

// resetLater breaks a connection of a process that has died when the other side can hear of it.
func (h *host) resetLater(c *conn) {
	if c.from == h {
		c.lose()
		return
	}
	number := c.number
	h.world.network.send(h, c.from, func() {
		if c.number == number {
			c.lose()
		}
	})
	h.world.clock.after(silence, func() {
		if c.number == number {
			c.lose()
		}
	})
}

// hang stops the process, and resume has it go on with all that has come meanwhile.
func (h *host) hang() {
	h.hung++
	life := h.life
	h.note("hang", "", 0)
	h.world.clock.after(silence, func() {
		if h.hung > 0 && h.life == life {
			h.world.network.isolate(h)
		}
	})
}

func (h *host) resume() {
	h.hung--
	if h.hung > 0 || !h.up {
		return
	}
	h.note("resume", "", 0)
	backlog := h.backlog
	h.backlog = nil
	for _, do := range backlog {
		do()
	}
}
