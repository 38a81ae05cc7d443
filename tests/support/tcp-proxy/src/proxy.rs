//! The running proxy: its thread, and the methods for tests.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};

use crate::counts::{Counters, Counts};
use crate::listener::Port;
use crate::relay::{self, Link};
use crate::toxic::Toxics;

/// The pause after a failed accept.
const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(10);

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No port, no runtime, or no thread.
    #[error("the TCP proxy cannot start: {0}")]
    Start(#[source] io::Error),
    /// It cannot listen on its own port any more.
    #[error("the TCP proxy cannot listen again: {0}")]
    Listen(String),
}

/// A running proxy, on a thread of its own so that a busy test does not delay the traffic. Stops
/// when dropped; open connections end then.
#[derive(Debug)]
pub struct TcpProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The state that the thread and the tests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) counters: Counters,
    pub(crate) seed: u64,
    target: SocketAddr,
    toxics: Mutex<Prescription>,
    /// Whether connections are wanted.
    wanted: watch::Sender<bool>,
    state: watch::Sender<State>,
    /// Counts the calls of [`TcpProxy::cut`].
    pub(crate) cuts: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Prescription {
    standing: Toxics,
    next: VecDeque<Toxics>,
}

/// The state of the port.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Listens,
    Refuses,
    Failed(String),
}

impl TcpProxy {
    /// Carries connections on its own loopback port to `target`. The seed decides every jitter,
    /// separately for each connection and direction.
    pub fn start(target: SocketAddr, seed: u64) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Start)?;
        let (port, listener) = {
            let _inside = runtime.enter();
            let port = Port::reserve().map_err(Error::Start)?;
            let listener = port.listen().map_err(Error::Start)?;
            (port, listener)
        };
        let shared = Arc::new(Shared {
            counters: Counters::default(),
            seed,
            target,
            toxics: Mutex::default(),
            wanted: watch::Sender::new(true),
            state: watch::Sender::new(State::Listens),
            cuts: watch::Sender::new(0),
        });
        let address = port.address();
        let (stop, stopped) = oneshot::channel();
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("tcp-proxy".to_owned())
            .spawn(move || run(runtime, for_thread, port, listener, stopped))
            .map_err(Error::Start)?;
        Ok(Self {
            shared,
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the toxics from now on, also for open connections.
    pub fn set(&self, toxics: Toxics) {
        self.shared.toxics().standing = toxics;
    }

    /// Toxics for one future connection, after those that were already requested. The connection
    /// keeps them regardless of [`Self::set`].
    pub fn next(&self, toxics: Toxics) {
        self.shared.toxics().next.push_back(toxics);
    }

    /// Resets every open connection, on both sides.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Refuses connections; the open ones go on. Holds when this returns.
    pub async fn down(&self) {
        self.shared.wanted.send_replace(false);
        let mut state = self.shared.state.subscribe();
        // The sender lives in `shared`: this cannot fail.
        let _ = state.wait_for(|state| *state != State::Listens).await;
    }

    /// Accepts connections again. Holds when this returns.
    pub async fn up(&self) -> Result<(), Error> {
        self.shared.wanted.send_replace(true);
        let mut state = self.shared.state.subscribe();
        match state.wait_for(|state| *state != State::Refuses).await {
            Ok(state) => match &*state {
                State::Listens | State::Refuses => Ok(()),
                State::Failed(why) => Err(Error::Listen(why.clone())),
            },
            Err(_) => Err(Error::Listen("it has ended".to_owned())),
        }
    }

    pub fn counts(&self) -> Counts {
        self.shared.counters.counts()
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn toxics(&self) -> MutexGuard<'_, Prescription> {
        self.toxics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn standing(&self) -> Toxics {
        self.toxics().standing
    }
}

fn run(
    runtime: Runtime,
    shared: Arc<Shared>,
    port: Port,
    listener: TcpListener,
    stopped: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        tokio::select! {
            () = serve(shared, port, listener) => {}
            _ = stopped => {}
        }
    });
    runtime.shutdown_background();
}

/// Listens and refuses as ordered, without an end; ends only when it cannot listen.
async fn serve(shared: Arc<Shared>, port: Port, first: TcpListener) {
    let mut wanted = shared.wanted.subscribe();
    let mut listener = Some(first);
    loop {
        match listener.take() {
            Some(open) => {
                shared.state.send_replace(State::Listens);
                tokio::select! {
                    () = accept(&shared, &open) => {}
                    _ = wanted.wait_for(|wanted| !wanted) => {}
                }
                drop(open);
                shared.state.send_replace(State::Refuses);
            }
            None => {
                let _ = wanted.wait_for(|wanted| *wanted).await;
                match port.listen() {
                    Ok(open) => listener = Some(open),
                    Err(why) => {
                        shared.state.send_replace(State::Failed(why.to_string()));
                        return;
                    }
                }
            }
        }
    }
}

async fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // The client is gone already, or there are too many open files.
            tokio::time::sleep(AFTER_A_FAILED_ACCEPT).await;
            continue;
        };
        let number = shared.counters.accepted();
        let own = shared.toxics().next.pop_front();
        let link = Link::new(Arc::clone(shared), own, number);
        tokio::spawn(connection(client, link, shared.target));
    }
}

async fn connection(client: TcpStream, link: Link, target: SocketAddr) {
    if link.reset_at_once() {
        let _ = client.set_zero_linger();
    } else {
        match TcpStream::connect(target).await {
            Ok(server) => relay::relay(client, server, &link).await,
            Err(_) => {
                let _ = client.set_zero_linger();
            }
        }
    }
}
