//! The only HTTP user of the operator: exactly one send per call, gated at the socket.
//!
//! Order of one call: connect (DNS, TCP, TLS: [`CONNECT_TIMEOUT`]), then the caller's gate,
//! then the request, then the reply ([`REPLY_DEADLINE`], counted from the gate). Whatever
//! fails before the gate opens is [`SendError::NotSent`], and provably so: the connection is
//! held by a turnstile, which lets one connection through, once. Whatever
//! fails after it is [`SendError::Unknown`].
//!
//! HTTP/1.1, a fresh connection for every call, no redirect, no retry layer, no proxy from the
//! environment, TLS as [`tls`] has it.
//!
//! Limits: the HTTP library's own copies of the URL are not zeroised; they are freed with the
//! call.

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

use super::classify::{NotSentCause, SendError, Sent, UnknownCause};
use super::endpoint::Endpoint;
use super::sign::SignedRequest;
use super::wire::{MAX_BODY, Reply, ReplyHeaders, parse_reply};
use crate::clock::{self, Now};
use crate::tls;

mod faults;
mod handover;
mod resolver;
#[cfg(test)]
mod tests;
mod turnstile;

use handover::Handover;
use resolver::{GuardedResolver, Lookup, system_lookup};
use turnstile::Turnstile;

/// Time for DNS, TCP and TLS together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time from the opened gate to the end of the reply.
pub const REPLY_DEADLINE: Duration = Duration::from_secs(10);

const USER_AGENT: &str = concat!("phone-migration-operator/", env!("CARGO_PKG_VERSION"));

/// What differs between the product and its tests.
#[derive(Default)]
pub struct ClientOptions {
    /// Authorities to trust besides the web's; only with a loopback endpoint.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The TLS library refuses its own configuration.
    #[error("the TLS configuration cannot be built: {0}")]
    Tls(#[from] rustls::Error),
    /// Extra roots for the real service.
    #[error("extra root certificates are for tests with a loopback endpoint only")]
    ExtraRoots,
}

/// The caller decided at the gate that nothing is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct GateClosed {
    /// Why, for the message: stable, no secrets.
    pub reason: &'static str,
}

/// What an opened gate returns: it is told at once when the request is handed to the socket,
/// since until then a pacer must take the call for not yet sent.
pub trait Permit {
    /// The HTTP stack took the request to write it.
    fn written(&mut self, at: Now);
}

impl Permit for () {
    fn written(&mut self, _at: Now) {}
}

/// When things happened; absent where they did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// The gate opened; from here the request may leave.
    pub opened: Option<Now>,
    /// The HTTP stack took the request to write it to the socket, right before the write.
    pub written: Option<Now>,
    /// The head of the reply arrived.
    pub replied: Option<Now>,
}

/// One call.
pub struct Exchange<T> {
    /// What came of it.
    pub sent: Sent,
    /// What the gate returned when it opened.
    pub admitted: Option<T>,
    /// When.
    pub timing: Timing,
}

impl<T> Exchange<T> {
    /// It ended before the gate opened.
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
        if !options.extra_roots.is_empty() && !endpoint.is_loopback() {
            return Err(ClientError::ExtraRoots);
        }
        Ok(Self {
            endpoint,
            tls: tls::client_config(options.extra_roots)?,
            lookup: system_lookup(),
        })
    }

    /// Connects, asks the gate, and sends if it opens. The request is consumed: it cannot be
    /// sent twice. Dropping the future before the gate opened sends nothing.
    pub async fn send<G, F, T>(&self, request: SignedRequest, gate: G) -> Exchange<T>
    where
        G: FnOnce() -> F,
        F: Future<Output = Result<T, GateClosed>>,
        T: Permit,
    {
        let (turnstile, handle) = Turnstile::new();
        let looking = Arc::new(AtomicBool::new(false));
        let (handover, mut written) = oneshot::channel();
        let Some(exchange) = self.prepare(&request, turnstile, &looking, handover) else {
            // Our own mistake; said as a failure to connect so that it is seen and holds.
            let text = "the HTTP client could not be built".to_owned();
            return Exchange::failed(SendError::NotSent(NotSentCause::Connect, text));
        };
        drop(request);
        let mut exchange = pin!(exchange);
        if let Err(error) = connect(exchange.as_mut(), handle.connected, &looking).await {
            return Exchange::failed(error);
        }
        // The connection stands and holds still: nothing polls it while the gate decides.
        let mut admitted = match gate().await {
            Ok(admitted) => admitted,
            Err(closed) => {
                let text = closed.to_string();
                return Exchange::failed(SendError::NotSent(NotSentCause::Gate, text));
            }
        };
        let opened = clock::now();
        // Danger: from here on the request may leave; every failure below is `Unknown`.
        let _ = handle.go.send(());
        let mut replied = None;
        let mut handed = None;
        let answered = {
            let reply = timeout(REPLY_DEADLINE, read_reply(exchange, &mut replied));
            let mut reply = pin!(reply);
            let early = tokio::select! {
                biased;
                Ok(at) = &mut written => {
                    admitted.written(at);
                    handed = Some(at);
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
        Exchange {
            sent,
            admitted: Some(admitted),
            timing: Timing {
                opened: Some(opened),
                written: handed,
                replied,
            },
        }
    }

    /// A client for this one call, and its request. Built per call since the connector's
    /// layer, which is the gate, belongs to a client; it costs about a tenth of a
    /// millisecond, before the gate.
    fn prepare(
        &self,
        request: &SignedRequest,
        turnstile: Turnstile,
        looking: &Arc<AtomicBool>,
        handover: oneshot::Sender<Now>,
    ) -> Option<impl Future<Output = reqwest::Result<reqwest::Response>> + use<>> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .https_only(self.endpoint.is_tls())
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // No pool: a request on a dead idle connection would be sent again on another.
            .pool_max_idle_per_host(0)
            .dns_resolver(GuardedResolver {
                endpoint: self.endpoint.clone(),
                lookup: Arc::clone(&self.lookup),
                looking: Arc::clone(looking),
            })
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

fn headers(request: &SignedRequest) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    // An empty body gets no length of its own, and a gateway may insist on one for POST.
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
    exchange: Pin<&mut impl Future<Output = reqwest::Result<reqwest::Response>>>,
    connected: oneshot::Receiver<()>,
    looking: &AtomicBool,
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
            let (cause, text) = faults::connect_fault(&error);
            Err(SendError::NotSent(cause, text))
        }
        Ok(Err(Ok(_))) => {
            // A reply without a connection cannot be; if it is, it is not "not sent".
            let text = "a reply came before the request was let through".to_owned();
            Err(SendError::Unknown(UnknownCause::ConnectionLost, text))
        }
        Err(_) => {
            let (cause, what) = if looking.load(Ordering::Relaxed) {
                (NotSentCause::Dns, "its name did not resolve")
            } else {
                (NotSentCause::Connect, "no connection")
            };
            let text = format!("the CAMS endpoint: {what} within {CONNECT_TIMEOUT:?}");
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
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > MAX_BODY {
            let text = format!("the reply is larger than {MAX_BODY} bytes");
            return Err(SendError::Unknown(UnknownCause::ReplyTooLarge, text));
        }
        body.extend_from_slice(&chunk);
    }
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
