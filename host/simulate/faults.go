package simulate

import (
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/simulate/scenario"
)

// act does one step of the scenario.
func (w *World) act(step scenario.Step) {
	if step.Verb == scenario.Request {
		w.request(step)
		return
	}
	w.note(nil, step.String(), "", 0)
	h := w.host(step.Host)
	w.checks.disturb(w.clock.now, step, h, w.pair(step))
	undo := w.begin(step, h)
	if undo != nil && step.For > 0 {
		w.clock.after(step.For, func() {
			w.note(nil, "end of "+string(step.Verb), step.Host+step.Model, 0)
			undo()
		})
	}
}

// pair is the hosts of a step that has several.
func (w *World) pair(step scenario.Step) (hosts []*host) {
	for _, name := range step.Hosts {
		hosts = append(hosts, w.host(name))
	}
	return hosts
}

// begin begins a fault and answers what ends it; nil for one that does not last.
func (w *World) begin(step scenario.Step, h *host) (undo func()) {
	switch step.Verb {
	case scenario.Crash:
		h.die("crash")
		return h.boot
	case scenario.Start:
		h.boot()
	case scenario.Drain:
		h.run(h.life, func() { h.mesh.leave() })
	case scenario.Hang:
		if h.up {
			h.hang()
			return h.resume
		}
	case scenario.Partition, scenario.Cut:
		return w.cutOff(step)
	case scenario.Reset:
		pair := w.pair(step)
		pair[0].conns[pair[1].index].lose()
		pair[1].conns[pair[0].index].lose()
	case scenario.Lose:
		pair := w.pair(step)
		w.network.wire(pair[0], pair[1]).lose += max(step.Count, 1)
	case scenario.SlowPeer:
		h.slow.network += step.By
		return func() { h.slow.network -= step.By }
	case scenario.SlowDisk:
		h.slow.disk += step.By
		return func() { h.slow.disk -= step.By }
	case scenario.RuntimeCrash:
		if !h.spec.Gateway {
			h.runtime.crash()
			return func() { h.runtime.down-- }
		}
	case scenario.StickyUnload:
		h.sticky++
		return func() { h.sticky-- }
	case scenario.ClockJump:
		h.skew += max(step.By, 0)
	case scenario.NoController:
		w.catalog.away++
		return func() {
			w.catalog.away--
			w.catalog.back()
		}
	default:
		return w.beginOnModel(step, h)
	}
	return nil
}

// beginOnModel is begin for the verbs that are about a model.
func (w *World) beginOnModel(step scenario.Step, on *host) (undo func()) {
	m := w.model(step.Model)
	name := ""
	if on != nil {
		name = on.spec.Name
	}
	switch step.Verb {
	case scenario.Forget:
		for _, h := range w.hosts {
			if (on == nil || on == h) && h.up && h.runtime.holds[m.spec.Name] != nil && !h.runtime.holds[m.spec.Name].loading {
				h.runtime.drop(m.spec.Name)
			}
		}
	case scenario.Break:
		m.broken[name]++
		m.troubled = true
		return func() { m.broken[name]-- }
	case scenario.Unreachable:
		m.unreachable++
		m.troubled = true
		return func() { m.unreachable-- }
	case scenario.Add, scenario.Change:
		if step.Verb == scenario.Change {
			m.spec.Min, m.spec.Max, m.spec.Pinned, m.spec.Priority = step.Min, step.Max, step.Pinned, step.Priority
		}
		w.catalog.write(m, rowOf(m))
	case scenario.Remove:
		w.catalog.write(m, nil)
	}
	return nil
}

// cutOff stops everything between some hosts and the others, or between two.
func (w *World) cutOff(step scenario.Step) (undo func()) {
	type pair struct{ a, b *host }
	var pairs []pair
	some := w.pair(step)
	if step.Verb == scenario.Cut {
		pairs = []pair{{some[0], some[1]}}
	} else {
		for _, a := range some {
			for _, b := range w.hosts {
				if !slices.Contains(some, b) {
					pairs = append(pairs, pair{a, b})
				}
			}
		}
	}
	for _, p := range pairs {
		w.network.cut(p.a, p.b)
	}
	return func() {
		for _, p := range pairs {
			w.network.mend(p.a, p.b)
		}
	}
}

// request sends the requests of a step.
func (w *World) request(step scenario.Step) {
	count := max(step.Count, 1)
	for i := range count {
		r := &request{
			model: w.model(step.Model), entry: w.host(step.Host),
			deadline: step.Deadline, work: step.Work,
		}
		if r.deadline == 0 {
			r.deadline = scenario.DefaultDeadline
		}
		if r.work == 0 {
			r.work = scenario.DefaultWork
		}
		at := time.Duration(0)
		if count > 1 {
			at = step.Over * time.Duration(i) / time.Duration(count)
		}
		w.clock.after(at, func() { w.clients.ask(r) })
	}
}

// probe asks for every model once more: in the end everything has to work.
func (w *World) probe() {
	if len(w.failed) > 0 {
		return
	}
	for i := range w.scenario.Models {
		m := w.model(w.scenario.Models[i].Name)
		if m.row == nil {
			continue
		}
		w.clients.probes++
		w.clock.after(time.Duration(i)*probePause, func() {
			w.clients.probes--
			w.clients.ask(&request{model: m, deadline: probeDeadline, work: scenario.DefaultWork, probe: true})
		})
	}
	// The last request of all ends by its deadline.
	last := w.clock.now + probeDeadline + time.Duration(len(w.scenario.Models))*probePause + time.Second
	for end := w.clock.now + probeStep; len(w.failed) == 0; end += probeStep {
		w.runUntil(min(end, last))
		if end >= last || w.clients.probes == 0 && w.clients.idle() {
			break
		}
	}
	w.checkEnd()
}

const (
	probePause    = 20 * time.Millisecond
	probeStep     = 500 * time.Millisecond
	probeDeadline = 3 * time.Minute
)
