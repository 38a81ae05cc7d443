//! The task and its handle, in tokio's paused time.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use phone_migration_operator::api::object_key::ObjectKey;
use phone_migration_operator::quota::dispatcher::ReadClock;
use phone_migration_operator::quota::{
    Action, Cause, NoSlot, Priority, Quota, Report, Settings, Slot, TurnKind,
};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::sim::worst_second;
use super::{CREDENTIALS, READ, SUBMIT, ms, queue_entry, s, uid_of};

const BASE: Duration = s(1_000);

/// A clock that runs with tokio's.
fn simulated() -> ReadClock {
    let start = Instant::now();
    Arc::new(move || BASE + start.elapsed())
}

struct Fixture {
    quota: Quota,
    woken: UnboundedReceiver<ObjectKey>,
    task: JoinHandle<()>,
}

fn start(qps: u32) -> Fixture {
    let (wake, woken) = mpsc::unbounded_channel();
    let (quota, task) = Quota::with_clock(Settings { qps }, wake, simulated());
    Fixture {
        quota,
        woken,
        task: tokio::spawn(task),
    }
}

impl Fixture {
    async fn next_woken(&mut self) -> String {
        // An hour of paused time: a wake that never comes fails at once.
        let key = tokio::time::timeout(s(3_600), self.woken.recv()).await;
        let key = key
            .expect("a wake within the hour")
            .expect("the task lives");
        uid_of(&key)
    }
}

/// Polls it once: it has to wait.
async fn begin(mut waiting: Pin<&mut impl Future>) {
    std::future::poll_fn(|cx| {
        assert!(waiting.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

pub async fn slot(quota: &Quota, action: Action) -> Slot {
    quota
        .slot(action, Priority::Attempt, s(60))
        .await
        .expect("a slot")
}

#[tokio::test(start_paused = true)]
async fn a_resource_goes_from_ticket_to_reply() {
    let mut f = start(10);
    f.quota.enqueue(queue_entry("a", "x"));
    f.quota.enqueue(queue_entry("a", "x"));
    assert!(f.quota.is_waiting("x"));
    assert_eq!(f.next_woken().await, "x");
    let mut turn = f.quota.take_turn("x").expect("the turn");
    assert!(f.quota.take_turn("x").is_none());
    assert_eq!(turn.kind(), TurnKind::Normal);
    assert_eq!(turn.waited(), s(0));

    let mut look = slot(&f.quota, READ).await;
    assert_eq!(
        look.sent_at(),
        BASE + s(1) + ms(11),
        "after the silent window, not later"
    );
    assert!(turn.use_for_pre_read(&look));
    look.replied(look.sent_at() + ms(5));
    f.quota.report(READ, Report::Answered);

    let mut send = slot(&f.quota, SUBMIT).await;
    assert!(turn.is_valid());
    assert!(turn.use_for_submission(&send));
    assert!(!turn.is_valid());
    assert!(!turn.use_for_submission(&send), "once");
    send.handed(send.sent_at() + ms(1));
    send.replied(send.sent_at() + ms(5));
    f.quota.report(SUBMIT, Report::Answered);
    let stats = f.quota.stats();
    assert_eq!((stats.queued, stats.granted, stats.outstanding), (0, 0, 0));
    assert_eq!((stats.hold, stats.paused_until), (None, None));
    assert!(f.woken.is_empty());
}

#[tokio::test(start_paused = true)]
async fn slots_come_when_the_pacer_says_and_not_a_moment_earlier() {
    let f = start(10);
    let mut sent = Vec::new();
    for _ in 0..60 {
        let mut slot = slot(&f.quota, SUBMIT).await;
        slot.handed(slot.sent_at());
        sent.push(slot.sent_at());
        tokio::spawn(async move {
            tokio::time::sleep(ms(300)).await;
            let at = slot.sent_at() + ms(300);
            slot.replied(at);
        });
    }
    for pair in sent.windows(2) {
        assert!(pair[1] - pair[0] >= ms(80));
    }
    for (n, eleven) in sent.windows(11).enumerate() {
        let distance = eleven[10] - eleven[0];
        assert!(distance >= s(1) + ms(11), "{distance:?}");
        // Until ten round trips are known; then the timer's resolution.
        let most = if n < 10 { ms(101) } else { ms(14) };
        assert!(
            distance <= s(1) + most,
            "later than it need be: {distance:?}"
        );
    }
    assert_eq!(worst_second(&sent), 10);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_its_time_is_up() {
    let f = start(10);
    let before = Instant::now();
    let late = f.quota.slot(SUBMIT, Priority::Attempt, ms(200)).await;
    assert_eq!(late.err(), Some(NoSlot::Late));
    let waited = before.elapsed();
    assert!(waited >= ms(200) && waited <= ms(203), "{waited:?}");
    assert_eq!(f.quota.stats().verify.waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_both_actions_until_its_end() {
    let f = start(10);
    drop(slot(&f.quota, SUBMIT).await);
    f.quota.report(
        SUBMIT,
        Report::Throttled {
            retry_after: Some(s(20)),
        },
    );
    let end = f.quota.paused_until().expect("a pause");
    for action in [READ, SUBMIT] {
        let late = f.quota.slot(action, Priority::BeforeRecord, s(5)).await;
        assert_eq!(late.err(), Some(NoSlot::Late));
    }
    let (read, verify) = tokio::join!(slot(&f.quota, READ), slot(&f.quota, SUBMIT));
    for slot in [read, verify] {
        assert!(slot.sent_at() >= end && slot.sent_at() <= end + ms(2));
    }
    assert_eq!(f.quota.paused_until(), None);
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_takes_no_slot() {
    let f = start(1);
    // The first gives up while it waits, the second in the moment of its slot.
    let impatient = tokio::time::timeout(ms(100), slot(&f.quota, SUBMIT)).await;
    assert!(impatient.is_err());
    assert_eq!(f.quota.stats().verify.waiting, 0);
    {
        let mut waiting = pin!(f.quota.slot(SUBMIT, Priority::Attempt, s(60)));
        begin(waiting.as_mut()).await;
        tokio::time::sleep(s(3)).await;
        assert_eq!(
            f.quota.stats().verify.waiting,
            0,
            "granted, and never received"
        );
    }
    // A second must have passed since the last send: nothing was sent.
    let before = Instant::now();
    let _slot = slot(&f.quota, SUBMIT).await;
    assert!(before.elapsed() < ms(900), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_task_ends_the_waits() {
    let f = start(10);
    {
        let mut waiting = pin!(f.quota.slot(SUBMIT, Priority::Attempt, s(60)));
        begin(waiting.as_mut()).await;
        f.task.abort();
        let ended = tokio::time::timeout(s(3_600), waiting)
            .await
            .expect("an end");
        assert_eq!(ended.err(), Some(NoSlot::Stopped));
    }
    let late = f.quota.slot(SUBMIT, Priority::Attempt, s(60));
    let late = tokio::time::timeout(s(3_600), late).await.expect("an end");
    assert_eq!(late.err(), Some(NoSlot::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_turn_wakes_the_next_and_an_untaken_one_asks_again() {
    let mut f = start(1);
    for uid in ["x", "y", "z"] {
        f.quota.enqueue(queue_entry("a", uid));
    }
    assert_eq!(f.next_woken().await, "x");
    assert_eq!(f.next_woken().await, "y");
    drop(f.quota.take_turn("x").expect("a turn"));
    assert_eq!(f.next_woken().await, "z");
    // `y` and `z` do not come: they are woken to ask again.
    assert_eq!(f.next_woken().await, "y");
    assert!(!f.quota.is_waiting("y"));
    f.quota.enqueue(queue_entry("a", "y"));
    assert_eq!(f.next_woken().await, "z");
    assert_eq!(f.next_woken().await, "y");
    assert!(f.quota.take_turn("y").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_probed_by_one_and_ends_for_all() {
    let mut f = start(10);
    f.quota.assume_hold(Cause::Credentials, BASE + s(30));
    for uid in ["x", "y", "z"] {
        f.quota.enqueue(queue_entry("a", uid));
    }
    let before = Instant::now();
    assert_eq!(f.next_woken().await, "x");
    assert!(before.elapsed() >= s(30));
    let turn = f.quota.take_turn("x").expect("the probe");
    assert_eq!(turn.kind(), TurnKind::ProbeRead);
    f.quota.report(READ, CREDENTIALS);
    assert!(!turn.is_valid());
    drop(turn);
    let hold = f.quota.hold().expect("a hold");
    assert_eq!(hold.cause, Cause::Credentials);
    // New credentials: no need to wait.
    f.quota.credentials_changed();
    assert_eq!(f.next_woken().await, "y");
    let turn = f.quota.take_turn("y").expect("the probe");
    f.quota.report(READ, Report::Answered);
    assert!(turn.is_valid());
    assert_eq!(f.quota.hold(), None);
    drop(turn);
    assert_eq!(f.next_woken().await, "z");
}

#[tokio::test(start_paused = true)]
async fn a_standby_grants_no_turns_and_a_new_leader_is_silent() {
    let mut f = start(10);
    f.quota.set_active(false);
    f.quota.enqueue(queue_entry("a", "x"));
    tokio::time::sleep(s(100)).await;
    assert!(f.woken.is_empty());
    f.quota.new_leader();
    f.quota.set_active(true);
    assert_eq!(f.next_woken().await, "x");
    let slot = slot(&f.quota, SUBMIT).await;
    assert_eq!(slot.sent_at(), BASE + s(101) + ms(11));
}

/// The dispatcher sleeps: with blocked work, and without any work.
#[tokio::test(start_paused = true)]
async fn the_task_does_not_poll() {
    let (wake, mut woken) = mpsc::unbounded_channel();
    let (quota, task) = Quota::with_clock(Settings { qps: 10 }, wake, simulated());
    let polls = Rc::new(Cell::new(0));
    let counted = {
        let polls = Rc::clone(&polls);
        let mut task = Box::pin(task);
        std::future::poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            task.as_mut().poll(cx)
        })
    };
    let local = tokio::task::LocalSet::new();
    local.spawn_local(counted);
    local
        .run_until(async {
            tokio::time::sleep(s(3_600)).await;
            println!("{} polls in an idle hour", polls.get());
            assert!(polls.get() <= 2, "{}", polls.get());
            // Held for five minutes, with queue entries and waiters.
            quota.assume_hold(Cause::Clock, BASE + s(3_900));
            quota.report(
                SUBMIT,
                Report::Throttled {
                    retry_after: Some(s(120)),
                },
            );
            for i in 0..100 {
                quota.enqueue(queue_entry("a", &i.to_string()));
            }
            let before = polls.get();
            let (late, ()) = tokio::join!(
                quota.slot(SUBMIT, Priority::Attempt, s(60)),
                tokio::time::sleep(s(290))
            );
            assert!(late.is_err());
            let polled = polls.get() - before;
            println!("{polled} polls in a hold");
            assert!(polled <= 6, "{polled}");
            assert!(woken.try_recv().is_err());
            assert!(woken.recv().await.is_some());
        })
        .await;
}
