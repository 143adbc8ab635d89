package policyconfig

import (
	"time"

	"github.com/wasmesh/wasmesh/controller/decide"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Input is one consistent look at everything that a step depends on.
type Input struct {
	Now time.Time
	// Declarations of all policies, sorted by name.
	Declarations []Declaration
	// Verdicts on the present revision of each, by name; one that is absent is being verified.
	Verdicts map[string]*Verdict
	// Hosts of the namespace that are connected, sorted by id.
	Hosts []Host
	// Local is what the controller says of the hooks that it decides itself.
	Local *syncv1.PolicyReport
	// Settled is false until the hosts known before a restart have had the time to connect: what few of them can prepare
	// is not what all of them can.
	Settled bool
}

// Host is what one host has made of the plan.
type Host struct {
	ID string
	// Report is nil while it has said nothing.
	Report *syncv1.PolicyReport
}

// localID is the host id under which the controller's own hooks are listed.
const localID = "controller"

// Output is what should be.
type Output struct {
	// Plan for hosts, and Local for the controller itself. Unchanged when nothing has changed.
	Plan, Local *syncv1.PolicyPlan
	// Policies and Hooks are what operators are told.
	Policies []*adminv1.ListPoliciesResponse_Policy
	Hooks    []*adminv1.ListPoliciesResponse_Hook
	// Events to record, in order; about ConfigMaps.
	Events []decide.Event
	// Next is when Step must be called if nothing happens before; zero for never.
	Next time.Time
}

// Config of a Machine.
type Config struct {
	// Namespace of the ConfigMaps.
	Namespace string
	// Term of the plans' versions: larger than that of any controller before.
	Term uint64
	// BuiltIn is the name of each hook's built-in policy.
	BuiltIn map[string]string
	// Open makes a module of what a ConfigMap stores of it, which is inflated if need be; it was verified, so that this
	// succeeds.
	Open func(stored []byte) ([]byte, error)
}

// Machine holds the state from one step to the next. One goroutine at a time may use it.
type Machine struct {
	config Config
	hooks  map[string]*hookState
	marks  map[claimKey]mark
	// toHosts and toSelf number the plans.
	toHosts, toSelf planBook
	// shown is what was last said of each policy.
	shown map[claimKey]shown
	// opened modules by digest, as Modules last answered them.
	opened map[string][]byte
	// next collects the deadlines of a step.
	next time.Time
}

// claimKey is one policy's claim to one hook. The hook is empty while nobody knows which the module implements.
type claimKey struct{ hook, policy string }

// mark keeps a revision of a policy from deciding a hook.
type mark struct {
	revision string
	// phase is INVALID, ROLLED_BACK or SUSPENDED; the last two are durable.
	phase   adminv1.PolicyPhase
	message string
	// generation that was taken back.
	generation string
	since      time.Time
}

// holds says that the hook stays with what the marked generation was taken back to.
func (k mark) holds() bool {
	return k.phase == adminv1.PolicyPhase_POLICY_PHASE_ROLLED_BACK || k.phase == adminv1.PolicyPhase_POLICY_PHASE_SUSPENDED
}

// hookState is what decides one hook, and what is to.
type hookState struct {
	hook string
	// active decides; nil is the built-in policy. previous decided before it; it is nil when active is.
	active, previous *Generation
	// pinned: active was taken back to after its ConfigMap had gone, and lives as long as the mark that did it.
	pinned bool
	// reached: active has been in use on every connected host. proven: so it was once, or it is what was taken back to.
	// Before that, a host that cannot use it takes it back: the barrier was passed without that host.
	reached, proven bool
	// candidate is being prepared by hosts since then.
	candidate *Generation
	since     time.Time
	shadow    *Generation
	// owner is the policy whose claim counts, shadowOwner that of the shadow.
	owner, shadowOwner string
}

// New makes a Machine without memory.
func New(config Config) *Machine {
	m := &Machine{
		config: config, hooks: map[string]*hookState{}, marks: map[claimKey]mark{}, shown: map[claimKey]shown{},
		toHosts: newPlanBook(config.Term), toSelf: newPlanBook(config.Term),
	}
	for _, hook := range hooks() {
		m.hooks[hook] = &hookState{hook: hook}
	}
	return m
}

// Step takes the state to where the inputs lead. It depends on nothing else, and a second step with the same inputs
// changes nothing.
func (m *Machine) Step(in Input) Output {
	m.next = time.Time{}
	m.forgetMarks(in)
	claims := m.claims(in)
	for _, hook := range hooks() {
		h := m.hooks[hook]
		m.dropRemoved(h, claims[hook])
		m.rollBack(h, claims[hook], in)
		m.elect(h, claims[hook], unread(claims), in)
		m.electShadow(h, claims[hook], in)
	}
	out := Output{Plan: m.toHosts.plan(m.entries(false)), Local: m.toSelf.plan(m.entries(true))}
	for _, h := range m.hooks {
		m.noteReached(h, in)
	}
	out.Policies, out.Events = m.policies(claims, in)
	out.Hooks = m.hookRows()
	out.Next = m.next
	return out
}

// due makes a deadline one at which Step must be called.
func (m *Machine) due(at time.Time) {
	if m.next.IsZero() || at.Before(m.next) {
		m.next = at
	}
}

// forgetMarks of policies that are gone or have changed.
func (m *Machine) forgetMarks(in Input) {
	present := make(map[string]string, len(in.Declarations))
	for _, d := range in.Declarations {
		present[d.Name] = d.Revision
	}
	for key, k := range m.marks {
		if present[key.policy] != k.revision {
			delete(m.marks, key)
		}
	}
}
