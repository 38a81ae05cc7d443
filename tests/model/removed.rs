//! One protection less, and the violation that the checker then finds.

use crate::check::{falls, stalls};
use crate::properties::{I1, I3, I4, I6};
use crate::scope::{Fault, Removed, Scope};

fn one(faults: &[Fault]) -> Scope {
    Scope::new(1, &[0], u8::try_from(faults.len()).unwrap(), faults)
}

fn two(faults: &[Fault]) -> Scope {
    Scope::new(2, &[0], u8::try_from(faults.len()).unwrap(), faults)
}

#[test]
fn without_the_evidence_in_status() {
    let scope = one(&[Fault::Delete, Fault::Crash])
        .rotations(2)
        .without(Removed::Evidence);
    falls("a status forgets what the ledger lacks", scope, I1);
}

#[test]
fn without_the_put_back_into_a_restored_ledger() {
    let scope = one(&[Fault::RestoreNewer]).without(Removed::PutBack);
    stalls("what is known is not put back", scope);
}

#[test]
fn without_the_condition_on_writes() {
    let scope = two(&[]).without(Removed::Cas);
    falls("unconditional writes", scope, I1);
}

#[test]
fn with_releases_by_anybody() {
    let scope = two(&[]).without(Removed::ReleaseBySigner);
    falls("released by anybody", scope, I3);
}

#[test]
fn with_an_end_by_our_own_clock() {
    let scope = one(&[Fault::LostReply])
        .behind(2)
        .without(Removed::FinalByDate);
    falls("final by our clock", scope, I3);
}

#[test]
fn with_an_end_by_a_clock_that_is_ahead() {
    let scope = one(&[Fault::LostReply]).ahead(2).without(Removed::OwnClock);
    falls("final by a gateway's clock", scope, I3);
}

#[test]
fn without_the_memory_of_what_was_sent() {
    let scope = one(&[Fault::Delete, Fault::Wipe]).without(Removed::Sent);
    falls("what was sent is forgotten", scope, I1);
}

#[test]
fn with_a_memory_that_does_not_import() {
    let scope = one(&[Fault::Delete]).without(Removed::SentImport);
    stalls("memory only closes the gate", scope);
}

#[test]
fn without_the_import_of_statuses() {
    let scope = one(&[Fault::Delete, Fault::Crash]).without(Removed::Import);
    falls("statuses are not imported", scope, I1);
}

#[test]
fn without_the_list_of_released_attempts() {
    let faults = [Fault::Throttle, Fault::LateStatus];
    let scope = two(&faults).rotations(1).without(Removed::Released);
    falls("released attempts are forgotten", scope, I6);
}

#[test]
fn with_a_comparison_of_the_newest_code_only() {
    let scope = one(&[Fault::Crash])
        .rotations(2)
        .without(Removed::WholeHistory);
    falls("only the newest code compared", scope, I1);
}

#[test]
fn with_codes_of_another_key_let_through() {
    let scope = two(&[]).keys().without(Removed::OtherKey);
    falls("another key's codes let through", scope, I1);
}

#[test]
fn without_the_record_of_what_was_lost() {
    let scope = one(&[Fault::Delete]).without(Removed::ReRecord);
    stalls("a lost entry is not put back", scope);
}

#[test]
fn without_the_read_after_a_creation() {
    let scope = two(&[Fault::Delete]).without(Removed::StatusAfterPost);
    falls("no read of status after a creation", scope, I1);
}

#[test]
fn without_the_codes_that_other_statuses_show() {
    let faults = [Fault::Delete, Fault::Crash];
    let scope = Scope::new(1, &[0, 0], 2, &faults).without(Removed::ShownElsewhere);
    falls("other statuses are not heard", scope, I1);
}

#[test]
fn without_the_age_at_the_gate() {
    let scope = two(&[]).without(Removed::Gate);
    falls("an old claim is sent", scope, I4);
}

/// An assumption about the service.
#[test]
fn with_a_service_that_forgets_nonces() {
    let scope = one(&[Fault::Repeated]).without(Removed::Nonces);
    falls("a repeated request is executed twice", scope, I1);
}
