package builtin

import "github.com/wasmesh/wasmesh/sdk/policyabi"

// StatusModelMesh reads a status as ModelMesh does: its table of states (decodeModelState in its predictor_controller.go)
// with facts in place of messages. The object is ready while the model that answers does, or loads for the next request;
// a load that repeats a failed one promises nothing.
func StatusModelMesh(v policyabi.StatusView, a *policyabi.StatusAnswers) {
	context := v.Context()
	active, target := revisions(v)
	answer := policyabi.StatusAnswer{ActiveState: policyabi.ModelStatePending}
	// Without any model, what is wrong with the spec is all there is to say.
	answer.ActiveFailure = known(context.SpecFault())
	answer.Transition = transition(context.Transition(), target >= 0)
	if active >= 0 {
		r := readRevision(context, v.Row(active))
		answer.ActiveState, answer.ActiveFailure = r.state, r.failure
		if r.answers() {
			answer.Ready = 1
		}
	}
	if target >= 0 {
		r := readRevision(context, v.Row(target))
		answer.TargetState, answer.TargetFailure = r.state, r.failure
		answer.Transition = between(answer.Transition, r.state)
	}
	a.Set(answer)
}

// revisions answers the rows of the model that answers and of the target, each -1 when there is none.
func revisions(v policyabi.StatusView) (active, target int) {
	active, target = -1, -1
	for i := range v.Len() {
		if v.Row(i).Flags()&policyabi.RevisionFlagTarget != 0 {
			if target < 0 {
				target = i
			}
		} else if active < 0 {
			active = i
		}
	}
	return active, target
}

// transition passes on what the controller says. A word that is newer than this policy says no more than the rows do.
func transition(t policyabi.Transition, changing bool) policyabi.Transition {
	switch {
	case t >= policyabi.TransitionUpToDate && t <= policyabi.TransitionInvalidSpec:
		return t
	case changing:
		return policyabi.TransitionInProgress
	}
	return policyabi.TransitionUpToDate
}

// between settles how a change under way reads: a target that is tried again may yet end well, whatever became of the
// attempts before.
func between(t policyabi.Transition, target policyabi.ModelState) policyabi.Transition {
	if t != policyabi.TransitionInProgress && t != policyabi.TransitionBlockedByFailedLoad {
		return t
	}
	if target == policyabi.ModelStateFailedToLoad {
		return policyabi.TransitionBlockedByFailedLoad
	}
	return policyabi.TransitionInProgress
}

// revision is how one model reads.
type revision struct {
	state   policyabi.ModelState
	failure policyabi.Failure
	// waiting: no runtime is there to load it.
	waiting bool
}

// answers says that the model answers a request, or loads for it.
func (r revision) answers() bool {
	switch r.state {
	case policyabi.ModelStateLoaded, policyabi.ModelStateStandby:
		return !r.waiting
	case policyabi.ModelStateLoading:
		return !r.waiting && r.failure == 0
	}
	return false
}

// readRevision answers by the first rule that knows the state.
func readRevision(context policyabi.StatusContextView, row policyabi.StatusRowView) revision {
	target := row.Flags()&policyabi.RevisionFlagTarget != 0
	switch {
	case row.Loaded() > 0:
		// One copy is enough, whatever became of others.
		return revision{state: policyabi.ModelStateLoaded}
	case row.Unsupported() != 0:
		// Copies that are still on their way are about to be given up by their hosts.
		return revision{state: policyabi.ModelStateFailedToLoad, failure: known(row.Unsupported())}
	case row.Loading() > 0:
		// With the failure of the attempt before, until one succeeds.
		return revision{state: policyabi.ModelStateLoading, failure: known(row.NewestFailure())}
	case row.Failed() > 0:
		// Nothing is under way but the memory of attempts.
		return revision{state: policyabi.ModelStateFailedToLoad, failure: blame(row.NewestFailure())}
	case context.HostsConnected() == 0:
		// Nobody is there to know better, so the model stays what it was.
		return waiting(unseen(row.PreviousState(), target))
	case row.HostsReady() == 0:
		// The mesh is there, but nothing in it that could load the model.
		return waiting(policyabi.ModelStateLoading)
	case row.Flags()&policyabi.RevisionFlagConsidered == 0:
		// Not every host that could load the model has said what it makes of it.
		return revision{state: considering(row.PreviousState(), target)}
	case row.Flags()&policyabi.RevisionFlagRefused != 0:
		// A target that failed stays failed until it is tried again, though its host has forgotten.
		return revision{state: policyabi.ModelStateFailedToLoad, failure: policyabi.FailureModelLoadFailed}
	}
	// Every host that could load the model knows of it, and none does.
	return revision{state: policyabi.ModelStateStandby}
}

// blame answers what a failed copy failed of; one that nothing is known about failed to load.
func blame(f policyabi.Failure) policyabi.Failure {
	if f == 0 {
		return policyabi.FailureModelLoadFailed
	}
	return known(f)
}

// known is the failure, or ModelLoadFailed for one that is newer than this policy.
func known(f policyabi.Failure) policyabi.Failure {
	if f > policyabi.FailureRuntimeDisabled {
		return policyabi.FailureModelLoadFailed
	}
	return f
}

func waiting(state policyabi.ModelState) revision {
	return revision{state: state, failure: policyabi.FailureRuntimeUnhealthy, waiting: true}
}

// unseen is the state of a model while no host is there. A target was only ever on its way.
func unseen(previous policyabi.ModelState, target bool) policyabi.ModelState {
	switch {
	case target:
		return policyabi.ModelStateLoading
	case previous == 0, previous > policyabi.ModelStateFailedToLoad:
		return policyabi.ModelStatePending
	}
	return previous
}

// considering is the state of a model that hosts have yet to take note of. New ones are Pending; others do not go back to
// that, and ModelMesh's users never saw a target Pending: they wait for "" to become Loading.
func considering(previous policyabi.ModelState, target bool) policyabi.ModelState {
	switch {
	case target:
		return policyabi.ModelStateLoading
	case previous == 0, previous == policyabi.ModelStatePending:
		return policyabi.ModelStatePending
	case previous == policyabi.ModelStateStandby:
		return policyabi.ModelStateStandby
	}
	return policyabi.ModelStateLoading
}
