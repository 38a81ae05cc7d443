//! Requests that a gate holds, and the tasks that wait for them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::fault::{Drop, Stage};

/// A request that is being held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// For `release`; never used again.
    pub id: u64,
    /// Where it is held.
    pub at: Stage,
    /// Its entry in the ledger.
    pub seq: u64,
    pub action: String,
    pub phone: Option<String>,
}

/// How a held request goes on after its release. In JSON `how` names the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Release {
    /// It goes on.
    Continue,
    /// It is lost with a FIN.
    Close,
    /// It is lost with a RST.
    Reset,
    /// It is lost in silence.
    Blackhole,
}

impl Release {
    pub fn drop(self) -> Option<Drop> {
        match self {
            Self::Continue => None,
            Self::Close => Some(Drop::Close),
            Self::Reset => Some(Drop::Reset),
            Self::Blackhole => Some(Drop::Blackhole),
        }
    }
}

/// All held requests.
#[derive(Debug)]
pub struct Registry {
    waiting: Mutex<Waiting>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Waiting {
    held: BTreeMap<u64, (Held, oneshot::Sender<Release>)>,
    last_id: u64,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Registry {
    /// Holds a request until it is released. `held.id` is given here.
    pub async fn hold(&self, mut held: Held) -> Release {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.lock();
            waiting.last_id += 1;
            held.id = waiting.last_id;
            waiting.held.insert(held.id, (held, sender));
        }
        self.changed.send_modify(|version| *version += 1);
        // A dropped sender means that the simulator stops.
        receiver.await.unwrap_or(Release::Close)
    }

    /// The requests held now, in the order they came.
    pub fn all(&self) -> Vec<Held> {
        self.lock()
            .held
            .values()
            .map(|(held, _)| held.clone())
            .collect()
    }

    /// Waits until a request that fits is held; `None` after the timeout.
    pub async fn wait(&self, limit: Duration, fits: impl Fn(&Held) -> bool) -> Option<Held> {
        let end = Instant::now() + limit;
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if let Some(held) = self.all().into_iter().find(|held| fits(held)) {
                return Some(held);
            }
            timeout_at(end, changed.changed()).await.ok()?.ok()?;
        }
    }

    /// Releases one; false if it is not held.
    pub fn release(&self, id: u64, how: Release) -> bool {
        let taken = self.lock().held.remove(&id);
        taken.is_some_and(|(_, sender)| sender.send(how).is_ok())
    }

    /// Releases all; returns how many.
    pub fn release_all(&self, how: Release) -> usize {
        let ids: Vec<_> = self.all().iter().map(|held| held.id).collect();
        ids.into_iter().filter(|id| self.release(*id, how)).count()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
