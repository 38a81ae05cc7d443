//! The invariants (I1 to I7 of the page of the protocol; I8 is in `tests/pure/decide_properties.rs`,
//! I9 is the violation without the version), and the definition of a settled state (L1 to L4).

use phone_migration_operator::api::reason::{CodeUse, Outcome, Reason};
use stateright::Property;

use crate::protocol::Protocol;
use crate::reach::fingerprint;
use crate::records::{Entry, Id, Out, Said};
use crate::service::is_excused;
use crate::state::{State, Task};

pub const I1: &str = "I1 no code is executed twice";
pub const I2: &str = "I2 one open entry, one request that can be executed";
pub const I3: &str = "I3 nothing is executed unless its entry is open";
pub const I4: &str = "I4 every send has its open entry in the ledger";
pub const I5: &str = "I5 refused is refused, verified is verified";
pub const I6: &str = "I6 definite outcomes and spent codes never move back";

/// Found by walking the graph backwards; a separate property, to get the path to it.
pub const L1: &str = "L1 from every state a settled one can be reached";

pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(I1, |_, s: &State| !s.wrong.executed_twice),
        Property::always(I2, one_at_a_time),
        Property::always(I3, |_, s: &State| !s.wrong.executed_unclaimed),
        Property::always(I4, |_, s: &State| !s.wrong.sent_unclaimed),
        Property::always(I5, |_, s: &State| tells_the_truth(s)),
        Property::always(I6, |_, s: &State| !s.wrong.moved_back),
        Property::always(L1, |model: &Protocol, s: &State| {
            !model.stuck.contains(&fingerprint(s))
        }),
    ]
}

fn one_at_a_time(model: &Protocol, s: &State) -> bool {
    let open = s.book().map_or(0, |book| book.open().count());
    let mut alive: Vec<Id> = s.wire.clone();
    alive.retain(|id| model.is_alive(s, *id));
    let excused = |a: &Id| alive.iter().all(|b| a == b || is_excused(s, *a, *b));
    open <= 1 && alive.iter().all(excused)
}

fn tells_the_truth(s: &State) -> bool {
    let entries = s.book().into_iter().flat_map(|book| &book.entries);
    let said = s.resources.iter().filter_map(|r| r.said.as_ref());
    let verified = said
        .clone()
        .all(|said| !said.is(Reason::Verified) || s.verified);
    let of_statuses = said.flat_map(Said::attempts);
    verified
        && entries
            .map(|e| (e.id, e.out))
            .chain(of_statuses)
            .all(|(id, out)| is_true(s, id, out))
}

fn is_true(s: &State, id: Id, out: Out) -> bool {
    let truth = s.truth[usize::from(id)];
    let code = s.codes[usize::from(s.attempts[usize::from(id)].code)];
    match out.get() {
        Some(Outcome::Refused | Outcome::RequestRefused) => truth.executed && !code.accepted,
        Some(Outcome::Accepted) => truth.executed && code.accepted,
        Some(Outcome::Adopted) => s.verified,
        Some(Outcome::Throttled | Outcome::NotSent | Outcome::Blocked) => !truth.executed,
        Some(Outcome::UnknownFinal | Outcome::Unknown) | None => true,
    }
}

/// No request is in flight, every answer is in the ledger, and every resource has reached a true
/// end.
pub fn is_settled(model: &Protocol, s: &State) -> bool {
    if s.limit {
        return true;
    }
    let idle = s.replicas.iter().all(|r| r.task == Task::Idle);
    let open = s.book().is_some_and(|book| book.open().next().is_some());
    let all = 0..u8::try_from(s.resources.len()).unwrap();
    idle && !open
        && s.wire.is_empty()
        && knows_all(s)
        && all.into_iter().all(|r| has_ended(model, s, r))
}

/// I7: everything that a living process knows is in the ledger, unless another entry has spent the
/// code.
fn knows_all(s: &State) -> bool {
    let sent = s.replicas.iter().flat_map(|r| &r.sent);
    sent.copied().all(|(id, out)| match s.entry(id) {
        Some(entry) => {
            let stands = out
                .get()
                .is_none_or(|out| !out.may_replace(entry.out.get()));
            out == entry.out
                || stands
                || (out.code_use() == CodeUse::Verified && is_verified_by_other(s, id))
        }
        None => {
            let code = s.attempts[usize::from(id)].code;
            let spent =
                |e: &Entry| !e.out.is_released() && s.attempts[usize::from(e.id)].code == code;
            s.book().is_some_and(|book| book.entries.iter().any(spent))
        }
    })
}

fn is_verified_by_other(s: &State, id: Id) -> bool {
    let verified = |e: &Entry| e.id != id && e.out.code_use() == CodeUse::Verified;
    s.book()
        .is_some_and(|book| book.entries.iter().any(verified))
}

fn has_ended(model: &Protocol, s: &State, resource: u8) -> bool {
    let of = &s.resources[usize::from(resource)];
    let Some(said) = &of.said else { return false };
    if said.is(Reason::Verified) {
        return said.has_id;
    }
    if said.is(Reason::DuplicatePhoneNumber) {
        return s.verified;
    }
    if model.scope.keys && said.is(Reason::CodeUnknown) {
        return true;
    }
    let mut own = s
        .book()
        .into_iter()
        .flat_map(|book| &book.entries)
        .filter(|e| {
            let signed = s.attempts[usize::from(e.id)];
            (signed.resource, signed.life) == (resource, of.life)
        });
    let shown = own.all(|e| match e.out.code_use() {
        CodeUse::Open | CodeUse::Released => true,
        CodeUse::Verified => false,
        // Or something more definite, shown when the ledger could not be written.
        CodeUse::Spent => said.history.iter().any(|(id, out)| {
            let outweighs = e.out.get().is_some_and(|o| !o.may_replace(out.get()));
            *id == e.id && (*out == e.out || outweighs)
        }),
    });
    // A released code may go again: the end is about a code that was sent, or counts as sent.
    let code = model.code(s, resource);
    let done = s.lost || model.scope.keys || model.is_done_with(s, code);
    said.finished && shown && done
}
