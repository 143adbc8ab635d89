// Package policies runs the controller's side of policies: it verifies what ConfigMaps declare, has policyconfig decide
// what should be used, tells hosts through the sync server, keeps what must outlive the controller, and decides statuses
// itself. Loop (controller/reconcile) tells it of ConfigMaps and asks it how statuses read; admin shows what it says.
//
// Invariants:
//   - Nothing is compiled or tried on the goroutine that decides: one worker does that, and what is no longer wanted by
//     the time it is done is dropped. So however fast ConfigMaps change, no work piles up.
//   - What a plan relies on is durable before hosts see the plan.
package policies

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policyconfig"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

const (
	// retryInterval is when a plan that could not be made durable is tried again.
	retryInterval = time.Second
	// reportInterval is how often the figures of the controller's own generations are looked at.
	reportInterval = 5 * time.Second
	// maxEvents that wait to be recorded; the oldest are dropped. Far more than policies ever cause between two passes.
	maxEvents = 1024
)

// Mesh is where hosts follow plans; *syncserver.Server is one.
type Mesh interface {
	SetPolicies(namespace string, plan *syncv1.PolicyPlan, modules map[string][]byte)
	PolicyHosts(namespace string) []syncserver.PolicyHost
	PoliciesChanged() <-chan struct{}
	Settled() bool
}

// Store keeps what must outlive the controller.
type Store interface {
	// SavePolicies returns once the record and the modules, by SHA-256 in hex, are durable; other modules are forgotten.
	SavePolicies(record []byte, modules map[string][]byte) error
}

// Restored is what the Store had at start; empty for nothing.
type Restored struct {
	Record  []byte
	Modules map[string][]byte
}

// Config of a Runner.
type Config struct {
	// Namespace of the mesh: policies are read from it, and its hosts follow them.
	Namespace string
	// Term of this controller, as in syncserver.Config.
	Term     uint64
	Engine   *engine.Engine
	Mesh     Mesh
	Store    Store
	Restored Restored
	Logger   *slog.Logger
}

// Runner runs. Run may be called once, Status by one goroutine at a time, the other methods from any.
type Runner struct {
	config   Config
	verifier *verifier
	status   *statusHook
	// wake has Run take a step; changed tells the loop that statuses, Events or annotations are new.
	wake, changed chan struct{}
	rollBacks     chan rollBack

	// Up to the lock, for Run's goroutine.
	machine      *policyconfig.Machine
	declarations []policyconfig.Declaration
	seen         map[*corev1.ConfigMap]policyconfig.Declaration
	verdicts     map[string]verdict
	saved        []byte
	// trouble is why what was last decided is not carried out; empty for nothing.
	trouble string

	mu sync.Mutex
	// declared is nil before the first Declare.
	declared []*corev1.ConfigMap
	known    bool
	policies []*adminv1.ListPoliciesResponse_Policy
	hooks    []*adminv1.ListPoliciesResponse_Hook
	events   []decide.Event
}

// verdict is one on a revision of a declaration.
type verdict struct {
	revision string
	*policyconfig.Verdict
}

// rollBack is a wish, and where the answer goes.
type rollBack struct {
	hook   string
	answer chan<- rolledBack
}

type rolledBack struct {
	message string
	err     error
}

// New makes a Runner. A status policy that was active before a restart decides from now on, so that statuses do not read
// otherwise for as long as it takes to compile it.
func New(ctx context.Context, config Config) (*Runner, error) {
	r := &Runner{
		config: config,
		wake:   make(chan struct{}, 1), changed: make(chan struct{}, 1), rollBacks: make(chan rollBack),
		seen: map[*corev1.ConfigMap]policyconfig.Declaration{}, verdicts: map[string]verdict{},
	}
	var err error
	if r.verifier, err = newVerifier(config.Engine); err != nil {
		return nil, fmt.Errorf("make policies: %w", err)
	}
	if r.status, err = newStatusHook(config.Engine, func() { signal(r.wake) }, config.Logger); err != nil {
		r.verifier.close()
		return nil, fmt.Errorf("make policies: %w", err)
	}
	builtIn := map[string]string{}
	for _, h := range knownHooks() {
		builtIn[h.String()] = builtin.Default(h).Name
	}
	r.machine = policyconfig.New(policyconfig.Config{Namespace: config.Namespace, Term: config.Term, BuiltIn: builtIn, Open: open})
	r.restore(ctx)
	return r, nil
}

// restore takes over what the controller before has left.
func (r *Runner) restore(ctx context.Context) {
	if len(r.config.Restored.Record) == 0 {
		return
	}
	if err := r.machine.Restore(r.config.Restored.Record, r.config.Restored.Modules); err != nil {
		r.config.Logger.Warn("policies of the controller before are forgotten in part or whole", "error", err)
	}
	if g := r.machine.Active(policyconfig.HookStatus); g != nil {
		r.status.apply(&syncv1.PolicyPlan{Entries: []*syncv1.PolicyPlan_Entry{
			{Generation: g.Meta, Role: syncv1.PolicyRole_POLICY_ROLE_ACTIVE},
		}})
		if p := r.status.prepare(ctx, g.Meta, r.module(g.Meta)); p != nil {
			r.status.adopt(g.Meta.GetId(), p)
		}
	}
}

// Close releases what New made; after Run has returned.
func (r *Runner) Close() {
	r.status.close()
	r.verifier.close()
}

// Declare says which ConfigMaps there are. They must not change afterwards.
func (r *Runner) Declare(all []*corev1.ConfigMap) {
	r.mu.Lock()
	r.declared, r.known = all, true
	r.mu.Unlock()
	signal(r.wake)
}

// Changed receives after what Status answers, Events or Annotations has changed. One reader.
func (r *Runner) Changed() <-chan struct{} { return r.changed }

// List answers what became of every policy, and what decides each hook.
func (r *Runner) List() ([]*adminv1.ListPoliciesResponse_Policy, []*adminv1.ListPoliciesResponse_Hook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.policies, r.hooks
}

// Annotations answers what should be written on each ConfigMap that holds a policy, such as "evict: programmed 2/2".
func (r *Runner) Annotations() map[decide.Key]string {
	policies, _ := r.List()
	return policyconfig.Annotations(r.config.Namespace, policies)
}

// TakeEvents answers the Events since it was last called.
func (r *Runner) TakeEvents() []decide.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// RollBack has a hook decided by what decided it before, and answers what that is, for people. The error wraps
// policyconfig.ErrNothingBefore when there is nothing before it.
func (r *Runner) RollBack(ctx context.Context, hook string) (string, error) {
	answer := make(chan rolledBack, 1)
	select {
	case r.rollBacks <- rollBack{hook, answer}:
		done := <-answer
		return done.message, done.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
