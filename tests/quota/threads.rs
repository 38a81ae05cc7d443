//! The dispatcher by the real clock, on several threads.

use phone_migration_operator::clock;
use phone_migration_operator::quota::{Quota, Report, Settings};
use tokio::sync::mpsc;

use super::dispatcher::slot;
use super::{SUBMIT, ms, queue_entry, s, uid_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_real_clock_nothing_leaves_early() {
    let (wake, mut woken) = mpsc::unbounded_channel();
    let began = clock::boot();
    let (quota, task) = Quota::new(Settings { qps: 50 }, wake);
    let task = tokio::spawn(task);
    for i in 0..20 {
        quota.enqueue(queue_entry(&format!("ns{}", i % 3), &i.to_string()));
    }
    let mut attempts = Vec::new();
    for _ in 0..20 {
        let key = woken.recv().await.expect("a wake");
        let quota = quota.clone();
        attempts.push(tokio::spawn(async move {
            let uid = uid_of(&key);
            let mut turn = quota.take_turn(&uid).expect("a turn");
            let mut slot = slot(&quota, SUBMIT).await;
            let received = clock::boot();
            assert!(slot.sent_at() <= received);
            slot.handed(received);
            assert!(turn.use_for_submission(&slot));
            slot.replied(clock::boot());
            quota.report(SUBMIT, Report::Answered);
            slot.sent_at()
        }));
    }
    let mut sent = Vec::new();
    for attempt in attempts {
        sent.push(attempt.await.expect("an attempt"));
    }
    sent.sort_unstable();
    assert!(sent[0] >= began + s(1) + ms(11));
    for pair in sent.windows(2) {
        assert!(pair[1] - pair[0] >= ms(16));
    }
    task.abort();
}

/// Many tasks at once, some of which drop their slots: every task gets through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_ticket_is_lost_between_threads() {
    const RESOURCES: usize = 500;
    let (wake, mut woken) = mpsc::unbounded_channel();
    let (quota, task) = Quota::new(Settings { qps: 0 }, wake);
    let task = tokio::spawn(task);
    for i in 0..RESOURCES {
        quota.enqueue(queue_entry(&format!("ns{}", i % 7), &i.to_string()));
    }
    let (finished, mut done) = mpsc::unbounded_channel();
    let mut visits = 0usize;
    let mut uids = Vec::new();
    while uids.len() < RESOURCES {
        let key = tokio::select! {
            key = woken.recv() => key.expect("the dispatcher lives"),
            uid = done.recv() => {
                uids.extend(uid);
                continue;
            }
        };
        visits += 1;
        let (quota, finished) = (quota.clone(), finished.clone());
        tokio::spawn(async move {
            let uid = uid_of(&key);
            let mut turn = quota.take_turn(&uid).expect("a turn");
            if visits.is_multiple_of(3) {
                drop(turn);
                quota.enqueue(queue_entry(&key.namespace, &uid));
                return;
            }
            let slot = slot(&quota, SUBMIT).await;
            assert!(turn.use_for_submission(&slot));
            finished.send(uid).expect("the test listens");
        });
    }
    uids.sort_unstable();
    uids.dedup();
    assert_eq!(uids.len(), RESOURCES);
    let stats = quota.stats();
    assert_eq!((stats.queued, stats.granted, stats.outstanding), (0, 0, 0));
    task.abort();
}
