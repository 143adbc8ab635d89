package decisions

import (
	stdbytes "bytes"
	"fmt"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Policy answers encoded requests; a module does, at one configuration. No answer and no error is to abstain.
type Policy interface {
	DecideBytes(request []byte) (answer []byte, fuel uint64, err error)
}

// Replayed is one decision asked again.
type Replayed struct {
	Decision *syncv1.Decision
	// Answer of the policy now, nil when it abstained. Fuel that it took. Err is why it failed.
	Answer []byte
	Fuel   uint64
	Err    error
	// Same answer, to the last byte.
	Same bool
	// First is what comes first now, FirstThen what came first then; both empty when nothing did.
	First, FirstThen string
}

// Replay asks every decision of the policy's hooks again, in order.
func Replay(policy Policy, implements func(policyabi.Hook) bool, all []*syncv1.Decision) ([]Replayed, error) {
	var replayed []Replayed
	for _, d := range all {
		hook, err := policyabi.HookOf(d.GetRequest())
		if err != nil {
			return nil, fmt.Errorf("replay decision %d of host %s: %w", d.GetId(), d.GetHostId(), err)
		}
		if !implements(hook) {
			continue
		}
		r := Replayed{Decision: d}
		r.Answer, r.Fuel, r.Err = policy.DecideBytes(d.GetRequest())
		r.Same = r.Err == nil && stdbytes.Equal(r.Answer, d.GetAnswer())
		if r.FirstThen, err = first(d.GetRequest(), d.GetAnswer()); err != nil {
			return nil, fmt.Errorf("replay decision %d of host %s: recorded answer: %w", d.GetId(), d.GetHostId(), err)
		}
		if r.Err == nil && len(r.Answer) > 0 {
			if r.First, err = first(d.GetRequest(), r.Answer); err != nil {
				r.Err = err
			}
		}
		replayed = append(replayed, r)
	}
	return replayed, nil
}

// first is what comes first in an answer; of a status, all of it.
func first(request, answer []byte) (string, error) {
	if len(answer) == 0 {
		return "", nil
	}
	candidates, err := Candidates(request, answer)
	if err != nil || len(candidates) == 0 {
		return "", err
	}
	if candidates[0].Name != "transition" {
		return candidates[0].Name, nil
	}
	text := ""
	for _, c := range candidates {
		text += c.Name + "=" + c.Value + " "
	}
	return text[:len(text)-1], nil
}
