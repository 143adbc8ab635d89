package decide

import (
	"cmp"
	"slices"

	"github.com/wasmesh/wasmesh/controller/resolve"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// world is an Input's hosts and runtimes, indexed once per decision.
type world struct {
	namespaces map[string]*namespace
	// faults of the runtimes of which no pods can be made.
	faults map[Key]string
	// refutedBefore is Input.Refuted, refuted becomes Output.Refuted.
	refutedBefore, refuted map[FailedCopy]bool
}

// namespace is one mesh.
type namespace struct {
	name string
	// runtimes that models may be placed on, and their names.
	runtimes []resolve.Runtime
	usable   map[string]bool
	// running are the runtimes that have hosts; empty when none is faulty, since nothing else depends on it.
	running map[string]bool
	// plans of those runtimes that are not faulty, by name.
	plans map[string]*adminv1.RuntimePlan
	// hosts that are connected and may hold copies, so no gateways, by id. What others last said is not known to be so any
	// more.
	hosts []*Host
	// gateways that are connected, by id.
	gateways []*Host
	// asleep are the runtimes for whose hosts the gateways stand in.
	asleep map[string]bool
	// copies by model id, in the order of hosts.
	copies map[string][]located
	// waited are the runtimes that a host, which may be a gateway, has requests waiting for.
	waited []string
	// facts sum up all of this but the copies, and oldest is the catalog that all hosts and gateways have acknowledged.
	facts  *facts
	oldest *syncv1.Version
	// complete: every connected host has reported everything, so that a copy nobody speaks of does not exist.
	complete bool
}

// located is a copy and where it is.
type located struct {
	host string
	copy *syncv1.Copy
}

// newWorld makes a namespace of every one that has an object.
func newWorld(in Input, all []*alias) *world {
	w := &world{namespaces: map[string]*namespace{}, refutedBefore: in.Refuted, refuted: map[FailedCopy]bool{}}
	for i, a := range all {
		if i == 0 || a.key.Namespace != all[i-1].key.Namespace {
			w.add(a.key.Namespace)
		}
	}
	for _, o := range in.Objects.ServingRuntimes {
		if o != nil {
			w.add(o.Namespace)
		}
	}
	w.addRuntimes(in)
	w.addHosts(in.Hosts)
	w.addAsleep(in.Asleep)
	w.keepRefuted(in.Hosts)
	w.addFacts(in)
	return w
}

func (w *world) add(name string) {
	if w.namespaces[name] == nil {
		w.namespaces[name] = &namespace{
			name:     name,
			usable:   map[string]bool{},
			running:  map[string]bool{},
			plans:    map[string]*adminv1.RuntimePlan{},
			copies:   map[string][]located{},
			asleep:   map[string]bool{},
			complete: true,
		}
	}
}

func (w *world) addHosts(hosts []Host) {
	for i := range hosts {
		h := &hosts[i]
		ns := w.namespaces[h.Hello.GetNamespace()]
		if ns == nil || !h.Connected {
			continue
		}
		if h.Hello.GetGateway() {
			ns.gateways = append(ns.gateways, h)
		} else {
			ns.hosts = append(ns.hosts, h)
		}
		for _, demand := range h.Demands {
			if demand.GetWaiting() > 0 {
				ns.waited = append(ns.waited, demand.GetRuntime())
			}
		}
	}
	byID := func(a, b *Host) int { return cmp.Compare(a.Hello.GetHostId(), b.Hello.GetHostId()) }
	for _, ns := range w.namespaces {
		slices.SortStableFunc(ns.hosts, byID)
		slices.SortStableFunc(ns.gateways, byID)
		for _, h := range ns.hosts {
			ns.complete = ns.complete && h.Complete
			for id, c := range h.Copies {
				ns.copies[id] = append(ns.copies[id], located{h.Hello.GetHostId(), c})
			}
		}
	}
}

// addAsleep tells each namespace which of its runtimes sleep. One of which a host says that it is broken does not: that its
// pods have only begun to start is no explanation any more.
func (w *world) addAsleep(asleep map[Key]bool) {
	for key := range asleep {
		ns := w.namespaces[key.Namespace]
		if ns == nil || len(ns.gateways) == 0 {
			continue
		}
		ns.asleep[key.Name] = !slices.ContainsFunc(ns.hosts, func(h *Host) bool {
			return h.Hello.GetRuntime() == key.Name && h.RuntimeState == syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE &&
				!h.Draining.GetClosing()
		})
	}
}

// sleeps says that the next request for the model wakes the runtime on which it would be placed first.
func (ns *namespace) sleeps(m *syncv1.Model) bool {
	return len(m.Runtimes) > 0 && ns.asleep[m.Runtimes[0]]
}

// keepRefuted remembers for hosts that are out of reach, which will say again what they said.
func (w *world) keepRefuted(hosts []Host) {
	if len(w.refutedBefore) == 0 {
		return
	}
	type id struct{ namespace, host string }
	away := map[id]bool{}
	for i := range hosts {
		if h := &hosts[i]; !h.Connected {
			away[id{h.Hello.GetNamespace(), h.Hello.GetHostId()}] = true
		}
	}
	for f := range w.refutedBefore {
		if away[id{f.Namespace, f.HostID}] {
			w.refuted[f] = true
		}
	}
}

// eligible says that the host may hold the model.
func eligible(h *Host, m *syncv1.Model) bool {
	return slices.Contains(m.Runtimes, h.Hello.GetRuntime())
}
