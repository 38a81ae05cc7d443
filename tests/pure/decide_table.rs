//! The decision table: the result of an evaluation, in the order of its rows. The first matching
//! row decides.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::api::reason::{Outcome, Reason};
use phone_migration_operator::domain::code::{CodeDigits, CodeReading, InvalidCode};
use phone_migration_operator::domain::decide::{Next, ShownCode, TurnState, needs_nothing};
use phone_migration_operator::domain::fact::{
    Because, CamsResult, Conclusion, Exhausted, Fact, NoCode, QueuedFor, ReplyDetails, SpentBy,
    State, VerifiedBy,
};
use phone_migration_operator::domain::ledger::{Unusable, ledger_name};
use phone_migration_operator::domain::reads::{Purpose, Reads, decisive_read};

use super::world::*;

pub fn says(world: &World, fact: impl Into<Fact>, next: Next) {
    let decision = world.decide();
    assert_eq!((decision.fact, decision.next), (Some(fact.into()), next));
}

pub fn quietly(world: &World, next: Next) {
    let decision = world.decide();
    assert_eq!((decision.fact, decision.next), (None, next));
}

/// The outcome of the code of the entry `id`.
pub fn conclusion(id: &str, outcome: Outcome) -> Conclusion {
    Conclusion {
        outcome,
        reply: ReplyDetails {
            code: Some(format!("Error-{id}")),
            message: None,
            request_id: Some(format!("REQ-{id}")),
        },
        by: SpentBy::Us,
        ambiguous: false,
        exhausted: None,
    }
}

fn by_other(id: &str) -> Conclusion {
    Conclusion {
        by: SpentBy::Other(ago(60)),
        ..conclusion(id, Outcome::Refused)
    }
}

fn number_full() -> Exhausted {
    Exhausted::Number {
        ledger: ledger_name(NUMBER),
    }
}

/// A change that removes the condition of a row; the row's update; the next step.
type Row = (&'static str, Option<Fact>, Next, fn(&mut World));

fn drop_entry(w: &mut World, id: &str) {
    w.ledger.entries.retain(|e| e.attempt_id != id);
}

/// Every row matches the first world; each next world lacks the condition of the row above.
#[test]
fn the_rows_in_their_order() {
    let until = decisive_read(entry("o", &code("1"), None).final_at.0);
    let limit = |others| Exhausted::Limit {
        spent: 2,
        limit: 2,
        others,
    };
    let spent = |exhausted: Option<Exhausted>, of: Conclusion| {
        Some(Fact::Result(CamsResult::Spent(Conclusion {
            exhausted,
            ..of
        })))
    };
    let rows: Vec<Row> = vec![
        ("Verified with Id", None, Next::Rest, |w| {
            w.object.status.as_mut().unwrap().id = None;
            w.object.status.as_mut().unwrap().reason = Some("AttemptsExhausted".into());
        }),
        (
            "the ledger cannot be used",
            Some(Fact::State(State::LedgerUnreadable {
                why: Unusable::AheadOfTime,
                ledger: ledger_name(NUMBER),
            })),
            Next::RereadLedger,
            |w| w.ledger.unusable = None,
        ),
        (
            "verified by us",
            Some(Fact::Result(CamsResult::Verified {
                by: VerifiedBy::Call,
                id: Some("828".into()),
                phone_number: None,
                request_id: Some("REQ-v".into()),
            })),
            Next::Rest,
            |w| drop_entry(w, "v"),
        ),
        ("open, its task runs", None, Next::Rest, |w| {
            w.task_runs = false
        }),
        ("open and never sent", None, Next::SettleUnsent, |w| {
            w.abandoned = false
        }),
        (
            "open, ours",
            Some(Fact::Result(CamsResult::Unknown {
                reply: ReplyDetails::default(),
                until,
            })),
            Next::Observe { now: false },
            |w| w.ledger.entries[0].migration.uid = OTHER.into(),
        ),
        (
            "open, of another resource",
            Some(Fact::State(State::Queued(QueuedFor::OpenAttempt { until }))),
            Next::Observe { now: false },
            |w| {
                drop_entry(w, "o");
                w.object.status.as_mut().unwrap().reason = Some("Queued".into());
            },
        ),
        (
            "suspended",
            Some(Fact::State(State::Suspended)),
            Next::Rest,
            |w| w.object.spec.suspend = false,
        ),
        ("the Secret was not read", None, Next::ReadCode, |w| {
            w.code = Some(CodeReading::SecretNotFound);
        }),
        (
            "no usable code",
            spent(Some(limit(40)), conclusion("a", Outcome::Refused)),
            Next::Poll,
            |w| w.code = Some(CodeReading::Usable(code("111111"))),
        ),
        (
            "spent by us",
            spent(Some(limit(40)), conclusion("a", Outcome::Refused)),
            Next::Poll,
            |w| w.code = Some(CodeReading::Usable(code("222222"))),
        ),
        (
            "spent by another resource",
            spent(Some(limit(40)), by_other("b")),
            Next::Poll,
            |w| {
                w.code = Some(CodeReading::Usable(code("333333")));
                w.reads = Reads::none(now());
                drop_entry(w, "a");
                w.ledger
                    .entries
                    .insert(0, entry("a", &code("111111"), FINAL));
            },
        ),
        (
            "the code that verified the number for another resource",
            None,
            Next::ReadStatus(Purpose::OtherVerified),
            |w| w.reads = w.reads.made(true, now()),
        ),
        (
            "the same, read",
            Some(Fact::State(State::UsedElsewhere)),
            Next::Poll,
            |w| {
                w.code = Some(CodeReading::Usable(code("777777")));
            },
        ),
        (
            "shown by another resource only",
            Some(Fact::State(State::UsedElsewhere)),
            Next::Poll,
            |w| {
                w.code = Some(CodeReading::Usable(code("555555")));
            },
        ),
        (
            "an entry of another key",
            spent(
                Some(limit(40)),
                Conclusion {
                    ambiguous: true,
                    ..conclusion("a", Outcome::UnknownFinal)
                },
            ),
            Next::Poll,
            |w| drop_entry(w, "k"),
        ),
        (
            "verified by another resource that exists",
            Some(Fact::State(State::Duplicate { other: None })),
            Next::Poll,
            |w| drop_entry(w, "c"),
        ),
        (
            "as many as this namespace may spend",
            Some(Fact::State(State::Exhausted(limit(38)))),
            Next::Poll,
            |w| w.object.status.as_mut().unwrap().attempt_limit = Some(3),
        ),
        (
            "as many as anybody may spend",
            Some(Fact::State(State::Exhausted(number_full()))),
            Next::Poll,
            |w| {
                drop_entry(w, "f0");
                w.code = Some(CodeReading::Usable(code_until("555555", now())));
            },
        ),
        (
            "expired",
            Some(Fact::State(State::NoCode(NoCode::Expired))),
            Next::Poll,
            |w| {
                w.code = Some(CodeReading::Usable(code("555555")));
            },
        ),
        ("none of these, with a turn", None, Next::Claim, |w| {
            w.turn = TurnState::None
        }),
        ("none of these, without", None, Next::Enqueue(None), |_| {}),
    ];
    let mut entries = vec![
        entry("o", &code("999999"), None),
        entry("v", &code("888888"), ACCEPTED),
        entry("a", &code("111111"), REFUSED),
        foreign("tenant-a", entry("b", &code("222222"), REFUSED)),
        foreign("tenant-b", entry("c", &code("333333"), ACCEPTED)),
        foreign("tenant-b", entry("k", &code_of(2, "444444", "4"), REFUSED)),
    ];
    entries[1].id = Some("828".into());
    entries.extend((0..38).map(|n| {
        let filler = entry(
            &format!("f{n}"),
            &code(&format!("{}", 600_000 + n)),
            REFUSED,
        );
        foreign("tenant-c", filler)
    }));
    let mut world = World::new("Verified", entries)
        .suspend(true)
        .change_status(|s| {
            s.id = Some("828".into());
            s.observed_generation = Some(2);
            s.attempt_limit = Some(2);
        })
        .with(|w| {
            w.ledger.unusable = Some(Unusable::AheadOfTime);
            (w.task_runs, w.abandoned) = (true, true);
            w.reads.done = 1;
            w.neighbours = vec![neighbour("tenant-b")];
            w.neighbours[0].codes.push(ShownCode {
                attempt_id: "lost".into(),
                fingerprint: code("777777").fingerprint,
            });
        });
    for (row, fact, next, take_away) in rows {
        let decision = world.decide();
        assert_eq!((decision.fact, decision.next), (fact, next), "{row}");
        take_away(&mut world);
    }
}

#[test]
fn what_the_secret_lacks_is_said_and_does_not_hide_how_a_code_ended() {
    let six = CodeDigits::default();
    let readings = [
        (CodeReading::SecretNotFound, NoCode::SecretNotFound, true),
        (CodeReading::KeyNotFound, NoCode::KeyNotFound, true),
        (CodeReading::SecretForbidden, NoCode::SecretForbidden, false),
        (
            CodeReading::Invalid(InvalidCode::NotDigits(six)),
            NoCode::NotDigits(six),
            false,
        ),
        (
            CodeReading::Invalid(InvalidCode::ExpiryNotATime),
            NoCode::ExpiryNotATime,
            false,
        ),
    ];
    for (reading, cause, hidden) in readings {
        let new = World::of(None, ledger(Vec::new())).reading(reading.clone());
        says(&new, State::NoCode(cause), Next::Poll);
        let spent = refused().reading(reading);
        let fact = match hidden {
            true => Fact::Result(CamsResult::Spent(conclusion("a", Outcome::Refused))),
            false => Fact::State(State::NoCode(cause)),
        };
        says(&spent, fact, Next::Poll);
    }
}

/// A status can be forged: an acceptance that only it knows, and that a read denied, hides none of the
/// ledger.
#[test]
fn an_acceptance_that_only_a_status_knows_hides_none_of_the_ledger() {
    let stored = entry("v", &code("888888"), ACCEPTED);
    let mut forged = entry("s", &code("777777"), ACCEPTED);
    forged.imported = true;
    for entries in [
        vec![forged.clone(), stored.clone()],
        vec![stored.clone(), forged.clone()],
    ] {
        let world = World::new("SecretNotFound", entries).denied();
        let decision = world.code(&code("555555")).decide();
        let verified = matches!(
            decision.fact,
            Some(Fact::Result(CamsResult::Verified { .. }))
        );
        assert!(verified && decision.next != Next::Claim, "{decision:?}");
    }
    // Alone, and denied, it is none.
    let world = World::new("SecretNotFound", vec![forged]).denied();
    quietly(&world.code(&code("555555")), Next::Claim);
}

/// The same digits are the same code, from any version of the Secret, and after any other change by
/// the user.
#[test]
fn only_a_different_code_goes_after_one_was_spent() {
    let (old, last) = (code("111111"), code("222222"));
    for outcome in [
        Outcome::Refused,
        Outcome::RequestRefused,
        Outcome::UnknownFinal,
    ] {
        let entries = vec![entry("b", &last, Some(outcome)), entry("a", &old, REFUSED)];
        let world = World::rejected(entries);
        for changed in [world.clone(), world.clone().token("go")] {
            for (version, id) in [("99", "b"), ("222222", "b"), ("1", "a")] {
                let digits = if id == "b" { "222222" } else { "111111" };
                let same = changed.clone().code(&code_of(1, digits, version));
                let ended = if id == "b" { outcome } else { Outcome::Refused };
                says(&same, CamsResult::Spent(conclusion(id, ended)), Next::Poll);
            }
            quietly(&changed.code(&code("333333")), Next::Claim);
        }
    }
    // A released one may be sent again.
    for outcome in [Outcome::Throttled, Outcome::NotSent, Outcome::Blocked] {
        let world = World::new("Queued", vec![entry("a", &old, Some(outcome))]);
        quietly(&world.code(&old), Next::Claim);
    }
}

/// An entry of another key cannot be compared, unless the Secret has not changed since.
#[test]
fn a_code_beside_an_entry_of_another_key_waits_for_a_token_and_an_unmoved_one_is_spent() {
    let unmoved = code_of(2, "111111", "7");
    let moved = code_of(2, "111111", "8");
    for owner in [US, OTHER] {
        let mut known = entry("a", &code_of(1, "111111", "7"), REFUSED);
        known.migration.uid = owner.into();
        let world = World::rejected(vec![known]);
        let (own, other) = (conclusion("a", Outcome::Refused), by_other("a"));
        let told = if owner == US { own.clone() } else { other };
        let same = world.clone().code(&unmoved);
        says(&same, CamsResult::Spent(told.clone()), Next::Poll);
        // Behind a newer entry that cannot be compared either, and for any token.
        let newer = foreign("tenant-b", entry("b", &code_of(1, "222222", "6"), REFUSED));
        let behind = same.with(|w| w.ledger.entries.insert(0, newer)).token("go");
        says(&behind, CamsResult::Spent(told), Next::Poll);
        let unknown = match owner == US {
            true => Fact::Result(CamsResult::Spent(Conclusion {
                ambiguous: true,
                ..own
            })),
            false => Fact::State(State::CodeUnknown(Because::OtherKey)),
        };
        let waits = world.code(&moved);
        says(&waits, unknown.clone(), Next::Poll);
        says(
            &waits.clone().with(|w| w.now = later(86_400 * 365)),
            unknown,
            Next::Poll,
        );
        quietly(&waits.token("go"), Next::Claim);
    }
}

#[test]
fn a_duplicate_is_named_within_its_namespace_and_waits_only_for_a_resource_that_exists() {
    let entries = |namespace| vec![foreign(namespace, entry("a", &code("111111"), ACCEPTED))];
    for (namespace, other) in [("tenant-a", Some("store-1".to_owned())), ("tenant-b", None)] {
        let world = World::new("Queued", entries(namespace)).code(&code("222222"));
        quietly(&world, Next::Claim);
        let watched = world.with(|w| w.neighbours = vec![neighbour(namespace)]);
        says(&watched, State::Duplicate { other }, Next::Poll);
        // An entry that only a status shows blocks no resource in another namespace.
        let imported = watched.with(|w| w.ledger.entries[0].imported = true);
        let excludes = imported.decide().next == Next::Poll;
        assert_eq!(excludes, namespace == "tenant-a");
    }
}

#[test]
fn only_unreleased_entries_of_this_namespace_count_for_its_limit() {
    let spent = |n: usize, outcome| {
        entry(
            &format!("a{n}"),
            &code(&format!("{}", 100_000 + n)),
            outcome,
        )
    };
    let world = |entries: Vec<_>| {
        World::new("Queued", entries)
            .with(|w| w.reads.done = 1)
            .code(&code("222222"))
    };
    let mut five: Vec<_> = (0..5).map(|n| spent(n, REFUSED)).collect();
    five[4].migration.uid = OTHER.into();
    let exhausted = Fact::State(State::Exhausted(Exhausted::Limit {
        spent: 5,
        limit: 5,
        others: 0,
    }));
    says(&world(five.clone()), exhausted, Next::Poll);
    let mut released = five.clone();
    released[0].outcome = NOT_SENT;
    quietly(&world(released), Next::Claim);
    let mut elsewhere = five;
    elsewhere[0] = foreign("tenant-b", elsewhere[0].clone());
    quietly(&world(elsewhere), Next::Claim);
    // No imported entry counts for the forty.
    let mut forty: Vec<_> = (0..40)
        .map(|n| foreign("tenant-c", spent(n, REFUSED)))
        .collect();
    says(
        &world(forty.clone()),
        State::Exhausted(number_full()),
        Next::Poll,
    );
    forty[0].imported = true;
    quietly(&world(forty), Next::Claim);
}

#[test]
fn what_a_status_shows_of_another_resource_forbids_its_code_unless_it_was_released() {
    let shown = |w: &mut World| {
        w.neighbours = vec![neighbour("tenant-b")];
        w.neighbours[0].codes.push(ShownCode {
            attempt_id: "x".into(),
            fingerprint: code("111111").fingerprint,
        });
    };
    let world = World::new("Queued", Vec::new()).with(shown);
    says(
        &world.clone().code(&code("111111")),
        State::UsedElsewhere,
        Next::Poll,
    );
    quietly(&world.clone().code(&code("222222")), Next::Claim);
    let released = world.clone().with(|w| w.ledger.released.push("x".into()));
    quietly(&released.code(&code("111111")), Next::Claim);
    let entry = foreign("tenant-b", entry("x", &code("111111"), THROTTLED));
    let released = world.with(|w| w.ledger.entries.push(entry));
    quietly(&released.code(&code("111111")), Next::Claim);
}

#[test]
fn verified_rests_whatever_changes_and_no_entry_of_a_status_alone_is_a_success() {
    let mut accepted = entry("v", &code("111111"), ACCEPTED);
    let missing = World::new("Queued", vec![accepted.clone()]);
    let (decision, shown) = missing.step();
    assert_eq!(
        (shown.reason(), decision.next),
        (Reason::Verified, Next::At(later(5)))
    );
    let due = shown.clone().with(|w| w.now = later(5));
    quietly(&due, Next::ReadStatus(Purpose::MissingId));
    let verified = shown.clone().change_status(|s| s.id = Some("828".into()));
    for world in [
        verified.clone().code(&code("222222")).token("go"),
        verified.clone().suspend(true),
        verified.clone().request("one"),
    ] {
        let (decision, after) = world.step();
        assert_eq!(
            (decision.next, after.reason()),
            (Next::Rest, Reason::Verified)
        );
        assert_eq!(after.status().attempt, world.status().attempt);
        assert_eq!(after.step().0.fact, None, "handled once");
        // It leaves the cache only when its status needs no further write.
        assert_eq!(needs_nothing(&world.object), decision.fact.is_none());
        assert!(needs_nothing(&after.object));
        // Nothing is done for it, for any state of its number.
        for entries in [Vec::new(), vec![entry("o", &code("333333"), None)]] {
            quietly(
                &after.clone().with(|w| w.ledger = ledger(entries)),
                Next::Rest,
            );
        }
    }
    for unfinished in [
        missing.object.clone(),
        shown.object.clone(),
        verified.clone().change_status(|s| s.reason = None).object,
        verified
            .clone()
            .change_status(|s| s.observed_generation = Some(-1))
            .object,
    ] {
        assert!(!needs_nothing(&unfinished));
    }
    // Imported: a read confirms it first.
    accepted.imported = true;
    let forged = World::new("Queued", vec![accepted]).code(&code("222222"));
    let (decision, after) = forged.step();
    assert_eq!(
        (decision.next, after.reason()),
        (Next::At(later(5)), Reason::Queued)
    );
    // So does a state without an entry.
    let word = World::new("Verified", Vec::new()).code(&code("222222"));
    quietly(&word, Next::At(later(5)));
}

#[test]
fn an_open_entry_is_read_at_once_when_a_person_asks_and_says_when_it_cannot_be_read() {
    let open = World::new("OutcomeUnknown", vec![entry("o", &code("111111"), UNKNOWN)]);
    let asked = open.clone().asked().decide();
    assert_eq!(asked.next, Next::Observe { now: true });
    let read_error = "Timeout".to_owned();
    let overdue = open.with(|w| w.overdue = Some(read_error.clone()));
    says(
        &overdue,
        CamsResult::UnknownOverdue { read_error },
        Next::Observe { now: false },
    );
}

/// A stored open entry is observed first: at most one can be stored.
#[test]
fn an_open_attempt_that_only_status_knows_is_stored_before_it_is_observed() {
    let open = World::new("OutcomeUnknown", vec![entry("o", &code("111111"), None)]);
    let (_, shown) = open.step();
    let lost = shown
        .with(|w| w.ledger = ledger(Vec::new()))
        .code(&code("222222"));
    quietly(&lost, Next::StoreImport);
    let mut theirs = foreign("tenant-b", entry("p", &code("333333"), None));
    theirs.signed_at.0 = ago(600);
    let both = lost.with(|w| w.ledger.entries.push(theirs));
    assert_eq!(both.decide().next, Next::Observe { now: false });
}

#[test]
fn a_resource_that_is_being_deleted_is_left_alone() {
    for entries in [Vec::new(), vec![entry("o", &code("111111"), None)]] {
        let world = World::new("Queued", entries)
            .code(&code("222222"))
            .with(|w| {
                w.object.metadata.deletion_timestamp = Some(Time(now()));
            });
        quietly(&world, Next::Rest);
    }
}
