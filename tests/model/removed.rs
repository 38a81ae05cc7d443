//! One protection less, and what the checker finds then.

use crate::check::{falls, stalls};
use crate::properties::{S1, S2, S3, S4, S5, S8};
use crate::scope::{CLOUD, Cloud, Fault, Reading, Removed, Scope};

#[test]
fn without_the_condition_on_the_claim() {
    let scope = Scope::new(2, 0, &[]).without(Removed::ConditionalClaim);
    falls("unconditional claim", scope, S1);
}

#[test]
fn without_the_frozen_signature() {
    let scope = Scope::new(2, 1, &[Fault::Crash]).without(Removed::FrozenSignature);
    falls("signed when sent", scope, S4);
}

#[test]
fn without_the_gate() {
    let scope = Scope::new(2, 0, &[]).without(Removed::Gate);
    falls("no gate", scope, S5);
}

#[test]
fn with_releases_by_anybody() {
    let scope = Scope::new(2, 0, &[]).without(Removed::ReleaseBySignerOnly);
    falls("released by anybody", scope, S1);
}

#[test]
fn with_releases_of_any_attempt() {
    let scope = Scope::new(2, 0, &[])
        .rotations(1)
        .without(Removed::ReleaseOfOwnId);
    falls("released whichever it is", scope, S1);
}

#[test]
fn with_releases_of_what_is_over() {
    let scope = Scope::new(2, 0, &[]).without(Removed::ReleaseOfOpenOnly);
    falls("released although it is final", scope, S8);
}

fn nonce_used_is(reading: Reading) -> Scope {
    let kinds = [Fault::Repeated, Fault::Throttle];
    Scope::new(1, 2, &kinds).without(Removed::NonceUsedIsUnknown(reading))
}

#[test]
fn with_a_used_nonce_taken_for_success() {
    falls("used nonce is success", nonce_used_is(Reading::Success), S2);
}

#[test]
fn with_a_used_nonce_taken_for_a_refusal() {
    falls("used nonce is refusal", nonce_used_is(Reading::Refusal), S3);
}

#[test]
fn with_a_used_nonce_taken_for_not_executed() {
    falls(
        "used nonce is not executed",
        nonce_used_is(Reading::NotExecuted),
        S1,
    );
}

#[test]
fn with_a_resubmission_of_an_open_claim() {
    let scope = Scope::new(1, 1, &[Fault::Crash]).without(Removed::NoResubmissionOfOpen);
    falls("open claim sent again", scope, S1);
}

#[test]
fn with_a_resubmission_after_the_signature_expired() {
    let scope = Scope::new(1, 1, &[Fault::Crash]).without(Removed::NoResubmissionOfFinal);
    falls("final unknown sent again", scope, S1);
}

#[test]
fn with_a_final_unknown_before_the_signature_expired() {
    let scope = Scope::new(1, 1, &[Fault::Crash]).without(Removed::FinalAfterExpiry);
    falls("final before expiry", scope, S4);
}

#[test]
fn with_an_expiry_by_our_own_clock() {
    let cloud = Cloud {
        behind: 2,
        retention: 3,
        ..CLOUD
    };
    let scope = Scope::new(1, 1, &[Fault::Crash])
        .cloud(cloud)
        .without(Removed::ServerClock);
    falls("expiry by our clock", scope, S4);
}

#[test]
fn with_a_history_of_the_last_code_only() {
    let scope = Scope::new(1, 1, &[Fault::Crash])
        .rotations(2)
        .without(Removed::WholeHistory);
    falls("only the last code compared", scope, S1);
}

#[test]
fn without_the_memory_of_sent_codes() {
    let scope = Scope::new(1, 0, &[]).wipes(1).without(Removed::Memory);
    falls("sent codes forgotten", scope, S1);
}

/// Not a protection of the code, but what makes every outcome known in the end.
#[test]
fn without_observation() {
    let scope = Scope::new(1, 1, &[Fault::Crash]).without(Removed::Observation);
    stalls("nobody observes", scope, &[]);
}
