//! Name resolution that hands out only addresses the endpoint may have.
//!
//! The check is on exactly the addresses that are connected to; a name that is looked up,
//! checked and looked up again could change its mind in between.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::cams::endpoint::Endpoint;

/// A lookup in progress.
pub(super) type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// How names are looked up: the system's way, or a test's.
pub(super) type Lookup = Arc<dyn Fn(String) -> Looking + Send + Sync>;

/// The system's resolver.
pub(super) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            // Port 0 stands for the URL's own.
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.collect())
        })
    })
}

/// No address to connect to. The text is ours.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoAddress(pub &'static str);

/// The resolver of one call.
pub(super) struct GuardedResolver {
    pub endpoint: Endpoint,
    pub lookup: Lookup,
    /// True while a lookup runs, so that a time-out can be told from a slow connect.
    pub looking: Arc<AtomicBool>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let endpoint = self.endpoint.clone();
        let looking = Arc::clone(&self.looking);
        looking.store(true, Ordering::Relaxed);
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let found = found.await;
            looking.store(false, Ordering::Relaxed);
            let addresses = found.map_err(|_| NoAddress("its name cannot be resolved"))?;
            let admitted = admit(&endpoint, addresses)?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// Keeps the addresses that the endpoint may have.
fn admit(endpoint: &Endpoint, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NoAddress> {
    if found.is_empty() {
        return Err(NoAddress("its name has no address"));
    }
    let admitted: Vec<_> = found
        .into_iter()
        .filter(|address| endpoint.may_connect(address.ip()))
        .collect();
    if admitted.is_empty() {
        return Err(NoAddress(
            "its name resolves to private or reserved addresses only; check the cluster's DNS",
        ));
    }
    Ok(admitted)
}

#[cfg(test)]
mod tests;
