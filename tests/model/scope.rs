//! What a run of the model covers: its bounds, what it assumes of the cloud, and which protection
//! is taken away.

/// Something that goes wrong. Every one costs one of the scope's faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A process is killed and started again with an empty memory.
    Crash,
    /// The reply to a submission does not come before the caller's deadline.
    LostReply,
    /// A request never arrives.
    LostRequest,
    /// Something on the way repeats a request; the caller sees one of the two replies.
    Repeated,
    /// The service throttles a request.
    Throttle,
    /// The service refuses the credentials, the account or the clock.
    Block,
    /// The service reports its own failure, whether or not it executed the call.
    ServerFailure,
    /// A status write is stored, and its reply is lost.
    LostWrite,
    /// A status write has no reply, and is stored later or never.
    LateWrite,
    /// A GET of the resource shows the version before the current one.
    StaleRead,
    /// A status read fails.
    FailedRead,
    /// The gate does not open: no slot, or the process stops or no longer leads.
    ShutGate,
}

/// When the gateway notes a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceOrder {
    /// Before it throttles or refuses the account: a second copy never gets further.
    First,
    /// Only when it lets the request through.
    AfterThrottle,
}

/// What the model takes for granted of the cloud. Times are ticks.
#[derive(Clone, Copy, Debug)]
pub struct Cloud {
    /// How long a nonce is remembered. Must be at least the validity (1) plus `behind`.
    pub retention: i64,
    /// When the gateway notes a nonce.
    pub order: NonceOrder,
    /// For less than how long a status read may show an older state.
    pub lag: i64,
    /// How far the service's clock is behind ours.
    pub behind: i64,
}

/// A cloud as documented.
pub const CLOUD: Cloud = Cloud {
    retention: 1,
    order: NonceOrder::First,
    lag: 2,
    behind: 0,
};

/// A protection that is taken away: the model bends what goes into, or comes out of, the
/// production functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A claim is stored whatever changed since the look.
    ConditionalClaim,
    /// The request is signed anew when it is sent.
    FrozenSignature,
    /// Nothing is asked at the socket.
    Gate,
    /// Any process releases an open claim that it has no task for.
    ReleaseBySignerOnly,
    /// A release is written over whatever attempt is there.
    ReleaseOfOwnId,
    /// A release is written over an outcome that is final.
    ReleaseOfOpenOnly,
    /// `SignatureNonceUsed` is taken for this answer.
    NonceUsedIsUnknown(Reading),
    /// An open claim of nobody is taken for one that was never sent.
    NoResubmissionOfOpen,
    /// A final unknown is taken for one that was never sent.
    NoResubmissionOfFinal,
    /// An unknown is final as soon as a read says "not verified".
    FinalAfterExpiry,
    /// Whether the signature expired is judged by our own clock.
    ServerClock,
    /// Only the last code is compared.
    WholeHistory,
    /// The process forgets what it sent.
    Memory,
    /// Nobody reads the number's status.
    Observation,
}

/// What `SignatureNonceUsed` is wrongly taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Success,
    Refusal,
    NotExecuted,
}

/// The bounds of a run.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Processes that act on the resource, all at once: no leader is elected.
    pub replicas: usize,
    /// How many faults may happen, in all.
    pub faults: u8,
    /// Which ones.
    pub kinds: Vec<Fault>,
    /// How often the Secret gets the other of the two codes.
    pub rotations: u8,
    /// How often the resource loses its status (deleted and recreated).
    pub wipes: u8,
    /// Whether a user asks for another look whenever the outcome is not known.
    pub asks: bool,
    /// spec.adoptIfVerified.
    pub adopt: bool,
    /// What is assumed of the cloud.
    pub cloud: Cloud,
    /// The protection taken away.
    pub without: Option<Removed>,
}

impl Scope {
    /// So many replicas and faults of these kinds, one code, wrong or right.
    pub fn new(replicas: usize, faults: u8, kinds: &[Fault]) -> Self {
        Self {
            replicas,
            faults,
            kinds: kinds.to_vec(),
            rotations: 0,
            wipes: 0,
            asks: false,
            adopt: false,
            cloud: CLOUD,
            without: None,
        }
    }

    pub fn rotations(self, rotations: u8) -> Self {
        Self { rotations, ..self }
    }

    pub fn wipes(self, wipes: u8) -> Self {
        Self { wipes, ..self }
    }

    pub fn adopting(self) -> Self {
        Self {
            adopt: true,
            ..self
        }
    }

    pub fn asking(self) -> Self {
        Self { asks: true, ..self }
    }

    pub fn cloud(self, cloud: Cloud) -> Self {
        Self { cloud, ..self }
    }

    pub fn without(self, removed: Removed) -> Self {
        Self {
            without: Some(removed),
            ..self
        }
    }

    /// Ages above this one, in ticks, make no difference: signatures are long over, every read
    /// that is due by then is due, and reads show what is so old.
    pub fn oldest(&self) -> i64 {
        (3 + self.cloud.behind).max(self.cloud.lag)
    }
}
