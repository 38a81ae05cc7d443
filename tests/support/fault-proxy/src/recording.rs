//! Replies and frames that are kept to be shown again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Bytes;

/// A kept reply.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// The replies or frames that a [`crate::FaultProxy::record`] or
/// [`crate::FaultProxy::record_frames`] keeps, for as long as any copy of it lives. Replies are
/// kept as the API server gave them.
#[derive(Clone, Default)]
pub struct Recording(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    stopped: bool,
    replies: Vec<Kept>,
    frames: Vec<Bytes>,
}

impl Recording {
    /// How many replies or frames it holds.
    pub fn count(&self) -> usize {
        let content = self.lock();
        content.replies.len() + content.frames.len()
    }

    /// Keeps nothing more; the recorded ones stay.
    pub fn stop(&self) {
        self.lock().stopped = true;
    }

    pub(crate) fn keep_reply(&self, kept: Kept) {
        let mut content = self.lock();
        if !content.stopped {
            content.replies.push(kept);
        }
    }

    pub(crate) fn keep_frame(&self, frame: Bytes) {
        let mut content = self.lock();
        if !content.stopped {
            content.frames.push(frame);
        }
    }

    /// The newest reply to a path.
    pub(crate) fn reply(&self, path: &str) -> Option<Kept> {
        let content = self.lock();
        let mut newest = content.replies.iter().rev();
        newest.find(|kept| kept.path == path).cloned()
    }

    pub(crate) fn frames(&self) -> Vec<Bytes> {
        self.lock().frames.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recording({})", self.count())
    }
}
