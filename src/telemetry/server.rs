//! Serves `/livez`, `/readyz` and `/metrics`, and nothing else: no profiling, no dump of the
//! configuration.
//!
//! Everything is bounded, since every client that reaches the pod reaches this port. Each
//! connection carries one request and lives a few seconds, and the server serves a few connections
//! at a time. When all are taken, a new connection replaces the oldest one that has sent no request
//! yet, so silent connections do not keep probes out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

pub use self::health::{Health, TaskGuard};
use crate::telemetry::metrics::{Exposition, Metrics};

mod health;

/// Connections that the server serves at the same time. While it answers all of them, further ones
/// wait in the kernel's backlog.
const MOST_CONNECTIONS: usize = 64;
/// Time for a client to send its request; a probe sends it at once.
const HEADER_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for a whole connection, with a slow reader.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the connections that are open when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Wait after a failed accept, so that a lack of file descriptors does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
const MOST_HEADERS: usize = 64;
const MOST_HEADER_BYTES: usize = 16 * 1024;

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The server cannot bind the address.
    #[error(
        "--listen (or PHONEMIG_LISTEN): cannot listen on {address}: {source}: free the port or \
         choose another address"
    )]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// A bound server that does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds the address; port 0 means any free port.
    ///
    /// # Errors
    /// One line with the address if the server cannot bind it.
    pub async fn bind(address: SocketAddr) -> Result<Server, ServerError> {
        let bind_error = |source| ServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        Ok(Server { listener, address })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` ends, then for at most two more seconds. Stop it last: probes must
    /// still get answers while attempts end.
    pub async fn run(
        self,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        stop: impl Future<Output = ()>,
    ) {
        let mut connections = Connections::default();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.all.join_next() => {}
                accepted = self.listener.accept(), if connections.have_room() => {
                    match accepted {
                        Ok((stream, _)) => {
                            let (health, metrics) = (Arc::clone(&health), Arc::clone(&metrics));
                            connections.add(|asked| serve(stream, asked, health, metrics));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "Failed to accept a probe's or scraper's connection");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
            }
        }
        let drain = async { while connections.all.join_next().await.is_some() {} };
        // Clients that still read after this are cut off.
        let _ = timeout(DRAIN_TIMEOUT, drain).await;
    }
}

/// The open connections.
#[derive(Default)]
struct Connections {
    all: JoinSet<()>,
    /// Connections that may not have sent their request yet, oldest first.
    silent: VecDeque<Silent>,
}

struct Silent {
    /// Set when the request arrives.
    asked: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Connections {
    /// Whether the server can serve another connection, if need be in place of a silent one.
    fn have_room(&mut self) -> bool {
        self.silent
            .retain(|one| !one.asked.load(Ordering::Relaxed) && !one.task.is_finished());
        self.all.len() < MOST_CONNECTIONS || !self.silent.is_empty()
    }

    /// Serves one more connection.
    fn add<F>(&mut self, serve: impl FnOnce(Arc<AtomicBool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.all.len() >= MOST_CONNECTIONS
            && let Some(oldest) = self.silent.pop_front()
        {
            oldest.task.abort();
        }
        let asked = Arc::new(AtomicBool::new(false));
        let task = self.all.spawn(serve(Arc::clone(&asked)));
        self.silent.push_back(Silent { asked, task });
    }
}

async fn serve<S>(stream: S, asked: Arc<AtomicBool>, health: Arc<Health>, metrics: Arc<Metrics>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let response = respond(&request, &health, &metrics);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // The server ignores a client that is slow, gone or speaks another protocol.
    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
}

fn respond<B>(request: &Request<B>, health: &Health, metrics: &Metrics) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD");
        let allow = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allow);
        return response;
    }
    match request.uri().path() {
        "/livez" => probe(health.alive()),
        "/readyz" => probe(health.readiness()),
        "/metrics" => {
            let accept = request.headers().get(ACCEPT);
            let accept = accept.and_then(|a| a.to_str().ok()).unwrap_or_default();
            let form = Exposition::for_accept(accept);
            typed(StatusCode::OK, form.content_type(), metrics.render(form))
        }
        _ => plain(StatusCode::NOT_FOUND, "Only /livez, /readyz and /metrics"),
    }
}

fn probe(state: Result<(), String>) -> Response<Full<Bytes>> {
    match state {
        Ok(()) => plain(StatusCode::OK, "ok"),
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

fn plain(status: StatusCode, line: &str) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

fn typed(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests;
