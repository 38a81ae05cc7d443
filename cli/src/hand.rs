//! The writes of a hand-in: first the whole Secret in one request, then the annotation that makes
//! the operator reconcile at once. In this order, the reconcile that answers the annotation saw the
//! code.

use std::time::Duration;

use jiff::Timestamp;
use phone_migration_api::crd::PhoneMigration;
use phone_migration_api::reason::Reason;

use crate::cluster::secret::Draft;
use crate::cluster::{ApiError, Cluster, Key};
use crate::digits::Digits;
use crate::exit::{Exit, Failure};
use crate::owners::{owner_of_secret, with_product};
use crate::state;
use crate::text::clean;
use crate::tracker::HandIn;

/// The expiry of a code that is handed in now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// This long after now.
    In(Duration),
    /// The expiry is unknown.
    Never,
}

impl Expiry {
    /// The time, in whole seconds.
    pub fn after(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Expiry::In(ttl) => {
                let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
                let at = now.as_second().saturating_add(seconds);
                Timestamp::from_second(at).ok()
            }
            Expiry::Never => None,
        }
    }
}

/// Why a code for this resource would be wasted; `None` if it would not. Checked before the user
/// types it.
pub fn refusal(object: &PhoneMigration) -> Option<Failure> {
    let key = Key::of(object);
    if object.metadata.deletion_timestamp.is_some() {
        return Some(Failure::person(format!("{key} is being deleted")));
    }
    let status = object.status.as_ref();
    match state::reason(object)? {
        Reason::Verified => {
            let id = status.and_then(|status| status.id.as_deref());
            let id = id.map_or_else(|| "its Id is being read".to_owned(), clean);
            Some(Failure {
                exit: Exit::Done,
                message: format!("{key} is verified already ({id}): nothing was handed in"),
            })
        }
        Reason::OutcomeUnknown if !state::is_stalled(object) => {
            let until = status.and_then(|status| status.next_attempt_at.as_ref());
            let until = until.map_or_else(|| "later".to_owned(), |at| at.0.to_string());
            Some(Failure {
                exit: Exit::Unknown,
                message: format!(
                    "{key}: the outcome of an earlier code is not known, and no code is submitted \
                     before {until}. Nothing was handed in: request a new code then"
                ),
            })
        }
        Reason::OutcomeUnknown
        | Reason::SecretNotFound
        | Reason::SecretForbidden
        | Reason::KeyNotFound
        | Reason::InvalidCode
        | Reason::CodeExpired
        | Reason::Queued
        | Reason::CodeRejected
        | Reason::RequestRejected
        | Reason::AttemptsExhausted
        | Reason::CredentialsInvalid
        | Reason::AccountError
        | Reason::ClockSkew
        | Reason::Throttled
        | Reason::LedgerUnreadable
        | Reason::CodeUnknown
        | Reason::DuplicatePhoneNumber
        | Reason::Suspended => None,
    }
}

/// Hands in a code. Danger: do not cancel it, or the operator learns of the code later.
///
/// # Errors
/// When another tool owns the Secret, or the API server refuses. No object is half written.
pub async fn hand_in(
    cluster: &Cluster,
    object: &PhoneMigration,
    digits: &Digits,
    expires_at: Option<Timestamp>,
    force: bool,
) -> Result<HandIn, Failure> {
    let key = Key::of(object);
    let reference = &object.spec.verify_code_secret_ref;
    let place = format!("Secret {}/{}", key.namespace, clean(&reference.name));
    let failed = |error: ApiError| error.without(digits.expose()).while_(&place);
    let old = cluster
        .secret(&key.namespace, &reference.name)
        .await
        .map_err(failed)?;
    if let Some(old) = &old {
        if old.immutable == Some(true) {
            return Err(Failure::person(format!(
                "{place} is immutable: delete it, and hand the code in again"
            )));
        }
        let owner = owner_of_secret(&old.metadata, &reference.key).filter(|_| !force);
        if let Some(owner) = owner {
            return Err(Failure::person(format!(
                "{place} belongs to {}, which would put its own value back: hand the code in there, \
                 or use --force",
                with_product(&owner)
            )));
        }
    }
    let draft = Draft::new(reference, &key.namespace, digits, expires_at, old);
    let secret = cluster.put_secret(&draft).await.map_err(failed)?;
    let request = new_request();
    let asked = cluster.request_look(&key, &request).await;
    asked.map_err(|error| {
        error.while_(&format!(
            "the code is in {place}, and the operator finds it within minutes; but {key} could not \
             be annotated"
        ))
    })?;
    Ok(HandIn { secret, request })
}

/// A value of the annotation requestedAt that was never used.
pub fn new_request() -> String {
    format!("{}-{}", Timestamp::now(), std::process::id())
}
