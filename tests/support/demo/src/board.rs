//! The state of every number as a watch of the API server reports it, and waits for a state.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::watch;

use crate::cast::{Role, cast};
use crate::screen::{Row, Screen};

/// Rows and the screen that shows them.
pub struct Board {
    inner: Mutex<(Vec<Row>, Screen)>,
    changed: watch::Sender<()>,
}

impl Board {
    /// No number was seen yet.
    pub fn new() -> Self {
        let rows = cast().into_iter().map(Row::new).collect();
        Self {
            inner: Mutex::new((rows, Screen::new())),
            changed: watch::Sender::new(()),
        }
    }

    /// Prints a line that stays.
    pub fn say(&self, text: &str) {
        let (rows, screen) = &mut *self.lock();
        screen.say(text, rows);
    }

    /// Text as it is, without the time. The recording has it, too.
    pub fn tell(&self, text: &str) {
        self.lock().1.tell(text);
    }

    /// The picture of what was shown so far.
    pub fn recording(&self) -> String {
        self.lock().1.recording()
    }

    /// Text as it is, without the time. It may be too wide for the recording, or name paths of this
    /// machine: the recording does not have it.
    pub fn print(&self, text: &str) {
        self.lock().1.print(text);
    }

    /// No more table.
    pub fn finish(&self) {
        self.lock().1.finish();
    }

    pub fn seconds(&self) -> f64 {
        self.lock().1.seconds()
    }

    /// Records every change that the API server reports, for as long as it is polled.
    pub async fn follow(&self, api: Api<DynamicObject>) {
        watcher(api, watcher::Config::default())
            .default_backoff()
            .applied_objects()
            .for_each(|object| async move {
                if let Ok(object) = object {
                    self.take_in(&object);
                }
            })
            .await;
    }

    fn take_in(&self, object: &DynamicObject) {
        let status = &object.data["status"];
        let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
        let (rows, screen) = &mut *self.lock();
        let at = screen.seconds();
        let found = rows.iter_mut().position(|row| {
            row.role.name == object.name_any()
                && Some(row.role.namespace) == object.namespace().as_deref()
        });
        let Some(row) = found.and_then(|index| rows.get_mut(index)) else {
            return;
        };
        row.id = text("id");
        row.error_code = text("errorCode");
        let reason = text("reason");
        if reason.is_empty() || reason == row.reason {
            return;
        }
        let before = std::mem::replace(&mut row.reason, reason.clone());
        row.had.push(reason);
        row.at = at;
        let row = row.clone();
        screen.changed(&row, &before, rows);
        self.changed.send_replace(());
    }

    /// Waits until every one of `roles` satisfies `holds`; otherwise returns the names of those
    /// that did not within `limit`.
    pub async fn until(
        &self,
        roles: &[Role],
        limit: Duration,
        holds: impl Fn(&Row) -> bool,
    ) -> Result<(), String> {
        let mut changed = self.changed.subscribe();
        let missing = || {
            let (rows, _) = &*self.lock();
            let late: Vec<String> = rows
                .iter()
                .filter(|row| roles.contains(&row.role) && !holds(row))
                .map(|row| match row.reason.as_str() {
                    "" => format!("{} (no status)", row.role.full_name()),
                    reason => format!("{} ({reason})", row.role.full_name()),
                })
                .collect();
            late
        };
        let wait = async {
            while !missing().is_empty() {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        match tokio::time::timeout(limit, wait).await {
            Ok(()) => Ok(()),
            Err(_) => Err(missing().join(", ")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<Row>, Screen)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
