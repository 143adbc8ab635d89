package policyconfig

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// claim is one declaration's wish to decide, or to shadow, one hook.
type claim struct {
	key    claimKey
	shadow bool
	// revision of the declaration.
	revision string
	// pending: it is being verified. Otherwise either fault says why it cannot be used, or generation is set.
	pending    bool
	fault      string
	generation *Generation
}

// claims of all declarations by hook, in the order of their names.
func (m *Machine) claims(in Input) map[string][]claim {
	byHook := map[string][]claim{}
	for _, d := range in.Declarations {
		v := in.Verdicts[d.Name]
		for _, hook := range m.claimed(d, v) {
			c := claim{key: claimKey{hook, d.Name}, shadow: d.Shadow, revision: d.Revision}
			switch {
			case d.Fault != "":
				c.fault = Clip(d.Fault)
			case v == nil:
				c.pending = true
			case v.Fault != "":
				c.fault = Clip(v.Fault)
			case v.Faults[hook] != "":
				c.fault = Clip(v.Faults[hook])
			default:
				c.generation = newGeneration(d, v, hook)
			}
			// What decides becomes a shadow when that is known to be one.
			c.shadow = c.shadow && (c.generation != nil || !m.decides(hook, d.Name))
			byHook[hook] = append(byHook[hook], c)
		}
	}
	return byHook
}

// claimed answers the hooks that a declaration is for. While it is not known to be a policy, these are the ones that it
// names and those that it decides: an edit that breaks something must not end what was decided before. When it names none,
// it is listed for those for which it was.
func (m *Machine) claimed(d Declaration, v *Verdict) []string {
	if d.Fault == "" && v != nil && v.Fault == "" {
		return v.Hooks
	}
	var claimed []string
	for _, hook := range hooks() {
		key := claimKey{hook, d.Name}
		_, before := m.shown[key]
		_, marked := m.marks[key]
		if slices.Contains(d.Hooks, hook) || m.decides(hook, d.Name) || len(d.Hooks) == 0 && (before || marked) {
			claimed = append(claimed, hook)
		}
	}
	if len(claimed) == 0 {
		return []string{""}
	}
	return claimed
}

// decides says that a hook is decided by a generation of the policy.
func (m *Machine) decides(hook, policy string) bool {
	h := m.hooks[hook]
	return h != nil && h.active.policy() == policy
}

// dropRemoved returns a hook to the built-in policy when the ConfigMap of what decides it is gone, or is no longer for
// this hook, unless another says the very same.
func (m *Machine) dropRemoved(h *hookState, claims []claim) {
	if h.active == nil {
		return
	}
	claimed := slices.ContainsFunc(claims, func(c claim) bool { return !c.shadow && c.key.policy == h.active.policy() })
	held := slices.ContainsFunc(claims, func(c claim) bool { return m.marks[c.key].holds() })
	if claimed || h.pinned && held {
		return
	}
	for _, c := range claims {
		if _, marked := m.marks[c.key]; !c.shadow && !marked && c.generation != nil && c.generation.id() == h.active.id() {
			h.active, h.pinned = c.generation, false
			return
		}
	}
	h.use(nil)
}

// use has a generation decide, and forgets what did before.
func (h *hookState) use(g *Generation) {
	h.active, h.previous, h.pinned, h.reached, h.proven = g, nil, false, false, false
}

// unread answers the first policy of which nobody knows yet what it is for; "" when there is none.
func unread(claims map[string][]claim) string {
	for _, c := range claims[""] {
		if c.pending && !c.shadow {
			return c.key.policy
		}
	}
	return ""
}

// elect finds who should decide, and takes a candidate through the barrier. It waits for a policy that may turn out to go
// before.
func (m *Machine) elect(h *hookState, claims []claim, unread string, in Input) {
	for {
		var want *claim
		h.owner, want = m.winner(h, claims)
		if want != nil && unread != "" && unread < want.key.policy && want.generation.id() != h.active.id() {
			want = nil
		}
		if want == nil {
			h.candidate = nil
			return
		}
		if want.generation.id() == h.active.id() {
			h.active, h.candidate = want.generation, nil // Of another revision perhaps, with the same effect.
			return
		}
		if want.generation.id() != h.candidate.id() {
			h.since = in.Now
		}
		h.candidate = want.generation
		passed, fault := m.barrier(h, in)
		if fault != "" {
			m.marks[want.key] = mark{
				revision: want.revision, phase: adminv1.PolicyPhase_POLICY_PHASE_INVALID, message: fault, since: in.Now,
			}
			continue
		}
		if passed {
			before := h.active
			h.use(h.candidate)
			h.previous, h.candidate = before, nil
		}
		return
	}
}

// winner answers the policy that has the hook: the one of the lowest name, those that cannot be used left out unless it
// is by one of theirs that the hook is decided. Without a claim to be followed, what decides now decides on.
func (m *Machine) winner(h *hookState, claims []claim) (owner string, want *claim) {
	for i, c := range claims {
		k, marked := m.marks[c.key]
		switch {
		case c.shadow:
		case k.holds(), c.pending:
			return c.key.policy, nil
		case c.fault == "" && !marked:
			return c.key.policy, &claims[i]
		case h.active.policy() == c.key.policy:
			return c.key.policy, nil
		}
	}
	return "", nil
}

// barrier tells whether the candidate may decide, or why it cannot.
func (m *Machine) barrier(h *hookState, in Input) (passed bool, fault string) {
	reporters := reportersOf(h.hook, in)
	ready := 0
	for _, r := range reporters {
		e := m.entry(r, h.candidate)
		switch e.GetState() {
		case syncv1.GenerationState_GENERATION_STATE_FAILED, syncv1.GenerationState_GENERATION_STATE_DEGRADED:
			return false, blame(r, e)
		case syncv1.GenerationState_GENERATION_STATE_PREFLIGHTED, syncv1.GenerationState_GENERATION_STATE_ACTIVE,
			syncv1.GenerationState_GENERATION_STATE_SHADOWING:
			ready++
		}
	}
	timeout := h.since.Add(BarrierTimeout)
	switch {
	case !local(h.hook) && !in.Settled:
		return false, ""
	case ready > 0 && ready == len(reporters):
		return true, ""
	case in.Now.Before(timeout):
		m.due(timeout)
		return false, ""
	}
	return ready > 0, ""
}

// electShadow finds whom to compare with. One that a host cannot use is invalid; it decides nothing that could be lost.
func (m *Machine) electShadow(h *hookState, claims []claim, in Input) {
	h.shadow, h.shadowOwner = nil, ""
	for _, c := range claims {
		if _, marked := m.marks[c.key]; !c.shadow || marked || c.fault != "" {
			continue
		}
		h.shadowOwner = c.key.policy
		if c.pending {
			return
		}
		fault := m.failure(c.generation, reportersOf(h.hook, in))
		if fault == "" {
			h.shadow = c.generation
			return
		}
		m.marks[c.key] = mark{
			revision: c.revision, phase: adminv1.PolicyPhase_POLICY_PHASE_INVALID, message: fault, since: in.Now,
		}
		h.shadowOwner = ""
	}
}

// failure is why a generation is of no use on some host; "" when it is.
func (m *Machine) failure(g *Generation, reporters []Host) string {
	for _, r := range reporters {
		switch e := m.entry(r, g); e.GetState() {
		case syncv1.GenerationState_GENERATION_STATE_FAILED, syncv1.GenerationState_GENERATION_STATE_DEGRADED:
			return blame(r, e)
		}
	}
	return ""
}

// rollBack takes back a generation that fails too often on some host, or that a host which was slow to prepare it turns
// out to be unable to use. Of hosts that come once it has been in use everywhere, one that cannot is no reason to: that
// host's built-in policy decides there.
func (m *Machine) rollBack(h *hookState, claims []claim, in Input) {
	for h.active != nil {
		message := ""
		for _, r := range reportersOf(h.hook, in) {
			e := m.entry(r, h.active)
			degraded := e.GetState() == syncv1.GenerationState_GENERATION_STATE_DEGRADED
			if failed := e.GetState() == syncv1.GenerationState_GENERATION_STATE_FAILED; degraded || failed && !h.proven {
				message = blame(r, e)
				break
			}
		}
		if message == "" {
			return
		}
		m.takeBack(h, claims, mark{
			phase: adminv1.PolicyPhase_POLICY_PHASE_ROLLED_BACK, message: message, since: in.Now,
		})
	}
}

// takeBack has the hook decided by what decided it before. The mark keeps the policy from coming back as it is; a policy
// that has changed since needs none.
func (m *Machine) takeBack(h *hookState, claims []claim, why mark) {
	bad := h.active
	h.use(h.previous)
	h.proven = true
	isOf := func(g *Generation) func(claim) bool {
		return func(c claim) bool { return !c.shadow && c.key.policy == g.policy() }
	}
	h.pinned = h.active != nil && !slices.ContainsFunc(claims, isOf(h.active))
	at := slices.IndexFunc(claims, isOf(bad))
	if at < 0 || claims[at].revision != bad.Revision {
		return
	}
	why.revision, why.generation = bad.Revision, bad.id()
	m.marks[claims[at].key] = why
}

// ErrNothingBefore says that a hook is decided by the built-in policy, which nothing can take back.
var ErrNothingBefore = errors.New("the built-in policy decides: there is nothing before it")

// ErrUnknownHook says that no policy can decide a hook of that name.
var ErrUnknownHook = errors.New("unknown hook")

// RollBack takes back what decides a hook, on somebody's wish. It answers what decides now, for people. Step must be
// called afterwards, with the same inputs but for the time.
func (m *Machine) RollBack(hook string, in Input) (string, error) {
	h := m.hooks[hook]
	if h == nil {
		return "", fmt.Errorf("roll back %q: %w: it is none of %s", hook, ErrUnknownHook, strings.Join(hooks(), ", "))
	}
	if h.active == nil {
		return "", fmt.Errorf("roll back hook %s: %w", hook, ErrNothingBefore)
	}
	bad := h.active
	m.takeBack(h, m.claims(in)[hook], mark{
		phase:   adminv1.PolicyPhase_POLICY_PHASE_SUSPENDED,
		message: fmt.Sprintf("generation %s was taken back by hand; it stays so until the ConfigMap changes", bad.id()),
		since:   in.Now,
	})
	return fmt.Sprintf("%s is decided by %s", hook, m.decider(h)), nil
}

// decider names what decides a hook.
func (m *Machine) decider(h *hookState) string {
	if h.active == nil {
		return "the built-in policy " + m.config.BuiltIn[h.hook]
	}
	return fmt.Sprintf("generation %s of policy %s", h.active.id(), h.active.policy())
}
