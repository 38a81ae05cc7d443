//! The effect on a request, or on a frame of a watch, that meets a rule. PURE.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::log::Request;
use crate::recording::Recording;

/// Run when a request meets a rule; must be short, since everything else waits.
pub type Hook = Arc<dyn Fn(&Request) + Send + Sync>;
/// Makes another body of a body.
pub type Change = Arc<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>;

/// The effect on a request. A request that meets several rules meets all of them, in the order in
/// which they were added: first the effects before forwarding, then the first one that replaces it,
/// then, if it was forwarded, the effects after it.
#[derive(Clone)]
pub enum Then {
    /// Before: held until released, then forwarded, also when its client has gone.
    Hold,
    /// Before: a closure, for example one that kills the client.
    Before(Hook),
    /// Instead: answered here.
    Answer(Answer),
    /// Instead: the connection is closed.
    Close,
    /// Instead: the newest recorded reply to the same path. Without one it is forwarded.
    Replay(Recording),
    /// Instead, for a watch: it begins with an ERROR event of this code, and ends.
    ErrorEvent {
        /// Such as 410.
        code: u16,
    },
    /// After: a closure, when the proxy has the reply and the client does not.
    After(Hook),
    /// After: the reply is kept until released. Of a watch: its beginning.
    HoldReply,
    /// After: executed, but the client does not get the reply.
    SwallowReply(Lost),
    /// After: another body. Of a watch: of every frame.
    CorruptBody(Change),
    /// After: the connection is closed within the body.
    CutBody {
        /// So many bytes of it come through.
        after_bytes: usize,
    },
}

impl Then {
    /// Runs `hook` before the request is forwarded.
    pub fn before(hook: impl Fn(&Request) + Send + Sync + 'static) -> Self {
        Self::Before(Arc::new(hook))
    }

    /// Runs `hook` when the API server has answered and the client has not got the answer.
    pub fn after(hook: impl Fn(&Request) + Send + Sync + 'static) -> Self {
        Self::After(Arc::new(hook))
    }

    /// Changes the body of the reply.
    pub fn corrupt(change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::CorruptBody(Arc::new(change))
    }

    /// Answers with an HTTP status and does not forward.
    pub fn answer(status: u16) -> Self {
        Self::Answer(Answer::new(status))
    }

    /// Forwards, and closes the connection without a reply.
    pub fn swallow() -> Self {
        Self::SwallowReply(Lost::Close)
    }

    /// Forwards, and answers with another status than the API server did.
    pub fn swallow_and_answer(status: u16) -> Self {
        Self::SwallowReply(Lost::Answer(Answer::new(status)))
    }

    fn word(&self) -> String {
        match self {
            Then::Hold => "hold".into(),
            Then::Before(_) => "run before".into(),
            Then::Answer(answer) => format!("answer {}", answer.status),
            Then::Close => "close".into(),
            Then::Replay(_) => "replay".into(),
            Then::ErrorEvent { code } => format!("error event {code}"),
            Then::After(_) => "run after".into(),
            Then::HoldReply => "hold reply".into(),
            Then::SwallowReply(Lost::Close) => "swallow reply".into(),
            Then::SwallowReply(Lost::Answer(answer)) => {
                format!("swallow reply, answer {}", answer.status)
            }
            Then::CorruptBody(_) => "corrupt body".into(),
            Then::CutBody { after_bytes } => format!("cut body after {after_bytes}"),
        }
    }
}

/// The client's end of a swallowed reply.
#[derive(Clone, Debug)]
pub enum Lost {
    /// A closed connection.
    Close,
    /// This answer.
    Answer(Answer),
}

/// An answer in the API server's form.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// `reason` of the Status object.
    pub reason: String,
    /// `message` of the Status object.
    pub message: String,
    /// Seconds, in `Retry-After`.
    pub retry_after: Option<u64>,
    /// In place of a Status object.
    pub body: Option<Value>,
}

impl Answer {
    /// With the reason that belongs to the status.
    pub fn new(status: u16) -> Self {
        let reason = match status {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            410 => "Expired",
            422 => "Invalid",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "",
        };
        Self {
            status,
            reason: reason.to_owned(),
            message: "answered by the fault proxy".to_owned(),
            retry_after: None,
            body: None,
        }
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn value(&self) -> Value {
        let status = || {
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": self.message, "reason": self.reason, "code": self.status,
            })
        };
        self.body.clone().unwrap_or_else(status)
    }
}

/// The effect on a frame of a watch. A frame that meets several rules meets all of them, in the
/// order in which they were added.
#[derive(Clone)]
pub enum FrameThen {
    /// It never comes.
    Drop,
    /// It comes twice.
    Duplicate,
    /// This frame and all later ones of this watch are held until released.
    Hold,
    /// After it the recorded frames come once more.
    Replay(Recording),
}

impl FrameThen {
    fn word(&self) -> String {
        match self {
            FrameThen::Drop => "drop frame".into(),
            FrameThen::Duplicate => "duplicate frame".into(),
            FrameThen::Hold => "hold frames".into(),
            FrameThen::Replay(_) => "replay frames".into(),
        }
    }
}

impl fmt::Debug for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word())
    }
}

impl fmt::Debug for FrameThen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word())
    }
}
