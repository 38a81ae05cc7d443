//! Liveness and readiness of the process, as values that tasks set and probes read.
//!
//! Neither depends on CAMS or on a short failure of the API server: a restart repairs neither, and
//! a restart during an attempt costs a code's outcome.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The part that stays unready until `main` has wired everything.
const START: &str = "start";

/// Shared by the tasks and the probes.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Parts that are not ready, each with a one-line reason.
    waiting: BTreeMap<String, String>,
    /// Core tasks that ended before shutdown.
    dead: Vec<&'static str>,
    stopping: bool,
}

impl Health {
    /// Alive, and not ready until [`Health::started`].
    pub fn new() -> Arc<Self> {
        let waiting = BTreeMap::from([(START.to_owned(), "The operator is starting".to_owned())]);
        Arc::new(Self {
            state: Mutex::new(State {
                waiting,
                dead: Vec::new(),
                stopping: false,
            }),
        })
    }

    /// Everything is wired; parts that called [`Health::not_ready`] still count.
    pub fn started(&self) {
        self.ready(START);
    }

    /// This part is not ready; the reason is one line for users, without secrets.
    pub fn not_ready(&self, part: impl Into<String>, reason: impl Into<String>) {
        self.lock().waiting.insert(part.into(), reason.into());
    }

    /// This part is ready.
    pub fn ready(&self, part: &str) {
        self.lock().waiting.remove(part);
    }

    /// Shutdown began: the process is not ready any more, and a task that ends is not a failure.
    pub fn stopping(&self) {
        self.lock().stopping = true;
    }

    /// A guard that a core task holds while it runs. If a return or a panic drops it before
    /// [`Health::stopping`], the process counts as dead.
    #[must_use = "the task counts as dead when the guard is dropped"]
    pub fn task(self: &Arc<Self>, name: &'static str) -> TaskGuard {
        TaskGuard {
            health: Arc::clone(self),
            name,
        }
    }

    /// For `/livez`.
    ///
    /// # Errors
    /// One line with the core tasks that died.
    pub fn alive(&self) -> Result<(), String> {
        let state = self.lock();
        if state.dead.is_empty() {
            return Ok(());
        }
        Err(format!("Core task ended: {}", state.dead.join(", ")))
    }

    /// For `/readyz`.
    ///
    /// # Errors
    /// One line with everything that the process waits for.
    pub fn readiness(&self) -> Result<(), String> {
        self.alive()?;
        let state = self.lock();
        if state.stopping {
            return Err("The operator is stopping".to_owned());
        }
        if state.waiting.is_empty() {
            return Ok(());
        }
        let reasons: Vec<&str> = state.waiting.values().map(String::as_str).collect();
        Err(reasons.join("; "))
    }

    /// A panic elsewhere must not break the probes: the state is plain data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Guard of a running core task; see [`Health::task`].
#[derive(Debug)]
pub struct TaskGuard {
    health: Arc<Health>,
    name: &'static str,
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        let mut state = self.health.lock();
        if !state.stopping {
            state.dead.push(self.name);
        }
    }
}
