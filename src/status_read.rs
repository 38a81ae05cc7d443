//! One read of a number's verification status, within the quota of reads: asked, timed, reported
//! to the quota, and told as plain values. The attempt and the observation both read through it.

use std::time::Duration;

use jiff::Timestamp;

use crate::cams::{
    BlockCause, GateClosed, NotSentCause, Permit, ReadFailure, StatusAnswer, StatusVerdict, Target,
    Timing, UnknownCause,
};
use crate::clock::{self, Now};
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::fact::Told;
use crate::metrics::{Answer as Label, InFlight};
use crate::quota::{Action, BlockCause as Blocked, Priority, Report, Slot, Turn};
use crate::reads::ReadResult;

const STATUS_READ: crate::cams::Action = crate::cams::Action::GetPhoneNumberVerificationStatus;
/// Largest difference between the service's clock and ours at which anything is sent.
pub const MOST_SKEW: Duration = Duration::from_secs(60);

/// Reads the status of the number of `object` once, within the quota of reads.
///
/// `turn`: the one that an attempt holds meanwhile; waiting for a read's slot is no preparation.
pub async fn read(
    ctx: &Context,
    object: &PhoneMigration,
    priority: Priority,
    slot_within: Duration,
    turn: Option<&mut Turn>,
) -> (StatusVerdict, Told) {
    let (verdict, told, _) = read_dated(ctx, object, priority, slot_within, turn).await;
    (verdict, told)
}

/// The same, with the reply's own `Date`.
pub async fn read_dated(
    ctx: &Context,
    object: &PhoneMigration,
    priority: Priority,
    slot_within: Duration,
    turn: Option<&mut Turn>,
) -> (StatusVerdict, Told, Option<Timestamp>) {
    let Ok(nonce) = clock::random::<16>() else {
        let failure = ReadFailure::NotSent(NotSentCause::Gate);
        return (StatusVerdict::Failed(failure), Told::default(), None);
    };
    let target = Target {
        cust_space_id: &object.spec.cust_space_id,
        phone_number: &object.spec.phone_number,
    };
    let started = clock::now();
    let request = ctx
        .cams
        .sign_status(target, &crate::code::hex(&nonce), started.wall);
    let metrics = &ctx.metrics.account;
    let gate = || async {
        let asked = clock::boot();
        let slot = ctx
            .quota
            .slot(Action::ReadStatus, priority, slot_within)
            .await;
        let slot = slot.map_err(|_| GateClosed {
            reason: "no slot for a read",
        })?;
        metrics.waited(STATUS_READ, clock::boot().saturating_sub(asked));
        if let Some(turn) = turn
            && !turn.looks(&slot)
        {
            slot.unsent();
            return Err(GateClosed {
                reason: "the turn went to somebody else",
            });
        }
        Ok(Admitted::new(slot, metrics.in_flight(STATUS_READ)))
    };
    let call = ctx.cams.read_status(request, gate).await;
    let took = took(call.timing);
    end_slot(call.admitted, call.timing);
    let answer = call.answer;
    if let Some(label) = label(&answer) {
        metrics.call(STATUS_READ, label, took);
    }
    if let Some(report) = report(ctx, &answer) {
        ctx.report(Action::ReadStatus, report);
    }
    let told = Told {
        code: answer.code.clone().or_else(|| own_word(&answer.verdict)),
        message: answer.message,
        request_id: answer.request_id,
    };
    (answer.verdict, told, answer.date)
}

/// The same cause in the quota's words.
pub fn block_cause(cause: BlockCause) -> Blocked {
    match cause {
        BlockCause::Credentials => Blocked::Credentials,
        BlockCause::Account => Blocked::Account,
        BlockCause::Clock => Blocked::Clock,
    }
}

/// A call that was let through, until it ends.
pub struct Admitted {
    slot: Slot,
    _in_flight: InFlight,
}

impl Admitted {
    /// The call in this slot is let through now.
    pub fn new(slot: Slot, in_flight: InFlight) -> Self {
        Self {
            slot,
            _in_flight: in_flight,
        }
    }
}

impl Permit for Admitted {
    fn written(&mut self, at: Now) {
        self.slot.handed(at.boot);
    }
}

/// Only a reply proves the arrival; without one the slot counts to its deadline.
pub fn end_slot(admitted: Option<Admitted>, timing: Timing) {
    if let (Some(mut admitted), Some(replied)) = (admitted, timing.replied) {
        admitted.slot.replied(replied.boot);
    }
}

/// Time since the call was let through; `None` if it never was.
pub fn took(timing: Timing) -> Option<Duration> {
    let opened = timing.opened?;
    Some(clock::boot().saturating_sub(opened.boot))
}

fn label(answer: &StatusAnswer) -> Option<Label<'_>> {
    Some(match (&answer.verdict, answer.code.as_deref()) {
        (StatusVerdict::Failed(ReadFailure::NotSent(NotSentCause::Gate)), _) => return None,
        (StatusVerdict::Failed(ReadFailure::NotSent(_)), _) => Label::NotSent,
        (_, Some(code)) => Label::Code(code),
        (
            StatusVerdict::Failed(ReadFailure::Unknown(
                UnknownCause::Timeout | UnknownCause::ConnectionLost,
            )),
            None,
        ) => Label::NoReply,
        (_, None) => Label::NotTheApi,
    })
}

/// What the quota learns from a read.
fn report(ctx: &Context, answer: &StatusAnswer) -> Option<Report> {
    Some(match &answer.verdict {
        StatusVerdict::Throttled { after } => Report::Throttled {
            retry_after: *after,
        },
        StatusVerdict::Blocked(cause @ (BlockCause::Credentials | BlockCause::Clock)) => {
            Report::Blocked(block_cause(*cause))
        }
        StatusVerdict::Failed(ReadFailure::NotSent(NotSentCause::Gate)) => return None,
        StatusVerdict::Failed(ReadFailure::NotSent(_)) => Report::NotSent,
        StatusVerdict::Verified { .. }
        | StatusVerdict::NotVerified { .. }
        | StatusVerdict::Blocked(BlockCause::Account)
        | StatusVerdict::Failed(_) => {
            let skew = ctx.cams.clock_skew(clock::now());
            if skew.is_some_and(|skew| skew.unsigned_abs() > MOST_SKEW) {
                Report::Blocked(Blocked::Clock)
            } else if answer.ends_hold() {
                Report::Answered
            } else {
                Report::Unknown
            }
        }
    })
}

fn own_word(verdict: &StatusVerdict) -> Option<String> {
    match verdict {
        StatusVerdict::Failed(ReadFailure::NotSent(cause)) => Some(format!("NotSent.{cause:?}")),
        StatusVerdict::Failed(ReadFailure::Unknown(cause)) => Some(format!("{cause:?}")),
        StatusVerdict::Failed(ReadFailure::NoStatus) => Some("NoStatus".to_owned()),
        StatusVerdict::Throttled { .. } => Some("Throttled".to_owned()),
        StatusVerdict::Verified { .. }
        | StatusVerdict::NotVerified { .. }
        | StatusVerdict::Blocked(_)
        | StatusVerdict::Failed(ReadFailure::Refused(_)) => None,
    }
}

/// What a read says about the number.
pub fn result(verdict: &StatusVerdict, told: &Told, date: Option<Timestamp>) -> ReadResult {
    match verdict {
        StatusVerdict::Verified { id, phone_number } => ReadResult::Verified {
            id: id.clone(),
            phone_number: phone_number.clone(),
            request_id: told.request_id.clone(),
        },
        StatusVerdict::NotVerified { .. } => ReadResult::NotVerified { date },
        StatusVerdict::Failed(ReadFailure::NotSent(NotSentCause::Gate)) => ReadResult::NotMade,
        StatusVerdict::Throttled { .. } | StatusVerdict::Blocked(_) | StatusVerdict::Failed(_) => {
            ReadResult::Failed(told.code.clone().unwrap_or_else(|| "no answer".to_owned()))
        }
    }
}
