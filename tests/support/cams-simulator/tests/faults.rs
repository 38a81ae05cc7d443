//! Requests that are lost, delayed or held: the bytes on the wire, and the ledger's entry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::Write as _;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cams_simulator::{
    Answer, Decision, Delivery, Entry, Fault, FaultRule, Held, Refusal, Release, Simulator, Stage,
    VERIFIED,
};
use common::{
    CODE, End, ID, PHONE, Rpc, Wire, connect, exchange_within, last_entry, read_reply, read_to_end,
    simulator, simulator_under,
};

const LONG: Duration = Duration::from_secs(10);

/// One verification under one fault.
fn verify_under(fault: Fault) -> (Simulator, Wire, Entry) {
    let simulator = simulator_under(FaultRule::new(fault).once());
    let id = simulator.faults()[0].id;
    let wire = Rpc::verify(CODE).send(&simulator);
    let entry = last_entry(&simulator);
    let met: Vec<_> = entry.faults.iter().map(|met| met.id).collect();
    assert_eq!(met, [id], "the ledger names the fault");
    (simulator, wire, entry)
}

#[test]
fn dropped_before_executing() {
    for stage in [Stage::Received, Stage::Counted] {
        for (fault, end, delivery) in [
            (Fault::close(stage), End::Fin, Delivery::Closed),
            (Fault::reset(stage), End::Reset, Delivery::Reset),
        ] {
            let (simulator, wire, entry) = verify_under(fault);
            assert_eq!((wire.end, wire.bytes.len()), (end, 0));
            assert_eq!(entry.decision, Decision::Dropped);
            assert_eq!(entry.delivery, delivery);
            assert_eq!((entry.executed_us, entry.reply_status), (None, None));
            assert_eq!(entry.counted_us.is_some(), stage == Stage::Counted);
            assert!(!simulator.number(PHONE).unwrap().verified);
            assert_eq!(Rpc::verify(CODE).send(&simulator).code(), "OK", "once only");
        }
    }
}

#[test]
fn dropped_after_executing() {
    for (fault, end, delivery) in [
        (Fault::close(Stage::Executed), End::Fin, Delivery::Closed),
        (Fault::reset(Stage::Executed), End::Reset, Delivery::Reset),
    ] {
        let (simulator, wire, entry) = verify_under(fault);
        assert_eq!((wire.end, wire.bytes.len()), (end, 0));
        assert_eq!(entry.decision, Decision::Accepted);
        assert_eq!(entry.delivery, delivery);
        assert!(entry.executed());
        assert!(simulator.number(PHONE).unwrap().verified);
        let read = Rpc::read().send(&simulator).json();
        assert_eq!(read["Data"]["CodeVerificationStatus"], "VERIFIED");
        assert_eq!(read["Data"]["Id"], ID);
    }
}

#[test]
fn a_blackhole_is_silent_until_the_client_leaves() {
    for (stage, decision) in [
        (Stage::Counted, Decision::Dropped),
        (Stage::Executed, Decision::Accepted),
    ] {
        let simulator = simulator_under(Fault::blackhole(stage));
        let bytes = Rpc::verify(CODE).bytes();
        let wire = exchange_within(simulator.address(), &bytes, Duration::from_millis(200));
        assert_eq!((wire.end, wire.bytes.len()), (End::Silence, 0));
        let entry = last_entry(&simulator);
        assert_eq!(entry.decision, decision);
        assert_eq!(entry.delivery, Delivery::Blackholed);
    }
}

#[test]
fn dropped_before_anything_was_read() {
    let simulator = simulator_under(FaultRule::new(Fault::reset(Stage::Accepted)).once());
    let wire = read_to_end(&mut connect(simulator.address()), LONG);
    assert_eq!((wire.end, wire.bytes.len()), (End::Reset, 0));
    assert_eq!(simulator.ledger(), []);
    assert_eq!(simulator.faults()[0].hits, 1);
    assert_eq!(Rpc::verify(CODE).send(&simulator).code(), "OK");
}

#[test]
fn half_a_reply() {
    let (simulator, wire, entry) = verify_under(Fault::half_reply());
    assert_eq!((wire.status(), wire.end), (200, End::Fin));
    assert_eq!(wire.body().len(), wire.announced() / 2);
    assert!(wire.text().contains(r#"{"Code":"OK""#));
    assert_eq!(entry.decision, Decision::Accepted);
    assert_eq!(entry.delivery, Delivery::Half);
    assert!(simulator.number(PHONE).unwrap().verified);
}

#[test]
fn a_connection_that_dies_idle() {
    let simulator = simulator_under(Fault::reset(Stage::Replied));
    let mut stream = connect(simulator.address());
    let call = Rpc::verify(CODE).bytes_to_stay();
    stream.write_all(&call).unwrap();
    let wire = read_reply(&mut stream);
    assert_eq!(wire.code(), "OK");
    assert_eq!(wire.header("connection").as_deref(), Some("keep-alive"));
    let rest = read_to_end(&mut stream, LONG);
    assert_eq!((rest.end, rest.bytes.len()), (End::Reset, 0));
    assert_eq!(last_entry(&simulator).delivery, Delivery::Complete);
}

#[test]
fn delays_before_counting_before_executing_and_before_replying() {
    let simulator = simulator();
    for stage in [Stage::Received, Stage::Counted, Stage::Executed] {
        simulator.add_fault(Fault::delay(stage, 50)).unwrap();
    }
    let wire = Rpc::verify(CODE).send(&simulator);
    assert_eq!(wire.code(), "OK");
    let waited = wire.waited;
    assert!(waited >= Duration::from_millis(140), "{waited:?}");
    let entry = last_entry(&simulator);
    let (counted, executed) = (entry.counted_us.unwrap(), entry.executed_us.unwrap());
    assert!(counted >= entry.arrived_us + 50_000, "{entry:?}");
    assert!(executed >= counted + 50_000, "{entry:?}");
    assert!(entry.replied_us.unwrap() >= executed + 50_000, "{entry:?}");
}

#[test]
fn processing_time_lies_between_counting_and_executing() {
    let simulator = simulator();
    simulator.set_processing(80);
    let waited = Rpc::verify(CODE).send(&simulator).waited;
    assert!(waited >= Duration::from_millis(75), "{waited:?}");
    let entry = last_entry(&simulator);
    assert_eq!(entry.counted_us, Some(entry.arrived_us));
    assert!(entry.executed_us.unwrap() >= entry.arrived_us + 80_000);
}

/// A verification that is held, and its client.
async fn held(simulator: &Simulator) -> (Held, JoinHandle<Wire>) {
    let (address, bytes) = (simulator.address(), Rpc::verify(CODE).bytes());
    let client = std::thread::spawn(move || common::exchange(address, &bytes));
    (simulator.wait_held(LONG).await.unwrap(), client)
}

#[tokio::test]
async fn a_gate_holds_a_request_at_each_stage() {
    for (stage, executed, bytes_before) in [
        (Stage::Received, false, false),
        (Stage::Counted, false, false),
        (Stage::Executed, true, false),
        (Stage::HalfReplied, true, true),
    ] {
        let simulator = simulator_under(Fault::gate(stage));
        assert_eq!(simulator.wait_held(Duration::from_millis(20)).await, None);
        let (held, client) = held(&simulator).await;
        assert_eq!((held.at, held.action.as_str()), (stage, VERIFIED));
        assert_eq!(held.phone.as_deref(), Some(PHONE));
        let entry = simulator.ledger().pop().unwrap();
        assert_eq!((entry.seq, entry.executed()), (held.seq, executed));
        assert_eq!(entry.reply_status.is_some(), bytes_before);
        let release = || simulator.release(held.id, Release::Continue);
        assert!(release() && !release(), "the second time it is not held");
        assert_eq!(client.join().unwrap().code(), "OK");
        assert!(last_entry(&simulator).executed());
    }
}

#[tokio::test]
async fn a_held_request_can_be_lost_and_outlives_its_client() {
    let simulator = simulator_under(Fault::gate(Stage::Counted));
    let (held, client) = held(&simulator).await;
    assert!(simulator.release(held.id, Release::Reset));
    assert_eq!(client.join().unwrap().end, End::Reset);
    assert_eq!(last_entry(&simulator).decision, Decision::Dropped);

    // The client dies while its call is held; the cloud executes the call nevertheless.
    let mut stream = connect(simulator.address());
    stream.write_all(&Rpc::verify(CODE).bytes()).unwrap();
    let held = simulator.wait_held(LONG).await.unwrap();
    drop(stream);
    assert_eq!(simulator.release_all(Release::Continue), 1);
    assert_eq!(last_entry(&simulator).seq, held.seq);
    assert_eq!(last_entry(&simulator).decision, Decision::Accepted);
    assert!(simulator.number(PHONE).unwrap().verified);
}

/// A small reply fits into the kernel's buffer, so only a large one shows that the client does not
/// read.
#[tokio::test]
async fn a_client_that_leaves_during_the_reply() {
    let bytes = 100 * 1024 * 1024;
    let huge = Fault::answer(Stage::Executed, Answer::Huge { bytes });
    let simulator = simulator_under(huge);
    let mut stream = connect(simulator.address());
    stream.write_all(&Rpc::verify(CODE).bytes()).unwrap();
    let executed = simulator.wait_entry(LONG, Entry::executed).await;
    assert_eq!(executed.unwrap().delivery, Delivery::Pending);
    drop(stream);
    let gone = |entry: &Entry| entry.delivery == Delivery::ClientGone;
    assert!(simulator.wait_entry(LONG, gone).await.is_some());
    let never = simulator.wait_entry(Duration::from_millis(5), |entry| entry.seq == 2);
    assert_eq!(never.await, None);
}

#[test]
fn a_rule_is_not_used_up_by_a_call_that_does_not_reach_its_stage() {
    let rule = FaultRule::new(Fault::close(Stage::Executed)).action(VERIFIED);
    let simulator = simulator_under(rule.phone(PHONE).once());
    let forged = Rpc::verify(CODE).secret("wrong").send(&simulator);
    assert_eq!(forged.code(), "SignatureDoesNotMatch");
    assert_eq!(Rpc::read().send(&simulator).code(), "OK");
    assert_eq!(simulator.faults()[0].hits, 0);
    assert_eq!(Rpc::verify(CODE).send(&simulator).bytes.len(), 0);
    assert_eq!(simulator.faults()[0].hits, 1);
}

#[test]
fn a_throttle_phase_throttles_and_ends() {
    let refusal = Refusal::new(400, "Throttling.Api", "busy").retry_after_ms(300);
    let phase = Fault::Throttle { ms: 300, refusal };
    let begun = Instant::now();
    let simulator = simulator_under(FaultRule::new(phase).action(VERIFIED));
    let wire = Rpc::verify(CODE).send(&simulator);
    assert_eq!(wire.outcome(), (400, "Throttling.Api".to_owned()));
    assert_eq!(wire.header("x-acs-retry-after").as_deref(), Some("300"));
    let entry = last_entry(&simulator);
    assert_eq!(entry.decision, Decision::Throttled);
    assert!(!entry.executed());
    assert_eq!(Rpc::read().send(&simulator).code(), "OK", "another action");
    let accepted = || (Rpc::verify(CODE).send(&simulator).code() == "OK").then_some(());
    common::wait_for(accepted);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(simulator.summary().action(VERIFIED).counts.executed, 1);
}

#[test]
fn the_first_rule_that_ends_a_request_wins() {
    let simulator = simulator_under(Fault::answer(Stage::Counted, Answer::EmptyObject));
    simulator.add_fault(Fault::close(Stage::Executed)).unwrap();
    assert_eq!(Rpc::verify(CODE).send(&simulator).body(), b"{}");
    let hits: Vec<_> = simulator.faults().iter().map(|fault| fault.hits).collect();
    assert_eq!(hits, [1, 0]);
    simulator.clear_faults();
    assert_eq!(Rpc::verify(CODE).send(&simulator).code(), "OK");
}
