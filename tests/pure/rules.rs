//! The decisions between the requests of an attempt.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::api::code_ledger::LedgerEntry;
use phone_migration_operator::api::reason::Outcome;
use phone_migration_operator::api::shown_number::ShownNumber;
use phone_migration_operator::cams::{
    Answer, BlockCause, NotSentCause, Refusal, RefusalKind, UnknownCause, Verdict, VerifiedNumber,
};
use phone_migration_operator::clock::Now;
use phone_migration_operator::domain::fact::{ReleaseCause, State};
use phone_migration_operator::domain::ledger::{Ended, Ledger, Unusable};
use phone_migration_operator::domain::reads::{ReadResult, final_at};
use phone_migration_operator::operator::attempt::rules::{
    Adoption, AtGate, about_entry, adoption, after_observation, after_refusal, conclusion,
    entry as signed_entry, holds, is_fresh, is_same_subject, open_gate, overdue, reads_first,
    recognises, status_knows_more,
};
use phone_migration_operator::operator::state::sent::SentEntries;

use super::world::*;

const SECOND: Duration = Duration::from_secs(1);

/// Both clocks, so many milliseconds after the signature.
fn clocks(boot: u64, wall: i64) -> Now {
    Now {
        wall: now() + jiff::SignedDuration::from_millis(wall),
        boot: Duration::from_secs(1000) + Duration::from_millis(boot),
    }
}

fn both(ms: u64) -> Now {
    clocks(ms, i64::try_from(ms).unwrap())
}

#[test]
fn a_signature_is_fresh_for_ten_seconds_by_both_clocks() {
    for (now, fresh) in [
        (both(0), true),
        (both(9_999), true),
        (both(10_000), false),
        (clocks(10_000, 10), false),
        (clocks(10, 10_000), false),
        // The wall clock was set back: the age is unknown.
        (clocks(10, -1), false),
    ] {
        assert_eq!(is_fresh(both(0), now), fresh, "{now:?}");
    }
}

#[test]
fn the_entry_of_an_attempt_says_when_its_request_is_surely_refused() {
    let signed_at = now() + Duration::from_millis(700);
    let entry = signed_entry(&object(None), "a", signed_at, VALIDITY, &code("111111"));
    assert_eq!(entry.signed_at, Time(now()), "as the API server keeps it");
    assert_eq!(entry.final_at, Time(final_at(now(), VALIDITY)));
    assert_eq!(entry.secret, Some(code("111111").secret));
    assert_eq!((entry.migration.uid.as_str(), entry.imported), (US, false));
    assert!(entry.is_open());
}

#[test]
fn a_claim_is_ours_only_if_the_ledger_holds_it_as_it_was_written_and_it_is_young() {
    let ours = entry("a", &code("111111"), None);
    let with = |entry: LedgerEntry| vec![super::world::entry("b", &code("222222"), None), entry];
    let changed: [fn(&mut LedgerEntry); 4] = [
        |e| e.outcome = NOT_SENT,
        |e| e.final_at = Time(now()),
        |e| e.secret = None,
        |e| e.attempt_id = "another".into(),
    ];
    assert!(holds(&stored(with(ours.clone())), &ours));
    assert!(recognises(
        &ledger(with(ours.clone())),
        &ours,
        both(0),
        both(9_999)
    ));
    assert!(!recognises(
        &ledger(with(ours.clone())),
        &ours,
        both(0),
        both(10_000)
    ));
    for change in changed {
        let mut other = ours.clone();
        change(&mut other);
        assert!(!holds(&stored(with(other.clone())), &ours), "{other:?}");
        assert!(!recognises(&ledger(with(other)), &ours, both(0), both(1)));
    }
    let unusable = Ledger {
        unusable: Some(Unusable::BeingDeleted),
        ..ledger(with(ours.clone()))
    };
    assert!(!recognises(&unusable, &ours, both(0), both(1)));
}

#[test]
fn an_attempt_that_a_new_ledger_lacks_is_seen_in_status() {
    let claim = entry("a", &code("111111"), None);
    let ours = ledger(vec![claim.clone()]);
    let knows = |entries| {
        let world = World::new("Queued", entries).says(State::Suspended);
        status_knows_more(&world.object, &ours, &claim, VALIDITY, now())
    };
    assert!(!knows(Vec::new()));
    assert!(!knows(vec![entry("a", &code("111111"), None)]));
    assert!(!knows(vec![entry("b", &code("222222"), NOT_SENT)]));
    assert!(knows(vec![entry("b", &code("222222"), REFUSED)]));
    assert!(knows(vec![entry("b", &code("222222"), None)]));
    // An attempt with this very code: the new claim must not be mistaken for it.
    assert!(knows(vec![entry("b", &code("111111"), None)]));
}

#[test]
fn a_number_found_verified_is_adopted_unless_an_attempt_of_it_is_open() {
    let adopt = |entries| adoption(&object(None), &ledger(entries), &[]);
    let spent = entry("a", &code("111111"), REFUSED);
    assert_eq!(adopt(Vec::new()), Adoption::Adopt(None));
    let with_it = Adoption::Adopt(Some(Box::new(spent.clone())));
    assert_eq!(adopt(vec![spent.clone()]), with_it);
    // A process that was killed may have sent it: no status may say that no code was spent.
    let open = entry("b", &code("222222"), None);
    for open in [open.clone(), foreign("theirs", open)] {
        assert_eq!(adopt(vec![open, spent.clone()]), Adoption::Wait);
    }
    // Its own call did it, which no status shows yet: not "already verified", but as in the ledger.
    // An entry that only a status shows proves nothing.
    let mut own = entry("c", &code("333333"), ACCEPTED);
    assert_eq!(adopt(vec![own.clone()]), Adoption::Wait);
    own.imported = true;
    assert_eq!(adopt(vec![own]), Adoption::Adopt(None));
    let unusable = Ledger {
        unusable: Some(Unusable::BeingDeleted),
        ..ledger(vec![spent])
    };
    assert_eq!(adoption(&object(None), &unusable, &[]), Adoption::Wait);
}

#[test]
fn the_live_resource_is_the_one_that_was_read_for_or_the_turn_goes_back() {
    let cached = object(None);
    assert!(is_same_subject(&cached, &cached));
    let changes: [fn(&mut phone_migration_operator::api::crd::PhoneMigration); 5] = [
        |o| o.metadata.uid = Some("another".into()),
        |o| o.metadata.deletion_timestamp = Some(Time(now())),
        |o| o.spec.phone_number = "8613800009999".into(),
        |o| o.spec.cust_space_id = "1".into(),
        |o| o.spec.verify_code_secret_ref.key = "another".into(),
    ];
    for change in changes {
        let mut live = cached.clone();
        change(&mut live);
        assert!(!is_same_subject(&cached, &live));
    }
    // No other difference makes it another one; and it is read for first while it has spent no
    // code.
    let (_, spent) = World::new("Queued", vec![entry("a", &code("111111"), REFUSED)])
        .with(|w| w.reads.done = 1)
        .suspend(true)
        .step();
    assert!(is_same_subject(&cached, &spent.object));
    assert_eq!(
        [reads_first(&cached), reads_first(&spent.object)],
        [true, false]
    );
}

#[test]
fn the_gate_opens_once_for_a_code() {
    let (code, ours) = (code("111111"), entry("a", &code("111111"), None));
    let sent = SentEntries::default();
    let at = |code| AtGate {
        number: NUMBER,
        entry: &ours,
        code,
        signed: both(0),
    };
    let open = |code, may_act, at_time| open_gate(&at(code), may_act, &sent, at_time);
    let mut expired = code.clone();
    expired.expires_at = Some(both(5).wall);
    assert_eq!(
        open(&code, true, both(10_000)),
        Err("the signature is too old")
    );
    assert!(open(&code, false, both(5)).is_err());
    assert_eq!(open(&expired, true, both(5)), Err("the code expired"));
    assert_eq!(sent.of(NUMBER), [], "none of these was sent");
    assert_eq!(open(&code, true, both(5)), Ok(()));
    assert_eq!(sent.of(NUMBER), std::slice::from_ref(&ours));
    assert_eq!(
        open(&code, true, both(5)),
        Err("another attempt has this code")
    );
}

fn shown() -> ShownNumber {
    ShownNumber {
        masked: "86***".into(),
        is_other: false,
    }
}

fn answer(verdict: Verdict) -> Answer {
    Answer {
        verdict,
        code: None,
        message: Some("words".into()),
        request_id: Some("REQ".into()),
        date: None,
        api_status: None,
    }
}

fn refused(kind: RefusalKind) -> Verdict {
    Verdict::Refused(Refusal {
        code: "Code".into(),
        kind,
    })
}

#[test]
fn what_each_answer_makes_of_the_attempt() {
    use BlockCause as B;
    use NotSentCause as N;
    use Outcome as O;
    use ReleaseCause as R;
    use UnknownCause as U;
    let (not_sent, throttled) = (Some(R::NotSent), Some(R::Throttled));
    let unknown = |cause, word| (Verdict::Unknown(cause), O::Unknown, None, Some(word));
    let not_sent = |cause, word| (Verdict::NotSent(cause), O::NotSent, not_sent, Some(word));
    let blocked = |cause, release| (Verdict::Blocked(cause), O::Blocked, Some(release), None);
    let slow = Verdict::Throttled { after: None };
    let accepted = Verdict::Accepted(VerifiedNumber {
        id: Some("828".into()),
        phone_number: Some(shown()),
    });
    for (verdict, outcome, release_cause, word) in [
        (accepted.clone(), O::Accepted, None, None),
        (refused(RefusalKind::Code), O::Refused, None, None),
        (refused(RefusalKind::Request), O::RequestRefused, None, None),
        (slow, O::Throttled, throttled, Some("Throttled")),
        not_sent(N::Dns, "NotSent.Dns"),
        not_sent(N::Connect, "NotSent.Connect"),
        not_sent(N::Tls, "NotSent.Tls"),
        not_sent(N::Gate, "NotSent"),
        blocked(B::Credentials, R::Credentials),
        blocked(B::Account, R::Account),
        blocked(B::Clock, R::Clock),
        unknown(U::Timeout, "Timeout"),
        unknown(U::ConnectionLost, "ConnectionLost"),
        unknown(U::ReplyTooLarge, "ReplyTooLarge"),
        unknown(U::NotTheApi, "NotTheApi"),
        unknown(U::NonceUsed, "NonceUsed"),
        unknown(U::ServerFailure, "ServerFailure"),
        unknown(U::UnclearSuccess, "UnclearSuccess"),
    ] {
        let found = conclusion(answer(verdict.clone()));
        let ended = (found.ended.outcome, found.release_cause);
        assert_eq!(ended, (outcome, release_cause), "{verdict:?}");
        let of_cause = release_cause.map(ReleaseCause::outcome);
        assert!(
            of_cause.is_none_or(|of_cause| of_cause == outcome),
            "{verdict:?}"
        );
        // The API's own code outweighs the operator's; a success has none.
        assert_eq!(found.ended.error_code.as_deref(), word, "{verdict:?}");
        let coded = Answer {
            code: Some("Api.Code".into()),
            ..answer(verdict)
        };
        let is_failure = outcome != Outcome::Accepted;
        let told = conclusion(coded).ended;
        assert_eq!(told.error_code.as_deref(), is_failure.then_some("Api.Code"));
        assert_eq!(told.error_message.is_some(), is_failure);
        assert_eq!(told.request_id.as_deref(), Some("REQ"));
    }
    let success = conclusion(answer(accepted));
    assert_eq!(success.ended.id.as_deref(), Some("828"));
    assert_eq!(success.phone_number, Some(shown()));
}

fn verified() -> ReadResult {
    ReadResult::Verified {
        id: Some("828".into()),
        phone_number: None,
        request_id: Some("REQ".into()),
    }
}

fn adopted() -> Ended {
    Ended {
        id: Some("828".into()),
        request_id: Some("REQ".into()),
        ..Ended::of(Outcome::Adopted)
    }
}

fn not_verified(date: Option<jiff::Timestamp>) -> ReadResult {
    ReadResult::NotVerified { date }
}

fn failed() -> ReadResult {
    ReadResult::Failed("Timeout".into())
}

#[test]
fn a_read_after_a_refusal_adopts_or_says_nothing() {
    assert_eq!(after_refusal(&verified()), Some(adopted()));
    for read in [not_verified(Some(later(9))), failed(), ReadResult::NotMade] {
        assert_eq!(after_refusal(&read), None);
    }
}

#[test]
fn only_the_services_clock_together_with_ours_ends_an_open_entry() {
    let open = entry("a", &code("111111"), None);
    let end = open.final_at.0;
    let ends = |read: &ReadResult, known, at| after_observation(&open, read, known, VALIDITY, at);
    let ended = Some(Ended::of(Outcome::UnknownFinal));
    for (date, at, expected) in [
        (Some(end + SECOND), end + SECOND, &ended),
        // One gateway, or this machine, is ahead.
        (Some(end + SECOND), end, &None),
        (Some(end), end + SECOND, &None),
        (Some(end), end + SECOND * 100_000, &None),
        (None, end + SECOND * 100_000, &None),
    ] {
        assert_eq!(
            &ends(&not_verified(date), None, at),
            expected,
            "{date:?} at {at}"
        );
    }
    for at in [now(), end + SECOND * 100_000] {
        assert_eq!(ends(&verified(), None, at), Some(adopted()));
        assert_eq!(ends(&failed(), None, at), None);
        assert_eq!(ends(&ReadResult::NotMade, None, at), None);
        // The end of an imported one may be made up: it ends by the time when this process learnt
        // of it.
        let (short, long) = (VALIDITY + SECOND * 60, VALIDITY + SECOND * 61);
        assert_eq!(ends(&failed(), Some(short), at), None);
        for read in [failed(), ReadResult::NotMade, not_verified(None)] {
            assert_eq!(ends(&read, Some(long), at), ended);
        }
        assert_eq!(ends(&verified(), Some(long), at), Some(adopted()));
    }
}

#[test]
fn beside_another_open_or_verified_entry_only_the_date_decides() {
    let date = Some(later(9));
    assert_eq!(about_entry(verified(), date, true), not_verified(date));
    for read in [not_verified(date), failed(), ReadResult::NotMade] {
        assert_eq!(about_entry(read.clone(), None, true), read);
    }
}

#[test]
fn an_entry_that_should_have_ended_says_why_it_has_not() {
    let open = entry("a", &code("111111"), None);
    let end = open.final_at.0;
    let why = |read: ReadResult, at| overdue(&open, &read, at);
    assert_eq!(why(failed(), end), None, "not due yet");
    assert_eq!(why(failed(), end + SECOND).as_deref(), Some("Timeout"));
    assert!(
        why(not_verified(None), end + SECOND)
            .unwrap()
            .contains("Date")
    );
    let behind = || not_verified(Some(end));
    assert_eq!(why(behind(), end + SECOND * 60), None);
    assert!(why(behind(), end + SECOND * 61).unwrap().contains("clock"));
    // A missing slot proves nothing about the number.
    for read in [
        ReadResult::NotMade,
        verified(),
        not_verified(Some(end + SECOND)),
    ] {
        assert_eq!(why(read, end + SECOND * 100_000), None);
    }
}
