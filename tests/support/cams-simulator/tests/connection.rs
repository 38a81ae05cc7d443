//! HTTP as clients speak it: reuse, pipelining, chunks, idle connections, nonsense.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use cams_simulator::{AccessKey, Config, Error, Simulator};
use common::{
    End, KEY, Rpc, SECRET, connect, last_entry, read_reply, read_to_end, simulator, wait_for,
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
