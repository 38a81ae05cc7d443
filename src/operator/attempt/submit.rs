//! The gate at the socket, and exactly one send.

use super::call::{Admitted, end_slot, label, took};
use super::rules::{self, AtGate};
use super::{Claimed, SLOT_WITHIN, conclude};
use crate::cams::{Action, Answer, GateClosed, NotSentCause, SignedRequest, Verdict};
use crate::clock;
use crate::operator::state::context::Context;
use crate::operator::state::evaluate::uid_of;
use crate::quota::{Priority, Report, Turn};

const SUBMISSION: Action = Action::ChatappMigrationVerified;

/// Sends once, and records the outcome.
pub(super) async fn submit(ctx: &Context, claimed: Claimed, request: SignedRequest, turn: Turn) {
    let (key, id) = (claimed.key.to_string(), claimed.entry.attempt_id.clone());
    tracing::info!(object = %key, attempt = %id, "Attempt claimed");
    let call = ctx.cams.submit(request, || gate(ctx, turn, &claimed)).await;
    let took = took(call.timing);
    let answer = call.answer;
    end_slot(call.admitted, call.timing, &answer.verdict);
    if let Some(label) = label(&answer) {
        ctx.metrics.account.call(SUBMISSION, label, took);
    }
    if let Some(report) = report(&answer) {
        let refused_with = match &answer.verdict {
            Verdict::Refused(refusal) => Some(refusal.code.as_str()),
            Verdict::Accepted(_)
            | Verdict::Throttled { .. }
            | Verdict::NotSent(_)
            | Verdict::Blocked(_)
            | Verdict::Unknown(_) => None,
        };
        ctx.report_submission(uid_of(&claimed.object), report, refused_with);
    }
    claimed.span.record("request", answer.request_id.as_deref());
    claimed.span.record("code", answer.code.as_deref());
    tracing::info!(object = %key, attempt = %id, verdict = verdict_word(&answer.verdict),
        code = answer.code.as_deref(), request = answer.request_id.as_deref(), "Attempt answered");
    conclude::conclude(ctx, claimed, answer).await;
}

/// The last decision before the bytes leave, at the connected socket.
async fn gate(ctx: &Context, mut turn: Turn, claimed: &Claimed) -> Result<Admitted, GateClosed> {
    let closed = |reason| Err(GateClosed { reason });
    if let Some(hindrance) = claimed.hindrance {
        return closed(hindrance);
    }
    let priority = Priority::Attempt;
    let Ok(slot) = ctx.quota.slot(SUBMISSION, priority, SLOT_WITHIN).await else {
        return closed("no send slot within 5 s");
    };
    if !turn.use_for_submission(&slot) {
        slot.return_unused();
        return closed("the turn went to somebody else");
    }
    let at = AtGate {
        number: claimed.number(),
        entry: &claimed.entry,
        code: &claimed.code,
        signed: claimed.signed,
    };
    if let Err(reason) = rules::open_gate(&at, ctx.activity.may_act(), &ctx.sent, clock::now()) {
        slot.return_unused();
        return closed(reason);
    }
    let in_flight = ctx.metrics.account.in_flight(SUBMISSION);
    Ok(Admitted::new(slot, in_flight))
}

/// The report of an answer to the quota. A closed gate says nothing about the account.
fn report(answer: &Answer) -> Option<Report> {
    Some(match &answer.verdict {
        Verdict::Accepted(_) | Verdict::Refused(_) => Report::Answered,
        Verdict::Throttled { after } => Report::Throttled {
            retry_after: *after,
        },
        Verdict::NotSent(NotSentCause::Gate) => return None,
        Verdict::NotSent(NotSentCause::Dns | NotSentCause::Connect | NotSentCause::Tls) => {
            Report::NotSent
        }
        Verdict::Blocked(cause) => Report::Blocked(*cause),
        Verdict::Unknown(_) => Report::Unknown,
    })
}

fn verdict_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted(_) => "Accepted",
        Verdict::Refused(_) => "Refused",
        Verdict::Throttled { .. } => "Throttled",
        Verdict::NotSent(_) => "NotSent",
        Verdict::Blocked(_) => "Blocked",
        Verdict::Unknown(_) => "Unknown",
    }
}
