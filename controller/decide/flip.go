package decide

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// candidate is a model that an alias has, or may come to have.
type candidate struct {
	// model is the row, with the runtimes that there are today.
	model *syncv1.Model
	// durable is what Output.Active remembers.
	durable *syncv1.Model
	// unsupported says why model.Runtimes is empty, and shortfall what was asked for and what there is; "" when unknown.
	unsupported *resolve.Reason
	shortfall   string
	evidence    evidence
	// reading is the built-in policy's until judge has asked for the one that counts.
	reading reading
}

// change is how far an alias is from its spec.
type change struct {
	transition v1beta1.TransitionStatus
	// active is nil when there is no model at all. target is nil when it is the active one, or when there is none.
	active, target *candidate
	// switchedFrom is the id of the model that has just ceased to be the active one.
	switchedFrom string
	// refused is the id of a target that failed on a host, "" for none.
	refused string
}

// wanted is the model that the spec asks for, or that answers while the spec is invalid; nil when there is none.
func (c change) wanted() *candidate {
	if c.target != nil {
		return c.target
	}
	return c.active
}

// hopeless: no declared runtime can hold any model that the alias has, whatever hosts have yet to report. A copy that one
// of them still has is about to be given up.
func (c change) hopeless() bool {
	return c.active != nil && c.active.unsupported != nil && (c.target == nil || c.target.unsupported != nil)
}

// change decides which model answers. An attempt to load the target that is under way may yet end well, whatever became
// of those before: then the transition is InProgress, as in ModelMesh.
//
// The active model is remembered always, not only while a change is under way: the spec may be edited while nobody
// looks, and nothing but memory then says what has been answering.
func (d *decision) change(ns *namespace, a *alias) change {
	if a.homeless {
		return change{transition: v1beta1.InvalidSpec}
	}
	remembered := a.memory
	if a.spec == nil {
		if remembered == nil {
			return change{transition: v1beta1.InvalidSpec}
		}
		return change{transition: v1beta1.InvalidSpec, active: d.activeOf(ns, a, remembered)}
	}
	target := ns.declared(*a.spec)
	if remembered == nil || remembered.Id == target.model.Id {
		if proto.Equal(remembered, target.model) {
			// Whoever compares rows sees at a glance that nothing has changed.
			target.model, target.durable = remembered, remembered
		}
		d.examine(ns, target, a.before.active)
		target.remember(a.before)
		return change{transition: v1beta1.UpToDate, active: target}
	}
	return d.replace(ns, a, d.activeOf(ns, a, remembered), target)
}

// replace decides whether the target takes the active model's place, by the first rule that applies.
func (d *decision) replace(ns *namespace, a *alias, active, target *candidate) change {
	s := situation{
		active: active, target: target,
		refused:  d.in.Refused[a.key] == target.model.Id,
		absences: d.in.Settled && ns.complete,
	}
	d.examineTarget(ns, a, target, s.refused)
	d.standard(ns, a, active)
	d.standard(ns, a, target)
	if s.targetAnswers() || s.activeIsLost() || s.nothingToKeep() {
		d.examine(ns, target, a.before.target)
		return change{transition: v1beta1.UpToDate, active: target, switchedFrom: active.model.Id}
	}
	c := change{transition: v1beta1.InProgress, active: active, target: target}
	if target.reading.state == v1beta1.FailedToLoad {
		c.transition = v1beta1.BlockedByFailedLoad
	}
	if s.refused || target.evidence.tally.blamesModel() {
		c.refused = target.model.Id
	}
	return c
}

// situation is an alias between two models.
type situation struct {
	active, target *candidate
	// refused: the target failed on a host before, and has not been loaded since.
	refused bool
	// absences: what nobody reports does not exist.
	absences bool
}

// targetAnswers: there is a copy of the target to answer, somewhere.
func (s situation) targetAnswers() bool { return s.target.evidence.tally.loaded > 0 }

// activeIsLost: the active model cannot answer, and the target may be able to. One that is known to fail is no better,
// and the active model may fail for a passing reason.
func (s situation) activeIsLost() bool {
	return s.absences && !s.active.evidence.tally.live() && s.active.reading.state == v1beta1.FailedToLoad &&
		!s.refused && s.target.reading.state != v1beta1.FailedToLoad
}

// nothingToKeep: neither model is in memory, so that the next request loads one in any case, and it may as well be the
// one that is wanted. A target that was refused reads FailedToLoad, not Standby.
func (s situation) nothingToKeep() bool {
	return s.absences && !s.active.evidence.tally.live() && s.target.reading.state == v1beta1.Standby
}

// declared makes a candidate of what a spec asks for.
func (ns *namespace) declared(spec resolve.Spec) *candidate {
	names, reason := resolve.Eligible(spec, ns.runtimes)
	m := resolve.Model(spec, names)
	c := &candidate{model: m, durable: m, unsupported: reason}
	if reason != nil {
		c.shortfall = resolve.Shortfall(spec, ns.runtimes)
	}
	return c
}

// activeOf makes a candidate of a remembered model. The spec that it came from is gone: what was once eligible and can
// still run is eligible. The memory keeps the others, which may come back.
func (d *decision) activeOf(ns *namespace, a *alias, remembered *syncv1.Model) *candidate {
	remembered = withKnobs(remembered, a.wishes.Knobs)
	names := make([]string, 0, len(remembered.Runtimes))
	for _, name := range remembered.Runtimes {
		if ns.usable[name] {
			names = append(names, name)
		}
	}
	c := &candidate{model: remembered, durable: remembered}
	if !slices.Equal(names, remembered.Runtimes) {
		c.model = withRuntimes(remembered, names)
	}
	if len(names) == 0 {
		c.unsupported = &resolve.Reason{Code: v1beta1.NoSupportingRuntime, Message: messageRuntimesGone}
	}
	d.examine(ns, c, a.before.active)
	c.remember(a.before)
	return c
}

// withRuntimes copies the row, sharing what it refers to.
func withRuntimes(m *syncv1.Model, names []string) *syncv1.Model {
	return &syncv1.Model{
		Namespace: m.Namespace, Id: m.Id, Type: m.Type, Storage: m.Storage, Runtimes: names,
		SizeHint: m.SizeHint, Knobs: m.Knobs, Alias: m.Alias,
	}
}

// examine gathers what is known of a model that answers. previous is the state that its status had, "" for none.
func (d *decision) examine(ns *namespace, c *candidate, previous v1beta1.ModelState) {
	c.evidence = d.evidence(ns, c)
	c.evidence.previous = previous
}

// remember has a model that failed stay failed while its runtime sleeps: nothing has tried it since.
func (c *candidate) remember(before standing) {
	known := before.failureOf(c.model.Id)
	if c.evidence.asleep && before.active == v1beta1.FailedToLoad && known != nil && known.Reason == v1beta1.ModelLoadFailed {
		c.evidence.refused, c.evidence.known = true, known
	}
}

// examineTarget gathers what is known of a model that is to replace another.
func (d *decision) examineTarget(ns *namespace, a *alias, c *candidate, refused bool) {
	c.evidence = d.evidence(ns, c)
	c.evidence.target, c.evidence.refused = true, refused
	c.evidence.previous = a.before.target
	c.evidence.known = a.before.failureOf(c.model.Id)
}

// evidence gathers what hosts say about the model.
func (d *decision) evidence(ns *namespace, c *candidate) evidence {
	e := evidence{
		tally:       d.world.count(ns, c.model.Id),
		unsupported: c.unsupported,
		shortfall:   c.shortfall,
		connected:   len(ns.hosts),
		since:       d.in.Published.Since[ModelRowKey(c.model.Namespace, c.model.Id)],
	}
	for _, h := range ns.hosts {
		switch {
		case !eligible(h, c.model):
		case h.Draining.GetClosing(): // It takes nothing more.
		case h.RuntimeState == syncv1.RuntimeState_RUNTIME_STATE_READY:
			e.ready = append(e.ready, h)
		default:
			e.unready++
			if e.complaint == "" {
				e.complaint = h.RuntimeMessage
			}
		}
	}
	if len(e.ready) == 0 && ns.sleeps(c.model) {
		e.asleep, e.ready = true, ns.gateways
		e.connected += len(ns.gateways)
	}
	return e
}
