//! The ledger: every received request and its result. PURE.
//!
//! Test-only by nature: entries hold verification codes in clear, since the proof that no code was
//! executed twice needs them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::fault::{Drop, Fault};
use crate::rules::FaultId;
use crate::summary::Summary;

/// The action the simulator exists for.
pub const VERIFIED: &str = "ChatappMigrationVerified";
pub const READ_STATUS: &str = "GetPhoneNumberVerificationStatus";

/// The result of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// Still on its way.
    #[default]
    Pending,
    /// A check failed; not executed.
    Rejected,
    /// Over the quota, or in a throttle phase; not executed.
    Throttled,
    /// A fault answered in place of executing.
    Answered,
    /// A fault lost it before it was executed.
    Dropped,
    /// Executed: OK.
    Accepted,
    /// Executed: a business refusal, such as a wrong code.
    Refused,
}

/// How the reply left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Delivery {
    /// Not yet.
    #[default]
    Pending,
    /// Every byte was handed to the kernel.
    Complete,
    /// Head and half of the body, then lost.
    Half,
    /// Nothing: FIN.
    Closed,
    /// Nothing: RST.
    Reset,
    /// Nothing: silence.
    Blackholed,
    /// The client was gone.
    ClientGone,
}

impl From<Drop> for Delivery {
    fn from(how: Drop) -> Self {
        match how {
            Drop::Close => Self::Closed,
            Drop::Reset => Self::Reset,
            Drop::Blackhole => Self::Blackholed,
        }
    }
}

/// A fault that a request met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Met {
    /// The rule.
    pub id: FaultId,
    pub fault: Fault,
}

/// Which signature a request carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Algorithm {
    /// RPC v1, HMAC-SHA1 in the parameters.
    #[default]
    V1,
    /// V3, ACS3-HMAC-SHA256 in the `Authorization` header.
    V3,
}

/// One request. `delivery` and `replied_us` are set after the last byte went out, so a client may
/// have its reply a moment before the ledger shows it; all else is set before. Times ending in `Us`
/// are microseconds of the simulator's monotonic clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// 1, 2, 3 … in the order of arrival.
    pub seq: u64,
    /// When its header had been read.
    pub arrived_us: u64,
    /// The same moment by the wall clock, without the simulator's offset.
    pub arrived_at: Timestamp,
    /// Number of the connection, and of the request on it, both from 1.
    pub connection: u64,
    /// See `connection`.
    pub request_on_connection: u64,
    pub method: String,
    pub algorithm: Algorithm,
    /// Whether the signature was right; null: not checked.
    pub signature_ok: Option<bool>,
    /// The account of the key, if the key is known.
    pub account: Option<String>,
    pub key_id: Option<String>,
    /// `Action`, empty if there is none.
    pub action: String,
    /// Number, country code included.
    pub phone: Option<String>,
    pub cust_space_id: Option<String>,
    /// `VerifyCode`, in clear.
    pub code: Option<String>,
    /// `SignatureNonce`.
    pub nonce: Option<String>,
    /// `Signature`, in clear.
    pub signature: Option<String>,
    /// The signed time, as sent.
    pub timestamp: Option<String>,
    /// When the quota counted it: the arrival, plus jitter and delays before counting. Null: the
    /// quota check was not reached.
    pub counted_us: Option<u64>,
    pub executed_us: Option<u64>,
    pub decision: Decision,
    /// The faults it met, in order.
    pub faults: Vec<Met>,
    /// `RequestId` of the reply.
    pub request_id: String,
    /// HTTP status of the reply.
    pub reply_status: Option<u16>,
    /// `Code` of the reply, if it has the API's shape.
    pub reply_code: Option<String>,
    /// How the reply left.
    pub delivery: Delivery,
    /// When its last byte was handed to the kernel, or it was given up.
    pub replied_us: Option<u64>,
}

impl Entry {
    /// The parameters of a call; the rest is empty.
    pub(crate) fn of(call: &Call) -> Self {
        Self {
            method: call.method.clone(),
            algorithm: call.algorithm,
            key_id: call.key_id.clone(),
            action: call.action.clone(),
            cust_space_id: call.param("CustSpaceId"),
            code: call.param("VerifyCode"),
            nonce: call.nonce.clone(),
            signature: call.signature.clone(),
            timestamp: call.timestamp.clone(),
            ..Self::default()
        }
    }

    /// Executed, whether accepted or refused.
    pub fn executed(&self) -> bool {
        self.executed_us.is_some()
    }

    /// Counted and let through by the quota.
    pub fn admitted(&self) -> bool {
        self.counted_us.is_some() && self.decision != Decision::Throttled
    }
}

/// All entries.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<u64, Entry>,
    last_seq: u64,
}

impl Ledger {
    /// Adds an entry, which gets its number here.
    pub fn add(&mut self, mut entry: Entry) -> u64 {
        self.last_seq += 1;
        entry.seq = self.last_seq;
        self.entries.insert(self.last_seq, entry);
        self.last_seq
    }

    /// Changes an entry, unless the ledger was cleared meanwhile.
    pub fn update(&mut self, seq: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(&seq) {
            change(entry);
        }
    }

    /// The entries after a number (0: all), ascending.
    pub fn since(&self, seq: u64) -> Vec<Entry> {
        self.entries
            .range(seq.saturating_add(1)..)
            .map(|(_, entry)| entry.clone())
            .collect()
    }

    /// The first entry that fits.
    pub fn find(&self, fits: impl Fn(&Entry) -> bool) -> Option<Entry> {
        self.entries.values().find(|entry| fits(entry)).cloned()
    }

    /// How many calls of an action were accepted; far cheaper than [`Ledger::summary`].
    pub fn accepted(&self, action: &str) -> usize {
        let accepted =
            |entry: &&Entry| entry.action == action && entry.decision == Decision::Accepted;
        self.entries.values().filter(accepted).count()
    }

    /// Forgets all entries; numbers go on.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    pub fn summary(&self) -> Summary {
        Summary::of(self.entries.values())
    }
}
