//! Name resolution that returns only addresses that the endpoint may have.
//!
//! The resolver checks exactly the addresses that the client connects to: with a second lookup
//! after the check, the name could have other addresses.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::cams::endpoint::Endpoint;

/// A lookup in progress.
pub(in crate::cams) type Looking =
    Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks up a name: with the system's resolver, or a test's.
pub(in crate::cams) type Lookup = Arc<dyn Fn(String) -> Looking + Send + Sync>;

/// The system's resolver.
pub(in crate::cams) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            // Port 0 stands for the port of the URL.
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.collect())
        })
    })
}

/// No address to connect to. The operator writes the text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::cams) struct NoAddress(pub &'static str);

/// The resolver of one call.
pub(in crate::cams) struct GuardedResolver {
    pub endpoint: Endpoint,
    pub lookup: Lookup,
    /// True while a lookup runs, to distinguish a DNS time-out from a slow connect.
    pub lookup_running: Arc<AtomicBool>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let endpoint = self.endpoint.clone();
        let lookup_running = Arc::clone(&self.lookup_running);
        lookup_running.store(true, Ordering::Relaxed);
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let found = found.await;
            lookup_running.store(false, Ordering::Relaxed);
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
            "its name resolves only to addresses of this machine, its link or a metadata service; check \
             the cluster's DNS",
        ));
    }
    Ok(admitted)
}

#[cfg(test)]
mod tests;
