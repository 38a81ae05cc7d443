//! The scope of a run of the model: its bounds, and the protection that is taken away.

/// A fault. Each one costs one of the scope's faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A process is killed and started again with an empty memory.
    Crash,
    /// The reply to a submission does not come before the caller's deadline.
    LostReply,
    /// A request never arrives.
    LostRequest,
    /// A component on the way repeats a request; the caller gets one of the two replies.
    Repeated,
    /// The service throttles a request.
    Throttle,
    /// The service refuses the credentials.
    Block,
    /// A claim is stored, and its reply is lost.
    LostWrite,
    /// A write to the ledger has no reply, and is stored later or never.
    LateWrite,
    /// The same for a status write.
    LateStatus,
    /// The ledger cannot be written for 10 s, so that status shows an outcome first.
    SlowLedger,
    /// A status read fails.
    FailedRead,
    /// The gate does not open: no slot, or the process stops or no longer leads.
    ShutGate,
    /// The ledger is deleted.
    Delete,
    /// The ledger is restored from a snapshot, with the resourceVersion that it had then.
    RestoreOlder,
    /// The same, with a new resourceVersion.
    RestoreNewer,
    /// A status is wiped.
    Wipe,
    /// A status is restored from a snapshot.
    RestoreStatus,
    /// A resource is deleted and created again.
    Recreate,
}

/// A protection that is taken away: the model changes the inputs or outputs of the production
/// functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A status keeps attempts that the ledger does not have (step 10).
    Evidence,
    /// The memory of this process is written into a restored ledger (steps 6 and 11).
    PutBack,
    /// A write replaces only the version that the decision was based on.
    Cas,
    /// Only the signer releases.
    ReleaseBySigner,
    /// An unknown is final only by the service's `Date`.
    FinalByDate,
    /// An unknown is final only by the operator's own clock.
    OwnClock,
    /// The process remembers the attempts that it sent.
    Sent,
    /// Sent attempts are imported, and swept.
    SentImport,
    /// A status is imported.
    Import,
    /// Ids of released attempts are kept.
    Released,
    /// Every entry is compared, not only the newest.
    WholeHistory,
    /// An entry of another key blocks.
    OtherKey,
    /// An outcome whose entry is gone is put back; removing this also removes the import of `sent`.
    ReRecord,
    /// The status is read again after a ledger was created.
    StatusAfterPost,
    /// A code that another resource's status shows as spent is forbidden.
    ShownElsewhere,
    /// The gate checks the signature's age at the socket.
    Gate,
    /// A request that was repeated is executed once (an assumption about the service).
    Nonces,
}

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Active processes at the same time: no leader is elected.
    pub replicas: u8,
    /// The code that each resource's Secret holds.
    pub codes: Vec<u8>,
    /// How many faults may happen, in all.
    pub faults: u8,
    /// Their kinds.
    pub kinds: Vec<Fault>,
    /// How often a Secret gets the other of the two codes.
    pub rotations: u8,
    /// Whether the processes have different fingerprint keys.
    pub keys: bool,
    /// How far, in ticks, the clock of the gateway that executes is behind the operator's.
    pub behind: u8,
    /// How far, in ticks, the clock of the gateway that answers reads is ahead of the operator's.
    pub ahead: u8,
    /// The protection taken away.
    pub without: Option<Removed>,
}

impl Scope {
    /// So many replicas, resources with these codes, and faults of these kinds.
    pub fn new(replicas: u8, codes: &[u8], faults: u8, kinds: &[Fault]) -> Self {
        Self {
            replicas,
            codes: codes.to_vec(),
            faults,
            kinds: kinds.to_vec(),
            rotations: 0,
            keys: false,
            behind: 0,
            ahead: 0,
            without: None,
        }
    }

    pub fn rotations(self, rotations: u8) -> Self {
        Self { rotations, ..self }
    }

    pub fn keys(self) -> Self {
        Self { keys: true, ..self }
    }

    pub fn behind(self, behind: u8) -> Self {
        Self { behind, ..self }
    }

    pub fn ahead(self, ahead: u8) -> Self {
        Self { ahead, ..self }
    }

    pub fn without(self, removed: Removed) -> Self {
        Self {
            without: Some(removed),
            ..self
        }
    }

    /// A higher age, in ticks, makes no difference.
    pub fn oldest(&self) -> u8 {
        3 + self.behind
    }

    pub fn restores(&self) -> bool {
        use Fault::{RestoreNewer, RestoreOlder, RestoreStatus};
        let restores = [RestoreOlder, RestoreNewer, RestoreStatus];
        self.kinds.iter().any(|kind| restores.contains(kind))
    }

    /// Whether the ledger itself can be lost.
    pub fn loses(&self) -> bool {
        use Fault::{Delete, RestoreNewer, RestoreOlder};
        let losses = [Delete, RestoreOlder, RestoreNewer];
        self.kinds.iter().any(|kind| losses.contains(kind))
    }
}
