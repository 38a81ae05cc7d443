//! Events on their way to the API server. Nothing waits for them: they are for people, and
//! status says the same.
//!
//! Limits: a thousand wait at most, and what comes on top is dropped; none is tried twice.

use futures::StreamExt;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::Event;
use tokio::sync::{mpsc, watch};

use crate::cluster::Cluster;
use crate::crd::PhoneMigration;

const MOST_WAITING: usize = 1000;
const AT_A_TIME: usize = 8;

/// Takes Events; the task that came with it publishes them.
pub struct EventQueue {
    sender: mpsc::Sender<(Event, ObjectReference)>,
    pending: watch::Sender<usize>,
}

impl EventQueue {
    /// The queue, and the task that publishes; it runs for as long as the queue lives.
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

    /// Has an Event on the resource published, unless too many wait.
    pub fn put(&self, event: Event, object: &PhoneMigration) {
        let object = object.object_ref(&());
        self.pending.send_modify(|pending| *pending += 1);
        if let Err(refused) = self.sender.try_send((event, object)) {
            self.pending.send_modify(|pending| *pending -= 1);
            let (event, object) = refused.into_inner();
            let (namespace, name) = (object.namespace, object.name);
            tracing::warn!(namespace, name, reason = %event.reason, "Event dropped: too many wait");
        }
    }

    /// Waits until none is on its way.
    pub async fn drained(&self) {
        // An error would mean that the sender is gone, and this struct holds it.
        let _ = self
            .pending
            .subscribe()
            .wait_for(|pending| *pending == 0)
            .await;
    }
}
