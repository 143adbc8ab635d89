package conformance

import (
	"bytes"
	"fmt"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// Rules that an answer may break.
const (
	// RuleAnswers: it answers or abstains; it does not trap, fail or run out of fuel.
	RuleAnswers = "answers"
	// RuleValid: the answer keeps the rules of the ABI.
	RuleValid = "valid answer"
	// RuleFuel: it takes at most half of the budget, so that a larger mesh does not stop it.
	RuleFuel = "fuel"
	// RulePure: asked the same again, it answers the same.
	RulePure = "pure"
)

// fuelShare of the budget may be used: one of so many parts.
const fuelShare = 2

// Failure says which request broke which rule.
type Failure struct {
	// Hook that was asked, and the name of the request.
	Hook    policyabi.Hook
	Request string
	Rule    string
	Detail  string
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%v, request %q breaks the rule %q: %s", f.Hook, f.Request, f.Rule, f.Detail)
}

// Decide answers an encoded request; no bytes and no error is to abstain. The request must be left as it is, and the
// answer is the caller's.
type Decide func(request []byte) (answer []byte, fuel uint64, err error)

// Check holds a policy to the rules on one request, with the default budget of fuel. An error is a *Failure.
func Check(hook policyabi.Hook, request Request, decide Decide) error {
	_, err := Try(Trial{Hook: hook, Request: request, Budget: engine.Budget(hook, request.Rows)}, decide)
	return err
}

// Trial is one request to try a policy with.
type Trial struct {
	Hook    policyabi.Hook
	Request Request
	// Budget of fuel that such a decision has.
	Budget uint64
}

// Tried is what a policy said to one request.
type Tried struct {
	// Answer is empty when it abstained.
	Answer []byte
	Fuel   uint64
}

// Try asks twice and holds both answers to the rules. An error is a *Failure.
func Try(t Trial, decide Decide) (Tried, error) {
	fail := func(rule, format string, args ...any) (Tried, error) {
		return Tried{}, &Failure{Hook: t.Hook, Request: t.Request.Name, Rule: rule, Detail: fmt.Sprintf(format, args...)}
	}
	answer, fuel, err := decide(t.Request.Bytes)
	if err != nil {
		return fail(RuleAnswers, "%v", err)
	}
	if len(answer) > 0 {
		if err := Valid(t.Hook, answer, t.Request.Rows); err != nil {
			return fail(RuleValid, "%v", err)
		}
	}
	if most := t.Budget / fuelShare; fuel > most {
		return fail(RuleFuel, "it takes %d of %d units of fuel; at most half, %d, may be used for %d rows", fuel, t.Budget, most, t.Request.Rows)
	}
	again, _, err := decide(t.Request.Bytes)
	if err != nil {
		return fail(RulePure, "asked again, it failed: %v", err)
	}
	if !bytes.Equal(answer, again) {
		return fail(RulePure, "asked again, it answered otherwise: it must not keep state from one decision to the next")
	}
	return Tried{Answer: answer, Fuel: fuel}, nil
}

// Valid says which rule of the ABI an answer over so many rows breaks.
func Valid(hook policyabi.Hook, answer []byte, rows int) (err error) {
	switch hook {
	case policyabi.HookPlace:
		_, err = policyabi.DecodePlaceAnswers(answer, rows)
	case policyabi.HookEvict:
		_, err = policyabi.DecodeEvictAnswers(answer, rows)
	case policyabi.HookStatus:
		_, err = policyabi.DecodeStatusAnswer(answer)
	default:
		err = fmt.Errorf("no policy decides %v", hook)
	}
	return err
}
