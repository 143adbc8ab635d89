package policies

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// reportEvery is how often figures are told while they change. Changes of state are told at once.
const reportEvery = 2 * time.Second

// report publishes what has become of the plan until ctx ends.
func (s *Set) report(ctx context.Context) {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	var last *syncv1.PolicyReport
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
			if current := s.Report(time.Now()); last == nil || !sameStates(current, last) {
				last = current
				s.config.Publisher.PublishPolicies(current)
			}
		case <-ticker.C:
			if current := s.Report(time.Now()); !proto.Equal(current, last) {
				last = current
				s.config.Publisher.PublishPolicies(current)
			}
		}
	}
}

// sameStates says whether two reports differ in figures at most.
func sameStates(a, b *syncv1.PolicyReport) bool {
	if !proto.Equal(a.GetPlanVersion(), b.GetPlanVersion()) || len(a.GetEntries()) != len(b.GetEntries()) {
		return false
	}
	for i, entry := range a.GetEntries() {
		other := b.GetEntries()[i]
		if entry.GetId() != other.GetId() || entry.GetState() != other.GetState() || entry.GetMessage() != other.GetMessage() {
			return false
		}
	}
	return true
}

// Report is what has become of the plan, in its order.
func (s *Set) Report(now time.Time) *syncv1.PolicyReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	report := &syncv1.PolicyReport{PlanVersion: s.adopted.GetVersion()}
	seen := make(map[string]bool)
	for _, entry := range s.adopted.GetEntries() {
		if g := s.generations[entry.GetGeneration().GetId()]; g != nil && !seen[g.meta.GetId()] {
			seen[g.meta.GetId()] = true
			report.Entries = append(report.Entries, s.entry(g, now))
		}
	}
	return report
}

// maxMessage bounds what is said of one generation. Refusals quote names from modules, which may be megabytes; a report that
// is too large for the stream would end it, with all that it carries.
const maxMessage = 2 << 10

// clip makes a text one that can be sent: of bounded length, and UTF-8.
func clip(text string) string {
	if len(text) > maxMessage {
		text = text[:maxMessage] + " ..."
	}
	return strings.ToValidUTF8(text, "?")
}

func (s *Set) entry(g *generation, now time.Time) *syncv1.PolicyReport_Entry {
	entry := &syncv1.PolicyReport_Entry{
		Id: g.meta.GetId(), Hook: g.meta.GetHook(), Message: clip(g.message),
		State: syncv1.GenerationState_GENERATION_STATE_PREPARING,
	}
	if g.failed {
		entry.State = syncv1.GenerationState_GENERATION_STATE_FAILED
		return entry
	}
	if g.decider == nil {
		return entry
	}
	figures := g.decider.Figures(now)
	entry.Answered, entry.Abstained, entry.Failed = figures.Answered, figures.Abstained, figures.Failed
	entry.EnvelopeHits, entry.Compared, entry.Differed = figures.EnvelopeHits, figures.Compared, figures.Differed
	entry.FuelMax = max(figures.FuelMax, g.trial.FuelMax)
	if figures.Problem != "" {
		entry.Message = clip(figures.Problem)
	}
	deciding := s.byName(g.meta.GetHook()).Active() == g.decider
	switch {
	case deciding && figures.Degraded:
		entry.State = syncv1.GenerationState_GENERATION_STATE_DEGRADED
	case deciding:
		entry.State = syncv1.GenerationState_GENERATION_STATE_ACTIVE
	case g.role == syncv1.PolicyRole_POLICY_ROLE_SHADOW:
		entry.State = syncv1.GenerationState_GENERATION_STATE_SHADOWING
	default:
		entry.State = syncv1.GenerationState_GENERATION_STATE_PREFLIGHTED
		if g.role == syncv1.PolicyRole_POLICY_ROLE_CANDIDATE {
			// What the trial's replay of recorded decisions says about how much would change.
			entry.Compared += uint64(g.trial.Replayed)
			entry.Differed += uint64(g.trial.Differed)
		}
	}
	return entry
}
