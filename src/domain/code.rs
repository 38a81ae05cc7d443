//! The one-time code: cleaning, expiry and fingerprint. PURE.
//!
//! A plain or salted hash of six digits reveals the code: a million tries take half a second. So
//! status holds a fingerprint whose key is not in the resource.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::api::crd::SecretVersion;
use crate::hex::hex;
use crate::secret::Secret;

/// How many digits a code has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeDigits {
    least: u8,
    most: u8,
}

impl CodeDigits {
    /// Fewest digits that may be configured.
    pub const FEWEST: u8 = 4;
    /// Most digits that may be configured.
    pub const MOST: u8 = 8;

    /// From `least` to `most`; `None` if this is not a range within 4 to 8.
    pub fn new(least: u8, most: u8) -> Option<Self> {
        let fits = Self::FEWEST <= least && least <= most && most <= Self::MOST;
        fits.then_some(Self { least, most })
    }

    fn admits(self, digits: usize) -> bool {
        (usize::from(self.least)..=usize::from(self.most)).contains(&digits)
    }
}

/// Meta's codes have six digits.
impl Default for CodeDigits {
    fn default() -> Self {
        Self { least: 6, most: 6 }
    }
}

impl fmt::Display for CodeDigits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            write!(f, "{} digits", self.least)
        } else {
            write!(f, "{} to {} digits", self.least, self.most)
        }
    }
}

/// A Secret as read: its version, and only the two values that the operator uses.
pub struct SecretValues {
    /// Identity and version of the Secret.
    pub version: SecretVersion,
    /// Value under `verifyCodeSecretRef.key`, if the key is there.
    pub code: Option<Zeroizing<Vec<u8>>>,
    /// Value under `verifyCodeSecretRef.expiresAtKey`, if the key is there.
    pub expires_at: Option<Zeroizing<Vec<u8>>>,
}

/// Why the operator cannot send a Secret's content. It never describes the value itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidCode {
    /// Without white space and dashes, the value is not this many ASCII digits.
    NotDigits(CodeDigits),
    /// The expiry is not an RFC 3339 time.
    ExpiryNotATime,
}

/// A code that may be sent.
#[derive(Clone)]
pub struct Code {
    /// The digits; `None` in a copy that the operator keeps in memory.
    pub digits: Option<Secret>,
    /// When it expires, if the Secret says so.
    pub expires_at: Option<Timestamp>,
    /// Version of the Secret that holds it.
    pub secret: SecretVersion,
    /// Keyed fingerprint, as status stores it.
    pub fingerprint: String,
}

/// Result of reading the Secret.
#[derive(Clone)]
pub enum CodeReading {
    /// The Secret does not exist.
    SecretNotFound,
    /// The operator may not read it.
    SecretForbidden,
    /// The Secret lacks the key, or its value is empty.
    KeyNotFound,
    /// The value cannot be sent.
    Invalid(InvalidCode),
    /// A code.
    Usable(Code),
}

impl CodeReading {
    /// Cleans and checks the values of a Secret. `values`: `None` if the Secret does not exist.
    pub fn new(
        values: Option<SecretValues>,
        key: &FingerprintKey,
        account: &str,
        phone_number: &str,
        wanted: CodeDigits,
    ) -> Self {
        let Some(values) = values else {
            return CodeReading::SecretNotFound;
        };
        let Some(raw) = values.code.filter(|raw| !raw.trim_ascii().is_empty()) else {
            return CodeReading::KeyNotFound;
        };
        let Some(digits) = clean(&raw, wanted) else {
            return CodeReading::Invalid(InvalidCode::NotDigits(wanted));
        };
        let expires_at = match values.expires_at.as_deref().map(|v| parse_expiry(v)) {
            None => None,
            Some(Some(at)) => Some(at),
            Some(None) => return CodeReading::Invalid(InvalidCode::ExpiryNotATime),
        };
        let fingerprint = key.fingerprint(account, phone_number, &digits);
        CodeReading::Usable(Code {
            digits: Some(digits),
            expires_at,
            secret: values.version,
            fingerprint,
        })
    }

    /// The same reading without the digits, so that the operator may keep it in memory.
    pub fn without_digits(mut self) -> Self {
        if let CodeReading::Usable(code) = &mut self {
            code.digits = None;
        }
        self
    }

    /// The code, if it may be sent at `now`.
    pub fn usable_at(&self, now: Timestamp) -> Option<&Code> {
        match self {
            CodeReading::Usable(code) if !code.is_expired(now) => Some(code),
            CodeReading::Usable(_)
            | CodeReading::SecretNotFound
            | CodeReading::SecretForbidden
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

/// The ASCII digits of a code, without the white space and dashes that people and messages add. A
/// value with any other character is not a code and is never sent.
fn clean(raw: &[u8], wanted: CodeDigits) -> Option<Secret> {
    let text = std::str::from_utf8(raw).ok()?;
    // Allocated at full size: a buffer that grows leaves copies of the digits in memory.
    let mut digits = Zeroizing::new(String::with_capacity(usize::from(CodeDigits::MOST)));
    for c in text.chars().filter(|c| !c.is_whitespace() && !is_dash(*c)) {
        if !c.is_ascii_digit() || digits.len() == usize::from(CodeDigits::MOST) {
            return None;
        }
        digits.push(c);
    }
    wanted
        .admits(digits.len())
        .then(|| Secret::new(std::mem::take(&mut *digits)))
}

/// Hyphens, dashes and the minus sign.
fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{ad}' | '\u{2010}'
            ..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
    )
}

/// An RFC 3339 time. Surrounding white space is trimmed: `echo` adds a line break.
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
    /// Takes 32 random bytes. The identity is the first 8 hex digits of SHA-256 over a label and
    /// the key: it tells keys apart and reveals nothing about them.
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
    /// follows its length, so that two different triples never give the same input.
    pub fn fingerprint(&self, account: &str, phone_number: &str, digits: &Secret) -> String {
        // HMAC takes keys of any length, so this error cannot happen. The schema of the ledger
        // refuses an empty fingerprint, so its code would never be sent.
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

/// The first 16 hex digits of SHA-256 of a retryToken. Status lists handled tokens by it.
pub fn token_digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes())[..8])
}

/// Identity of the fingerprint's key: the part before the colon.
pub fn key_id(fingerprint: &str) -> Option<&str> {
    fingerprint.split_once(':').map(|(id, _)| id)
}

#[cfg(test)]
mod tests;
