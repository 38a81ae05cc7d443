//! The state of each namespace's watch: whether its list was complete, and what hinders it.

use std::collections::BTreeMap;

use tokio::sync::watch;

/// The state of one watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The API server has answered for this namespace.
    pub reached: bool,
    /// Its first list was complete, so all its resources are known.
    pub listed: bool,
    /// What hinders the watch.
    pub trouble: Option<Trouble>,
}

/// What hinders a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// RBAC forbids it.
    Forbidden,
    /// Any other failure.
    Failing,
}

/// The watches by namespace; `""` is the watch of all namespaces.
pub struct Views(watch::Sender<BTreeMap<String, View>>);

impl Views {
    /// The watches of these namespaces.
    pub fn new<'a>(namespaces: impl IntoIterator<Item = &'a String>) -> Self {
        let start = |namespace: &String| (namespace.clone(), View::default());
        Self(watch::Sender::new(
            namespaces.into_iter().map(start).collect(),
        ))
    }

    fn update(&self, namespace: Option<&str>, f: impl FnOnce(&mut View)) {
        self.0.send_if_modified(|views| {
            let Some(view) = views.get_mut(namespace.unwrap_or_default()) else {
                return false;
            };
            let before = *view;
            f(view);
            *view != before
        });
    }

    /// The API server answered.
    pub fn reached(&self, namespace: Option<&str>) {
        self.update(namespace, |view| {
            (view.reached, view.trouble) = (true, None)
        });
    }

    /// The API server refused, or did not answer.
    pub fn failed(&self, namespace: Option<&str>, trouble: Trouble) {
        self.update(namespace, |view| view.trouble = Some(trouble));
    }

    /// A list was complete; true if it was the first.
    pub fn listed(&self, namespace: Option<&str>) -> bool {
        let mut first = false;
        self.update(namespace, |view| {
            first = !std::mem::replace(&mut view.listed, true)
        });
        first
    }

    /// True once each watch has had a complete list.
    pub fn all_listed(&self) -> bool {
        self.0.borrow().values().all(|view| view.listed)
    }

    /// For tasks that wait for a change.
    pub fn subscribe(&self) -> watch::Receiver<BTreeMap<String, View>> {
        self.0.subscribe()
    }

    /// Waits until the API server has answered for this namespace.
    pub async fn until_reached(&self, namespace: Option<&str>) {
        let is_reached = |views: &BTreeMap<String, View>| {
            let view = views.get(namespace.unwrap_or_default());
            view.is_none_or(|view| view.reached)
        };
        // An error would mean that the sender is dropped, but this struct owns it.
        let _ = self.subscribe().wait_for(is_reached).await;
    }
}
