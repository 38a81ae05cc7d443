//! One read of a number's verification status, within the quota of reads. The result is reported to
//! the quota and returned as plain values. The attempt and the observation both read through it.

use std::time::Duration;

use jiff::Timestamp;

use super::call::{Admitted, end_slot, label, took};
use crate::api::crd::PhoneMigration;
use crate::cams::{
    Action, BlockCause, GateClosed, MOST_SKEW, NotSentCause, NumberStatus, StatusAnswer, Target,
    Verdict,
};
use crate::clock;
use crate::domain::fact::ReplyDetails;
use crate::domain::reads::ReadResult;
use crate::operator::state::context::Context;
use crate::quota::{Priority, Report, Turn};

const STATUS_READ: Action = Action::GetPhoneNumberVerificationStatus;

/// What came of a read.
pub type StatusVerdict = Verdict<NumberStatus>;

/// The target of a read for `object`.
pub fn target(object: &PhoneMigration) -> Target<'_> {
    Target {
        cust_space_id: &object.spec.cust_space_id,
        phone_number: &object.spec.phone_number,
    }
}

/// Reads the status of a number once, within the quota of reads.
///
/// `turn`: the attempt's turn, if any. Waiting for the read's slot is not preparation time.
pub async fn read(
    ctx: &Context,
    target: Target<'_>,
    priority: Priority,
    slot_within: Duration,
    turn: Option<&mut Turn>,
) -> (StatusVerdict, ReplyDetails) {
    let (verdict, reply, _) = read_dated(ctx, target, priority, slot_within, turn).await;
    (verdict, reply)
}

/// Like [`read`], with the reply's own `Date`, if it is trusted.
pub async fn read_dated(
    ctx: &Context,
    target: Target<'_>,
    priority: Priority,
    slot_within: Duration,
    turn: Option<&mut Turn>,
) -> (StatusVerdict, ReplyDetails, Option<Timestamp>) {
    let Ok(nonce) = clock::random::<16>() else {
        let verdict = Verdict::NotSent(NotSentCause::Gate);
        return (verdict, ReplyDetails::default(), None);
    };
    let started = clock::now();
    let request = ctx
        .cams
        .sign_status(target, &crate::hex::hex(&nonce), started.wall);
    let metrics = &ctx.metrics.account;
    let gate = || async {
        let asked = clock::boot();
        let slot = ctx.quota.slot(STATUS_READ, priority, slot_within).await;
        let slot = slot.map_err(|_| GateClosed {
            reason: "no slot for a read",
        })?;
        metrics.waited(STATUS_READ, clock::boot().saturating_sub(asked));
        // Leadership may end during the wait. The next leader then counts the account's reads.
        if !ctx.activity.leads() {
            slot.return_unused();
            return Err(GateClosed {
                reason: "this process no longer leads",
            });
        }
        if let Some(turn) = turn
            && !turn.use_for_pre_read(&slot)
        {
            slot.return_unused();
            return Err(GateClosed {
                reason: "the turn went to somebody else",
            });
        }
        Ok(Admitted::new(slot, metrics.in_flight(STATUS_READ)))
    };
    let call = ctx.cams.read_status(request, gate).await;
    let took = took(call.timing);
    let answer = call.answer;
    end_slot(call.admitted, call.timing, &answer.verdict);
    if let Some(label) = label(&answer) {
        metrics.call(STATUS_READ, label, took);
    }
    if let Some(report) = report(ctx, &answer) {
        ctx.report(STATUS_READ, report);
    }
    let reply = ReplyDetails {
        code: answer.code.clone().or_else(|| own_code(&answer.verdict)),
        message: answer.message,
        request_id: answer.request_id,
    };
    (answer.verdict, reply, answer.date)
}

/// The report of a read to the quota. A closed gate says nothing about the account.
fn report(ctx: &Context, answer: &StatusAnswer) -> Option<Report> {
    Some(match &answer.verdict {
        Verdict::Throttled { after } => Report::Throttled {
            retry_after: *after,
        },
        Verdict::Blocked(cause @ (BlockCause::Credentials | BlockCause::Clock)) => {
            Report::Blocked(*cause)
        }
        Verdict::NotSent(NotSentCause::Gate) => return None,
        Verdict::NotSent(NotSentCause::Dns | NotSentCause::Connect | NotSentCause::Tls) => {
            Report::NotSent
        }
        Verdict::Accepted(_)
        | Verdict::Refused(_)
        | Verdict::Blocked(BlockCause::Account)
        | Verdict::Unknown(_) => {
            let skew = ctx.cams.clock_skew(clock::now());
            if skew.is_some_and(|skew| skew.unsigned_abs() > MOST_SKEW) {
                Report::Blocked(BlockCause::Clock)
            } else if answer.ends_hold() {
                Report::Answered
            } else {
                Report::Unknown
            }
        }
    })
}

fn own_code(verdict: &StatusVerdict) -> Option<String> {
    let word = match verdict {
        Verdict::Accepted(NumberStatus::Missing) => Some("NoStatus"),
        other => other.own_code(),
    };
    word.map(str::to_owned)
}

/// Whether the read counts as made. The operator repeats a throttled one, or one that the gate
/// stopped.
pub fn was_made(verdict: &StatusVerdict) -> bool {
    match verdict {
        Verdict::Throttled { .. } | Verdict::NotSent(NotSentCause::Gate) => false,
        Verdict::Accepted(_)
        | Verdict::Refused(_)
        | Verdict::NotSent(NotSentCause::Dns | NotSentCause::Connect | NotSentCause::Tls)
        | Verdict::Blocked(_)
        | Verdict::Unknown(_) => true,
    }
}

/// The result of a read, for the number.
pub fn result(
    verdict: &StatusVerdict,
    reply: &ReplyDetails,
    date: Option<Timestamp>,
) -> ReadResult {
    match verdict {
        Verdict::Accepted(NumberStatus::Verified(number)) => ReadResult::Verified {
            id: number.id.clone(),
            phone_number: number.phone_number.clone(),
            request_id: reply.request_id.clone(),
        },
        Verdict::Accepted(NumberStatus::NotVerified { .. }) => ReadResult::NotVerified { date },
        Verdict::NotSent(NotSentCause::Gate) => ReadResult::NotMade,
        Verdict::Accepted(NumberStatus::Missing)
        | Verdict::Refused(_)
        | Verdict::NotSent(NotSentCause::Dns | NotSentCause::Connect | NotSentCause::Tls)
        | Verdict::Throttled { .. }
        | Verdict::Blocked(_)
        | Verdict::Unknown(_) => {
            ReadResult::Failed(reply.code.clone().unwrap_or_else(|| "no answer".to_owned()))
        }
    }
}
