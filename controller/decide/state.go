package decide

import (
	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Messages of ModelMesh's controller, which users match on.
const (
	messageWaitingForHost    = "Waiting for runtime Pod to become available"
	messageWaitingForRuntime = "Waiting for supporting runtime Pod to become available"
)

// messageRefused is about a target whose failure nobody remembers in words.
const messageRefused = "The model failed to load before the mesh restarted, and has not been tried since"

// messageRuntimesGone is about an active model whose runtimes were all removed or disabled after it was declared.
const messageRuntimesGone = "No ServingRuntime that could hold the active model is left"

// evidence is everything that the state of one model depends on.
type evidence struct {
	tally tally
	// unsupported says why no runtime may hold the model; nil when one may.
	unsupported *resolve.Reason
	// shortfall says what was asked for and what there is, when unsupported.
	shortfall string
	// connected is the number of hosts in the namespace, ready those of them that could load the model now.
	connected int
	ready     []*Host
	// complaint is what a host that could hold the model says of its runtime, which is not ready.
	complaint string
	// since is when the model came into the catalog that hosts were sent.
	since *syncv1.Version
	// previous is the state that the status had for this very model, "" when none.
	previous v1beta1.ModelState
	// target: the model is on its way to replace another.
	target bool
	// refused: the target failed on a host before, and nobody may be left to remember how.
	refused bool
	// known is the last failure that the status has of this very model; nil for none.
	known *v1beta1.FailureInfo
}

// reading is what the evidence says.
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

// read goes through ModelMesh's table of states (decodeModelState in its predictor_controller.go) with facts in place of
// messages. The first rule that knows the state says it.
func read(e evidence) reading {
	for _, rule := range []func(evidence) (reading, bool){
		loaded, unsupported, loading, failed, noHost, noRuntime, considering, refused,
	} {
		if r, ok := rule(e); ok {
			return r
		}
	}
	// Every host that could load the model knows of it, and none does.
	return reading{state: v1beta1.Standby}
}

// loaded: one copy is enough, whatever became of others.
func loaded(e evidence) (reading, bool) {
	return reading{state: v1beta1.Loaded}, e.tally.loaded > 0
}

// unsupported: copies that are still on their way are about to be given up by their hosts.
func unsupported(e evidence) (reading, bool) {
	if e.unsupported == nil {
		return reading{}, false
	}
	return reading{
		state:     v1beta1.FailedToLoad,
		failure:   &v1beta1.FailureInfo{Reason: e.unsupported.Code, Message: e.unsupported.Message},
		shortfall: e.shortfall,
	}, true
}

// loading: with the failure of the attempt before, until one succeeds.
func loading(e evidence) (reading, bool) {
	return reading{state: v1beta1.Loading, failure: e.tally.failureInfo()}, e.tally.loading > 0
}

// failed: nothing is under way but the memory of attempts.
func failed(e evidence) (reading, bool) {
	return reading{state: v1beta1.FailedToLoad, failure: e.tally.failureInfo()}, e.tally.failed > 0
}

// noHost: nobody is there to know better, so the model stays what it was. A target was only ever on its way.
func noHost(e evidence) (reading, bool) {
	state := e.previous
	switch {
	case e.target:
		state = v1beta1.Loading
	case state == "":
		state = v1beta1.Pending
	}
	return waiting(state, messageWaitingForHost, ""), e.connected == 0
}

// noRuntime: the mesh is there, but nothing in it that could load the model.
func noRuntime(e evidence) (reading, bool) {
	return waiting(v1beta1.Loading, messageWaitingForRuntime, e.complaint), len(e.ready) == 0
}

func waiting(state v1beta1.ModelState, message, complaint string) reading {
	return reading{
		state:     state,
		failure:   &v1beta1.FailureInfo{Reason: v1beta1.RuntimeUnhealthy, Message: message},
		waiting:   true,
		complaint: complaint,
	}
}

// considering: not every host that could load the model has said what it makes of it. New ones are Pending; others do
// not go back to that, and ModelMesh's users never saw a target Pending: they wait for "" to become Loading.
func considering(e evidence) (reading, bool) {
	state := v1beta1.Loading
	switch {
	case e.target:
	case e.previous == "", e.previous == v1beta1.Pending:
		state = v1beta1.Pending
	case e.previous == v1beta1.Standby:
		state = v1beta1.Standby
	}
	return reading{state: state}, !consideredBy(e.ready, e.since)
}

// refused: a target that failed stays failed until it is tried again, though its host has forgotten.
func refused(e evidence) (reading, bool) {
	failure := &v1beta1.FailureInfo{Reason: v1beta1.ModelLoadFailed, Message: messageRefused}
	if e.known != nil && e.known.Reason == v1beta1.ModelLoadFailed {
		failure = e.known
	}
	return reading{state: v1beta1.FailedToLoad, failure: failure}, e.refused
}
