//! Every request that was seen, and every fault that was done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::request::Target;

/// One request. Headers are not kept: one of them is the client's token.
#[derive(Clone, Debug)]
pub struct Request {
    /// 1, 2, 3 … in the order of arrival.
    pub seq: u64,
    /// When it had been read.
    pub at: Instant,
    /// The object of the request.
    pub target: Target,
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Query, without the question mark; empty if there is none.
    pub query: String,
    /// The body, if it is JSON; else null.
    pub body: Arc<Value>,
    /// The API server's answer, if it was forwarded and answered.
    pub upstream: Option<u16>,
    /// The status that the client got; `None`: nothing yet, or its connection was closed.
    pub status: Option<u16>,
    /// When the client got it, or was cut off.
    pub ended: Option<Instant>,
}

/// A rule that took effect.
#[derive(Clone, Debug)]
pub struct Hit {
    pub at: Instant,
    /// `seq` of the request; of a frame: that of its watch.
    pub seq: u64,
    /// The rule with its effect.
    pub rule: Arc<str>,
    pub name: String,
    /// The type of the frame's event; `None`: this is a request.
    pub event: Option<String>,
    /// The body of the request, or the object of the frame; null if there is none.
    pub body: Arc<Value>,
}

/// The requests and hits of one proxy. Outlives the proxy.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    requests: Vec<Request>,
    hits: Vec<Hit>,
}

impl Log {
    /// Every request, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// Every hit of every rule, in order.
    pub fn hits(&self) -> Vec<Hit> {
        self.lock().hits.clone()
    }

    /// Adds a request, which gets its number here.
    pub(crate) fn begin(&self, mut request: Request) -> Request {
        let mut entries = self.lock();
        request.seq = entries.requests.len() as u64 + 1;
        entries.requests.push(request.clone());
        request
    }

    pub(crate) fn answered(&self, seq: u64, status: u16) {
        self.change(seq, |request| request.upstream = Some(status));
    }

    pub(crate) fn ended(&self, seq: u64, status: Option<u16>) {
        self.change(seq, |request| {
            request.status = status;
            request.ended = Some(Instant::now());
        });
    }

    pub(crate) fn hit(&self, hit: Hit) {
        self.lock().hits.push(hit);
    }

    fn change(&self, seq: u64, change: impl FnOnce(&mut Request)) {
        let at = usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(request) = self.lock().requests.get_mut(at) {
            change(request);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
