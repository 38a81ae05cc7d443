//! Steps 5 and 6 of the protocol: the gate at the socket, and exactly one send.

use std::time::Duration;

use super::rules::{self, AtGate};
use super::{Claimed, SLOT_WITHIN, conclude};
use crate::cams::{self, Answer, GateClosed, NotSentCause, UnknownCause, Verdict};
use crate::clock::{self, Now};
use crate::code::Code;
use crate::context::Context;
use crate::metrics::Answer as Label;
use crate::quota::{Action, Priority, Report, Turn};
use crate::record::Owned;
use crate::status_read::{Admitted, block_cause, end_slot, took};

/// Sends, once, and records what came of it.
pub(super) async fn submit(ctx: &Context, claimed: Claimed, turn: Turn) {
    let Claimed {
        owned,
        object,
        code,
        signed,
        request,
        span: attempt,
    } = claimed;
    let span = (owned.key.to_string(), owned.attempt_id.clone());
    tracing::info!(object = %span.0, attempt = %span.1, "Attempt claimed");
    let number = &object.spec.phone_number;
    let call = ctx
        .cams
        .submit(request, || gate(ctx, turn, &owned, number, &code, signed))
        .await;
    let took = took(call.timing);
    end_slot(call.admitted, call.timing);
    let answer = call.answer;
    count(ctx, &answer, took);
    if let Some(report) = report(&answer) {
        ctx.report(Action::Verify, report);
    }
    attempt.record("request", answer.request_id.as_deref());
    attempt.record("code", answer.code.as_deref());
    tracing::info!(object = %span.0, attempt = %span.1, verdict = verdict_word(&answer.verdict),
        code = answer.code.as_deref(), request = answer.request_id.as_deref(), "Attempt answered");
    let recorded = conclude::conclude(ctx, &owned, object, &code, signed, answer).await;
    attempt.record("outcome", recorded.word());
}

/// The last decision before the bytes leave, at the connected socket.
async fn gate(
    ctx: &Context,
    mut turn: Turn,
    owned: &Owned,
    number: &str,
    code: &Code,
    signed: Now,
) -> Result<Admitted, GateClosed> {
    let closed = |reason| Err(GateClosed { reason });
    let priority = Priority::Look;
    let Ok(slot) = ctx.quota.slot(Action::Verify, priority, SLOT_WITHIN).await else {
        return closed("no send slot within 5 s");
    };
    if !turn.used(&slot) {
        slot.unsent();
        return closed("the turn went to somebody else");
    }
    let at = AtGate {
        owned,
        number,
        code,
        signed,
        validity: ctx.validity,
    };
    if let Err(reason) = rules::open_gate(&at, ctx.activity.may_act(), &ctx.spent, clock::now()) {
        slot.unsent();
        return closed(reason);
    }
    let in_flight = ctx
        .metrics
        .account
        .in_flight(cams::Action::ChatappMigrationVerified);
    Ok(Admitted::new(slot, in_flight))
}

fn count(ctx: &Context, answer: &Answer, took: Option<Duration>) {
    let label = match (&answer.verdict, answer.code.as_deref()) {
        (Verdict::NotSent(NotSentCause::Gate), _) => return,
        (Verdict::NotSent(_), _) => Label::NotSent,
        (_, Some(code)) => Label::Code(code),
        (Verdict::Unknown(UnknownCause::Timeout | UnknownCause::ConnectionLost), None) => {
            Label::NoReply
        }
        (_, None) => Label::NotTheApi,
    };
    ctx.metrics
        .account
        .call(cams::Action::ChatappMigrationVerified, label, took);
}

/// What the quota learns from an answer; a closed gate says nothing about the account.
fn report(answer: &Answer) -> Option<Report> {
    Some(match &answer.verdict {
        Verdict::Accepted { .. } | Verdict::Refused(_) => Report::Answered,
        Verdict::Throttled { after } => Report::Throttled {
            retry_after: *after,
        },
        Verdict::NotSent(NotSentCause::Gate) => return None,
        Verdict::NotSent(NotSentCause::Dns | NotSentCause::Connect | NotSentCause::Tls) => {
            Report::NotSent
        }
        Verdict::Blocked(cause) => Report::Blocked(block_cause(*cause)),
        Verdict::Unknown(_) => Report::Unknown,
    })
}

fn verdict_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted { .. } => "Accepted",
        Verdict::Refused(_) => "Refused",
        Verdict::Throttled { .. } => "Throttled",
        Verdict::NotSent(_) => "NotSent",
        Verdict::Blocked(_) => "Blocked",
        Verdict::Unknown(_) => "Unknown",
    }
}
