//! The resources to reconcile: each is in line once, however often it is triggered.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::api::object_key::ObjectKey;

type InLine = Arc<Mutex<HashSet<ObjectKey>>>;

/// The lines of the controllers, by watched namespace; `""` takes all other namespaces.
#[derive(Default)]
pub struct Triggers(HashMap<String, Line>);

struct Line {
    in_line: InLine,
    sender: UnboundedSender<ObjectKey>,
}

/// The receiving end of one controller's line.
pub struct Triggered {
    in_line: InLine,
    receiver: UnboundedReceiver<ObjectKey>,
}

impl Triggers {
    /// Adds the line of the controller that watches this namespace, `None` for all.
    pub fn add(&mut self, namespace: Option<&str>) -> Triggered {
        let (sender, receiver) = unbounded_channel();
        let in_line = InLine::default();
        let line = Line {
            in_line: Arc::clone(&in_line),
            sender,
        };
        self.0
            .insert(namespace.unwrap_or_default().to_owned(), line);
        Triggered { in_line, receiver }
    }

    fn line(&self, namespace: &str) -> Option<&Line> {
        self.0.get(namespace).or_else(|| self.0.get(""))
    }

    /// Puts the resource in line, unless it is there already.
    pub fn send(&self, key: &ObjectKey) {
        let Some(line) = self.line(&key.namespace) else {
            return;
        };
        let mut in_line = line.in_line.lock().unwrap_or_else(PoisonError::into_inner);
        if in_line.insert(key.clone()) {
            // The receiver is dropped only with the whole process.
            let _ = line.sender.send(key.clone());
        }
    }

    /// The namespaces that the controllers watch; `""` stands for all.
    pub fn namespaces(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// True if a controller watches the namespace.
    pub fn has(&self, namespace: &str) -> bool {
        self.line(namespace).is_some()
    }
}

impl Triggered {
    /// Takes the next resource out of the line; it may be put there again from now on.
    pub async fn next(&mut self) -> Option<ObjectKey> {
        let key = self.receiver.recv().await?;
        let mut in_line = self.in_line.lock().unwrap_or_else(PoisonError::into_inner);
        in_line.remove(&key);
        drop(in_line);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn a_resource_is_in_line_once_until_it_is_taken_out() {
        let mut triggers = Triggers::default();
        let mut triggered = triggers.add(None);
        let key = |name: &str| ObjectKey {
            namespace: "tenant-a".into(),
            name: name.into(),
        };
        for _ in 0..1_000 {
            triggers.send(&key("a"));
            triggers.send(&key("b"));
        }
        assert_eq!(triggered.receiver.len(), 2);
        assert_eq!(triggered.next().await, Some(key("a")));
        triggers.send(&key("a"));
        assert_eq!(triggered.next().await, Some(key("b")));
        assert_eq!(triggered.next().await, Some(key("a")));
        assert_eq!(triggered.receiver.len(), 0);
    }

    #[tokio::test]
    async fn each_controller_has_the_line_of_its_namespace() {
        let mut triggers = Triggers::default();
        let mut a = triggers.add(Some("a"));
        let _b = triggers.add(Some("b"));
        let key = |namespace: &str| ObjectKey {
            namespace: namespace.into(),
            name: "m".into(),
        };
        for namespace in ["b", "c", "a"] {
            triggers.send(&key(namespace));
        }
        assert_eq!((a.next().await, a.receiver.len()), (Some(key("a")), 0));
        assert_eq!(
            ["a", "b", "c"].map(|name| triggers.has(name)),
            [true, true, false]
        );
    }
}
