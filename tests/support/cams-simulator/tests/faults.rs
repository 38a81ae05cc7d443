//! Requests that are lost, delayed or held: the bytes on the wire, and the ledger's entry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use cams_simulator::{
    Answer, Decision, Delivery, Entry, Fault, FaultRule, Refusal, Release, Simulator, Stage,
    VERIFIED,
};
use common::{CODE, End, PHONE, Rpc, Wire, connect, exchange_within, last_entry, simulator};

/// One verification under one fault.
fn verify_under(fault: Fault) -> (Simulator, Wire, Entry) {
    let simulator = simulator();
    let id = simulator.add_fault(FaultRule::new(fault).once()).unwrap();
    let wire = Rpc::verify(CODE).send(&simulator);
    let entry = last_entry(&simulator);
    let met: Vec<_> = entry.faults.iter().map(|met| met.id).collect();
    assert_eq!(met, [id], "the ledger names the fault");
    (simulator, wire, entry)
}

/// Each way to lose a request: what the client sees, and what the ledger says.
#[test]
fn a_lost_request_is_executed_or_not_by_its_stage() {
    use Decision::{Accepted, Dropped};
    use Delivery::{Closed, Half, Reset};
    use Stage::{Counted, Executed, Received};
    for (fault, end, decision, delivery) in [
        (Fault::close(Received), End::Fin, Dropped, Closed),
        (Fault::reset(Received), End::Reset, Dropped, Reset),
        (Fault::close(Counted), End::Fin, Dropped, Closed),
        (Fault::reset(Counted), End::Reset, Dropped, Reset),
        (Fault::close(Executed), End::Fin, Accepted, Closed),
        (Fault::reset(Executed), End::Reset, Accepted, Reset),
        (Fault::half_reply(), End::Fin, Accepted, Half),
    ] {
        let case = format!("{fault:?}");
        let counted = fault.stage() != Received;
        let (simulator, wire, entry) = verify_under(fault);
        assert_eq!(
            (wire.end, entry.decision, entry.delivery),
            (end, decision, delivery),
            "{case}"
        );
        assert_eq!(entry.counted_us.is_some(), counted, "{case}");
        assert_eq!(entry.executed(), decision == Accepted, "{case}");
        let verified = simulator.number(PHONE).unwrap().verified;
        assert_eq!(verified, decision == Accepted, "{case}");
        if delivery == Half {
            assert_eq!(wire.body().len(), wire.announced() / 2);
        } else {
            assert_eq!(wire.bytes.len(), 0, "{case}");
        }
        if decision == Dropped {
            assert_eq!(Rpc::verify(CODE).send(&simulator).code(), "OK", "once only");
        }
    }
}

#[test]
fn a_blackhole_is_silent_until_the_client_leaves() {
    for (stage, decision) in [
        (Stage::Counted, Decision::Dropped),
        (Stage::Executed, Decision::Accepted),
    ] {
        let simulator = simulator();
        simulator.add_fault(Fault::blackhole(stage)).unwrap();
        let bytes = Rpc::verify(CODE).bytes();
        let wire = exchange_within(simulator.address(), &bytes, Duration::from_millis(200));
        assert_eq!((wire.end, wire.bytes.len()), (End::Silence, 0));
        let entry = last_entry(&simulator);
        assert_eq!(
            (entry.decision, entry.delivery),
            (decision, Delivery::Blackholed)
        );
    }
}

#[test]
fn delays_before_counting_before_executing_and_before_replying() {
    let simulator = simulator();
    for stage in [Stage::Received, Stage::Counted, Stage::Executed] {
        simulator.add_fault(Fault::delay(stage, 50)).unwrap();
    }
    simulator.set_processing(30);
    let wire = Rpc::verify(CODE).send(&simulator);
    assert_eq!(wire.code(), "OK");
    assert!(
        wire.waited >= Duration::from_millis(170),
        "{:?}",
        wire.waited
    );
    let entry = last_entry(&simulator);
    let (counted, executed) = (entry.counted_us.unwrap(), entry.executed_us.unwrap());
    assert!(counted >= entry.arrived_us + 50_000, "{entry:?}");
    assert!(executed >= counted + 80_000, "{entry:?}");
    assert!(entry.replied_us.unwrap() >= executed + 50_000, "{entry:?}");
}

#[tokio::test]
async fn a_gate_holds_a_request_at_each_stage() {
    for (stage, executed, bytes_before) in [
        (Stage::Received, false, false),
        (Stage::Counted, false, false),
        (Stage::Executed, true, false),
        (Stage::HalfReplied, true, true),
    ] {
        let simulator = simulator();
        simulator.add_fault(Fault::gate(stage)).unwrap();
        assert_eq!(simulator.wait_held(Duration::from_millis(20)).await, None);
        let (address, bytes) = (simulator.address(), Rpc::verify(CODE).bytes());
        let client = std::thread::spawn(move || common::exchange(address, &bytes));
        let held = simulator.wait_held(Duration::from_secs(10)).await.unwrap();
        assert_eq!((held.at, held.action.as_str()), (stage, VERIFIED));
        assert_eq!(held.phone.as_deref(), Some(PHONE));
        let entry = simulator.ledger().pop().unwrap();
        assert_eq!((entry.seq, entry.executed()), (held.seq, executed));
        assert_eq!(entry.reply_status.is_some(), bytes_before);
        assert!(simulator.release(held.id, Release::Continue));
        assert!(
            !simulator.release(held.id, Release::Continue),
            "released already"
        );
        assert_eq!(client.join().unwrap().code(), "OK");
        assert!(last_entry(&simulator).executed());
    }
}

#[tokio::test]
async fn a_held_request_can_be_lost_and_outlives_its_client() {
    let simulator = simulator();
    simulator.add_fault(Fault::gate(Stage::Counted)).unwrap();
    let (address, bytes) = (simulator.address(), Rpc::verify(CODE).bytes());
    let client = std::thread::spawn(move || common::exchange(address, &bytes));
    let held = simulator.wait_held(Duration::from_secs(10)).await.unwrap();
    assert!(simulator.release(held.id, Release::Close));
    assert!(client.join().unwrap().bytes.is_empty());
    assert_eq!(last_entry(&simulator).decision, Decision::Dropped);

    // The client dies while its call is held; the cloud executes the call nevertheless.
    let mut stream = connect(simulator.address());
    use std::io::Write as _;
    stream.write_all(&Rpc::verify(CODE).bytes()).unwrap();
    let held = simulator.wait_held(Duration::from_secs(10)).await.unwrap();
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
    use std::io::Write as _;
    let simulator = simulator();
    let answer = Answer::Huge {
        bytes: 100 * 1024 * 1024,
    };
    simulator
        .add_fault(Fault::answer(Stage::Executed, answer))
        .unwrap();
    let mut stream = connect(simulator.address());
    stream.write_all(&Rpc::verify(CODE).bytes()).unwrap();
    let executed = simulator
        .wait_entry(Duration::from_secs(10), Entry::executed)
        .await;
    assert_eq!(executed.unwrap().delivery, Delivery::Pending);
    drop(stream);
    let gone = |entry: &Entry| entry.delivery == Delivery::ClientGone;
    assert!(
        simulator
            .wait_entry(Duration::from_secs(10), gone)
            .await
            .is_some()
    );
    let never = simulator.wait_entry(Duration::from_millis(5), |entry| entry.seq == 2);
    assert_eq!(never.await, None);
}

#[test]
fn a_rule_is_not_used_up_by_a_call_that_does_not_reach_its_stage() {
    let simulator = simulator();
    let rule = FaultRule::new(Fault::close(Stage::Executed))
        .action(VERIFIED)
        .phone(PHONE)
        .once();
    simulator.add_fault(rule).unwrap();
    let forged = Rpc::verify(CODE).secret("wrong").send(&simulator);
    assert_eq!(forged.code(), "SignatureDoesNotMatch");
    assert_eq!(Rpc::read().send(&simulator).code(), "OK");
    assert_eq!(simulator.faults()[0].hits, 0);
    assert_eq!(Rpc::verify(CODE).send(&simulator).bytes.len(), 0);
    assert_eq!(simulator.faults()[0].hits, 1);
}

#[test]
fn a_throttle_phase_throttles_and_ends() {
    let simulator = simulator();
    let refusal = Refusal::new(400, "Throttling.Api", "busy").retry_after_ms(300);
    let phase = Fault::Throttle { ms: 300, refusal };
    let begun = Instant::now();
    simulator
        .add_fault(FaultRule::new(phase).action(VERIFIED))
        .unwrap();
    let wire = Rpc::verify(CODE).send(&simulator);
    assert_eq!(wire.outcome(), (400, "Throttling.Api".to_owned()));
    assert_eq!(wire.header("x-acs-retry-after").as_deref(), Some("300"));
    let entry = last_entry(&simulator);
    assert_eq!(
        (entry.decision, entry.executed()),
        (Decision::Throttled, false)
    );
    assert_eq!(Rpc::read().send(&simulator).code(), "OK", "another action");
    let accepted = || (Rpc::verify(CODE).send(&simulator).code() == "OK").then_some(());
    common::wait_for(accepted);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(simulator.summary().action(VERIFIED).counts.executed, 1);
}
