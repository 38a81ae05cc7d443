//! Counts every request to the API server, including those of the watches and the Lease.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use tower::{Layer, Service};

use crate::clock::{self, BootTime};
use crate::telemetry::metrics::Metrics;

/// The layer that counts the requests of the whole client.
#[derive(Clone)]
pub(super) struct Count {
    metrics: Arc<Metrics>,
    host: Arc<str>,
}

impl Count {
    /// `host`: the API server in the configuration.
    pub(super) fn new(metrics: Arc<Metrics>, host: String) -> Self {
        metrics.apiserver.start(&host);
        Self {
            metrics,
            host: host.into(),
        }
    }
}

impl<S> Layer<S> for Count {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            count: self.clone(),
        }
    }
}

/// A client that counts its requests.
#[derive(Clone)]
pub(super) struct Counted<S> {
    inner: S,
    count: Count,
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut pending = Pending {
            count: self.count.clone(),
            method: request.method().clone(),
            begun: clock::boot(),
            status: None,
        };
        let reply = self.inner.call(request);
        Box::pin(async move {
            let reply = reply.await;
            pending.ended(reply.as_ref().ok().map(|reply| reply.status().as_u16()));
            reply
        })
    }
}

/// A request in flight. `drop` counts it, so a request cancelled at its deadline counts as one
/// without a reply.
struct Pending {
    count: Count,
    method: Method,
    begun: BootTime,
    status: Option<u16>,
}

impl Pending {
    /// A method makes the future capture the whole struct; an assignment would copy only the field.
    fn ended(&mut self, status: Option<u16>) {
        self.status = status;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let took = clock::boot().saturating_sub(self.begun);
        let Count { metrics, host } = &self.count;
        metrics
            .apiserver
            .request(self.method.as_str(), host, self.status, took);
    }
}
