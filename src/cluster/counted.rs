//! Counts every request to the API server, those of the watches and the lease included.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use tower::{Layer, Service};

use crate::clock::{self, BootTime};
use crate::metrics::Metrics;

/// The layer around the whole client.
#[derive(Clone)]
pub(super) struct Count {
    metrics: Arc<Metrics>,
    host: Arc<str>,
}

impl Count {
    /// `host`: the API server of the configuration.
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

/// A client whose requests are counted.
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

/// A request that has not ended. Counted when dropped, so that one that was given up at its
/// deadline counts as one without a reply.
struct Pending {
    count: Count,
    method: Method,
    begun: BootTime,
    status: Option<u16>,
}

impl Pending {
    /// A method, so that the future holds all of it: a field alone would be copied into it.
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
