//! A resource, its Secret, the ledger of its number and their surroundings, as values that a test
//! changes.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::api::code_ledger::{
    CodeLedger, CodeLedgerFields, CodeLedgerSpec, LedgerEntry, MigrationRef,
};
use phone_migration_operator::api::crd::{
    PhoneMigration, PhoneMigrationSpec, PhoneMigrationStatus, REQUESTED_AT, SecretVersion,
    VerifyCodeSecretRef,
};
use phone_migration_operator::api::reason::{Outcome, Reason};
use phone_migration_operator::clock::Now;
use phone_migration_operator::domain::code::{Code, CodeReading, FingerprintKey};
use phone_migration_operator::domain::decide::{Decision, Neighbour, Observed, TurnState, decide};
use phone_migration_operator::domain::fact::{Fact, HoldCause};
use phone_migration_operator::domain::ledger::{Ledger, import};
use phone_migration_operator::domain::reads::{Reads, final_at};
use phone_migration_operator::domain::status::{Stamp, apply};
use phone_migration_operator::secret::Secret;

pub const NUMBER: &str = "8613800001234";
pub const VALIDITY: Duration = Duration::from_secs(31 * 60);
/// The uid of the resource under decision, and of another one of the number.
pub const US: &str = "us";
pub const OTHER: &str = "other";

pub const ACCEPTED: Option<Outcome> = Some(Outcome::Accepted);
pub const FINAL: Option<Outcome> = Some(Outcome::UnknownFinal);
pub const NOT_SENT: Option<Outcome> = Some(Outcome::NotSent);
pub const REFUSED: Option<Outcome> = Some(Outcome::Refused);
pub const THROTTLED: Option<Outcome> = Some(Outcome::Throttled);
pub const UNKNOWN: Option<Outcome> = Some(Outcome::Unknown);

pub fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

pub fn ago(seconds: u64) -> Timestamp {
    now() - Duration::from_secs(seconds)
}

pub fn later(seconds: u64) -> Timestamp {
    now() + Duration::from_secs(seconds)
}

/// A moment by both clocks.
pub fn moment(seconds: u64) -> Now {
    Now {
        wall: later(seconds),
        boot: Duration::from_secs(1000 + seconds),
    }
}

/// A code of this key and Secret version.
pub fn code_of(key: u8, digits: &str, version: &str) -> Code {
    let digits = Secret::new(digits.to_owned());
    Code {
        fingerprint: FingerprintKey::new([key; 32]).fingerprint("default", NUMBER, &digits),
        digits: Some(digits),
        expires_at: None,
        secret: SecretVersion {
            uid: "secret".into(),
            resource_version: version.into(),
        },
    }
}

pub fn code(digits: &str) -> Code {
    code_of(1, digits, digits)
}

/// A code that expires at this time.
pub fn code_until(digits: &str, at: Timestamp) -> Code {
    Code {
        expires_at: Some(at),
        ..code(digits)
    }
}

pub fn object(status: Option<PhoneMigrationStatus>) -> PhoneMigration {
    let spec = PhoneMigrationSpec {
        cust_space_id: "29348393884".into(),
        phone_number: NUMBER.into(),
        verify_code_secret_ref: VerifyCodeSecretRef {
            name: "s".into(),
            key: "code".into(),
            expires_at_key: "expiresAt".into(),
        },
        suspend: false,
        retry_token: String::new(),
    };
    let mut object = PhoneMigration::new("store-42", spec);
    object.metadata.namespace = Some("tenant-a".into());
    object.metadata.uid = Some(US.into());
    object.metadata.generation = Some(1);
    object.status = status;
    object
}

/// A status that was seen, and handled the token "".
pub fn seen(reason: &str) -> PhoneMigrationStatus {
    PhoneMigrationStatus {
        observed_generation: Some(1),
        reason: Some(reason.into()),
        last_handled_retry_token: Some(String::new()),
        attempt_limit: Some(5),
        ..Default::default()
    }
}

/// The entry of this resource's attempt with this code, signed a minute ago.
pub fn entry(id: &str, code: &Code, outcome: Option<Outcome>) -> LedgerEntry {
    LedgerEntry {
        attempt_id: id.into(),
        fingerprint: code.fingerprint.clone(),
        signed_at: Time(ago(60)),
        final_at: Time(final_at(ago(60), VALIDITY)),
        cust_space_id: "29348393884".into(),
        migration: MigrationRef {
            namespace: "tenant-a".into(),
            name: "store-42".into(),
            uid: US.into(),
            generation: 1,
        },
        secret: Some(code.secret.clone()),
        imported: false,
        outcome,
        error_code: outcome.map(|_| format!("Error-{id}")),
        error_message: None,
        request_id: outcome.map(|_| format!("REQ-{id}")),
        id: None,
        finished_at: outcome.map(|_| Time(ago(50))),
    }
}

/// The same of another resource, in this namespace.
pub fn foreign(namespace: &str, entry: LedgerEntry) -> LedgerEntry {
    LedgerEntry {
        migration: MigrationRef {
            namespace: namespace.into(),
            name: "store-1".into(),
            uid: OTHER.into(),
            generation: 1,
        },
        ..entry
    }
}

/// The other watched resource of the number.
pub fn neighbour(namespace: &str) -> Neighbour {
    Neighbour {
        uid: OTHER.into(),
        namespace: namespace.into(),
        name: "store-1".into(),
        codes: Vec::new(),
    }
}

pub fn ledger(entries: Vec<LedgerEntry>) -> Ledger {
    Ledger {
        entries,
        ..Ledger::default()
    }
}

/// A ledger as the API server stores it.
pub fn stored(entries: Vec<LedgerEntry>) -> CodeLedger {
    let fields = CodeLedgerFields {
        spec: CodeLedgerSpec {
            phone_number: NUMBER.into(),
        },
        summary: Default::default(),
        entries,
        released: Vec::new(),
    };
    CodeLedger::new("ledger", fields)
}

/// Everything that a decision depends on.
#[derive(Clone)]
pub struct World {
    pub object: PhoneMigration,
    /// The stored ledger.
    pub ledger: Ledger,
    pub sent: Vec<LedgerEntry>,
    pub neighbours: Vec<Neighbour>,
    pub task_runs: bool,
    pub abandoned: bool,
    pub overdue: Option<String>,
    pub code: Option<CodeReading>,
    pub turn: TurnState,
    pub hold: Option<HoldCause>,
    pub held_since: Option<Timestamp>,
    pub braked: bool,
    pub reads: Reads,
    pub asked: bool,
    pub now: Timestamp,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.as_ref().map(|reading| match reading {
            CodeReading::Usable(code) => format!("{} {:?}", code.fingerprint, code.expires_at),
            CodeReading::SecretNotFound
            | CodeReading::SecretForbidden
            | CodeReading::KeyNotFound
            | CodeReading::Invalid(_) => "unusable".to_owned(),
        });
        f.debug_struct("World")
            .field("object", &self.object)
            .field("ledger", &self.ledger)
            .field("sent", &self.sent)
            .field("neighbours", &self.neighbours)
            .field("code", &code)
            .field("turn", &self.turn)
            .field("hold", &self.hold)
            .field("held_since", &self.held_since)
            .field("braked", &self.braked)
            .field("reads", &self.reads)
            .finish_non_exhaustive()
    }
}

/// The code 111111 was refused.
pub fn refused() -> World {
    World::rejected(vec![entry("a", &code("111111"), REFUSED)])
}

/// Nothing is known but that there was no Secret.
pub fn fresh() -> World {
    World::new("SecretNotFound", Vec::new())
}

impl World {
    /// A resource that was seen in this state, whose number has this ledger.
    pub fn new(reason: &str, entries: Vec<LedgerEntry>) -> Self {
        Self::of(Some(seen(reason)), ledger(entries))
    }

    pub fn of(status: Option<PhoneMigrationStatus>, ledger: Ledger) -> Self {
        Self {
            object: object(status),
            ledger,
            sent: Vec::new(),
            neighbours: Vec::new(),
            task_runs: false,
            abandoned: false,
            overdue: None,
            code: None,
            turn: TurnState::Granted,
            hold: None,
            held_since: None,
            braked: false,
            reads: Reads::none(now()),
            asked: false,
            now: now(),
        }
    }

    /// Codes of this resource were refused, which its status shows.
    pub fn rejected(entries: Vec<LedgerEntry>) -> Self {
        Self::new("CodeRejected", entries).with(|w| w.reads.done = 1)
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn code(self, code: &Code) -> Self {
        self.reading(CodeReading::Usable(code.clone()))
    }

    pub fn reading(self, reading: CodeReading) -> Self {
        self.with(|w| w.code = Some(reading))
    }

    pub fn turn(self, turn: TurnState) -> Self {
        self.with(|w| w.turn = turn)
    }

    /// A read said that the number is not verified.
    pub fn denied(self) -> Self {
        self.with(|w| w.reads.denied = true)
    }

    /// The user changes spec.retryToken.
    pub fn token(self, token: &str) -> Self {
        self.with(|w| {
            w.object.spec.retry_token = token.into();
            w.object.metadata.generation = w.object.metadata.generation.map(|g| g + 1);
        })
    }

    pub fn suspend(self, suspend: bool) -> Self {
        self.with(|w| {
            w.object.spec.suspend = suspend;
            w.object.metadata.generation = w.object.metadata.generation.map(|g| g + 1);
        })
    }

    pub fn request(self, value: &str) -> Self {
        self.with(|w| {
            let annotations = w.object.metadata.annotations.get_or_insert_default();
            annotations.insert(REQUESTED_AT.into(), value.into());
        })
    }

    /// The read for the user's request was not made yet.
    pub fn asked(self) -> Self {
        self.with(|w| w.asked = true)
    }

    pub fn status(&self) -> PhoneMigrationStatus {
        self.object.status.clone().unwrap_or_default()
    }

    pub fn change_status(self, change: impl FnOnce(&mut PhoneMigrationStatus)) -> Self {
        self.with(|w| change(w.object.status.get_or_insert_default()))
    }

    /// The ledger including the entries that only `sent` and status know.
    pub fn known(&self) -> Ledger {
        let object = Some(&self.object);
        import(self.ledger.clone(), &self.sent, object, VALIDITY, self.now)
    }

    pub fn decide(&self) -> Decision {
        let observed = Observed {
            object: &self.object,
            ledger: &self.known(),
            neighbours: &self.neighbours,
            task_runs: self.task_runs,
            abandoned: self.abandoned,
            overdue: self.overdue.as_deref(),
            code: self.code.as_ref(),
            turn: self.turn,
            hold: self.hold,
            held_since: self.held_since,
            braked: self.braked,
            reads: &self.reads,
            asked: self.asked,
        };
        decide(&observed, self.now)
    }

    /// The world after this decision is written.
    pub fn after(&self, decision: &Decision) -> Self {
        let Some(fact) = &decision.fact else {
            return self.clone();
        };
        let stamp = Stamp::of_reconcile(&self.object, decision.permit, self.now);
        let written = apply(&self.object, fact, &self.known(), &stamp);
        self.clone().with(|w| {
            w.object.status = written.or(w.object.status.take());
        })
    }

    /// The world after this fact is written.
    pub fn says(&self, fact: impl Into<Fact>) -> Self {
        let decision = self.decide();
        self.after(&Decision {
            fact: Some(fact.into()),
            permit: Default::default(),
            ..decision
        })
    }

    /// Decides, and writes the decision.
    pub fn step(&self) -> (Decision, Self) {
        let decision = self.decide();
        let after = self.after(&decision);
        (decision, after)
    }

    pub fn reason(&self) -> Reason {
        self.status().reason().expect("a state")
    }
}
