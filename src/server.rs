//! `/livez`, `/readyz` and `/metrics`, and nothing else: no profiling, no dump of the
//! configuration.
//!
//! Everything is bounded, since whoever reaches the pod reaches this port: one request per
//! connection, a few connections at a time, a few seconds for each.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
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
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use self::health::{Health, TaskGuard};
use crate::metrics::{Exposition, Metrics};

mod health;

/// Connections that are served at the same time; further ones wait in the kernel's backlog.
const MOST_CONNECTIONS: usize = 64;
/// For a client to send its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole connection, a slow reader included.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// For the connections that run when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// After a failed accept, so that a lack of file descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
const MOST_HEADERS: usize = 64;
const MOST_HEADER_BYTES: usize = 16 * 1024;

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be had.
    #[error(
        "--listen (or PHONEMIG_LISTEN): cannot listen on {address}: {source}: free the port or \
         choose another address"
    )]
    Bind {
        /// As configured.
        address: SocketAddr,
        /// Why.
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
    /// Takes the address; port 0 means any free one.
    ///
    /// # Errors
    /// One line with the address when it cannot be had.
    pub async fn bind(address: SocketAddr) -> Result<Server, ServerError> {
        let bind_error = |source| ServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        Ok(Server { listener, address })
    }

    /// The address that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` ends, then for at most two more seconds. Stop it last: while
    /// attempts come to their end the probes must still be answered.
    pub async fn run(
        self,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        stop: impl Future<Output = ()>,
    ) {
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < MOST_CONNECTIONS => {
                    match accepted {
                        Ok((stream, _)) => {
                            connections.spawn(serve(stream, health.clone(), metrics.clone()));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "Failed to accept a probe's or scraper's connection");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
            }
        }
        let drain = async { while connections.join_next().await.is_some() {} };
        // Whoever is still reading after this is cut off.
        let _ = timeout(DRAIN_TIMEOUT, drain).await;
    }
}

async fn serve<S>(stream: S, health: Arc<Health>, metrics: Arc<Metrics>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request: Request<Incoming>| {
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
    // A client that is slow, gone or speaks something else is its own problem.
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
