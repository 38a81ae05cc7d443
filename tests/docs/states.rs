//! The diagram of the states in `docs/concepts.md` equals the operator's decisions.
//!
//! Each row below is one thing that can happen to a resource. The test carries it out with the
//! operator's own `decide`, `apply` and rules of an attempt. It draws an arrow from the state that
//! status showed before to the state that it shows after.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use phone_migration_operator::api::code_ledger::LedgerEntry;
use phone_migration_operator::api::crd::condition;
use phone_migration_operator::api::reason::{Outcome, Reason};
use phone_migration_operator::cams::{
    Answer, BlockCause, Refusal, RefusalKind, UnknownCause, Verdict, VerifiedNumber,
};
use phone_migration_operator::domain::code::{CodeDigits, CodeReading, InvalidCode};
use phone_migration_operator::domain::decide::{Next, Permit, ShownCode, TurnState};
use phone_migration_operator::domain::fact::{
    CamsResult, Fact, HoldCause, ReleaseCause, ReplyDetails, State, VerifiedBy,
};
use phone_migration_operator::domain::ledger::{Ended, Unusable, as_if_recorded};
use phone_migration_operator::domain::reads::{Purpose, ReadResult, Reads};
use phone_migration_operator::operator::attempt::rules::{self, Adoption};

use crate::page::settle_diagram;
use crate::world::{VALIDITY, World, ago, code, code_of, entry, foreign, later, ledger, neighbour};

const PAGE: &str = "docs/concepts.md";

/// A box of the diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Start,
    NoCode,
    BadCode,
    Queued,
    Throttled,
    AccountHeld,
    Unknown,
    Final,
    Refused,
    Exhausted,
    CodeUnknown,
    Ledger,
    Duplicate,
    Suspended,
    Verified,
}

/// The box of a reason. An unknown outcome has two: while the operator still reads the number's
/// status, and at its end.
fn node(reason: Reason, finished: bool) -> Node {
    match reason {
        Reason::SecretNotFound | Reason::SecretForbidden | Reason::KeyNotFound => Node::NoCode,
        Reason::InvalidCode | Reason::CodeExpired => Node::BadCode,
        Reason::Queued => Node::Queued,
        Reason::Throttled => Node::Throttled,
        Reason::CredentialsInvalid | Reason::AccountError | Reason::ClockSkew => Node::AccountHeld,
        Reason::OutcomeUnknown if finished => Node::Final,
        Reason::OutcomeUnknown => Node::Unknown,
        Reason::CodeRejected | Reason::RequestRejected => Node::Refused,
        Reason::AttemptsExhausted => Node::Exhausted,
        Reason::CodeUnknown => Node::CodeUnknown,
        Reason::LedgerUnreadable => Node::Ledger,
        Reason::DuplicatePhoneNumber => Node::Duplicate,
        Reason::Suspended => Node::Suspended,
        Reason::Verified => Node::Verified,
    }
}

macro_rules! kinds {
    ($all:ident, $kind:ident, $of:ident: $($name:ident),+ $(,)?) => {
        const $all: &[&str] = &[$(stringify!($name)),+];

        fn $kind(fact: &$of) -> &'static str {
            match fact { $($of::$name { .. } => stringify!($name)),+ }
        }
    };
}

kinds!(
    STATES,
    state,
    State: NoCode,
    Queued,
    HeldBack,
    StillHeld,
    Suspended,
    Duplicate,
    LedgerUnreadable,
    CodeUnknown,
    UsedElsewhere,
    Exhausted,
);
kinds!(
    RESULTS,
    result,
    CamsResult: Verified,
    Released,
    Unknown,
    UnknownOverdue,
    Spent,
    Disproved,
);

fn kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::Unchanged => "Unchanged",
        Fact::State(fact) => state(fact),
        Fact::Result(fact) => result(fact),
    }
}

/// A resource after something happened to it, and the fact that its status was reply.
struct Shown {
    fact: Fact,
    world: World,
}

/// A row: the resource before, the event in a few words, and the resource after it.
struct Row {
    before: World,
    words: &'static str,
    after: Shown,
}

fn row(before: &World, words: &'static str, happens: impl FnOnce(World) -> Shown) -> Row {
    Row {
        before: before.clone(),
        words,
        after: happens(before.clone()),
    }
}

/// The operator reconciles the resource as it is now.
fn reconcile(world: World) -> Shown {
    let (decision, world) = world.step();
    let fact = decision.fact.expect("something to say");
    Shown { fact, world }
}

fn tell(world: &World, fact: Fact) -> Shown {
    let world = world.says(fact.clone());
    Shown { fact, world }
}

/// The code of the Secret is submitted, and CAMS answers so.
fn answered(world: World, verdict: Verdict) -> Shown {
    let Some(CodeReading::Usable(code)) = &world.code else {
        panic!("no code to submit");
    };
    let id = format!("attempt-{}", world.ledger.entries.len());
    let claim = rules::entry(&world.object, &id, world.now, VALIDITY, code);
    let concluded = rules::conclusion(Answer {
        verdict,
        code: None,
        message: None,
        request_id: None,
        date: None,
        api_status: None,
    });
    let known = as_if_recorded(&world.known(), &claim, &concluded.ended, world.now);
    let next = concluded.release_cause.map(|_| later(60));
    let recorded = known.entry(&id).unwrap();
    let fact = concluded.fact(&world.object, &known, recorded, Permit::default(), next);
    tell(&world.with(|w| w.ledger = known), fact)
}

/// The newest entry ends so, and the operator reconciles.
fn ended(world: World, ended: &Ended) -> Shown {
    let newest = world.ledger.entries[0].clone();
    let known = as_if_recorded(&world.ledger, &newest, ended, world.now);
    reconcile(world.with(|w| w.ledger = known))
}

fn verified() -> ReadResult {
    ReadResult::Verified {
        id: Some("828".into()),
        phone_number: None,
        request_id: None,
    }
}

/// A read before the first attempt finds the number verified.
fn adopted(world: World) -> Shown {
    let adoption = rules::adoption(&world.object, &world.known(), &world.neighbours);
    assert_eq!(adoption, Adoption::Adopt(None));
    let fact = Fact::Result(CamsResult::Verified {
        by: VerifiedBy::ReadBefore,
        id: Some("828".into()),
        phone_number: None,
        request_id: None,
    });
    tell(&world, fact)
}

/// A read of the open entry, made at this time.
fn observed(world: World, read: &ReadResult, at: Timestamp) -> Shown {
    let open = world.ledger.open().expect("an open entry").clone();
    let end = rules::after_observation(&open, read, None, VALIDITY, at).expect("an end");
    ended(at_time(world, at), &end)
}

fn at_time(world: World, at: Timestamp) -> World {
    world.with(|w| {
        w.now = at;
        w.reads = Reads::none(at);
    })
}

/// A read that the user asked for after a refusal finds the number verified.
fn asked(world: World) -> Shown {
    let world = world.request("now").asked();
    assert_eq!(world.decide().next, Next::ReadStatus(Purpose::Asked));
    let end = rules::after_refusal(&verified()).expect("an adoption");
    ended(world, &end)
}

const WAITED: TurnState = TurnState::Waiting(Duration::from_secs(2));

fn has_code(world: World, digits: &str) -> World {
    world.code(&code(digits)).turn(WAITED)
}

fn refused(kind: RefusalKind) -> Verdict {
    Verdict::Refused(Refusal {
        code: "Some.Code".into(),
        kind,
    })
}

fn spent(digits: &str) -> LedgerEntry {
    entry(digits, &code(digits), Some(Outcome::Refused))
}

fn every_row() -> Vec<Row> {
    let new = World::of(None, ledger(Vec::new())).turn(TurnState::None);
    let waits = reconcile(new.clone().reading(CodeReading::SecretNotFound)).world;
    let queued = reconcile(has_code(waits.clone(), "111111")).world;
    let mut rows = before_an_attempt(&new, &waits, &queued);
    rows.extend(answers(&queued));
    rows.extend(unknown_outcomes(&queued));
    rows.extend(refusals(&waits, &queued));
    rows.extend(obstacles(&waits, &queued));
    rows.extend(after_success(&queued));
    rows
}

fn before_an_attempt(new: &World, waits: &World, queued: &World) -> Vec<Row> {
    let expired = |world: World| {
        let mut late = code("111111");
        late.expires_at = Some(ago(1));
        reconcile(world.code(&late).turn(WAITED))
    };
    let no_digits = CodeReading::Invalid(InvalidCode::NotDigits(CodeDigits::default()));
    let bad = reconcile(waits.clone().reading(no_digits)).world;
    let missing = [
        CodeReading::SecretNotFound,
        CodeReading::SecretForbidden,
        CodeReading::KeyNotFound,
    ];
    let mut rows: Vec<Row> = missing
        .into_iter()
        .map(|reading| row(new, "no code yet", |w| reconcile(w.reading(reading))))
        .collect();
    rows.extend([
        row(waits, "a code arrives", |w| {
            reconcile(has_code(w, "111111"))
        }),
        row(waits, "not a code, or too old", |_| Shown {
            fact: bad.decide().fact.expect("something to say"),
            world: bad.clone(),
        }),
        row(waits, "not a code, or too old", expired),
        row(&bad, "another code", |w| reconcile(has_code(w, "111111"))),
        row(queued, "the code expires", expired),
        row(queued, "suspend: true", |w| reconcile(w.suspend(true))),
    ]);
    let suspended = reconcile(queued.clone().suspend(true)).world;
    rows.push(row(&suspended, "suspend: false", |w| {
        reconcile(w.suspend(false))
    }));
    rows
}

fn answers(queued: &World) -> Vec<Row> {
    let accepted = Verdict::Accepted(VerifiedNumber {
        id: Some("828".into()),
        phone_number: None,
    });
    let words = "accepted, or verified already";
    let mut rows = vec![
        row(queued, words, |w| answered(w, accepted)),
        row(queued, words, adopted),
        row(queued, "throttled", |w| {
            answered(w, Verdict::Throttled { after: None })
        }),
    ];
    let throttled = rows[2].after.world.clone();
    rows.push(row(&throttled, "the pause ends", |w| {
        reconcile(at_time(w, later(600)))
    }));
    let causes = [
        (BlockCause::Credentials, ReleaseCause::Credentials),
        (BlockCause::Account, ReleaseCause::Account),
        (BlockCause::Clock, ReleaseCause::Clock),
    ];
    for (cause, release_cause) in causes {
        let words = "key, account or clock refused";
        rows.push(row(queued, words, |w| answered(w, Verdict::Blocked(cause))));
        let held = rows.last().unwrap().after.world.clone();
        let fact = Fact::State(State::HeldBack {
            release_cause,
            reply: ReplyDetails::default(),
            next: Some(later(60)),
        });
        rows.push(row(queued, words, |w| tell(&w, fact)));
        rows.push(row(&held, "repaired", |w| {
            reconcile(at_time(w, later(600)))
        }));
        let lasts = |w: &mut World| {
            (w.hold, w.held_since) = (Some(HoldCause::Credentials), Some(ago(120)));
        };
        if cause == BlockCause::Credentials {
            rows.push(row(&held, "it lasts", |w| reconcile(w.with(lasts))));
        }
    }
    rows
}

fn unknown_outcomes(queued: &World) -> Vec<Row> {
    let lost = Verdict::Unknown(UnknownCause::Timeout);
    let mut rows = vec![row(queued, "the reply is lost", |w| answered(w, lost))];
    let unknown = rows[0].after.world.clone();
    let end = unknown.ledger.open().expect("an open entry").final_at.0;
    let after = end + Duration::from_secs(2);
    let not = ReadResult::NotVerified { date: Some(after) };
    let end_of_it = observed(unknown.clone(), &not, after).world;
    let adoption = Ended::of(Outcome::Adopted);
    rows.extend([
        row(&unknown, "a read says verified", |w| {
            observed(w, &verified(), later(5))
        }),
        row(&unknown, "the signature expires", |w| {
            observed(w, &not, after)
        }),
        row(&unknown, "no read succeeds", |w| {
            reconcile(w.with(|w| w.overdue = Some("Timeout".into())))
        }),
        row(&end_of_it, "another code", |w| {
            reconcile(has_code(w, "222222"))
        }),
        row(&end_of_it, "a later read says verified", |w| {
            ended(w, &adoption)
        }),
    ]);
    rows
}

fn refusals(waits: &World, queued: &World) -> Vec<Row> {
    let words = "CAMS refuses";
    let mut rows = vec![
        row(queued, words, |w| answered(w, refused(RefusalKind::Code))),
        row(queued, words, |w| {
            answered(w, refused(RefusalKind::Request))
        }),
    ];
    let rejected = rows[0].after.world.clone();
    let four: Vec<_> = ["222222", "333333", "444444", "555555"].map(spent).into();
    let with_four = queued.clone().with(|w| w.ledger.entries = four);
    let fifth = row(&with_four, "CAMS refuses the fifth", |w| {
        answered(w, refused(RefusalKind::Code))
    });
    let exhausted = fifth.after.world.clone();
    let by_other = foreign("tenant-b", spent("111111"));
    let shown = ShownCode {
        attempt_id: "elsewhere".into(),
        fingerprint: code("111111").fingerprint,
    };
    rows.extend([
        row(&rejected, "another code", |w| {
            reconcile(has_code(w, "222222"))
        }),
        row(&rejected, "asked, a read says verified", asked),
        fifth,
        row(&exhausted, "another code", |w| {
            reconcile(has_code(w, "666666"))
        }),
        row(&exhausted, "another code and retryToken", |w| {
            reconcile(has_code(w, "666666").token("go on"))
        }),
        row(waits, "a used code", |w| {
            reconcile(has_code(w, "111111").with(|w| w.ledger.entries = vec![by_other]))
        }),
        row(waits, "a used code", |w| {
            let mut other = neighbour("tenant-a");
            other.codes.push(shown);
            reconcile(has_code(w, "111111").with(|w| w.neighbours = vec![other]))
        }),
    ]);
    rows
}

/// Obstacles to a good code.
fn obstacles(waits: &World, queued: &World) -> Vec<Row> {
    let old_key = foreign(
        "tenant-a",
        entry(
            "old",
            &code_of(2, "999999", "old"),
            Some(Outcome::UnknownFinal),
        ),
    );
    let doubtful = row(waits, "perhaps a used code", |w| {
        reconcile(has_code(w, "111111").with(|w| w.ledger.entries = vec![old_key]))
    });
    let unusable = row(queued, "its ledger is unusable", |w| {
        reconcile(w.with(|w| w.ledger.unusable = Some(Unusable::WriteRefused)))
    });
    let theirs = foreign(
        "tenant-a",
        entry("theirs", &code("999999"), Some(Outcome::Accepted)),
    );
    let duplicate = row(queued, "another resource's code verified it", |w| {
        reconcile(w.with(|w| {
            w.ledger.entries = vec![theirs];
            w.neighbours = vec![neighbour("tenant-a")];
        }))
    });
    let [unknown, unread, second] =
        [&doubtful, &unusable, &duplicate].map(|row| row.after.world.clone());
    vec![
        doubtful,
        row(&unknown, "retryToken", |w| reconcile(w.token("it is new"))),
        unusable,
        row(&unread, "repaired", |w| {
            reconcile(w.with(|w| w.ledger.unusable = None))
        }),
        duplicate,
        row(&second, "the other is deleted", |w| {
            reconcile(w.with(|w| w.neighbours.clear()))
        }),
    ]
}

fn after_success(queued: &World) -> Vec<Row> {
    let done = adopted(queued.clone()).world;
    let restored = done.clone().change_status(|status| status.id = None);
    vec![
        row(&done, "an annotation", |w| reconcile(w.request("now"))),
        row(&restored, "restored without Id, not verified", |w| {
            reconcile(w.with(|w| w.reads.denied = true))
        }),
    ]
}

fn node_of(world: &World) -> Node {
    let status = world.status();
    status.reason().map_or(Node::Start, |reason| {
        node(reason, status.is_true(condition::FINISHED))
    })
}

fn needs_person(world: &World) -> bool {
    world.status().is_true(condition::STALLED)
}

/// The reasons of a box, in their order.
fn words(of: Node) -> String {
    let is_here = |reason: &&Reason| [false, true].map(|end| node(**reason, end)).contains(&of);
    let reasons = Reason::ALL.iter().filter(is_here);
    let names: Vec<&str> = reasons.map(|reason| reason.as_str()).collect();
    let end = if of == Node::Final { ", final" } else { "" };
    format!("{}{end}", names.join("<br/>"))
}

/// Rounded: InProgress. Square: Failed, whatever led there. With round ends: Current.
fn shape(of: Node, shown: &[&World]) -> String {
    let words = words(of);
    match of {
        Node::Start => r#"(("new"))"#.to_owned(),
        Node::Verified => format!(r#"(["{words}"])"#),
        _ if shown.iter().all(|world| needs_person(world)) => format!(r#"["{words}"]"#),
        _ => format!(r#"("{words}")"#),
    }
}

fn diagram(rows: &[Row]) -> String {
    let mut shown: BTreeMap<Node, Vec<&World>> = BTreeMap::new();
    for world in rows.iter().flat_map(|row| [&row.before, &row.after.world]) {
        shown.entry(node_of(world)).or_default().push(world);
    }
    let mut out = "flowchart TD\n".to_owned();
    for (node, worlds) in &shown {
        writeln!(out, "  {node:?}{}", shape(*node, worlds)).unwrap();
    }
    let mut drawn = BTreeSet::new();
    for row in rows {
        let (from, to) = (node_of(&row.before), node_of(&row.after.world));
        if from != to && drawn.insert((from, to, row.words)) {
            writeln!(out, "  {from:?} -->|\"{}\"| {to:?}", row.words).unwrap();
        }
    }
    out
}

#[test]
fn reference_of_the_states_is_what_the_decisions_say() {
    settle_diagram(PAGE, &diagram(&every_row()));
}

/// Every reason and every kind of fact is in a row, so none is missing from the diagram.
#[test]
fn every_reason_and_every_fact_is_carried_out() {
    let rows = every_row();
    let reasons = rows
        .iter()
        .filter_map(|row| row.after.world.status().reason);
    let reasons: BTreeSet<String> = reasons.collect();
    let all = Reason::ALL.iter().map(|reason| reason.as_str().to_owned());
    assert_eq!(reasons, all.collect::<BTreeSet<_>>());
    let kinds: BTreeSet<&str> = rows.iter().map(|row| kind(&row.after.fact)).collect();
    let every = [&["Unchanged"], STATES, RESULTS].concat();
    assert_eq!(kinds, every.into_iter().collect::<BTreeSet<_>>());
}
