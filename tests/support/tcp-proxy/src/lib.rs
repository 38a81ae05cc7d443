//! A TCP proxy on loopback that fails on demand, between the operator and the CAMS simulator. The
//! ideas are those of Shopify's toxiproxy; it knows nothing of HTTP.
//!
//! [`TcpProxy::start`] carries every connection to one address. The faults are a [`Toxics`] value:
//! per direction a [`Flow`] (latency and jitter, bandwidth, slices, a slow close, a [`Limit`] after
//! which the connection ends one way or another), and a reset right after the accept. The standing
//! toxics ([`TcpProxy::set`]) may change at any time and then hold for open connections from their
//! next chunk on; [`TcpProxy::next`] gives toxics to future connections one by one, which keep
//! theirs. [`TcpProxy::down`] refuses connections and keeps the port.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use std::time::Duration;
//! use tcp_proxy::{Ending, Flow, TcpProxy, Toxics};
//!
//! let proxy = TcpProxy::start("127.0.0.1:9".parse().unwrap(), 1)?;
//! proxy.set(Toxics::both(Flow::default().jitter(Duration::from_millis(50))));
//! // The next connection loses all but the first hundred bytes of its reply.
//! proxy.next(Toxics::down(Flow::default().limit(100, Ending::Reset)));
//! // … point a client at proxy.url() …
//! # Ok::<(), tcp_proxy::Error>(())
//! # }).unwrap();
//! ```
//!
//! Limits: IPv4 loopback on the proxy's side; the handshake itself is not delayed, since the kernel
//! accepts; up to 64 chunks of 16 KiB wait in each direction of a connection; delays are as exact
//! as the timer, about a millisecond.

mod counts;
mod listener;
mod proxy;
mod relay;
mod toxic;

pub use counts::{Bytes, Counts};
pub use proxy::{Error, TcpProxy};
pub use toxic::{Direction, Ending, Flow, Limit, Slices, Toxics};
