//! What must always hold (S1 to S8; S7, the limiter, is checked in `tests/quota`), and what a
//! settled state is.

use phone_migration_operator::crd::{PhoneMigrationStatus, condition};
use phone_migration_operator::reason::{Outcome, Reason};
use stateright::Property;

use crate::protocol::Protocol;
use crate::reach::fingerprint;
use crate::state::{Executed, State, Task};
use crate::world::usable;

pub const S1: &str = "S1 no code is executed twice";
pub const S2: &str = "S2 Verified only if the number is verified";
pub const S3: &str = "S3 a code recorded as refused was refused";
pub const S4: &str = "S4 nothing is executed after its attempt was recorded as over";
pub const S4B: &str = "S4b a final unknown was not accepted";
pub const S5: &str = "S5 every send has its open claim in the store";
pub const S5B: &str = "S5b an open claim is never overwritten";
pub const S6: &str = "S6 an attempt id belongs to one code";
pub const S8: &str = "S8 attempts and definite outcomes never move back";

/// Found by walking the graph backwards; a property of its own to get the path to it.
pub const L1: &str = "L1 from every state a settled one can be reached";

pub fn safety() -> Vec<Property<Protocol>> {
    vec![
        Property::always(S1, |_, s: &State| {
            s.service.codes.iter().all(|c| c.times <= 1)
        }),
        Property::always(S2, |_, s: &State| {
            !is_told_verified(s) || s.service.verified.is_some()
        }),
        Property::always(S3, |_, s: &State| {
            recorded(s).all(|(outcome, code)| match outcome {
                Outcome::Refused | Outcome::RequestRefused => code.times > 0 && !code.accepted,
                Outcome::Accepted
                | Outcome::Adopted
                | Outcome::Throttled
                | Outcome::NotSent
                | Outcome::Blocked
                | Outcome::UnknownFinal
                | Outcome::Unknown => true,
            })
        }),
        Property::always(S4, |_, s: &State| !s.seen.late_execution),
        Property::always(S4B, |_, s: &State| {
            recorded(s).all(|(outcome, code)| outcome != Outcome::UnknownFinal || !code.accepted)
        }),
        Property::always(S5, |_, s: &State| {
            s.wipes_happened() || !s.seen.unclaimed_send
        }),
        Property::always(S5B, |_, s: &State| !s.seen.forgotten_claim),
        Property::always(S6, ids_belong_to_one_code),
        Property::always(S8, |_, s: &State| !s.seen.moved_back),
        Property::always(L1, |model: &Protocol, s: &State| {
            !model.stuck.contains(&fingerprint(s))
        }),
    ]
}

/// Nothing is under way, status says that it is finished, well or badly, and a verified number
/// is not lost.
pub fn is_settled(s: &State) -> bool {
    if s.service.verified.is_some() && !is_told_verified(s) {
        return false;
    }
    let finished = status(s).is_some_and(|status| {
        let mut conditions = status.conditions.iter();
        conditions.any(|c| c.type_ == condition::FINISHED && c.status == "True")
    });
    let idle = s.replicas.iter().all(|r| matches!(r.task, Task::Idle));
    finished && idle && s.wire.is_empty()
}

fn is_told_verified(s: &State) -> bool {
    status(s).is_some_and(|status| status.reason.as_deref() == Some(Reason::Verified.as_str()))
}

fn status(s: &State) -> Option<&PhoneMigrationStatus> {
    s.store.status.as_ref()
}

/// The outcomes in status, each with what the service did with the code.
fn recorded(s: &State) -> impl Iterator<Item = (Outcome, Executed)> {
    let attempt = status(s).and_then(|status| status.attempt.as_ref());
    let of_attempt = attempt.and_then(|a| Some((a.id.as_str(), a.outcome?)));
    let history = status(s).map_or(&[][..], |status| &status.history);
    let of_history = history.iter().map(|e| (e.attempt_id.as_str(), e.outcome));
    of_attempt
        .into_iter()
        .chain(of_history)
        .map(|(id, outcome)| (outcome, s.service.codes[code_of(id)]))
}

/// The code that an attempt was signed for: the last digit of its id in this model.
pub fn code_of(id: &str) -> usize {
    usize::from(id.ends_with('1'))
}

fn ids_belong_to_one_code(model: &Protocol, s: &State) -> bool {
    let Some(status) = status(s) else { return true };
    let attempt = status.attempt.iter();
    let attempt = attempt.map(|a| (a.id.as_str(), a.code_fingerprint.as_ref()));
    let history = status.history.iter();
    let history = history.map(|e| (e.attempt_id.as_str(), e.code_fingerprint.as_ref()));
    attempt.chain(history).all(|(id, fingerprint)| {
        let of_code = &model.readings[code_of(id)];
        fingerprint == Some(&usable(of_code).fingerprint)
    })
}
