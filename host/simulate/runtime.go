package simulate

import (
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/simulate/scenario"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// What storage and the runtime take for what the scenario does not say.
const (
	listLeast, listMost     = 2 * time.Millisecond, 40 * time.Millisecond
	linkTime                = time.Millisecond
	unloadLeast, unloadMost = 5 * time.Millisecond, 60 * time.Millisecond
	removeTime              = 2 * time.Millisecond
	// runtimeStart is how long a runtime takes until it answers, and runtimePoll how often a host that lost one looks.
	runtimeStart = 200 * time.Millisecond
	runtimePoll  = 250 * time.Millisecond
)

// disk is the model files of a host, by model: the contents that are there.
type disk map[string]int

// runtime is the inference server beside a host. It keeps count of its memory by itself, whatever the host believes.
type runtime struct {
	host *host
	up   bool
	// down counts the reasons for which it does not come up.
	down  int
	life  uint64
	holds map[string]*held
	// used is the bytes of all that it holds, loads or unloads; loads are under way.
	used  int64
	loads int
}

// held is one model in the runtime.
type held struct {
	id modelcache.CopyID
	// bytes that it takes, and those of them that the host could not know of when it began the load.
	bytes, surprise int64
	loading         bool
}

// boot starts a runtime for a new process.
func (r *runtime) boot() {
	if r.host.spec.Gateway {
		return
	}
	r.clear()
	r.poll(runtimeStart)
}

// poll looks for the runtime, as the supervisor of package lifecycle does.
func (r *runtime) poll(wait time.Duration) {
	h := r.host
	h.plan(wait, func() {
		switch {
		case r.up:
		case r.down > 0:
			r.poll(runtimePoll)
		default:
			r.up = true
			r.life++
			h.note("runtime ready", "", 0)
			h.exec.runtimeReady()
		}
	})
}

func (r *runtime) clear() {
	r.up = false
	r.life++
	r.holds = map[string]*held{}
	r.used, r.loads = 0, 0
}

// kill ends the runtime with its host.
func (r *runtime) kill() { r.clear() }

// crash ends it alone: the host hears of it by the broken connection.
func (r *runtime) crash() {
	r.down++
	h := r.host
	if !h.up || !r.up {
		return
	}
	h.note("runtime crash", "", 0)
	r.clear()
	h.world.clients.runtimeDied(h)
	h.run(h.life, h.exec.runtimeLost)
	r.poll(runtimePoll)
}

// load has the runtime load a model; done hears how it ended, unless the runtime died first.
func (r *runtime) load(id modelcache.CopyID, m *model, expected int64, done func(*machine.Fault)) {
	if !r.up {
		return // The host is about to hear that it is lost.
	}
	w, h := r.host.world, r.host
	w.stats.Loads++
	m.loads++
	if r.holds[m.spec.Name] != nil {
		w.broken("the runtime of %s is to load %s, which it holds", h.spec.Name, m.spec.Name)
	}
	if r.loads++; r.loads > h.loadsAtOnce() {
		w.broken("the runtime of %s is to load %d models at once, and takes %d", h.spec.Name, r.loads, h.loadsAtOnce())
	}
	copied := &held{id: id, bytes: m.spec.Bytes, surprise: max(m.spec.Bytes-expected, 0), loading: true}
	r.holds[m.spec.Name] = copied
	r.used += copied.bytes
	r.check()
	life := r.life
	took := m.spec.Load + h.dice.between(0, m.spec.Load/10+time.Millisecond)
	w.clock.after(took, func() {
		if r.life != life {
			return
		}
		r.loads--
		copied.loading = false
		fault := m.loadFault(h)
		if fault != nil {
			r.drop(m.spec.Name)
		} else {
			w.stats.LoadTime += m.spec.Load
		}
		h.run(h.life, func() { done(fault) })
	})
}

// unload has it unload one.
func (r *runtime) unload(name string, done func(*machine.Fault)) {
	if !r.up {
		return
	}
	h, life := r.host, r.life
	h.world.clock.after(h.dice.between(unloadLeast, unloadMost), func() {
		if r.life != life {
			return
		}
		var fault *machine.Fault
		if h.sticky > 0 {
			fault = &machine.Fault{Cause: machine.BadModel, Message: "the runtime does not unload"}
		} else {
			r.drop(name)
		}
		h.run(h.life, func() { done(fault) })
	})
}

func (r *runtime) drop(name string) {
	if copied := r.holds[name]; copied != nil {
		r.used -= copied.bytes
		delete(r.holds, name)
	}
}

// check holds the host to the memory that there is, as the runtime counts it.
func (r *runtime) check() {
	known := r.used
	for _, copied := range r.holds {
		known -= copied.surprise
	}
	if known > r.host.spec.Capacity {
		r.host.world.broken("the runtime of %s holds %d bytes, which the host knew of, in %d", r.host.spec.Name, known, r.host.spec.Capacity)
	}
}

func (h *host) loadsAtOnce() int {
	if h.spec.Loads > 0 {
		return h.spec.Loads
	}
	return machine.DefaultLoads
}

// model is one of the scenario, and what has come of it.
type model struct {
	spec scenario.Model
	row  *syncv1.Model
	key  uint64
	// contents counts the changes of it; broken counts reasons for its loads to fail, by host name ("" is all), and
	// unreachable those for storage not to have it.
	contents    int
	broken      map[string]int
	unreachable int
	// loads that were begun.
	loads int
	// changed is when the catalog last changed it, never before that; troubled: its loads have been made to fail.
	changed  time.Duration
	troubled bool
}

// onDisk is how large its file is: what it takes in memory follows from it, and is as large unless it surprises.
func (m *model) onDisk() int64 {
	bytes := m.spec.Bytes
	if m.spec.Surprise {
		bytes /= 2
	}
	// A host takes a model for a quarter larger than its file.
	return max(bytes*4/5, 1)
}

func (m *model) loadFault(h *host) *machine.Fault {
	if m.broken[""]+m.broken[h.spec.Name] == 0 {
		return nil
	}
	h.world.stats.LoadsFailed++
	return &machine.Fault{Cause: machine.BadModel, Message: "the model is broken"}
}
