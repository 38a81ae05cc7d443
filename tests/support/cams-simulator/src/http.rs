//! HTTP/1.1 on a TCP stream, by hand.
//!
//! Not hyper, for two reasons: the faults need the socket itself (half replies, resets,
//! silence), and a call must go on being executed when its client has died, whereas hyper
//! drops the service's future as soon as the peer is gone.
//!
//! Limits: header 64 KiB and 64 fields, body 1 MiB, with Content-Length or chunked.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::reply::{Body, Reply};

const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 1024 * 1024;
const MAX_FIELDS: usize = 64;

/// A request as it was read.
#[derive(Clone, Debug)]
pub struct Request {
    /// When its header had been read.
    pub arrived: Instant,
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

    /// The next request; `None` at the end of the stream, after an idle timeout, or if the input is
    /// not HTTP.
    pub async fn read(&mut self, idle: Option<Duration>) -> io::Result<Option<Request>> {
        let first = match idle {
            Some(idle) if self.buffer.is_empty() => match timeout(idle, self.fill()).await {
                Ok(read) => read?,
                Err(_) => return Ok(None),
            },
            Some(_) | None => true,
        };
        if !first {
            return Ok(None);
        }
        loop {
            match parse_head(&self.buffer, Instant::now()) {
                Parsed::Head(mut request, length, framing) => {
                    self.buffer.drain(..length);
                    request.body = match self.read_body(&request, framing).await? {
                        Some(body) => body,
                        None => return Ok(None),
                    };
                    return Ok(Some(request));
                }
                Parsed::Partial if self.buffer.len() <= MAX_HEAD => {
                    if !self.fill().await? {
                        return Ok(None);
                    }
                }
                Parsed::Partial | Parsed::Invalid => return Ok(None),
            }
        }
    }

    async fn read_body(
        &mut self,
        request: &Request,
        framing: Framing,
    ) -> io::Result<Option<Vec<u8>>> {
        let waits = request
            .header("expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        if waits {
            self.stream
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await?;
        }
        match framing {
            Framing::Length(length) if length > MAX_BODY => Ok(None),
            Framing::Length(length) => self.take(length).await,
            Framing::Chunked => self.read_chunks().await,
        }
    }

    async fn read_chunks(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut body = Vec::new();
        loop {
            let (skip, size) = match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete(found)) => found,
                Ok(httparse::Status::Partial) => {
                    if !self.fill().await? {
                        return Ok(None);
                    }
                    continue;
                }
                Err(_) => return Ok(None),
            };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if body.len().saturating_add(size) > MAX_BODY {
                return Ok(None);
            }
            self.buffer.drain(..skip);
            let Some(mut chunk) = self.take(size + 2).await? else {
                return Ok(None);
            };
            if size == 0 {
                return Ok(Some(body));
            }
            chunk.truncate(size);
            body.append(&mut chunk);
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

    /// Writes the body from `from` on, all at once or byte by byte.
    pub async fn write_rest(
        &mut self,
        body: &Body,
        from: u64,
        slow: Option<Duration>,
    ) -> io::Result<()> {
        let step = if slow.is_some() { 1 } else { 64 * 1024 };
        let mut at = from;
        while at < body.len() {
            let part = body.part(at, step);
            self.stream.write_all(&part).await?;
            at += u64::try_from(part.len()).unwrap_or(u64::MAX);
            if let Some(pause) = slow {
                self.stream.flush().await?;
                sleep(pause).await;
            }
        }
        self.stream.flush().await
    }

    /// Writes a whole reply.
    pub async fn write(
        &mut self,
        reply: &Reply,
        close: bool,
        slow: Option<Duration>,
    ) -> io::Result<()> {
        let mut bytes = reply.head(close).into_bytes();
        let small = slow.is_none() && reply.body.len() <= 64 * 1024;
        if small {
            bytes.extend_from_slice(&reply.body.part(0, 64 * 1024));
        }
        self.stream.write_all(&bytes).await?;
        if small {
            return self.stream.flush().await;
        }
        self.write_rest(&reply.body, 0, slow).await
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

#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

enum Parsed {
    Head(Request, usize, Framing),
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
    let chunked = request
        .header("transfer-encoding")
        .is_some_and(|value| value.to_lowercase().contains("chunked"));
    let framing = match (chunked, request.header("content-length")) {
        (true, _) => Framing::Chunked,
        (false, None) => Framing::Length(0),
        (false, Some(length)) => match length.parse() {
            Ok(length) => Framing::Length(length),
            Err(_) => return Parsed::Invalid,
        },
    };
    Parsed::Head(request, length, framing)
}
