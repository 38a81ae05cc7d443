//! Recording an outcome, with the attempt id checked, for as long as the process lives.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock;
use crate::cluster::{ClusterError, Key};
use crate::context::Context;
use crate::crd::{Attempt, PhoneMigration, PhoneMigrationStatus};
use crate::events;
use crate::fact::{Fact, Told};
use crate::look::{self, uid_of};
use crate::status::Look;
use crate::visits::conflict_back_off;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);

/// Whose outcome it is.
#[derive(Clone, Debug)]
pub struct Owned {
    /// The resource.
    pub key: Key,
    /// Its uid: a resource of the same name is another one.
    pub uid: String,
    /// The attempt.
    pub attempt_id: String,
}

/// What became of the recording.
#[derive(Debug)]
pub enum Recorded {
    /// It stands in status.
    Written(Box<PhoneMigration>),
    /// The resource is gone, or its attempt is another one: an Event and a log line say it.
    Orphaned,
}

impl Recorded {
    /// How the attempt stands recorded, for the log and its trace.
    pub fn word(&self) -> String {
        match self {
            Recorded::Written(object) => {
                let status = object.status.as_ref();
                let attempt = status.and_then(|status| status.attempt.as_ref());
                let outcome = attempt.and_then(|attempt| attempt.outcome);
                outcome.map_or_else(|| "none".to_owned(), |outcome| format!("{outcome:?}"))
            }
            Recorded::Orphaned => "Orphaned".to_owned(),
        }
    }
}

/// Writes `fact` about the attempt. `object` is the newest known version; on a conflict it is
/// read again. Gives up only when the resource or the attempt is gone.
pub async fn record(
    ctx: &Context,
    owned: &Owned,
    mut object: PhoneMigration,
    fact: Fact,
) -> Recorded {
    let mut fact = fact;
    let mut wait = FIRST_RETRY;
    let mut conflicts = 0;
    let mut unanswered = None;
    loop {
        let new = match recording(&object, owned, &fact, clock::now().wall) {
            Recording::Orphaned => return orphaned(ctx, owned, &object, &fact),
            Recording::Stands => {
                found(ctx, unanswered, &object, &fact);
                return Recorded::Written(Box::new(object));
            }
            Recording::Write(new) => *new,
        };
        let error = match look::write(ctx, &object, new.clone(), &fact).await {
            Ok(stored) => return Recorded::Written(Box::new(stored)),
            Err(error) => error,
        };
        if matches!(
            error,
            ClusterError::Failed(_) | ClusterError::Unavailable(_)
        ) {
            unanswered = Some((object.clone(), new));
        }
        if error == ClusterError::Conflict {
            tokio::time::sleep(conflict_back_off(conflicts)).await;
            conflicts += 1;
        } else {
            ctx.metrics.resources.record_failure(error.status());
            tracing::error!(object = %owned.key, attempt = %owned.attempt_id, %error,
                "Outcome not recorded yet, trying again");
            if error == ClusterError::Invalid {
                fact = minimal(fact);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(SLOWEST_RETRY);
        }
        match read_again(ctx, owned, &mut wait).await {
            Some(live) => object = live,
            None => return orphaned(ctx, owned, &object, &fact),
        }
    }
}

/// The outcome stands in status. If it came there by a write of ours that had no answer, what
/// follows a write is made up for; another process that wrote it has told it itself.
fn found(
    ctx: &Context,
    unanswered: Option<(PhoneMigration, PhoneMigrationStatus)>,
    object: &PhoneMigration,
    fact: &Fact,
) {
    if let Some((before, new)) = unanswered
        && object.status.as_ref() == Some(&new)
    {
        look::written(ctx, &before, object, fact);
    }
}

/// What is to be written to record an outcome.
#[derive(Clone, Debug, PartialEq)]
pub enum Recording {
    /// The resource, or the attempt, is another one.
    Orphaned,
    /// Nothing: status says it already, or something that outweighs it.
    Stands,
    /// This status.
    Write(Box<PhoneMigrationStatus>),
}

/// What recording `fact` about the attempt makes of `object`. PURE.
pub fn recording(object: &PhoneMigration, owned: &Owned, fact: &Fact, now: Timestamp) -> Recording {
    let Some(attempt) = owned_attempt(object, owned) else {
        return Recording::Orphaned;
    };
    if !fact.may_follow(attempt.outcome) {
        return Recording::Stands;
    }
    // A moved generation does not disown a claim: the outcome speaks of the attempt's own.
    let look = Look {
        generation: attempt.generation,
        now,
        retry_token: None,
        requested_at: None,
    };
    match look::changed(object, fact, &look) {
        Some(new) => Recording::Write(Box::new(new)),
        None => Recording::Stands,
    }
}

/// The resource as it is now; `None` when it is gone.
async fn read_again(ctx: &Context, owned: &Owned, wait: &mut Duration) -> Option<PhoneMigration> {
    loop {
        match ctx.cluster.get(&owned.key).await {
            Ok(live) => return Some(live),
            Err(ClusterError::NotFound) => return None,
            Err(error) => {
                ctx.metrics.resources.record_failure(error.status());
                tracing::error!(object = %owned.key, attempt = %owned.attempt_id, %error,
                    "Resource cannot be read to record its outcome, trying again");
                tokio::time::sleep(*wait).await;
                *wait = (*wait * 2).min(SLOWEST_RETRY);
            }
        }
    }
}

/// The attempt, if the object is still the one, and the attempt still its current one.
pub fn owned_attempt<'a>(object: &'a PhoneMigration, owned: &Owned) -> Option<&'a Attempt> {
    let attempt = object.status.as_ref()?.attempt.as_ref()?;
    (uid_of(object) == owned.uid && attempt.id == owned.attempt_id).then_some(attempt)
}

/// The least that says how it ended, for a schema that refuses more.
fn minimal(fact: Fact) -> Fact {
    let bare = |told: Told| Told {
        message: None,
        ..told
    };
    match fact {
        Fact::Refused { outcome, told } => Fact::Refused {
            outcome,
            told: bare(told),
        },
        Fact::Released {
            setback,
            told,
            next,
        } => Fact::Released {
            setback,
            told: bare(told),
            next,
        },
        Fact::Unknown { told, until } => Fact::Unknown {
            told: bare(told),
            until,
        },
        Fact::Verified { by, id, .. } => Fact::Verified {
            by,
            id,
            phone_number: None,
            request_id: None,
        },
        other => other,
    }
}

fn orphaned(ctx: &Context, owned: &Owned, last: &PhoneMigration, fact: &Fact) -> Recorded {
    let words = summary(fact);
    tracing::error!(object = %owned.key, uid = %owned.uid, attempt = %owned.attempt_id,
        outcome = %words, "Outcome of an attempt whose resource is gone");
    let mut named = last.clone();
    named.metadata.namespace = Some(owned.key.namespace.clone());
    named.metadata.name = Some(owned.key.name.clone());
    named.metadata.uid = Some(owned.uid.clone());
    ctx.events.put(events::orphaned(&words), &named);
    Recorded::Orphaned
}

/// An outcome in words, for a log line and an Event.
fn summary(fact: &Fact) -> String {
    let told = |told: &Told| {
        format!(
            "{} (RequestId {})",
            told.code.as_deref().unwrap_or("no code"),
            told.request_id.as_deref().unwrap_or("none")
        )
    };
    match fact {
        Fact::Verified { id, request_id, .. } => format!(
            "verified, Id {} (RequestId {})",
            id.as_deref().unwrap_or("unknown"),
            request_id.as_deref().unwrap_or("none")
        ),
        Fact::Refused { told: t, .. } => format!("refused, {}", told(t)),
        Fact::Released { setback, .. } => format!("released unspent, {:?}", setback.reason()),
        Fact::Unknown { told: t, .. } => format!("unknown, {}", told(t)),
        Fact::UnknownFinal | Fact::UnknownOverdue { .. } => "unknown".to_owned(),
        Fact::Seen
        | Fact::NoCode(_)
        | Fact::Queued(_)
        | Fact::Duplicate { .. }
        | Fact::Suspended
        | Fact::Claimed(_)
        | Fact::HeldBack { .. }
        | Fact::Concluded { .. }
        | Fact::Exhausted
        | Fact::LimitRaised
        | Fact::TookOver(_)
        | Fact::Refingerprinted(_) => "not over".to_owned(),
    }
}

/// The outcome that memory keeps of an attempt after `status` was recorded.
pub fn remember(ctx: &Context, attempt_id: &str, status: &PhoneMigrationStatus) {
    let Some(attempt) = status.attempt.as_ref().filter(|a| a.id == attempt_id) else {
        return;
    };
    let Some(outcome) = attempt.outcome else {
        return;
    };
    let told = Told {
        code: status.error_code.clone(),
        message: None,
        request_id: status.request_id.clone(),
    };
    ctx.spent.end(attempt_id, outcome, &told);
}
