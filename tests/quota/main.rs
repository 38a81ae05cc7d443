//! The quota, in simulated time except for `threads`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agents;
mod any_order;
mod brake;
mod brake_bounds;
mod dispatcher;
mod hold;
mod hold_scope;
mod mornings;
mod pacer;
mod queue;
mod sim;
mod small_scope;
mod threads;
mod turns;
mod window;

use std::time::Duration;

use phone_migration_operator::api::object_key::ObjectKey;
use phone_migration_operator::quota::account::{Effect, WaiterId};
use phone_migration_operator::quota::pacer::SendId;
use phone_migration_operator::quota::{Action, BlockCause, QueueEntry, Report};

const READ: Action = Action::GetPhoneNumberVerificationStatus;
const SUBMIT: Action = Action::ChatappMigrationVerified;

const ACCOUNT: Report = Report::Blocked(BlockCause::Account);
const CLOCK: Report = Report::Blocked(BlockCause::Clock);
const CREDENTIALS: Report = Report::Blocked(BlockCause::Credentials);
const THROTTLED: Report = Report::Throttled { retry_after: None };

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A queue entry without expiry, created at the epoch.
fn queue_entry(namespace: &str, uid: &str) -> QueueEntry {
    QueueEntry {
        uid: uid.to_owned(),
        namespace: namespace.to_owned(),
        cust_space_id: "space".to_owned(),
        ledger: format!("ledger-{uid}"),
        name: format!("name-{uid}"),
        expires_at: None,
        created_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// The uid of the queue entry with this key.
fn uid_of(key: &ObjectKey) -> String {
    key.name.trim_start_matches("name-").to_owned()
}

/// The slot that a step gave to this waiter.
fn slot_of(effects: &[Effect], waiter: WaiterId) -> Option<SendId> {
    effects.iter().find_map(|effect| match effect {
        Effect::Slot {
            waiter: of, send, ..
        } if *of == waiter => Some(*send),
        Effect::Slot { .. } | Effect::Wake(_) | Effect::Late(_) => None,
    })
}

/// Seconds since the epoch.
fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap()
}
