package decide

import (
	"cmp"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
)

// Contradiction is a part of a status policy's answer that contradicts itself or the facts, and was not followed.
type Contradiction struct {
	// Decision is Header.DecisionID of the request, as Input.Status has filled it.
	Decision uint64
	// Rule is what was broken, in one of a few words.
	Rule string
}

// statusScratch is reused from object to object; Input.Status must not keep the request.
type statusScratch struct {
	request policyabi.StatusRequest
	bytes   []byte
}

// standard reads one model by the built-in policy. Which model answers is decided by it alone: a policy says how a status
// reads, not where requests go.
func (d *decision) standard(ns *namespace, a *alias, c *candidate) {
	d.context(ns, a, v1beta1.UpToDate)
	d.tell(c)
	answer := d.builtIn()
	if c.evidence.target {
		c.reading = c.evidence.read(answer.TargetState, answer.TargetFailure)
	} else {
		c.reading = c.evidence.read(answer.ActiveState, answer.ActiveFailure)
	}
}

// tell adds what is known of a model to the request.
func (d *decision) tell(c *candidate) {
	d.request.Rows = append(d.request.Rows, c.row())
	d.request.Context.HostsConnected = max(d.request.Context.HostsConnected, uint32(c.evidence.connected))
}

// builtIn has the built-in policy answer the request.
func (d *decision) builtIn() policyabi.StatusAnswer {
	size := d.request.Size()
	if cap(d.bytes) < size {
		d.bytes = make([]byte, 2*size)
	}
	d.bytes = d.bytes[:size]
	d.request.Encode(d.bytes)
	view, err := policyabi.ViewStatus(d.bytes)
	if err != nil {
		// What was encoded is a request; were it not, nothing would be known.
		return policyabi.StatusAnswer{Transition: d.request.Context.Transition, ActiveState: policyabi.ModelStatePending}
	}
	answers := view.Answers()
	builtin.StatusModelMesh(view, &answers)
	answer, err := policyabi.DecodeStatusAnswer(answers.Bytes())
	if err != nil {
		return policyabi.StatusAnswer{Transition: d.request.Context.Transition, ActiveState: policyabi.ModelStatePending}
	}
	return answer
}

// verdict is how a status reads, where the models' own readings do not say it.
type verdict struct {
	transition v1beta1.TransitionStatus
	available  bool
}

// judge has the status policy say how the object reads, and puts its answer into the readings of the models.
func (d *decision) judge(ns *namespace, a *alias, c change) verdict {
	d.context(ns, a, c.transition)
	for _, model := range []*candidate{c.active, c.target} {
		if model != nil {
			d.tell(model)
		}
	}
	answer := d.answer(c)
	if c.active != nil {
		c.active.reading = c.active.evidence.read(answer.ActiveState, answer.ActiveFailure)
	}
	if c.target != nil {
		c.target.reading = c.target.evidence.read(answer.TargetState, answer.TargetFailure)
	}
	return verdict{transition: transitions[answer.Transition], available: answer.Ready != 0}
}

// answer asks the policy, and corrects what cannot be: with the built-in policy's answer to the same request where the
// policy's own says too little.
func (d *decision) answer(c change) policyabi.StatusAnswer {
	if d.in.Status == nil {
		return d.builtIn()
	}
	answer := d.in.Status(&d.request)
	if !complete(answer, c) {
		d.contradicts("incomplete")
		return d.builtIn()
	}
	if c.target == nil && (answer.TargetState != 0 || answer.TargetFailure != 0) {
		d.contradicts("target without a change")
		answer.TargetState, answer.TargetFailure = 0, 0
	}
	if c.active == nil && (answer.Ready != 0 || answer.ActiveState != policyabi.ModelStatePending) {
		d.contradicts("state without a model")
		answer.Ready, answer.ActiveState = 0, policyabi.ModelStatePending
	}
	if answer.Ready != 0 && answer.ActiveState == policyabi.ModelStateFailedToLoad {
		d.contradicts("ready though failed")
		answer.Ready = 0
	}
	d.giveFailures(&answer)
	if wanted := settledTransition(d.request.Context.Transition, answer.TargetState); answer.Transition != wanted {
		d.contradicts("transition")
		answer.Transition = wanted
	}
	return answer
}

// contradicts records that the answer to the present request broke a rule.
func (d *decision) contradicts(rule string) {
	d.out.Contradictions = append(d.out.Contradictions, Contradiction{Decision: d.request.Header.DecisionID, Rule: rule})
}

// complete says that an answer has all that is needed, in values that have a name.
func complete(a policyabi.StatusAnswer, c change) bool {
	return a.Transition != 0 && int(a.Transition) < len(transitions) &&
		(c.active == nil || a.ActiveState != 0) && int(a.ActiveState) < len(modelStates) &&
		(c.target == nil || a.TargetState != 0) && int(a.TargetState) < len(modelStates) &&
		int(a.ActiveFailure) < len(failureReasons) && int(a.TargetFailure) < len(failureReasons)
}

// giveFailures gives a model that failed to load a failure.
func (d *decision) giveFailures(answer *policyabi.StatusAnswer) {
	lacks := func(state policyabi.ModelState, failure policyabi.Failure) bool {
		return state == policyabi.ModelStateFailedToLoad && failure == 0
	}
	active, target := lacks(answer.ActiveState, answer.ActiveFailure), lacks(answer.TargetState, answer.TargetFailure)
	if !active && !target {
		return
	}
	d.contradicts("failed without a failure")
	standard := d.builtIn()
	if active {
		answer.ActiveFailure = cmp.Or(standard.ActiveFailure, policyabi.FailureModelLoadFailed)
	}
	if target {
		answer.TargetFailure = cmp.Or(standard.TargetFailure, policyabi.FailureModelLoadFailed)
	}
}

// settledTransition is the only transition that goes with the models that there are and the state of the target: whether
// there is a change is not the policy's to say, and it is blocked exactly while its target reads as failed.
func settledTransition(t policyabi.Transition, target policyabi.ModelState) policyabi.Transition {
	switch {
	case target == 0:
		return t
	case target == policyabi.ModelStateFailedToLoad:
		return policyabi.TransitionBlockedByFailedLoad
	}
	return policyabi.TransitionInProgress
}
