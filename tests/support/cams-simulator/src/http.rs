//! HTTP/1.1 on a TCP stream, by hand.
//!
//! Not hyper, for two reasons: the faults need the socket itself (half replies, resets,
//! silence), and a call must go on being executed when its client has died, whereas hyper
//! drops the service's future as soon as the peer is gone.
//!
//! Limits: header 64 KiB and 64 fields, body 1 MiB, with Content-Length.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::reply::{Body, Reply};

const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 1024 * 1024;
const MAX_FIELDS: usize = 64;

/// A request as it was read.
#[derive(Clone, Debug)]
pub struct Request {
    /// When its header had been read.
    pub arrived: Instant,
    /// `GET`, …
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Query, without the `?`, still encoded.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Decoded body.
    pub body: Vec<u8>,
    /// The client wants the connection to stay open.
    pub keep_alive: bool,
}

impl Request {
    /// The first header of that name, trimmed. `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.trim())
    }
}

/// A connection: the stream, and what was read beyond the last request.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Takes a stream over.
    pub fn new(stream: TcpStream) -> Self {
        // Without it a small reply may wait 40 ms for an acknowledgement.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The next request; `None` at the end of the stream, or if the input is not HTTP.
    pub async fn read(&mut self) -> io::Result<Option<Request>> {
        loop {
            match parse_head(&self.buffer, Instant::now()) {
                Parsed::Head(mut request, head, body) if body <= MAX_BODY => {
                    self.buffer.drain(..head);
                    let Some(bytes) = self.take(body).await? else {
                        return Ok(None);
                    };
                    request.body = bytes;
                    return Ok(Some(request));
                }
                Parsed::Partial if self.buffer.len() <= MAX_HEAD => {
                    if !self.fill().await? {
                        return Ok(None);
                    }
                }
                Parsed::Head(..) | Parsed::Partial | Parsed::Invalid => return Ok(None),
            }
        }
    }

    async fn take(&mut self, length: usize) -> io::Result<Option<Vec<u8>>> {
        while self.buffer.len() < length {
            if !self.fill().await? {
                return Ok(None);
            }
        }
        Ok(Some(self.buffer.drain(..length).collect()))
    }

    async fn fill(&mut self) -> io::Result<bool> {
        self.buffer.reserve(4096);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// Writes the head and the first half of the body.
    pub async fn write_half(&mut self, reply: &Reply, close: bool) -> io::Result<u64> {
        let half = reply.body.len() / 2;
        let mut bytes = reply.head(close).into_bytes();
        bytes.extend_from_slice(&reply.body.part(0, half.min(64 * 1024)));
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await?;
        Ok(half.min(64 * 1024))
    }

    /// Writes the body from `from` on.
    pub async fn write_rest(&mut self, body: &Body, from: u64) -> io::Result<()> {
        let mut at = from;
        while at < body.len() {
            let part = body.part(at, 64 * 1024);
            self.stream.write_all(&part).await?;
            at += u64::try_from(part.len()).unwrap_or(u64::MAX);
        }
        self.stream.flush().await
    }

    /// Writes a whole reply.
    pub async fn write(&mut self, reply: &Reply, close: bool) -> io::Result<()> {
        let mut bytes = reply.head(close).into_bytes();
        bytes.extend_from_slice(&reply.body.part(0, 64 * 1024));
        self.stream.write_all(&bytes).await?;
        self.write_rest(&reply.body, 64 * 1024).await
    }

    /// Ends the connection with a FIN.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Ends the connection with a RST.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    /// Sends nothing until the client leaves.
    pub async fn blackhole(mut self) {
        while matches!(self.fill().await, Ok(true)) {
            self.buffer.clear();
        }
    }
}

enum Parsed {
    /// With the lengths of head and body.
    Head(Request, usize, usize),
    Partial,
    Invalid,
}

fn parse_head(bytes: &[u8], arrived: Instant) -> Parsed {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length > MAX_HEAD => return Parsed::Invalid,
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Invalid,
    };
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|field| {
            let value = String::from_utf8_lossy(field.value).into_owned();
            (field.name.to_ascii_lowercase(), value)
        })
        .collect();
    let target = head.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        arrived,
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
        keep_alive: true,
    };
    let connection = request
        .header("connection")
        .unwrap_or_default()
        .to_lowercase();
    request.keep_alive = if head.version == Some(1) {
        !connection.contains("close")
    } else {
        connection.contains("keep-alive")
    };
    let body = match request.header("content-length").map(str::parse) {
        None => 0,
        Some(Ok(length)) => length,
        Some(Err(_)) => return Parsed::Invalid,
    };
    Parsed::Head(request, length, body)
}
