#![no_std]
use wasmesh_policy::*;

policy! { status: status }

/// Ready only while a copy of the model is in memory. What it does not answer the built-in policy does.
fn status(request: StatusRequest, answer: &mut StatusAnswers) {
    if request.len() != 1 || request.context().transition() != Transition::UP_TO_DATE { return }
    let (model, transition) = (request.row(0), Transition::UP_TO_DATE);
    if model.loaded() > 0 {
        answer.set(StatusAnswer { transition, active_state: ModelState::LOADED, ready: 1, ..Default::default() });
    } else if model.loading() + model.failed() == 0 && model.hosts_ready() > 0 && model.flags() == RevisionFlag::CONSIDERED {
        answer.set(StatusAnswer { transition, active_state: ModelState::STANDBY, ..Default::default() });
    }
}
