//! Client of Alibaba Cloud's Chat App Message Service (CAMS). It covers what the operator needs:
//! submit a code once, and read a number's verification status.
//!
//! The rest of the operator calls [`Cams`]. The modules below it have one concern each:
//!
//! - [`credentials`]: sources of the AccessKey;
//! - [`sts`]: temporary keys in exchange for an identity;
//! - [`endpoint`]: allowed hosts and addresses (PURE);
//! - [`sign`]: RPC v1 and V3 signatures (PURE);
//! - [`wire`]: percent encoding and the reply (PURE);
//! - [`classify`]: classification of a reply (PURE);
//! - [`server_clock`]: decides which `Date` to believe (PURE);
//! - [`scrub`]: removes secrets from texts (PURE);
//! - [`client`]: the HTTP client of CAMS; STS has its own.
//!
//! No module here knows about Kubernetes, quotas or attempts, and none retries.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{self, BootTime, Now};
use crate::secret::Secret;

pub mod classify;
pub mod client;
pub mod credentials;
pub mod endpoint;
pub mod scrub;
pub mod server_clock;
pub mod sign;
pub mod sts;
pub mod wire;

pub use classify::{
    Answer, BlockCause, NotSentCause, NumberStatus, Refusal, RefusalKind, StatusAnswer,
    UnknownCause, Verdict, VerifiedNumber,
};
pub use client::{ClientError, ClientOptions, GateClosed, Permit, Timing};
pub use credentials::{CredentialSource, Credentials, CredentialsError, KeySource};
pub use endpoint::{DEFAULT_ENDPOINT, Destination, Endpoint, EndpointError};
pub use scrub::mask_phone;
pub use server_clock::MOST_SKEW;
pub use sign::{SignatureVersion, SignedRequest};
pub use sts::SignIn;

use classify::Sent;
use client::Client;
use credentials::Keys;
use server_clock::ServerClock;
use sign::Unsigned;

/// API version of every operation.
pub const VERSION: &str = "2020-06-06";

/// Time from the opened gate to the end of the reply.
///
/// Danger: the pacer relies on it. A call without a reply counts as arrived at this time after its
/// send, so a client that waited longer could exceed the quota.
pub const REPLY_DEADLINE: Duration = Duration::from_secs(10);

/// The word in place of a `Code` when the operator does not call CAMS because it has no key to sign
/// with. It is API: never rename it.
pub const NOT_SIGNED_IN: &str = "NotSignedIn";

/// The operations that the operator calls. CAMS counts each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// A number of a customer.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Digits or `cams-…`.
    pub cust_space_id: &'a str,
    /// Digits with country code, no `+`.
    pub phone_number: &'a str,
}

/// Parameters of [`Cams::new`].
pub struct CamsConfig {
    /// The endpoint to call.
    pub endpoint: Endpoint,
    /// The signature algorithm.
    pub signature: SignatureVersion,
    /// The source of the key.
    pub credentials: KeySource,
    /// Extra roots, for tests.
    pub options: ClientOptions,
}

/// Why the operator cannot call the API at all; reported at the start of the process.
#[derive(Debug, thiserror::Error)]
pub enum CamsConfigError {
    /// There is no usable key.
    #[error("no CAMS credentials: {0}")]
    Credentials(#[from] CredentialsError),
    /// The HTTP client cannot be built.
    #[error("no CAMS client: {0}")]
    Client(#[from] ClientError),
}

/// A finished call.
pub struct Call<A, T> {
    /// Result of the call, with scrubbed texts.
    pub answer: A,
    /// The value that the gate returned, if it opened.
    pub admitted: Option<T>,
    /// When the gate opened, the request was written and the reply came.
    pub timing: Timing,
}

/// One account at one endpoint. Clones share everything.
#[derive(Clone)]
pub struct Cams(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    client: Client,
    signature: SignatureVersion,
    keys: Keys,
    server_clock: Mutex<ServerClock>,
}

impl Cams {
    /// Reads the credentials for the first time and builds the TLS configuration.
    ///
    /// # Errors
    /// If there are no usable credentials, or the options do not fit the endpoint.
    pub fn new(config: CamsConfig) -> Result<Self, CamsConfigError> {
        Ok(Self(Arc::new(Inner {
            client: Client::new(config.endpoint.clone(), config.options)?,
            endpoint: config.endpoint,
            signature: config.signature,
            keys: Keys::new(config.credentials)?,
            server_clock: Mutex::default(),
        })))
    }

    /// Signs a submission, once. Without a key it returns a request that is never sent. `nonce`:
    /// 128 random bits in hex, the attempt's id. `at`: the time of signing, cut to whole seconds.
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

    /// Signs a status read, once. `nonce`: 128 random bits in hex, new for this read.
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
        let Some(key) = self.0.keys.in_use() else {
            return SignedRequest::without_key(target);
        };
        let mut request = self.0.signature.signer().sign(&Unsigned {
            credentials: &key.credentials,
            host: &self.0.endpoint.authority(),
            action,
            target,
            code,
            nonce,
            timestamp: at,
        });
        request.send_until = key.until;
        request
    }

    /// Reads the credentials again, if their source is read.
    pub fn reload_credentials(&self) {
        self.0.keys.in_use();
    }

    /// The key in use; `None` if there is none.
    pub fn credentials(&self) -> Option<Arc<Credentials>> {
        self.0.keys.in_use().map(|key| key.credentials)
    }

    /// When the use of a temporary key ends, in the past if there is none; `None` for a permanent
    /// key. Reads nothing.
    pub fn key_good_until(&self) -> Option<BootTime> {
        self.0.keys.good_until()
    }

    /// Number of changes of the credentials since the start that a signature or
    /// [`Cams::reload_credentials`] has seen.
    pub fn credential_changes(&self) -> u64 {
        self.0.keys.changes()
    }

    /// Sends a submission, once: connects, awaits `gate`, and sends only if it opens. `gate` runs
    /// in this task; it is not called if no connection came about.
    ///
    /// The client holds the connection open while the gate waits, so the gate should decide within
    /// seconds. If the key's use has ended meanwhile, the client sends nothing and does not call
    /// the gate.
    pub async fn submit<G, F, T>(&self, request: SignedRequest, gate: G) -> Call<Answer, T>
    where
        G: FnOnce() -> F,
        F: Future<Output = Result<T, GateClosed>>,
        T: Permit,
    {
        self.call(request, gate, classify::classify).await
    }

    /// Reads a status, once. Gated like a submission, since reads have a quota of their own.
    /// Without a usable key it calls nothing, and the answer is [`NOT_SIGNED_IN`].
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
        if request.key_has_ended(clock::boot()) {
            return Call {
                answer: not_signed_in(),
                admitted: None,
                timing: Timing::default(),
            };
        }
        let subject = Arc::clone(&request.subject);
        let mut call = self.call(request, gate, classify::classify_status).await;
        if let Verdict::Accepted(NumberStatus::NotVerified { status }) = &mut call.answer.verdict {
            subject.scrub(status);
        }
        call
    }

    /// One call: sent, classified, and its texts scrubbed.
    async fn call<G, F, T, A>(
        &self,
        request: SignedRequest,
        gate: G,
        classify: fn(Sent, &str) -> Answer<A>,
    ) -> Call<Answer<A>, T>
    where
        G: FnOnce() -> F,
        F: Future<Output = Result<T, GateClosed>>,
        T: Permit,
    {
        let subject = Arc::clone(&request.subject);
        let exchange = self.0.client.send(request, gate).await;
        let mut answer = classify(exchange.sent, subject.phone_number.expose());
        subject.scrub_option(&mut answer.code);
        subject.scrub_option(&mut answer.message);
        subject.scrub_option(&mut answer.request_id);
        if let Verdict::Refused(refusal) = &mut answer.verdict {
            subject.scrub(&mut refusal.code);
        }
        answer.date = self.believed(answer.api_status, answer.date, exchange.timing);
        Call {
            answer,
            admitted: exchange.admitted,
            timing: exchange.timing,
        }
    }

    /// How far the server's clock is ahead of the local clock (negative: behind), by the last
    /// believed `Date`; `None` before the first.
    pub fn clock_skew(&self, now: Now) -> Option<SignedDuration> {
        self.server_clock().skew(now)
    }

    /// True while the `Date` of the last reply waits for another reply to confirm it.
    pub fn clock_is_in_doubt(&self) -> bool {
        self.server_clock().is_in_doubt()
    }

    /// The `Date` of a reply, if it is believed. Only replies of the API count: the clock of a
    /// proxy does not check signatures.
    fn believed(
        &self,
        api_status: Option<u16>,
        date: Option<Timestamp>,
        timing: Timing,
    ) -> Option<Timestamp> {
        let (Some(_), Some(date), Some(at)) = (api_status, date, timing.replied) else {
            return None;
        };
        self.server_clock().note(date, at).then_some(date)
    }

    fn server_clock(&self) -> std::sync::MutexGuard<'_, ServerClock> {
        self.0
            .server_clock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Replaces the answer of CAMS when there is no key to call it with.
fn not_signed_in() -> StatusAnswer {
    StatusAnswer {
        verdict: Verdict::Blocked(BlockCause::Credentials),
        code: Some(NOT_SIGNED_IN.to_owned()),
        message: None,
        request_id: None,
        date: None,
        api_status: None,
    }
}
