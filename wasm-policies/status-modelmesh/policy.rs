//! Reads a status as ModelMesh does: its table of states with facts in place of messages; see README.md. The mesh's
//! built-in status policy is the same in Go: a change of either changes both.
#![no_std]

use wasmesh_policy::*;

policy! { status: status }

fn status(request: StatusRequest, status: &mut StatusAnswers) {
    let context = request.context();
    let is_target = |row: &StatusRow| row.flags().has(RevisionFlag::TARGET);
    // Without any model, what is wrong with the spec is all there is to say.
    let mut answer = StatusAnswer {
        transition: transition(context.transition(), request.rows().any(|row| is_target(&row))),
        active_state: ModelState::PENDING,
        active_failure: known(context.spec_fault()),
        ..StatusAnswer::default()
    };
    if let Some(row) = request.rows().find(|row| !is_target(row)) {
        let model = Reading::of(context, row);
        answer.active_state = model.state;
        answer.active_failure = model.failure;
        answer.ready = u16::from(model.answers());
    }
    if let Some(row) = request.rows().find(is_target) {
        let model = Reading::of(context, row);
        answer.target_state = model.state;
        answer.target_failure = model.failure;
        answer.transition = between(answer.transition, model.state);
    }
    status.set(answer);
}

/// Passes on what the controller says. A word that is newer than this policy says no more than the rows do.
fn transition(transition: Transition, changing: bool) -> Transition {
    match transition {
        Transition::UP_TO_DATE | Transition::IN_PROGRESS | Transition::BLOCKED_BY_FAILED_LOAD | Transition::INVALID_SPEC => transition,
        _ if changing => Transition::IN_PROGRESS,
        _ => Transition::UP_TO_DATE,
    }
}

/// Settles how a change under way reads: a target that is tried again may yet end well, whatever became of the attempts
/// before.
fn between(transition: Transition, target: ModelState) -> Transition {
    match transition {
        Transition::IN_PROGRESS | Transition::BLOCKED_BY_FAILED_LOAD if target == ModelState::FAILED_TO_LOAD => {
            Transition::BLOCKED_BY_FAILED_LOAD
        }
        Transition::IN_PROGRESS | Transition::BLOCKED_BY_FAILED_LOAD => Transition::IN_PROGRESS,
        other => other,
    }
}

/// How one model reads.
struct Reading {
    state: ModelState,
    failure: Failure,
    /// No runtime is there to load it.
    waiting: bool,
}

const NO_FAILURE: Failure = Failure(0);

impl Reading {
    /// Answers by the first rule that knows the state.
    fn of(context: StatusContext, row: StatusRow) -> Reading {
        let (flags, previous) = (row.flags(), row.previous_state());
        let target = flags.has(RevisionFlag::TARGET);
        if row.loaded() > 0 {
            // One copy is enough, whatever became of others.
            return Reading::new(ModelState::LOADED, NO_FAILURE);
        }
        if row.unsupported() != NO_FAILURE {
            // Copies that are still on their way are about to be given up by their hosts.
            return Reading::new(ModelState::FAILED_TO_LOAD, known(row.unsupported()));
        }
        if row.loading() > 0 {
            // With the failure of the attempt before, until one succeeds.
            return Reading::new(ModelState::LOADING, known(row.newest_failure()));
        }
        if row.failed() > 0 {
            // Nothing is under way but the memory of attempts.
            return Reading::new(ModelState::FAILED_TO_LOAD, blame(row.newest_failure()));
        }
        if context.hosts_connected() == 0 {
            // Nobody is there to know better, so the model stays what it was.
            return Reading::waiting(unseen(previous, target));
        }
        if row.hosts_ready() == 0 {
            // The mesh is there, but nothing in it that could load the model.
            return Reading::waiting(ModelState::LOADING);
        }
        if !flags.has(RevisionFlag::CONSIDERED) {
            // Not every host that could load the model has said what it makes of it.
            return Reading::new(considering(previous, target), NO_FAILURE);
        }
        if flags.has(RevisionFlag::REFUSED) {
            // A target that failed stays failed until it is tried again, though its host has forgotten.
            return Reading::new(ModelState::FAILED_TO_LOAD, Failure::MODEL_LOAD_FAILED);
        }
        // Every host that could load the model knows of it, and none does.
        Reading::new(ModelState::STANDBY, NO_FAILURE)
    }

    fn new(state: ModelState, failure: Failure) -> Reading {
        Reading { state, failure, waiting: false }
    }

    fn waiting(state: ModelState) -> Reading {
        Reading { state, failure: Failure::RUNTIME_UNHEALTHY, waiting: true }
    }

    /// Whether the model answers a request, or loads for it.
    fn answers(&self) -> bool {
        match self.state {
            ModelState::LOADED | ModelState::STANDBY => !self.waiting,
            ModelState::LOADING => !self.waiting && self.failure == NO_FAILURE,
            _ => false,
        }
    }
}

/// What a failed copy failed of; one that nothing is known about failed to load.
fn blame(failure: Failure) -> Failure {
    if failure == NO_FAILURE { Failure::MODEL_LOAD_FAILED } else { known(failure) }
}

/// The failure, or MODEL_LOAD_FAILED for one that is newer than this policy.
fn known(failure: Failure) -> Failure {
    if failure > Failure::RUNTIME_DISABLED { Failure::MODEL_LOAD_FAILED } else { failure }
}

/// The state of a model while no host is there. A target was only ever on its way.
fn unseen(previous: ModelState, target: bool) -> ModelState {
    match previous {
        _ if target => ModelState::LOADING,
        ModelState(0) => ModelState::PENDING,
        newer if newer > ModelState::FAILED_TO_LOAD => ModelState::PENDING,
        other => other,
    }
}

/// The state of a model that hosts have yet to take note of. New ones are Pending; others do not go back to that, and
/// ModelMesh's users never saw a target Pending: they wait for "" to become Loading.
fn considering(previous: ModelState, target: bool) -> ModelState {
    match previous {
        _ if target => ModelState::LOADING,
        ModelState(0) | ModelState::PENDING => ModelState::PENDING,
        ModelState::STANDBY => ModelState::STANDBY,
        _ => ModelState::LOADING,
    }
}
