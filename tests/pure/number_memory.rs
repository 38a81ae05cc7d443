//! The memory of the process: its sent attempts, the ledgers that it saw, the entries that it
//! observes, and the resources of a number.

use std::time::Duration;

use phone_migration_operator::api::code_ledger::{LedgerEntry, MAX_CLAIMS};
use phone_migration_operator::api::crd::PhoneMigration;
use phone_migration_operator::api::reason::{Outcome, Reason};
use phone_migration_operator::domain::fact::State;
use phone_migration_operator::domain::ledger::{Ended, Ledger, Unusable};
use phone_migration_operator::operator::state::context::enqueue;
use phone_migration_operator::operator::state::ledger_index::{
    ABSENT, LedgerIndex, UNREADABLE, version_of,
};
use phone_migration_operator::operator::state::ledger_memory::{
    Abandoned, DryRuns, LedgerBackOffs,
};
use phone_migration_operator::operator::state::numbers::Numbers;
use phone_migration_operator::operator::state::observations::Observations;
use phone_migration_operator::operator::state::sent::SentEntries;
use phone_migration_operator::quota::{QueueEntry, Quota, Settings};
use phone_migration_operator::telemetry::metrics::UnknownKind;

use super::world::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_code_is_sent_once_and_again_only_when_it_was_released() {
    let sent = SentEntries::default();
    let (ours, same) = (
        entry("a", &code("111111"), None),
        entry("b", &code("111111"), None),
    );
    assert!(sent.begin(NUMBER, &ours));
    assert!(!sent.begin(NUMBER, &same));
    assert!(sent.begin(NUMBER, &entry("c", &code("222222"), None)));
    let ids = || {
        sent.of(NUMBER)
            .into_iter()
            .map(|e| e.attempt_id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(), ["c", "a"], "newest first");
    // A definite outcome stays.
    for (outcome, known) in [
        (Outcome::Unknown, Outcome::Unknown),
        (Outcome::Refused, Outcome::Refused),
        (Outcome::UnknownFinal, Outcome::Refused),
        (Outcome::Adopted, Outcome::Adopted),
    ] {
        sent.end(NUMBER, "a", &Ended::of(outcome), now());
        assert_eq!(sent.of(NUMBER)[1].outcome, Some(known));
        assert!(!sent.begin(NUMBER, &same));
    }
    sent.end(NUMBER, "c", &Ended::of(Outcome::Throttled), now());
    assert_eq!(ids(), ["a"]);
    sent.end(NUMBER, "unknown", &Ended::of(Outcome::NotSent), now());
    sent.end("8613800009999", "a", &Ended::of(Outcome::NotSent), now());
    assert_eq!(
        (ids(), sent.numbers()),
        (vec!["a".to_owned()], vec![NUMBER.to_owned()])
    );
    sent.end(NUMBER, "a", &Ended::of(Outcome::NotSent), now());
    assert_eq!(sent.numbers(), [""; 0], "nothing is left of it");
    assert!(sent.begin(NUMBER, &same));
    for n in 0..100 {
        let digits = format!("{}", 200_000 + n);
        sent.begin(NUMBER, &entry(&digits, &code(&digits), None));
    }
    assert_eq!(sent.of(NUMBER).len(), MAX_CLAIMS);
    sent.forget(NUMBER);
    assert_eq!(sent.numbers(), [""; 0]);
}

fn one(id: &str, outcome: Option<Outcome>) -> Ledger {
    ledger(vec![entry(id, &code("111111"), outcome)])
}

#[test]
fn an_older_ledger_is_taken_in_only_after_etcd_was_restored() {
    let index = LedgerIndex::default();
    let shows = |id: &str| *index.get(NUMBER) == one(id, None);
    assert!(index.note(NUMBER, one("v10", None), 10, s(1), s(5)));
    // Requested before the newer one was known, answered after it.
    assert!(!index.note(NUMBER, one("v9", None), 9, s(4), s(6)));
    assert!(!index.note(NUMBER, Ledger::default(), ABSENT, s(4), s(6)));
    assert!(shows("v10"));
    assert!(
        !index.note(NUMBER, one("v10", None), 10, s(6), s(7)),
        "no news"
    );
    assert!(
        index.note(NUMBER, one("v11", None), 11, s(2), s(8)),
        "newer, however old the request"
    );
    assert!(index.note(NUMBER, one("v3", None), 3, s(9), s(10)));
    assert!(shows("v3"));
    // An unusable ledger stays unusable until it is read again.
    let refused = Ledger::unusable(Unusable::WriteRefused);
    assert!(index.note(NUMBER, refused.clone(), UNREADABLE, s(11), s(11)));
    assert!(!index.note(NUMBER, one("v12", None), 12, s(10), s(12)));
    assert_eq!(*index.get(NUMBER), refused);
    assert!(index.note(NUMBER, one("v12", None), 12, s(13), s(14)));
    assert!(
        index.note(NUMBER, Ledger::default(), ABSENT, s(15), s(16)),
        "it was deleted"
    );
    let other = LedgerIndex::default();
    assert!(
        !other.note(NUMBER, Ledger::default(), ABSENT, s(1), s(1)),
        "none was known"
    );
}

#[test]
fn a_sweep_forgets_what_it_did_not_find_and_nothing_that_was_noted_since() {
    let index = LedgerIndex::default();
    index.note("1", one("a", None), 1, s(1), s(1));
    index.note("2", Ledger::default(), ABSENT, s(1), s(1));
    // Requested before the sweep began, stored after its page was read.
    index.note("3", one("c", None), 3, s(9), s(11));
    index.note("4", one("d", REFUSED), 4, s(12), s(13));
    let open = |index: &LedgerIndex| {
        let mut numbers: Vec<_> = index.open().into_iter().map(|(number, _)| number).collect();
        numbers.sort();
        numbers
    };
    assert_eq!(
        (open(&index), index.counts()),
        (vec!["1".to_owned(), "3".into()], (2, 1))
    );
    assert_eq!(index.retain_noted_since(s(10)), ["1"]);
    assert_eq!(
        (open(&index), index.counts()),
        (vec!["3".to_owned()], (1, 1))
    );
    let unusable = Ledger {
        unusable: Some(Unusable::TwoOpen),
        ..one("c", None)
    };
    index.note("3", unusable, 5, s(20), s(20));
    assert_eq!(open(&index), [""; 0], "nothing is read for it");
    index.note("3", one("c", Some(Outcome::Refused)), 6, s(21), s(21));
    assert_eq!(index.counts(), (0, 2), "it has ended");
    index.note("5", one("e", None), 7, s(22), s(22));
    assert_eq!(
        (open(&index), index.counts()),
        (vec!["5".to_owned()], (1, 2))
    );
    index.forget("5");
    assert_eq!((open(&index), index.counts()), (Vec::new(), (0, 2)));
    index.forget("4");
    assert_eq!(*index.get("4"), Ledger::default());
}

#[test]
fn versions_are_ordered_and_what_cannot_be_read_is_new() {
    let mut object = stored(Vec::new());
    assert_eq!(version_of(&object), UNREADABLE);
    for (version, number) in [("17", 17), ("", UNREADABLE), ("0x1", UNREADABLE)] {
        object.metadata.resource_version = Some(version.into());
        assert_eq!(version_of(&object), number);
    }
}

#[test]
fn an_open_entry_is_read_by_its_schedule_and_when_a_person_asks() {
    let observations = Observations::default();
    let open = entry("a", &code("111111"), None);
    let due = |entry: &LedgerEntry, at| observations.due(NUMBER, entry, moment(at));
    assert_eq!(due(&open, 0), later(5));
    assert_eq!(due(&open, 3), later(5), "since it was found");
    observations.ask(NUMBER);
    assert_eq!(due(&open, 3), later(3));
    observations.made(NUMBER, "a", true, None, later(3));
    assert_eq!(due(&open, 3), later(15));
    let known_for = |id, at| observations.known_for(NUMBER, id, moment(at).boot);
    assert_eq!((known_for("a", 9), known_for("b", 9)), (Some(s(9)), None));
    assert_eq!(observations.overdue(NUMBER, "a"), None);
    let why = Some("Timeout".to_owned());
    observations.made(NUMBER, "a", false, why.clone(), later(4));
    assert_eq!(observations.overdue(NUMBER, "a"), why);
    assert_eq!(observations.overdue(NUMBER, "b"), None);
    // A read of an entry that is not the known one changes nothing.
    observations.made(NUMBER, "b", true, None, later(6));
    assert_eq!(observations.overdue(NUMBER, "a"), why);
    // Another entry starts again from zero, and an entry that is no longer open is forgotten.
    let next = entry("b", &code("222222"), None);
    assert_eq!(due(&next, 20), later(25));
    assert_eq!(known_for("b", 21), Some(s(1)));
    observations.retain(|number| number != NUMBER);
    assert_eq!(known_for("b", 22), None);
}

#[tokio::test(start_paused = true)]
async fn an_observer_waits_for_a_time_or_for_whoever_notifies_and_a_minute_at_most() {
    let observations = Observations::default();
    let begun = tokio::time::Instant::now();
    let waited = || begun.elapsed().as_secs();
    observations.wait(Some(later(7)), now()).await;
    assert_eq!(waited(), 7);
    observations.wait(Some(later(7200)), now()).await;
    assert_eq!(waited(), 67, "wall clocks are set");
    observations.wait(None, now()).await;
    assert_eq!(waited(), 127);
    observations.wait(Some(ago(5)), now()).await;
    observations.notify();
    observations.wait(None, now()).await;
    assert_eq!(waited(), 127);
}

#[test]
fn what_was_abandoned_is_known_until_it_is_settled() {
    let abandoned = Abandoned::default();
    abandoned.add("a");
    assert_eq!(
        [abandoned.contains("a"), abandoned.contains("b")],
        [true, false]
    );
    abandoned.remove("a");
    assert!(!abandoned.contains("a"));
    // An API server that refuses claims for days fills no more than this many.
    for n in 0..20_000 {
        abandoned.add(&n.to_string());
    }
    let kept = (0..20_000).filter(|n| abandoned.contains(&n.to_string()));
    assert_eq!(kept.count(), 10_000);
    assert!(abandoned.contains("19999"));
}

/// The evaluations of all resources of a number share one back-off.
#[test]
fn a_ledger_that_cannot_be_used_is_tried_after_five_seconds_to_five_minutes() {
    let back_offs = LedgerBackOffs::default();
    let mut now = s(1000);
    assert!(back_offs.may_try(NUMBER, now));
    for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
        let again = back_offs.failed(NUMBER, now);
        assert_eq!(again, now + s(seconds));
        assert_eq!(
            back_offs.failed(NUMBER, now + s(1)),
            again,
            "no longer for more looks"
        );
        assert!(!back_offs.may_try(NUMBER, again - s(1)));
        assert!(back_offs.may_try("8613800009999", now));
        now = again;
        assert!(back_offs.may_try(NUMBER, now));
    }
    back_offs.forget_past(now + s(299));
    assert!(
        !back_offs.may_try(NUMBER, now - s(1)),
        "it is not long past"
    );
    back_offs.forget_past(now + s(300));
    assert_eq!(back_offs.failed(NUMBER, now), now + s(5));
    back_offs.succeeded(NUMBER);
    assert_eq!(back_offs.failed(NUMBER, now), now + s(5));
}

#[test]
fn a_dry_run_is_remembered() {
    let dry_runs = DryRuns::default();
    assert_eq!(dry_runs.last_passed(), None);
    dry_runs.passed(s(5));
    assert_eq!(dry_runs.last_passed(), Some(s(5)));
}

/// A resource of the number in this state, which shows these entries.
fn resource(uid: &str, namespace: &str, reason: &str, entries: Vec<LedgerEntry>) -> PhoneMigration {
    let mut object = World::new("Queued", entries).says(State::Suspended).object;
    object.metadata.uid = Some(uid.into());
    object.metadata.namespace = Some(namespace.into());
    object.metadata.name = Some(uid.into());
    let status = object.status.get_or_insert_default();
    status.reason = Some(reason.into());
    object
}

#[test]
fn the_resources_of_a_number_are_known_while_the_watch_shows_them() {
    let numbers = Numbers::default();
    let keys = || {
        numbers
            .of(NUMBER)
            .into_iter()
            .map(|key| key.name)
            .collect::<Vec<_>>()
    };
    let a = resource("a", "tenant-a", "Queued", Vec::new());
    numbers.updated(&a);
    assert!(
        !numbers.has(NUMBER),
        "only the watch tells that it is there"
    );
    numbers.seen(&a);
    numbers.seen(&resource(
        "b",
        "tenant-b",
        "DuplicatePhoneNumber",
        Vec::new(),
    ));
    assert_eq!(keys(), ["a", "b"]);
    numbers.updated(&resource("a", "tenant-a", "Verified", Vec::new()));
    let counts = numbers.by_reason();
    assert_eq!(
        (counts[&Reason::Verified], counts.get(&Reason::Queued)),
        (1, None)
    );
    // The index knows which resources wait for another one's deletion, and for which ones.
    assert!(numbers.knows(NUMBER, "a") && !numbers.knows(NUMBER, "c"));
    assert_eq!(numbers.duplicates(NUMBER).len(), 1);
    let gone = |uid, number| {
        let gone = numbers.gone(uid, number).into_iter();
        gone.map(|gone| (gone.uid, gone.was_verified))
            .collect::<Vec<_>>()
    };
    assert_eq!(gone("a", Some(NUMBER)), [("a".to_owned(), true)]);
    assert_eq!(gone("a", Some(NUMBER)), []);
    assert_eq!(keys(), ["b"]);
    // A resource that can no longer be parsed does not show its number.
    assert_eq!(gone("b", None), [("b".to_owned(), false)]);
    assert!(!numbers.has(NUMBER) && !numbers.knows(NUMBER, "b"));
    // A full list of another namespace proves nothing; a list of its own, or of all, does.
    for (namespace, kept) in [
        (Some("tenant-a"), true),
        (Some("tenant-b"), false),
        (None, false),
    ] {
        numbers.seen(&resource("b", "tenant-b", "Queued", Vec::new()));
        let gone = numbers.retain(namespace, &Default::default());
        assert_eq!(
            (gone.is_empty(), numbers.has(NUMBER)),
            (kept, kept),
            "{namespace:?}"
        );
    }
}

/// A resource is deleted during an evaluation that ends with a place in the queue.
#[test]
fn whatever_forgets_a_resource_forgets_its_ticket() {
    let (wake, _woken) = tokio::sync::mpsc::unbounded_channel();
    let (quota, _dispatcher) = Quota::new(Settings { qps: 10 }, wake);
    let numbers = Numbers::default();
    let queue_entry = |uid: &str| QueueEntry {
        uid: uid.into(),
        namespace: "tenant-a".into(),
        cust_space_id: "1".into(),
        ledger: "ledger".into(),
        name: uid.into(),
        expires_at: None,
        created_at: now(),
    };
    enqueue(&quota, &numbers, NUMBER, queue_entry("gone"));
    assert!(!quota.is_waiting("gone"));
    for n in 0..2_000 {
        let uid = format!("m{n}");
        numbers.seen(&resource(&uid, "tenant-a", "Queued", Vec::new()));
        std::thread::scope(|both| {
            both.spawn(|| enqueue(&quota, &numbers, NUMBER, queue_entry(&uid)));
            both.spawn(|| {
                numbers.gone(&uid, Some(NUMBER));
                quota.leave(&uid);
            });
        });
        assert!(!quota.is_waiting(&uid), "{uid} holds a place for nobody");
    }
    numbers.seen(&resource("there", "tenant-a", "Queued", Vec::new()));
    enqueue(&quota, &numbers, NUMBER, queue_entry("there"));
    assert!(quota.is_waiting("there"));
}

#[test]
fn a_neighbour_shows_the_codes_that_may_have_been_used() {
    let numbers = Numbers::default();
    let entries = vec![
        entry("d", &code("444444"), THROTTLED),
        entry("c", &code("333333"), FINAL),
        entry("a", &code("111111"), REFUSED),
    ];
    let mut shows = resource("other", "tenant-b", "Queued", entries);
    // Released, in a history that another client wrote.
    let status = shows.status.as_mut().unwrap();
    let mut released = status.history[0].clone();
    (released.attempt_id, released.outcome) = ("x".into(), Outcome::NotSent);
    status.history.push(released);
    numbers.seen(&shows);
    numbers.seen(&object(None));
    let neighbours = numbers.neighbours(NUMBER, US);
    assert_eq!(neighbours.len(), 1);
    assert_eq!(
        (&*neighbours[0].uid, &*neighbours[0].namespace),
        ("other", "tenant-b")
    );
    let ids: Vec<_> = neighbours[0].codes.iter().map(|c| &*c.attempt_id).collect();
    assert_eq!(ids, ["c", "a"]);
    let open = vec![entry("o", &code("555555"), None)];
    numbers.seen(&resource("other", "tenant-b", "Queued", open));
    let codes = &numbers.neighbours(NUMBER, US)[0].codes;
    assert_eq!(codes[0].fingerprint, code("555555").fingerprint);
}

#[test]
fn unknown_outcomes_are_counted_by_how_they_are_unknown() {
    let numbers = Numbers::default();
    let unknown = |uid: &str, kind: &str| {
        let mut object = resource(uid, "tenant-a", "OutcomeUnknown", Vec::new());
        for condition in &mut object.status.as_mut().unwrap().conditions {
            let holds = condition.type_ == kind;
            condition.status = if holds { "True" } else { "False" }.into();
        }
        numbers.seen(&object);
    };
    unknown("a", "Reconciling");
    unknown("b", "Stalled");
    unknown("c", "Finished");
    numbers.seen(&resource("d", "tenant-a", "Queued", Vec::new()));
    for kind in [
        UnknownKind::Provisional,
        UnknownKind::Overdue,
        UnknownKind::Final,
    ] {
        assert_eq!(numbers.unknown_outcomes(kind), 1);
    }
}
