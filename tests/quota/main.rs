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

use phone_migration_operator::quota::QueueEntry;

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

/// Seconds since the epoch.
fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap()
}
