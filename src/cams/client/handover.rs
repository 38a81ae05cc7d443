//! An empty request body that records when the HTTP stack took the request.
//!
//! The stack drops an empty body in the same step in which it writes the request's head to its
//! buffer, right before the write to the socket. That moment is the best measure of how late a send
//! is after its gate. The library keeps no copy of a streaming body, so no layer can repeat such a
//! request.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::Empty;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::clock::{self, Now};

pub(super) struct Handover(Option<oneshot::Sender<Now>>);

impl Handover {
    pub(super) fn new(written: oneshot::Sender<Now>) -> Self {
        Self(Some(written))
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        if let Some(written) = self.0.take() {
            // The receiver may be gone.
            let _ = written.send(clock::now());
        }
    }
}

impl Body for Handover {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut Empty::new()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}
