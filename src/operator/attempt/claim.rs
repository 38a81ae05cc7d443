//! Signs once, and stores the claim in the number's ledger.

use std::time::Duration;

use tracing::Instrument;

use super::{Claimed, rules, span};
use crate::api::code_ledger::{CodeLedger, LedgerEntry};
use crate::api::crd::PhoneMigration;
use crate::api::object_key::ObjectKey;
use crate::cams::SignedRequest;
use crate::clock::{self, Now};
use crate::cluster::ClusterError;
use crate::cluster::ledgers::{LedgerRead, Replaces, Written};
use crate::domain::code::Code;
use crate::domain::ledger::{self, Ledger, Unusable, ledger_name};
use crate::domain::status::UserRequest;
use crate::hex::hex;
use crate::operator::attempt::ledger_hold::{self, Blame};
use crate::operator::attempt::status_read::target;
use crate::operator::state::context::Context;
use crate::operator::state::ledger_index::UNREADABLE;
use crate::operator::state::ledgers;
use crate::operator::state::status_writer::note;

/// Pause before the same write is tried again; it doubles each time.
const AGAIN: Duration = Duration::from_millis(200);

/// The live reads that a claim is based on.
pub(super) struct Basis {
    pub key: ObjectKey,
    pub object: PhoneMigration,
    /// The ledger as stored.
    pub stored: Option<Box<CodeLedger>>,
    /// The same ledger with the imported entries.
    pub ledger: Ledger,
    pub code: Code,
    pub request: UserRequest,
}

/// Signs once, and claims. `None`: not now, because another writer changed the ledger first, or the
/// ledger cannot be written. If it is unknown whether the claim was stored, the operator sets it to
/// NotSent when it appears.
pub(super) async fn claim(
    ctx: &Context,
    basis: Basis,
) -> Result<Option<(Box<Claimed>, SignedRequest)>, ClusterError> {
    let Ok(nonce) = clock::random::<16>() else {
        tracing::error!(object = %basis.key, "The operating system gives no random bytes: nothing is signed");
        return Err(ClusterError::Unavailable("no random bytes".into()));
    };
    let id = hex(&nonce);
    let signed = clock::now();
    let Some(digits) = &basis.code.digits else {
        return Err(ClusterError::Unavailable(
            "the code was not read for this attempt".into(),
        ));
    };
    let request = ctx
        .cams
        .sign_verified(target(&basis.object), digits, &id, signed.wall);
    let entry = rules::entry(&basis.object, &id, signed.wall, ctx.validity, &basis.code);
    let span = span(&basis.key, &id);
    let begun = clock::boot();
    let store = store(ctx, &basis, &entry, signed).instrument(span.clone());
    let Some(stored) = store.await? else {
        return Ok(None);
    };
    let took = clock::boot().saturating_sub(begun);
    ctx.metrics.resources.claimed(took);
    ctx.ledger_back_offs
        .succeeded(&basis.object.spec.phone_number);
    let created = basis.stored.is_none();
    let mut claimed = Claimed {
        key: basis.key,
        object: basis.object,
        entry,
        stored,
        hindrance: None,
        code: basis.code,
        signed,
        request: basis.request,
        span,
    };
    if created {
        check_status_again(ctx, &mut claimed).await;
    }
    Ok(Some((Box::new(claimed), request)))
}

/// A missing ledger has no version, so a created one may lack an attempt that status shows by now.
async fn check_status_again(ctx: &Context, claimed: &mut Claimed) {
    let now = clock::now().wall;
    let stored = Ledger::stored(Some(&claimed.stored), claimed.number(), now);
    match ctx.cluster.get(&claimed.key).await {
        Ok(live) if live.metadata.uid != claimed.object.metadata.uid => {
            claimed.hindrance = Some("the resource was made anew");
        }
        Ok(live) => {
            note(ctx, &live);
            if rules::status_knows_more(&live, &stored, &claimed.entry, ctx.validity, now) {
                claimed.hindrance = Some("status knows an attempt that the ledger lacks");
            }
            claimed.object = live;
        }
        Err(_) => claimed.hindrance = Some("status could not be read after the ledger was made"),
    }
}

/// Writes the claim until its result is known, or the signature is too old.
async fn store(
    ctx: &Context,
    basis: &Basis,
    entry: &LedgerEntry,
    signed: Now,
) -> Result<Option<Box<CodeLedger>>, ClusterError> {
    let number = &basis.object.spec.phone_number;
    let name = ledger_name(number);
    let replaces = Replaces::version_of(basis.stored.as_deref());
    let fields = ledger::claim(&basis.ledger, number, entry.clone());
    let mut unanswered = false;
    let mut pause = AGAIN;
    loop {
        let asked_at = clock::boot();
        let error = match ctx.ledgers.write(&name, &replaces, fields.clone()).await {
            Written::Stored(object) if rules::holds(&object, entry) => {
                let read = LedgerRead::Stored(object);
                return Ok(ledgers::take_in(ctx, number, read, asked_at).object);
            }
            // Stored, but not as written: a policy alters or prunes ledgers.
            Written::Stored(_) => {
                ctx.abandoned.add(&entry.attempt_id);
                refused(ctx, number, 200).await;
                return Ok(None);
            }
            Written::Refused(status) => {
                abandon_if(ctx, entry, unanswered);
                refused(ctx, number, status).await;
                return Ok(None);
            }
            Written::Unauthorized => {
                abandon_if(ctx, entry, unanswered);
                ctx.metrics.resources.ledger_write_failure(Some(401));
                ledger_hold::begin(ctx, &ClusterError::Unauthorized);
                return Ok(None);
            }
            Written::Conflict => match ledgers::read(ctx, number).await {
                Ok(live) => {
                    if rules::recognises(&live.ledger, entry, signed, clock::now()) {
                        return Ok(live.object);
                    }
                    abandon_if(ctx, entry, unanswered);
                    let again = ctx.ledger_back_offs.conflicted(number, clock::boot());
                    ctx.memory.set_due(&basis.key, Some(again));
                    return Ok(None);
                }
                Err(error) => error,
            },
            Written::Unclear(error) => {
                ctx.metrics.resources.ledger_write_failure(error.status());
                error
            }
        };
        // Danger: from now on the write may be stored, now or later, whatever the next answer says.
        unanswered = true;
        tokio::time::sleep(pause).await;
        pause *= 2;
        if !rules::is_fresh(signed, clock::now()) || !ctx.activity.may_act() {
            ctx.abandoned.add(&entry.attempt_id);
            return Err(error);
        }
    }
}

fn abandon_if(ctx: &Context, entry: &LedgerEntry, unanswered: bool) {
    if unanswered {
        ctx.abandoned.add(&entry.attempt_id);
    }
}

/// The API server refuses the claim: this number's ledger is unusable, or every ledger is.
async fn refused(ctx: &Context, number: &str, status: u16) {
    ctx.metrics.resources.ledger_write_failure(Some(status));
    match ledger_hold::blame(ctx).await {
        Blame::All => {}
        Blame::ThisNumber => {
            let asked_at = clock::boot();
            // Begin the back-off here: the next evaluation can read the ledger and finds no fault.
            ctx.ledger_back_offs.failed(number, asked_at);
            let unusable = Ledger::unusable(Unusable::WriteRefused);
            tracing::error!(ledger = %ledger_name(number), status,
                "The API server refuses a claim in this CodeLedger and in no other: nothing is sent \
                 for its number");
            ledgers::note(ctx, number, unusable, UNREADABLE, asked_at);
        }
    }
}
