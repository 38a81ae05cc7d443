//! What the process remembers: codes sent, and visits made.

use std::time::Duration;

use phone_migration_operator::clock::Now;
use phone_migration_operator::cluster::Key;
use phone_migration_operator::crd::{PhoneMigration, PhoneMigrationStatus};
use phone_migration_operator::decide::Elsewhere;
use phone_migration_operator::fact::Told;
use phone_migration_operator::reason::Outcome;
use phone_migration_operator::spent::SpentCodes;
use phone_migration_operator::visits::{Due, Visits};

use super::world::*;

const CODE: &str = "key:fingerprint";

fn sent() -> SpentCodes {
    let codes = SpentCodes::default();
    assert!(codes.begin(CODE, NUMBER, "a", now(), later(1920)));
    codes
}

fn nobody() -> PhoneMigrationStatus {
    PhoneMigrationStatus::default()
}

fn ended(codes: &SpentCodes, at: u64) -> Option<Outcome> {
    match codes.elsewhere(CODE, NUMBER, &nobody(), later(at)) {
        Some(Elsewhere::Ended { code, .. }) => Some(code.outcome),
        Some(Elsewhere::Open) | None => None,
    }
}

#[test]
fn a_code_is_sent_by_one_attempt_only() {
    let codes = sent();
    assert!(!codes.begin(CODE, NUMBER, "b", later(1), later(1921)));
    assert!(codes.begin("key:other", NUMBER, "b", later(1), later(1921)));
    assert_eq!(
        codes.elsewhere(CODE, NUMBER, &nobody(), later(1)),
        Some(Elsewhere::Open)
    );
}

#[test]
fn a_release_frees_the_code_for_its_own_attempt_only() {
    let codes = sent();
    codes.release(CODE, "b");
    assert!(!codes.begin(CODE, NUMBER, "b", later(1), later(1921)));
    codes.release(CODE, "a");
    assert_eq!(codes.elsewhere(CODE, NUMBER, &nobody(), later(1)), None);
    assert!(codes.begin(CODE, NUMBER, "b", later(1), later(1921)));
}

/// The number has one attempt in flight at most, also where the resource of the first is gone.
#[test]
fn another_code_for_the_number_waits_while_an_attempt_is_open() {
    const OTHER: &str = "key:other";
    let codes = sent();
    let open = Some(Elsewhere::Open);
    let asked = |number, status: &_, at| codes.elsewhere(OTHER, number, status, later(at));
    assert_eq!(asked(NUMBER, &nobody(), 1), open);
    assert_eq!(asked("8613800009999", &nobody(), 1), None);
    let mut knows = tried("Verifying", 1, &code("111111"), None);
    knows
        .object
        .status
        .as_mut()
        .unwrap()
        .attempt
        .as_mut()
        .unwrap()
        .id = "a".into();
    assert_eq!(asked(NUMBER, knows.status(), 1), None, "status decides");
    codes.end("a", Outcome::Unknown, &Told::default());
    assert_eq!(asked(NUMBER, &nobody(), 1920), open);
    assert_eq!(
        asked(NUMBER, &nobody(), 1921),
        None,
        "its signature is over"
    );
    codes.end("a", Outcome::Refused, &Told::default());
    assert_eq!(asked(NUMBER, &nobody(), 1), None);
}

#[test]
fn an_outcome_is_kept_for_a_day_and_told_to_who_does_not_know_it() {
    let codes = sent();
    let told = Told {
        code: Some("Error".into()),
        message: None,
        request_id: Some("REQ".into()),
    };
    codes.end("a", Outcome::Refused, &told);
    let known = codes.elsewhere(CODE, NUMBER, &nobody(), later(10));
    let Some(Elsewhere::Ended { code: entry, .. }) = known else {
        panic!("forgotten")
    };
    assert_eq!(
        (entry.outcome, entry.attempt_id.as_str()),
        (Outcome::Refused, "a")
    );
    assert_eq!(
        (entry.error_code, entry.request_id),
        (told.code, told.request_id)
    );
    let mut knows = tried("CodeRejected", 1, &code("111111"), Some(Outcome::Refused));
    knows
        .object
        .status
        .as_mut()
        .unwrap()
        .attempt
        .as_mut()
        .unwrap()
        .id = "a".into();
    assert_eq!(
        codes.elsewhere(CODE, NUMBER, knows.status(), later(10)),
        None
    );
    assert!(!codes.begin(CODE, NUMBER, "b", later(24 * 3600 - 1), later(99_999)));
    assert!(codes.begin(CODE, NUMBER, "b", later(24 * 3600), later(99_999)));
}

#[test]
fn a_definite_outcome_in_memory_stays() {
    let codes = sent();
    codes.end("a", Outcome::Refused, &Told::default());
    codes.end("a", Outcome::Unknown, &Told::default());
    assert_eq!(ended(&codes, 10), Some(Outcome::Refused));
    let codes = sent();
    codes.end("a", Outcome::Unknown, &Told::default());
    codes.end("a", Outcome::Adopted, &Told::default());
    assert_eq!(ended(&codes, 10), Some(Outcome::Adopted));
}

#[test]
fn what_nobody_observes_any_more_is_final_when_its_signature_has_ended() {
    for unknown in [false, true] {
        let codes = sent();
        if unknown {
            codes.end("a", Outcome::Unknown, &Told::default());
        }
        assert_eq!(
            codes.elsewhere(CODE, NUMBER, &nobody(), later(1920)),
            Some(Elsewhere::Open)
        );
        assert_eq!(ended(&codes, 1921), Some(Outcome::UnknownFinal));
    }
}

fn key() -> Key {
    Key {
        namespace: "tenant-a".into(),
        name: "store-42".into(),
    }
}

fn version(version: &str) -> PhoneMigration {
    let mut object = object(nobody());
    object.metadata.resource_version = Some(version.into());
    object
}

fn moment(seconds: u64) -> Now {
    Now {
        wall: later(seconds),
        boot: Duration::from_secs(1000 + seconds),
    }
}

#[test]
fn a_resource_is_due_when_it_changed_or_when_its_time_has_come() {
    let visits = Visits::default();
    let due = |v: &str, s| visits.due(&key(), &version(v), moment(s));
    assert_eq!(due("5", 0), Due::Changed);
    assert_eq!(due("5", 0), Due::Never);
    visits.set_due(&key(), Some(moment(10).boot));
    assert_eq!(due("5", 9), Due::At(moment(10).boot));
    assert_eq!(due("5", 10), Due::Now);
    assert_eq!(due("6", 9), Due::Changed);
    // What this process wrote itself is not news, and what is older is stale.
    visits.handled(&key(), &version("9"));
    assert_eq!(due("9", 9), Due::Never);
    assert_eq!(due("8", 9), Due::Stale);
    visits.due_now_unless_set(&key(), moment(9).boot);
    assert_eq!(due("9", 9), Due::Now);
    visits.forget(&key());
    assert_eq!(due("3", 9), Due::Changed);
}

/// Thousands that are due together: each asks once, comes back at its own time, and not more than 20
/// look in any second.
#[test]
fn each_look_is_asked_for_once_and_has_a_time_of_its_own() {
    let visits = Visits::default();
    let of = |n: u32| Key {
        name: format!("m-{n}"),
        ..key()
    };
    let at = |boot: Duration| Now { boot, ..moment(0) };
    let due = |n: u32, v: &str, boot| visits.due(&of(n), &version(v), at(boot));
    let start = moment(0).boot;
    let mut made = Vec::new();
    for n in 0..5_000 {
        due(n, "1", start);
        visits.set_look(&of(n), Some(start));
        assert_eq!(due(n, "1", start), Due::Look);
        if visits.permit_look(&of(n), start) {
            made.push(start);
            continue;
        }
        let Due::At(own) = due(n, "1", start) else {
            panic!("{n} has no time");
        };
        // Asking again too early gives no other time.
        let early = own - Duration::from_millis(1);
        assert!(!visits.permit_look(&of(n), early));
        assert_eq!(due(n, "1", early), Due::At(own));
        assert_eq!(due(n, "1", own), Due::Look);
        assert!(visits.permit_look(&of(n), own));
        made.push(own);
    }
    assert_eq!(made[0], start);
    for pair in made.windows(21) {
        assert!(pair[20] - pair[0] >= Duration::from_secs(1), "{pair:?}");
    }
    // One that looked has given its time back, and one that changed does not keep it.
    let after_all = start + Duration::from_millis(50 * 5_000);
    assert!(!visits.permit_look(&of(0), start));
    assert_eq!(due(0, "1", start), Due::At(after_all));
    assert_eq!(due(0, "2", start), Due::Changed);
    assert!(!visits.permit_look(&of(0), start));
    visits.set_look(&of(0), Some(start));
    assert!(!visits.permit_look(&of(0), start));
    let last = after_all + Duration::from_millis(50);
    assert_eq!(due(0, "2", start), Due::At(last));
}

/// A code that waits for its next attempt does not stand in line with those that only look.
#[test]
fn what_something_waits_for_needs_no_time_of_its_own() {
    let visits = Visits::default();
    let due = |s| visits.due(&key(), &version("1"), moment(s));
    due(0);
    visits.set_poll(&key(), moment(0).boot, 0);
    assert_eq!(due(5), Due::Look);
    // Its attempt ended, or somebody waits for it.
    visits.set_due(&key(), Some(moment(5).boot));
    assert_eq!(due(5), Due::Now);
    visits.begin(&key());
    assert_eq!(due(5), Due::Never);
    visits.failed(&key(), moment(5).boot);
    assert_eq!(due(10), Due::Now);
    // A look that failed is tried again as a look.
    visits.set_look(&key(), Some(moment(10).boot));
    visits.begin(&key());
    visits.failed(&key(), moment(10).boot);
    assert_eq!(due(20), Due::Look);
    visits.begin(&key());
    visits.due_now_unless_set(&key(), moment(20).boot);
    assert_eq!(due(20), Due::Now);
}

/// An etcd that was restored from a snapshot: what is older stays all there is.
#[test]
fn a_wake_during_a_look_outlasts_what_the_look_arranges() {
    let (visits, object) = (Visits::default(), version("1"));
    assert_eq!(visits.due(&key(), &object, moment(0)), Due::Changed);
    visits.begin(&key());
    visits.wake(&key(), moment(1).boot);
    visits.set_poll(&key(), moment(1).boot, 0);
    assert_eq!(visits.due(&key(), &object, moment(2)), Due::Now);
    // The look that follows knows all that the first did not.
    visits.begin(&key());
    visits.set_due(&key(), Some(moment(60).boot));
    let later = Due::At(moment(60).boot);
    assert_eq!(visits.due(&key(), &object, moment(3)), later);
}

#[test]
fn what_a_full_list_no_longer_shows_is_forgotten() {
    let (visits, object) = (Visits::default(), version("1"));
    for (namespace, listed, left) in [
        (None, vec![key()], Due::Never),
        (Some("elsewhere"), Vec::new(), Due::Never),
        (Some(key().namespace.as_str()), Vec::new(), Due::Changed),
    ] {
        visits.due(&key(), &object, moment(0));
        visits.retain(namespace, &listed.into_iter().collect());
        assert_eq!(
            visits.due(&key(), &object, moment(1)),
            left,
            "{namespace:?}"
        );
    }
}

#[test]
fn a_newer_object_that_never_comes_is_not_waited_for() {
    let visits = Visits::default();
    let due = |v: &str, s| visits.due(&key(), &version(v), moment(s));
    assert_eq!(due("5", 0), Due::Changed);
    visits.handled(&key(), &version("9"));
    assert_eq!(due("6", 1), Due::Stale);
    assert_eq!(due("6", 30), Due::Stale);
    assert_eq!(due("6", 31), Due::Changed);
    assert_eq!(due("6", 31), Due::Never);
    visits.handled(&key(), &version("9"));
    assert_eq!(due("6", 40), Due::Stale, "the wait begins anew");
}

#[test]
fn another_resource_of_the_name_starts_anew() {
    let visits = Visits::default();
    visits.due(&key(), &version("9"), moment(0));
    let mut recreated = version("3");
    recreated.metadata.uid = Some("another".into());
    assert_eq!(visits.due(&key(), &recreated, moment(0)), Due::Changed);
}

#[test]
fn reads_are_counted_for_one_attempt_and_one_outcome() {
    let visits = Visits::default();
    visits.due(&key(), &version("1"), moment(0));
    let c = code("111111");
    let open = tried("Verifying", 1, &c, None);
    visits.read_made(&key(), Some(open.status()), true, later(5));
    let provisional = tried("OutcomeUnknown", 1, &c, Some(Outcome::Unknown));
    let reads = visits.reads(&key(), Some(provisional.status()), later(6));
    assert_eq!(
        (reads.done, reads.last),
        (1, Some(later(5))),
        "still the same observation"
    );
    let ended = tried("OutcomeUnknown", 1, &c, Some(Outcome::UnknownFinal));
    assert_eq!(visits.reads(&key(), Some(ended.status()), later(7)).done, 0);
}

#[test]
fn failures_back_off_and_success_forgets_them() {
    let visits = Visits::default();
    visits.due(&key(), &version("1"), moment(0));
    let seconds = |n: u64| Duration::from_secs(n);
    assert_eq!(visits.failed(&key(), moment(0).boot), seconds(5));
    assert_eq!(visits.failed(&key(), moment(0).boot), seconds(10));
    visits.succeeded(&key());
    assert_eq!(visits.failed(&key(), moment(0).boot), seconds(5));
    assert_eq!(
        [visits.set_back(&key()), visits.set_back(&key())],
        [seconds(5), seconds(10)]
    );
    assert!(visits.first_look_failure(&key()));
    assert!(!visits.first_look_failure(&key()));
}
