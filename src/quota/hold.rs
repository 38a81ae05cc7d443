//! Causes that stop the whole account, so that one cause does not burn or churn every
//! resource. PURE.
//!
//! | Cause | Starts with | Probed by | Ends with |
//! |---|---|---|---|
//! | `Credentials`, `Clock` | that answer, to any call | a status read | a read answered otherwise |
//! | `Transport` | a submission not sent (DNS, connect, TLS), or three in a row without an answer | a status read | a read answered at all |
//! | `Account` | that answer to a submission | one submission at a time | a submission answered otherwise |
//!
//! A status read that is refused for lack of a right says nothing about submissions,
//! so it neither starts an `Account` hold nor fails the probe of another. An `Account`
//! hold waits underneath while one of the others stands, and goes on after it.
//!
//! Any status read counts, not only the probe's own: the reads that observe open
//! attempts go on during a hold. Only a probe's failure makes the back-off grow.
//!
//! After a hold that a read ended, the back-off is remembered until a submission is
//! answered: if reads pass and submissions do not, the next hold waits longer.

mod episode;

use std::time::Duration;

use super::{Action, BlockCause, Report};
use crate::clock::BootTime;
use episode::Episode;

/// First back-off.
pub const FIRST_BACK_OFF: Duration = Duration::from_secs(5);
/// Longest back-off, and the furthest that a hold may be assumed ahead.
pub const MAX_BACK_OFF: Duration = Duration::from_secs(300);
/// Submissions in a row without an answer that make a transport hold.
const UNKNOWNS: u8 = 3;
/// A probe that nobody reported on counts as lost. Longer than any that goes its way:
/// taken, looked, prepared, sent and answered, each at its own deadline.
const PROBE_LIFETIME: Duration = Duration::from_secs(60);
/// Pause after a probe turn that was given back unused.
const UNUSED_PROBE_DELAY: Duration = Duration::from_secs(1);
/// A remembered back-off is worth nothing after this.
const MEMORY: Duration = Duration::from_secs(600);

pub use crate::fact::HoldCause as Cause;

/// What others may know of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldView {
    /// Why.
    pub cause: Cause,
    /// When the next probe is due. In the past: it is due or out.
    pub next_probe: BootTime,
}

/// How a hold is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// By a status read, without a claim.
    Read,
    /// By a real submission.
    Attempt,
}

/// What a report did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that concerns turns.
    None,
    /// A hold began, or another cause took over: turns granted before are void.
    Started,
    /// The probe failed: its turn is void.
    ProbeFailed,
    /// A read ended the hold that reads probe. An `Account` hold may go on under it.
    ReadsPass,
    /// A submission ended the `Account` hold.
    SubmissionsPass,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    kind: ProbeKind,
    lost_at: BootTime,
}

/// The hold state of one account.
#[derive(Debug, Default)]
pub struct Hold {
    /// Credentials, Clock or Transport.
    by_read: Option<Episode>,
    /// Account.
    by_attempt: Option<Episode>,
    probe: Option<Probe>,
    unknowns: u8,
    /// Back-off of the last hold that a read ended, and when.
    memory: Option<(Duration, BootTime)>,
}

impl Hold {
    /// Not held.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cause and next probe, if held.
    pub fn view(&self) -> Option<HoldView> {
        self.episode().map(|episode| HoldView {
            cause: episode.cause,
            next_probe: episode.next_probe,
        })
    }

    fn episode(&self) -> Option<&Episode> {
        self.by_read.as_ref().or(self.by_attempt.as_ref())
    }

    /// The probe to make now, if one is due and none is out.
    pub fn probe_due(&self, now: BootTime) -> Option<ProbeKind> {
        let episode = self.episode()?;
        if self.probe.is_some() || now < episode.next_probe {
            return None;
        }
        Some(match self.by_read {
            Some(_) => ProbeKind::Read,
            None => ProbeKind::Attempt,
        })
    }

    /// When something changes by itself.
    pub fn next_event(&self) -> Option<BootTime> {
        match self.probe {
            Some(probe) => Some(probe.lost_at),
            None => self.episode().map(|episode| episode.next_probe),
        }
    }

    /// A probe's turn was granted.
    pub fn probe_started(&mut self, kind: ProbeKind, now: BootTime) {
        self.probe = Some(Probe {
            kind,
            lost_at: now + PROBE_LIFETIME,
        });
    }

    /// The probe's turn came back unused: somebody else may try.
    pub fn probe_unused(&mut self, now: BootTime) {
        if self.probe.take().is_some() {
            let soon = now + UNUSED_PROBE_DELAY;
            if let Some(episode) = self.current_mut() {
                episode.next_probe = soon;
            }
        }
    }

    /// Gives up a probe that was never reported on. True if there was one.
    pub fn expire(&mut self, now: BootTime) -> bool {
        let lost = self.probe.is_some_and(|probe| probe.lost_at <= now);
        if lost {
            self.probe = None;
            if let Some(episode) = self.current_mut() {
                episode.again(now);
            }
        }
        lost
    }

    /// A hold taken over from an earlier process: probed at `until`, but never later
    /// than five minutes from `now`, since what it is read from can be forged.
    pub fn assume(&mut self, cause: Cause, until: BootTime, now: BootTime) {
        let mut episode = Episode::new(cause, now, FIRST_BACK_OFF);
        episode.next_probe = until.min(now + MAX_BACK_OFF).max(now);
        match cause {
            Cause::Account => self.by_attempt = Some(episode),
            Cause::Credentials | Cause::Clock | Cause::Transport => self.by_read = Some(episode),
        }
        self.probe = None;
    }

    /// The cause may have changed (new credentials): the next probe is due at once.
    pub fn probe_now(&mut self, now: BootTime) {
        self.memory = None;
        if let Some(episode) = self.current_mut() {
            episode.back_off = FIRST_BACK_OFF;
            episode.next_probe = episode.next_probe.min(now);
        }
    }

    /// Takes in what became of a call.
    pub fn report(&mut self, action: Action, report: Report, now: BootTime) -> Change {
        match action {
            Action::Verify => self.submission(report, now),
            Action::ReadStatus => self.read(report, now),
        }
    }

    fn read(&mut self, report: Report, now: BootTime) -> Change {
        match report {
            Report::Blocked(BlockCause::Credentials) => self.blocked(Cause::Credentials, now, true),
            Report::Blocked(BlockCause::Clock) => self.blocked(Cause::Clock, now, true),
            Report::Answered | Report::Throttled { .. } | Report::Blocked(BlockCause::Account) => {
                self.reads_pass(now)
            }
            Report::NotSent | Report::Unknown => self.probe_failed(ProbeKind::Read, now),
        }
    }

    fn submission(&mut self, report: Report, now: BootTime) -> Change {
        match report {
            Report::Answered | Report::Throttled { .. } | Report::Blocked(_) => self.unknowns = 0,
            Report::Unknown => self.unknowns = self.unknowns.saturating_add(1),
            Report::NotSent => {}
        }
        match report {
            Report::Answered => self.submissions_pass(),
            Report::Throttled { .. } => self.probe_missed(now),
            Report::Blocked(BlockCause::Credentials) => {
                self.blocked(Cause::Credentials, now, false)
            }
            Report::Blocked(BlockCause::Clock) => self.blocked(Cause::Clock, now, false),
            Report::Blocked(BlockCause::Account) => self.account_blocked(now),
            Report::NotSent => self.transport(now),
            Report::Unknown if self.unknowns >= UNKNOWNS => self.transport(now),
            Report::Unknown => self.probe_missed(now),
        }
    }

    /// Credentials or clock, by a definite answer: it overrides a transport hold.
    fn blocked(&mut self, cause: Cause, now: BootTime, by_read: bool) -> Change {
        match &mut self.by_read {
            Some(episode) => {
                episode.cause = cause;
                if by_read {
                    self.probe_failed(ProbeKind::Read, now)
                } else {
                    Change::None
                }
            }
            None => self.start_by_read(cause, now),
        }
    }

    fn transport(&mut self, now: BootTime) -> Change {
        match self.by_read {
            Some(_) => Change::None,
            None => self.start_by_read(Cause::Transport, now),
        }
    }

    fn start_by_read(&mut self, cause: Cause, now: BootTime) -> Change {
        let remembered = self
            .memory
            .take()
            .filter(|(_, ended)| now.saturating_sub(*ended) <= MEMORY);
        let back_off = match remembered {
            Some((last, _)) => last.saturating_mul(2).min(MAX_BACK_OFF),
            None => FIRST_BACK_OFF,
        };
        self.by_read = Some(Episode::new(cause, now, back_off));
        // A probe by submission that is out is one of the calls that fail now.
        self.probe = None;
        if let Some(under) = &mut self.by_attempt {
            under.again(now);
        }
        Change::Started
    }

    fn account_blocked(&mut self, now: BootTime) -> Change {
        match (&self.by_attempt, &self.by_read) {
            (Some(_), _) => self.probe_failed(ProbeKind::Attempt, now),
            (None, under) => {
                let change = match under {
                    Some(_) => Change::None,
                    None => Change::Started,
                };
                self.by_attempt = Some(Episode::new(Cause::Account, now, FIRST_BACK_OFF));
                change
            }
        }
    }

    fn reads_pass(&mut self, now: BootTime) -> Change {
        let Some(episode) = self.by_read.take() else {
            return Change::None;
        };
        self.memory = Some((episode.back_off, now));
        self.probe = None;
        Change::ReadsPass
    }

    fn submissions_pass(&mut self) -> Change {
        self.memory = None;
        if self.by_attempt.take().is_none() {
            return Change::None;
        }
        if self.is_probed_by(ProbeKind::Attempt) {
            self.probe = None;
        }
        match self.by_read {
            Some(_) => Change::None,
            None => Change::SubmissionsPass,
        }
    }

    /// The cause stands: the back-off grows, if it was a probe that found out.
    fn probe_failed(&mut self, kind: ProbeKind, now: BootTime) -> Change {
        if !self.is_probed_by(kind) {
            return Change::None;
        }
        self.probe = None;
        if let Some(episode) = self.current_mut() {
            episode.fail(now);
        }
        Change::ProbeFailed
    }

    /// A probe by submission ended without saying anything about the account.
    fn probe_missed(&mut self, now: BootTime) -> Change {
        if !self.is_probed_by(ProbeKind::Attempt) {
            return Change::None;
        }
        self.probe = None;
        if let Some(episode) = &mut self.by_attempt {
            episode.again(now);
        }
        Change::ProbeFailed
    }

    fn is_probed_by(&self, kind: ProbeKind) -> bool {
        self.probe.is_some_and(|probe| probe.kind == kind)
    }

    fn current_mut(&mut self) -> Option<&mut Episode> {
        self.by_read.as_mut().or(self.by_attempt.as_mut())
    }
}
