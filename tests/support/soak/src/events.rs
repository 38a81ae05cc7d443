//! The log of all actions, one JSON object per line, by the simulator's clock, which the ledger
//! uses too; and the spells that excuse unknown outcomes.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use harness::{Error, Result, World};
use serde::Serialize;
use serde_json::{Value, json};

/// The effect of a spell on the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spell {
    /// An operator was killed at its beginning and started again at its end.
    Killed,
    /// An operator was told to stop at its beginning.
    Terminated,
    /// An operator was stopped (SIGSTOP).
    Frozen,
    /// The API server, or etcd behind it, did not answer.
    ClusterAway,
    /// Calls arrived unevenly.
    Uneven,
}

/// A spell, in microseconds of the ledger's clock; without an end while it lasts.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub spell: Spell,
    pub from: u64,
    pub to: Option<u64>,
}

impl Span {
    /// Whether any of it lies in `[from, to]`.
    pub fn overlaps(&self, from: u64, to: u64) -> bool {
        self.from <= to && self.to.is_none_or(|end| end >= from)
    }
}

/// The log.
pub struct Events {
    world: Arc<World>,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    spans: Vec<Span>,
    problems: Vec<String>,
}

impl Events {
    /// Writes to a new file.
    pub fn new(world: Arc<World>, path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(Error::at(path.display()))?;
        let inner = Mutex::new(Inner {
            file,
            spans: Vec::new(),
            problems: Vec::new(),
        });
        Ok(Self { world, inner })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds of the ledger's clock.
    pub fn now_us(&self) -> u64 {
        self.world.sim.now_us()
    }

    /// A line: an action, with details that hold no codes.
    pub fn note(&self, what: &str, details: impl Serialize) {
        let details = serde_json::to_value(details).unwrap_or(Value::Null);
        let mut line = json!({
            "us": self.now_us(),
            "at": jiff::Timestamp::now().to_string(),
            "event": what,
        });
        match (line.as_object_mut(), details) {
            (Some(line), Value::Object(details)) => line.extend(details),
            (Some(line), details) => drop(line.insert("details".to_owned(), details)),
            (None, _) => {}
        }
        // A full disk must not end the run; the missing lines show it.
        let _ = writeln!(self.lock().file, "{line}");
    }

    /// Records a broken promise, found during the run.
    pub fn problem(&self, what: String) {
        self.note("problem", json!({"what": what}));
        self.lock().problems.push(what);
    }

    pub fn problems(&self) -> Vec<String> {
        self.lock().problems.clone()
    }

    /// A spell begins; its number is for `end`.
    pub fn begin(&self, spell: Spell) -> usize {
        let from = self.now_us();
        let spans = &mut self.lock().spans;
        spans.push(Span {
            spell,
            from,
            to: None,
        });
        spans.len() - 1
    }

    /// The spell is over.
    pub fn end(&self, span: usize) {
        let now = self.now_us();
        if let Some(span) = self.lock().spans.get_mut(span) {
            span.to = Some(now);
        }
    }

    pub fn spans(&self) -> Vec<Span> {
        self.lock().spans.clone()
    }
}
