//! Reads of a number's verification status: the one place that makes them, and the task that
//! observes a resource whose outcome is not known. Nothing is ever sent from here but reads.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::cams::{
    BlockCause, GateClosed, NotSentCause, Permit, ReadFailure, StatusAnswer, StatusVerdict, Target,
    Timing, UnknownCause,
};
use crate::clock::{self, Now};
use crate::cluster::{ClusterError, Key};
use crate::context::Context;
use crate::crd::{PhoneMigration, PhoneMigrationStatus};
use crate::decide::{Next, TurnState};
use crate::fact::{Fact, Told};
use crate::look;
use crate::metrics::{Answer as Label, InFlight, Task};
use crate::quota::{Action, BlockCause as Blocked, Priority, Report, Slot, Turn};
use crate::reads::{Purpose, ReadResult, after_read};
use crate::record::remember;
use crate::visits::conflict_back_off;

const STATUS_READ: crate::cams::Action = crate::cams::Action::GetPhoneNumberVerificationStatus;
/// How long an observation waits for a slot; it is made again later.
const SLOT_WITHIN: Duration = Duration::from_secs(30);
/// Largest difference between the service's clock and ours at which anything is sent.
pub const MOST_SKEW: Duration = Duration::from_secs(60);
/// After a read that brought no news and is due again at once.
const PAUSE: Duration = Duration::from_secs(5);

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
async fn read_dated(
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
        StatusVerdict::Throttled { .. } | StatusVerdict::Blocked(_) | StatusVerdict::Failed(_) => {
            ReadResult::Failed(told.code.clone().unwrap_or_else(|| "no answer".to_owned()))
        }
    }
}

/// One read for one resource, and what follows from it.
pub async fn run(ctx: Arc<Context>, key: Key, purpose: Purpose) {
    match observe(&ctx, &key, purpose).await {
        Ok(()) => {}
        Err(ClusterError::NotFound) => ctx.visits.forget(&key),
        Err(error) => {
            let delay = ctx.visits.failed(&key, clock::boot());
            ctx.metrics.resources.task_failure(Task::Observation);
            tracing::warn!(object = %key, %error, retry_after = ?delay, "Status read not finished");
        }
    }
}

async fn observe(ctx: &Context, key: &Key, purpose: Purpose) -> Result<(), ClusterError> {
    let object = ctx.cluster.get(key).await?;
    look::note(ctx, &object);
    let code = match purpose {
        Purpose::TakeOver => Some(look::read_code(ctx, &object).await?),
        Purpose::Open | Purpose::Late | Purpose::MakeUp | Purpose::MissingId => None,
    };
    let now = clock::now();
    let decision = look::decide_on(ctx, &object, code.as_ref(), TurnState::None, now.wall);
    if !is_wanted(purpose, decision.next) {
        ctx.visits.set_due(key, Some(now.boot + PAUSE));
        return Ok(());
    }
    let read = read_dated(ctx, &object, Priority::Observe, SLOT_WITHIN, None);
    let (verdict, told, date) = tokio::select! {
        read = read => read,
        // The next process reads it; the end of this one is for what cannot be read again.
        () = ctx.activity.asked_to_stop() => return Ok(()),
    };
    let result = result(&verdict, &told, date);
    let now = clock::now();
    ctx.visits.read_made(key, object.status.as_ref(), now.wall);
    ctx.visits.set_due(
        key,
        Some(
            now.boot
                + if purpose == Purpose::TakeOver {
                    PAUSE
                } else {
                    Duration::ZERO
                },
        ),
    );
    conclude(ctx, key, object, purpose, &result).await
}

/// Whether a read that was decided on is still to be made. One that was asked for is no longer
/// due once the request was acknowledged, and is made all the same. PURE.
pub fn is_wanted(purpose: Purpose, next: Next) -> bool {
    match purpose {
        Purpose::Late | Purpose::Open => true,
        Purpose::MakeUp | Purpose::MissingId | Purpose::TakeOver => {
            next == Next::ReadStatus(purpose)
        }
    }
}

/// Writes what the read means, re-reading the resource when it changed in the meantime.
async fn conclude(
    ctx: &Context,
    key: &Key,
    mut object: PhoneMigration,
    purpose: Purpose,
    result: &ReadResult,
) -> Result<(), ClusterError> {
    let none = PhoneMigrationStatus::default();
    let attempt_id = attempt_id(&object);
    let mut conflicts = 0;
    loop {
        let now = clock::now().wall;
        let status = object.status.as_ref().unwrap_or(&none);
        let elsewhere = match purpose {
            Purpose::TakeOver => elsewhere(ctx, &object, now).await?,
            Purpose::Open | Purpose::Late | Purpose::MakeUp | Purpose::MissingId => None,
        };
        let fact = after_read(
            status,
            purpose,
            result,
            elsewhere.as_ref(),
            ctx.validity,
            now,
        );
        let Some(fact) = fact else { return Ok(()) };
        match write(ctx, &object, &fact).await {
            Err(ClusterError::Conflict) => {
                tokio::time::sleep(conflict_back_off(conflicts)).await;
                conflicts += 1;
                object = ctx.cluster.get(key).await?;
            }
            Err(error) => return Err(error),
            Ok(()) => return Ok(()),
        }
        // Another attempt, or another resource of the name: this read was not about it.
        if self::attempt_id(&object) != attempt_id {
            return Ok(());
        }
    }
}

async fn elsewhere(
    ctx: &Context,
    object: &PhoneMigration,
    now: Timestamp,
) -> Result<Option<crate::decide::Elsewhere>, ClusterError> {
    let none = PhoneMigrationStatus::default();
    let reading = look::read_code(ctx, object).await?;
    let status = object.status.as_ref().unwrap_or(&none);
    let code = reading.usable_at(now);
    let number = &object.spec.phone_number;
    Ok(code.and_then(|code| ctx.spent.elsewhere(&code.fingerprint, number, status, now)))
}

async fn write(ctx: &Context, object: &PhoneMigration, fact: &Fact) -> Result<(), ClusterError> {
    let look = look::circumstances(object, clock::now().wall);
    let Some(new) = look::changed(object, fact, &look) else {
        return Ok(());
    };
    let stored = look::write(ctx, object, new, fact).await?;
    if let (Some(id), Some(status)) = (attempt_id(&stored), &stored.status) {
        remember(ctx, &id.1, status);
    }
    Ok(())
}

/// The resource and its current attempt: what a read was about.
pub fn attempt_id(object: &PhoneMigration) -> Option<(String, String)> {
    let attempt = object.status.as_ref()?.attempt.as_ref()?;
    Some((object.metadata.uid.clone()?, attempt.id.clone()))
}
