//! Many resources at once, and the ledger's entries of one number.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use cams_simulator::{Entry, READ_STATUS, VERIFIED};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;

use crate::error::{Error, Result};
use crate::world::{Migration, World, reason};

/// Requests to the API server in flight at a time.
const AT_A_TIME: usize = 32;
const POLL: Duration = Duration::from_millis(50);

/// The name of resource `n` of a crowd.
pub fn crowd_name(n: u32) -> String {
    format!("m{n}")
}

pub fn crowd_phone(n: u32) -> String {
    format!("86138{n:08}")
}

/// Its right code. Seven digits: crowds are for figures, and eight would be searched for, one
/// by one, in every log.
pub fn crowd_code(n: u32) -> String {
    format!("73{n:05}")
}

impl World {
    /// Creates numbers, Secrets and resources, many at a time; all become verified if nothing
    /// fails.
    pub async fn fill(&self, namespace: &str, which: Range<u32>) -> Result<()> {
        stream::iter(which)
            .map(|n| self.fill_one(namespace, n))
            .buffer_unordered(AT_A_TIME)
            .try_collect::<()>()
            .await
    }

    async fn fill_one(&self, namespace: &str, n: u32) -> Result<()> {
        let (name, phone, code) = (crowd_name(n), crowd_phone(n), crowd_code(n));
        self.number(&phone, &code, &format!("id-{phone}"));
        let secret = format!("{name}-code");
        self.secret_in(namespace, &secret, json!({"code": code}))
            .await?;
        let migration = Migration::new(&name, &phone);
        self.create_in(namespace, &migration).await.map(|_| ())
    }

    /// Waits until so many numbers were accepted and so many resources are Verified.
    /// The error says how many there are of each reason.
    pub async fn until_all_verified(&self, count: u32, within: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + within;
        // Lists cost the API server more than the operator does: list only when the ledger shows
        // the end. If it does not in time, the list tells how far the resources are.
        let _ = self.until_accepted(u64::from(count), within).await;
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        loop {
            let counts = self.by_reason().await?;
            if counts.get("Verified") == Some(&wanted) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(Error::new("not all verified", format!("{counts:?}")));
            }
            tokio::time::sleep(POLL * 4).await;
        }
    }

    /// Waits until CAMS accepted so many codes.
    pub async fn until_accepted(&self, count: u64, within: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let accepted = self.sim.accepted(VERIFIED);
            if accepted as u64 >= count {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                let so_many = format!("{accepted} of {count}");
                return Err(Error::new("not accepted", so_many));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// How many resources of this world's namespace there are of each reason.
    pub async fn by_reason(&self) -> Result<BTreeMap<String, usize>> {
        let mut counts = BTreeMap::new();
        for object in &self.list().await? {
            *counts
                .entry(reason(&object["status"]).to_owned())
                .or_insert(0) += 1;
        }
        Ok(counts)
    }

    /// Submissions of a number that were received.
    pub fn calls(&self, phone: &str) -> Vec<Entry> {
        self.received(VERIFIED, phone)
    }

    /// How many of them were executed.
    pub fn executed(&self, phone: &str) -> usize {
        self.calls(phone).iter().filter(|e| e.executed()).count()
    }

    /// Status reads of a number that were received.
    pub fn reads(&self, phone: &str) -> Vec<Entry> {
        self.received(READ_STATUS, phone)
    }

    fn received(&self, action: &str, phone: &str) -> Vec<Entry> {
        let mut entries = self.sim.ledger();
        entries.retain(|e| e.action == action && e.phone.as_deref() == Some(phone));
        entries
    }
}
