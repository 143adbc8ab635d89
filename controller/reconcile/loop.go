// Package reconcile is the controller's loop: gather what is declared and what hosts report, decide, apply. It holds the
// state that one pass hands to the next (active models, statuses, plans, Events) and shows it to operators as a View.
// The standalone controller composes it with the directory source, the one of a cluster with informers.
//
// Invariants:
//   - What must be durable is durable before the rows that rely on it are published.
//   - The loop is level-triggered: signals only say that a pass is due, and a pass looks at everything.
//   - A View and everything reachable from it never changes after it has been handed out.
package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/source"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// passInterval is the least time between two passes.
	passInterval = 50 * time.Millisecond
	// gatherReports is how long the reports of hosts wait for more of them. A load is reported as queued, loading and loaded
	// within moments, and what it does to statuses can wait; the pass would take the CPU that the load's own requests want.
	gatherReports = 100 * time.Millisecond
	// retryInterval is when a pass that could not make its result durable is tried again.
	retryInterval = time.Second
	// statusSaveDelay gathers the changes of statuses for one write. Losing the last second of them costs a
	// lastTransitionTime, nothing else: they are decided again.
	statusSaveDelay = time.Second
)

// Source of what is declared; *directory.Source is one.
type Source interface {
	Snapshot() *source.Snapshot
	Changed() <-chan struct{}
}

// Store keeps what must outlive the controller. What it is given is never changed afterwards, by neither side.
type Store interface {
	// SaveDecision returns once what active and refused have of the keys in changing is durable; the rest may follow. Keys that
	// are absent are forgotten.
	SaveDecision(active map[decide.Key]*syncv1.Model, refused map[decide.Key]string, changing map[decide.Key]bool) error
	SaveStatuses(Statuses) error
	SaveHosts([]syncserver.HostKey) error
}

// Sleep says which runtimes sleep; *servingruntime.Sleep is one.
type Sleep interface {
	// Asleep is decide.Input.Asleep. The answer never changes.
	Asleep() map[decide.Key]bool
	// Changed receives after the answer of Asleep has changed. One reader.
	Changed() <-chan struct{}
}

// Recorder takes Events to where people look for them. Record must not block.
type Recorder interface {
	Record(decide.Event)
}

// Restored is what the Store had at start.
type Restored struct {
	Active   map[decide.Key]*syncv1.Model
	Refused  map[decide.Key]string
	Statuses Statuses
}

// Config of a Loop.
type Config struct {
	Source Source
	Mesh   *syncserver.Server
	Store  Store
	// Policies is nil where there are none: then the built-in policy decides how statuses read.
	Policies Policies
	// Sleep is nil where runtimes do not sleep.
	Sleep    Sleep
	Restored Restored
	// Recorder is given every Event as well; nil for none.
	Recorder Recorder
	// Endpoints in statuses, unless the Snapshot has others.
	Endpoints decide.Endpoints
	Logger    *slog.Logger
}

// View is what operators are shown, and what reconcilers carry out.
type View struct {
	// Objects with their status, sorted by namespace and name. One that has not changed since the View before, nor its status,
	// is the same pointer.
	Objects decide.Objects
	// Active and Refused are what memory has of each InferenceService and Predictor: see decide.Output. A value that has not
	// changed is the same pointer.
	Active  map[decide.Key]*syncv1.Model
	Refused map[decide.Key]string
	// Raw is source.Snapshot.Raw.
	Raw      map[decide.Key][]byte
	Warnings []source.Warning
	// Plan is the runtimes that should run.
	Plan []*adminv1.RuntimePlan
	// Waited are the runtimes that requests wait for, as decide.Output has them.
	Waited []decide.Key
	// AnnotationFaults says which annotations of each InferenceService and Predictor are not followed.
	AnnotationFaults map[decide.Key][]string
	// Annotations says what became of each ConfigMap that holds a policy, such as "evict: programmed 2/2".
	Annotations map[decide.Key]string
}

// Loop runs passes. View and Events may be called from any goroutine, Run once.
type Loop struct {
	config Config
	events *recorder

	// The rest, up to the lock, belongs to Run's goroutine.
	snapshot *source.Snapshot
	objects  decide.Objects
	statuses Statuses
	identity identities
	shown    shown
	active   map[decide.Key]*syncv1.Model
	refused  map[decide.Key]string
	faults   map[decide.Key]string
	// annotationFaults are those of the last decision.
	annotationFaults map[decide.Key][]string
	// refuted are the failures that the last decision held against no model.
	refuted map[decide.FailedCopy]bool
	// memo spares the next decision what has not changed.
	memo   *decide.Memo
	plan   []*adminv1.RuntimePlan
	waited []decide.Key
	known  []syncserver.HostKey
	// annotations of ConfigMaps.
	annotations map[decide.Key]string
	// trouble is why the last pass could not be applied, for operators; empty for none.
	trouble string
	// saveStatusesAt is zero when all statuses are saved.
	saveStatusesAt time.Time

	mu      sync.Mutex
	view    *View
	changed chan struct{}
}

// New makes a Loop.
func New(config Config) *Loop {
	return &Loop{
		config:   config,
		identity: identities{},
		shown:    newShown(),
		events:   newRecorder(),
		statuses: config.Restored.Statuses.clone(),
		active:   config.Restored.Active,
		refused:  config.Restored.Refused,
		changed:  make(chan struct{}),
	}
}

// View answers the newest view, nil before the first pass, and a channel that is closed when there is a newer one.
func (l *Loop) View() (*View, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view, l.changed
}

// Events about one object, oldest first.
func (l *Loop) Events(object decide.Key) []Event { return l.events.list(object) }

// Run makes passes until the context ends, and then saves what is left to save.
func (l *Loop) Run(ctx context.Context) error {
	for {
		began := time.Now()
		next := l.pass(began)
		// Whatever is signalled meanwhile waits in its channel. A pass over very many objects takes its time; as much is then
		// left to those who write what it decided.
		if !sleep(ctx, max(passInterval, time.Since(began))) || !l.wait(ctx, next) {
			return l.saveStatuses()
		}
	}
}

// wait blocks until a pass is due; false when the context ended. What was declared does not wait.
func (l *Loop) wait(ctx context.Context, next time.Time) bool {
	var gathered <-chan time.Time
	reports := l.config.Mesh.Changed()
	var due <-chan time.Time
	if !next.IsZero() {
		due = time.After(time.Until(next))
	}
	var policies, sleepers <-chan struct{}
	if l.config.Policies != nil {
		policies = l.config.Policies.Changed()
	}
	if l.config.Sleep != nil {
		sleepers = l.config.Sleep.Changed()
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-reports:
			reports, gathered = nil, time.After(gatherReports)
			continue
		case <-gathered:
		case <-l.config.Source.Changed():
		case <-policies:
		case <-sleepers:
		case <-due:
		}
		return true
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// pass gathers, decides and applies once. It answers when the next is due if nothing happens; zero for never.
func (l *Loop) pass(now time.Time) (next time.Time) {
	changed := l.gather(now)
	changed = l.hearPolicies(now) || changed
	// Asked before Hosts: a report that arrives in between must not settle what this look has not seen of it.
	settled := l.config.Mesh.Settled()
	in := decide.Input{
		Now:       now,
		Objects:   l.objects,
		Hosts:     l.config.Mesh.Hosts(),
		Active:    l.active,
		Published: l.config.Mesh.Published(),
		Refused:   l.refused,
		Faults:    l.faults,
		Endpoints: l.endpoints(),
		Settled:   settled,

		AnnotationFaults: l.annotationFaults,
		Refuted:          l.refuted,
		Memo:             l.memo,
	}
	if l.config.Policies != nil {
		// Asked before Status: what changes in between is asked about again.
		in.Status, in.StatusVersion = l.config.Policies.Status, l.config.Policies.StatusVersion()
	}
	if l.config.Sleep != nil {
		in.Asleep = l.config.Sleep.Asleep()
	}
	out := decide.Decide(in)
	trouble := ""
	keepPointers(out.Active, l.active)
	if err := l.apply(out); err != nil {
		trouble = err.Error()
		next = now.Add(retryInterval)
		if trouble != l.trouble {
			l.config.Logger.Error("decisions are not carried out; trying again", "error", err)
		}
	} else {
		changed = l.take(now, out) || changed
	}
	changed = changed || trouble != l.trouble
	l.trouble = trouble
	if changed || l.view == nil {
		l.show()
	}
	return sooner(next, l.saveLater(now))
}

// gather takes a new snapshot over; it answers whether there was one.
func (l *Loop) gather(now time.Time) bool {
	snapshot := l.config.Source.Snapshot()
	if snapshot == l.snapshot {
		return false
	}
	l.snapshot = snapshot
	l.forgetReplaced()
	if l.statuses.keepOnly(snapshot.Objects) {
		l.statusesChanged(now)
	}
	l.objects = l.shown.onto(snapshot.Objects, l.statuses)
	l.config.Mesh.SetCredentials(snapshot.StorageConfig)
	if l.config.Policies != nil {
		l.config.Policies.Declare(snapshot.ConfigMaps)
	}
	return true
}

// endpoints are the Snapshot's, which may change.
func (l *Loop) endpoints() decide.Endpoints { return cmp.Or(l.snapshot.Endpoints, l.config.Endpoints) }

// apply carries a decision out, in the order that a crash at any point allows. When it fails, nothing of the decision
// has been taken over, and the next pass decides it again.
func (l *Loop) apply(out decide.Output) error {
	if err := l.config.Store.SaveDecision(out.Active, out.Refused, out.Changing); err != nil {
		return fmt.Errorf("save decision: %w", err)
	}
	if err := l.config.Mesh.Publish(out.Rows); err != nil {
		return err
	}
	known := l.config.Mesh.Known()
	if !slices.Equal(known, l.known) {
		if err := l.config.Store.SaveHosts(known); err != nil {
			return fmt.Errorf("save hosts: %w", err)
		}
		l.known = known
	}
	return nil
}

// take hands a decision that was carried out to the next pass; it answers whether operators see anything new.
func (l *Loop) take(now time.Time, out decide.Output) bool {
	remembered := !sameMemory(l.active, out.Active) || !maps.Equal(l.refused, out.Refused)
	l.active, l.refused, l.faults = out.Active, out.Refused, out.Faults
	l.record(now, out.Events)
	if l.config.Policies != nil {
		l.config.Policies.Contradicted(out.Contradictions)
	}
	changed := remembered || !maps.EqualFunc(l.annotationFaults, out.AnnotationFaults, slices.Equal)
	l.annotationFaults, l.refuted, l.memo = out.AnnotationFaults, out.Refuted, out.Memo
	if !slices.EqualFunc(l.plan, out.Runtimes, samePlan) {
		l.plan, changed = out.Runtimes, true
	}
	if !slices.Equal(l.waited, out.Waited) {
		l.waited, changed = out.Waited, true
	}
	if len(out.InferenceServices)+len(out.Predictors) > 0 {
		l.statuses.set(out)
		l.shown.forget(out)
		l.objects = l.shown.onto(l.snapshot.Objects, l.statuses)
		l.statusesChanged(now)
		changed = true
	}
	return changed
}

func (l *Loop) statusesChanged(now time.Time) {
	if l.saveStatusesAt.IsZero() {
		l.saveStatusesAt = now.Add(statusSaveDelay)
	}
}

// saveLater saves the statuses if that is due; it answers when it will be.
func (l *Loop) saveLater(now time.Time) time.Time {
	if l.saveStatusesAt.IsZero() || now.Before(l.saveStatusesAt) {
		return l.saveStatusesAt
	}
	if err := l.saveStatuses(); err != nil {
		l.config.Logger.Error("statuses are not kept for the next start", "error", err)
		l.saveStatusesAt = now.Add(retryInterval)
	}
	return l.saveStatusesAt
}

func (l *Loop) saveStatuses() error {
	if l.saveStatusesAt.IsZero() {
		return nil
	}
	if err := l.config.Store.SaveStatuses(l.statuses.clone()); err != nil {
		return fmt.Errorf("save statuses: %w", err)
	}
	l.saveStatusesAt = time.Time{}
	return nil
}

// show makes a View of the present state.
func (l *Loop) show() {
	view := &View{
		Objects: l.objects, Active: l.active, Refused: l.refused, Raw: l.snapshot.Raw, Warnings: l.snapshot.Warnings, Plan: l.plan,
		Waited:      l.waited,
		Annotations: l.annotations, AnnotationFaults: l.annotationFaults,
	}
	if l.trouble != "" {
		view.Warnings = append(slices.Clip(view.Warnings), source.Warning{File: "controller", Message: l.trouble})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.view = view
	close(l.changed)
	l.changed = make(chan struct{})
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
