//! The drift guard. Every case of the production types that the protocol speaks in is either met
//! by the model or named here as one that it never meets; a new case does not compile until
//! somebody has decided, and a run fails when it meets one that it was said never to meet.

use std::collections::BTreeSet;
use std::sync::Arc;

use phone_migration_operator::cams::{BlockCause, NotSentCause, UnknownCause, Verdict};
use phone_migration_operator::decide::{Elsewhere, Next};
use phone_migration_operator::fact::{Fact, QueuedFor};
use phone_migration_operator::reads::Purpose;
use phone_migration_operator::reason::{Outcome, Reason};
use stateright::{Checker, Model};

use crate::protocol::Protocol;
use crate::scope::{Fault, Scope};

/// A word for a case that the model meets.
pub type Word = Option<&'static str>;

/// Not met: no Secret without a code, no sibling, no suspending, no hold, one key, few codes.
pub fn fact(fact: &Fact) -> Word {
    match fact {
        Fact::NoCode(_)
        | Fact::Queued(QueuedFor::Turn | QueuedFor::TurnWithin { .. } | QueuedFor::Hold(_))
        | Fact::Duplicate { .. }
        | Fact::Suspended
        | Fact::HeldBack { .. }
        | Fact::Exhausted
        | Fact::LimitRaised
        | Fact::Refingerprinted(_) => None,
        Fact::Seen => Some("fact Seen"),
        Fact::Queued(QueuedFor::OtherAttempt) => Some("fact OtherAttempt"),
        Fact::Claimed(_) => Some("fact Claimed"),
        Fact::Released { .. } => Some("fact Released"),
        Fact::Verified { .. } => Some("fact Verified"),
        Fact::Refused { .. } => Some("fact Refused"),
        Fact::Unknown { .. } => Some("fact Unknown"),
        Fact::UnknownFinal => Some("fact UnknownFinal"),
        Fact::UnknownOverdue { .. } => Some("fact UnknownOverdue"),
        Fact::Concluded { ambiguous: false } => Some("fact Concluded"),
        Fact::Concluded { ambiguous: true } => None,
        Fact::TookOver(_) => Some("fact TookOver"),
    }
}

/// Not met: every look has its turn and its code.
pub fn next(next: &Next) -> Word {
    match next {
        Next::ReadCode | Next::Enqueue(_) | Next::Stay(_) => None,
        Next::Rest => Some("next Rest"),
        Next::At(_) => Some("next At"),
        Next::Poll => Some("next Poll"),
        Next::Claim(_) => Some("next Claim"),
        Next::ReadStatus(purpose) => self::purpose(*purpose),
    }
}

fn purpose(purpose: Purpose) -> Word {
    match purpose {
        Purpose::Late => Some("read Late"),
        Purpose::MissingId => Some("read MissingId"),
        Purpose::Open => Some("read Open"),
        Purpose::MakeUp => Some("read MakeUp"),
        Purpose::TakeOver => Some("read TakeOver"),
    }
}

pub fn elsewhere(elsewhere: &Elsewhere) -> Word {
    match elsewhere {
        Elsewhere::Open => Some("elsewhere Open"),
        Elsewhere::Ended { .. } => Some("elsewhere Ended"),
    }
}

/// Not met: causes that are classified like one that is.
pub fn verdict(verdict: &Verdict) -> Word {
    match verdict {
        Verdict::Accepted { .. } => Some("verdict Accepted"),
        Verdict::Refused(_) => Some("verdict Refused"),
        Verdict::Throttled { .. } => Some("verdict Throttled"),
        Verdict::NotSent(NotSentCause::Gate) => Some("verdict Gate"),
        Verdict::NotSent(NotSentCause::Dns | NotSentCause::Connect | NotSentCause::Tls) => None,
        Verdict::Blocked(BlockCause::Credentials) => Some("verdict Credentials"),
        Verdict::Blocked(BlockCause::Account) => Some("verdict Account"),
        Verdict::Blocked(BlockCause::Clock) => Some("verdict Clock"),
        Verdict::Unknown(UnknownCause::Timeout) => Some("verdict Timeout"),
        Verdict::Unknown(UnknownCause::NonceUsed) => Some("verdict NonceUsed"),
        Verdict::Unknown(UnknownCause::ServerFailure) => Some("verdict ServerFailure"),
        Verdict::Unknown(
            UnknownCause::ConnectionLost
            | UnknownCause::ReplyTooLarge
            | UnknownCause::NotTheApi
            | UnknownCause::OtherNumber
            | UnknownCause::UnclearSuccess,
        ) => None,
    }
}

/// Not met: a refusal of the request is handled like one of the code.
pub fn outcome(outcome: Outcome) -> Word {
    match outcome {
        Outcome::RequestRefused => None,
        Outcome::Accepted => Some("outcome Accepted"),
        Outcome::Adopted => Some("outcome Adopted"),
        Outcome::Refused => Some("outcome Refused"),
        Outcome::Throttled => Some("outcome Throttled"),
        Outcome::NotSent => Some("outcome NotSent"),
        Outcome::Blocked => Some("outcome Blocked"),
        Outcome::UnknownFinal => Some("outcome UnknownFinal"),
        Outcome::Unknown => Some("outcome Unknown"),
    }
}

/// Not met: as for the facts.
pub fn reason(reason: Reason) -> Word {
    match reason {
        Reason::SecretNotFound
        | Reason::KeyNotFound
        | Reason::InvalidCode
        | Reason::CodeExpired
        | Reason::RequestRejected
        | Reason::AttemptsExhausted
        | Reason::DuplicatePhoneNumber
        | Reason::Suspended => None,
        Reason::Queued => Some("reason Queued"),
        Reason::Verifying => Some("reason Verifying"),
        Reason::Verified => Some("reason Verified"),
        Reason::CodeRejected => Some("reason CodeRejected"),
        Reason::CredentialsInvalid => Some("reason CredentialsInvalid"),
        Reason::AccountError => Some("reason AccountError"),
        Reason::ClockSkew => Some("reason ClockSkew"),
        Reason::Throttled => Some("reason Throttled"),
        Reason::OutcomeUnknown => Some("reason OutcomeUnknown"),
    }
}

const MET: &[&str] = &[
    "elsewhere Ended",
    "elsewhere Open",
    "fact Claimed",
    "fact Concluded",
    "fact OtherAttempt",
    "fact Refused",
    "fact Released",
    "fact Seen",
    "fact TookOver",
    "fact Unknown",
    "fact UnknownFinal",
    "fact UnknownOverdue",
    "fact Verified",
    "next At",
    "next Claim",
    "next Poll",
    "next Rest",
    "outcome Accepted",
    "outcome Adopted",
    "outcome Blocked",
    "outcome NotSent",
    "outcome Refused",
    "outcome Throttled",
    "outcome Unknown",
    "outcome UnknownFinal",
    "read Late",
    "read MakeUp",
    "read MissingId",
    "read Open",
    "read TakeOver",
    "reason AccountError",
    "reason ClockSkew",
    "reason CodeRejected",
    "reason CredentialsInvalid",
    "reason OutcomeUnknown",
    "reason Queued",
    "reason Throttled",
    "reason Verified",
    "reason Verifying",
    "verdict Accepted",
    "verdict Account",
    "verdict Clock",
    "verdict Credentials",
    "verdict Gate",
    "verdict NonceUsed",
    "verdict Refused",
    "verdict ServerFailure",
    "verdict Throttled",
    "verdict Timeout",
];

/// A model that misses what it was written for proves nothing.
#[test]
fn the_model_meets_every_case_that_it_names() {
    let kinds = [
        Fault::LostReply,
        Fault::Throttle,
        Fault::Block,
        Fault::ServerFailure,
        Fault::ShutGate,
        Fault::Repeated,
        Fault::FailedRead,
    ];
    let scopes = [
        Scope::new(1, 2, &kinds),
        Scope::new(1, 1, &[Fault::Throttle]).rotations(2),
        Scope::new(1, 1, &[Fault::LostReply]).wipes(1).adopting(),
        Scope::new(1, 1, &[Fault::LostReply]).asking(),
    ];
    let mut met = BTreeSet::new();
    for scope in scopes {
        let model = Protocol::new(scope);
        let words = Arc::clone(&model.met);
        model
            .checker()
            .threads(2)
            .spawn_bfs()
            .join()
            .assert_properties();
        met.extend(words.lock().unwrap().iter().copied());
    }
    let named = BTreeSet::from_iter(MET.iter().copied());
    let missed: Vec<_> = named.symmetric_difference(&met).collect();
    assert!(missed.is_empty(), "named or met, not both: {missed:?}");
}
