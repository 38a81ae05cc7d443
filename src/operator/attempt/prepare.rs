//! Prepares an attempt: the pre-read, the live reads, and the decision on them. This module sends
//! nothing but status reads.

use std::sync::Arc;

use super::claim::{Basis, claim};
use super::record::{Attempted, Recorded, record};
use super::rules::{self, Adoption};
use super::status_read::{self, StatusVerdict};
use super::{Claimed, SLOT_WITHIN, next_probe};
use crate::api::crd::PhoneMigration;
use crate::api::object_key::ObjectKey;
use crate::cams::{
    BlockCause, MOST_SKEW, NotSentCause, NumberStatus, SignedRequest, Verdict, VerifiedNumber,
};
use crate::clock;
use crate::cluster::ClusterError;
use crate::domain::code::CodeReading;
use crate::domain::decide::{Decision, Next, Permit, TurnState};
use crate::domain::fact::{CamsResult, Fact, ReleaseCause, ReplyDetails, State, VerifiedBy};
use crate::domain::ledger::{Ended, Ledger, import};
use crate::domain::status::UserRequest;
use crate::operator::state::context::Context;
use crate::operator::state::evaluate::{asks, decide_on, known_ledger, read_code, uid_of};
use crate::operator::state::ledgers::{self, LiveLedger};
use crate::operator::state::memory::Asks;
use crate::operator::state::status_writer::{self, Outcome, Showing, note, say};
use crate::quota::{Action, Priority, Report, Turn, TurnKind};

/// The decision that the live reads gave instead of a claim; the attempt's caller executes it.
pub struct NotNow {
    /// The resource, read live.
    pub object: PhoneMigration,
    /// The ledger, read live, with the imported entries.
    pub ledger: Ledger,
    /// The decision on both.
    pub decision: Decision,
}

pub(super) enum Prepared {
    Claimed(Box<Claimed>, SignedRequest, Turn),
    NotNow(Option<Box<NotNow>>),
}

const NOTHING: Prepared = Prepared::NotNow(None);

/// Reads, decides, and claims.
pub(super) async fn prepare(
    ctx: &Arc<Context>,
    key: &ObjectKey,
    cached: &PhoneMigration,
    turn: Turn,
) -> Result<Prepared, ClusterError> {
    let Some(turn) = read_first(ctx, key, cached, turn).await? else {
        return Ok(NOTHING);
    };
    let number = &cached.spec.phone_number;
    let (live, code, stored) = tokio::join!(
        ctx.cluster.get(key),
        read_code(ctx, cached),
        ledgers::read(ctx, number)
    );
    let (live, mut code, LiveLedger { object, ledger }) = (live?, code?, stored?);
    note(ctx, &live);
    if !rules::is_same_subject(cached, &live) {
        give_back(ctx, key);
        return Ok(NOTHING);
    }
    // The Secret may have been read before a request that came meanwhile.
    if Asks::of(&live) != Asks::of(cached) {
        code = read_code(ctx, &live).await?;
    }
    let now = clock::now().wall;
    let sent = ctx.sent.of(number);
    let ledger = import(ledger, &sent, Some(&live), ctx.validity, now);
    let decision = decide_on(ctx, &live, &ledger, Some(&code), TurnState::Granted, now);
    let (Next::Claim, CodeReading::Usable(code)) = (decision.next, code) else {
        let instead = NotNow {
            object: live,
            ledger,
            decision,
        };
        return Ok(Prepared::NotNow(Some(Box::new(instead))));
    };
    if let Some(end) = rules::under_way(&sent, &ledger, now) {
        let wait = end.duration_since(now).unsigned_abs();
        ctx.memory.set_due(key, Some(clock::boot() + wait));
        return Ok(NOTHING);
    }
    if skewed(ctx) {
        ctx.report(
            Action::ChatappMigrationVerified,
            Report::Blocked(BlockCause::Clock),
        );
        hold_back(ctx, key, cached, ReleaseCause::Clock, own_clock_skew()).await?;
        return Ok(NOTHING);
    }
    // The reads took a while. A claim that cannot be sent would only have to be released.
    if !ctx.activity.may_act() {
        return Ok(NOTHING);
    }
    let basis = Basis {
        key: key.clone(),
        request: UserRequest::of(&live, decision.permit),
        object: live,
        stored: object,
        ledger,
        code,
    };
    let claimed = claim(ctx, basis).await?;
    Ok(match claimed {
        Some((claimed, request)) => Prepared::Claimed(claimed, request, turn),
        None => NOTHING,
    })
}

/// The pre-read: a status read before the first attempt, before one that a user requests, and
/// before every attempt that probes the account. It uses the cached spec, whose fields are
/// immutable. Returns the turn if the attempt may go on.
async fn read_first(
    ctx: &Context,
    key: &ObjectKey,
    cached: &PhoneMigration,
    mut turn: Turn,
) -> Result<Option<Turn>, ClusterError> {
    let probing = turn.kind() == TurnKind::ProbeRead;
    // A user may request a reconcile because the number was verified elsewhere.
    if !probing && !rules::reads_first(cached) && !asks(ctx, cached) {
        return Ok(Some(turn));
    }
    let (verdict, reply) = pre_read(ctx, cached, &mut turn).await;
    if status_read::was_made(&verdict) {
        ctx.memory.read_for_request(key);
    }
    match verdict {
        Verdict::Accepted(NumberStatus::Verified(VerifiedNumber { id, phone_number })) => {
            let fact = Fact::Result(CamsResult::Verified {
                by: VerifiedBy::ReadBefore,
                id,
                phone_number,
                request_id: reply.request_id,
            });
            adopt(ctx, key, cached, fact).await?;
            return Ok(None);
        }
        Verdict::Accepted(NumberStatus::NotVerified { .. }) => {}
        // Reads have their own quota: the resource asks for another turn.
        Verdict::Throttled { .. } | Verdict::NotSent(NotSentCause::Gate) => {
            give_back(ctx, key);
            return Ok(None);
        }
        Verdict::Blocked(BlockCause::Credentials) => {
            hold_back(ctx, key, cached, ReleaseCause::Credentials, reply).await?;
            return Ok(None);
        }
        Verdict::Blocked(BlockCause::Clock) => {
            hold_back(ctx, key, cached, ReleaseCause::Clock, reply).await?;
            return Ok(None);
        }
        Verdict::Blocked(BlockCause::Account)
        | Verdict::Accepted(NumberStatus::Missing)
        | Verdict::Refused(_)
        | Verdict::NotSent(NotSentCause::Dns | NotSentCause::Connect | NotSentCause::Tls)
        | Verdict::Unknown(_) => {
            if !probing {
                read_failed(ctx, key, cached, &reply);
            }
        }
    }
    // A probe's turn stays valid only if its read ended the hold.
    if turn.is_valid() {
        return Ok(Some(turn));
    }
    // CAMS answered the read, but the reply's `Date` began the hold or keeps it.
    if skewed(ctx) {
        hold_back(ctx, key, cached, ReleaseCause::Clock, own_clock_skew()).await?;
    } else {
        give_back(ctx, key);
    }
    Ok(None)
}

/// Reads the number's status within this turn.
async fn pre_read(
    ctx: &Context,
    cached: &PhoneMigration,
    turn: &mut Turn,
) -> (StatusVerdict, ReplyDetails) {
    let priority = match turn.kind() == TurnKind::ProbeRead {
        true => Priority::Probe,
        false => Priority::Attempt,
    };
    let target = status_read::target(cached);
    let first = status_read::read(ctx, target, priority, SLOT_WITHIN, Some(turn)).await;
    // The operator sends nothing while its clock and that of CAMS differ. One reply does not prove
    // that they do, so read again.
    if ctx.cams.clock_is_in_doubt() && turn.is_valid() {
        return status_read::read(ctx, target, priority, SLOT_WITHIN, Some(turn)).await;
    }
    first
}

/// Adopts the verification that the pre-read found.
async fn adopt(
    ctx: &Context,
    key: &ObjectKey,
    cached: &PhoneMigration,
    fact: Fact,
) -> Result<(), ClusterError> {
    let number = &cached.spec.phone_number;
    let LiveLedger { object, ledger } = ledgers::read(ctx, number).await?;
    let uid = uid_of(cached);
    let now = clock::now().wall;
    let sent = ctx.sent.of(number);
    let known = import(ledger, &sent, Some(cached), ctx.validity, now);
    let entry = match rules::adoption(cached, &known, &ctx.numbers.neighbours(number, uid)) {
        Adoption::Duplicate(fact) => {
            say(ctx, cached, &fact, &known, Permit::default()).await?;
            give_back(ctx, key);
            return Ok(());
        }
        Adoption::Wait => {
            give_back(ctx, key);
            return Ok(());
        }
        Adoption::Adopt(entry) => entry,
    };
    let mut shown = known;
    if let (Some(entry), Fact::Result(CamsResult::Verified { id, request_id, .. })) = (entry, &fact)
    {
        let attempted = Attempted {
            key: key.clone(),
            number: number.clone(),
            entry: *entry,
        };
        let ended: Ended = rules::adopted(id.clone(), request_id.clone());
        if let Recorded::Stored(ledger) = record(ctx, &attempted, &ended, object, None).await {
            shown = ledger;
        }
    }
    let outcome = Outcome {
        key,
        uid,
        fact: &fact,
        ledger: &shown,
        generation: cached.metadata.generation.unwrap_or_default(),
        request: UserRequest::of(cached, Permit::default()),
    };
    match status_writer::show(ctx, &outcome, Some(cached.clone())).await {
        Showing::Shown | Showing::Gone => give_back(ctx, key),
        // No requeue at once: another turn would repeat the read and find the same.
        Showing::Later => ctx.memory.not_shown(key, clock::boot()),
    }
    Ok(())
}

/// True if the last `Date` of CAMS and the operator's clock differ too much to send anything.
fn skewed(ctx: &Context) -> bool {
    ctx.cams
        .clock_skew(clock::now())
        .is_some_and(|skew| skew.unsigned_abs() > MOST_SKEW)
}

/// The reply details for a clock difference that no answer named.
fn own_clock_skew() -> ReplyDetails {
    ReplyDetails {
        code: Some("ClockSkew".into()),
        ..ReplyDetails::default()
    }
}

/// Requeues the resource at once, so that it asks for another turn.
fn give_back(ctx: &Context, key: &ObjectKey) {
    ctx.memory.set_due(key, Some(clock::boot()));
}

/// Shows in status that the account cannot be used, and requeues for another turn.
async fn hold_back(
    ctx: &Context,
    key: &ObjectKey,
    object: &PhoneMigration,
    release_cause: ReleaseCause,
    reply: ReplyDetails,
) -> Result<(), ClusterError> {
    let now = clock::now();
    let fact = Fact::State(State::HeldBack {
        release_cause,
        reply,
        next: Some(next_probe(ctx, now)),
    });
    let ledger = known_ledger(ctx, object, now.wall);
    say(ctx, object, &fact, &ledger, Permit::default()).await?;
    give_back(ctx, key);
    Ok(())
}

/// Reports a failed pre-read, once per resource: the attempt does not depend on the read.
fn read_failed(ctx: &Context, key: &ObjectKey, object: &PhoneMigration, reply: &ReplyDetails) {
    ctx.metrics.resources.pre_read_failure();
    if !ctx.memory.note_pre_read_failure(key) {
        return;
    }
    let why = reply.code.as_deref().unwrap_or("no answer");
    tracing::warn!(object = %key, code = why, "Number's status not readable before the attempt");
    let event = crate::domain::status::present::read_failed(why);
    ctx.events.put(event, object);
}
