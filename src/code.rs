//! The one-time code: cleaning, expiry, fingerprint, and whether a code was spent before. PURE.
//!
//! A plain or salted hash of six digits *is* the code: a million tries take half a second. So
//! status holds a fingerprint that is keyed with bytes the resource does not have.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::crd::{Attempt, PhoneMigrationStatus, SecretVersion};
use crate::reason::Spent;
use crate::secret::Secret;

/// Fewest and most digits of a code that are ever sent.
const DIGITS: std::ops::RangeInclusive<usize> = 4..=8;

/// What a Secret holds for us, as read: no more than the two values we look at.
pub struct SecretValues {
    /// Identity and version of the Secret.
    pub version: SecretVersion,
    /// Value under `verifyCodeSecretRef.key`, if the key is there.
    pub code: Option<Zeroizing<Vec<u8>>>,
    /// Value under `verifyCodeSecretRef.expiresAtKey`, if the key is there.
    pub expires_at: Option<Zeroizing<Vec<u8>>>,
}

/// Why a Secret's content cannot be sent. The value itself is never described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidCode {
    /// Not 4 to 8 ASCII digits after trimming one trailing newline.
    NotDigits,
    /// The expiry is not an RFC 3339 time.
    ExpiryNotATime,
}

/// A code that may be sent.
#[derive(Clone)]
pub struct Code {
    /// The digits.
    pub digits: Secret,
    /// When it expires, if the Secret says so.
    pub expires_at: Option<Timestamp>,
    /// Version of the Secret it was read from.
    pub secret: SecretVersion,
    /// Keyed fingerprint, as status stores it.
    pub fingerprint: String,
}

/// What reading the Secret gave.
#[derive(Clone)]
pub enum CodeReading {
    /// No such Secret.
    SecretNotFound,
    /// The Secret lacks the key.
    KeyNotFound,
    /// The value cannot be sent.
    Invalid(InvalidCode),
    /// A code.
    Usable(Code),
}

impl CodeReading {
    /// Cleans and checks what a Secret holds. `None` stands for a Secret that does not exist.
    pub fn new(
        values: Option<SecretValues>,
        key: &FingerprintKey,
        account: &str,
        phone_number: &str,
    ) -> Self {
        let Some(values) = values else {
            return CodeReading::SecretNotFound;
        };
        let Some(raw) = values.code else {
            return CodeReading::KeyNotFound;
        };
        let Some(digits) = clean(&raw) else {
            return CodeReading::Invalid(InvalidCode::NotDigits);
        };
        let expires_at = match values.expires_at.as_deref().map(|v| parse_expiry(v)) {
            None => None,
            Some(Some(at)) => Some(at),
            Some(None) => return CodeReading::Invalid(InvalidCode::ExpiryNotATime),
        };
        let fingerprint = key.fingerprint(account, phone_number, &digits);
        CodeReading::Usable(Code {
            digits,
            expires_at,
            secret: values.version,
            fingerprint,
        })
    }

    /// The code, if it may be sent at `now`.
    pub fn usable_at(&self, now: Timestamp) -> Option<&Code> {
        match self {
            CodeReading::Usable(code) if !code.is_expired(now) => Some(code),
            CodeReading::Usable(_)
            | CodeReading::SecretNotFound
            | CodeReading::KeyNotFound
            | CodeReading::Invalid(_) => None,
        }
    }
}

impl Code {
    /// True from the moment of expiry on.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// 4 to 8 ASCII digits after trimming one trailing newline (LF or CRLF); anything else is not
/// a code and is never sent.
fn clean(raw: &[u8]) -> Option<Secret> {
    let body = raw
        .strip_suffix(b"\r\n")
        .or_else(|| raw.strip_suffix(b"\n"))
        .unwrap_or(raw);
    if !DIGITS.contains(&body.len()) || !body.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(Secret::new(std::str::from_utf8(body).ok()?.to_owned()))
}

/// An RFC 3339 time; surrounding white space is trimmed, since people use `echo`.
fn parse_expiry(raw: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(raw).ok()?.trim();
    if text.len() > 64 {
        return None;
    }
    text.parse().ok()
}

/// Key of the fingerprints, and its public identity.
#[derive(Clone)]
pub struct FingerprintKey {
    key: Zeroizing<[u8; 32]>,
    id: String,
}

impl FingerprintKey {
    /// Takes 32 random bytes. The identity is the first 8 hex digits of SHA-256 over a label
    /// and the key, which tells keys apart and nothing about the key.
    pub fn new(key: [u8; 32]) -> Self {
        let digest = Sha256::new()
            .chain_update(b"phonemigration.dev fingerprint key id")
            .chain_update(key)
            .finalize();
        Self {
            key: Zeroizing::new(key),
            id: hex(&digest[..4]),
        }
    }

    /// Identity of the key: 8 hex digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `keyId:HMAC-SHA256(key, account, phone number, code)`, the MAC cut to 128 bits. Each part
    /// is preceded by its length, so that no two triples give the same input.
    pub fn fingerprint(&self, account: &str, phone_number: &str, digits: &Secret) -> String {
        // HMAC takes keys of any length, so the error cannot happen; an empty fingerprint
        // would compare as "cannot tell", which never sends.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&*self.key) else {
            return String::new();
        };
        for part in [account, phone_number, digits.expose()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        format!("{}:{}", self.id, hex(&mac.finalize().into_bytes()[..16]))
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// Whether a code is one that this resource has spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// Spent before: never sent again.
    Same,
    /// Not spent by this resource.
    Different,
    /// Cannot be told: spent codes carry the fingerprint of another key, and the Secret moved.
    Unknown,
}

/// Compares a code with every code that status says was spent.
///
/// A Secret's resourceVersion also moves when a label changes, and an old value may be put back,
/// so an unmoved version proves "same" and a moved one proves nothing.
pub fn sameness(code: &Code, status: &PhoneMigrationStatus) -> Sameness {
    let spent = spent_fingerprints(status);
    if spent.is_empty() {
        return Sameness::Different;
    }
    if spent.contains(&Some(&code.fingerprint)) {
        return Sameness::Same;
    }
    let ours = key_id(&code.fingerprint);
    let comparable = |f: &Option<&String>| f.is_some_and(|f| ours.is_some() && ours == key_id(f));
    if spent.iter().all(comparable) {
        return Sameness::Different;
    }
    let last_secret = status
        .attempt
        .as_ref()
        .filter(|attempt| is_spent(attempt))
        .map(|attempt| &attempt.secret);
    if last_secret == Some(&code.secret) {
        Sameness::Same
    } else {
        Sameness::Unknown
    }
}

/// Fingerprints of spent codes: the history, and the attempt itself if it is spent. Danger: none
/// may hide another, whatever ids somebody wrote into status.
fn spent_fingerprints(status: &PhoneMigrationStatus) -> Vec<Option<&String>> {
    let history = status
        .history
        .iter()
        .map(|entry| entry.code_fingerprint.as_ref());
    let attempt = status
        .attempt
        .iter()
        .filter(|attempt| is_spent(attempt))
        .map(|attempt| attempt.code_fingerprint.as_ref());
    history.chain(attempt).collect()
}

/// True unless the attempt was released. An open one counts: its code may be in use.
fn is_spent(attempt: &Attempt) -> bool {
    match attempt
        .outcome
        .map_or(Spent::Open, |outcome| outcome.spent())
    {
        Spent::Released => false,
        Spent::Open | Spent::Spent | Spent::Verified => true,
    }
}

/// The part before the colon.
pub fn key_id(fingerprint: &str) -> Option<&str> {
    fingerprint.split_once(':').map(|(id, _)| id)
}

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;
