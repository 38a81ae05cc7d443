//! The work before the first request: checks, state, listeners.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::admin;
use crate::checks::Memory;
use crate::config::Config;
use crate::gateway;
use crate::ledger::Ledger;
use crate::metadata::{self, Metadata};
use crate::numbers::Numbers;
use crate::rules::Rules;
use crate::state::{Shared, State};
use crate::sts::Sts;

/// Why the simulator does not start, or does not take an order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only loopback: the simulator answers every client that knows a test secret.
    #[error("{0} is not a loopback address; the simulator listens on loopback only")]
    NotLoopback(SocketAddr),
    /// The port is taken, or the like.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    /// No thread or runtime.
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
    /// Unusable settings or an unusable rule.
    #[error("{0}")]
    Invalid(&'static str),
}

/// The state before the first request.
pub fn state(config: Config) -> Result<State, Error> {
    if let Some(fault) = config.settings.fault() {
        return Err(Error::Invalid(fault));
    }
    let mut numbers = Numbers::default();
    config
        .numbers
        .into_iter()
        .for_each(|number| numbers.put(number));
    let keys = config.keys.into_iter().map(|key| (key.id.clone(), key));
    Ok(State {
        jitter: fastrand::Rng::with_seed(config.settings.jitter_seed),
        settings: config.settings,
        keys: keys.collect(),
        sts: Sts::default(),
        metadata: Metadata::default(),
        numbers,
        memory: Memory::default(),
        rules: Rules::default(),
        ledger: Ledger::default(),
        ids: fastrand::Rng::new(),
    })
}

/// Binds a loopback address; returns the address with its port.
pub fn listen_on(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), Error> {
    if !address.ip().is_loopback() {
        return Err(Error::NotLoopback(address));
    }
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bind().map_err(|source| Error::Listen { address, source })
}

/// Puts the listeners on the runtime.
pub fn spawn_listeners(
    runtime: &Runtime,
    shared: Arc<Shared>,
    gateway: std::net::TcpListener,
    admin: std::net::TcpListener,
    metadata: std::net::TcpListener,
) -> io::Result<()> {
    let _guard = runtime.enter();
    let gateway = TcpListener::from_std(gateway)?;
    let admin = TcpListener::from_std(admin)?;
    let metadata = TcpListener::from_std(metadata)?;
    let for_admin = Arc::clone(&shared);
    let for_metadata = Arc::clone(&shared);
    let connections = AtomicU64::new(0);
    runtime.spawn(accept(gateway, move |stream| {
        let number = connections.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::spawn(gateway::serve(Arc::clone(&shared), stream, number));
    }));
    runtime.spawn(accept(admin, move |stream| {
        tokio::spawn(admin::serve(Arc::clone(&for_admin), stream));
    }));
    runtime.spawn(accept(metadata, move |stream| {
        tokio::spawn(metadata::serve(Arc::clone(&for_metadata), stream));
    }));
    Ok(())
}

async fn accept(listener: TcpListener, each: impl Fn(TcpStream)) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => each(stream),
            // Out of file descriptors, most likely: wait until one is free.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
