//! One attempt, from its turn to its recorded outcome: look, sign, claim, gate, send, record.
//!
//! What keeps a code from being submitted twice, in the order in which it holds:
//! 1. The claim: nothing is sent without a status write of this very attempt id, made on the
//!    condition that nothing changed since the live look. Two replicas cannot both hold it.
//! 2. The frozen signature: signed once, before the claim; a process that wakes up late cannot
//!    sign again, and the service refuses what is too old.
//! 3. The gate, at the socket: connected, in its slot, young, leading, not shutting down.
//! 4. One send: the request is consumed by it, and nothing below repeats it.
//! 5. Release only on proof: by this task, and only for an answer that says "not executed".

use std::sync::Arc;
use std::time::Duration;

use crate::cams::{
    Answer, BlockCause, GateClosed, NotSentCause, Refusal, RefusalKind, StatusVerdict, Target,
    UnknownCause, Verdict,
};
use crate::clock::{self, Now};
use crate::cluster::{ClusterError, Key};
use crate::code::{Code, CodeReading};
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::decide::{Next, TurnState};
use crate::fact::{Claim, Fact, Setback, Told, VerifiedBy};
use crate::look::{self, uid_of};
use crate::observe;
use crate::quota::{Action, Priority, Report, Slot, Turn, TurnKind};
use crate::reads::{ReadResult, final_at};
use crate::reason::Outcome;
use crate::reconcile;
use crate::record::{Owned, Recorded, record};
use crate::status::codes_spent;

/// Oldest signature that is still sent, by both clocks. Danger: raising it widens the window in
/// which a process that was stopped after its claim may still send.
const FRESH: Duration = Duration::from_secs(10);
/// Longest wait for a send slot.
const SLOT_WITHIN: Duration = Duration::from_secs(5);
/// Largest difference between the service's clock and ours at which anything is sent.
const MOST_SKEW: Duration = Duration::from_secs(60);
/// Longest wait for the read before a refusal is recorded, its queue included.
const READ_BEFORE_RECORD: Duration = Duration::from_secs(5);

/// What an attempt needs once it is claimed.
struct Claimed {
    owned: Owned,
    object: PhoneMigration,
    code: Code,
    signed: Now,
    request: crate::cams::SignedRequest,
}

/// Runs the attempt that `turn` permits. Ends when its outcome is recorded, or without a trace.
pub async fn run(ctx: Arc<Context>, key: Key, turn: Turn) {
    ctx.metrics
        .rate_limiter_wait(crate::cams::Action::ChatappMigrationVerified, turn.waited());
    match prepare(&ctx, &key, turn).await {
        Ok(Some((claimed, turn))) => finish(&ctx, claimed, turn).await,
        Ok(None) => {}
        Err(ClusterError::NotFound) => ctx.visits.forget(&key),
        Err(error) => {
            let delay = ctx.visits.failed(&key, clock::boot());
            ctx.metrics.reconcile_error();
            tracing::warn!(object = %key, %error, retry_after = ?delay, "Attempt not begun");
        }
    }
}

/// Looks, and claims. `None`: there is nothing to send after all.
async fn prepare(
    ctx: &Arc<Context>,
    key: &Key,
    turn: Turn,
) -> Result<Option<(Claimed, Turn)>, ClusterError> {
    let object = ctx.cluster.get(key).await?;
    look::note(ctx, &object);
    let (decision, code) = look::look(ctx, &object, None, TurnState::Granted).await?;
    let (Next::Claim(number), Some(CodeReading::Usable(code))) = (decision.next, code) else {
        drop(turn);
        reconcile::carry_out(ctx, &object, decision).await?;
        return Ok(None);
    };
    if !ctx.activity.may_act() {
        return Ok(None);
    }
    let Some(turn) = look_first(ctx, &object, turn).await? else {
        return Ok(None);
    };
    claim(ctx, object, code, number, turn).await
}

/// The status read before a first attempt, and before anything while the account is probed.
/// Returns the turn if the attempt may go on.
async fn look_first(
    ctx: &Context,
    object: &PhoneMigration,
    turn: Turn,
) -> Result<Option<Turn>, ClusterError> {
    let probing = turn.kind() == TurnKind::ProbeRead;
    let first = object.status.as_ref().map_or(0, codes_spent) == 0;
    if probing || (first && object.spec.adopt_if_verified) {
        let priority = if probing {
            Priority::Probe
        } else {
            Priority::Look
        };
        let (verdict, told) = observe::read(ctx, object, priority, SLOT_WITHIN).await;
        match verdict {
            StatusVerdict::Verified { id, phone_number } => {
                let by = VerifiedBy::ReadBefore;
                let fact = Fact::Verified {
                    by,
                    id,
                    phone_number,
                    request_id: told.request_id,
                };
                write_news(ctx, object, fact).await?;
                return Ok(None);
            }
            StatusVerdict::NotVerified { .. } => {}
            // Its own quota: the resource asks for another turn.
            StatusVerdict::Throttled { .. } => return give_back(ctx, object).map(|()| None),
            StatusVerdict::Blocked(BlockCause::Credentials) => {
                return hold_back(ctx, object, Setback::Credentials, told).await;
            }
            StatusVerdict::Blocked(BlockCause::Clock) => {
                return hold_back(ctx, object, Setback::Clock, told).await;
            }
            StatusVerdict::Blocked(BlockCause::Account) | StatusVerdict::Failed(_) => {
                if !probing {
                    look_failed(ctx, object, &told).await;
                }
            }
        }
        if probing && ctx.quota.hold().is_some() {
            return give_back(ctx, object).map(|()| None);
        }
    }
    if skewed(ctx) {
        ctx.quota.report(
            Action::Verify,
            Report::Blocked(crate::quota::BlockCause::Clock),
        );
        let told = Told {
            code: Some("ClockSkew".into()),
            ..Told::default()
        };
        return hold_back(ctx, object, Setback::Clock, told).await;
    }
    Ok(Some(turn))
}

/// True when the service's last `Date` and our clock differ too much to send anything.
fn skewed(ctx: &Context) -> bool {
    ctx.cams
        .clock_skew(clock::now())
        .is_some_and(|skew| skew.unsigned_abs() > MOST_SKEW)
}

/// The resource is due again at once and asks for another turn.
fn give_back(ctx: &Context, object: &PhoneMigration) -> Result<(), ClusterError> {
    if let Some(key) = look::key_of(object) {
        ctx.visits.set_due(&key, Some(clock::boot()));
    }
    Ok(())
}

async fn hold_back(
    ctx: &Context,
    object: &PhoneMigration,
    setback: Setback,
    told: Told,
) -> Result<Option<Turn>, ClusterError> {
    let next = Some(next_probe(ctx, clock::now()));
    write_news(
        ctx,
        object,
        Fact::HeldBack {
            setback,
            told,
            next,
        },
    )
    .await?;
    give_back(ctx, object).map(|()| None)
}

/// When the account is tried again, as far as the quota knows.
fn next_probe(ctx: &Context, now: Now) -> jiff::Timestamp {
    let hold = ctx.quota.hold().map(|hold| hold.next_probe);
    let at = hold
        .into_iter()
        .chain(ctx.quota.paused_until())
        .max()
        .unwrap_or(now.boot);
    now.wall + at.saturating_sub(now.boot)
}

/// Said once per resource: the look is a courtesy, the attempt does not depend on it.
async fn look_failed(ctx: &Context, object: &PhoneMigration, told: &Told) {
    let Some(key) = look::key_of(object) else {
        return;
    };
    ctx.metrics.look_failure();
    if !ctx.visits.first_look_failure(&key) {
        return;
    }
    let why = told.code.as_deref().unwrap_or("no answer");
    tracing::warn!(object = %key, code = why, "Number's status not readable before the attempt");
    if let Err(error) = ctx
        .cluster
        .publish(&crate::events::look_failed(why), object)
        .await
    {
        tracing::warn!(object = %key, %error, "Event not published");
    }
}

async fn write_news(
    ctx: &Context,
    object: &PhoneMigration,
    fact: Fact,
) -> Result<(), ClusterError> {
    let look = look::circumstances(object, clock::now().wall);
    if let Some(new) = look::changed(object, &fact, &look) {
        look::write(ctx, object, new, &fact).await?;
    }
    Ok(())
}

/// Signs once, and claims. `None`: somebody else changed the resource first, or it cannot be
/// told whether the claim was stored; it is then released when it surfaces.
async fn claim(
    ctx: &Context,
    object: PhoneMigration,
    code: Code,
    number: i32,
    turn: Turn,
) -> Result<Option<(Claimed, Turn)>, ClusterError> {
    let Some(key) = look::key_of(&object) else {
        return Ok(None);
    };
    let Ok(nonce) = clock::random::<16>() else {
        tracing::error!(object = %key, "The operating system gives no random bytes: nothing is signed");
        return Err(ClusterError::Unavailable("no random bytes".into()));
    };
    let id = crate::code::hex(&nonce);
    let signed = clock::now();
    let request = ctx
        .cams
        .sign_verified(target(&object), &code.digits, &id, signed.wall);
    let fact = Fact::Claimed(Claim {
        number,
        id: id.clone(),
        signed_at: signed.wall,
        secret: code.secret.clone(),
        code_fingerprint: code.fingerprint.clone(),
    });
    let owned = Owned {
        key,
        uid: uid_of(&object).to_owned(),
        attempt_id: id,
    };
    let look = look::circumstances(&object, signed.wall);
    let Some(new) = look::changed(&object, &fact, &look) else {
        return Ok(None);
    };
    let stored = match look::write(ctx, &object, new, &fact).await {
        Ok(stored) => stored,
        Err(error @ (ClusterError::Conflict | ClusterError::Unavailable(_))) => {
            match recognise(ctx, &owned, signed).await {
                Some(stored) => stored,
                None => {
                    ctx.never_sent.add(&owned.attempt_id);
                    return Err(error);
                }
            }
        }
        Err(error) => return Err(error),
    };
    Ok(Some((
        Claimed {
            owned,
            object: stored,
            code,
            signed,
            request,
        },
        turn,
    )))
}

/// After a conflict or a lost reply: the stored claim, if it is ours and young.
async fn recognise(ctx: &Context, owned: &Owned, signed: Now) -> Option<PhoneMigration> {
    let live = ctx.cluster.get(&owned.key).await.ok()?;
    let ours = crate::record::owned_attempt(&live, owned).is_some();
    (ours && is_fresh(signed, clock::now())).then(|| {
        look::note(ctx, &live);
        live
    })
}

/// Less than 10 s old by the boot clock and by the wall clock; a step of either is not fresh.
fn is_fresh(signed: Now, now: Now) -> bool {
    let by_wall = now.wall.duration_since(signed.wall);
    now.boot.saturating_sub(signed.boot) < FRESH
        && !by_wall.is_negative()
        && by_wall.unsigned_abs() < FRESH
}

fn target(object: &PhoneMigration) -> Target<'_> {
    Target {
        cust_space_id: &object.spec.cust_space_id,
        phone_number: &object.spec.phone_number,
    }
}

/// Sends, once, and records what came of it.
async fn finish(ctx: &Context, claimed: Claimed, turn: Turn) {
    let Claimed {
        owned,
        object,
        code,
        signed,
        request,
    } = claimed;
    let started = clock::boot();
    let span = (owned.key.to_string(), owned.attempt_id.clone());
    tracing::info!(object = %span.0, attempt = %span.1, "Attempt claimed");
    let call = ctx
        .cams
        .submit(request, || gate(ctx, turn, &owned, &code, signed))
        .await;
    let now = clock::boot();
    if let Some(mut slot) = call.admitted {
        if let Some(written) = call.timing.written {
            slot.handed(written.boot);
        }
        // Only a reply proves the arrival; without one the slot counts to its deadline.
        if let Some(replied) = call.timing.replied {
            slot.replied(replied.boot);
        }
    }
    let answer = call.answer;
    count(ctx, &answer, now.saturating_sub(started));
    let report = report(&answer);
    if let Some(report) = report {
        ctx.quota.report(Action::Verify, report);
    }
    tracing::info!(object = %span.0, attempt = %span.1, verdict = verdict_word(&answer.verdict),
        code = answer.code.as_deref(), request = answer.request_id.as_deref(), "Attempt answered");
    conclude(ctx, &owned, object, &code, signed, answer).await;
}

/// The last decision before the bytes leave, at the connected socket.
async fn gate(
    ctx: &Context,
    mut turn: Turn,
    owned: &Owned,
    code: &Code,
    signed: Now,
) -> Result<Slot, GateClosed> {
    let closed = |reason| Err(GateClosed { reason });
    let priority = Priority::Look;
    let Ok(slot) = ctx.quota.slot(Action::Verify, priority, SLOT_WITHIN).await else {
        return closed("no send slot within 5 s");
    };
    turn.used();
    let now = clock::now();
    if !is_fresh(signed, now) {
        return closed("the signature is too old");
    }
    if !ctx.activity.may_act() {
        return closed("this process is stopping or no longer leads");
    }
    if code.is_expired(now.wall) {
        return closed("the code expired");
    }
    let final_at = final_at(signed.wall, ctx.validity);
    if !ctx
        .spent
        .begin(&code.fingerprint, &owned.attempt_id, now.wall, final_at)
    {
        return closed("another attempt has this code");
    }
    Ok(slot)
}

fn count(ctx: &Context, answer: &Answer, took: Duration) {
    use crate::metrics::Answer as Label;
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
        .call(crate::cams::Action::ChatappMigrationVerified, label, took);
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

/// The same cause in the quota's words.
pub fn block_cause(cause: BlockCause) -> crate::quota::BlockCause {
    match cause {
        BlockCause::Credentials => crate::quota::BlockCause::Credentials,
        BlockCause::Account => crate::quota::BlockCause::Account,
        BlockCause::Clock => crate::quota::BlockCause::Clock,
    }
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

/// What an answer makes of the attempt; memory first, then status.
async fn conclude(
    ctx: &Context,
    owned: &Owned,
    object: PhoneMigration,
    code: &Code,
    signed: Now,
    answer: Answer,
) {
    let told = Told {
        code: answer.code.clone().or_else(|| own_word(&answer.verdict)),
        message: answer.message.clone(),
        request_id: answer.request_id.clone(),
    };
    let fact = match answer.verdict {
        Verdict::Accepted { id, phone_number } => {
            ctx.spent.end(&owned.attempt_id, Outcome::Accepted, &told);
            Fact::Verified {
                by: VerifiedBy::Call,
                id,
                phone_number,
                request_id: told.request_id,
            }
        }
        Verdict::Refused(Refusal { kind, .. }) => {
            let outcome = match kind {
                RefusalKind::Code => Outcome::Refused,
                RefusalKind::Request => Outcome::RequestRefused,
            };
            ctx.spent.end(&owned.attempt_id, outcome, &told);
            return refused(ctx, owned, object, Fact::Refused { outcome, told }).await;
        }
        Verdict::Unknown(_) => {
            ctx.spent.end(&owned.attempt_id, Outcome::Unknown, &told);
            let until = final_at(signed.wall, ctx.validity) + Duration::from_secs(1);
            Fact::Unknown { told, until }
        }
        Verdict::Throttled { .. } => release(ctx, owned, code, Setback::Throttled, told),
        Verdict::NotSent(_) => release(ctx, owned, code, Setback::NotSent, told),
        Verdict::Blocked(BlockCause::Credentials) => {
            release(ctx, owned, code, Setback::Credentials, told)
        }
        Verdict::Blocked(BlockCause::Account) => release(ctx, owned, code, Setback::Account, told),
        Verdict::Blocked(BlockCause::Clock) => release(ctx, owned, code, Setback::Clock, told),
    };
    record(ctx, owned, object, fact).await;
}

/// The release of an attempt that was certainly not executed. Danger: made only here, by the
/// task that signed, for an answer to its only send, or for a send that never happened.
fn release(ctx: &Context, owned: &Owned, code: &Code, setback: Setback, told: Told) -> Fact {
    ctx.spent.release(&code.fingerprint, &owned.attempt_id);
    let now = clock::now();
    let next = match setback {
        Setback::Account => Some(now.wall + ctx.visits.set_back(&owned.key)),
        Setback::Throttled | Setback::Credentials | Setback::Clock => Some(next_probe(ctx, now)),
        Setback::NotSent => None,
    };
    Fact::Released {
        setback,
        told,
        next,
    }
}

/// A refusal may hide success ("already verified"): the status is read first.
async fn refused(ctx: &Context, owned: &Owned, object: PhoneMigration, refusal: Fact) {
    let read = observe::read(ctx, &object, Priority::BeforeRecord, READ_BEFORE_RECORD);
    let (result, told) = match tokio::time::timeout(READ_BEFORE_RECORD, read).await {
        Ok((verdict, told)) => (observe::result(&verdict, &told, None), told),
        Err(_) => (ReadResult::Failed("Timeout".into()), Told::default()),
    };
    let fact = match &result {
        ReadResult::Verified {
            id, phone_number, ..
        } => Fact::Verified {
            by: VerifiedBy::ReadAfter,
            id: id.clone(),
            phone_number: phone_number.clone(),
            request_id: told.request_id,
        },
        ReadResult::NotVerified { .. } | ReadResult::Failed(_) => refusal,
    };
    let recorded = record(ctx, owned, object, fact).await;
    if let (ReadResult::Failed(_), Recorded::Written(object)) = (result, recorded) {
        ctx.visits
            .make_up_read(&owned.key, object.status.as_ref(), clock::now().wall);
    }
}

/// Our word for an answer that carries no Code.
fn own_word(verdict: &Verdict) -> Option<String> {
    let word = match verdict {
        Verdict::Unknown(cause) => format!("{cause:?}"),
        Verdict::NotSent(NotSentCause::Gate) => "NotSent".to_owned(),
        Verdict::NotSent(cause) => format!("NotSent.{cause:?}"),
        Verdict::Throttled { .. } => "Throttled".to_owned(),
        Verdict::Accepted { .. } | Verdict::Refused(_) | Verdict::Blocked(_) => return None,
    };
    Some(word)
}

/// A claim that surfaced although this process never sent it.
pub async fn release_unsent(ctx: &Context, object: PhoneMigration) {
    let Some((key, attempt)) = look::key_of(&object).zip(
        object
            .status
            .as_ref()
            .and_then(|status| status.attempt.clone()),
    ) else {
        return;
    };
    let owned = Owned {
        key,
        uid: uid_of(&object).to_owned(),
        attempt_id: attempt.id,
    };
    let told = Told {
        code: Some("NotSent".into()),
        ..Told::default()
    };
    record(
        ctx,
        &owned,
        object,
        Fact::Released {
            setback: Setback::NotSent,
            told,
            next: None,
        },
    )
    .await;
}
