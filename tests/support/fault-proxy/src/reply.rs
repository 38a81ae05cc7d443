//! Replies as they leave the proxy.

use futures::stream;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::sync::mpsc;

use crate::error::Cut;
use crate::recording::Kept;
use crate::then::Answer;
use crate::upstream::passed;

/// A body that may break off.
pub(crate) type Body = UnsyncBoxBody<Bytes, Cut>;
/// A reply as hyper sends it.
pub(crate) type Reply = Response<Body>;
/// The rest of a body, piece by piece.
pub(crate) type Pieces = mpsc::Receiver<Result<Bytes, Cut>>;

/// A reply that was read, or made, as a whole.
pub(crate) struct Whole {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Whole {
    fn new(status: u16, content_type: &str, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(content_type) {
            headers.insert(header::CONTENT_TYPE, value);
        }
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers,
            body,
        }
    }

    pub(crate) fn of_answer(answer: &Answer) -> Self {
        let body = answer.value().to_string().into();
        let mut whole = Self::new(answer.status, "application/json", body);
        if let Some(seconds) = answer.retry_after {
            whole.headers.insert(header::RETRY_AFTER, seconds.into());
        }
        whole
    }

    pub(crate) fn of_kept(kept: Kept) -> Self {
        Self::new(kept.status, &kept.content_type, kept.body)
    }

    /// A watch that consists of one ERROR event.
    pub(crate) fn error_event(code: u16) -> Self {
        Self::new(200, "application/json", error_frame(code))
    }

    pub(crate) fn kept(&self, path: &str) -> Kept {
        let content_type = self.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        Kept {
            path: path.to_owned(),
            status: self.status.as_u16(),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: self.body.clone(),
        }
    }

    pub(crate) fn into_reply(self) -> Reply {
        let body = Full::new(self.body).map_err(|never| match never {});
        reply(self.status, &self.headers, body.boxed_unsync())
    }

    /// Promises the whole body, and breaks off after `bytes` of it.
    pub(crate) fn into_cut_reply(self, bytes: usize) -> Reply {
        let (sender, pieces) = mpsc::channel(2);
        let first = self.body.slice(..bytes.min(self.body.len()));
        // The channel has room for both.
        let _ = sender.try_send(Ok(first));
        let _ = sender.try_send(Err(Cut));
        let mut reply = streamed(self.status, &self.headers, pieces);
        let promised = self.body.len().into();
        reply.headers_mut().insert(header::CONTENT_LENGTH, promised);
        reply
    }
}

/// An ERROR event as a frame of a watch.
pub(crate) fn error_frame(code: u16) -> Bytes {
    let object = Answer::new(code).value();
    let frame = serde_json::json!({"type": "ERROR", "object": object});
    format!("{frame}\n").into()
}

/// A reply whose body comes in pieces.
pub(crate) fn streamed(status: StatusCode, headers: &HeaderMap, pieces: Pieces) -> Reply {
    let stream = stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        if piece.is_err() {
            // When a body fails, hyper drops the bytes that it has not flushed; it flushes when a
            // body has nothing ready.
            tokio::task::yield_now().await;
        }
        Some((piece.map(Frame::data), pieces))
    });
    reply(status, headers, StreamBody::new(stream).boxed_unsync())
}

fn reply(status: StatusCode, headers: &HeaderMap, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    *reply.headers_mut() = passed(headers);
    reply
}
