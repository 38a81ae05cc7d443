//! A resource, its Secret and their surroundings, as values that a test bends.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use phone_migration_operator::code::{Code, CodeReading, FingerprintKey};
use phone_migration_operator::crd::{
    Attempt, PhoneMigration, PhoneMigrationSpec, PhoneMigrationStatus, REQUESTED_AT, SecretVersion,
    SpentCode, VerifyCodeSecretRef,
};
use phone_migration_operator::decide::{
    Decision, Elsewhere, Observed, Owner, TurnState, decide, is_open, requested,
};
use phone_migration_operator::fact::{Fact, HoldCause};
use phone_migration_operator::reads::Reads;
use phone_migration_operator::reason::Outcome;
use phone_migration_operator::secret::Secret;
use phone_migration_operator::status::{Look, apply};

pub const NUMBER: &str = "8613800001234";
pub const VALIDITY: Duration = Duration::from_secs(31 * 60);

pub fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

pub fn ago(seconds: u64) -> Timestamp {
    now() - Duration::from_secs(seconds)
}

pub fn later(seconds: u64) -> Timestamp {
    now() + Duration::from_secs(seconds)
}

/// A code of this key and Secret version.
pub fn code_of(key: u8, digits: &str, version: &str) -> Code {
    let digits = Secret::new(digits.to_owned());
    Code {
        fingerprint: FingerprintKey::new([key; 32]).fingerprint("default", NUMBER, &digits),
        digits,
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

pub fn object(status: PhoneMigrationStatus) -> PhoneMigration {
    let spec = PhoneMigrationSpec {
        cust_space_id: "29348393884".into(),
        phone_number: NUMBER.into(),
        verify_code_secret_ref: VerifyCodeSecretRef {
            name: "s".into(),
            key: "code".into(),
            expires_at_key: "expiresAt".into(),
        },
        adopt_if_verified: true,
        suspend: false,
        retry_token: String::new(),
    };
    let mut object = PhoneMigration::new("store-42", spec);
    object.metadata.namespace = Some("tenant-a".into());
    object.metadata.uid = Some("uid".into());
    object.metadata.generation = Some(1);
    object.status = Some(status);
    object
}

pub fn attempt(number: i32, code: &Code, outcome: Option<Outcome>) -> Attempt {
    Attempt {
        number,
        id: format!("attempt{number}"),
        signed_at: Time(ago(60)),
        secret: code.secret.clone(),
        code_fingerprint: Some(code.fingerprint.clone()),
        generation: 1,
        outcome,
        finished_at: outcome.map(|_| Time(ago(50))),
    }
}

pub fn entry(number: i32, code: &Code, outcome: Outcome) -> SpentCode {
    SpentCode {
        number,
        attempt_id: format!("attempt{number}"),
        code_fingerprint: Some(code.fingerprint.clone()),
        outcome,
        error_code: Some(format!("Error{number}")),
        request_id: Some(format!("REQ-{number}")),
        finished_at: Time(ago(50)),
    }
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

/// An attempt with this code is open, or ended without a word about its code.
pub fn tried(reason: &str, number: i32, code: &Code, outcome: Option<Outcome>) -> World {
    World::new(PhoneMigrationStatus {
        attempt: Some(attempt(number, code, outcome)),
        ..seen(reason)
    })
}

/// These codes were spent, the last one so.
pub fn spent(reason: &str, codes: &[&Code], outcome: Outcome) -> World {
    let number = i32::try_from(codes.len()).unwrap();
    let mut status = seen(reason);
    for (n, code) in (1..).zip(codes) {
        let ended = if n == number {
            outcome
        } else {
            Outcome::Refused
        };
        status.history.insert(0, entry(n, code, ended));
        status.attempt = Some(attempt(n, code, Some(ended)));
    }
    status.error_code = Some(format!("Error{number}"));
    status.request_id = Some(format!("REQ-{number}"));
    World::new(status)
}

/// Everything that a decision depends on.
#[derive(Clone)]
pub struct World {
    pub object: PhoneMigration,
    pub code: Option<CodeReading>,
    pub owner: Owner,
    pub elsewhere: Option<Elsewhere>,
    pub turn: TurnState,
    pub hold: Option<HoldCause>,
    pub reads: Reads,
    pub now: Timestamp,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.as_ref().map(|reading| match reading {
            CodeReading::Usable(code) => format!("{} {:?}", code.fingerprint, code.expires_at),
            CodeReading::SecretNotFound | CodeReading::KeyNotFound | CodeReading::Invalid(_) => {
                "unusable".to_owned()
            }
        });
        f.debug_struct("World")
            .field("object", &self.object)
            .field("code", &code)
            .field("owner", &self.owner)
            .field("elsewhere", &self.elsewhere)
            .field("turn", &self.turn)
            .field("hold", &self.hold)
            .field("reads", &self.reads)
            .finish()
    }
}

impl World {
    pub fn new(status: PhoneMigrationStatus) -> Self {
        Self {
            object: object(status),
            code: None,
            owner: Owner::Us,
            elsewhere: None,
            turn: TurnState::Granted,
            hold: None,
            reads: Reads::none(now()),
            now: now(),
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn code(self, code: &Code) -> Self {
        self.with(|w| w.code = Some(CodeReading::Usable(code.clone())))
    }

    pub fn reading(self, reading: CodeReading) -> Self {
        self.with(|w| w.code = Some(reading))
    }

    pub fn turn(self, turn: TurnState) -> Self {
        self.with(|w| w.turn = turn)
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

    pub fn status(&self) -> &PhoneMigrationStatus {
        self.object.status.as_ref().unwrap()
    }

    pub fn decide(&self) -> Decision {
        let observed = Observed {
            object: &self.object,
            code: self.code.as_ref(),
            owner: self.owner.clone(),
            elsewhere: self.elsewhere.clone(),
            turn: self.turn,
            hold: self.hold,
            reads: &self.reads,
            validity: VALIDITY,
        };
        decide(&observed, self.now)
    }

    /// The circumstances that the driver gives to a look.
    pub fn look(&self) -> Look {
        Look {
            generation: self.object.metadata.generation.unwrap(),
            now: self.now,
            retry_token: (!is_open(self.status())).then(|| self.object.spec.retry_token.clone()),
            requested_at: requested(&self.object, self.status()),
        }
    }

    /// The world after this fact is written.
    pub fn after(&self, fact: &Fact) -> Self {
        let status = apply(self.status(), fact, &self.look());
        self.clone().with(|w| w.object.status = Some(status))
    }

    /// Decides, and writes what the decision says.
    pub fn step(&self) -> (Decision, Self) {
        let decision = self.decide();
        let after = decision
            .fact
            .as_ref()
            .map_or_else(|| self.clone(), |fact| self.after(fact));
        (decision, after)
    }

    pub fn reason(&self) -> &str {
        self.status().reason.as_deref().unwrap_or_default()
    }
}
