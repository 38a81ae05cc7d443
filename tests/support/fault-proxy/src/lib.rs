//! A proxy in front of an API server that holds, loses, replays and corrupts requests, replies and
//! frames.
//!
//! It terminates TLS with a certificate that the client trusts, reads requests, replies and the
//! frames of watches (one JSON object per line), and passes everything on, the bearer token
//! included, unless a [`Rule`] says otherwise. The client under test is pointed at
//! [`FaultProxy::url`]; the test's own client goes straight to the API server.
//!
//! A rule is a [`When`] and a [`Then`] (for requests) or a [`FrameThen`] (for frames):
//!
//! ```no_run
//! # async fn example(proxy: fault_proxy::FaultProxy) -> Result<(), fault_proxy::Error> {
//! use fault_proxy::{FrameThen, Then, When};
//! // The first status write of `s` is executed and answered 504.
//! let lost = proxy.rule(
//!     When::update("phonemigrations/status").name("s").once(),
//!     Then::swallow_and_answer(504),
//! );
//! // Every third MODIFIED event of any watch of PhoneMigrations never comes.
//! let _drops = proxy.frame_rule(
//!     When::watch("phonemigrations").event("MODIFIED").every(3),
//!     FrameThen::Drop,
//! );
//! let hit = lost.hit().await?;
//! println!("{} was written", hit.body["status"]["attempt"]["id"]);
//! # Ok(()) }
//! ```
//!
//! A request that the proxy has read goes on even if its client gives up or dies, as it would in
//! the network; one that is held is forwarded when it is released. Watches end with their clients.
//!
//! Limits: loopback, HTTP/1.1, JSON; replies other than watches are read whole before they are
//! passed on; the log keeps the bodies of requests in memory; no upgrades (exec, port-forward).

mod error;
mod exchange;
mod frames;
mod log;
mod process;
mod proxy;
mod recording;
mod reply;
mod request;
mod rule;
mod serve;
mod then;
mod upstream;
mod when;

pub use error::Error;
pub use log::{Hit, Log, Request};
pub use process::Process;
pub use proxy::FaultProxy;
pub use recording::Recording;
pub use request::{Target, Verb};
pub use rule::Rule;
pub use then::{Answer, Change, FrameThen, Hook, Lost, Then};
pub use upstream::Upstream;
pub use when::When;
