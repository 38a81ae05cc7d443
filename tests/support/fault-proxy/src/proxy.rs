//! The running proxy: its thread, and the methods for tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::TcpSocket;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use crate::error::Error;
use crate::exchange::Shared;
use crate::log::{Log, Request};
use crate::recording::Recording;
use crate::rule::{Action, Rule, Rules};
use crate::serve::{Orders, bind, listen};
use crate::then::{FrameThen, Then};
use crate::upstream::{Server, Upstream, acceptor};
use crate::when::When;

/// A running proxy, on a thread of its own so that a busy test does not slow it down. Dropping it
/// cuts every connection and loses everything that it holds.
pub struct FaultProxy {
    address: SocketAddr,
    rules: Arc<Rules>,
    log: Log,
    wanted: watch::Sender<bool>,
    listening: watch::Receiver<bool>,
    cuts: watch::Sender<u64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Keeps the port while nothing listens.
    _reserved: TcpSocket,
}

impl FaultProxy {
    /// Starts on a port of the kernel's choice on 127.0.0.1; accepts when this returns.
    pub async fn start(upstream: Upstream) -> Result<Self, Error> {
        let tls = acceptor(&upstream)?;
        let server = Server::new(&upstream)?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let reserved = bind(any).map_err(Error::setup("port"))?;
        let address = reserved.local_addr().map_err(Error::setup("port"))?;
        let (rules, log) = (Arc::new(Rules::default()), Log::default());
        let shared = Arc::new(Shared {
            server,
            rules: Arc::clone(&rules),
            log: log.clone(),
        });
        let (wanted, wants) = watch::channel(true);
        let (listens, mut listening) = watch::channel(false);
        let (cuts, cut) = watch::channel(0);
        let orders = Orders {
            wanted: wants,
            listening: listens,
            cuts: cut,
        };
        let (stop, stopped) = oneshot::channel();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::setup("runtime"))?;
        let thread = std::thread::Builder::new()
            .name("fault-proxy".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        _ = listen(address, tls, shared, orders) => {}
                    }
                });
                runtime.shutdown_background();
            })
            .map_err(Error::setup("thread"))?;
        reached(&mut listening, true).await?;
        Ok(Self {
            address,
            rules,
            log,
            wanted,
            listening,
            cuts,
            stop: Some(stop),
            thread: Some(thread),
            _reserved: reserved,
        })
    }

    /// `https://127.0.0.1:PORT`, the same for as long as the proxy lives.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// From now on, requests that fit `when` meet `then`, until the handle is dropped.
    pub fn rule(&self, when: When, then: Then) -> Rule {
        self.add(when, Action::Request(then))
    }

    /// From now on, frames of watches that fit `when` meet `then`, until the handle is dropped.
    pub fn frame_rule(&self, when: When, then: FrameThen) -> Rule {
        self.add(when, Action::Frame(then))
    }

    fn add(&self, when: When, action: Action) -> Rule {
        let core = self.rules.add(when, action, self.log.clone());
        Rule::new(core, Arc::clone(&self.rules))
    }

    /// From now on, keeps the replies to requests that fit, for [`Then::Replay`].
    pub fn record(&self, when: When) -> Recording {
        let recording = Recording::default();
        let action = Action::RecordReply(recording.clone());
        self.rules.add(when, action, self.log.clone());
        recording
    }

    /// From now on, keeps the frames that fit, for [`FrameThen::Replay`].
    pub fn record_frames(&self, when: When) -> Recording {
        let recording = Recording::default();
        let action = Action::RecordFrame(recording.clone());
        self.rules.add(when, action, self.log.clone());
        recording
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests()
    }

    /// The proxy's log; it goes on being filled, and outlives the proxy.
    pub fn log(&self) -> Log {
        self.log.clone()
    }

    /// Cuts every connection now, watches included. New ones are accepted.
    pub fn cut(&self) {
        self.cuts.send_modify(|n| *n += 1);
    }

    /// Cuts every connection and refuses new ones. Held requests stay held, and are forwarded when
    /// they are released.
    pub async fn down(&self) -> Result<(), Error> {
        self.wanted.send_replace(false);
        reached(&mut self.listening.clone(), false).await?;
        self.cut();
        Ok(())
    }

    /// Accepts connections again, on the same port.
    pub async fn up(&self) -> Result<(), Error> {
        self.wanted.send_replace(true);
        reached(&mut self.listening.clone(), true).await
    }
}

async fn reached(listening: &mut watch::Receiver<bool>, wanted: bool) -> Result<(), Error> {
    let there = listening.wait_for(|is| *is == wanted).await;
    there.map(drop).map_err(|_| Error::Gone)
}

impl std::fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaultProxy({})", self.url())
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
