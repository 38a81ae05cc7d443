//! The brake: one cause must not spend a batch of codes, and one tenant's cause must not stop the
//! other tenants. PURE.
//!
//! The operator does not know the Code that CAMS returns for a wrong verification code, and an
//! account error can come under a Code that is on no list. Both are refusals and both spend a code;
//! the reply does not distinguish them. So the brake looks at the refused numbers and pairs:
//!
//! - The brake **opens** when CAMS refused the last three submissions with the same Code, for three
//!   different numbers, without an acceptance between. While the brake is open, submissions go one
//!   at a time: the first after 5 s, then at intervals that double up to 5 min.
//! - The next probe is of a pair (namespace, custSpaceId) that was not refused since the brake
//!   opened. If there is none, it is of the pair that was probed longest ago. As long as the
//!   refusals are of one pair only, the first probe of another pair waits at most those 5 s.
//! - An acceptance, or a refusal with another Code, **closes** the brake for all pairs except those
//!   that were refused with its Code. These are *braked pairs*: each sends one submission at a
//!   time, with a back-off of its own, until CAMS accepts one of its submissions.
//! - A pair whose own last three submissions were refused with the same Code becomes a braked pair
//!   in any case, also while CAMS accepts the submissions of other pairs.
//!
//! Three refusals of one braked pair do not open the brake: they are nothing new. When the brake
//! checks whether the refusals are of one pair only, all braked pairs count as one.
//!
//! Replies can arrive out of order, so the brake orders submissions by send time: an acceptance
//! says nothing about a submission that was sent after it.
//!
//! The state is in memory only: after a restart, a cause may spend three codes again.

mod open;
mod run;

use std::collections::HashMap;
use std::time::Duration;

use super::hold::{Cause, HoldView, PROBE_LIFETIME, UNUSED_PROBE_DELAY};
use super::pacer::SendId;
use super::{Pair, QueueEntry};
use crate::back_off;
use crate::clock::BootTime;
use open::Open;
use run::{Refusal, Run};

/// The brake remembers a pair at least this long after its last refusal.
const MEMORY: Duration = Duration::from_secs(24 * 3600);
/// From this number of pairs on, the brake removes old pairs.
const MANY: usize = 1_000;

/// Result of a submission, as far as the reply of CAMS states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// Executed and accepted.
    Accepted,
    /// Executed and refused, with this Code.
    Refused(&'a str),
    /// No usable reply: CAMS may have executed it.
    Nothing,
    /// CAMS did not execute it.
    NotExecuted,
}

/// Effect of a reply on the brake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrakeChange {
    /// No effect on turns.
    None,
    /// The brake opened: turns granted before are void.
    Opened,
    /// The brake closed.
    Closed,
    /// This pair is braked now: its turns are void.
    PairBraked(Pair),
}

/// A submission that was sent and has no reply yet.
#[derive(Clone, Debug)]
struct Sent {
    pair: Pair,
    ledger: String,
    send: SendId,
}

/// The only submission allowed at a time, from its turn to its reply.
#[derive(Clone, Debug)]
struct ProbeInFlight {
    uid: String,
    lost_at: BootTime,
}

impl ProbeInFlight {
    fn new(uid: &str, now: BootTime) -> Self {
        Self {
            uid: uid.to_owned(),
            lost_at: now + PROBE_LIFETIME,
        }
    }

    fn is(single: Option<&ProbeInFlight>, uid: &str) -> bool {
        single.is_some_and(|single| single.uid == uid)
    }
}

/// State of a braked pair.
#[derive(Clone, Debug)]
struct BrakedPair {
    back_off: Duration,
    next: BootTime,
    /// When its last turn was granted; before the first turn, when it was braked.
    granted_at: BootTime,
    refused_at: BootTime,
    /// The newest of its refused submissions.
    newest: SendId,
    single: Option<ProbeInFlight>,
}

impl BrakedPair {
    fn new(back_off: Duration, refused_at: BootTime, newest: SendId) -> Self {
        Self {
            back_off,
            next: refused_at + back_off,
            granted_at: refused_at,
            refused_at,
            newest,
            single: None,
        }
    }

    fn may_go(&self, now: BootTime) -> bool {
        self.single.is_none() && self.next <= now
    }

    fn refused(&mut self, send: SendId, was_single: bool, now: BootTime) {
        if was_single {
            self.back_off = back_off::next(self.back_off);
        }
        self.newest = self.newest.max(send);
        self.refused_at = now;
        self.next = self.next.max(now + self.back_off);
    }
}

/// The brake of one account.
#[derive(Debug, Default)]
pub struct Brake {
    /// The account's newest refusals in a row.
    run: Run,
    /// The same for each pair that is not braked.
    runs: HashMap<Pair, Run>,
    open: Option<Open>,
    alone: HashMap<Pair, BrakedPair>,
    /// Keyed by uid.
    under_way: HashMap<String, Sent>,
}

impl Brake {
    /// When the brake opened, and when the next probe is due.
    pub fn view(&self) -> Option<HoldView> {
        self.open.as_ref().map(|open| HoldView {
            cause: Cause::Brake,
            since: open.since,
            next_probe: open.next_probe.max(open.not_before),
        })
    }

    /// True while submissions go one at a time.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Number of braked pairs.
    pub fn braked_pairs(&self) -> usize {
        self.alone.len()
    }

    /// True if this pair is braked.
    pub fn is_braked(&self, pair: &Pair) -> bool {
        self.alone.contains_key(pair)
    }

    /// True if a resource of this pair may prepare a submission now.
    pub fn admits(&self, pair: &Pair, now: BootTime) -> bool {
        let alone = self.alone.get(pair);
        let its_own = alone.is_none_or(|alone| alone.may_go(now));
        let open = self.open.as_ref();
        its_own && open.is_none_or(|open| open.admits(pair, alone.is_some(), now))
    }

    /// While the brake is open and a probe is due: which of the waiting `pairs`, given in the order
    /// of fairness, makes the probe.
    pub fn choose<'a>(&self, pairs: impl Iterator<Item = &'a Pair>, now: BootTime) -> Option<Pair> {
        let open = self.open.as_ref()?;
        let due = pairs.filter(|pair| self.admits(pair, now));
        due.min_by_key(|pair| open.rank(pair, self.is_braked(pair)))
            .cloned()
    }

    /// While the brake is open: the resource on which a user requested a probe, if it is due.
    pub fn asked(&self, now: BootTime) -> Option<&str> {
        self.open.as_ref().and_then(|open| open.asked(now))
    }

    /// A user requests a probe on the resource `uid`. If the brake is closed, the request goes to
    /// its braked `pair`, given if `uid` waits. At most one probe every 5 s. It counts like the
    /// others: a refusal doubles the next interval.
    pub fn request_probe(&mut self, uid: &str, pair: Option<&Pair>, now: BootTime) {
        if let Some(open) = &mut self.open {
            open.asked = Some(uid.to_owned());
        } else if let Some(alone) = pair.and_then(|pair| self.alone.get_mut(pair)) {
            let soonest = alone.granted_at.max(alone.refused_at) + back_off::FIRST;
            alone.next = alone.next.min(soonest.max(now));
        }
    }

    /// Times at which the state changes without an event.
    pub fn next_events(&self) -> impl Iterator<Item = BootTime> {
        let open = self.open.iter().flat_map(Open::events);
        open.chain(self.alone.values().map(|alone| match &alone.single {
            Some(single) => single.lost_at,
            None => alone.next,
        }))
    }

    /// The account granted a turn that ends in a submission.
    pub fn granted(&mut self, queue_entry: &QueueEntry, now: BootTime) {
        let pair = queue_entry.pair();
        let single = ProbeInFlight::new(&queue_entry.uid, now);
        if let Some(open) = &mut self.open {
            open.granted(pair, single, now);
        } else if let Some(alone) = self.alone.get_mut(&pair) {
            alone.granted_at = now;
            alone.single = Some(single);
        }
    }

    /// A submission leaves.
    pub fn sent(&mut self, queue_entry: &QueueEntry, send: SendId) {
        let sent = Sent {
            pair: queue_entry.pair(),
            ledger: queue_entry.ledger.clone(),
            send,
        };
        self.under_way.insert(queue_entry.uid.clone(), sent);
    }

    /// The submission did not leave after all.
    pub fn unsent(&mut self, send: SendId, now: BootTime) {
        let uid = self.under_way.iter().find(|(_, sent)| sent.send == send);
        if let Some(uid) = uid.map(|(uid, _)| uid.clone()) {
            self.under_way.remove(&uid);
            self.unused(&uid, now);
        }
    }

    /// The turn of `uid` came back unused: another resource may go.
    pub fn unused(&mut self, uid: &str, now: BootTime) {
        if let Some(open) = &mut self.open
            && open.take_probe(uid)
        {
            open.not_before = now + UNUSED_PROBE_DELAY;
        }
        let mut alone = self.alone.values_mut();
        if let Some(alone) = alone.find(|alone| ProbeInFlight::is(alone.single.as_ref(), uid)) {
            alone.single = None;
            alone.next = now + UNUSED_PROBE_DELAY;
        }
    }

    /// Gives up submissions whose reply never came.
    pub fn expire(&mut self, now: BootTime) {
        let singles = self
            .alone
            .values()
            .filter_map(|alone| alone.single.as_ref());
        let probe = self.open.as_ref().and_then(|open| open.probe.as_ref());
        let lost = singles.chain(probe).filter(|single| single.lost_at <= now);
        for uid in lost.map(|single| single.uid.clone()).collect::<Vec<_>>() {
            self.answered(&uid, Said::Nothing, now);
            self.unused(&uid, now);
        }
    }

    /// Processes the result of the submission of `uid`.
    pub fn answered(&mut self, uid: &str, said: Said<'_>, now: BootTime) -> BrakeChange {
        let Some(sent) = self.under_way.remove(uid) else {
            self.unused(uid, now);
            return BrakeChange::None;
        };
        match said {
            Said::NotExecuted => {
                self.unused(uid, now);
                BrakeChange::None
            }
            Said::Nothing => {
                self.missed(uid, &sent.pair, now);
                BrakeChange::None
            }
            Said::Accepted => self.accepted(uid, &sent, now),
            Said::Refused(code) => self.refused(uid, sent, code, now),
        }
    }

    /// CAMS may have executed it, but the reply says nothing: wait the same back-off again.
    fn missed(&mut self, uid: &str, pair: &Pair, now: BootTime) {
        if let Some(open) = &mut self.open
            && open.take_probe(uid)
        {
            open.next_probe = now + open.back_off;
            open.not_before = now + back_off::FIRST;
        }
        if let Some(alone) = self.alone.get_mut(pair)
            && ProbeInFlight::is(alone.single.as_ref(), uid)
        {
            alone.single = None;
            alone.next = now + alone.back_off;
        }
    }

    fn accepted(&mut self, uid: &str, sent: &Sent, now: BootTime) -> BrakeChange {
        self.unused(uid, now);
        let Sent { pair, send, .. } = sent;
        if self
            .alone
            .get(pair)
            .is_some_and(|alone| alone.newest < *send)
        {
            self.alone.remove(pair);
        }
        if self
            .runs
            .get_mut(pair)
            .is_some_and(|run| run.broken_by(*send))
        {
            self.runs.remove(pair);
        }
        if let Some(open) = &mut self.open {
            open.accepted(pair, *send);
        }
        self.run_broken_by(*send)
    }

    /// Refusals of submissions sent before `send` no longer count as in a row with later ones.
    fn run_broken_by(&mut self, send: SendId) -> BrakeChange {
        self.run.broken_by(send);
        if self.run.is_full() {
            return BrakeChange::None;
        }
        match self.open.take() {
            Some(open) => {
                self.close(open);
                BrakeChange::Closed
            }
            None => BrakeChange::None,
        }
    }

    fn close(&mut self, open: Open) {
        for (pair, refused) in open.refused {
            let back_off = refused.back_off();
            match self.alone.get_mut(&pair) {
                Some(alone) => {
                    alone.back_off = alone.back_off.max(back_off);
                    alone.next = alone.next.max(refused.at + back_off);
                }
                None => {
                    self.runs.remove(&pair);
                    let alone = BrakedPair::new(back_off, refused.at, refused.newest);
                    self.alone.insert(pair, alone);
                }
            }
        }
    }

    fn refused(&mut self, uid: &str, sent: Sent, code: &str, now: BootTime) -> BrakeChange {
        let was_braked = self.is_braked(&sent.pair);
        let refusal = Refusal {
            ledger: sent.ledger,
            pair: sent.pair,
            send: sent.send,
            at: now,
            was_braked,
        };
        let was_probe = self.open.as_mut().is_some_and(|open| open.take_probe(uid));
        let braked = self.note_of_pair(uid, &refusal, code, was_probe, now);
        let broken = if self.run.is_of(code) {
            BrakeChange::None
        } else {
            self.run_broken_by(refusal.send)
        };
        if let Some(open) = &mut self.open
            && open.code == code
        {
            open.refused(&refusal, was_probe, now);
        }
        self.run.note(code, refusal.clone());
        if self.open.is_none() && self.run.is_full() && !self.run.is_of_one_braked_pair() {
            self.open = Some(Open::new(code, self.run.refusals(), now));
            return BrakeChange::Opened;
        }
        match braked {
            true => BrakeChange::PairBraked(refusal.pair),
            false => broken,
        }
    }

    /// Records a refusal for its pair. True if the refusal brakes the pair.
    fn note_of_pair(
        &mut self,
        uid: &str,
        refusal: &Refusal,
        code: &str,
        was_probe: bool,
        now: BootTime,
    ) -> bool {
        let Refusal { pair, send, .. } = refusal;
        if let Some(alone) = self.alone.get_mut(pair) {
            let was_single = alone.single.take_if(|single| single.uid == uid).is_some();
            alone.refused(*send, was_single || was_probe, now);
            return false;
        }
        self.forget_old(now);
        let run = self.runs.entry(pair.clone()).or_default();
        if !run.is_of(code) {
            run.broken_by(*send);
        }
        run.note(code, refusal.clone());
        if !run.is_full() {
            return false;
        }
        self.runs.remove(pair);
        let alone = BrakedPair::new(back_off::FIRST, now, *send);
        self.alone.insert(pair.clone(), alone);
        true
    }

    fn forget_old(&mut self, now: BootTime) {
        let is_recent = |at: BootTime| now.saturating_sub(at) < MEMORY;
        if self.runs.len() + self.alone.len() < MANY {
            return;
        }
        self.runs
            .retain(|_, run| run.newest_at().is_some_and(is_recent));
        self.alone
            .retain(|_, alone| alone.single.is_some() || is_recent(alone.refused_at));
    }
}
