package simulate

import (
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// surveyPause is how often the machine looks at how copies are used, as in package lifecycle.
const surveyPause = time.Second

// executor performs what the lifecycle machine of a host decides, as package lifecycle does.
type executor struct {
	host    *host
	machine *machine.Machine
	// served is what requests find; inOrder the same by name.
	served  map[string]*served
	inOrder []*served
	stages  map[string]machine.State
	waiters map[machine.WaiterID]func(machine.Wake)
	last    uint64
	// answered are the answers to Reserve and GiveUp of the Step that is under way.
	answered machine.Effect
	// underway are the estimates, pulls and loads that have not ended.
	underway map[modelcache.CopyID]*undertaking
	// expected is the bytes reserved for each model when its load began.
	expected map[string]int64
	// purposes for which arbiters had models loaded here last.
	purposes map[string]policyabi.Purpose
	timer    uint64
	idle     bool
	worth    machine.Worth
}

// undertaking is an estimate, a pull or a load.
type undertaking struct{ cancelled bool }

func newExecutor(h *host) *executor {
	e := &executor{
		host: h, served: map[string]*served{}, stages: map[string]machine.State{}, waiters: map[machine.WaiterID]func(machine.Wake){},
		underway: map[modelcache.CopyID]*undertaking{}, expected: map[string]int64{},
		purposes: map[string]policyabi.Purpose{},
	}
	e.machine = machine.New(machine.Config{
		Runtime: servingRuntime, Capacity: modelcache.Resources{modelcache.HostMemory: h.spec.Capacity}, Loads: h.spec.Loads,
		Order: h.world.policies.order(h), Mesh: meshAsSeen{h},
	})
	return e
}

func (e *executor) start() {
	if !e.host.spec.Gateway {
		e.host.every(surveyPause, func() { e.step(machine.Survey{}) })
	}
}

// step feeds the machine, performs what it wants, and holds it to what it promises.
func (e *executor) step(event machine.Event) {
	effects := e.machine.Step(e.host.now(), event)
	// Whatever changes the ledger changes the state of a model.
	if slices.ContainsFunc(effects, func(effect machine.Effect) bool { _, published := effect.(machine.Publish); return published }) {
		e.host.world.checkLedger(e.host)
	}
	for _, effect := range effects {
		e.perform(effect)
	}
}

func (e *executor) perform(effect machine.Effect) {
	h := e.host
	switch effect := effect.(type) {
	case machine.Estimate:
		e.estimate(effect)
	case machine.Pull:
		e.pull(effect)
	case machine.Load:
		e.load(effect)
	case machine.CancelLoad:
		if u := e.underway[effect.ID]; u != nil {
			u.cancelled = true
		}
	case machine.Unload:
		h.note("unload", effect.Model, int64(effect.ID))
		h.runtime.unload(effect.Model, func(fault *machine.Fault) { e.step(machine.Unloaded{ID: effect.ID, Fault: fault}) })
	case machine.RemoveFiles:
		h.plan(removeTime, func() {
			delete(h.disk, effect.Model)
			e.step(machine.FilesRemoved(effect))
		})
	case machine.Publish:
		e.publish(effect)
	case machine.Evicted:
		h.world.stats.Evictions++
		h.note("evict", effect.Model, 0)
	case machine.Worth:
		e.worth = effect
	case machine.Wake:
		e.wake(effect)
	case machine.SetTimer:
		e.setTimer(effect.At)
	case machine.Reserved, machine.GaveUp:
		e.answered = effect
	case machine.Remember:
		h.mesh.remember(effect)
	case machine.Offer:
		h.mesh.offer(effect)
	}
}

// begin does something for the machine that takes time; end is told when it was called off meanwhile.
func (e *executor) begin(id modelcache.CopyID, takes time.Duration, end func(cancelled bool)) {
	u := &undertaking{}
	e.underway[id] = u
	e.host.plan(takes, func() {
		if e.underway[id] == u {
			delete(e.underway, id)
		}
		end(u.cancelled)
	})
}

func cancelledFault(cancelled bool) *machine.Fault {
	if !cancelled {
		return nil
	}
	return &machine.Fault{Cause: machine.Cancelled, Message: "cancelled"}
}

func (e *executor) estimate(effect machine.Estimate) {
	m := e.host.world.model(effect.Model.GetId())
	e.begin(effect.ID, e.host.dice.between(listLeast, listMost), func(cancelled bool) {
		e.step(machine.Estimated{ID: effect.ID, Bytes: m.onDisk(), Fault: m.storageFault(cancelled)})
	})
}

func (e *executor) pull(effect machine.Pull) {
	h := e.host
	m := h.world.model(effect.Model.GetId())
	takes := linkTime
	if contents, there := h.disk[m.spec.Name]; !there || contents != m.contents {
		takes = m.spec.Pull + h.dice.between(0, m.spec.Pull/10+time.Millisecond)
	}
	e.begin(effect.ID, takes+h.slow.disk, func(cancelled bool) {
		fault := m.storageFault(cancelled)
		if fault == nil {
			h.disk[m.spec.Name] = m.contents
		}
		e.step(machine.Pulled{
			ID: effect.ID, Artifact: machine.Artifact{Path: "/models/" + m.spec.Name, Bytes: m.onDisk()}, Took: takes, Fault: fault,
		})
	})
}

func (e *executor) load(effect machine.Load) {
	m := e.host.world.model(effect.Model.GetId())
	e.host.note("load", m.spec.Name, int64(effect.ID))
	e.host.world.stats.LoadsFor[e.purposes[m.spec.Name]]++
	u := &undertaking{}
	e.underway[effect.ID] = u
	e.host.runtime.load(effect.ID, m, e.expected[m.spec.Name], func(fault *machine.Fault) {
		if e.underway[effect.ID] == u {
			delete(e.underway, effect.ID)
		}
		e.step(machine.LoadDone{
			ID: effect.ID, SizeBytes: m.spec.Bytes, MaxConcurrency: m.spec.Concurrency, Took: m.spec.Load, Fault: fault,
		})
	})
}

// publish tells of a model's state: requests first find a loaded copy, then the mesh hears of it, and the reverse.
func (e *executor) publish(p machine.Publish) {
	h := e.host
	h.note(p.State.String(), p.Model, p.Size[modelcache.HostMemory])
	switch p.State {
	case machine.Loaded:
		e.serve(newServed(p, h.world.model(p.Model)))
		if held := h.runtime.holds[p.Model]; held != nil {
			held.surprise = 0 // From here on the host knows.
		}
	default:
		if gone := e.served[p.Model]; gone != nil {
			e.unserve(gone)
		}
	}
	if p.State == machine.Loading {
		e.expected[p.Model] = p.Size[modelcache.HostMemory]
	}
	e.stages[p.Model] = p.State
	if p.State == machine.Absent || p.Offered {
		delete(e.stages, p.Model)
	}
	h.peers.publish(p)
}

func (e *executor) wake(effect machine.Wake) {
	for _, id := range effect.Waiters {
		done := e.waiters[id]
		delete(e.waiters, id)
		if done == nil {
			if effect.Copy != nil {
				e.release(effect.Copy)
			}
			continue
		}
		done(effect)
	}
}

func (e *executor) setTimer(at time.Time) {
	e.timer++
	if at.IsZero() {
		return
	}
	timer := e.timer
	e.host.plan(at.Sub(e.host.now()), func() {
		if e.timer == timer {
			e.step(machine.Tick{})
		}
	})
}

// ask answers what Step says to a Reserve or a GiveUp.
func (e *executor) ask(event machine.Event) machine.Effect {
	e.answered = nil
	e.step(event)
	return e.answered
}

func (e *executor) reserve(event machine.Reserve) machine.Reserved {
	e.last++
	event.Ticket = machine.TicketID(e.last)
	answer, ok := e.ask(event).(machine.Reserved)
	if !ok {
		e.host.world.broken("%s did not answer the reservation of %s", e.host.spec.Name, event.Model)
	}
	return answer
}

func (e *executor) giveUp(model string) machine.GaveUp {
	e.last++
	answer, ok := e.ask(machine.GiveUp{Ticket: machine.TicketID(e.last), Model: model}).(machine.GaveUp)
	if !ok {
		e.host.world.broken("%s did not answer whether it gives up %s", e.host.spec.Name, model)
	}
	return answer
}

func (e *executor) runtimeReady() {
	e.step(machine.RuntimeReady{Limits: machine.Limits{
		Capacity: modelcache.Resources{modelcache.HostMemory: e.host.spec.Capacity}, Loads: e.host.spec.Loads,
	}})
	e.host.peers.publishFigures()
}

func (e *executor) runtimeLost() {
	e.step(machine.RuntimeLost{})
	e.host.peers.publishFigures()
}

func (m *model) storageFault(cancelled bool) *machine.Fault {
	if m.unreachable > 0 {
		return &machine.Fault{Cause: machine.StorageUnavailable, Message: "storage does not answer"}
	}
	return cancelledFault(cancelled)
}
