//! The HTTP client of STS: one request, one connection, one reply.
//!
//! It makes connections like the client of CAMS: the same TLS, checks of the addresses that it
//! connects to, no redirects, no retries, no settings from the environment. It has no gate: a lost
//! reply costs only an unused key.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::header;
use jiff::Timestamp;
use rustls::ClientConfig;
use zeroize::Zeroizing;

use super::AssumeRole;
use super::fault::{Fault, Step};
use super::reply::{self, CallerIdentity, Failure, Issued};
use super::request::{self, OidcExchange, StsRequest};
use crate::cams::client::resolver::{GuardedResolver, system_lookup};
use crate::cams::client::{CONNECT_TIMEOUT, USER_AGENT, faults, one_shot, read_body};
use crate::cams::credentials::Credentials;
use crate::cams::endpoint::Endpoint;
use crate::cams::wire::parse_http_date;
use crate::cams::{ClientError, ClientOptions};
use crate::clock;
use crate::hex::hex;

/// Longest exchange, including the connection.
const DEADLINE: Duration = Duration::from_secs(10);

/// Sends requests to one endpoint of STS.
pub struct StsClient {
    endpoint: Endpoint,
    tls: ClientConfig,
}

struct RawReply {
    status: u16,
    /// The clock of STS.
    now: Timestamp,
    body: Zeroizing<Vec<u8>>,
}

impl StsClient {
    /// Builds the TLS configuration, once for all calls.
    ///
    /// # Errors
    /// If the options do not fit the endpoint.
    pub fn new(endpoint: Endpoint, options: ClientOptions) -> Result<Self, ClientError> {
        let tls = options.tls(&endpoint)?;
        Ok(Self { endpoint, tls })
    }

    /// Exchanges a token for a role's key.
    ///
    /// # Errors
    /// The reason if there is no key; `step` names the request in it.
    pub async fn assume_role_with_oidc(
        &self,
        exchange: &OidcExchange<'_>,
        step: Step,
    ) -> Result<Issued, Fault> {
        let request = request::assume_role_with_oidc(exchange, &nonce()?, clock::now().wall);
        let raw = self.post(&request).await?;
        let issued = reply::issued(raw.status, &raw.body, raw.now);
        issued.map_err(|failure| fault(&request, step, raw.status, failure))
    }

    /// Exchanges a key for a role's key.
    ///
    /// # Errors
    /// The reason if there is no key.
    pub async fn assume_role(
        &self,
        credentials: &Credentials,
        role: &AssumeRole,
        session_name: &str,
    ) -> Result<Issued, Fault> {
        let (nonce, at) = (nonce()?, clock::now().wall);
        let request = request::assume_role(credentials, role, session_name, &nonce, at);
        let raw = self.post(&request).await?;
        let issued = reply::issued(raw.status, &raw.body, raw.now);
        let step = Step::AssumeRole(role.clone());
        issued.map_err(|failure| fault(&request, step, raw.status, failure))
    }

    /// Returns the identity of a key.
    ///
    /// # Errors
    /// The reason if STS does not return it.
    pub async fn get_caller_identity(
        &self,
        credentials: &Credentials,
    ) -> Result<CallerIdentity, Fault> {
        let request = request::get_caller_identity(credentials, &nonce()?, clock::now().wall);
        let raw = self.post(&request).await?;
        let identity = reply::identity(raw.status, &raw.body);
        identity.map_err(|failure| fault(&request, Step::Identity, raw.status, failure))
    }

    async fn post(&self, request: &StsRequest) -> Result<RawReply, Fault> {
        let unreachable = |text: &str| Fault::Unreachable(text.to_owned());
        let resolver = GuardedResolver {
            endpoint: self.endpoint.clone(),
            lookup: system_lookup(),
            lookup_running: Arc::new(AtomicBool::new(false)),
        };
        let client = one_shot(&self.endpoint, self.tls.clone(), resolver)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(DEADLINE)
            .build()
            .map_err(|_| unreachable("the HTTP client could not be built"))?;
        let url = Zeroizing::new(format!("{}/?{}", self.endpoint, request.query.expose()));
        let sent = client
            .post(url.as_str())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(request.form.expose().to_owned())
            .send()
            .await;
        let mut response = sent.map_err(|error| self.lost(&error))?;
        let date = response.headers().get(header::DATE);
        let date = date.and_then(|value| parse_http_date(value.to_str().ok()?));
        let body = read_body(&mut response).await;
        let body = body.map_err(|error| self.lost(&error))?;
        Ok(RawReply {
            status: response.status().as_u16(),
            now: date.unwrap_or_else(|| clock::now().wall),
            body: body.ok_or_else(|| unreachable("its reply is too large"))?,
        })
    }

    /// The text of the error is not used: it may hold the URL.
    fn lost(&self, error: &reqwest::Error) -> Fault {
        Fault::Unreachable(if error.is_connect() {
            faults::connect_fault(self.endpoint.service(), error).1
        } else if error.is_timeout() {
            format!("no complete reply within {DEADLINE:?}")
        } else {
            faults::exchange_fault(error)
        })
    }
}

fn fault(request: &StsRequest, step: Step, status: u16, failure: Failure) -> Fault {
    match failure {
        Failure::NotTheApi => Fault::NotTheApi(status),
        Failure::Refused { code, message } => Fault::Refused {
            step,
            code: request.scrub(&code),
            message: message.map(|message| request.scrub(&message)),
        },
    }
}

fn nonce() -> Result<String, Fault> {
    let bytes = clock::random::<16>().map_err(|_| Fault::NoRandomness)?;
    Ok(hex(&bytes))
}
