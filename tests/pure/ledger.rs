//! The known codes of a number, and the effect of each write on its ledger.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::api::code_ledger::{
    CodeLedger, CodeLedgerFields, LedgerEntry, MAX_IMPORTED, MAX_RELEASED,
};
use phone_migration_operator::api::reason::Outcome;
use phone_migration_operator::domain::fact::State;
use phone_migration_operator::domain::ledger::{
    Ended, Ledger, Recording, Unusable, as_if_recorded, claim, import, is_past_retention,
    ledger_name, put_back, recording,
};
use phone_migration_operator::domain::reads::final_at;
use serde_json::json;

use super::world::*;

fn digits(n: usize) -> String {
    format!("{}", 100_000 + n)
}

fn ids(entries: &[LedgerEntry]) -> Vec<&str> {
    entries.iter().map(|e| e.attempt_id.as_str()).collect()
}

fn nothing_abandoned(_: &str) -> bool {
    false
}

/// Danger: with another name the operator would look for every spent code of the number in another
/// ledger.
#[test]
fn the_name_of_a_ledger_stays_for_ever() {
    // printf 'default\0008613800001234' | sha256sum | cut -c 1-32
    assert_eq!(ledger_name(NUMBER), "b4fe317ed266eed05525c1baaf1e31b4");
}

#[test]
fn a_ledger_that_cannot_be_trusted_is_not_used() {
    let open = |id: &str, n| entry(id, &code(&digits(n)), None);
    let why = |object: &CodeLedger| Ledger::stored(Some(object), NUMBER, now()).unusable;
    let good = stored(vec![open("a", 1), entry("b", &code(&digits(2)), REFUSED)]);
    assert_eq!(why(&good), None);
    assert_eq!(Ledger::stored(None, NUMBER, now()), Ledger::default());
    let mut going = good.clone();
    going.metadata.deletion_timestamp = Some(Time(now()));
    assert_eq!(why(&going), Some(Unusable::BeingDeleted));
    let mut foreign = good.clone();
    foreign.spec.spec.phone_number = "8613800009999".into();
    assert_eq!(why(&foreign), Some(Unusable::OtherNumber));
    for (ahead, unusable) in [(60, None), (61, Some(Unusable::AheadOfTime))] {
        let mut early = good.clone();
        early.spec.entries[0].signed_at = Time(later(ahead));
        early.spec.entries[0].final_at = Time(later(ahead));
        assert_eq!(why(&early), unusable);
    }
    let most = Duration::from_secs(25 * 3600);
    for (over, unusable) in [(0, None), (1, Some(Unusable::EndsTooLate))] {
        let mut long = good.clone();
        let signed = long.spec.entries[0].signed_at.0;
        long.spec.entries[0].final_at = Time(signed + most + Duration::from_secs(over));
        assert_eq!(why(&long), unusable);
    }
    assert_eq!(
        why(&stored(vec![open("a", 1), open("b", 2)])),
        Some(Unusable::TwoOpen)
    );
}

/// A later version's outcome cannot be used; a later version's field means nothing here.
#[test]
fn a_ledger_with_an_unknown_outcome_or_without_what_it_needs_does_not_parse() {
    let whole = serde_json::to_value(stored(vec![entry("a", &code("111111"), REFUSED)])).unwrap();
    let parse = |value: &serde_json::Value| serde_json::from_value::<CodeLedger>(value.clone());
    let mut more = whole.clone();
    more["entries"][0]["invented"] = json!(1);
    assert_eq!(parse(&more).unwrap(), parse(&whole).unwrap());
    for (field, value) in [
        ("outcome", json!("Exploded")),
        ("outcome", json!(7)),
        ("signedAt", json!("yesterday")),
        ("finalAt", json!(null)),
        ("attemptId", json!(null)),
        ("migration", json!("store-42")),
    ] {
        let mut bad = whole.clone();
        bad["entries"][0][field] = value;
        assert!(parse(&bad).is_err(), "{field}");
    }
}

#[test]
fn what_only_a_status_knows_is_imported_with_what_it_lacks_made_up() {
    let last = entry("b", &code("222222"), UNKNOWN);
    let mut first = entry("a", &code("111111"), REFUSED);
    first.finished_at = Some(Time(ago(600)));
    let (_, world) = World::new("Queued", vec![last, first]).step();
    let lost = world.with(|w| w.ledger = Ledger::default());
    let known = lost.known();
    assert_eq!(ids(&known.entries), ["b", "a"]);
    assert_eq!(known.unstored, ["b", "a"]);
    let (b, a) = (&known.entries[0], &known.entries[1]);
    assert!(a.imported && b.imported);
    assert_eq!((b.outcome, b.signed_at.0), (UNKNOWN, ago(60)));
    assert_eq!(b.final_at.0, final_at(ago(60), VALIDITY));
    assert_eq!(b.secret, Some(code("222222").secret));
    assert_eq!(
        (a.outcome, a.signed_at.0, a.secret.clone()),
        (REFUSED, ago(600), None)
    );
    assert_eq!(a.error_code.as_deref(), Some("Error-a"));
    // A status with a date in the future, or with too late an end, is clamped to possible values.
    let forged = lost.change_status(|s| {
        let attempt = s.attempt.as_mut().unwrap();
        attempt.signed_at = Time(later(86_400));
        attempt.final_at = Some(Time(later(86_400 * 365)));
    });
    let forged = forged.known();
    assert_eq!(forged.entries[0].signed_at.0, now());
    assert_eq!(forged.entries[0].final_at.0, later(25 * 3600));
    let object = stored(forged.entries);
    assert_eq!(Ledger::stored(Some(&object), NUMBER, now()).unusable, None);
}

#[test]
fn an_imported_attempt_keeps_its_error_and_its_request() {
    let refused = entry("a", &code("111111"), REFUSED);
    let world = World::new("Queued", vec![refused]).says(State::Suspended);
    let known = world.with(|w| w.ledger = Ledger::default()).known();
    let a = &known.entries[0];
    let details = (a.error_code.as_deref(), a.request_id.as_deref());
    assert_eq!(details, (Some("Error-a"), Some("REQ-a")));
}

/// Status may show an outcome before the ledger holds it: in the attempt's own entry only.
#[test]
fn an_outcome_is_shown_as_if_it_were_recorded() {
    let ours = entry("a", &code("111111"), None);
    let other = entry("x", &code("999999"), None);
    for known in [vec![other.clone()], vec![ours.clone(), other.clone()]] {
        let ended = Ended::of(Outcome::Refused);
        let shown = as_if_recorded(&ledger(known), &ours, &ended, now());
        assert_eq!(ids(&shown.entries), ["a", "x"]);
        let outcomes: Vec<Option<Outcome>> = shown.entries.iter().map(|e| e.outcome).collect();
        assert_eq!(outcomes, [REFUSED, None]);
    }
}

#[test]
fn an_attempt_is_imported_once_and_a_released_one_never() {
    let c = code("111111");
    let (_, shows) = World::new("Queued", vec![entry("a", &c, UNKNOWN)]).step();
    let with = |ledger: Ledger| shows.clone().with(|w| w.ledger = ledger).known();
    let other = |outcome| ledger(vec![foreign("tenant-b", entry("x", &c, outcome))]);
    let released = Ledger {
        released: vec!["a".into()],
        ..Ledger::default()
    };
    for (ledger, imported) in [
        (Ledger::default(), true),
        (ledger(vec![entry("a", &code("999999"), REFUSED)]), false),
        (released, false),
        (other(REFUSED), false),
        (other(None), false),
        // Its release leaves the code unspent.
        (other(NOT_SENT), true),
        (Ledger::unusable(Unusable::BeingDeleted), false),
    ] {
        assert_eq!(
            with(ledger.clone()).unstored.len(),
            usize::from(imported),
            "{ledger:?}"
        );
        assert!(
            imported || with(ledger.clone()) == ledger,
            "nothing else changes"
        );
    }
    // Memory comes first, with everything that it knows.
    let sent = vec![entry("a", &c, REFUSED)];
    let known = import(
        Ledger::default(),
        &sent,
        Some(&shows.object),
        VALIDITY,
        now(),
    );
    assert_eq!(known.entries, sent);
    // An entry without a fingerprint forbids no code, and may be any code.
    let bare = shows.change_status(|s| s.attempt.as_mut().unwrap().code_fingerprint = None);
    let bare = bare.with(|w| w.ledger = Ledger::default()).known();
    assert_eq!(bare.entries[0].fingerprint, ":a");
}

#[test]
fn a_claim_keeps_all_but_what_was_released_and_the_ids_of_that() {
    let known = Ledger {
        entries: vec![
            entry("c", &code("333333"), THROTTLED),
            entry("b", &code("222222"), REFUSED),
            foreign("tenant-b", entry("a", &code("111111"), FINAL)),
        ],
        released: (0..MAX_RELEASED).map(|n| format!("r{n}")).collect(),
        ..Ledger::default()
    };
    let new = claim(&known, NUMBER, entry("d", &code("333333"), None));
    assert_eq!(ids(&new.entries), ["d", "b", "a"]);
    assert_eq!(new.released.len(), MAX_RELEASED);
    assert_eq!((&*new.released[0], &*new.released[1]), ("c", "r0"));
    assert_eq!(new.spec.phone_number, NUMBER);
    let summary = &new.summary;
    assert_eq!(
        (summary.entries, summary.open, summary.outcome.clone()),
        (3, true, None)
    );
    assert_eq!(summary.resource.as_deref(), Some("tenant-a/store-42"));
}

/// So many imported entries, of which the first ones are stored.
fn imported(stored: usize, of: usize) -> Ledger {
    let one = |n: usize| LedgerEntry {
        imported: true,
        ..entry(&format!("i{n}"), &code(&digits(n)), REFUSED)
    };
    let mut known = ledger((0..of).map(one).collect());
    known.unstored = (stored..of).map(|n| format!("i{n}")).collect();
    known
}

#[test]
fn at_most_twenty_imported_entries_are_stored_and_an_open_one_first() {
    let count = |fields: &CodeLedgerFields| fields.entries.iter().filter(|e| e.imported).count();
    for (stored, of, expected) in [
        (0, 5, 5),
        (0, 30, MAX_IMPORTED),
        (15, 30, 20),
        (20, 30, 20),
        (25, 30, 25),
    ] {
        let new = claim(
            &imported(stored, of),
            NUMBER,
            entry("x", &code("999999"), None),
        );
        assert_eq!(count(&new), expected);
    }
    let mut many = imported(0, 30);
    many.entries[29].outcome = None;
    let new = put_back(&many, NUMBER, &nothing_abandoned, now()).unwrap();
    assert!(
        new.entries
            .iter()
            .any(|e| e.attempt_id == "i29" && e.is_open())
    );
    assert_eq!(count(&new), MAX_IMPORTED);
    assert_eq!(
        put_back(&imported(20, 30), NUMBER, &nothing_abandoned, now()),
        None
    );
}

#[test]
fn what_is_put_back_is_written_once_and_holds_one_open_entry() {
    let put = |ledger: &Ledger| put_back(ledger, NUMBER, &nothing_abandoned, now());
    let mut known = ledger(vec![
        entry("c", &code("333333"), None),
        entry("b", &code("222222"), UNKNOWN),
        entry("a", &code("111111"), REFUSED),
    ]);
    assert_eq!(put(&known), None, "all of it is stored");
    known.unstored = vec!["b".into()];
    assert_eq!(put(&known), None, "another one is open");
    known.unstored.push("a".into());
    assert_eq!(ids(&put(&known).unwrap().entries), ["c", "a"]);
    known.unstored.push("c".into());
    assert_eq!(ids(&put(&known).unwrap().entries), ["c", "a"]);
    // An entry that this process knows it never sent is not open.
    let new = put_back(&known, NUMBER, &|id| id == "c", now()).unwrap();
    let outcomes: Vec<_> = new.entries.iter().map(|e| e.outcome).collect();
    assert_eq!(outcomes, [NOT_SENT, UNKNOWN, REFUSED]);
    known.unusable = Some(Unusable::EndsTooLate);
    assert_eq!(put(&known), None);
}

/// The effect of recording `outcome` of the entry `a` on a ledger with these entries.
fn record(entries: Vec<LedgerEntry>, outcome: Outcome) -> Recording {
    record_in(&ledger(entries), outcome)
}

fn record_in(stored: &Ledger, outcome: Outcome) -> Recording {
    let ours = entry("a", &code("111111"), None);
    recording(stored, NUMBER, &ours, &Ended::of(outcome), now())
}

fn new_entries(recording: Recording) -> Vec<LedgerEntry> {
    match recording {
        Recording::Write(fields) => fields.entries,
        other => panic!("{other:?}"),
    }
}

fn written(recording: Recording) -> Vec<(String, Option<Outcome>)> {
    let entries = new_entries(recording).into_iter();
    entries.map(|e| (e.attempt_id, e.outcome)).collect()
}

#[test]
fn an_outcome_is_recorded_where_it_may_replace_what_stands() {
    let known = |outcome| vec![entry("a", &code("111111"), outcome)];
    for outcome in Outcome::ALL {
        for before in [None].into_iter().chain(Outcome::ALL.map(Some)) {
            let recorded = record(known(before), outcome);
            let is_news = outcome.may_replace(before) && before != Some(outcome);
            match is_news {
                true => assert_eq!(written(recorded), [("a".to_owned(), Some(outcome))]),
                false => assert_eq!(recorded, Recording::Stands, "{before:?} by {outcome:?}"),
            }
        }
    }
    // An Id that comes later is a change.
    let accepted = known(ACCEPTED);
    let id = Ended {
        id: Some("828".into()),
        ..Ended::of(Outcome::Accepted)
    };
    let stored = ledger(accepted.clone());
    let new = new_entries(recording(&stored, NUMBER, &accepted[0], &id, now()));
    assert_eq!(new[0].id.as_deref(), Some("828"));
    assert_eq!(new[0].finished_at, accepted[0].finished_at);
}

#[test]
fn nothing_is_adopted_beside_an_entry_that_is_open_or_verified() {
    for (rival, adopted) in [
        (None, false),
        (UNKNOWN, false),
        (ACCEPTED, false),
        (Some(Outcome::Adopted), false),
        (REFUSED, true),
        (FINAL, true),
        (NOT_SENT, true),
    ] {
        let entries = vec![
            foreign("tenant-b", entry("b", &code("222222"), rival)),
            entry("a", &code("111111"), REFUSED),
        ];
        let recorded = record(entries, Outcome::Adopted);
        assert_eq!(recorded != Recording::Stands, adopted, "{rival:?}");
    }
}

#[test]
fn an_entry_that_is_gone_is_put_back_with_its_outcome_unless_its_code_was_spent() {
    let outcomes = [Outcome::Refused, Outcome::Accepted, Outcome::Throttled];
    for outcome in outcomes {
        assert_eq!(
            written(record(Vec::new(), outcome)),
            [("a".to_owned(), Some(outcome))]
        );
        // Released and left out, so that no import brings it back.
        let released = Ledger {
            released: vec!["a".into()],
            ..Ledger::default()
        };
        assert_eq!(record_in(&released, outcome), Recording::Stands);
    }
    let mut same = foreign("tenant-b", entry("b", &code("111111"), None));
    for code_use in [None, REFUSED, Some(Outcome::Adopted)] {
        same.outcome = code_use;
        assert_eq!(
            record(vec![same.clone()], Outcome::Refused),
            Recording::Withheld
        );
    }
    // By its age, so that the newest entry stays on top.
    let mut newer = entry("b", &code("222222"), None);
    newer.signed_at = Time(ago(1));
    let both = written(record(vec![newer.clone()], Outcome::Refused));
    assert_eq!(both[1], ("a".to_owned(), REFUSED));
    assert_eq!(
        record(vec![newer], Outcome::Unknown),
        Recording::Withheld,
        "one open entry at most"
    );
}

#[test]
fn a_ledger_is_kept_for_thirty_days_after_its_last_code_and_while_one_is_open() {
    let day = 24 * 3600;
    let aged = |days: u64, outcome: Option<Outcome>| LedgerEntry {
        signed_at: Time(ago(days * day)),
        final_at: Time(final_at(ago(days * day), VALIDITY)),
        finished_at: outcome.map(|_| Time(ago(days * day))),
        ..entry(&format!("d{days}"), &code(&digits(days as usize)), outcome)
    };
    for (entries, past) in [
        (vec![aged(31, REFUSED)], true),
        (vec![aged(30, REFUSED)], false),
        (vec![aged(31, REFUSED), aged(29, REFUSED)], false),
        (vec![aged(40, None), aged(50, REFUSED)], false),
        (vec![aged(40, UNKNOWN)], false),
        (vec![aged(40, NOT_SENT)], true),
        (Vec::new(), false),
    ] {
        assert_eq!(is_past_retention(&ledger(entries), now()), past);
    }
    let unusable = Ledger {
        unusable: Some(Unusable::AheadOfTime),
        ..ledger(vec![aged(31, REFUSED)])
    };
    assert!(!is_past_retention(&unusable, now()));
}

/// If the rules refused the operator's own outcome write, an outcome would be lost.
#[test]
fn what_cams_answered_is_cut_to_what_a_ledger_holds() {
    let long = || Some("é".repeat(10_000));
    let ended = Ended {
        outcome: Outcome::Refused,
        error_code: long(),
        error_message: long(),
        request_id: long(),
        id: long(),
    };
    let ours = entry("a", &code("111111"), None);
    let stored = ledger(vec![ours.clone()]);
    let new = new_entries(recording(&stored, NUMBER, &ours, &ended, now()));
    let entry = &new[0];
    let length = |text: &Option<String>| text.as_ref().unwrap().chars().count();
    assert_eq!(
        [
            length(&entry.error_code),
            length(&entry.request_id),
            length(&entry.id)
        ],
        [128; 3]
    );
    assert_eq!(length(&entry.error_message), 512);
    assert_eq!(entry.finished_at, Some(Time(now())));
}
