//! One resource for each state, its status built by the operator's own `status::apply`, stored by
//! the API server under the committed schema, and read back.

use std::collections::BTreeSet;

use harness::{Migration, World};
use jiff::Timestamp;
use phone_migration_operator::crd::{PhoneMigrationStatus, SecretVersion};
use phone_migration_operator::fact::{
    Claim, Fact, HoldCause, NoCode, QueuedFor, Setback, Told, VerifiedBy,
};
use phone_migration_operator::reason::{Kstatus, Outcome, Reason};
use phone_migration_operator::status::{Look, apply};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::OPERATOR;

/// A resource as the API server returned it, and what it has to be taken for.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub what: String,
    pub object: Value,
    pub wanted: Kstatus,
}

fn claim() -> Fact {
    Fact::Claimed(Claim {
        number: 1,
        id: "0123456789abcdef0123456789abcdef".into(),
        signed_at: Timestamp::now(),
        secret: SecretVersion {
            uid: "c0ffee00-0000-4000-8000-000000000000".into(),
            resource_version: "1".into(),
        },
        code_fingerprint: "01234567:0123456789abcdef0123456789abcdef".into(),
    })
}

fn told() -> Told {
    Told {
        code: Some("VerifyCode.Mismatch".into()),
        message: Some("words of the service".into()),
        request_id: Some("90E63D28-0000-4000-8000-000000000000".into()),
    }
}

/// What leads to each way in which a reason is shown, and what it has to be taken for. A reason
/// that is not here does not compile.
fn ways(reason: Reason) -> Vec<(Vec<Fact>, Kstatus)> {
    use Kstatus::{Current, Failed, InProgress, Paused};
    let next = Some(Timestamp::now() + std::time::Duration::from_secs(60));
    let until = Timestamp::now() + std::time::Duration::from_secs(1920);
    let no_code = |why| vec![Fact::NoCode(why)];
    let held = |setback| {
        vec![Fact::HeldBack {
            setback,
            told: told(),
            next,
        }]
    };
    let released = |setback| {
        vec![
            claim(),
            Fact::Released {
                setback,
                told: told(),
                next,
            },
        ]
    };
    let refused = |outcome| {
        vec![
            claim(),
            Fact::Refused {
                outcome,
                told: told(),
            },
        ]
    };
    let unknown = Fact::Unknown {
        told: told(),
        until,
    };
    let verified = |by| Fact::Verified {
        by,
        id: Some("82828893332".into()),
        phone_number: Some("861380000****".into()),
        request_id: told().request_id,
    };
    match reason {
        Reason::SecretNotFound => vec![(no_code(NoCode::SecretNotFound), InProgress)],
        Reason::KeyNotFound => vec![(no_code(NoCode::KeyNotFound), InProgress)],
        Reason::InvalidCode => vec![
            (no_code(NoCode::NotDigits), Failed),
            (no_code(NoCode::ExpiryNotATime), Failed),
        ],
        Reason::CodeExpired => vec![(no_code(NoCode::Expired), Failed)],
        Reason::Queued => vec![
            (vec![Fact::Queued(QueuedFor::Turn)], InProgress),
            (
                vec![Fact::Queued(QueuedFor::Hold(HoldCause::Transport))],
                InProgress,
            ),
            (released(Setback::NotSent), InProgress),
        ],
        Reason::Verifying => vec![(vec![claim()], InProgress)],
        Reason::Verified => vec![
            (vec![claim(), verified(VerifiedBy::Call)], Current),
            (vec![verified(VerifiedBy::ReadBefore)], Current),
            (
                vec![claim(), unknown, verified(VerifiedBy::ReadAfter)],
                Current,
            ),
        ],
        Reason::CodeRejected => vec![(refused(Outcome::Refused), Failed)],
        Reason::RequestRejected => vec![(refused(Outcome::RequestRefused), Failed)],
        Reason::AttemptsExhausted => {
            let mut facts = refused(Outcome::Refused);
            facts.push(Fact::Exhausted);
            vec![(facts, Failed)]
        }
        Reason::CredentialsInvalid => vec![
            (held(Setback::Credentials), Failed),
            (released(Setback::Credentials), Failed),
        ],
        Reason::AccountError => vec![(released(Setback::Account), Failed)],
        Reason::ClockSkew => vec![(held(Setback::Clock), Failed)],
        Reason::Throttled => vec![
            (held(Setback::Throttled), InProgress),
            (released(Setback::Throttled), InProgress),
        ],
        Reason::OutcomeUnknown => {
            let overdue = Fact::UnknownOverdue {
                read_error: "Timeout".into(),
            };
            vec![
                (vec![claim(), unknown.clone()], InProgress),
                (vec![claim(), unknown.clone(), overdue], Failed),
                (vec![claim(), unknown, Fact::UnknownFinal], Failed),
            ]
        }
        Reason::DuplicatePhoneNumber => {
            vec![(vec![Fact::Duplicate { owner: None }], Failed)]
        }
        Reason::Suspended => vec![(vec![Fact::Suspended], Paused)],
    }
}

fn look() -> Look {
    Look {
        generation: 1,
        now: Timestamp::now(),
        retry_token: None,
        requested_at: None,
    }
}

async fn store(world: &World, name: &str, facts: &[Fact]) -> Value {
    let migration = Migration::new(name, "8613800001234");
    world.create(&migration).await.unwrap();
    let status = facts
        .iter()
        .fold(PhoneMigrationStatus::default(), |old, fact| {
            let new = apply(&old, fact, &look());
            assert_ne!(new, old, "{name}: {fact:?} changes nothing");
            new
        });
    let status = serde_json::to_value(status).unwrap();
    let stored = world.patch_status(name, status).await.unwrap();
    serde_json::to_value(stored).unwrap()
}

async fn record() -> Vec<Recorded> {
    let world = World::new(OPERATOR, "gitops-states").await.unwrap();
    let mut recorded = Vec::new();
    let mut seen = BTreeSet::new();
    for reason in Reason::ALL {
        for (n, (facts, wanted)) in ways(*reason).into_iter().enumerate() {
            let name = format!("{}-{n}", reason.as_str().to_lowercase());
            let object = store(&world, &name, &facts).await;
            assert_eq!(object["status"]["reason"], reason.as_str(), "{facts:?}");
            seen.insert(reason.as_str());
            recorded.push(Recorded {
                what: name,
                object,
                wanted,
            });
        }
    }
    assert_eq!(seen.len(), Reason::ALL.len());
    // Not seen by any operator: the default of the schema must not pass for done.
    let new = Migration::new("unseen", "8613800001234");
    let object = serde_json::to_value(world.create(&new).await.unwrap()).unwrap();
    recorded.push(Recorded {
        what: "unseen".into(),
        object,
        wanted: Kstatus::InProgress,
    });
    // Edited since the operator looked: what it said then is not true of now.
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
