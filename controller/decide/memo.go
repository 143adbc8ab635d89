package decide

import (
	"cmp"
	"maps"
	"slices"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Memo is what one decision leaves to the next, so that of ten thousand objects only those are decided anew that something
// has changed for. It never changes what is decided: whatever a decision about an object is made of is compared first, as
// pointers where those of equal things stay the same. An object of which a decision finds that nothing is to be done is
// steady; until something that it depends on differs, the same is found again, whenever one looks.
//
// A Memo never changes, and may be used by any number of decisions. Only Decide makes one.
type Memo struct {
	facts map[string]*facts
	// The aliases of objects as they are by themselves.
	inferenceServices map[*v1beta1.InferenceService]*alias
	predictors        map[*v1alpha1.Predictor]*alias
}

// steady is what is decided of an object with one model, which is what its spec asks for and has failed nowhere.
type steady struct {
	facts        *facts
	alias, model *syncv1.Row
	copies       []located
}

// facts are what all decisions about the objects of a namespace depend on: all of Input that is not of one object alone.
// They never change, and equal ones of one decision and the next are the same pointer.
type facts struct {
	settled   bool
	endpoints Endpoints
	// judged by Input.Status, in that version.
	judged  bool
	version uint64
	// runtimes in order, hosts in order before gateways.
	runtimes []runtimeFacts
	hosts    []hostFacts
	asleep   map[string]bool
}

// runtimeFacts are of a runtime that may be used.
type runtimeFacts struct {
	name, namespace string
	spec            *v1alpha1.ServingRuntimeSpec
}

// hostFacts are of a host that is connected. Which catalog it has acknowledged is in namespace.oldest.
type hostFacts struct {
	id, runtime, message       string
	state                      syncv1.RuntimeState
	gateway, closing, complete bool
}

func (f *facts) equal(g *facts) bool {
	return g != nil && f.settled == g.settled && f.endpoints == g.endpoints &&
		f.judged == g.judged && f.version == g.version && slices.Equal(f.runtimes, g.runtimes) &&
		slices.Equal(f.hosts, g.hosts) && maps.Equal(f.asleep, g.asleep)
}

// addFacts sums each namespace up, when all else is known of it.
func (w *world) addFacts(in Input) {
	for name, ns := range w.namespaces {
		f := &facts{
			settled: in.Settled, endpoints: in.Endpoints, judged: in.Status != nil, version: in.StatusVersion,
			asleep: ns.asleep,
		}
		for _, r := range ns.runtimes {
			f.runtimes = append(f.runtimes, runtimeFacts{r.Name, r.Namespace, r.Spec})
		}
		for i, h := range slices.Concat(ns.hosts, ns.gateways) {
			f.hosts = append(f.hosts, hostFacts{
				id: h.Hello.GetHostId(), runtime: h.Hello.GetRuntime(), message: h.RuntimeMessage, state: h.RuntimeState,
				gateway: i >= len(ns.hosts), closing: h.Draining.GetClosing(), complete: h.Complete,
			})
			if i == 0 || ns.oldest != nil && !reached(h.Acked, ns.oldest) {
				ns.oldest = h.Acked
			}
		}
		ns.facts = f
		if in.Memo != nil && f.equal(in.Memo.facts[name]) {
			ns.facts = in.Memo.facts[name]
		}
	}
}

// heard says that all hosts have acknowledged a version.
func (ns *namespace) heard(since *syncv1.Version) bool {
	return len(ns.facts.hosts) == 0 || reached(ns.oldest, since)
}

// newMemo has room for all objects of the decision.
func (d *decision) newMemo() *Memo {
	m := &Memo{
		facts:             make(map[string]*facts, len(d.world.namespaces)),
		inferenceServices: make(map[*v1beta1.InferenceService]*alias, len(d.in.Objects.InferenceServices)),
		predictors:        make(map[*v1alpha1.Predictor]*alias, len(d.in.Objects.Predictors)),
	}
	for name, ns := range d.world.namespaces {
		m.facts[name] = ns.facts
	}
	return m
}

// inferenceService answers one that was resolved before, nil if that has to be done.
func (m *Memo) inferenceService(o *v1beta1.InferenceService, in Input) *alias {
	if m == nil {
		return nil
	}
	return m.inferenceServices[o].unless(in)
}

// predictor answers one that was resolved before, nil if that has to be done.
func (m *Memo) predictor(o *v1alpha1.Predictor, in Input) *alias {
	if m == nil {
		return nil
	}
	return m.predictors[o].unless(in)
}

// unless answers nil when another model answers than when the object was resolved.
func (a *alias) unless(in Input) *alias {
	if a == nil || a.active != in.Active[a.key] {
		return nil
	}
	return a
}

func (m *Memo) put(a *alias) {
	if a.inferenceService != nil {
		m.inferenceServices[a.inferenceService] = a
	} else {
		m.predictors[a.predictor] = a
	}
}

// steady answers what was decided of the object, nil if that must be done anew.
func (d *decision) steady(ns *namespace, a *alias) *steady {
	s := a.steady
	if s == nil || s.facts != ns.facts || !ns.heard(d.in.Published.Since[s.model.Key]) ||
		!slices.Equal(d.in.AnnotationFaults[a.key], a.annotationFaults) {
		return nil
	}
	if !slices.EqualFunc(s.copies, ns.copies[a.active.Id], func(before, now located) bool {
		return before.host == now.host && before.copy.GetState() == now.copy.GetState() && failureOf(now.copy) == nil
	}) {
		return nil
	}
	return s
}

// repeat answers what was decided before.
func (d *decision) repeat(ns *namespace, a *alias, s *steady) {
	d.aliases, d.models = append(d.aliases, s.alias), append(d.models, s.model)
	d.out.Active[a.key] = a.active
	if len(a.annotationFaults) > 0 {
		d.out.AnnotationFaults[a.key] = a.annotationFaults
	}
	ns.need(a.active)
	d.memo.put(a)
}

// extent is how much there is to do, as far as a decision has come.
func (d *decision) extent() int {
	return len(d.out.Events) + len(d.out.Contradictions) + len(d.out.InferenceServices) + len(d.out.Predictors)
}

// keep has the next decision know what this one has made of an object; quiet says that there was nothing to do.
func (d *decision) keep(ns *namespace, a *alias, c change, quiet bool) {
	alone := cmp.Or(a.alone, a)
	rests := quiet && d.rests(ns, a, c)
	if rests || alone.steady != nil {
		changed := *alone
		alone, changed.steady = &changed, nil
	}
	if rests {
		alone.steady = &steady{
			facts: ns.facts, alias: d.aliases[len(d.aliases)-1], model: d.models[len(d.models)-1], copies: ns.copies[a.active.Id],
		}
	}
	d.memo.put(alone)
}

// rests says that the next look would find the same of an object for which there was nothing to do: that nothing is about to
// change without anything that steady compares.
func (d *decision) rests(ns *namespace, a *alias, c change) bool {
	return a.spec != nil && c.active != nil && c.target == nil && c.active.durable == a.active &&
		slices.Equal(d.in.AnnotationFaults[a.key], a.annotationFaults) &&
		ns.heard(d.in.Published.Since[a.answers.row]) &&
		!slices.ContainsFunc(ns.copies[a.active.Id], func(l located) bool { return failureOf(l.copy) != nil })
}
