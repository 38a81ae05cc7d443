//! Rules in force: their hits, the requests and frames that they hold, and a test's handle on one
//! of them.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::Error;
use crate::log::{Hit, Log, Request};
use crate::recording::Recording;
use crate::then::{FrameThen, Then};
use crate::when::{Count, Seen, When};

/// Default of the longest wait for a hit.
const PATIENCE: Duration = Duration::from_secs(45);

/// The effect of a rule.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Request(Then),
    Frame(FrameThen),
    RecordReply(Recording),
    RecordFrame(Recording),
}

/// A held request or frame waits for a later wave than the one it came in, or for the end of the
/// rule.
#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    wave: u64,
    open: bool,
}

/// A rule in force.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) action: Action,
    when: When,
    label: Arc<str>,
    log: Log,
    count: Mutex<Count>,
    hits: Mutex<Vec<Hit>>,
    changed: watch::Sender<usize>,
    gate: watch::Sender<Gate>,
}

impl Core {
    /// It takes effect now.
    pub(crate) fn hit(&self, request: &Request, frame: Option<(&str, &str, &Arc<Value>)>) {
        let (event, name, body) = match frame {
            None => (None, request.target.name.as_str(), &request.body),
            Some((event, name, object)) => (Some(event.to_owned()), name, object),
        };
        let hit = Hit {
            at: Instant::now(),
            seq: request.seq,
            rule: Arc::clone(&self.label),
            name: name.to_owned(),
            event,
            body: Arc::clone(body),
        };
        self.log.hit(hit.clone());
        let count = {
            let mut hits = locked(&self.hits);
            hits.push(hit);
            hits.len()
        };
        self.changed.send_replace(count);
    }

    /// Records the hit, and waits for the release. A caller that has seen the hit releases it.
    pub(crate) async fn hold(&self, hit: impl FnOnce(&Self)) {
        let mut gate = self.gate.subscribe();
        let wave = gate.borrow_and_update().wave;
        hit(self);
        // An error means that the rule is gone.
        let _ = gate.wait_for(|gate| gate.open || gate.wave > wave).await;
    }

    fn release(&self, for_good: bool) {
        self.gate.send_modify(|gate| {
            gate.wave += 1;
            gate.open |= for_good;
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All rules in force, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Rules(Mutex<Vec<Arc<Core>>>);

impl Rules {
    pub(crate) fn add(&self, when: When, action: Action, log: Log) -> Arc<Core> {
        let what = match &action {
            Action::Request(then) => format!("{then:?}"),
            Action::Frame(then) => format!("{then:?}"),
            Action::RecordReply(_) => "record reply".to_owned(),
            Action::RecordFrame(_) => "record frame".to_owned(),
        };
        let core = Arc::new(Core {
            label: format!("{when}: {what}").into(),
            action,
            when,
            log,
            count: Mutex::default(),
            hits: Mutex::default(),
            changed: watch::Sender::new(0),
            gate: watch::Sender::new(Gate::default()),
        });
        locked(&self.0).push(Arc::clone(&core));
        core
    }

    /// The rules that `seen` meets, counted.
    pub(crate) fn meet(&self, seen: &Seen<'_>) -> Vec<Arc<Core>> {
        let of_frames = |action: &Action| match action {
            Action::Request(_) | Action::RecordReply(_) => false,
            Action::Frame(_) | Action::RecordFrame(_) => true,
        };
        let rules = locked(&self.0);
        let fitting = rules
            .iter()
            .filter(|core| of_frames(&core.action) == seen.event.is_some())
            .filter(|core| core.when.fits(seen));
        fitting
            .filter(|core| locked(&core.count).take(&core.when))
            .cloned()
            .collect()
    }

    fn remove(&self, gone: &Arc<Core>) {
        locked(&self.0).retain(|core| !Arc::ptr_eq(core, gone));
    }
}

/// A rule in force. Dropping it removes the rule and releases everything it holds: bind it to a
/// name (`let _ = …` drops it at once).
#[must_use = "a rule that is dropped is taken out"]
pub struct Rule {
    core: Arc<Core>,
    rules: Arc<Rules>,
    awaited: AtomicUsize,
}

impl Rule {
    pub(crate) fn new(core: Arc<Core>, rules: Arc<Rules>) -> Self {
        Self {
            core,
            rules,
            awaited: AtomicUsize::new(0),
        }
    }

    /// Waits for the first hit; called again, for the next one, and so on: each is returned
    /// once. A rule is hit when it takes effect: one that acts on the reply, when the API
    /// server has answered; one that holds, when something is held. At most 45 s.
    pub async fn hit(&self) -> Result<Hit, Error> {
        self.hit_within(PATIENCE).await
    }

    /// The same with another limit.
    pub async fn hit_within(&self, within: Duration) -> Result<Hit, Error> {
        let at = self.awaited.load(Ordering::Acquire);
        let mut changed = self.core.changed.subscribe();
        let waited = timeout(within, changed.wait_for(|count| *count > at)).await;
        // Must not be kept: it locks the channel.
        drop(waited);
        let found = locked(&self.core.hits).get(at).cloned();
        self.awaited
            .fetch_add(usize::from(found.is_some()), Ordering::AcqRel);
        found.ok_or_else(|| Error::NotMet {
            rule: self.core.label.to_string(),
            within,
            hits: at,
        })
    }

    /// How often it took effect so far.
    pub fn hits(&self) -> usize {
        locked(&self.core.hits).len()
    }

    /// Releases everything it holds now; later requests are held again, if the counters allow it.
    pub fn release(&self) {
        self.core.release(false);
    }

    /// Removes it and releases everything it holds.
    pub fn remove(self) {
        drop(self);
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        self.rules.remove(&self.core);
        self.core.release(true);
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({}, {} hits)", self.core.label, self.hits())
    }
}
