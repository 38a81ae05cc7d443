//! The HTTP client of CAMS: exactly one send per call, gated at the socket.
//!
//! Order of one call: connect (DNS, TCP, TLS: [`CONNECT_TIMEOUT`]), then the caller's gate, then
//! the request, then the reply ([`REPLY_DEADLINE`], counted from the gate). Any failure before the
//! gate opens is provably [`SendError::NotSent`]: the turnstile holds the connection and lets one
//! connection through, once. Any failure after that is [`SendError::Unknown`].
//!
//! HTTP/1.1, a fresh connection for every call, no redirect, no retry layer, no proxy from the
//! environment, TLS as in [`tls`].
//!
//! Limits: the HTTP library's own copies of the URL are not zeroised; the library frees them with
//! the call.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tokio::sync::oneshot;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::REPLY_DEADLINE;
use super::classify::{NotSentCause, SendError, Sent, UnknownCause};
use super::endpoint::Endpoint;
use super::sign::SignedRequest;
use super::wire::{MAX_BODY, Reply, ReplyHeaders, parse_reply};
use crate::clock::{self, Now};
use crate::tls;

pub(super) mod faults;
mod handover;
pub(super) mod resolver;
#[cfg(test)]
mod tests;
mod turnstile;

use handover::Handover;
use resolver::{GuardedResolver, Lookup, system_lookup};
use turnstile::Turnstile;

/// Time for DNS, TCP and TLS together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Reason of a gate that the client closes without calling it.
const KEY_ENDS: &str = "the key that signed the request ends too soon";

pub(super) const USER_AGENT: &str = concat!("phone-migration-operator/", env!("CARGO_PKG_VERSION"));

/// Options that tests set and the product does not.
#[derive(Default)]
pub struct ClientOptions {
    /// Trusted certificate authorities in addition to the public ones; only with a loopback
    /// endpoint.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl ClientOptions {
    /// The TLS configuration of a client of this endpoint.
    ///
    /// # Errors
    /// When the options do not fit the endpoint.
    pub(super) fn tls(self, endpoint: &Endpoint) -> Result<ClientConfig, ClientError> {
        if !self.extra_roots.is_empty() && !endpoint.is_loopback() {
            return Err(ClientError::ExtraRoots);
        }
        Ok(tls::client_config(self.extra_roots)?)
    }
}

/// Why the client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The TLS library refuses its own configuration.
    #[error("the TLS configuration cannot be built: {0}")]
    Tls(#[from] rustls::Error),
    /// Extra roots together with the real service.
    #[error("extra root certificates are for tests with a loopback endpoint only")]
    ExtraRoots,
}

/// The caller decided at the gate to send nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct GateClosed {
    /// Reason, for the message: a fixed text without secrets.
    pub reason: &'static str,
}

/// The value that an opened gate returns. The client calls [`Permit::written`] at once when it
/// hands the request to the socket: until then a pacer must assume that the call has not left.
pub trait Permit {
    /// The HTTP stack took the request to write it.
    fn written(&mut self, at: Now);
}

impl Permit for () {
    fn written(&mut self, _at: Now) {}
}

/// Times of the steps of a call; `None` for a step that did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// The gate opened; from now on the request may leave.
    pub opened: Option<Now>,
    /// The HTTP stack took the request to write it to the socket, right before the write.
    pub written: Option<Now>,
    /// The head of the reply arrived.
    pub replied: Option<Now>,
}

/// One call.
pub struct Exchange<T> {
    /// Result of the call.
    pub sent: Sent,
    /// The value that the gate returned when it opened.
    pub admitted: Option<T>,
    /// Times of the steps.
    pub timing: Timing,
}

impl<T> Exchange<T> {
    /// The call ended before the gate opened.
    fn failed(error: SendError) -> Self {
        Self {
            sent: Err(error),
            admitted: None,
            timing: Timing::default(),
        }
    }
}

/// Sends signed requests to one endpoint.
pub struct Client {
    endpoint: Endpoint,
    tls: ClientConfig,
    lookup: Lookup,
}

impl Client {
    /// Builds the TLS configuration, once for all calls.
    ///
    /// # Errors
    /// When the options do not fit the endpoint.
    pub fn new(endpoint: Endpoint, options: ClientOptions) -> Result<Self, ClientError> {
        Ok(Self {
            tls: options.tls(&endpoint)?,
            endpoint,
            lookup: system_lookup(),
        })
    }

    /// Connects, calls the gate, and sends if the gate opens. The request is consumed, so it cannot
    /// be sent twice. Dropping the future before the gate opens sends nothing. If the key that
    /// signed the request ends too soon, the client sends nothing and does not call the gate.
    pub async fn send<G, F, T>(&self, request: SignedRequest, gate: G) -> Exchange<T>
    where
        G: FnOnce() -> F,
        F: Future<Output = Result<T, GateClosed>>,
        T: Permit,
    {
        let (turnstile, handle) = Turnstile::new();
        let lookup_running = Arc::new(AtomicBool::new(false));
        let (handover, mut written) = oneshot::channel();
        let Some(exchange) = self.prepare(&request, turnstile, &lookup_running, handover) else {
            // A defect of the operator. It counts as a failure to connect, so that it is visible
            // and starts a hold.
            let text = "the HTTP client could not be built".to_owned();
            return Exchange::failed(SendError::NotSent(NotSentCause::Connect, text));
        };
        let send_until = request.send_until;
        drop(request);
        let mut exchange = pin!(exchange);
        let connected = handle.connected;
        let service = self.endpoint.service();
        if let Err(error) = connect(service, exchange.as_mut(), connected, &lookup_running).await {
            return Exchange::failed(error);
        }
        // The connection is established and idle: nothing polls it while the gate decides.
        let decided = match send_until.is_some_and(|until| until <= clock::boot()) {
            true => Err(GateClosed { reason: KEY_ENDS }),
            false => gate().await,
        };
        let mut admitted = match decided {
            Ok(admitted) => admitted,
            Err(closed) => {
                let text = closed.to_string();
                return Exchange::failed(SendError::NotSent(NotSentCause::Gate, text));
            }
        };
        let opened = clock::now();
        // Danger: from here on the request may leave; every failure below is `Unknown`.
        let _ = handle.go.send(());
        let (sent, timing) = finish(exchange, &mut written, &mut admitted).await;
        Exchange {
            sent,
            admitted: Some(admitted),
            timing: Timing {
                opened: Some(opened),
                ..timing
            },
        }
    }

    /// A client for this one call, and its request. A client belongs to one call, because the gate
    /// is a layer of its connector. Building it takes about a tenth of a millisecond, before the
    /// gate.
    fn prepare(
        &self,
        request: &SignedRequest,
        turnstile: Turnstile,
        lookup_running: &Arc<AtomicBool>,
        handover: oneshot::Sender<Now>,
    ) -> Option<impl Future<Output = reqwest::Result<reqwest::Response>> + use<>> {
        let resolver = GuardedResolver {
            endpoint: self.endpoint.clone(),
            lookup: Arc::clone(&self.lookup),
            lookup_running: Arc::clone(lookup_running),
        };
        let client = one_shot(&self.endpoint, self.tls.clone(), resolver)
            .connector_layer(turnstile)
            .build()
            .ok()?;
        let url = Zeroizing::new(format!("{}/?{}", self.endpoint, request.query.expose()));
        let request = client
            .post(url.as_str())
            .headers(headers(request)?)
            .body(reqwest::Body::wrap(Handover::new(handover)))
            .build()
            .ok()?;
        Some(client.execute(request))
    }
}

/// Drives the exchange from the opened gate to its end. Tells the permit when the HTTP stack takes
/// the request.
async fn finish<T: Permit>(
    exchange: Pin<&mut impl Future<Output = reqwest::Result<reqwest::Response>>>,
    written: &mut oneshot::Receiver<Now>,
    admitted: &mut T,
) -> (Sent, Timing) {
    let mut timing = Timing::default();
    let answered = {
        let reply = timeout(REPLY_DEADLINE, read_reply(exchange, &mut timing.replied));
        let mut reply = pin!(reply);
        let early = tokio::select! {
            biased;
            Ok(at) = written => {
                admitted.written(at);
                timing.written = Some(at);
                None
            }
            answered = &mut reply => Some(answered),
        };
        match early {
            Some(answered) => answered,
            None => reply.await,
        }
    };
    let sent = answered.unwrap_or_else(|_| {
        let text = format!("no complete reply within {REPLY_DEADLINE:?}");
        Err(SendError::Unknown(UnknownCause::Timeout, text))
    });
    (sent, timing)
}

/// A client for one request to one endpoint, without retries, redirects or settings from the
/// environment.
pub(super) fn one_shot(
    endpoint: &Endpoint,
    tls: ClientConfig,
    resolver: GuardedResolver,
) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(endpoint.is_tls())
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // No pool: the client would resend a request on a dead idle connection on another one.
        .pool_max_idle_per_host(0)
        .dns_resolver(resolver)
}

fn headers(request: &SignedRequest) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    // The library sends no length for an empty body, and a gateway may require one for POST.
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    for (name, value) in &request.headers {
        let mut value = HeaderValue::from_str(value.expose()).ok()?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    Some(headers)
}

/// Drives the exchange until its connection waits at the turnstile.
async fn connect(
    service: &str,
    exchange: Pin<&mut impl Future<Output = reqwest::Result<reqwest::Response>>>,
    connected: oneshot::Receiver<()>,
    lookup_running: &AtomicBool,
) -> Result<(), SendError> {
    let connecting = async {
        tokio::select! {
            biased;
            ended = exchange => Err(ended),
            Ok(()) = connected => Ok(()),
        }
    };
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Err(error))) => {
            let (cause, text) = faults::connect_fault(service, &error);
            Err(SendError::NotSent(cause, text))
        }
        Ok(Err(Ok(_))) => {
            // A reply before the gate should be impossible. If one comes, the call must not count
            // as not sent.
            let text = "a reply came before the request was let through".to_owned();
            Err(SendError::Unknown(UnknownCause::ConnectionLost, text))
        }
        Err(_) => {
            let (cause, what) = if lookup_running.load(Ordering::Relaxed) {
                (NotSentCause::Dns, "its name did not resolve")
            } else {
                (NotSentCause::Connect, "no connection")
            };
            let text = format!("the {service} endpoint: {what} within {CONNECT_TIMEOUT:?}");
            Err(SendError::NotSent(cause, text))
        }
    }
}

/// Waits for the head, then reads the body up to [`MAX_BODY`].
async fn read_reply(
    exchange: impl Future<Output = reqwest::Result<reqwest::Response>>,
    replied: &mut Option<Now>,
) -> Result<Reply, SendError> {
    let lost = |error: reqwest::Error| {
        let text = faults::exchange_fault(&error);
        SendError::Unknown(UnknownCause::ConnectionLost, text)
    };
    let mut response = exchange.await.map_err(lost)?;
    *replied = Some(clock::now());
    let Some(body) = read_body(&mut response).await.map_err(lost)? else {
        let text = format!("the reply is larger than {MAX_BODY} bytes");
        return Err(SendError::Unknown(UnknownCause::ReplyTooLarge, text));
    };
    let text = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok()
    };
    let headers = ReplyHeaders {
        date: text("date"),
        retry_after: text("x-acs-retry-after"),
        content_type: text("content-type"),
    };
    Ok(parse_reply(response.status().as_u16(), &headers, &body))
}

/// The whole body, or nothing if it is larger than [`MAX_BODY`].
pub(super) async fn read_body(
    response: &mut reqwest::Response,
) -> reqwest::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
