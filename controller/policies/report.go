package policies

import (
	"time"

	"github.com/wasmesh/wasmesh/controller/policyconfig"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// report is what a host would say of its plan.
func (s *statusHook) report(now time.Time) *syncv1.PolicyReport {
	report := &syncv1.PolicyReport{PlanVersion: s.plan.GetVersion()}
	for _, e := range s.plan.GetEntries() {
		meta := e.GetGeneration()
		entry := &syncv1.PolicyReport_Entry{Id: meta.GetId(), Hook: meta.GetHook()}
		report.Entries = append(report.Entries, entry)
		p := s.prepared[meta.GetId()]
		switch {
		case p == nil:
			entry.State = syncv1.GenerationState_GENERATION_STATE_PREPARING
			continue
		case p.fault != "":
			entry.State, entry.Message = syncv1.GenerationState_GENERATION_STATE_FAILED, policyconfig.Clip(p.fault)
			continue
		}
		f := p.generation.Figures(now)
		entry.Answered, entry.Abstained, entry.Failed = f.Answered, f.Abstained, f.Failed
		entry.EnvelopeHits, entry.Compared, entry.Differed = f.EnvelopeHits, f.Compared, f.Differed
		entry.FuelMax, entry.Message = f.FuelMax, policyconfig.Clip(f.Problem)
		entry.State = stateOf(e.GetRole(), f.Degraded)
	}
	return report
}

func stateOf(role syncv1.PolicyRole, degraded bool) syncv1.GenerationState {
	switch {
	case degraded:
		return syncv1.GenerationState_GENERATION_STATE_DEGRADED
	case role == syncv1.PolicyRole_POLICY_ROLE_ACTIVE:
		return syncv1.GenerationState_GENERATION_STATE_ACTIVE
	case role == syncv1.PolicyRole_POLICY_ROLE_SHADOW:
		return syncv1.GenerationState_GENERATION_STATE_SHADOWING
	}
	return syncv1.GenerationState_GENERATION_STATE_PREFLIGHTED
}
