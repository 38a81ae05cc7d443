//! The gate at the socket: a connector layer that holds back an established connection until the
//! caller lets it through.
//!
//! The turnstile opens once. The HTTP client can write only to a connection that came through here.
//! So at most one connection per call carries request bytes, whatever retries the libraries
//! attempt.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tower::{BoxError, Layer, Service};

/// The caller's side.
pub(super) struct Handle {
    /// Resolves when a connection, TLS included, is established and waits.
    pub connected: oneshot::Receiver<()>,
    /// Lets the connection pass; dropping the sender closes the connection.
    pub go: oneshot::Sender<()>,
}

/// The connector's side.
#[derive(Clone)]
pub(super) struct Turnstile(Arc<Mutex<Option<Bar>>>);

struct Bar {
    connected: oneshot::Sender<()>,
    go: oneshot::Receiver<()>,
}

/// The caller may not use the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection was not admitted")]
struct NotAdmitted;

impl Turnstile {
    pub(super) fn new() -> (Self, Handle) {
        let (connected_tx, connected) = oneshot::channel();
        let (go, go_rx) = oneshot::channel();
        let bar = Bar {
            connected: connected_tx,
            go: go_rx,
        };
        (
            Self(Arc::new(Mutex::new(Some(bar)))),
            Handle { connected, go },
        )
    }

    fn take(&self) -> Option<Bar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<S> Layer<S> for Turnstile {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            turnstile: self.clone(),
        }
    }
}

/// A connector behind the turnstile.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    turnstile: Turnstile,
}

impl<S, R> Service<R> for Guarded<S>
where
    S: Service<R, Error = BoxError>,
    S::Response: Send,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, destination: R) -> Self::Future {
        // Taken before connecting: a second attempt fails here, without a connection.
        let Some(bar) = self.turnstile.take() else {
            return Box::pin(async { Err(NotAdmitted.into()) });
        };
        let connecting = self.inner.call(destination);
        Box::pin(async move {
            let connection = connecting.await?;
            bar.connected.send(()).map_err(|()| NotAdmitted)?;
            // Danger: the HTTP client writes to any connection that passes here. Only `go` may open
            // it.
            bar.go.await.map_err(|_| NotAdmitted)?;
            Ok(connection)
        })
    }
}
