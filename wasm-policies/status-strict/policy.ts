// Ready only while a copy is loaded: states read as ModelMesh's, and readiness as a load balancer would want it; see
// README.md.

import {
  configInt, configure, Failure, ModelState, RevisionFlag, status, StatusAnswers, StatusRequest, StatusRow, Transition,
} from "wasmesh-policy";

export function mesh_configure(length: i32): i32 {
  return configure(length, ["min_copies"]);
}

export function mesh_status(length: i32): i32 {
  return status(length, (request) => {
    const copies = max<i64>(configInt("min_copies", 1), 1);
    // Without any model, what is wrong with the spec is all there is to say.
    let state = ModelState.Pending, targetState = 0;
    let failure = known(request.specFault), targetFailure = 0;
    let ready = false;
    const active = find(request, 0);
    if (active >= 0) {
      const model = request.row(active);
      state = stateOf(request, model);
      failure = failureOf(request, model);
      ready = <i64>model.loaded >= copies;
    }
    const target = find(request, RevisionFlag.Target);
    let transition = transitionOf(request, target >= 0);
    if (target >= 0) {
      const model = request.row(target);
      targetState = stateOf(request, model);
      targetFailure = failureOf(request, model);
      transition = between(transition, targetState);
    }
    StatusAnswers.set(transition, state, targetState, failure, targetFailure, ready ? 1 : 0);
  });
}

// The first row whose flag Target is that; -1 when there is none.
function find(request: StatusRequest, target: i32): i32 {
  for (let i = 0; i < request.length; i++) {
    if ((request.row(i).flags & RevisionFlag.Target) == target) return i;
  }
  return -1;
}

// What the controller says. A word that is newer than this policy says no more than the rows do.
function transitionOf(request: StatusRequest, changing: bool): i32 {
  const transition = <i32>request.transition;
  if (transition >= Transition.UpToDate && transition <= Transition.InvalidSpec) return transition;
  return changing ? Transition.InProgress : Transition.UpToDate;
}

// A target that is tried again may yet end well, whatever became of the attempts before.
function between(transition: i32, target: i32): i32 {
  if (transition != Transition.InProgress && transition != Transition.BlockedByFailedLoad) return transition;
  return target == ModelState.FailedToLoad ? Transition.BlockedByFailedLoad : Transition.InProgress;
}

// ModelMesh's table of states: the first rule that knows the state says it.
function stateOf(request: StatusRequest, model: StatusRow): i32 {
  const target = (model.flags & RevisionFlag.Target) != 0;
  const told = <i32>model.previousState;
  const previous = told > ModelState.FailedToLoad ? ModelState.Pending : told; // What is newer than this policy.
  if (model.loaded > 0) return ModelState.Loaded;
  if (model.unsupported != 0) return ModelState.FailedToLoad;
  if (model.loading > 0) return ModelState.Loading;
  if (model.failed > 0) return ModelState.FailedToLoad;
  // Nobody is there to know better, so the model stays what it was. A target was only ever on its way.
  if (request.hostsConnected == 0) return target ? ModelState.Loading : previous == 0 ? ModelState.Pending : previous;
  if (model.hostsReady == 0) return ModelState.Loading;
  if (!(model.flags & RevisionFlag.Considered)) {
    // Not every host that could load it has taken note of it: new ones are Pending, others do not go back to that.
    if (target) return ModelState.Loading;
    if (previous == 0 || previous == ModelState.Pending) return ModelState.Pending;
    return previous == ModelState.Standby ? ModelState.Standby : ModelState.Loading;
  }
  return model.flags & RevisionFlag.Refused ? ModelState.FailedToLoad : ModelState.Standby;
}

// What is wrong with the model, by the same rules.
function failureOf(request: StatusRequest, model: StatusRow): i32 {
  if (model.loaded > 0) return 0;
  if (model.unsupported != 0) return known(model.unsupported);
  if (model.loading > 0) return known(model.newestFailure);
  if (model.failed > 0) return model.newestFailure != 0 ? known(model.newestFailure) : Failure.ModelLoadFailed;
  if (request.hostsConnected == 0 || model.hostsReady == 0) return Failure.RuntimeUnhealthy;
  const both = RevisionFlag.Considered | RevisionFlag.Refused;
  return (model.flags & both) == both ? Failure.ModelLoadFailed : 0;
}

// The failure, or ModelLoadFailed for one that is newer than this policy.
function known(failure: i32): i32 {
  return failure > Failure.RuntimeDisabled ? Failure.ModelLoadFailed : failure;
}
