//! The queue of Events for the API server. Nothing waits for an Event: Events are for people, and
//! status says the same.
//!
//! Limits: at most a thousand Events wait, and the queue drops further ones. It tries each Event
//! once.

use futures::StreamExt;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::Event;
use tokio::sync::{mpsc, watch};

use crate::api::crd::PhoneMigration;
use crate::cluster::Cluster;

const MOST_WAITING: usize = 1000;
const AT_A_TIME: usize = 8;

/// Accepts Events; the task from [`EventQueue::new`] publishes them.
pub struct EventQueue {
    sender: mpsc::Sender<(Event, ObjectReference)>,
    pending: watch::Sender<usize>,
}

impl EventQueue {
    /// Returns the queue and the task that publishes; the task runs as long as the queue lives.
    pub fn new(cluster: Cluster) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        let pending = watch::Sender::new(0);
        let done = pending.clone();
        let events = futures::stream::unfold(receiver, |mut receiver| async move {
            Some((receiver.recv().await?, receiver))
        });
        let task = events.for_each_concurrent(AT_A_TIME, move |(event, object)| {
            let (cluster, done) = (cluster.clone(), done.clone());
            async move {
                if let Err(error) = cluster.publish(&event, &object).await {
                    let (namespace, name) = (object.namespace, object.name);
                    tracing::warn!(namespace, name, reason = %event.reason, %error, "Event not published");
                }
                done.send_modify(|pending| *pending -= 1);
            }
        });
        (Self { sender, pending }, task)
    }

    /// Queues an Event on the resource, or drops it if too many wait.
    pub fn put(&self, event: Event, object: &PhoneMigration) {
        self.put_on(event, object.object_ref(&()));
    }

    /// Like [`EventQueue::put`], for a resource that is known only by reference.
    pub fn put_on(&self, event: Event, object: ObjectReference) {
        self.pending.send_modify(|pending| *pending += 1);
        if let Err(refused) = self.sender.try_send((event, object)) {
            self.pending.send_modify(|pending| *pending -= 1);
            let (event, object) = refused.into_inner();
            let (namespace, name) = (object.namespace, object.name);
            tracing::warn!(namespace, name, reason = %event.reason, "Event dropped: too many wait");
        }
    }

    /// Waits until no Event is queued or being published.
    pub async fn drained(&self) {
        // An error would mean that the sender is dropped, but this struct owns it.
        let _ = self
            .pending
            .subscribe()
            .wait_for(|pending| *pending == 0)
            .await;
    }
}
