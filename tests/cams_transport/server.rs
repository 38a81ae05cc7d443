//! A loopback server that records every byte of every connection and answers by script.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use phone_migration_operator::clock::{self, BootTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// The server's action once a request is complete.
#[derive(Clone)]
pub enum Script {
    /// These bytes, then wait for the client to hang up.
    Reply(Vec<u8>),
    /// These bytes, then hang up.
    ReplyAndClose(Vec<u8>),
    /// Hang up without a reply.
    Close,
    /// Send nothing until the client hangs up.
    Silent,
    /// These bytes, then one byte every 100 ms for as long as the client listens.
    Drip(Vec<u8>),
    /// The request itself as the message of a `SignatureDoesNotMatch`.
    Echo,
    /// Hang up before the request.
    CloseAtOnce,
}

/// One accepted connection.
#[derive(Clone, Default)]
pub struct Connection {
    /// Application bytes received.
    pub bytes: Vec<u8>,
    /// When the first of them came.
    pub first_byte: Option<BootTime>,
    /// The TLS handshake failed.
    pub handshake_failed: bool,
    /// Nothing more will come.
    pub ended: bool,
}

impl Connection {
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }
}

type State = Arc<Mutex<Vec<Connection>>>;

pub struct Server {
    pub address: SocketAddr,
    state: State,
    changed: watch::Receiver<()>,
}

impl Server {
    /// Plain TCP; connection `n` follows the `n`th script, the last one repeats.
    pub async fn start(scripts: Vec<Script>) -> Self {
        Self::start_with(scripts, None).await
    }

    pub async fn start_with(scripts: Vec<Script>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State::default();
        let (changes, changed) = watch::channel(());
        let record = Record {
            state: Arc::clone(&state),
            changes: Arc::new(changes),
        };
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let at = record.open();
                let script = scripts[at.min(scripts.len() - 1)].clone();
                let (record, tls) = (record.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(socket, &record, at, script).await,
                        Some(tls) => match tls.accept(socket).await {
                            Ok(socket) => serve(socket, &record, at, script).await,
                            Err(_) => record.change(at, |c| c.handshake_failed = true),
                        },
                    }
                    record.change(at, |c| c.ended = true);
                });
            }
        });
        Self {
            address,
            state,
            changed,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn connections(&self) -> Vec<Connection> {
        self.state.lock().unwrap().clone()
    }

    /// Waits until the recorded connections fulfil a condition.
    pub async fn until(&self, what: &str, condition: impl Fn(&[Connection]) -> bool) {
        let mut changed = self.changed.clone();
        let waiting = async {
            while !condition(&self.connections()) {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .unwrap_or_else(|_| panic!("the server never saw: {what}"));
    }

    /// The client connected once, and hung up without a byte: none can follow.
    pub async fn got_no_byte(&self) {
        let connections = self.ended(1).await;
        assert_eq!(connections.len(), 1);
        assert!(connections[0].bytes.is_empty());
    }

    /// Waits until every connection has ended and returns them.
    pub async fn ended(&self, count: usize) -> Vec<Connection> {
        self.until("the end of all connections", |all| {
            all.len() >= count && all.iter().all(|c| c.ended)
        })
        .await;
        self.connections()
    }
}

#[derive(Clone)]
struct Record {
    state: State,
    changes: Arc<watch::Sender<()>>,
}

impl Record {
    fn open(&self) -> usize {
        let mut all = self.state.lock().unwrap();
        all.push(Connection::default());
        let at = all.len() - 1;
        drop(all);
        self.changes.send_replace(());
        at
    }

    fn change(&self, at: usize, change: impl FnOnce(&mut Connection)) {
        change(&mut self.state.lock().unwrap()[at]);
        self.changes.send_replace(());
    }

    fn receive(&self, at: usize, bytes: &[u8]) -> Vec<u8> {
        let now = clock::boot();
        self.change(at, |c| {
            c.first_byte.get_or_insert(now);
            c.bytes.extend_from_slice(bytes);
        });
        self.state.lock().unwrap()[at].bytes.clone()
    }
}

async fn serve<S>(mut socket: S, record: &Record, at: usize, script: Script)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if matches!(script, Script::CloseAtOnce) {
        return;
    }
    let mut buffer = [0u8; 4096];
    let request = loop {
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n) => {
                let all = record.receive(at, &buffer[..n]);
                if is_whole(&all) {
                    break all;
                }
            }
        }
    };
    let close = matches!(script, Script::ReplyAndClose(_) | Script::Close);
    let reply = match &script {
        Script::Reply(bytes) | Script::ReplyAndClose(bytes) | Script::Drip(bytes) => bytes.clone(),
        Script::Echo => echo(&request),
        Script::Close | Script::Silent | Script::CloseAtOnce => Vec::new(),
    };
    if socket.write_all(&reply).await.is_err() || socket.flush().await.is_err() || close {
        return;
    }
    if matches!(script, Script::Drip(_)) {
        while socket.write_all(b" ").await.is_ok() && socket.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        return;
    }
    // Any further bytes are recorded too.
    while let Ok(n) = socket.read(&mut buffer).await {
        if n == 0 {
            return;
        }
        record.receive(at, &buffer[..n]);
    }
}

/// True if the head is complete, and the body that it announces.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    bytes.len() >= end + 4 + length
}

/// A time as in `Date`.
pub fn date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// An HTTP reply.
pub fn http(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

pub const OK: &str = r#"{"RequestId":"R-1","Code":"OK","Message":"SUCCESS","Data":{"PhoneNumber":"861380000****","Id":"82828893332"}}"#;

/// Echoes as the gateway does: the whole request, encoded once more, in the message.
fn echo(request: &[u8]) -> Vec<u8> {
    let request = String::from_utf8(request.to_vec()).unwrap();
    let once = request.replace(['\r', '\n'], " ");
    let twice = phone_migration_operator::cams::wire::percent_encode(&once);
    let body = format!(
        r#"{{"RequestId":"R-1","HostId":"h","Code":"SignatureDoesNotMatch","Message":"server string to sign is: {twice} {}"}}"#,
        once.replace('"', "'")
    );
    http(400, &[("Content-Type", "application/json")], &body)
}
