//! Client of Alibaba Cloud's Chat App Message Service (CAMS), as far as the operator needs it:
//! submit a code once, and read a number's verification status.
//!
//! [`Cams`] is what the rest of the operator calls. Below it, one concern each:
//!
//! - [`credentials`]: where the AccessKey comes from;
//! - [`endpoint`]: which hosts and addresses may be called (PURE);
//! - [`sign`]: RPC v1 and V3 signatures (PURE);
//! - [`wire`]: percent encoding and the reply (PURE);
//! - [`classify`]: what a reply means (PURE);
//! - [`scrub`]: secrets out of texts (PURE);
//! - [`client`]: the only HTTP user.
//!
//! Nothing here knows about Kubernetes, quotas or attempts, and nothing here retries.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::clock::Now;
use crate::secret::Secret;

pub mod classify;
pub mod client;
pub mod credentials;
pub mod endpoint;
pub mod scrub;
pub mod sign;
pub mod wire;

pub use classify::{
    Answer, BlockCause, NotSentCause, ReadFailure, Refusal, RefusalKind, StatusAnswer,
    StatusVerdict, UnknownCause, Verdict,
};
pub use client::{ClientError, ClientOptions, GateClosed, Permit, Timing};
pub use credentials::{CredentialSource, Credentials, CredentialsError};
pub use endpoint::{DEFAULT_ENDPOINT, Endpoint, EndpointError};
pub use scrub::mask_phone;
pub use sign::{SignatureVersion, SignedRequest};

use client::Client;
use credentials::CredentialStore;
use sign::Unsigned;

/// API version of every operation.
pub const VERSION: &str = "2020-06-06";

/// The operations that the operator calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Submits a code. Not idempotent.
    ChatappMigrationVerified,
    /// Reads a number's status.
    GetPhoneNumberVerificationStatus,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 2] = [
        Self::ChatappMigrationVerified,
        Self::GetPhoneNumberVerificationStatus,
    ];

    /// Name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChatappMigrationVerified => "ChatappMigrationVerified",
            Self::GetPhoneNumberVerificationStatus => "GetPhoneNumberVerificationStatus",
        }
    }
}

/// Which number of which customer.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Digits or `cams-…`.
    pub cust_space_id: &'a str,
    /// Digits with country code, no `+`.
    pub phone_number: &'a str,
}

/// What a [`Cams`] is made of.
pub struct CamsConfig {
    /// Where to call.
    pub endpoint: Endpoint,
    /// How to sign.
    pub signature: SignatureVersion,
    /// Whose key.
    pub credentials: CredentialSource,
    /// For tests.
    pub options: ClientOptions,
}

/// Why the API cannot be called at all; for the start of the process.
#[derive(Debug, thiserror::Error)]
pub enum CamsConfigError {
    /// No usable key.
    #[error("no CAMS credentials: {0}")]
    Credentials(#[from] CredentialsError),
    /// No HTTP client.
    #[error("no CAMS client: {0}")]
    Client(#[from] ClientError),
}

/// A finished call.
pub struct Call<A, T> {
    /// What came of it, its texts scrubbed.
    pub answer: A,
    /// What the gate returned, if it opened.
    pub admitted: Option<T>,
    /// When it was let through, written and answered.
    pub timing: Timing,
}

/// One account at one endpoint. Clones share everything.
#[derive(Clone)]
pub struct Cams(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    client: Client,
    signature: SignatureVersion,
    credentials: CredentialStore,
    server_clock: Mutex<Option<ServerClock>>,
}

/// The server's time beside ours when a reply arrived.
#[derive(Clone, Copy)]
struct ServerClock {
    date: Timestamp,
    at: Now,
}

impl Cams {
    /// Reads the credentials for the first time and builds the TLS configuration.
    ///
    /// # Errors
    /// When there are no usable credentials, or the options do not fit the endpoint.
    pub fn new(config: CamsConfig) -> Result<Self, CamsConfigError> {
        Ok(Self(Arc::new(Inner {
            client: Client::new(config.endpoint.clone(), config.options)?,
            endpoint: config.endpoint,
            signature: config.signature,
            credentials: CredentialStore::new(config.credentials)?,
            server_clock: Mutex::new(None),
        })))
    }

    /// Signs a submission, once. `nonce`: 128 random bits in hex, the attempt's id; `at`: the
    /// time of signing, cut to whole seconds.
    pub fn sign_verified(
        &self,
        target: Target<'_>,
        code: &Secret,
        nonce: &str,
        at: Timestamp,
    ) -> SignedRequest {
        self.sign(
            Action::ChatappMigrationVerified,
            target,
            Some(code),
            nonce,
            at,
        )
    }

    /// Signs a status read, once. `nonce`: 128 random bits in hex, of its own.
    pub fn sign_status(&self, target: Target<'_>, nonce: &str, at: Timestamp) -> SignedRequest {
        self.sign(
            Action::GetPhoneNumberVerificationStatus,
            target,
            None,
            nonce,
            at,
        )
    }

    fn sign(
        &self,
        action: Action,
        target: Target<'_>,
        code: Option<&Secret>,
        nonce: &str,
        at: Timestamp,
    ) -> SignedRequest {
        self.0.signature.signer().sign(&Unsigned {
            credentials: &self.credentials(),
            host: &self.0.endpoint.authority(),
            action,
            target,
            code,
            nonce,
            timestamp: at,
        })
    }

    fn credentials(&self) -> Arc<Credentials> {
        let current = self.0.credentials.current();
        if let Some(error) = current.reload_error {
            tracing::warn!(%error, "CAMS credentials not reloaded; the previous ones stay in use");
        }
        current.credentials
    }

    /// Sends a submission, once: connects, awaits `gate`, and sends only if it opens. `gate`
    /// runs in this task and is not called when no connection came about.
    ///
    /// The connection is held open while the gate waits, so it should answer within seconds.
    pub async fn submit<G, F, T>(&self, request: SignedRequest, gate: G) -> Call<Answer, T>
    where
        G: FnOnce() -> F,
        F: Future<Output = Result<T, GateClosed>>,
        T: Permit,
    {
        let subject = Arc::clone(&request.subject);
        let exchange = self.0.client.send(request, gate).await;
        let mut answer = classify::classify(exchange.sent, subject.phone_number.expose());
        subject.scrub_option(&mut answer.code);
        subject.scrub_option(&mut answer.message);
        subject.scrub_option(&mut answer.request_id);
        if let Verdict::Refused(refusal) = &mut answer.verdict {
            subject.scrub(&mut refusal.code);
        }
        self.note_date(answer.api_status, answer.date, exchange.timing);
        Call {
            answer,
            admitted: exchange.admitted,
            timing: exchange.timing,
        }
    }

    /// Reads a status, once; gated like a submission, since reads have a quota of their own.
    pub async fn read_status<G, F, T>(
        &self,
        request: SignedRequest,
        gate: G,
    ) -> Call<StatusAnswer, T>
    where
        G: FnOnce() -> F,
        F: Future<Output = Result<T, GateClosed>>,
        T: Permit,
    {
        let subject = Arc::clone(&request.subject);
        let exchange = self.0.client.send(request, gate).await;
        let mut answer = classify::classify_status(exchange.sent, subject.phone_number.expose());
        subject.scrub_option(&mut answer.code);
        subject.scrub_option(&mut answer.message);
        subject.scrub_option(&mut answer.request_id);
        match &mut answer.verdict {
            StatusVerdict::NotVerified { status } => subject.scrub(status),
            StatusVerdict::Failed(ReadFailure::Refused(refusal)) => {
                subject.scrub(&mut refusal.code);
            }
            StatusVerdict::Verified { .. }
            | StatusVerdict::Throttled { .. }
            | StatusVerdict::Blocked(_)
            | StatusVerdict::Failed(
                ReadFailure::NotSent(_) | ReadFailure::Unknown(_) | ReadFailure::NoStatus,
            ) => {}
        }
        self.note_date(answer.api_status, answer.date, exchange.timing);
        Call {
            answer,
            admitted: exchange.admitted,
            timing: exchange.timing,
        }
    }

    /// The AccessKey id in use: names the account in the identity (account, number).
    pub fn account_key(&self) -> String {
        self.credentials().access_key_id.clone()
    }

    /// How far the server's clock is ahead of ours (negative: behind), by its last reply in
    /// the API's shape; `None` before the first.
    ///
    /// The server's time is carried forward by the boot clock, so a step of our wall clock
    /// shows at once, and its correction too, without another reply. Good to about a second.
    pub fn clock_skew(&self, now: Now) -> Option<SignedDuration> {
        let known = (*self.server_clock())?;
        let passed = now.boot.saturating_sub(known.at.boot);
        let server = known.date.checked_add(passed).ok()?;
        Some(server.duration_since(now.wall))
    }

    fn note_date(&self, api_status: Option<u16>, date: Option<Timestamp>, timing: Timing) {
        // Only the API's own replies: a proxy's clock judges no signature.
        if let (Some(_), Some(date), Some(at)) = (api_status, date, timing.replied) {
            *self.server_clock() = Some(ServerClock { date, at });
        }
    }

    fn server_clock(&self) -> std::sync::MutexGuard<'_, Option<ServerClock>> {
        self.0
            .server_clock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
