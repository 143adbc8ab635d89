package policies

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/policyconfig"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// Run takes steps until the context ends.
func (r *Runner) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	w := startWorker(ctx)
	defer func() {
		cancel()
		w.wait()
	}()
	for {
		next := r.step(time.Now())
		w.offer(r.work())
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-r.config.Mesh.PoliciesChanged():
		case finish := <-w.done:
			finish()
		case <-due(next):
		case b := <-r.rollBacks:
			b.answer <- r.rollBack(b.hook)
		}
	}
}

// errNotRead is answered by a controller that has just started.
var errNotRead = errors.New("the ConfigMaps have not been read yet: try again")

func (r *Runner) rollBack(hook string) rolledBack {
	if !r.read() {
		return rolledBack{err: fmt.Errorf("roll back hook %s: %w", hook, errNotRead)}
	}
	now := time.Now()
	message, err := r.machine.RollBack(hook, r.input(now))
	if err != nil {
		return rolledBack{err: err}
	}
	// Whoever asked is to see it in what is listed next, and to hear if it may be undone by a restart.
	if r.step(now); r.trouble != "" {
		return rolledBack{err: fmt.Errorf("roll back hook %s: not carried out yet, and tried again: %s", hook, r.trouble)}
	}
	return rolledBack{message: message}
}

// due receives at a time; never at the zero time.
func due(at time.Time) <-chan time.Time {
	if at.IsZero() {
		return nil
	}
	return time.After(time.Until(at))
}

// step decides and applies once. It answers when the next is due if nothing happens; zero for never.
func (r *Runner) step(now time.Time) (next time.Time) {
	if !r.read() {
		return time.Time{}
	}
	out := r.machine.Step(r.input(now))
	next = out.Next
	if err := r.carryOut(out); err != nil {
		if r.trouble != err.Error() {
			r.config.Logger.Error("policies are not carried out; trying again", "error", err)
		}
		r.trouble, next = err.Error(), now.Add(retryInterval)
	} else {
		r.trouble = ""
	}
	if len(out.Local.GetEntries()) > 0 {
		next = sooner(next, now.Add(reportInterval))
	}
	r.show(out)
	return next
}

// read makes declarations of the ConfigMaps; false before there are any to read.
func (r *Runner) read() bool {
	r.mu.Lock()
	declared, known := r.declared, r.known
	r.mu.Unlock()
	seen := make(map[*corev1.ConfigMap]policyconfig.Declaration, len(r.seen))
	r.declarations = r.declarations[:0]
	for _, cm := range declared {
		if !policyconfig.Declared(cm) {
			continue
		}
		d, before := r.seen[cm]
		if !before {
			d = policyconfig.Read(cm, r.config.Namespace)
		}
		seen[cm] = d
		r.declarations = append(r.declarations, d)
	}
	policyconfig.Sort(r.declarations)
	r.seen = seen
	return known
}

func (r *Runner) input(now time.Time) policyconfig.Input {
	in := policyconfig.Input{
		Now: now, Declarations: r.declarations, Verdicts: map[string]*policyconfig.Verdict{},
		// Asked before the hosts: one that connects in between must not be missed by a step that takes all for settled.
		Settled: r.config.Mesh.Settled(),
		Local:   r.status.report(now),
	}
	kept := make(map[string]verdict, len(r.verdicts))
	for _, d := range r.declarations {
		if v, found := r.verdicts[d.Name]; found && v.revision == d.Revision {
			kept[d.Name] = v
			in.Verdicts[d.Name] = v.Verdict
		}
	}
	r.verdicts = kept
	for _, h := range r.config.Mesh.PolicyHosts(r.config.Namespace) {
		in.Hosts = append(in.Hosts, policyconfig.Host{ID: h.ID, Report: h.Report})
	}
	return in
}

// carryOut makes a step durable, and then tells those who follow plans.
func (r *Runner) carryOut(out policyconfig.Output) error {
	record, modules := r.machine.Memory()
	if !bytes.Equal(record, r.saved) {
		if err := r.config.Store.SavePolicies(record, modules); err != nil {
			return fmt.Errorf("save policies: %w", err)
		}
		r.saved = record
	}
	r.config.Mesh.SetPolicies(r.config.Namespace, out.Plan, r.machine.Modules())
	if out.Local != r.status.plan {
		r.status.apply(out.Local)
		signal(r.wake) // What the plan has changed is reported, as a host would.
		signal(r.changed)
	}
	return nil
}

// show takes over what operators are told.
func (r *Runner) show(out policyconfig.Output) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(out.Events) > 0 || !samePhases(r.policies, out.Policies) {
		signal(r.changed)
	}
	r.policies, r.hooks = out.Policies, out.Hooks
	r.events = append(r.events, out.Events...)
	r.events = r.events[max(0, len(r.events)-maxEvents):]
}

// samePhases leaves figures aside, which change all the time.
func samePhases(a, b []*adminv1.ListPoliciesResponse_Policy) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].GetPhase() != b[i].GetPhase() || a[i].GetName() != b[i].GetName() || a[i].GetHook() != b[i].GetHook() ||
			a[i].GetMessage() != b[i].GetMessage() ||
			a[i].GetProgrammed() != b[i].GetProgrammed() || a[i].GetHosts() != b[i].GetHosts() {
			return false
		}
	}
	return true
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// signal fills a channel of capacity one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
