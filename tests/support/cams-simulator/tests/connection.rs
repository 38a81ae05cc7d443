//! HTTP as clients speak it: reuse, pipelining, chunks, idle connections, nonsense.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use cams_simulator::{AccessKey, Config, Error, Simulator};
use common::{
    End, KEY, Rpc, SECRET, connect, exchange, last_entry, read_reply, read_to_end, simulator,
    wait_for,
};

const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_connection_is_used_again_and_the_ledger_says_so() {
    let simulator = simulator();
    let mut stream = connect(simulator.address());
    for _ in 0..3 {
        let call = Rpc::read();
        stream
            .write_all(&call.bytes_signed(&call.signature(), ""))
            .unwrap();
        assert_eq!(read_reply(&mut stream).code(), "OK");
        let entry = last_entry(&simulator);
        assert_eq!(entry.connection, 1);
    }
    Rpc::read().send(&simulator);
    assert_eq!(last_entry(&simulator).connection, 2);
}

#[test]
fn pipelined_and_split_requests() {
    let simulator = simulator();
    let mut stream = connect(simulator.address());
    let (a, b) = (Rpc::read(), Rpc::read());
    let mut both = a.bytes_signed(&a.signature(), "");
    both.extend(b.bytes_signed(&b.signature(), ""));
    stream.write_all(&both).unwrap();
    assert_eq!(read_reply(&mut stream).code(), "OK");
    assert_eq!(read_reply(&mut stream).code(), "OK");

    let mut stream = connect(simulator.address());
    for byte in Rpc::read().bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(read_to_end(&mut stream, LONG).code(), "OK");
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
    for (listen, admin) in [
        (foreign, Config::default().admin),
        (Config::default().listen, foreign),
    ] {
        let key = AccessKey::new(KEY, SECRET);
        let config = Config {
            listen,
            admin,
            ..Config::with_key(key)
        };
        let error = Simulator::start_blocking(config).unwrap_err();
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
