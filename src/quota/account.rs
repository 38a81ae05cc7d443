//! Queue, pacers and hold of one account as one state machine. PURE: every method gets
//! the time, and [`Account::step`] says what to do and when to come back.
//!
//! **Turns.** Granted as far as the pacer of submissions allows, none while paused, and
//! during a hold only the probe's. A turn that nobody takes for 10 s is dropped, not
//! granted again: its resource is woken and asks anew if it still wants one, so a
//! ticket whose resource is gone cannot occupy the account. A turn that was taken has
//! 10 s to be used. When a hold begins, all unused turns are void: the untaken ones go
//! back to their place in the queue, the taken ones learn it from `turn_stands`.
//!
//! **Reports.** A throttle of either action pauses both, since the server may count
//! them together; only the throttled action slows down. After a hold that a status
//! read ended, submissions leave one at a time until one is answered: reads that pass
//! do not prove that submissions do.

mod granting;
mod holding;
mod lane;
mod rotation;
mod slots;
mod turns;

use std::time::Duration;

use super::hold::{Cause, Change, Hold, HoldView};
use super::pacer::{Pacer, SendId};
use super::queue::FairQueue;
use super::recent::RecentMax;
use super::{Action, ObjectKey, Report, Settings, Stats, Ticket, TurnKind};
use crate::clock::BootTime;
use lane::Lane;
use rotation::Rotation;
use turns::Turns;

pub use turns::TURN_LIFETIME;

/// How long a slow preparation is remembered.
const PREPARATION_WINDOW: Duration = Duration::from_secs(60);

/// Names one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TurnId(u64);

/// Names one wait for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId(u64);

/// A turn that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Names it from now on.
    pub id: TurnId,
    /// What it is for.
    pub kind: TurnKind,
    /// How long its ticket had waited when it was granted.
    pub waited: Duration,
}

/// What the owner has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Wake the resource: it has a turn to take, or lost one and has to ask again.
    Wake(ObjectKey),
    /// Give this waiter its slot.
    Slot {
        /// Who gets it.
        waiter: WaiterId,
        /// Names the send.
        send: SendId,
        /// The send time.
        at: BootTime,
    },
    /// Tell this waiter that none came in time.
    Late(WaiterId),
}

/// What to do now, and when to come back if nothing happens before.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// In order.
    pub effects: Vec<Effect>,
    /// Later than the time passed in.
    pub next: Option<BootTime>,
}

/// The turn, and later the send, that probes a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeHolder {
    Turn(TurnId),
    Send(SendId),
}

/// The state of one account.
#[derive(Debug)]
pub struct Account {
    active: bool,
    queue: FairQueue,
    turns: Turns,
    verify: Lane,
    read_status: Lane,
    hold: Hold,
    probe: Option<ProbeHolder>,
    rotation: Rotation,
    preparation: RecentMax,
    next_waiter: u64,
}

impl Account {
    /// An account that starts with a silent window.
    pub fn new(settings: Settings, now: BootTime) -> Self {
        Self {
            active: true,
            queue: FairQueue::new(),
            turns: Turns::default(),
            verify: Lane::new(Pacer::new(settings.qps, now)),
            read_status: Lane::new(Pacer::new(settings.qps, now)),
            hold: Hold::new(),
            probe: None,
            rotation: Rotation::default(),
            preparation: RecentMax::new(PREPARATION_WINDOW),
            next_waiter: 0,
        }
    }

    /// Adds a ticket or updates it; one that has a turn is left alone.
    pub fn enqueue(&mut self, ticket: Ticket, now: BootTime) {
        if self.turns.get(&ticket.uid).is_none() {
            self.queue.enqueue(ticket, now);
        }
    }

    /// Removes a ticket, or a turn that was not taken.
    pub fn leave(&mut self, uid: &str, now: BootTime) {
        self.queue.leave(uid);
        if let Some(grant) = self.turns.get(uid).filter(|grant| !grant.taken) {
            let id = grant.id;
            self.drop_turn(uid, id, now);
        }
    }

    /// True while a ticket waits or has a turn to take.
    pub fn is_waiting(&self, uid: &str) -> bool {
        self.queue.contains(uid) || self.turns.get(uid).is_some_and(|grant| !grant.taken)
    }

    /// How many turns come before that of a ticket that waits, or has one to take.
    pub fn position(&self, uid: &str) -> Option<usize> {
        match self.queue.position(uid) {
            Some(ahead) => Some(ahead + self.turns.len()),
            None => self.is_waiting(uid).then_some(0),
        }
    }

    /// Takes the turn that was granted to `uid`, once.
    pub fn take_turn(&mut self, uid: &str, now: BootTime) -> Option<Taken> {
        let grant = self.turns.take(uid, now)?;
        Some(Taken {
            id: grant.id,
            kind: grant.kind,
            waited: grant.granted_at.saturating_sub(grant.waiting.since),
        })
    }

    /// True while the turn may be used.
    pub fn turn_stands(&self, uid: &str, id: TurnId) -> bool {
        self.turns.stands(uid, id)
    }

    /// The turn's look got the slot it had asked for at `requested_at`. The turn now has
    /// 10 s after the deadline of that call. False if the turn is void: do not send.
    pub fn look(&mut self, uid: &str, id: TurnId, requested_at: BootTime, now: BootTime) -> bool {
        let waited = now.saturating_sub(requested_at);
        self.turns.look(uid, id, waited, now)
    }

    /// The turn's submission got the slot it had asked for at `requested_at`. False if the
    /// turn is void, or probes by a read that has not ended the hold: do not send.
    pub fn use_turn(
        &mut self,
        uid: &str,
        id: TurnId,
        requested_at: BootTime,
        send: SendId,
    ) -> bool {
        let usable = self.turns.get(uid).is_some_and(|grant| match grant.kind {
            TurnKind::Normal | TurnKind::ProbeAttempt => grant.id == id,
            TurnKind::ProbeRead => false,
        });
        if !usable {
            return false;
        }
        if let Some(grant) = self.turns.remove(uid, id) {
            self.preparation
                .record(requested_at, grant.preparation(requested_at));
        }
        if self.probe == Some(ProbeHolder::Turn(id)) {
            self.probe = Some(ProbeHolder::Send(send));
        }
        true
    }

    /// The turn was given back unused.
    pub fn drop_turn(&mut self, uid: &str, id: TurnId, now: BootTime) {
        if self.turns.remove(uid, id).is_some() {
            self.probe_gone(ProbeHolder::Turn(id), now);
        }
    }

    /// Takes in what became of a call.
    pub fn report(&mut self, action: Action, report: Report, now: BootTime) {
        match report {
            Report::Throttled { retry_after } => {
                let until = self.lane(action).pacer.throttled(now, retry_after);
                self.pause(until);
                self.take_back_untaken(now);
            }
            Report::Answered | Report::Blocked(_) => self.lane(action).pacer.answered(now),
            Report::NotSent | Report::Unknown => self.lane(action).pacer.unanswered(),
        }
        match self.hold.report(action, report, now) {
            Change::None => {}
            Change::Started => self.void_turns(),
            Change::ProbeFailed => self.probe_failed(),
            Change::ReadsPass => self.reads_pass(now),
            Change::SubmissionsPass => {
                self.probe = None;
                self.rotation.clear();
            }
        }
    }

    /// A hold taken over from an earlier process, see [`Hold::assume`].
    pub fn assume_hold(&mut self, cause: Cause, until: BootTime, now: BootTime) {
        self.hold.assume(cause, until, now);
        self.void_turns();
    }

    /// A throttle's pause taken over from an earlier process, at most five minutes.
    pub fn assume_pause(&mut self, until: BootTime, now: BootTime) {
        self.pause(until.min(now + super::hold::MAX_BACK_OFF));
        self.verify.pacer.prove();
    }

    /// The cause of a hold may be gone: its probe is due at once.
    pub fn probe_now(&mut self, now: BootTime) {
        self.hold.probe_now(now);
    }

    /// Another process used the quota until now.
    pub fn new_leader(&mut self, now: BootTime) {
        self.verify.pacer.silent_window(now);
        self.read_status.pacer.silent_window(now);
    }

    /// Inactive accounts grant no turns; those not taken go back.
    pub fn set_active(&mut self, active: bool, now: BootTime) {
        self.active = active;
        if !active {
            self.take_back_untaken(now);
        }
    }

    /// Cause and next probe, if held.
    pub fn hold(&self) -> Option<HoldView> {
        self.hold.view()
    }

    /// End of the pause after a throttle, while it lasts.
    pub fn paused_until(&self, now: BootTime) -> Option<BootTime> {
        let verify = self.verify.pacer.paused_until(now);
        verify.max(self.read_status.pacer.paused_until(now))
    }

    /// Figures at `now`.
    pub fn stats(&self, now: BootTime) -> Stats {
        Stats {
            active: self.active,
            queued: self.queue.len(),
            granted: self.turns.untaken(),
            outstanding: self.turns.len(),
            next_expiry: self.queue.next_expiry(),
            verify: self.verify.stats(now),
            read_status: self.read_status.stats(now),
            paused_until: self.paused_until(now),
            hold: self.hold(),
        }
    }

    /// Does everything that is due at `now`.
    pub fn step(&mut self, now: BootTime) -> Step {
        let mut effects = Vec::new();
        if self.hold.expire(now) {
            self.probe_failed();
        }
        for grant in self.turns.expired(now) {
            self.probe_gone(ProbeHolder::Turn(grant.id), now);
            if !grant.taken {
                effects.push(Effect::Wake(grant.waiting.ticket.key()));
            }
        }
        let verify = self.verify.step(now, &mut effects);
        let read_status = self.read_status.step(now, &mut effects);
        self.grant_turns(now, &mut effects);
        let next = [verify, read_status, self.turns.next_expiry()]
            .into_iter()
            .chain(self.turn_events(now))
            .flatten()
            .filter(|at| *at > now)
            .min();
        Step { effects, next }
    }

    fn lane(&mut self, action: Action) -> &mut Lane {
        match action {
            Action::Verify => &mut self.verify,
            Action::ReadStatus => &mut self.read_status,
        }
    }

    fn pause(&mut self, until: BootTime) {
        self.verify.pacer.pause(until);
        self.read_status.pacer.pause(until);
    }
}
