//! A client for tests that records the bytes on the wire, and a simulator to point it at.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use cams_simulator::encoding::percent_encode;
use cams_simulator::sign::{rpc_signature, rpc_string_to_sign};
use cams_simulator::{
    AccessKey, Config, Entry, FaultRule, Number, READ_STATUS, Settings, Simulator, VERIFIED,
};
use jiff::Timestamp;

pub const KEY: &str = "testid";
pub const SECRET: &str = "testsecret";
pub const PHONE: &str = "8613800001234";
pub const SPACE: &str = "293483938849493";
pub const CODE: &str = "828798";
pub const ID: &str = "82828893332";

/// A simulator with one key and one number in migration.
pub fn simulator() -> Simulator {
    simulator_with(|_| {})
}

/// The same with this fault.
pub fn simulator_under(fault: impl Into<FaultRule>) -> Simulator {
    let simulator = simulator();
    simulator.add_fault(fault).unwrap();
    simulator
}

/// The same with other settings.
pub fn simulator_with(change: impl FnOnce(&mut Settings)) -> Simulator {
    let mut config = Config::with_key(AccessKey::new(KEY, SECRET));
    config.numbers = vec![Number::new(PHONE, CODE, ID).in_space(SPACE)];
    change(&mut config.settings);
    Simulator::start(config).unwrap()
}

pub type Params = Vec<(String, String)>;

/// An RPC v1 request in the making.
#[derive(Clone)]
pub struct Rpc {
    pub method: &'static str,
    pub params: Params,
    pub secret: String,
    pub in_body: bool,
}

impl Rpc {
    /// A call with a fresh nonce and the time of now.
    pub fn new(action: &str) -> Self {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let nonce = format!("{:032x}", fastrand::u128(..));
        let params = [
            ("Action", action),
            ("Version", "2020-06-06"),
            ("Format", "JSON"),
            ("AccessKeyId", KEY),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", &nonce),
            ("Timestamp", &now),
            ("CustSpaceId", SPACE),
            ("PhoneNumber", PHONE),
        ];
        Self {
            method: "POST",
            params: params.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            secret: SECRET.to_owned(),
            in_body: false,
        }
    }

    pub fn verify(code: &str) -> Self {
        Self::new(VERIFIED).with("VerifyCode", code)
    }

    pub fn read() -> Self {
        Self::new(READ_STATUS)
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.params.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.params.retain(|(have, _)| have != name);
        self
    }

    pub fn secret(mut self, secret: &str) -> Self {
        self.secret = secret.to_owned();
        self
    }

    pub fn signature(&self) -> String {
        rpc_signature(&self.secret, &rpc_string_to_sign(self.method, &self.params))
    }

    /// The bytes of a signed request, on a connection that closes afterwards.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_signed(&self.signature())
    }

    /// The same with this signature.
    pub fn bytes_signed(&self, signature: &str) -> Vec<u8> {
        self.bytes_with(signature, "Connection: close\r\n")
    }

    /// The bytes of a signed request, on a connection that stays open.
    pub fn bytes_to_stay(&self) -> Vec<u8> {
        self.bytes_with(&self.signature(), "")
    }

    pub fn bytes_with(&self, signature: &str, headers: &str) -> Vec<u8> {
        let mut params = self.params.clone();
        params.push(("Signature".to_owned(), signature.to_owned()));
        let encoded = form(&params);
        let (query, kind, body) = if self.in_body {
            let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
            ("", kind, encoded.as_str())
        } else {
            (encoded.as_str(), "", "")
        };
        format!(
            "{} /?{query} HTTP/1.1\r\nHost: cams.test\r\n{kind}{headers}Content-Length: {}\r\n\r\n{body}",
            self.method,
            body.len()
        )
        .into_bytes()
    }

    pub fn send(&self, to: &Simulator) -> Wire {
        exchange(to.address(), &self.bytes())
    }
}

/// `name=value` pairs, as in a query or a form.
pub fn form(params: &[(String, String)]) -> String {
    let pairs = params.iter();
    let pairs = pairs.map(|(n, v)| format!("{}={}", percent_encode(n), percent_encode(v)));
    pairs.collect::<Vec<_>>().join("&")
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Fin,
    Reset,
    /// Nothing for as long as the client waited.
    Silence,
}

/// The received bytes.
#[derive(Clone, Debug)]
pub struct Wire {
    pub bytes: Vec<u8>,
    pub end: End,
    /// From the last request byte to the first reply byte, or the end.
    pub waited: Duration,
    /// From there to the end.
    pub lasted: Duration,
}

impl Wire {
    fn split(&self) -> (String, Vec<u8>) {
        let at = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let at = at.unwrap_or_else(|| panic!("no HTTP head in {:?}", self.text()));
        let head = String::from_utf8(self.bytes[..at].to_vec()).unwrap();
        (head, self.bytes[at + 4..].to_vec())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn status(&self) -> u16 {
        let (head, _) = self.split();
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let (head, _) = self.split();
        head.lines().find_map(|line| {
            let (have, value) = line.split_once(": ")?;
            have.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    }

    pub fn body(&self) -> Vec<u8> {
        self.split().1
    }

    pub fn announced(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body())
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub fn code(&self) -> String {
        self.json()["Code"].as_str().unwrap_or("").to_owned()
    }

    /// HTTP status and `Code`.
    pub fn outcome(&self) -> (u16, String) {
        (self.status(), self.code())
    }
}

pub fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends bytes on a new connection and reads to its end, at most 10 s.
pub fn exchange(to: SocketAddr, bytes: &[u8]) -> Wire {
    exchange_within(to, bytes, Duration::from_secs(10))
}

pub fn exchange_within(to: SocketAddr, bytes: &[u8], limit: Duration) -> Wire {
    let mut stream = connect(to);
    // The server may have reset the connection already; the read below shows it.
    let _ = stream.write_all(bytes);
    read_to_end(&mut stream, limit)
}

pub fn read_to_end(stream: &mut TcpStream, limit: Duration) -> Wire {
    stream.set_read_timeout(Some(limit)).unwrap();
    let begin = Instant::now();
    let mut first = None;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break End::Fin,
            Ok(n) => {
                first.get_or_insert_with(Instant::now);
                bytes.extend_from_slice(&buffer[..n]);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break End::Silence;
            }
            Err(error) => panic!("{error}"),
        }
    };
    let first = first.unwrap_or_else(Instant::now);
    Wire {
        bytes,
        end,
        waited: first - begin,
        lasted: first.elapsed(),
    }
}

/// Reads one reply with a Content-Length from a connection that stays open.
pub fn read_reply(stream: &mut TcpStream) -> Wire {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let begin = Instant::now();
    let mut bytes = Vec::new();
    let mut one = [0];
    loop {
        assert_eq!(stream.read(&mut one).unwrap(), 1, "end of stream");
        bytes.push(one[0]);
        if bytes.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let mut wire = Wire {
        bytes,
        end: End::Silence,
        waited: begin.elapsed(),
        lasted: Duration::ZERO,
    };
    let mut body = vec![0; wire.announced()];
    stream.read_exact(&mut body).unwrap();
    wire.bytes.append(&mut body);
    wire
}

/// The last entry, once it is complete.
pub fn last_entry(simulator: &Simulator) -> Entry {
    wait_for(|| {
        let entry = simulator.ledger().pop()?;
        entry.replied_us.is_some().then_some(entry)
    })
}

/// Polls until there is a value; fails after 10 s.
pub fn wait_for<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "nothing within 10 s");
        std::thread::sleep(Duration::from_millis(1));
    }
}
