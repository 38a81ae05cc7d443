//! Records an outcome in the number's ledger; retries as long as the process lives.

use std::time::Duration;

use crate::api::code_ledger::{CodeLedger, LedgerEntry};
use crate::api::object_key::ObjectKey;
use crate::clock;
use crate::cluster::ClusterError;
use crate::cluster::ledgers::{LedgerRead, Replaces, Written};
use crate::domain::ledger::{Ended, Ledger, Recording, ledger_name, recording};
use crate::operator::state::context::Context;
use crate::operator::state::ledgers::{self, LiveLedger};
use crate::operator::state::memory::conflict_back_off;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);
/// After this time without success, status also shows the outcome: one of the two survives.
const SHOW_AFTER: Duration = Duration::from_secs(10);

/// The attempt that an outcome belongs to.
#[derive(Clone, Debug)]
pub struct Attempted {
    /// The resource.
    pub key: ObjectKey,
    /// The phone number.
    pub number: String,
    /// The entry, as claimed or last read.
    pub entry: LedgerEntry,
}

/// The result of the recording.
#[derive(Debug)]
pub enum Recorded {
    /// The ledger, which has this outcome now, or one that overrides it.
    Stored(Ledger),
    /// The entry is gone, and another one has spent its code or is open. The outcome is in status,
    /// the Event, the log and memory.
    Withheld,
}

/// The action to run once if the recording takes long.
pub type WhenSlow<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Records how an attempt ended. `known` is the newest known version of the ledger; after a
/// conflict the ledger is read again. Retries until it succeeds or the process ends.
pub async fn record(
    ctx: &Context,
    attempted: &Attempted,
    ended: &Ended,
    known: Option<Box<CodeLedger>>,
    mut when_slow: Option<WhenSlow<'_>>,
) -> Recorded {
    let begun = clock::boot();
    let mut known = known.map(Some);
    let mut wait = FIRST_RETRY;
    let mut conflicts = 0;
    loop {
        let tried = try_record(ctx, attempted, ended, known.take()).await;
        let pause = match tried {
            Ok(recorded) => {
                learn(ctx, attempted, &recorded);
                return recorded;
            }
            Err(ClusterError::Conflict) => {
                conflicts += 1;
                conflict_back_off(conflicts - 1)
            }
            Err(error) => {
                ctx.metrics.resources.ledger_write_failure(error.status());
                ctx.metrics.resources.record_failure(error.status());
                tracing::error!(object = %attempted.key, attempt = attempted.entry.attempt_id,
                    outcome = ended.outcome.as_str(), %error,
                    "Outcome not recorded yet, trying again");
                let pause = wait;
                wait = (wait * 2).min(SLOWEST_RETRY);
                pause
            }
        };
        if clock::boot().saturating_sub(begun) > SHOW_AFTER
            && let Some(show) = when_slow.take()
        {
            show.await;
        }
        tokio::time::sleep(pause).await;
    }
}

fn learn(ctx: &Context, attempted: &Attempted, recorded: &Recorded) {
    if let Recorded::Stored(ledger) = recorded
        && let Some(entry) = ledger.entry(&attempted.entry.attempt_id)
    {
        ctx.sent.learn(&attempted.number, entry, clock::now().wall);
    }
}

async fn try_record(
    ctx: &Context,
    attempted: &Attempted,
    ended: &Ended,
    known: Option<Option<Box<CodeLedger>>>,
) -> Result<Recorded, ClusterError> {
    let Attempted { number, entry, .. } = attempted;
    let now = clock::now().wall;
    let LiveLedger { object, ledger } = match known {
        Some(object) => LiveLedger {
            ledger: Ledger::stored(object.as_deref(), number, now),
            object,
        },
        None => ledgers::read(ctx, number).await?,
    };
    if ledger.unusable.is_some() {
        let why = "the CodeLedger cannot be used".to_owned();
        return Err(ClusterError::Unavailable(why));
    }
    let fields = match recording(&ledger, number, entry, ended, now) {
        Recording::Stands => return Ok(Recorded::Stored(ledger)),
        Recording::Withheld => return Ok(Recorded::Withheld),
        Recording::Write(fields) => *fields,
    };
    let written = fields.entries.clone();
    let asked_at = clock::boot();
    let replaces = Replaces::version_of(object.as_deref());
    match ctx
        .ledgers
        .write(&ledger_name(number), &replaces, fields)
        .await
    {
        Written::Stored(object) if says(&object, entry, &written) => {
            let live = ledgers::take_in(ctx, number, LedgerRead::Stored(object), asked_at);
            Ok(Recorded::Stored(live.ledger))
        }
        Written::Stored(_) => Err(ClusterError::Unavailable(
            "the reply does not hold what was written".into(),
        )),
        Written::Conflict => Err(ClusterError::Conflict),
        Written::Refused(status) => Err(ClusterError::Failed(status)),
        Written::Unauthorized => Err(ClusterError::Unauthorized),
        Written::Unclear(error) => Err(error),
    }
}

/// Whether a stored ledger has the outcome that was written: a policy may prune it.
fn says(object: &CodeLedger, entry: &LedgerEntry, written: &[LedgerEntry]) -> bool {
    let outcome = |entries: &[LedgerEntry]| {
        let mut entries = entries.iter();
        entries
            .find(|e| e.attempt_id == entry.attempt_id)
            .map(|e| e.outcome)
    };
    outcome(&object.spec.entries) == outcome(written)
}
