package decisions

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// Policy answers encoded requests; a module does, at one configuration. No answer and no error is to abstain.
type Policy interface {
	Implements(hook policyabi.Hook) bool
	DecideBytes(request []byte) (answer []byte, fuel uint64, err error)
}

// Replayed is one decision asked again.
type Replayed struct {
	Decision *syncv1.Decision
	// Answer of the policy now, nil when it abstained. Fuel that it took. Err is why it failed.
	Answer []byte
	Fuel   uint64
	Err    error
	// Same answer, to the last byte. Changed says whether something else would have been done: another host or victim
	// comes first, a field of a status is another, or it fails or abstains now and did not then.
	Same, Changed bool
	// First is what comes first now, FirstThen what came first then; both empty when nothing did.
	First, FirstThen string
}

// Exact says whether the policy did what is recorded of it: the same bytes, or to abstain, for the same fuel. It means
// something only for the policy that was asked then.
func (r Replayed) Exact() bool {
	if r.Decision.GetOutcome() == syncv1.DecisionOutcome_DECISION_OUTCOME_ABSTAINED {
		return r.Err == nil && len(r.Answer) == 0 && r.Fuel == r.Decision.GetFuel()
	}
	return r.Same && r.Fuel == r.Decision.GetFuel()
}

// Replay asks every decision again, in order, of the policy that choose names for it. Left out are those of hooks that
// it does not decide, and what shadows said. An error says that the recording is damaged, or comes from choose.
func Replay(all []*syncv1.Decision, choose func(*syncv1.Decision) (Policy, error)) ([]Replayed, error) {
	var replayed []Replayed
	for _, d := range all {
		header, err := policyabi.ViewHeader(d.GetRequest())
		if err != nil {
			return nil, fmt.Errorf("replay decision %d of host %s: recorded request: %w", d.GetId(), d.GetHostId(), err)
		}
		if header.Flags().Has(policyabi.RequestFlagShadow) {
			continue
		}
		policy, err := choose(d)
		if err != nil {
			return nil, err
		}
		if !policy.Implements(header.Hook()) {
			continue
		}
		r, err := again(policy, d)
		if err != nil {
			return nil, fmt.Errorf("replay decision %d of host %s: %w", d.GetId(), d.GetHostId(), err)
		}
		replayed = append(replayed, r)
	}
	return replayed, nil
}

func again(policy Policy, d *syncv1.Decision) (Replayed, error) {
	r := Replayed{Decision: d}
	// The whole request, not its header alone, is what the policy must not be blamed for.
	then, err := first(d.GetRequest(), d.GetAnswer())
	if err != nil {
		return r, fmt.Errorf("recorded request or answer: %w", err)
	}
	r.FirstThen, r.Changed = then, true
	if r.Answer, r.Fuel, r.Err = policy.DecideBytes(d.GetRequest()); r.Err != nil {
		return r, nil
	}
	r.Same = bytes.Equal(r.Answer, d.GetAnswer())
	if r.First, r.Err = first(d.GetRequest(), r.Answer); r.Err != nil {
		return r, nil
	}
	if len(r.Answer) > 0 && len(d.GetAnswer()) > 0 {
		kind, err := policyabi.HookOf(d.GetRequest())
		if err != nil {
			return r, err
		}
		difference, err := hook.Differ(kind, d.GetRequest(), d.GetAnswer(), r.Answer)
		r.Changed = difference != ""
		return r, err
	}
	r.Changed = !r.Same
	return r, nil
}

// IsShadow says whether a record is of what a shadow would have decided.
func IsShadow(d *syncv1.Decision) bool {
	header, err := policyabi.ViewHeader(d.GetRequest())
	return err == nil && header.Flags().Has(policyabi.RequestFlagShadow)
}

// first is what comes first in an answer: the host, the first copy that may be evicted, or all of a status.
func first(request, answer []byte) (string, error) {
	candidates, err := Candidates(request, answer)
	if err != nil || len(answer) == 0 || len(candidates) == 0 {
		return "", err
	}
	kind, err := policyabi.HookOf(request)
	if err != nil {
		return "", err
	}
	switch kind {
	case policyabi.HookEvict:
		return firstVictim(request, answer)
	case policyabi.HookStatus:
		var fields []string
		for _, c := range candidates {
			fields = append(fields, c.Name+"="+c.Value)
		}
		return strings.Join(fields, " "), nil
	}
	return candidates[0].Name, nil
}

func firstVictim(request, answer []byte) (string, error) {
	view, err := policyabi.ViewEvict(request)
	if err != nil {
		return "", err
	}
	answers, err := policyabi.DecodeEvictAnswers(answer, view.Len())
	if err != nil {
		return "", err
	}
	if victims := hook.Victims(view, answers); len(victims) > 0 {
		return string(view.Row(victims[0]).Name()), nil
	}
	return "none may go", nil
}
