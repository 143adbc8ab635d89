package policies

import (
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// Status says how a status reads; it is decide.Input.Status.
func (r *Runner) Status(request *policyabi.StatusRequest) policyabi.StatusAnswer {
	return r.status.decide(request)
}

// StatusVersion is decide.Input.StatusVersion: while a policy decides that does not answer, it counts every request.
func (r *Runner) StatusVersion() uint64 { return r.status.answering() }

// Contradicted records that a part of an answer of Status was not followed. An answer that was remembered is not recorded
// again.
func (r *Runner) Contradicted(all []decide.Contradiction) {
	for _, c := range all {
		if c.Decision != 0 {
			r.status.hook.Envelope(c.Decision, c.Rule)
		}
	}
}

// Recorded answers what the controller has decided itself, newest first, as a host would answer the query.
func (r *Runner) Recorded(query *syncv1.DecisionsQuery) []*syncv1.Decision {
	if query.GetHook() != "" && query.GetHook() != policyabi.HookStatus.String() {
		return nil
	}
	return r.status.hook.Records(hook.Filter{Model: query.GetModelId(), Limit: int(query.GetLimit())})
}
