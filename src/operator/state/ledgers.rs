//! Reads of a number's ledger. Each one updates the index, and wakes the number's resources if
//! something changed.

use crate::api::code_ledger::CodeLedger;
use crate::clock::{self, BootTime};
use crate::cluster::ClusterError;
use crate::cluster::ledgers::LedgerRead;
use crate::domain::ledger::{Ledger, Unusable, ledger_name};
use crate::operator::state::context::Context;
use crate::operator::state::ledger_index::{ABSENT, UNREADABLE, version_of};

/// A ledger that was just read.
#[derive(Clone, Debug)]
pub struct LiveLedger {
    /// The ledger as stored, for the version that a write replaces.
    pub object: Option<Box<CodeLedger>>,
    /// Its content.
    pub ledger: Ledger,
}

/// Reads the ledger of a number, and updates the index.
///
/// # Errors
/// When the API server does not return it.
pub async fn read(ctx: &Context, number: &str) -> Result<LiveLedger, ClusterError> {
    let asked_at = clock::boot();
    let read = ctx.ledgers.get(&ledger_name(number)).await?;
    Ok(take_in(ctx, number, read, asked_at))
}

/// Updates the index from the reply to a request that began at `asked_at`.
pub fn take_in(ctx: &Context, number: &str, read: LedgerRead, asked_at: BootTime) -> LiveLedger {
    let now = clock::now().wall;
    let (object, ledger, version) = match read {
        LedgerRead::Absent => (None, Ledger::default(), ABSENT),
        LedgerRead::Stored(object) => {
            let ledger = Ledger::stored(Some(&object), number, now);
            let version = version_of(&object);
            (Some(object), ledger, version)
        }
        LedgerRead::Unparsable => {
            let ledger = Ledger::unusable(Unusable::Unparsable);
            (None, ledger, UNREADABLE)
        }
    };
    note(ctx, number, ledger.clone(), version, asked_at);
    LiveLedger { object, ledger }
}

/// Updates the index for a number, and wakes its resources if something changed.
pub fn note(ctx: &Context, number: &str, ledger: Ledger, version: u64, asked_at: BootTime) {
    let is_open = ledger.open().is_some();
    let now = clock::boot();
    if ctx.index.note(number, ledger, version, asked_at, now) {
        ctx.wake_all(&ctx.numbers.of(number));
        if is_open {
            ctx.observations.notify();
        }
    }
}
