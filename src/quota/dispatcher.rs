//! The one task per account that owns its quota, and the handle to it.
//!
//! All decisions are in [`Account`]; this module gives it the time, keeps the channels
//! of those who wait, and sleeps until the next event. It polls nothing.
//!
//! A send never leaves earlier than the pacer says: the boot clock is read again after
//! each sleep, and the timer only decides when to look. While the machine is suspended
//! the timer stands still, so a wait may last longer by the time suspended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::account::{Account, Effect, WaiterId};
use super::hold::{Cause, HoldView};
use super::{Action, Estimate, NoSlot, ObjectKey, Priority, Report, Settings, Stats, Ticket};
use crate::clock::{self, BootTime};

mod guards;

pub use guards::{Slot, Turn};
use guards::{SlotWait, Waiter};

/// Reads the time since boot.
pub type ReadClock = Arc<dyn Fn() -> BootTime + Send + Sync>;

/// The timer's resolution; asking for less would be a busy loop near a deadline.
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
    /// The handle and the task of an account, which starts active, with a silent
    /// window. The task runs for ever; if it is dropped, those who wait for a slot get
    /// [`NoSlot::Stopped`] and no more turns are granted.
    ///
    /// `wake` receives a key when its resource has a turn to take, and when it lost one
    /// that it did not take within 10 s.
    pub fn new(
        settings: Settings,
        wake: mpsc::UnboundedSender<ObjectKey>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        Self::with_clock(settings, wake, Arc::new(clock::boot))
    }

    /// As [`Quota::new`], by another clock. It has to run as fast as tokio's.
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

    /// Asks for a turn. Idempotent: a known uid only has its expiry updated. A uid that
    /// holds a turn, taken or not, is left alone: ask again when it has ended.
    pub fn enqueue(&self, ticket: Ticket) {
        self.shared
            .change(|account, now| account.enqueue(ticket, now));
    }

    /// Wants no turn any more. A turn that was already taken is not affected.
    pub fn leave(&self, uid: &str) {
        self.shared.change(|account, now| account.leave(uid, now));
    }

    /// True while the uid waits for a turn or has one to take.
    pub fn is_waiting(&self, uid: &str) -> bool {
        self.shared.read(|account, _| account.is_waiting(uid))
    }

    /// How long the wait of `uid` may last; `None` if it does not wait, or nothing limits it.
    pub fn estimate(&self, uid: &str) -> Option<Estimate> {
        self.shared.read(|account, now| {
            let ahead = account.position(uid)?;
            Estimate::new(ahead, account.stats(now).queued, self.qps)
        })
    }

    /// The turn granted to `uid`: once, after its key came on `wake`.
    pub fn take_turn(&self, uid: &str) -> Option<Turn> {
        let taken = self
            .shared
            .change(|account, now| account.take_turn(uid, now))?;
        Some(Turn::new(Arc::clone(&self.shared), uid, taken))
    }

    /// Waits for a send slot, at most `within`. Take it when everything else is ready:
    /// its send time is read when it is granted, and each delay after that is lateness.
    ///
    /// # Errors
    /// [`NoSlot::Late`] if none came within the time; [`NoSlot::Stopped`] if the
    /// dispatcher is gone.
    pub async fn slot(
        &self,
        action: Action,
        priority: Priority,
        within: Duration,
    ) -> Result<Slot, NoSlot> {
        let mut wait = SlotWait::start(&self.shared, action, priority, within)?;
        wait.slot().await
    }

    /// What became of a call: once per call that had a slot, after [`Slot::replied`] or
    /// the drop of the slot, and once per submission or read that failed before its
    /// slot by DNS, connect or TLS ([`Report::NotSent`]).
    pub fn report(&self, action: Action, report: Report) {
        self.shared
            .change(|account, now| account.report(action, report, now));
    }

    /// Cause and next probe, if the account is held.
    pub fn hold(&self) -> Option<HoldView> {
        self.shared.read(|account, _| account.hold())
    }

    /// End of the pause after a throttle, while it lasts.
    pub fn paused_until(&self) -> Option<BootTime> {
        self.shared.read(|account, now| account.paused_until(now))
    }

    /// Takes over a hold from an earlier process: probed at `until`, at most 5 min from
    /// now.
    pub fn assume_hold(&self, cause: Cause, until: BootTime) {
        self.shared
            .change(|account, now| account.assume_hold(cause, until, now));
    }

    /// Takes over a throttle's pause from an earlier process, at most 5 min.
    pub fn assume_pause(&self, until: BootTime) {
        self.shared
            .change(|account, now| account.assume_pause(until, now));
    }

    /// The cause of a hold may be gone (new credentials were read): probes at once.
    pub fn probe_now(&self) {
        self.shared.change(|account, now| account.probe_now(now));
    }

    /// This process has just become the leader: a full silent window from now.
    pub fn new_leader(&self) {
        self.shared.change(|account, now| account.new_leader(now));
    }

    /// Inactive (standby, shutting down): grants no turns; untaken ones go back.
    pub fn set_active(&self, active: bool) {
        self.shared
            .change(|account, now| account.set_active(active, now));
    }

    /// Figures for metrics.
    pub fn stats(&self) -> Stats {
        self.shared.read(|account, now| account.stats(now))
    }
}

impl Shared {
    /// A panic elsewhere cannot leave the state half changed: its methods do not panic.
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

/// The task, for ever.
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

/// Does what is due. How long until more is.
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
                // Nobody listens any more only when the process goes down.
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
    // Not under the lock: a slot that nobody receives locks it to give itself back.
    for (sender, answer) in answers {
        if let Err(Ok(slot)) = sender.send(answer) {
            slot.unsent();
        }
    }
    sleep
}

/// Ends the waits when the task is gone, however it ended.
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
