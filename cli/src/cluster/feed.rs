//! A watch on PhoneMigrations that reconnects by itself.

use std::collections::BTreeSet;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use phone_migration_api::crd::PhoneMigration;

use super::{ApiError, Cluster, Guarded, Key, Scope};

/// One piece of news.
pub enum News {
    /// The current state of a resource.
    Changed(Box<PhoneMigration>),
    /// Every existing resource was reported; it comes again after each reconnect.
    Complete,
    /// The resource was deleted.
    Gone(Key),
    /// The watch broke and reconnects.
    Trouble(ApiError),
}

/// A watch that reports news.
pub struct Feed {
    events: BoxStream<'static, watcher::Result<Event<Guarded>>>,
    before: BTreeSet<Key>,
    after: BTreeSet<Key>,
    gone: Vec<Key>,
}

impl Feed {
    /// Watches a scope. The news begin with every existing resource.
    pub fn of(cluster: &Cluster, scope: &Scope) -> Self {
        let config = watcher::Config {
            label_selector: scope.selector.clone(),
            field_selector: scope.fields(),
            ..watcher::Config::default()
        };
        let events = watcher(cluster.guarded(scope), config).default_backoff();
        Self {
            events: events.boxed(),
            before: BTreeSet::new(),
            after: BTreeSet::new(),
            gone: Vec::new(),
        }
    }

    /// Waits for the next news. Cancelling it loses nothing.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(key) = self.gone.pop() {
                return News::Gone(key);
            }
            match self.events.next().await {
                // The stream never ends. If it does, no more news come.
                None => std::future::pending::<()>().await,
                Some(Err(error)) => return News::Trouble(trouble(error)),
                Some(Ok(event)) => {
                    if let Some(news) = self.take(event) {
                        return news;
                    }
                }
            }
        }
    }

    fn take(&mut self, event: Event<Guarded>) -> Option<News> {
        match event {
            Event::Init => {
                self.after.clear();
                None
            }
            Event::InitApply(object) | Event::Apply(object) => {
                let object = object.0.ok()?;
                let key = Key::of(&object);
                self.after.insert(key.clone());
                self.before.insert(key);
                Some(News::Changed(Box::new(object)))
            }
            Event::InitDone => {
                let left: Vec<Key> = self.before.iter().cloned().collect();
                let gone = left.into_iter().filter(|key| !self.after.contains(key));
                self.gone = gone.collect();
                self.before.clone_from(&self.after);
                Some(News::Complete)
            }
            Event::Delete(object) => {
                let key = Key::of(&object.0.ok()?);
                self.before.remove(&key);
                self.after.remove(&key);
                Some(News::Gone(key))
            }
        }
    }
}

fn trouble(error: watcher::Error) -> ApiError {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error.into(),
        watcher::Error::WatchError(status) => ApiError::of(status.code, &status.message),
        watcher::Error::NoResourceVersion => {
            ApiError::Unreachable("its answer has no version".into())
        }
    }
}
