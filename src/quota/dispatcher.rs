//! The one task per account that owns its quota, and the handle to it.
//!
//! [`Account`] makes all decisions. The dispatcher passes it the time, keeps the channels of the
//! waiters, and sleeps until the next event. It does not poll.
//!
//! A send never leaves earlier than the pacer allows: the dispatcher reads the boot clock again
//! after each sleep, and the timer only wakes it. The timer does not run while the machine is
//! suspended, so a wait may last longer by that time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::account::{Account, Effect, WaiterId};
use super::hold::{Cause, HoldView};
use super::{Action, BrakeChange, Estimate, NoSlot, Priority, QueueEntry, Report, Settings, Stats};
use crate::api::object_key::ObjectKey;
use crate::clock::{self, BootTime};

mod guards;

pub use guards::{Slot, Turn};
use guards::{SlotWait, Waiter};

/// Reads the time since boot.
pub type ReadClock = Arc<dyn Fn() -> BootTime + Send + Sync>;

/// The timer's resolution; a shorter sleep would be a busy loop near a deadline.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// Handle to the quota of one account. Cheap to clone.
#[derive(Clone)]
pub struct Quota {
    shared: Arc<Shared>,
    qps: u32,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    clock: ReadClock,
}

struct State {
    account: Account,
    waiters: HashMap<WaiterId, Waiter>,
    stopped: bool,
}

impl Quota {
    /// Returns the handle and the task of an account, which starts active, with a silent window.
    /// The task never ends; if it is dropped, waiters for a slot get [`NoSlot::Stopped`] and the
    /// account grants no more turns.
    ///
    /// `wake` receives a key when its resource has a turn to take, and when the resource lost a
    /// turn that it did not take within 10 s.
    pub fn new(
        settings: Settings,
        wake: mpsc::UnboundedSender<ObjectKey>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        Self::with_clock(settings, wake, Arc::new(clock::boot))
    }

    /// As [`Quota::new`], with another clock, which must run as fast as tokio's.
    pub fn with_clock(
        settings: Settings,
        wake: mpsc::UnboundedSender<ObjectKey>,
        clock: ReadClock,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let state = State {
            account: Account::new(settings, clock()),
            waiters: HashMap::new(),
            stopped: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
            clock,
        });
        let task = dispatch(StopOnDrop(Arc::clone(&shared)), wake);
        let qps = settings.qps;
        (Self { shared, qps }, task)
    }

    /// Requests a turn. Idempotent: for a known uid it only updates the queue entry. Does nothing
    /// while the uid holds a turn, taken or not: call it again when that turn has ended.
    pub fn enqueue(&self, queue_entry: QueueEntry) {
        self.shared
            .change(|account, now| account.enqueue(queue_entry, now));
    }

    /// Withdraws the request for a turn. Does not affect a turn that was already taken.
    pub fn leave(&self, uid: &str) {
        self.shared.change(|account, now| account.leave(uid, now));
    }

    /// True while the uid waits for a turn or has one to take.
    pub fn is_waiting(&self, uid: &str) -> bool {
        self.shared.read(|account, _| account.is_waiting(uid))
    }

    /// Upper bound of the wait of `uid`; `None` if it does not wait, or the quota is unlimited.
    pub fn estimate(&self, uid: &str) -> Option<Estimate> {
        self.shared.read(|account, now| {
            let ahead = account.position(uid)?;
            Estimate::new(ahead, account.stats(now).queued, self.qps)
        })
    }

    /// The turn granted to `uid`. Returns it once, after its key came on `wake`.
    pub fn take_turn(&self, uid: &str) -> Option<Turn> {
        let taken = self
            .shared
            .change(|account, now| account.take_turn(uid, now))?;
        Some(Turn::new(Arc::clone(&self.shared), uid, taken))
    }

    /// Waits for a send slot, at most `within`. Call it when everything else is ready: the slot's
    /// send time is the time of its grant, and each delay after that makes the call late.
    ///
    /// # Errors
    /// [`NoSlot::Late`] if no slot came within the time; [`NoSlot::Stopped`] if the dispatcher has
    /// ended.
    pub async fn slot(
        &self,
        action: Action,
        priority: Priority,
        within: Duration,
    ) -> Result<Slot, NoSlot> {
        let mut wait = SlotWait::start(&self.shared, action, priority, within)?;
        wait.slot().await
    }

    /// Reports the result of a read: once per call that had a slot, after [`Slot::replied`],
    /// [`Slot::replied_throttled`] or the drop of the slot, and once per read that failed before its slot
    /// by DNS, connect or TLS ([`Report::NotSent`]).
    pub fn report(&self, action: Action, report: Report) {
        self.shared
            .change(|account, now| account.report(action, report, now));
    }

    /// Reports the result of the submission of `uid`; `refused_with` is the Code of a refusal.
    pub fn report_submission(
        &self,
        uid: &str,
        report: Report,
        refused_with: Option<&str>,
    ) -> BrakeChange {
        self.shared
            .change(|account, now| account.report_submission(uid, report, refused_with, now))
    }

    /// True if `uid` waits and the brake lets the codes of its pair go one at a time only.
    pub fn is_braked(&self, uid: &str) -> bool {
        self.shared.read(|account, _| account.is_braked(uid))
    }

    /// Cause and next probe of the hold, or else of the open brake.
    pub fn hold(&self) -> Option<HoldView> {
        self.shared.read(|account, _| account.hold())
    }

    /// End of the pause after a throttle; `None` when no pause runs.
    pub fn paused_until(&self) -> Option<BootTime> {
        self.shared.read(|account, now| account.paused_until(now))
    }

    /// Takes over a hold from an earlier process. The account probes it at `until`, at most 5 min
    /// from now.
    pub fn assume_hold(&self, cause: Cause, until: BootTime) {
        self.shared
            .change(|account, now| account.assume_hold(cause, until, now));
    }

    /// The API server does not store claims: no turns until [`Quota::ledger_probed`] reports
    /// success.
    pub fn hold_ledger(&self) {
        self.shared.change(|account, now| account.hold_ledger(now));
    }

    /// Reports the result of a dry run of a claim.
    pub fn ledger_probed(&self, passed: bool) {
        self.shared
            .change(|account, now| account.ledger_probed(passed, now));
    }

    /// When the next dry run is due; `None` if claims can be stored.
    pub fn ledger_probe_at(&self) -> Option<BootTime> {
        self.shared.read(|account, _| account.ledger_probe_at())
    }

    /// Takes over a throttle's pause from an earlier process, at most 5 min.
    pub fn assume_pause(&self, until: BootTime) {
        self.shared
            .change(|account, now| account.assume_pause(until, now));
    }

    /// A user requests a probe on the resource `uid`: it is due at once, but at most one every 5 s.
    /// Does nothing if neither a hold nor the brake blocks the resource.
    pub fn request_probe(&self, uid: &str) {
        self.shared
            .change(|account, now| account.request_probe(uid, now));
    }

    /// The operator read other credentials: a held account is probed with them at once.
    pub fn credentials_changed(&self) {
        self.shared
            .change(|account, now| account.credentials_changed(now));
    }

    /// This process has just become the leader: a full silent window starts now.
    pub fn new_leader(&self) {
        self.shared.change(|account, now| account.new_leader(now));
    }

    /// Inactive (standby or shutting down): the account grants no turns, and untaken turns go back.
    pub fn set_active(&self, active: bool) {
        self.shared
            .change(|account, now| account.set_active(active, now));
    }

    /// State of the account, for metrics.
    pub fn stats(&self) -> Stats {
        self.shared.read(|account, now| account.stats(now))
    }
}

impl Shared {
    /// Ignores poisoning: the methods of the state do not panic, so a panic elsewhere cannot leave
    /// it half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the clock under the lock, so that the account sees time in order.
    fn read<T>(&self, f: impl FnOnce(&Account, BootTime) -> T) -> T {
        let state = self.lock();
        f(&state.account, (self.clock)())
    }

    fn change<T>(&self, f: impl FnOnce(&mut Account, BootTime) -> T) -> T {
        let mut state = self.lock();
        let result = f(&mut state.account, (self.clock)());
        drop(state);
        self.changed.notify_one();
        result
    }
}

/// The task; it never ends.
async fn dispatch(task: StopOnDrop, wake: mpsc::UnboundedSender<ObjectKey>) {
    let shared = &task.0;
    loop {
        let sleep = match step(shared, &wake) {
            Some(sleep) => sleep.max(SHORTEST_SLEEP),
            None => Duration::MAX,
        };
        tokio::select! {
            () = shared.changed.notified() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// Executes the effects that are due. Returns the time until the next step.
fn step(shared: &Arc<Shared>, wake: &mpsc::UnboundedSender<ObjectKey>) -> Option<Duration> {
    let mut answers = Vec::new();
    let sleep;
    {
        let mut state = shared.lock();
        let now = (shared.clock)();
        let step = state.account.step(now);
        sleep = step.next.map(|at| at.saturating_sub(now));
        for effect in step.effects {
            match effect {
                // The receiver is gone only when the process shuts down.
                Effect::Wake(key) => drop(wake.send(key)),
                Effect::Slot { waiter, send, at } => {
                    let waiter = state.waiters.remove(&waiter);
                    answers.extend(waiter.map(|waiter| waiter.granted(shared, send, at)));
                }
                Effect::Late(waiter) => {
                    let waiter = state.waiters.remove(&waiter);
                    answers.extend(waiter.map(Waiter::late));
                }
            }
        }
    }
    // Not under the lock: if the waiter is gone, giving the slot back locks the state.
    for (sender, answer) in answers {
        if let Err(Ok(slot)) = sender.send(answer) {
            slot.return_unused();
        }
    }
    sleep
}

/// Ends all waits when the task is gone, for whatever reason.
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        let waiters = {
            let mut state = self.0.lock();
            state.stopped = true;
            std::mem::take(&mut state.waiters)
        };
        // Dropped outside the lock; each waiter sees its channel closed.
        drop(waiters);
    }
}
