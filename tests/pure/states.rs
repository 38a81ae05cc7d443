//! Every fact, with its effect on a status and its Event: reason, conditions, message.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::events::EventType;
use phone_migration_operator::api::crd::{PhoneMigration, PhoneMigrationStatus};
use phone_migration_operator::api::reason::{Kstatus, Outcome, Reason};
use phone_migration_operator::api::shown_number::ShownNumber;
use phone_migration_operator::domain::code::CodeDigits;
use phone_migration_operator::domain::decide::Permit;
use phone_migration_operator::domain::fact::{
    Because, CamsResult, Conclusion, Exhausted, Fact, HoldCause, NoCode, QueuedFor, ReleaseCause,
    ReplyDetails, SpentBy, State, VerifiedBy,
};
use phone_migration_operator::domain::ledger::{Ledger, Unusable};
use phone_migration_operator::domain::status::present::{
    event, other_number, read_failed, without_resource,
};
use phone_migration_operator::domain::status::{Stamp, UserRequest, apply};
use proptest::prelude::*;

use super::arbitrary::{a_fact, a_status, cases};
use super::world::*;

fn told() -> ReplyDetails {
    ReplyDetails {
        code: Some("Some.Code".into()),
        message: Some("words".into()),
        request_id: Some("REQ-9".into()),
    }
}

fn verified_as(by: VerifiedBy, masked: &str, is_other: bool) -> Fact {
    let masked = masked.to_owned();
    let verified = CamsResult::Verified {
        by,
        id: Some("828".into()),
        phone_number: Some(ShownNumber { masked, is_other }),
        request_id: Some("REQ-9".into()),
    };
    verified.into()
}

fn verified(by: VerifiedBy) -> Fact {
    verified_as(by, "861380000****", false)
}

fn spent(outcome: Outcome) -> Conclusion {
    Conclusion {
        outcome,
        reply: told(),
        by: SpentBy::Us,
        ambiguous: false,
        exhausted: None,
    }
}

/// A fact, its state, the verdict of kstatus, whether it is finished, and words of its message.
struct Row(Fact, Reason, Kstatus, bool, &'static str);

/// The operator acts by itself.
fn goes_on(fact: impl Into<Fact>, reason: Reason, words: &'static str) -> Row {
    Row(fact.into(), reason, Kstatus::InProgress, false, words)
}

/// The user must act.
fn stalled(fact: impl Into<Fact>, reason: Reason, words: &'static str) -> Row {
    Row(fact.into(), reason, Kstatus::Failed, false, words)
}

/// Nothing more happens by itself.
fn ended(fact: impl Into<Fact>, reason: Reason, words: &'static str) -> Row {
    Row(fact.into(), reason, Kstatus::Failed, true, words)
}

fn verifies(fact: Fact, words: &'static str) -> Row {
    Row(fact, Reason::Verified, Kstatus::Current, true, words)
}

fn every_state() -> Vec<Row> {
    let mut rows = waiting_states();
    rows.extend(ended_states());
    rows
}

fn waiting_states() -> Vec<Row> {
    use NoCode as N;
    use QueuedFor as Q;
    use Reason as R;
    use ReleaseCause as S;
    use Unusable as U;
    let next = Some(later(5));
    let held = |release_cause| State::HeldBack {
        release_cause,
        reply: told(),
        next,
    };
    let released = |release_cause| CamsResult::Released {
        release_cause,
        reply: told(),
        next,
    };
    let queued = |why, words| goes_on(State::Queued(why), R::Queued, words);
    let missing = |why, reason, words| goes_on(State::NoCode(why), reason, words);
    let useless = |why, reason, words| stalled(State::NoCode(why), reason, words);
    let duplicate = |other: Option<&str>, words| {
        let other = other.map(str::to_owned);
        stalled(State::Duplicate { other }, R::DuplicatePhoneNumber, words)
    };
    let unusable = |why, words| {
        let ledger = "b4fe".to_owned();
        stalled(
            State::LedgerUnreadable { why, ledger },
            R::LedgerUnreadable,
            words,
        )
    };
    let unknown = |why, words| stalled(State::CodeUnknown(why), R::CodeUnknown, words);
    let within = Q::TurnWithin {
        minutes: 90,
        before: 500,
    };
    let open = Q::OpenAttempt { until: later(60) };
    let (six, by) = (CodeDigits::default(), "spec.suspend");
    let disproved = "CAMS says that the number is not verified";
    vec![
        missing(N::SecretNotFound, R::SecretNotFound, "create it"),
        missing(N::KeyNotFound, R::KeyNotFound, "add it"),
        missing(
            N::SecretForbidden,
            R::SecretForbidden,
            "right to get secrets",
        ),
        useless(N::NotDigits(six), R::InvalidCode, "of 6 digits"),
        useless(N::ExpiryNotATime, R::InvalidCode, "RFC 3339"),
        useless(N::Expired, R::CodeExpired, "expired"),
        queued(Q::Turn, "its turn"),
        queued(within, "fewer than 500"),
        queued(Q::Hold(HoldCause::Credentials), "credentials"),
        queued(Q::Hold(HoldCause::Clock), "clock of CAMS"),
        queued(Q::Hold(HoldCause::Account), "the account"),
        queued(Q::Hold(HoldCause::Transport), "cannot be reached"),
        queued(Q::Hold(HoldCause::Ledger), "cannot write CodeLedgers"),
        queued(Q::Hold(HoldCause::Brake), "tries one at a time"),
        queued(Q::BrakedPair, "check custSpaceId"),
        queued(open, "open until 2026-11-23T12:01:00Z"),
        duplicate(Some("store-1"), "PhoneMigration store-1"),
        duplicate(None, "another namespace"),
        Row(
            State::Suspended.into(),
            R::Suspended,
            Kstatus::Paused,
            false,
            by,
        ),
        unusable(U::Unparsable, "does not know"),
        unusable(U::OtherNumber, "another phone number"),
        unusable(U::AheadOfTime, "in the future"),
        unusable(U::EndsTooLate, "too long after"),
        unusable(U::TwoOpen, "are open"),
        unusable(U::BeingDeleted, "being deleted"),
        unusable(U::WriteRefused, "refuses what the operator writes"),
        unknown(Because::OtherKey, "change spec.retryToken"),
        unknown(Because::Restored, "restored without its status"),
        goes_on(CamsResult::Disproved, R::Queued, disproved),
        goes_on(held(S::Throttled), R::Throttled, "account (Some.Code)"),
        goes_on(held(S::Credentials), R::CredentialsInvalid, "AccessKey"),
        goes_on(held(S::Clock), R::ClockSkew, "node's clock"),
        goes_on(released(S::Account), R::AccountError, "RAM policy"),
        goes_on(released(S::NotSent), R::Queued, "could not be sent"),
    ]
}

fn ended_states() -> Vec<Row> {
    use Reason as R;
    let limit = |limit| Exhausted::Limit {
        spent: 5,
        limit,
        others: 3,
    };
    let number = Exhausted::Number {
        ledger: "b4fe".into(),
    };
    let exhausted = |why, words| ended(State::Exhausted(why), R::AttemptsExhausted, words);
    let refused = spent(Outcome::Refused);
    let other = Conclusion {
        by: SpentBy::Other(ago(60)),
        ..refused.clone()
    };
    let ambiguous = Conclusion {
        ambiguous: true,
        ..refused.clone()
    };
    let last = Conclusion {
        exhausted: Some(limit(5)),
        ..refused.clone()
    };
    let concludes = |of, reason, words| ended(CamsResult::Spent(of), reason, words);
    let (request, unknown) = (spent(Outcome::RequestRefused), spent(Outcome::UnknownFinal));
    let open = CamsResult::Unknown {
        reply: told(),
        until: later(60),
    };
    let overdue = CamsResult::UnknownOverdue {
        read_error: "Timeout".into(),
    };
    let otherwise = verified_as(VerifiedBy::Call, "521551234****", true);
    let by = "submitted at 2026-11-23T11:59:00Z by another";
    let again = "change spec.retryToken";
    vec![
        verifies(verified(VerifiedBy::Call), "accepted the code"),
        verifies(verified(VerifiedBy::ReadBefore), "already verified"),
        verifies(verified(VerifiedBy::ReadAfter), "adopted"),
        verifies(otherwise, "shows the number otherwise"),
        goes_on(open, R::OutcomeUnknown, "until 2026-11-23T12:01:00Z"),
        stalled(overdue, R::OutcomeUnknown, "be read (Timeout)"),
        concludes(refused, R::CodeRejected, "refused the code (Some.Code)"),
        concludes(request, R::RequestRejected, "custSpaceId"),
        concludes(unknown, R::OutcomeUnknown, "regarded as spent"),
        concludes(other, R::CodeRejected, by),
        concludes(ambiguous, R::CodeRejected, again),
        concludes(last, R::AttemptsExhausted, "5 codes were spent"),
        ended(State::UsedElsewhere, R::CodeRejected, "by chance"),
        exhausted(limit(5), again),
        exhausted(limit(20), "no more are allowed"),
        exhausted(number, "delete CodeLedger b4fe"),
    ]
}

pub fn stamp(seconds: u64) -> Stamp {
    Stamp {
        generation: 3,
        now: later(seconds),
        request: UserRequest {
            retry_token: "t".into(),
            requested_at: Some("r".into()),
            permit: Permit::default(),
        },
        is_reconcile: true,
    }
}

/// Only a later value is a change that a user makes, even if the first state handles no token.
#[test]
fn the_first_state_takes_note_of_the_token_that_is_there() {
    let mut object = World::new("Queued", Vec::new()).object;
    object.status = None;
    let fact = Fact::State(State::Queued(QueuedFor::Turn));
    let first = apply(&object, &fact, &Ledger::default(), &stamp(0)).unwrap();
    assert_eq!(first.last_handled_retry_token.as_deref(), Some("t"));
}

/// A reconcile handles a changed token by its state; an attempt handles only one that it used.
#[test]
fn a_later_token_is_handled_by_a_state_or_by_the_attempt_that_used_it() {
    let queued = Fact::State(State::Queued(QueuedFor::Turn));
    let absent = Fact::State(State::NoCode(NoCode::SecretNotFound));
    let more_codes = Permit {
        raise_to: Some(6),
        ..Permit::default()
    };
    let unknown_goes_on = Permit {
        unknown_passes: true,
        ..Permit::default()
    };
    let object = World::new("Suspended", Vec::new()).object;
    for (fact, is_reconcile, permit, handled) in [
        (&queued, true, Permit::default(), false),
        (&absent, true, Permit::default(), true),
        (&absent, false, Permit::default(), false),
        (&queued, false, more_codes, true),
        (&queued, true, unknown_goes_on, false),
        (&queued, false, unknown_goes_on, true),
    ] {
        let mut stamp = stamp(0);
        (stamp.is_reconcile, stamp.request.permit) = (is_reconcile, permit);
        let status = apply(&object, fact, &Ledger::default(), &stamp).unwrap();
        let noted = status.last_handled_retry_token.as_deref();
        let row = format!("{fact:?}, a reconcile: {is_reconcile}, {permit:?}");
        assert_eq!(noted, Some(if handled { "t" } else { "" }), "{row}");
    }
}

/// A resource whose code just got this outcome, and the ledger of its number.
fn just(outcome: Option<Outcome>) -> (PhoneMigration, Ledger) {
    let world = World::of(None, ledger(vec![entry("a", &code("111111"), outcome)]));
    (world.object, world.ledger)
}

fn said(
    object: &PhoneMigration,
    fact: &Fact,
    ledger: &Ledger,
    seconds: u64,
) -> PhoneMigrationStatus {
    let old = object.status.clone().unwrap_or_default();
    apply(object, fact, ledger, &stamp(seconds)).unwrap_or(old)
}

#[test]
fn every_state_has_its_reason_conditions_message_and_event() {
    for Row(fact, reason, kind, finished, words) in every_state() {
        let (mut object, ledger) = match &fact {
            Fact::Result(CamsResult::Spent(conclusion)) => just(Some(conclusion.outcome)),
            _ => just(None),
        };
        let new = said(&object, &fact, &ledger, 0);
        assert_eq!(new.reason(), Some(reason), "{fact:?}");
        let holds: Vec<_> = new
            .conditions
            .iter()
            .map(|c| (&*c.type_, c.status == "True"))
            .collect();
        let shows = [
            ("Ready", kind == Kstatus::Current),
            ("Reconciling", kind == Kstatus::InProgress),
            ("Stalled", kind == Kstatus::Failed),
            ("Finished", finished),
        ];
        assert_eq!(holds, shows, "{fact:?}");
        for condition in &new.conditions {
            assert_eq!(
                (&*condition.reason, condition.observed_generation),
                (reason.as_str(), Some(3))
            );
            assert_eq!(condition.last_transition_time, Time(now()));
            assert!(condition.message.contains(words), "{}", condition.message);
            let private = ["REQ-9", "8613", "2026-11-23T12:00:00Z"];
            assert!(
                private.iter().all(|word| !condition.message.contains(word)),
                "{}",
                condition.message
            );
        }
        assert_eq!(
            (
                new.observed_generation,
                new.last_handled_reconcile_at.as_deref()
            ),
            (Some(3), Some("r"))
        );
        let old = PhoneMigrationStatus::default();
        let published = event(&old, &new, &fact).map(|e| e.reason);
        let expected = (reason != Reason::Queued).then_some(reason.as_str());
        assert_eq!(published.as_deref(), expected, "{fact:?}");
        // An hour later nothing has changed: nothing is written, and nothing published.
        object.status = Some(new.clone());
        let again = said(&object, &fact, &ledger, 3600);
        assert_eq!(
            (&again, event(&new, &again, &fact).map(|e| e.reason)),
            (&new, None),
            "{fact:?}"
        );
    }
}

#[test]
fn a_transition_time_stays_while_the_condition_does() {
    let (mut object, ledger) = just(None);
    object.status = Some(said(&object, &Fact::State(State::Suspended), &ledger, 0));
    let queued = said(
        &object,
        &State::Queued(QueuedFor::Turn).into(),
        &ledger,
        3600,
    );
    let times: Vec<_> = queued
        .conditions
        .iter()
        .map(|c| c.last_transition_time.0)
        .collect();
    assert_eq!(times, [now(), later(3600), now(), now()]);
}

#[test]
fn an_error_told_since_does_not_pass_for_why_the_code_was_refused() {
    let (mut object, ledger) = just(REFUSED);
    let held = Fact::State(State::HeldBack {
        release_cause: ReleaseCause::Account,
        reply: told(),
        next: None,
    });
    object.status = Some(said(&object, &held, &ledger, 0));
    let own = ReplyDetails {
        code: Some("Error-a".into()),
        message: None,
        request_id: Some("REQ-a".into()),
    };
    let refused = Fact::Result(CamsResult::Spent(Conclusion {
        reply: own,
        ..spent(Outcome::Refused)
    }));
    let back = said(&object, &refused, &ledger, 0);
    assert_eq!(back.error_code.as_deref(), Some("Error-a"));
    assert_eq!(back.error_message, None);
    assert_eq!(back.request_id.as_deref(), Some("REQ-a"));
}

#[test]
fn a_verified_number_stays_verified_whatever_is_said() {
    for outcome in [None, ACCEPTED] {
        let (mut object, ledger) = just(outcome);
        object.status = Some(PhoneMigrationStatus {
            id: Some("828".into()),
            ..seen("Verified")
        });
        for Row(fact, ..) in every_state() {
            let written = apply(&object, &fact, &ledger, &stamp(0));
            let confirms = matches!(fact, Fact::Result(CamsResult::Verified { .. }));
            assert_eq!(written.is_some(), confirms, "{fact:?}");
            assert!(written.is_none_or(|new| new.reason() == Some(Reason::Verified)));
        }
    }
}

#[test]
fn an_unknown_outcome_is_followed_to_its_end() {
    let overdue = |error: &str| {
        Fact::Result(CamsResult::UnknownOverdue {
            read_error: error.into(),
        })
    };
    let unknown = Fact::Result(CamsResult::Unknown {
        reply: told(),
        until: later(9),
    });
    let steps = [
        (unknown, None, Some("OutcomeUnknown")),
        (overdue("Timeout"), None, Some("OutcomeUnknown")),
        (overdue("NotSent.Dns"), None, None),
        (
            Fact::Result(CamsResult::Spent(spent(Outcome::UnknownFinal))),
            FINAL,
            Some("OutcomeUnknown"),
        ),
        (
            verified(VerifiedBy::ReadAfter),
            Some(Outcome::Adopted),
            Some("Verified"),
        ),
    ];
    let (mut object, _) = just(None);
    for (fact, outcome, expected) in steps {
        let (_, ledger) = just(outcome);
        let old = object.status.clone().unwrap_or_default();
        let new = said(&object, &fact, &ledger, 0);
        assert_eq!(
            event(&old, &new, &fact).map(|e| e.reason).as_deref(),
            expected,
            "{fact:?}"
        );
        object.status = Some(new);
    }
}

#[test]
fn what_has_no_state_of_its_own_is_said_within_bounds() {
    for event in [
        without_resource(&"x".repeat(5000)),
        read_failed(&"é".repeat(5000)),
        other_number(&ShownNumber {
            masked: "5".repeat(5000),
            is_other: true,
        }),
    ] {
        assert!(event.note.unwrap().chars().count() <= 1000);
        assert!(matches!(event.type_, EventType::Warning));
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn every_event_has_the_reason_of_its_state_and_is_short(status in a_status(), fact in a_fact()) {
        let object = object(Some(status.clone()));
        let new = said(&object, &fact, &Ledger::default(), 0);
        if let Some(event) = event(&status, &new, &fact) {
            prop_assert_eq!(Some(event.reason), new.reason.clone());
            let actions = ["ReadCode", "SubmitCode", "VerifyPhoneNumber"];
            prop_assert!(actions.contains(&event.action.as_str()), "{}", event.action);
            prop_assert!(event.note.unwrap().chars().count() <= 1000);
            prop_assert!(new != status);
        }
    }
}
