import { ModelState, RevisionFlag, status, StatusAnswers, Transition } from "wasmesh-policy";

/** Ready only while a copy of the model is in memory. What it does not answer the built-in policy does. */
export function mesh_status(length: i32): i32 {
  return status(length, (request) => {
    if (request.length != 1 || request.transition != Transition.UpToDate) return;
    const model = request.row(0);
    if (model.loaded > 0) StatusAnswers.set(Transition.UpToDate, ModelState.Loaded, 0, 0, 0, 1);
    else if (model.loading + model.failed == 0 && model.hostsReady > 0 && model.flags == RevisionFlag.Considered) {
      StatusAnswers.set(Transition.UpToDate, ModelState.Standby, 0, 0, 0, 0);
    }
  });
}
