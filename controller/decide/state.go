package decide

import (
	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Messages of ModelMesh's controller, which users match on.
const (
	messageWaitingForHost    = "Waiting for runtime Pod to become available"
	messageWaitingForRuntime = "Waiting for supporting runtime Pod to become available"
)

// messageRefused is about a model whose failure nobody remembers in words.
const messageRefused = "The model failed to load before the mesh restarted, and has not been tried since"

// messageRuntimesGone is about an active model whose runtimes were all removed or disabled after it was declared.
const messageRuntimesGone = "No ServingRuntime that could hold the active model is left"

// messagePolicy is about a failure that a status policy sees and the controller does not.
const messagePolicy = "The status policy says so"

// evidence is everything that the state of one model depends on.
type evidence struct {
	tally tally
	// unsupported says why no runtime may hold the model; nil when one may.
	unsupported *resolve.Reason
	// shortfall says what was asked for and what there is, when unsupported.
	shortfall string
	// asleep: none of the hosts that there are could load the model, but the next request wakes its runtime. The gateways that
	// see to that count as connected and ready.
	asleep bool
	// connected is the number of hosts in the namespace, ready those of them that could load the model now, unready those
	// that could if their runtime was up.
	connected int
	ready     []*Host
	unready   int
	// complaint is what a host that could hold the model says of its runtime, which is not ready.
	complaint string
	// since is when the model came into the catalog that hosts were sent.
	since *syncv1.Version
	// previous is the state that the status had for this very model, "" when none.
	previous v1beta1.ModelState
	// target: the model is on its way to replace another.
	target bool
	// refused: the model failed on a host before, and nobody may be left to remember how. It is a target, or its runtime went
	// to sleep after.
	refused bool
	// known is the last failure that the status has of this very model; nil for none.
	known *v1beta1.FailureInfo
}

// reading is what a policy makes of the evidence, in words.
type reading struct {
	state v1beta1.ModelState
	// failure explains the state; nil when there is nothing to explain. Its time is set only when a host said it.
	failure *v1beta1.FailureInfo
	// waiting: no runtime is there to load the model.
	waiting bool
	// complaint of the runtime that is waited for.
	complaint string
	// shortfall says which runtime is missing, for the conditions: users match on the failure's own message.
	shortfall string
}

// read puts a policy's answer about one model into words: the policy says what is wrong, the evidence what to say of it.
func (e evidence) read(state policyabi.ModelState, code policyabi.Failure) reading {
	r := reading{state: modelStates[state]}
	reason, attempted := failureReasons[code], e.tally.loading+e.tally.blamed() > 0
	told := e.tally.failureInfo()
	switch {
	case code == 0:
	case e.unsupported != nil && e.unsupported.Code == reason:
		r.failure, r.shortfall = &v1beta1.FailureInfo{Reason: reason, Message: e.unsupported.Message}, e.shortfall
	case attempted && told != nil && told.Reason == reason:
		r.failure = told
	case code == policyabi.FailureRuntimeUnhealthy && e.connected == 0:
		r.failure, r.waiting = &v1beta1.FailureInfo{Reason: reason, Message: messageWaitingForHost}, true
	case code == policyabi.FailureRuntimeUnhealthy && len(e.ready) == 0:
		r.failure, r.waiting = &v1beta1.FailureInfo{Reason: reason, Message: messageWaitingForRuntime}, true
		r.complaint = e.complaint
	case code == policyabi.FailureModelLoadFailed && e.refused:
		r.failure = &v1beta1.FailureInfo{Reason: reason, Message: messageRefused}
		if e.known != nil && e.known.Reason == reason {
			r.failure = e.known
		}
	case told != nil && told.Reason == reason:
		r.failure = told
	default:
		r.failure = &v1beta1.FailureInfo{Reason: reason, Message: messagePolicy}
	}
	return r
}
