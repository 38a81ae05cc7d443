//! The hold is the circuit breaker of the whole account: it stops all submissions for one cause, so
//! that this cause does not spend a code of every resource. PURE.
//!
//! | Cause | Starts with | Probed by | Ends with |
//! |---|---|---|---|
//! | `Credentials`, `Clock` | that answer, to any call | a status read | a read answered otherwise |
//! | `Transport` | a submission not sent (DNS, connect, TLS), or three in a row without an answer | a status read | a read answered at all |
//! | `Account` | that answer to a submission | one submission at a time | a submission answered otherwise |
//! | `Ledger` | claims cannot be stored | a dry run, outside of this module | a dry run that passes |
//!
//! A status read that is refused for a missing right says nothing about submissions. So it neither
//! starts an `Account` hold nor fails the probe of another hold. If another hold starts, an
//! `Account` hold is suspended and resumes afterwards.
//!
//! Any status read counts, not only the probe's: the reads that observe open attempts go on during
//! a hold. Only a failed probe makes the back-off grow.
//!
//! After a hold that a read ended, the hold remembers its back-off until a submission is answered:
//! if reads pass and submissions do not, the next hold waits longer.
//!
//! A user who believes that the cause is gone may request a probe; changed credentials request one
//! by themselves. A probe that is under way then may have left before the repair, so another one
//! follows it.

mod outage;

use std::time::Duration;

use super::{Action, BlockCause, Report};
use crate::back_off;
use crate::clock::BootTime;
use outage::Outage;

/// Submissions in a row without an answer that start a `Transport` hold.
const UNKNOWNS: u8 = 3;
/// A probe without a report counts as lost after this time. It is longer than the deadlines of all
/// steps together: take the turn, pre-read, prepare, send and reply.
pub(super) const PROBE_LIFETIME: Duration = Duration::from_secs(60);
/// Pause after a probe turn that came back unused.
pub(super) const UNUSED_PROBE_DELAY: Duration = Duration::from_secs(1);
/// A probe that a user requests leaves this long after the previous probe at the earliest.
pub const ASKED_EVERY: Duration = Duration::from_secs(5);
/// A remembered back-off expires after this time.
const MEMORY: Duration = Duration::from_secs(600);

pub use crate::domain::fact::HoldCause as Cause;

/// Public view of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldView {
    /// Cause of the hold.
    pub cause: Cause,
    /// When it began.
    pub since: BootTime,
    /// When the next probe is due. If it is in the past, the probe is due or under way.
    pub next_probe: BootTime,
}

/// How the account probes a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// With a status read, without a claim.
    Read,
    /// With a real submission.
    Attempt,
}

/// Effect of a report on the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No effect on turns.
    None,
    /// A hold began, or another cause took over: turns granted before are void.
    Started,
    /// The probe failed: its turn is void.
    ProbeFailed,
    /// A read ended the hold that reads probe. An `Account` hold may resume now.
    ReadsPass,
    /// A submission ended the `Account` hold.
    SubmissionsPass,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    kind: ProbeKind,
    lost_at: BootTime,
    /// Another probe was requested meanwhile, for this time.
    owed_at: Option<BootTime>,
}

/// The hold state of one account.
#[derive(Debug, Default)]
pub struct Hold {
    /// Ledger: no call to CAMS can end it, so the account makes no other probe meanwhile.
    ledger: Option<Outage>,
    /// Credentials, Clock or Transport.
    by_read: Option<Outage>,
    /// Account.
    by_attempt: Option<Outage>,
    probe: Option<Probe>,
    /// When the last probe of any kind left.
    probed_at: Option<BootTime>,
    unknowns: u8,
    /// The last hold that a read ended, and when it ended.
    memory: Option<(Outage, BootTime)>,
}

impl Hold {
    /// No hold.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cause and next probe, if held.
    pub fn view(&self) -> Option<HoldView> {
        self.outage().map(|outage| HoldView {
            cause: outage.cause,
            since: outage.since,
            next_probe: outage.next_probe,
        })
    }

    fn outage(&self) -> Option<&Outage> {
        let by_call = self.by_read.as_ref().or(self.by_attempt.as_ref());
        self.ledger.as_ref().or(by_call)
    }

    /// The API server does not store ledgers.
    pub fn ledger_blocked(&mut self, now: BootTime) -> Change {
        if self.ledger.is_some() {
            return Change::None;
        }
        self.ledger = Some(Outage::new(Cause::Ledger, now, back_off::FIRST));
        self.probe = None;
        Change::Started
    }

    /// Result of a dry run that checks whether the API server stores ledgers again.
    pub fn ledger_probed(&mut self, passed: bool, now: BootTime) {
        self.probed_at = Some(now);
        match &mut self.ledger {
            Some(_) if passed => self.ledger = None,
            Some(outage) => outage.fail(now),
            None => {}
        }
    }

    /// When the next dry run is due; `None` if ledgers can be stored.
    pub fn ledger_probe_at(&self) -> Option<BootTime> {
        self.ledger.as_ref().map(|outage| outage.next_probe)
    }

    /// The probe to make now; `None` if none is due or one is under way.
    pub fn probe_due(&self, now: BootTime) -> Option<ProbeKind> {
        if self.ledger.is_some() {
            return None;
        }
        let outage = self.outage()?;
        if self.probe.is_some() || now < outage.next_probe {
            return None;
        }
        Some(match self.by_read {
            Some(_) => ProbeKind::Read,
            None => ProbeKind::Attempt,
        })
    }

    /// When the state changes without an event.
    pub fn next_event(&self) -> Option<BootTime> {
        match self.probe {
            Some(probe) => Some(probe.lost_at),
            None => self.outage().map(|outage| outage.next_probe),
        }
    }

    /// The account granted a probe's turn.
    pub fn probe_started(&mut self, kind: ProbeKind, now: BootTime) {
        self.probe = Some(Probe {
            kind,
            lost_at: now + PROBE_LIFETIME,
            owed_at: None,
        });
        self.probed_at = Some(now);
    }

    /// The probe's turn came back unused: another resource may probe.
    pub fn probe_unused(&mut self, now: BootTime) {
        if let Some(probe) = self.probe.take() {
            let soon = now + UNUSED_PROBE_DELAY;
            if let Some(outage) = self.current_mut() {
                outage.next_probe = soon;
            }
            self.pay_owed(probe);
        }
    }

    /// Gives up a probe without a report. True if there was one.
    pub fn expire(&mut self, now: BootTime) -> bool {
        let Some(probe) = self.probe.take_if(|probe| probe.lost_at <= now) else {
            return false;
        };
        if let Some(outage) = self.current_mut() {
            outage.again(now);
        }
        self.pay_owed(probe);
        true
    }

    /// Takes over a hold from an earlier process. The probe is due at `until`, but never later than
    /// five minutes from `now`: the hold is read from status, which can be forged.
    pub fn assume(&mut self, cause: Cause, until: BootTime, now: BootTime) {
        let mut outage = Outage::new(cause, now, back_off::FIRST);
        outage.next_probe = until.min(now + back_off::LONGEST).max(now);
        match cause {
            Cause::Account => self.by_attempt = Some(outage),
            Cause::Credentials | Cause::Clock | Cause::Transport => self.by_read = Some(outage),
            Cause::Ledger => self.ledger = Some(outage),
            // Another process does not know the refusals that opened the brake.
            Cause::Brake => return,
        }
        self.probe = None;
    }

    /// A user believes that the cause is gone: one probe is due at once, but at least
    /// [`ASKED_EVERY`] after the previous one. Does nothing if nothing is held.
    pub fn request_probe(&mut self, now: BootTime) {
        let earliest = self.probed_at.map_or(now, |last| last + ASKED_EVERY);
        self.probe_by(now.max(earliest));
    }

    /// The credentials changed: a probe is due at once, and the back-off starts again.
    pub fn credentials_changed(&mut self, now: BootTime) {
        self.memory = None;
        self.probe_by(now);
        if let Some(outage) = self.current_mut() {
            outage.back_off = back_off::FIRST;
            outage.asked = false;
        }
    }

    /// Makes a probe due at `at`, unless one is due earlier. This module never counts a dry run as
    /// under way.
    fn probe_by(&mut self, at: BootTime) {
        if let Some(probe) = &mut self.probe {
            probe.owed_at = Some(probe.owed_at.map_or(at, |owed| owed.min(at)));
        } else if let Some(outage) = self.current_mut() {
            outage.ask(at);
        }
        if let Some(outage) = &mut self.ledger {
            outage.ask(at);
        }
    }

    /// This probe ended and the hold continues: a probe requested meanwhile is due.
    fn pay_owed(&mut self, ended: Probe) {
        if let Some(at) = ended.owed_at {
            self.probe_by(at);
        }
    }

    /// Processes the result of a call.
    pub fn report(&mut self, action: Action, report: Report, now: BootTime) -> Change {
        match action {
            Action::ChatappMigrationVerified => self.submission(report, now),
            Action::GetPhoneNumberVerificationStatus => self.read(report, now),
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

    /// Credentials or clock, by a definite answer, which overrides a `Transport` hold.
    fn blocked(&mut self, cause: Cause, now: BootTime, by_read: bool) -> Change {
        match &mut self.by_read {
            Some(outage) => {
                outage.now_by(cause, now);
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
        self.by_read = Some(match remembered {
            Some((last, _)) => last.followed_by(cause, now),
            None => Outage::new(cause, now, back_off::FIRST),
        });
        // A probe by submission that is under way is one of the calls that fail now.
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
                self.by_attempt = Some(Outage::new(Cause::Account, now, back_off::FIRST));
                change
            }
        }
    }

    fn reads_pass(&mut self, now: BootTime) -> Change {
        let Some(outage) = self.by_read.take() else {
            return Change::None;
        };
        self.memory = Some((outage, now));
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

    /// The cause persists. The back-off grows if a probe found that out.
    fn probe_failed(&mut self, kind: ProbeKind, now: BootTime) -> Change {
        let Some(probe) = self.probe.take_if(|probe| probe.kind == kind) else {
            return Change::None;
        };
        if let Some(outage) = self.current_mut() {
            outage.fail(now);
        }
        self.pay_owed(probe);
        Change::ProbeFailed
    }

    /// A probe by submission ended without a result about the account.
    fn probe_missed(&mut self, now: BootTime) -> Change {
        let by_attempt = |probe: &mut Probe| probe.kind == ProbeKind::Attempt;
        let Some(probe) = self.probe.take_if(by_attempt) else {
            return Change::None;
        };
        if let Some(outage) = &mut self.by_attempt {
            outage.again(now);
        }
        self.pay_owed(probe);
        Change::ProbeFailed
    }

    fn is_probed_by(&self, kind: ProbeKind) -> bool {
        self.probe.is_some_and(|probe| probe.kind == kind)
    }

    fn current_mut(&mut self) -> Option<&mut Outage> {
        self.by_read.as_mut().or(self.by_attempt.as_mut())
    }
}
