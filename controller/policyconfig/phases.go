package policyconfig

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/controller/decide"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Reasons of Events, about the ConfigMap.
const (
	// EventProgrammed: it decides on every connected host.
	EventProgrammed = "PolicyProgrammed"
	// EventShadowing: its answers are compared.
	EventShadowing = "PolicyShadowing"
	// EventRefused: it cannot be used.
	EventRefused = "PolicyRefused"
	// EventConflict: another ConfigMap has the hook.
	EventConflict = "PolicyConflict"
	// EventRolledBack: it decided, failed, and was taken back.
	EventRolledBack = "PolicyRolledBack"
	// EventSuspended: a person has taken it back.
	EventSuspended = "PolicySuspended"
	// EventRemoved: its ConfigMap is gone, or is no longer for the hook.
	EventRemoved = "PolicyRemoved"
)

// Messages of a policy with which nothing is wrong.
const (
	messagePreparing = "being prepared"
	messageNoHost    = "waiting for a host to connect"
)

// KindConfigMap is the kind of the object of every Event.
const KindConfigMap = "ConfigMap"

// shown is what operators were last told of a policy.
type shown struct {
	phase      adminv1.PolicyPhase
	generation string
	message    string
	since      time.Time
}

// policies makes a row of every claim, sorted by hook and name, and Events of what differs from the rows before.
func (m *Machine) policies(claims map[string][]claim, in Input) ([]*adminv1.ListPoliciesResponse_Policy, []decide.Event) {
	var rows []*adminv1.ListPoliciesResponse_Policy
	var events []decide.Event
	now := map[claimKey]shown{}
	for hook, of := range claims {
		for _, c := range of {
			row := m.policy(m.hooks[hook], c, in)
			s := shown{row.Phase, row.GetGeneration().GetId(), row.Message, in.Now}
			before := m.shown[c.key]
			same := before.phase == s.phase && before.generation == s.generation
			if same {
				s.since = before.since
			}
			e, is := m.eventOf(row)
			if is && (!same || e.Type == corev1.EventTypeWarning && before.message != s.message) {
				events = append(events, e)
			}
			row.SinceMs = s.since.UnixMilli()
			now[c.key] = s
			rows = append(rows, row)
		}
	}
	events = append(events, m.removed(now)...)
	m.shown = now
	slices.SortFunc(rows, func(a, b *adminv1.ListPoliciesResponse_Policy) int {
		return cmp.Or(cmp.Compare(a.Hook, b.Hook), cmp.Compare(a.Name, b.Name))
	})
	slices.SortStableFunc(events, func(a, b decide.Event) int {
		return cmp.Or(cmp.Compare(a.Object.Name, b.Object.Name), cmp.Compare(a.Message, b.Message))
	})
	return rows, events
}

// policy makes the row of one claim. h is nil while the hook is not known.
func (m *Machine) policy(h *hookState, c claim, in Input) *adminv1.ListPoliciesResponse_Policy {
	row := &adminv1.ListPoliciesResponse_Policy{Name: c.key.policy, Hook: c.key.hook}
	if c.generation != nil {
		row.Generation = c.generation.Meta
	}
	k, marked := m.marks[c.key]
	switch {
	case marked:
		row.Phase, row.Message = k.phase, k.message
	case c.fault != "":
		row.Phase, row.Message = adminv1.PolicyPhase_POLICY_PHASE_INVALID, c.fault
	case c.pending:
		row.Phase, row.Message = adminv1.PolicyPhase_POLICY_PHASE_PENDING, "being verified"
	default:
		m.rowOfUsable(row, h, c)
	}
	if c.generation != nil {
		m.count(row, h, c, in)
	}
	return row
}

// rowOfUsable gives the phase of a policy with which nothing is wrong.
func (m *Machine) rowOfUsable(row *adminv1.ListPoliciesResponse_Policy, h *hookState, c claim) {
	owner := h.owner
	switch id := c.generation.id(); {
	case c.shadow && h.shadow.id() == id && h.active.id() == id:
		row.Phase = adminv1.PolicyPhase_POLICY_PHASE_CONFLICT
		row.Message = "the same generation decides: there is nothing to compare"
		return
	case c.shadow && h.shadow.id() == id && h.shadowOwner == c.key.policy:
		row.Phase = adminv1.PolicyPhase_POLICY_PHASE_SHADOW
		return
	case c.shadow:
		owner = h.shadowOwner
	case h.active.id() == id && h.active.policy() == c.key.policy:
		row.Phase = adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED
		return
	case h.candidate.id() == id && h.candidate.policy() == c.key.policy:
		row.Phase, row.Message = adminv1.PolicyPhase_POLICY_PHASE_PENDING, messagePreparing
		return
	}
	if owner == c.key.policy {
		row.Phase, row.Message = adminv1.PolicyPhase_POLICY_PHASE_PENDING, "waiting for a policy of a lower name to be verified"
		return
	}
	row.Phase = adminv1.PolicyPhase_POLICY_PHASE_CONFLICT
	row.Message = fmt.Sprintf("ConfigMap %s has hook %s: the lowest name wins", owner, c.key.hook)
}

// count says what hosts have made of the generation, and makes PROGRAMMED wait for all of them once.
func (m *Machine) count(row *adminv1.ListPoliciesResponse_Policy, h *hookState, c claim, in Input) {
	wanted := syncv1.GenerationState_GENERATION_STATE_ACTIVE
	switch row.Phase {
	case adminv1.PolicyPhase_POLICY_PHASE_PENDING:
		wanted = syncv1.GenerationState_GENERATION_STATE_PREFLIGHTED
	case adminv1.PolicyPhase_POLICY_PHASE_SHADOW:
		wanted = syncv1.GenerationState_GENERATION_STATE_SHADOWING
	}
	reporters := reportersOf(c.key.hook, in)
	failure := ""
	for _, r := range reporters {
		e := m.entry(r, c.generation)
		if e == nil {
			continue
		}
		row.HostStates = append(row.HostStates, &adminv1.ListPoliciesResponse_HostState{HostId: r.ID, Entry: e})
		if e.GetState() == wanted {
			row.Programmed++
		}
		if e.GetState() == syncv1.GenerationState_GENERATION_STATE_FAILED && failure == "" {
			failure = blame(r, e)
		}
	}
	row.Hosts = uint32(len(reporters))
	if row.Message == messagePreparing && len(reporters) == 0 {
		row.Message = messageNoHost
	}
	if row.Phase != adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED {
		return
	}
	row.Message = failure
	if !h.reached {
		row.Phase = adminv1.PolicyPhase_POLICY_PHASE_PENDING
		row.Message = cmp.Or(failure, "being taken into use")
		if len(reporters) == 0 {
			row.Message = messageNoHost
		}
	}
}

// noteReached remembers that the active generation has been in use everywhere.
func (m *Machine) noteReached(h *hookState, in Input) {
	if h.active == nil || h.reached {
		return
	}
	reporters := reportersOf(h.hook, in)
	for _, r := range reporters {
		if m.entry(r, h.active).GetState() != syncv1.GenerationState_GENERATION_STATE_ACTIVE {
			return
		}
	}
	h.reached = len(reporters) > 0
	h.proven = h.proven || h.reached
}

// eventOf says what a phase means for the owner of the ConfigMap; nothing while it is on its way.
func (m *Machine) eventOf(row *adminv1.ListPoliciesResponse_Policy) (decide.Event, bool) {
	e := decide.Event{Object: objectOf(m.config.Namespace, row.Name), Type: corev1.EventTypeWarning, Message: row.Message}
	if row.Hook != "" {
		e.Message = row.Hook + ": " + row.Message
	}
	switch row.Phase {
	case adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED:
		e.Type, e.Reason = corev1.EventTypeNormal, EventProgrammed
		e.Message = fmt.Sprintf("%s: programmed %d/%d: generation %s decides", row.Hook, row.Programmed, row.Hosts, row.Generation.GetId())
	case adminv1.PolicyPhase_POLICY_PHASE_SHADOW:
		e.Type, e.Reason = corev1.EventTypeNormal, EventShadowing
		e.Message = fmt.Sprintf("%s: the answers of generation %s are compared", row.Hook, row.Generation.GetId())
	case adminv1.PolicyPhase_POLICY_PHASE_INVALID:
		e.Reason = EventRefused
	case adminv1.PolicyPhase_POLICY_PHASE_CONFLICT:
		e.Reason = EventConflict
	case adminv1.PolicyPhase_POLICY_PHASE_ROLLED_BACK:
		e.Reason = EventRolledBack
	case adminv1.PolicyPhase_POLICY_PHASE_SUSPENDED:
		e.Type, e.Reason = corev1.EventTypeNormal, EventSuspended
	default:
		return e, false
	}
	return e, true
}

// removed tells of policies that had decided or shadowed, and are gone.
func (m *Machine) removed(now map[claimKey]shown) []decide.Event {
	var events []decide.Event
	for key, before := range m.shown {
		_, still := now[key]
		h := m.hooks[key.hook]
		if still || h == nil || before.generation == "" {
			continue
		}
		events = append(events, decide.Event{
			Object: objectOf(m.config.Namespace, key.policy), Type: corev1.EventTypeNormal, Reason: EventRemoved,
			Message: fmt.Sprintf("%s: the policy is gone; %s decides", key.hook, m.decider(h)),
		})
	}
	return events
}

// hookRows says what decides each hook.
func (m *Machine) hookRows() []*adminv1.ListPoliciesResponse_Hook {
	var rows []*adminv1.ListPoliciesResponse_Hook
	for _, hook := range hooks() {
		h := m.hooks[hook]
		row := &adminv1.ListPoliciesResponse_Hook{
			Hook: hook, Policy: h.active.policy(), GenerationId: h.active.id(), BuiltIn: m.config.BuiltIn[hook],
		}
		if h.active != nil {
			row.Previous = cmp.Or(h.previous.id(), "built-in")
		}
		rows = append(rows, row)
	}
	return rows
}
