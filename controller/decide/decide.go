// Package decide (pure) is the controller's one decision: from everything declared, everything that hosts reported and
// what was decided before, it makes the catalog, the statuses, the runtimes that must run and the Events. The directory
// source and the Kubernetes reconcilers only feed it and apply what it answers.
//
// Invariants:
//   - Equal Inputs give equal Outputs, and an Output that was applied gives, decided again, nothing new to do.
//   - No object, however wrong, changes the rows or the status of another.
//   - A model that answers under a name is only given up for one that is loaded, or when it cannot answer itself. A status
//     policy has no part in that.
//
// An Output shares memory with its Input; both are never changed.
package decide

import (
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Decide answers what should be. It is called on every change of an object or report, and keeps nothing but what it answers
// as Output.Memo.
func Decide(in Input) Output {
	all := gather(in)
	d := &decision{in: in, world: newWorld(in, all)}
	d.memo = d.newMemo()
	d.out = Output{
		Active:            make(map[Key]*syncv1.Model, len(all)),
		Refused:           map[Key]string{},
		Changing:          map[Key]bool{},
		Faults:            d.world.faults,
		Refuted:           d.world.refuted,
		AnnotationFaults:  map[Key][]string{},
		InferenceServices: map[Key]v1beta1.InferenceServiceStatus{},
		Predictors:        map[Key]v1alpha1.PredictorStatus{},
		Events:            faultEvents(in.Faults, d.world.faults),
	}
	for _, a := range all {
		d.decide(a)
	}
	d.annotationEvents(all)
	d.out.Rows, d.out.Memo = sortedRows(d.aliases, d.models), d.memo
	d.out.Runtimes, d.out.Waited = d.world.plans(), d.world.waited()
	return d.out
}

// decision is one run of Decide.
type decision struct {
	in    Input
	world *world
	out   Output
	// memo becomes Output.Memo, aliases and models Output.Rows.
	memo            *Memo
	aliases, models []*syncv1.Row
	statusScratch
}

// decide does everything that follows from one object.
func (d *decision) decide(a *alias) {
	ns := d.world.namespaces[a.key.Namespace]
	if s := d.steady(ns, a); s != nil {
		d.repeat(ns, a, s)
		return
	}
	extent := d.extent()
	c := d.change(ns, a)
	d.publish(ns, a, c)
	if len(a.annotationFaults) > 0 {
		d.out.AnnotationFaults[a.key] = a.annotationFaults
	}
	if c.switchedFrom != "" {
		d.out.Events = append(d.out.Events, switchedEvent(a.key, c))
	}
	if d.in.Settled || c.hopeless() {
		after := a.standing(c, d.judge(ns, a, c), d.in.Now)
		d.out.Events = append(d.out.Events, transitionEvents(a.key, step{a.before, after, c})...)
		d.write(a, after)
	}
	d.keep(ns, a, c, d.extent() == extent)
}

// publish puts the object's rows into the catalog, and what must outlive the controller beside it.
func (d *decision) publish(ns *namespace, a *alias, c change) {
	if a.homeless {
		return
	}
	d.aliases = append(d.aliases, aliasRow(a, c))
	if c.active == nil {
		return
	}
	d.out.Active[a.key] = c.active.durable
	if c.target != nil || a.spec == nil {
		d.out.Changing[a.key] = true
	}
	if c.refused != "" {
		d.out.Refused[a.key] = c.refused
	}
	d.models = append(d.models, modelRow(c.active.model))
	ns.need(c.active.model)
	if c.target != nil {
		d.models = append(d.models, modelRow(c.target.model))
		ns.need(c.target.model)
	}
}

// write puts the object's new status into the Output if it says anything that the present one does not.
func (d *decision) write(a *alias, after standing) {
	switch {
	case a.inferenceService != nil:
		status := inferenceServiceStatus(a.inferenceService, after, d.in.Endpoints, d.in.Now)
		if !sameStatus(status, a.inferenceService.Status) {
			d.out.InferenceServices[a.key] = status
		}
	case a.predictor != nil:
		status := predictorStatus(a.predictor, after, d.in.Endpoints)
		if !sameStatus(status, a.predictor.Status) {
			d.out.Predictors[a.key] = status
		}
	}
}
