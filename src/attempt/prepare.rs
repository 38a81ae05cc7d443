//! Steps 2 to 4 of the protocol: look, sign once, claim. Nothing is sent here but status reads.

use std::sync::Arc;

use tracing::Instrument;

use super::{Claimed, SLOT_WITHIN, next_probe, rules};
use crate::act;
use crate::cams::{BlockCause, NotSentCause, ReadFailure, StatusVerdict, Target};
use crate::clock::{self, Now};
use crate::cluster::{ClusterError, Key};
use crate::code::{Code, CodeReading};
use crate::context::Context;
use crate::crd::PhoneMigration;
use crate::decide::{Next, TurnState};
use crate::fact::{Fact, Setback, Told, VerifiedBy};
use crate::look::{self, uid_of};
use crate::quota::{self, Action, Priority, Report, Turn, TurnKind};
use crate::record::Owned;
use crate::status_read::{self, MOST_SKEW};

/// Looks, and claims. `None`: there is nothing to send after all.
pub(super) async fn prepare(
    ctx: &Arc<Context>,
    key: &Key,
    turn: Turn,
) -> Result<Option<(Claimed, Turn)>, ClusterError> {
    let object = ctx.cluster.get(key).await?;
    look::note(ctx, &object);
    let (decision, code) = look::look(ctx, &object, None, TurnState::Granted).await?;
    let (Next::Claim(number), Some(CodeReading::Usable(code))) = (decision.next, code) else {
        drop(turn);
        act::carry_out(ctx, &object, decision).await?;
        return Ok(None);
    };
    let Some(turn) = look_first(ctx, &object, turn).await? else {
        return Ok(None);
    };
    // The look took a while: a claim that cannot be sent would only have to be released.
    if !ctx.activity.may_act() {
        return Ok(None);
    }
    claim(ctx, object, code, number, turn).await
}

/// The status read before a first attempt, and before anything while the account is probed.
/// Returns the turn if the attempt may go on.
async fn look_first(
    ctx: &Context,
    object: &PhoneMigration,
    mut turn: Turn,
) -> Result<Option<Turn>, ClusterError> {
    let probing = turn.kind() == TurnKind::ProbeRead;
    if probing || rules::looks_first(object) {
        let priority = if probing {
            Priority::Probe
        } else {
            Priority::Look
        };
        let (verdict, told) =
            status_read::read(ctx, object, priority, SLOT_WITHIN, Some(&mut turn)).await;
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
            // Reads have their own quota: the resource asks for another turn.
            StatusVerdict::Throttled { .. }
            | StatusVerdict::Failed(ReadFailure::NotSent(NotSentCause::Gate)) => {
                return give_back(ctx, object).map(|()| None);
            }
            StatusVerdict::Blocked(BlockCause::Credentials) => {
                return hold_back(ctx, object, Setback::Credentials, told).await;
            }
            StatusVerdict::Blocked(BlockCause::Clock) => {
                return hold_back(ctx, object, Setback::Clock, told).await;
            }
            StatusVerdict::Blocked(BlockCause::Account) | StatusVerdict::Failed(_) => {
                if !probing {
                    look_failed(ctx, object, &told);
                }
            }
        }
        // A probe's turn goes on only if its read ended the hold.
        if !turn.is_valid() {
            // The read itself was answered; its Date began the hold, or keeps it up.
            if skewed(ctx) {
                return hold_back(ctx, object, Setback::Clock, own_clock_skew()).await;
            }
            return give_back(ctx, object).map(|()| None);
        }
    }
    if skewed(ctx) {
        ctx.report(Action::Verify, Report::Blocked(quota::BlockCause::Clock));
        return hold_back(ctx, object, Setback::Clock, own_clock_skew()).await;
    }
    Ok(Some(turn))
}

/// True when the service's last `Date` and our clock differ too much to send anything.
fn skewed(ctx: &Context) -> bool {
    ctx.cams
        .clock_skew(clock::now())
        .is_some_and(|skew| skew.unsigned_abs() > MOST_SKEW)
}

/// Our word for a difference that no answer named.
fn own_clock_skew() -> Told {
    Told {
        code: Some("ClockSkew".into()),
        ..Told::default()
    }
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

/// Said once per resource: the look is a courtesy, the attempt does not depend on it.
fn look_failed(ctx: &Context, object: &PhoneMigration, told: &Told) {
    let Some(key) = look::key_of(object) else {
        return;
    };
    ctx.metrics.resources.look_failure();
    if !ctx.visits.first_look_failure(&key) {
        return;
    }
    let why = told.code.as_deref().unwrap_or("no answer");
    tracing::warn!(object = %key, code = why, "Number's status not readable before the attempt");
    ctx.events.put(crate::events::look_failed(why), object);
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
    let fact = rules::claim(number, &id, signed, &code);
    let owned = Owned {
        key,
        uid: uid_of(&object).to_owned(),
        attempt_id: id,
    };
    let look = look::circumstances(&object, signed.wall);
    let Some(new) = look::changed(&object, &fact, &look) else {
        return Ok(None);
    };
    let span = super::span(&owned);
    let stored = async {
        match look::write(ctx, &object, new, &fact).await {
            Err(
                error @ (ClusterError::Conflict
                | ClusterError::Failed(_)
                | ClusterError::Unavailable(_)),
            ) => {
                let stored = recognise(ctx, &owned, signed).await;
                stored.ok_or_else(|| {
                    ctx.never_sent.add(&owned.attempt_id);
                    error
                })
            }
            written => written,
        }
    };
    let object = stored.instrument(span.clone()).await?;
    let claimed = Claimed {
        owned,
        object,
        code,
        signed,
        request,
        span,
    };
    Ok(Some((claimed, turn)))
}

/// After a conflict or a lost reply: the stored claim, if it is ours and young.
async fn recognise(ctx: &Context, owned: &Owned, signed: Now) -> Option<PhoneMigration> {
    let live = ctx.cluster.get(&owned.key).await.ok()?;
    rules::recognises(&live, owned, signed, clock::now()).then(|| {
        look::note(ctx, &live);
        live
    })
}

fn target(object: &PhoneMigration) -> Target<'_> {
    Target {
        cust_space_id: &object.spec.cust_space_id,
        phone_number: &object.spec.phone_number,
    }
}
