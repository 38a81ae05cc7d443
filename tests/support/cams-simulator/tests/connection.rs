//! HTTP as clients speak it: reuse, pipelining, chunks, idle connections, nonsense.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use cams_simulator::{Config, Error, Settings, Simulator};
use common::{
    CODE, End, Rpc, connect, exchange, last_entry, read_reply, read_to_end, simulator,
    simulator_with, wait_for,
};

const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_connection_is_used_again_and_the_ledger_says_so() {
    let simulator = simulator();
    let mut stream = connect(simulator.address());
    for n in 1..=3 {
        stream.write_all(&Rpc::read().bytes_to_stay()).unwrap();
        assert_eq!(read_reply(&mut stream).code(), "OK");
        let entry = last_entry(&simulator);
        assert_eq!((entry.connection, entry.request_on_connection), (1, n));
    }
    Rpc::read().send(&simulator);
    assert_eq!(last_entry(&simulator).connection, 2);
}

#[test]
fn pipelined_chunked_and_split_requests() {
    let simulator = simulator();
    let mut stream = connect(simulator.address());
    let both = [Rpc::read(), Rpc::read()].map(|call| call.bytes_to_stay());
    stream.write_all(&both.concat()).unwrap();
    assert_eq!(read_reply(&mut stream).code(), "OK");
    assert_eq!(read_reply(&mut stream).code(), "OK");

    let mut form = Rpc::verify(CODE);
    form.in_body = true;
    let whole = String::from_utf8(form.bytes()).unwrap();
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let length = format!("Content-Length: {}", body.len());
    let head = head.replace(&length, "Transfer-Encoding: chunked");
    let (one, two) = body.split_at(100);
    let (a, b) = (one.len(), two.len());
    let chunked = format!("{head}\r\n\r\n{a:x}\r\n{one}\r\n{b:X};x=y\r\n{two}\r\n0\r\n\r\n");
    let wire = exchange(simulator.address(), chunked.as_bytes());
    assert_eq!(wire.code(), "OK");

    let mut stream = connect(simulator.address());
    for byte in Rpc::read().bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(read_to_end(&mut stream, LONG).code(), "OK");
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    let simulator = simulator();
    let mut form = Rpc::verify(CODE);
    form.in_body = true;
    let headers = "Expect: 100-continue\r\nConnection: close\r\n";
    let whole = String::from_utf8(form.bytes_with(&form.signature(), headers)).unwrap();
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let mut stream = connect(simulator.address());
    stream
        .write_all(format!("{head}\r\n\r\n").as_bytes())
        .unwrap();
    let mut go = [0; 25];
    std::io::Read::read_exact(&mut stream, &mut go).unwrap();
    assert_eq!(&go, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(read_to_end(&mut stream, LONG).code(), "OK");
}

#[test]
fn keep_alive_and_idle_connections_are_settings() {
    let simulator = simulator_with(|settings| settings.idle_timeout_ms = Some(50));
    let send = || {
        let mut stream = connect(simulator.address());
        stream.write_all(&Rpc::read().bytes_to_stay()).unwrap();
        (read_reply(&mut stream), read_to_end(&mut stream, LONG))
    };
    let (reply, rest) = send();
    assert_eq!(reply.header("connection").as_deref(), Some("keep-alive"));
    assert_eq!((rest.end, rest.bytes.len()), (End::Fin, 0));
    let waited = rest.waited;
    assert!(waited >= Duration::from_millis(40), "{waited:?}");

    let close = |settings: &mut Settings| settings.keep_alive = false;
    simulator.change_settings(close).unwrap();
    assert_eq!(send().0.header("connection").as_deref(), Some("close"));
}

#[test]
fn what_is_not_http_is_hung_up_on() {
    let simulator = simulator();
    for bytes in [
        "nonsense\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n".to_owned(),
        format!("GET /?{} HTTP/1.1\r\n\r\n", "a".repeat(100_000)),
    ] {
        let wire = exchange(simulator.address(), bytes.as_bytes());
        assert!(wire.bytes.is_empty(), "{}", wire.text());
        assert_ne!(wire.end, End::Silence);
    }
    assert_eq!(simulator.ledger(), []);
    assert_eq!(Rpc::read().send(&simulator).code(), "OK");
}

#[test]
fn only_loopback() {
    let foreign: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let mut configs = [Config::default(), Config::default()];
    configs[0].listen = foreign;
    configs[1].admin = foreign;
    for config in configs {
        let error = Simulator::start(config).unwrap_err();
        assert!(matches!(error, Error::NotLoopback(_)), "{error}");
    }
}

#[test]
fn a_dropped_simulator_is_gone_with_its_connections() {
    let simulator = simulator();
    let address = simulator.address();
    let mut stream = connect(address);
    Rpc::read().send(&simulator);
    drop(simulator);
    let rest = read_to_end(&mut stream, LONG);
    assert_ne!(rest.end, End::Silence);
    wait_for(|| std::net::TcpStream::connect(address).is_err().then_some(()));
}
