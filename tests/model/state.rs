//! A state of the model: the store of the API server, the processes, the requests under way, the
//! cloud.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use phone_migration_operator::crd::PhoneMigration;
use phone_migration_operator::fact::{Fact, Told};
use phone_migration_operator::reads::{Purpose, ReadResult};
use phone_migration_operator::reason::Outcome;
use phone_migration_operator::record::Owned;
use phone_migration_operator::visits::ReadLog;

/// What the cloud, or the transport, says to a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reply {
    Accepted,
    Refused,
    AlreadyVerified,
    Throttled,
    Credentials,
    Account,
    Expired,
    NonceUsed,
    ServerFailure,
    Timeout,
    Gate,
}

/// An attempt that a process has signed.
#[derive(Clone, Debug)]
pub struct Mine {
    pub owned: Owned,
    /// After how many rotations the code was read.
    pub rotation: u8,
    /// The tick of its signature.
    pub signed: i64,
}

/// The one task that a process runs for the resource.
#[derive(Clone, Debug)]
pub enum Task {
    Idle,
    /// A decision's fact is about to be written.
    Say {
        held: Arc<PhoneMigration>,
        fact: Fact,
        then: Option<Purpose>,
    },
    /// The read that comes after what was just said.
    Due {
        purpose: Purpose,
    },
    /// The number's status is about to be read before a first attempt.
    Look {
        held: Arc<PhoneMigration>,
        number: i32,
        rotation: u8,
    },
    /// Signed; the claim is about to be written.
    Claim {
        held: Arc<PhoneMigration>,
        fact: Fact,
        mine: Mine,
    },
    /// The reply to the claim's write was lost.
    Doubt {
        mine: Mine,
    },
    /// Claimed; before the gate.
    Gate {
        held: Arc<PhoneMigration>,
        mine: Mine,
    },
    /// Sent; the reply is there once it came.
    Sent {
        held: Arc<PhoneMigration>,
        mine: Mine,
        reply: Option<Reply>,
    },
    /// An outcome is about to be recorded; `make_up`: without its read.
    Record {
        held: Arc<PhoneMigration>,
        owned: Owned,
        fact: Fact,
        make_up: bool,
    },
    /// The number's status was read; its meaning is about to be written.
    Observed {
        held: Arc<PhoneMigration>,
        purpose: Purpose,
        result: ReadResult,
    },
}

/// What was done to the memory of spent codes, in order; replayed into the production one.
#[derive(Clone, Debug)]
pub enum Memory {
    /// The gate opened.
    Began { mine: Mine, at: i64 },
    /// The answer made this of the attempt.
    Concluded { mine: Mine, fact: Fact, told: Told },
    /// An observation was recorded.
    Ended { id: String, outcome: Outcome },
}

/// One process.
#[derive(Clone, Debug)]
pub struct Replica {
    pub task: Task,
    pub memory: Vec<Memory>,
    /// Claims that were written and certainly never sent.
    pub never_sent: Vec<String>,
    pub reads: ReadLog,
}

/// A copy of a request on its way.
#[derive(Clone, Debug)]
pub struct Request {
    pub id: String,
    pub code: usize,
    pub signed: i64,
    /// There was, or is, another copy.
    pub repeated: bool,
}

/// What the cloud did with a code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    pub times: u8,
    pub accepted: bool,
}

/// The cloud.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Nonces, and when each was noted.
    pub nonces: Vec<(String, i64)>,
    pub codes: [Executed; 2],
    /// Since when the number is verified.
    pub verified: Option<i64>,
}

/// What must never happen and cannot be seen in a single state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// A send without an open claim of its id in the store.
    pub unclaimed_send: bool,
    /// An execution after its attempt was recorded as over.
    pub late_execution: bool,
    /// An open claim was overwritten by another one.
    pub forgotten_claim: bool,
    /// An attempt number, a spent code or a definite outcome went back.
    pub moved_back: bool,
}

#[derive(Clone)]
pub struct State {
    pub tick: i64,
    /// The resource as stored.
    pub store: Arc<PhoneMigration>,
    /// As it was stored before.
    pub before: Arc<PhoneMigration>,
    pub version: u64,
    /// A status write under way whose writer no longer waits for it.
    pub late_write: Option<Arc<PhoneMigration>>,
    /// How often the Secret was rotated.
    pub rotation: u8,
    pub replicas: Vec<Replica>,
    pub wire: Vec<Request>,
    pub service: Service,
    /// Faults that may still happen.
    pub faults: u8,
    pub wipes: u8,
    /// Attempts signed so far.
    pub serial: u64,
    pub seen: Seen,
    /// What tells this state from another one (`key.rs`).
    pub key: Vec<u8>,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(&self.key);
    }
}

/// For counterexamples: what a person needs to follow one.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.store.status.clone().unwrap_or_default();
        let attempt = status.attempt.as_ref();
        write!(
            f,
            "tick {} rotation {} reason {:?} attempt {:?} history {} wire {:?} codes {:?} verified {:?} {:?}",
            self.tick,
            self.rotation,
            status.reason,
            attempt.map(|a| (&a.id[30..], a.number, a.outcome)),
            status.history.len(),
            self.wire.iter().map(|r| &r.id[30..]).collect::<Vec<_>>(),
            self.service.codes,
            self.service.verified,
            self.seen,
        )?;
        for replica in &self.replicas {
            let task = format!("{:?}", replica.task);
            let word = task.split([' ', '{']).next().unwrap_or_default();
            write!(f, " | {word}")?;
        }
        Ok(())
    }
}

impl State {
    /// Whether a user took the status away.
    pub fn wipes_happened(&self) -> bool {
        self.store.metadata.uid.as_deref() != Some("uid-0")
    }
}
