//! Deadlines below kube's client: a peer that accepts and never answers, or stops half way, blocks
//! nothing here.
//!
//! The reply to a watch must begin in time and may then last: if its events stop, kube's watcher
//! starts another watch (see [`super::watch`]). Every other reply must be complete in time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tower::{BoxError, Layer, Service};

/// Until the reply to a watch begins; the API server sends the response head at once.
const WATCH_BEGINS_WITHIN: Duration = Duration::from_secs(5);
/// For any other reply. If a caller waits for the reply, the shorter [`super::DEADLINE`] applies.
const COMPLETE_WITHIN: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
#[error("no answer from the API server within {0:?}")]
struct Late(Duration);

/// The layer that gives the whole client its deadlines.
#[derive(Clone)]
pub(super) struct Deadlines;

impl<S> Layer<S> for Deadlines {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed { inner }
    }
}

/// A client whose requests have deadlines.
#[derive(Clone)]
pub(super) struct Timed<S> {
    inner: S,
}

impl<S, A, B> Service<Request<A>> for Timed<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<TimedBody<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (within, lasts) = match is_watch(request.uri()) {
            true => (WATCH_BEGINS_WITHIN, true),
            false => (COMPLETE_WITHIN, false),
        };
        let end = Instant::now() + within;
        let reply = self.inner.call(request);
        Box::pin(async move {
            let reply = timeout_at(end, reply).await.map_err(|_| Late(within))?;
            let end = (!lasts).then(|| Box::pin(sleep_until(end)));
            Ok(reply
                .map_err(Into::into)?
                .map(|body| TimedBody { body, end }))
        })
    }
}

fn is_watch(uri: &Uri) -> bool {
    let mut parameters = uri.query().unwrap_or_default().split('&');
    parameters.any(|parameter| parameter == "watch=true")
}

/// A body that fails if it is not complete in time.
pub(super) struct TimedBody<B> {
    body: B,
    end: Option<Pin<Box<Sleep>>>,
}

impl<B> Body for TimedBody<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(end) = &mut self.end else {
            return Poll::Pending;
        };
        ready!(end.as_mut().poll(cx));
        Poll::Ready(Some(Err(Late(COMPLETE_WITHIN).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;

    use http_body_util::{BodyExt, Full, StreamBody};
    use hyper::body::Bytes;
    use tower::{ServiceExt, service_fn};

    use super::*;

    const LIST: &str = "/apis/phonemigration.dev/v1alpha1/phonemigrations?&limit=50";
    const WATCH: &str =
        "/apis/phonemigration.dev/v1alpha1/phonemigrations?&watch=true&timeoutSeconds=55";

    /// Sends one request and reads its reply; returns the time it took, and whether it was
    /// complete.
    async fn asked<F, B>(path: &str, reply: impl Fn() -> F) -> (Duration, bool)
    where
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error = Infallible> + Unpin,
    {
        let service = service_fn(|_: Request<()>| {
            let reply = reply();
            async { Ok::<_, Infallible>(reply.await) }
        });
        let client = Deadlines.layer(service);
        let begun = Instant::now();
        let reply = client.oneshot(Request::get(path).body(()).unwrap()).await;
        let complete = match reply {
            Ok(reply) => reply.into_body().collect().await.is_ok(),
            Err(_) => false,
        };
        (begun.elapsed(), complete)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_answers_is_given_up() {
        let never = std::future::pending::<Response<Full<Bytes>>>;
        assert_eq!(asked(LIST, never).await, (COMPLETE_WITHIN, false));
        assert_eq!(asked(WATCH, never).await, (WATCH_BEGINS_WITHIN, false));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_watch_may_last() {
        let long = COMPLETE_WITHIN * 10;
        let slow = || async move {
            let rest = futures::stream::once(async move {
                tokio::time::sleep(long).await;
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"{}")))
            });
            Response::new(StreamBody::new(Box::pin(rest)))
        };
        assert_eq!(asked(LIST, slow).await, (COMPLETE_WITHIN, false));
        assert_eq!(asked(WATCH, slow).await, (long, true));
    }
}
