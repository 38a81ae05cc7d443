//! The task that grants turns and slots, for one account, and the handle that the rest uses.
//!
//! One lock around plain data; every decision is one of the pure modules'. The task sleeps until
//! the next moment that one of them names, or until something changes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, oneshot};

use super::hold::{Hold, Kind, ProbeBy, Sign};
use super::pacer::Pacer;
use super::queue::{Queue, Ticket};
use super::{
    Action, BlockCause, Cause, HoldView, NoSlot, ObjectKey, Priority, Report, Settings, Stats,
    TurnKind,
};
use crate::clock::{BootTime, boot};

/// A turn that is not used for so long goes to somebody else.
const UNUSED: Duration = Duration::from_secs(10);
/// How long a preparation counts for the number of turns.
const PREPARATION_MEMORY: Duration = Duration::from_secs(60);
/// With nothing to wait for.
const IDLE: Duration = Duration::from_secs(3600);

/// The quota of one account. Clones share it.
#[derive(Clone)]
pub struct Quota(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    wake: UnboundedSender<ObjectKey>,
}

struct Lane {
    pacer: Pacer,
    waiting: BTreeMap<Priority, VecDeque<oneshot::Sender<u64>>>,
}

struct Granted {
    ticket: Ticket,
    kind: TurnKind,
    id: u64,
}

struct State {
    verify: Lane,
    read: Lane,
    queue: Queue,
    enqueued: HashMap<String, BootTime>,
    granted: HashMap<String, Granted>,
    /// Turns that are granted or prepare, with the time of their grant.
    turns: HashMap<u64, BootTime>,
    next_turn: u64,
    hold: Hold,
    active: bool,
    preparations: VecDeque<(BootTime, Duration)>,
}

impl State {
    fn lane(&mut self, action: Action) -> &mut Lane {
        match action {
            Action::Verify => &mut self.verify,
            Action::ReadStatus => &mut self.read,
        }
    }

    /// How many turns may be out, and of which kind.
    fn allowance(&mut self, now: BootTime) -> (usize, TurnKind, Option<BootTime>) {
        if !self.active {
            return (0, TurnKind::Normal, None);
        }
        if let Some(until) = self.verify.pacer.paused_until(now) {
            return (0, TurnKind::Normal, Some(until));
        }
        if let Some((_, next_probe)) = self.hold.current() {
            let kind = match self.hold.probe_by() {
                Some(ProbeBy::Attempt) => TurnKind::ProbeAttempt,
                Some(ProbeBy::Read) | None => TurnKind::ProbeRead,
            };
            return if next_probe > now {
                (0, kind, Some(next_probe))
            } else {
                (1, kind, None)
            };
        }
        if self.verify.pacer.is_probing() {
            return (1, TurnKind::Normal, None);
        }
        while self
            .preparations
            .front()
            .is_some_and(|(at, _)| now >= *at + PREPARATION_MEMORY)
        {
            self.preparations.pop_front();
        }
        let worst = self
            .preparations
            .iter()
            .map(|(_, took)| *took)
            .max()
            .unwrap_or_default();
        (self.verify.pacer.turns(worst), TurnKind::Normal, None)
    }

    /// Takes back turns that were not used in time; a ticket that was not taken waits again.
    fn reclaim(&mut self, now: BootTime) {
        self.turns.retain(|_, at| now < *at + UNUSED);
        let turns = &self.turns;
        let lapsed: Vec<String> = self
            .granted
            .iter()
            .filter(|(_, granted)| !turns.contains_key(&granted.id))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in lapsed {
            if let Some(granted) = self.granted.remove(&uid) {
                self.queue.enqueue(granted.ticket);
            }
        }
    }

    /// Grants what may be granted now; returns when to look again.
    fn dispatch(&mut self, now: BootTime, wake: &UnboundedSender<ObjectKey>) -> BootTime {
        self.reclaim(now);
        let mut again = now + IDLE;
        again = again.min(self.verify.grant(now)).min(self.read.grant(now));
        let (most, kind, later) = self.allowance(now);
        again = again.min(later.unwrap_or(again));
        while self.turns.len() < most {
            let Some(ticket) = self.queue.next() else {
                break;
            };
            let id = self.next_turn;
            self.next_turn += 1;
            self.turns.insert(id, now);
            let key = ObjectKey {
                namespace: ticket.namespace.clone(),
                name: ticket.name.clone(),
            };
            self.granted
                .insert(ticket.uid.clone(), Granted { ticket, kind, id });
            // The receiver goes only with the whole process.
            let _ = wake.send(key);
        }
        let oldest = self.turns.values().min().map(|at| *at + UNUSED);
        again.min(oldest.unwrap_or(again))
    }
}

impl Lane {
    fn new(qps: u32, now: BootTime) -> Self {
        Self {
            pacer: Pacer::new(NonZeroU32::new(qps), now),
            waiting: BTreeMap::new(),
        }
    }

    /// Gives slots to those that wait; returns when the next one comes.
    fn grant(&mut self, now: BootTime) -> BootTime {
        let never = now + IDLE;
        loop {
            for queue in self.waiting.values_mut() {
                while queue.front().is_some_and(oneshot::Sender::is_closed) {
                    queue.pop_front();
                }
            }
            let Some(queue) = self.waiting.values_mut().find(|queue| !queue.is_empty()) else {
                return never;
            };
            match self.pacer.take(now) {
                Err(later) => return later,
                Ok(id) => {
                    // Closed in this instant: the slot counts as used, which is the safe side.
                    let _ = queue.pop_front().map(|waiter| waiter.send(id));
                }
            }
        }
    }
}

impl Quota {
    /// The quota, and the task that must run for as long as it is used. `wake` gets each
    /// resource whose turn has come.
    pub fn new(
        settings: Settings,
        wake: UnboundedSender<ObjectKey>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let now = boot();
        let state = State {
            verify: Lane::new(settings.qps, now),
            read: Lane::new(settings.qps, now),
            queue: Queue::default(),
            enqueued: HashMap::new(),
            granted: HashMap::new(),
            turns: HashMap::new(),
            next_turn: 0,
            hold: Hold::default(),
            active: true,
            preparations: VecDeque::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
            wake,
        });
        (Self(Arc::clone(&shared)), run(shared))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    fn change(&self, f: impl FnOnce(&mut State)) {
        f(&mut self.state());
        self.0.changed.notify_one();
    }

    /// Asks for a turn; asking again updates the expiry.
    pub fn enqueue(&self, ticket: Ticket) {
        self.change(|state| {
            if !state.granted.contains_key(&ticket.uid) {
                state
                    .enqueued
                    .entry(ticket.uid.clone())
                    .or_insert_with(boot);
                state.queue.enqueue(ticket);
            }
        });
    }

    /// Asks no longer.
    pub fn leave(&self, uid: &str) {
        let mut state = self.state();
        if !state.queue.contains(uid) && !state.granted.contains_key(uid) {
            return;
        }
        state.queue.leave(uid);
        state.enqueued.remove(uid);
        if let Some(granted) = state.granted.remove(uid) {
            state.turns.remove(&granted.id);
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// True while the resource waits for a turn, or has one that it did not take.
    pub fn is_waiting(&self, uid: &str) -> bool {
        let state = self.state();
        state.queue.contains(uid) || state.granted.contains_key(uid)
    }

    /// The turn of this resource, once, if it was granted.
    pub fn take_turn(&self, uid: &str) -> Option<Turn> {
        let mut state = self.state();
        let granted = state.granted.remove(uid)?;
        let since = state.enqueued.remove(uid).unwrap_or_else(boot);
        let at = *state.turns.get(&granted.id)?;
        Some(Turn {
            quota: self.clone(),
            id: granted.id,
            kind: granted.kind,
            granted_at: at,
            waited: at.saturating_sub(since),
            ended: false,
        })
    }

    /// Waits for a send slot. The request must be handed to the socket as soon as it is had.
    ///
    /// # Errors
    /// When none came within the time.
    pub async fn slot(
        &self,
        action: Action,
        priority: Priority,
        within: Duration,
    ) -> Result<Slot, NoSlot> {
        let (sender, receiver) = oneshot::channel();
        self.change(|state| {
            state
                .lane(action)
                .waiting
                .entry(priority)
                .or_default()
                .push_back(sender);
        });
        match tokio::time::timeout(within, receiver).await {
            Ok(Ok(id)) => Ok(Slot {
                quota: self.clone(),
                action,
                id,
            }),
            Ok(Err(_)) | Err(_) => Err(NoSlot),
        }
    }

    /// What came of a request.
    pub fn report(&self, action: Action, report: Report) {
        let now = boot();
        let kind = match action {
            Action::Verify => Kind::Verify,
            Action::ReadStatus => Kind::Read,
        };
        self.change(|state| {
            let sign = match report {
                Report::Answered => Sign::Works,
                // The server's quota is checked after everything that holds an account.
                Report::Throttled { retry_after } => {
                    state.throttled(action, now, retry_after);
                    Sign::Works
                }
                Report::Blocked(BlockCause::Credentials) => Sign::Fails(Cause::Credentials),
                Report::Blocked(BlockCause::Account) => Sign::Fails(Cause::Account),
                Report::Blocked(BlockCause::Clock) => Sign::Fails(Cause::Clock),
                Report::NotSent => Sign::Fails(Cause::Transport),
                Report::Unknown => Sign::Unknown,
            };
            state.hold.told(kind, sign, now);
            if !matches!(
                report,
                Report::Throttled { .. } | Report::NotSent | Report::Unknown
            ) {
                state.lane(action).pacer.went_through(now);
            }
        });
    }

    /// What holds the account.
    pub fn hold(&self) -> Option<HoldView> {
        let current = self.state().hold.current();
        current.map(|(cause, next_probe)| HoldView { cause, next_probe })
    }

    /// Until when the account is paused after a throttle.
    pub fn paused_until(&self) -> Option<BootTime> {
        self.state().verify.pacer.paused_until(boot())
    }

    /// A hold that the last process left behind.
    pub fn assume_hold(&self, cause: Cause, until: BootTime) {
        self.change(|state| state.hold.assume(cause, until, boot()));
    }

    /// This process leads from now on: another one may have sent until now.
    pub fn new_leader(&self) {
        let now = boot();
        self.change(|state| {
            state.verify.pacer.silence(now);
            state.read.pacer.silence(now);
        });
    }

    /// Without it no turn is granted.
    pub fn set_active(&self, active: bool) {
        self.change(|state| state.active = active);
    }

    /// Figures for metrics.
    pub fn stats(&self) -> Stats {
        let state = self.state();
        Stats {
            waiting: state.queue.len(),
            turns: state.turns.len(),
            paused: state.verify.pacer.paused_until(boot()).is_some(),
            hold: state.hold.current().map(|(cause, _)| cause),
            rate: state.verify.pacer.rate(),
        }
    }
}

impl State {
    /// The whole account pauses; only the action that was throttled learns.
    fn throttled(&mut self, action: Action, now: BootTime, retry_after: Option<Duration>) {
        let (own, other) = match action {
            Action::Verify => (&mut self.verify, &mut self.read),
            Action::ReadStatus => (&mut self.read, &mut self.verify),
        };
        own.pacer.throttled(now, retry_after);
        if let Some(until) = own.pacer.paused_until(now) {
            other.pacer.pause(now, Some(until - now));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(shared: Arc<Shared>) {
    loop {
        let changed = shared.changed.notified();
        let now = boot();
        let again = shared.lock().dispatch(now, &shared.wake);
        // Rounded up: a slot is never given before its time, late is safe.
        let wait = again.saturating_sub(now) + Duration::from_micros(100);
        let _ = tokio::time::timeout(wait, changed).await;
    }
}

/// Permission to prepare one attempt. Dropped unused, it goes back.
pub struct Turn {
    quota: Quota,
    id: u64,
    kind: TurnKind,
    granted_at: BootTime,
    waited: Duration,
    ended: bool,
}

impl Turn {
    /// What it permits.
    pub fn kind(&self) -> TurnKind {
        self.kind
    }

    /// How long the resource waited for it.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Its slot was taken: the preparation is over.
    pub fn used(&mut self) {
        self.end(true);
    }

    fn end(&mut self, used: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let now = boot();
        let (id, kind, took) = (self.id, self.kind, now.saturating_sub(self.granted_at));
        self.quota.change(|state| {
            state.turns.remove(&id);
            if used {
                state.preparations.push_back((now, took));
            }
            match kind {
                TurnKind::Normal => {}
                TurnKind::ProbeRead | TurnKind::ProbeAttempt => {
                    if !used {
                        state.hold.probe_idle(now);
                    }
                }
            }
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// One send, at its time. Without a reply it counts to its deadline.
pub struct Slot {
    quota: Quota,
    action: Action,
    id: u64,
}

impl Slot {
    /// The request was handed to the socket.
    pub fn handed(&mut self, at: BootTime) {
        let mut state = self.quota.state();
        state.lane(self.action).pacer.handed(self.id, at);
    }

    /// The reply arrived.
    pub fn replied(&mut self, at: BootTime) {
        let (action, id) = (self.action, self.id);
        self.quota
            .change(|state| state.lane(action).pacer.replied(id, at));
    }
}
