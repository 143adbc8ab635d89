package decide

import (
	"cmp"
	"slices"
	"strings"

	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// addRuntimes gives each namespace the runtimes that it has and that can run. Of one that has become faulty, the pods are
// as they were: it goes on while they are there, and only has no plan by which to make others. One that cannot run hides
// the cluster's of its name all the same: its owner meant to replace that.
func (w *world) addRuntimes(in Input) {
	var all []resolve.Runtime
	for _, r := range in.Objects.ServingRuntimes {
		if r != nil && r.Namespace != "" {
			all = append(all, resolve.Namespaced(r))
		}
	}
	for _, r := range in.Objects.ClusterServingRuntimes {
		if r != nil {
			all = append(all, resolve.Clusterwide(r))
		}
	}
	w.faults = faultsOf(all)
	w.addRunning(in)
	for name, ns := range w.namespaces {
		for _, r := range resolve.Visible(name, all) {
			_, faulty := w.faults[runtimeKey(r)]
			if !r.Usable() || faulty && !ns.running[r.Name] {
				continue
			}
			if !faulty {
				plan, err := resolve.RuntimePlan(name, r)
				if err != nil {
					continue
				}
				ns.plans[r.Name] = plan
			}
			ns.runtimes = append(ns.runtimes, r)
			ns.usable[r.Name] = true
		}
	}
}

// addRunning tells each namespace which runtimes have hosts. One that is out of reach and has not said that it leaves may
// come back with all that it holds, and must not find a catalog without it. A controller that starts anew has heard of no
// host: until it is settled, a runtime on which models that answer were placed has some, which one that was faulty from the
// beginning has not.
func (w *world) addRunning(in Input) {
	if len(w.faults) == 0 {
		return
	}
	for i := range in.Hosts {
		h := &in.Hosts[i]
		ns := w.namespaces[h.Hello.GetNamespace()]
		if ns != nil && !h.Hello.GetGateway() && (h.Connected || !h.Draining.GetClosing()) {
			ns.running[h.Hello.GetRuntime()] = true
		}
	}
	if in.Settled {
		return
	}
	for key, m := range in.Active {
		if ns := w.namespaces[key.Namespace]; ns != nil {
			for _, name := range m.GetRuntimes() {
				ns.running[name] = true
			}
		}
	}
}

// faultsOf answers what is wrong with each runtime that is meant to be used. The others are not ours to judge.
func faultsOf(all []resolve.Runtime) map[Key]string {
	faults := map[Key]string{}
	for _, r := range all {
		if !r.Usable() {
			continue
		}
		problems := resolve.ValidateRuntime(r)
		if len(problems) == 0 {
			if _, err := resolve.RuntimePlan(r.Namespace, r); err != nil {
				problems = []string{err.Error()}
			}
		}
		if len(problems) > 0 {
			faults[runtimeKey(r)] = strings.Join(problems, "; ")
		}
	}
	return faults
}

// runtimeKey is the key of the object that the runtime was made of.
func runtimeKey(r resolve.Runtime) Key {
	if r.Namespace == "" {
		return Key{Kind: v1alpha1.KindClusterServingRuntime, Name: r.Name}
	}
	return Key{Namespace: r.Namespace, Kind: v1alpha1.KindServingRuntime, Name: r.Name}
}

// need marks the runtime on which the model would be placed first. Others that could hold it need not run for its sake.
func (ns *namespace) need(m *syncv1.Model) {
	if len(m.Runtimes) == 0 {
		return
	}
	if plan := ns.plans[m.Runtimes[0]]; plan != nil {
		plan.Needed = true
	}
}

// plans answers those of all namespaces, sorted by namespace and name. A runtime that requests wait for is needed, even if
// every model has another that comes first.
func (w *world) plans() []*adminv1.RuntimePlan {
	var plans []*adminv1.RuntimePlan
	for _, ns := range w.namespaces {
		for _, p := range ns.plans {
			p.Needed = p.Needed || slices.Contains(ns.waited, p.Name)
			plans = append(plans, p)
		}
	}
	slices.SortFunc(plans, func(a, b *adminv1.RuntimePlan) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return plans
}

// waited answers what Output.Waited is.
func (w *world) waited() []Key {
	var keys []Key
	for _, ns := range w.namespaces {
		for _, name := range ns.waited {
			keys = append(keys, Key{Namespace: ns.name, Name: name})
		}
	}
	slices.SortFunc(keys, compareKeys)
	return slices.Compact(keys)
}
