//! Queue, pacers, hold and brake of one account as one state machine. PURE: every method gets the
//! time. [`Account::step`] returns the effects that are due and the time of the next step.
//!
//! **Turns.** The account grants as many turns as the pacer of submissions allows, none during a
//! pause, and only the probe's turn during a hold. If a resource does not take its turn within 10
//! s, the account drops the turn and wakes the resource, which asks again if it still wants a turn.
//! So the queue entry of a deleted resource cannot occupy the account. A resource has 10 s to use a
//! turn that it took. When a hold begins, all unused turns are void: untaken turns go back to their
//! place in the queue, and `turn_stands` becomes false for taken turns.
//!
//! **Reports.** A throttle of either action pauses both, since the server may count them together;
//! only the throttled action slows down. After a hold that a status read ended, submissions leave
//! one at a time until one is answered: a read that passes does not prove that submissions pass.
//!
//! **The brake** must admit each turn that ends in a submission, also when that submission probes a
//! hold.

mod granting;
mod holding;
mod limiter;
mod rotation;
mod slots;
mod turns;

use std::time::Duration;

use super::brake::Brake;
use super::hold::{Cause, Change, Hold, HoldView};
use super::pacer::{Pacer, SendId};
use super::queue::FairQueue;
use super::recent::Recent;
use super::{Action, QueueEntry, Report, Settings, Stats, TurnKind};
use crate::api::object_key::ObjectKey;
use crate::back_off;
use crate::clock::BootTime;
use limiter::ActionLimiter;
use rotation::Rotation;
use turns::Turns;

pub use turns::TURN_LIFETIME;

/// How long a slow preparation counts.
const PREPARATION_WINDOW: Duration = Duration::from_secs(60);

/// Identifies one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TurnId(u64);

/// Identifies one wait for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterId(u64);

/// A turn that its resource took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Identifier of the turn.
    pub id: TurnId,
    /// Purpose of the turn.
    pub kind: TurnKind,
    /// How long the queue entry had waited when the account granted the turn.
    pub waited: Duration,
}

/// An action for the owner of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Wake the resource: it has a turn to take, or lost its turn and must ask again.
    Wake(ObjectKey),
    /// Give this waiter its slot.
    Slot {
        /// The waiter that gets the slot.
        waiter: WaiterId,
        /// Identifier of the send.
        send: SendId,
        /// The send time.
        at: BootTime,
    },
    /// Tell this waiter that no slot came in time.
    Late(WaiterId),
}

/// Effects that are due now, and the time of the next step if no event comes before.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// In the order in which to execute them.
    pub effects: Vec<Effect>,
    /// Later than the time that the caller passed in.
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
    verify: ActionLimiter,
    read_status: ActionLimiter,
    hold: Hold,
    brake: Brake,
    probe: Option<ProbeHolder>,
    rotation: Rotation,
    preparation: Recent,
    next_waiter: u64,
}

impl Account {
    /// An account that starts with a silent window.
    pub fn new(settings: Settings, now: BootTime) -> Self {
        Self {
            active: true,
            queue: FairQueue::new(),
            turns: Turns::default(),
            verify: ActionLimiter::new(Pacer::new(settings.qps, now)),
            read_status: ActionLimiter::new(Pacer::new(settings.qps, now)),
            hold: Hold::new(),
            brake: Brake::default(),
            probe: None,
            rotation: Rotation::default(),
            preparation: Recent::largest(PREPARATION_WINDOW),
            next_waiter: 0,
        }
    }

    /// Adds or updates a queue entry. Does nothing if its uid has a turn.
    pub fn enqueue(&mut self, queue_entry: QueueEntry, now: BootTime) {
        if self.turns.get(&queue_entry.uid).is_none() {
            self.queue.enqueue(queue_entry, now);
        }
    }

    /// Removes a queue entry, or a turn that its resource did not take.
    pub fn leave(&mut self, uid: &str, now: BootTime) {
        self.queue.leave(uid);
        if let Some(grant) = self.turns.get(uid).filter(|grant| !grant.taken) {
            let id = grant.id;
            self.drop_turn(uid, id, now);
        }
    }

    /// True while `uid` is in the queue or has a turn to take.
    pub fn is_waiting(&self, uid: &str) -> bool {
        self.queue.contains(uid) || self.turns.get(uid).is_some_and(|grant| !grant.taken)
    }

    /// Number of turns before the turn of `uid`; `None` if `uid` neither waits nor has a turn to
    /// take.
    pub fn position(&self, uid: &str) -> Option<usize> {
        match self.queue.position(uid) {
            Some(ahead) => Some(ahead + self.turns.len()),
            None => self.is_waiting(uid).then_some(0),
        }
    }

    /// Takes the turn that the account granted to `uid`; a second call returns `None`.
    pub fn take_turn(&mut self, uid: &str, now: BootTime) -> Option<Taken> {
        let grant = self.turns.take(uid, now)?;
        Some(Taken {
            id: grant.id,
            kind: grant.kind,
            waited: grant.granted_at.saturating_sub(grant.waiting.since),
        })
    }

    /// True while the holder may use the turn.
    pub fn turn_stands(&self, uid: &str, id: TurnId) -> bool {
        self.turns.stands(uid, id)
    }

    /// The turn's status read got the slot that it requested at `requested_at`. The turn now lives
    /// until 10 s after that call's deadline. False if the turn is void: do not send.
    pub fn use_for_pre_read(
        &mut self,
        uid: &str,
        id: TurnId,
        requested_at: BootTime,
        now: BootTime,
    ) -> bool {
        let waited = now.saturating_sub(requested_at);
        self.turns.use_for_pre_read(uid, id, waited, now)
    }

    /// The turn's submission got the slot that it requested at `requested_at`. False if the turn is
    /// void, or if it probes by a read that has not ended the hold: do not send.
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
            self.brake.sent(&grant.waiting.queue_entry, send);
        }
        if self.probe == Some(ProbeHolder::Turn(id)) {
            self.probe = Some(ProbeHolder::Send(send));
        }
        true
    }

    /// Its holder gave the turn back unused.
    pub fn drop_turn(&mut self, uid: &str, id: TurnId, now: BootTime) {
        if self.turns.remove(uid, id).is_some() {
            self.brake.unused(uid, now);
            self.probe_gone(ProbeHolder::Turn(id), now);
        }
    }

    /// Processes the result of a call. For a submission that left, see
    /// [`Account::report_submission`].
    pub fn report(&mut self, action: Action, report: Report, now: BootTime) {
        match report {
            Report::Throttled { retry_after } => {
                let until = self.limiter(action).pacer.throttled(now, retry_after);
                if self.verify.pacer.found_shut() || self.read_status.pacer.found_shut() {
                    self.verify.pacer.server_is_shut();
                    self.read_status.pacer.server_is_shut();
                }
                self.pause(until);
                self.take_back_untaken(now);
            }
            Report::Answered | Report::Blocked(_) => self.limiter(action).pacer.answered(now),
            Report::NotSent | Report::Unknown => self.limiter(action).pacer.unanswered(),
        }
        match self.hold.report(action, report, now) {
            Change::None => {}
            Change::Started => self.void_turns(now),
            Change::ProbeFailed => self.probe_failed(now),
            Change::ReadsPass => self.reads_pass(now),
            Change::SubmissionsPass => {
                self.probe = None;
                self.rotation.clear();
            }
        }
    }

    /// Takes over a hold of an earlier process, see [`Hold::assume`].
    pub fn assume_hold(&mut self, cause: Cause, until: BootTime, now: BootTime) {
        self.hold.assume(cause, until, now);
        self.void_turns(now);
    }

    /// The API server does not store claims: no turns until a dry run passes.
    pub fn hold_ledger(&mut self, now: BootTime) {
        match self.hold.ledger_blocked(now) {
            Change::Started => self.void_turns(now),
            Change::None | Change::ProbeFailed | Change::ReadsPass | Change::SubmissionsPass => {}
        }
    }

    /// Result of a dry run of a claim.
    pub fn ledger_probed(&mut self, passed: bool, now: BootTime) {
        self.hold.ledger_probed(passed, now);
    }

    /// When the next dry run is due; `None` if claims can be stored.
    pub fn ledger_probe_at(&self) -> Option<BootTime> {
        self.hold.ledger_probe_at()
    }

    /// Takes over a throttle's pause from an earlier process, at most five minutes.
    pub fn assume_pause(&mut self, until: BootTime, now: BootTime) {
        self.pause(until.min(now + back_off::LONGEST));
        self.verify.pacer.prove();
    }

    /// A user requests, on the resource `uid`, a probe of the hold or the brake, see
    /// [`Hold::request_probe`] and [`Brake::request_probe`]. That resource makes the probe, if it
    /// waits.
    pub fn request_probe(&mut self, uid: &str, now: BootTime) {
        let pair = self.queue.queue_entry(uid).map(QueueEntry::pair);
        self.brake.request_probe(uid, pair.as_ref(), now);
        self.hold.request_probe(now);
        if self.hold.view().is_some() {
            self.rotation.prefer(uid);
        }
    }

    /// The operator read other credentials, see [`Hold::credentials_changed`].
    pub fn credentials_changed(&mut self, now: BootTime) {
        self.hold.credentials_changed(now);
    }

    /// This process became the leader: another process used the quota until now.
    pub fn new_leader(&mut self, now: BootTime) {
        self.verify.pacer.silent_window(now);
        self.read_status.pacer.silent_window(now);
    }

    /// An inactive account grants no turns; untaken turns go back to the queue.
    pub fn set_active(&mut self, active: bool, now: BootTime) {
        self.active = active;
        if !active {
            self.take_back_untaken(now);
        }
    }

    /// Cause and next probe of the hold, or else of the open brake.
    pub fn hold(&self) -> Option<HoldView> {
        self.hold.view().or_else(|| self.brake.view())
    }

    /// True if `uid` waits and the brake admits its pair's submissions one at a time only.
    pub fn is_braked(&self, uid: &str) -> bool {
        let queue_entry = self.queue.queue_entry(uid);
        queue_entry.is_some_and(|queue_entry| self.brake.is_braked(&queue_entry.pair()))
    }

    /// End of the pause after a throttle; `None` when no pause runs.
    pub fn paused_until(&self, now: BootTime) -> Option<BootTime> {
        let verify = self.verify.pacer.paused_until(now);
        verify.max(self.read_status.pacer.paused_until(now))
    }

    /// State at `now`, for metrics and logs.
    pub fn stats(&self, now: BootTime) -> Stats {
        Stats {
            active: self.active,
            queued: self.queue.count(),
            granted: self.turns.untaken(),
            outstanding: self.turns.len(),
            next_expiry: self.queue.next_expiry(),
            verify: self.verify.stats(now),
            read_status: self.read_status.stats(now),
            paused_until: self.paused_until(now),
            hold: self.hold(),
            braked_pairs: self.brake.braked_pairs(),
        }
    }

    /// Executes everything that is due at `now`.
    pub fn step(&mut self, now: BootTime) -> Step {
        let mut effects = Vec::new();
        if self.hold.expire(now) {
            self.probe_failed(now);
        }
        self.brake.expire(now);
        for grant in self.turns.expired(now) {
            self.brake.unused(&grant.waiting.queue_entry.uid, now);
            self.probe_gone(ProbeHolder::Turn(grant.id), now);
            if !grant.taken {
                effects.push(Effect::Wake(grant.waiting.queue_entry.key()));
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

    fn limiter(&mut self, action: Action) -> &mut ActionLimiter {
        match action {
            Action::ChatappMigrationVerified => &mut self.verify,
            Action::GetPhoneNumberVerificationStatus => &mut self.read_status,
        }
    }

    fn pause(&mut self, until: BootTime) {
        self.verify.pacer.pause(until);
        self.read_status.pacer.pause(until);
    }
}
