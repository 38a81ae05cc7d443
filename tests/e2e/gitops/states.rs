//! One resource for each state, its status built by the operator's own `status::apply`, stored by
//! the API server under the committed schema, and read back.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::api::code_ledger::LedgerEntry;
use phone_migration_operator::api::crd::PhoneMigration;
use phone_migration_operator::api::reason::{Kstatus, Outcome, Reason};
use phone_migration_operator::api::shown_number::ShownNumber;
use phone_migration_operator::domain::code::CodeDigits;
use phone_migration_operator::domain::decide::Permit;
use phone_migration_operator::domain::fact::{
    Because, CamsResult, Conclusion, Exhausted, Fact, HoldCause, NoCode, QueuedFor, ReleaseCause,
    ReplyDetails, SpentBy, State, VerifiedBy,
};
use phone_migration_operator::domain::ledger::{Ledger, Unusable, migration_of};
use phone_migration_operator::domain::status::{Stamp, apply};
use tokio::sync::OnceCell;

use super::*;

/// A resource as the API server returned it, and its expected verdict.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub what: String,
    pub object: Value,
    pub wanted: Kstatus,
}

/// The updates to status, one after the other, and the state of the resource's ledger entry, if it
/// has one.
#[derive(Clone, Debug)]
struct Way {
    facts: Vec<Fact>,
    entry: Option<Option<Outcome>>,
}

impl Way {
    fn without_attempt(fact: Fact) -> Self {
        Self {
            facts: vec![fact],
            entry: None,
        }
    }

    fn of_attempt(facts: Vec<Fact>, outcome: Outcome) -> Self {
        Self {
            facts,
            entry: Some(Some(outcome)),
        }
    }
}

fn told() -> ReplyDetails {
    ReplyDetails {
        code: Some("VerifyCode.Mismatch".into()),
        message: Some("words of the service".into()),
        request_id: Some("90E63D28-0000-4000-8000-000000000000".into()),
    }
}

/// The ways that lead to each presentation of a reason, and the expected verdict. A reason without
/// one does not compile.
fn ways(reason: Reason) -> Vec<(Way, Kstatus)> {
    use Kstatus::{Current, Failed, InProgress, Paused};
    let next = Some(Timestamp::now() + Duration::from_secs(60));
    let until = Timestamp::now() + Duration::from_secs(1920);
    let state = |state| Way::without_attempt(Fact::State(state));
    let no_code = |why| state(State::NoCode(why));
    let queued = |why| state(State::Queued(why));
    let held = |release_cause| {
        let reply = told();
        state(State::HeldBack {
            release_cause,
            reply,
            next,
        })
    };
    let released = |release_cause: ReleaseCause| {
        let fact = Fact::Result(CamsResult::Released {
            release_cause,
            reply: told(),
            next,
        });
        Way::of_attempt(vec![fact], release_cause.outcome())
    };
    let lasting = |mut way: Way| {
        way.facts.push(Fact::State(State::StillHeld));
        way
    };
    let spent = |outcome, exhausted: Option<Exhausted>| {
        let conclusion = Conclusion {
            outcome,
            reply: told(),
            by: SpentBy::Us,
            ambiguous: false,
            exhausted,
        };
        Way::of_attempt(vec![Fact::Result(CamsResult::Spent(conclusion))], outcome)
    };
    let limit = Exhausted::Limit {
        spent: 5,
        limit: 5,
        others: 0,
    };
    let unknown = Fact::Result(CamsResult::Unknown {
        reply: told(),
        until,
    });
    let verified = |by| {
        Fact::Result(CamsResult::Verified {
            by,
            id: Some("82828893332".into()),
            phone_number: Some(ShownNumber {
                masked: "861380000****".into(),
                is_other: false,
            }),
            request_id: told().request_id,
        })
    };
    match reason {
        Reason::SecretNotFound => vec![(no_code(NoCode::SecretNotFound), InProgress)],
        Reason::SecretForbidden => vec![(no_code(NoCode::SecretForbidden), InProgress)],
        Reason::KeyNotFound => vec![(no_code(NoCode::KeyNotFound), InProgress)],
        Reason::InvalidCode => vec![
            (no_code(NoCode::NotDigits(CodeDigits::default())), Failed),
            (no_code(NoCode::ExpiryNotATime), Failed),
        ],
        Reason::CodeExpired => vec![(no_code(NoCode::Expired), Failed)],
        Reason::Queued => vec![
            (queued(QueuedFor::Turn), InProgress),
            (queued(QueuedFor::Hold(HoldCause::Transport)), InProgress),
            (queued(QueuedFor::Hold(HoldCause::Ledger)), InProgress),
            (queued(QueuedFor::Hold(HoldCause::Brake)), InProgress),
            (queued(QueuedFor::BrakedPair), InProgress),
            (queued(QueuedFor::OpenAttempt { until }), InProgress),
            (released(ReleaseCause::NotSent), InProgress),
        ],
        Reason::Verified => {
            let called = vec![verified(VerifiedBy::Call)];
            let found = vec![unknown, verified(VerifiedBy::ReadAfter)];
            let known = verified(VerifiedBy::ReadBefore);
            vec![
                (Way::of_attempt(called, Outcome::Accepted), Current),
                (Way::without_attempt(known), Current),
                (Way::of_attempt(found, Outcome::Adopted), Current),
            ]
        }
        Reason::CodeRejected => vec![
            (spent(Outcome::Refused, None), Failed),
            (state(State::UsedElsewhere), Failed),
        ],
        Reason::RequestRejected => vec![(spent(Outcome::RequestRefused, None), Failed)],
        Reason::AttemptsExhausted => vec![
            (spent(Outcome::Refused, Some(limit.clone())), Failed),
            (state(State::Exhausted(limit)), Failed),
        ],
        Reason::CredentialsInvalid => vec![
            (held(ReleaseCause::Credentials), InProgress),
            (lasting(held(ReleaseCause::Credentials)), Failed),
            (released(ReleaseCause::Credentials), InProgress),
        ],
        Reason::AccountError => vec![
            (released(ReleaseCause::Account), InProgress),
            (lasting(released(ReleaseCause::Account)), Failed),
        ],
        Reason::ClockSkew => vec![
            (held(ReleaseCause::Clock), InProgress),
            (lasting(held(ReleaseCause::Clock)), Failed),
        ],
        Reason::Throttled => vec![
            (held(ReleaseCause::Throttled), InProgress),
            (released(ReleaseCause::Throttled), InProgress),
        ],
        Reason::OutcomeUnknown => {
            let read_error = "Timeout".into();
            let overdue = Fact::Result(CamsResult::UnknownOverdue { read_error });
            let (early, late) = (vec![unknown.clone()], vec![unknown, overdue]);
            vec![
                (Way::of_attempt(early, Outcome::Unknown), InProgress),
                (Way::of_attempt(late, Outcome::Unknown), Failed),
                (spent(Outcome::UnknownFinal, None), Failed),
            ]
        }
        Reason::LedgerUnreadable => {
            let unreadable = State::LedgerUnreadable {
                why: Unusable::Unparsable,
                ledger: "b4fe317ed266eed05525c1baaf1e31b4".into(),
            };
            vec![(state(unreadable), Failed)]
        }
        Reason::CodeUnknown => vec![
            (state(State::CodeUnknown(Because::OtherKey)), Failed),
            (state(State::CodeUnknown(Because::Restored)), Failed),
        ],
        Reason::DuplicatePhoneNumber => vec![(state(State::Duplicate { other: None }), Failed)],
        Reason::Suspended => vec![(state(State::Suspended), Paused)],
    }
}

fn entry(object: &PhoneMigration, outcome: Option<Outcome>) -> LedgerEntry {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    LedgerEntry {
        attempt_id: "0123456789abcdef0123456789abcdef".into(),
        fingerprint: "01234567:0123456789abcdef0123456789abcdef".into(),
        signed_at: Time(now),
        final_at: Time(now + Duration::from_secs(1920)),
        cust_space_id: object.spec.cust_space_id.clone(),
        migration: migration_of(object),
        secret: None,
        imported: false,
        outcome,
        error_code: None,
        error_message: None,
        request_id: None,
        id: None,
        finished_at: outcome.map(|_| Time(now)),
    }
}

async fn store(world: &World, name: &str, way: &Way) -> Value {
    let migration = Migration::new(name, "8613800001234");
    let created = serde_json::to_value(world.create(&migration).await.unwrap()).unwrap();
    let mut object: PhoneMigration = serde_json::from_value(created).unwrap();
    let entry = way.entry.map(|outcome| entry(&object, outcome));
    let ledger = Ledger {
        entries: entry.into_iter().collect(),
        ..Ledger::default()
    };
    for fact in &way.facts {
        let stamp = Stamp::of_reconcile(&object, Permit::default(), Timestamp::now());
        let new = apply(&object, fact, &ledger, &stamp);
        object.status = Some(new.unwrap_or_else(|| panic!("{name}: {fact:?} changes nothing")));
    }
    let status = serde_json::to_value(&object.status).unwrap();
    let stored = world.patch_status(name, status).await.unwrap();
    serde_json::to_value(stored).unwrap()
}

async fn record() -> Vec<Recorded> {
    let world = World::new(OPERATOR, "gitops-states").await.unwrap();
    let mut recorded = Vec::new();
    let mut seen = BTreeSet::new();
    for reason in Reason::ALL {
        for (n, (way, wanted)) in ways(*reason).into_iter().enumerate() {
            let name = format!("{}-{n}", reason.as_str().to_lowercase());
            let object = store(&world, &name, &way).await;
            assert_eq!(object["status"]["reason"], reason.as_str(), "{way:?}");
            seen.insert(reason.as_str());
            recorded.push(Recorded {
                what: name,
                object,
                wanted,
            });
        }
    }
    assert_eq!(seen.len(), Reason::ALL.len());
    // Not seen by any operator: the schema's default must not count as done.
    let new = Migration::new("unseen", "8613800001234");
    let object = serde_json::to_value(world.create(&new).await.unwrap()).unwrap();
    recorded.push(Recorded {
        what: "unseen".into(),
        object,
        wanted: Kstatus::InProgress,
    });
    // Edited since the last reconcile: the old status does not hold for the new generation.
    for (name, fact) in [("verified-0", "verified"), ("coderejected-0", "refused")] {
        let edit = json!({"spec": {"retryToken": "again"}});
        let object = world.patch(name, edit).await.unwrap();
        recorded.push(Recorded {
            what: format!("{fact}, then edited"),
            object: serde_json::to_value(object).unwrap(),
            wanted: Kstatus::InProgress,
        });
    }
    recorded
}

/// All of them, recorded once.
pub async fn recorded() -> &'static [Recorded] {
    static RECORDED: OnceCell<Vec<Recorded>> = OnceCell::const_new();
    RECORDED.get_or_init(record).await
}
