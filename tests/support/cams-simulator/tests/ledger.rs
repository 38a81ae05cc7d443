//! The ledger's arithmetic, on entries made by hand, and its completeness.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cams_simulator::{
    Algorithm, Counts, Decision, Delivery, Entry, Quota, READ_STATUS, Summary, VERIFIED,
    admitted_times, utilisation, worst_second,
};
use common::{CODE, KEY, Rpc, last_entry, simulator, simulator_with};

fn entry(template: &Entry, action: &str, at_us: u64, decision: Decision) -> Entry {
    let counted = decision != Decision::Rejected;
    let executed = matches!(decision, Decision::Accepted | Decision::Refused);
    Entry {
        action: action.to_owned(),
        counted_us: counted.then_some(at_us),
        executed_us: executed.then_some(at_us),
        decision,
        ..template.clone()
    }
}

fn template() -> Entry {
    let simulator = simulator();
    Rpc::verify(CODE).send(&simulator);
    last_entry(&simulator)
}

#[test]
fn the_worst_second_is_closed_at_both_ends() {
    assert_eq!(worst_second(&[]), 0);
    assert_eq!(worst_second(&[5]), 1);
    assert_eq!(worst_second(&[0, 1_000_000]), 2, "exactly one second apart");
    assert_eq!(worst_second(&[0, 1_000_001]), 1);
    assert_eq!(
        worst_second(&[2_900_000, 0, 900_000, 2_500_000, 1_900_000]),
        3
    );
}

#[test]
fn utilisation_is_a_share_of_what_the_quota_allows() {
    let times: Vec<u64> = (0..100).map(|i| i * 100_000).collect();
    assert!((utilisation(&times, 0, 10_000_000, 10) - 1.0).abs() < 1e-9);
    assert!((utilisation(&times, 0, 10_000_000, 20) - 0.5).abs() < 1e-9);
    assert!((utilisation(&times, 5_000_000, 15_000_000, 10) - 0.5).abs() < 1e-9);
    assert!(utilisation(&times, 7, 7, 10).abs() < 1e-9);
}

#[test]
fn a_summary_adds_up() {
    let base = template();
    let other = Entry {
        code: Some("111111".to_owned()),
        ..base.clone()
    };
    let entries = [
        entry(&base, VERIFIED, 0, Decision::Refused),
        entry(&base, VERIFIED, 400_000, Decision::Accepted),
        entry(&other, VERIFIED, 500_000, Decision::Refused),
        entry(&base, VERIFIED, 900_000, Decision::Throttled),
        entry(&base, VERIFIED, 5_000_000, Decision::Dropped),
        entry(&base, VERIFIED, 6_500_000, Decision::Answered),
        entry(&base, VERIFIED, 9_000_000, Decision::Rejected),
        entry(&base, VERIFIED, 9_000_000, Decision::Pending),
        entry(&base, READ_STATUS, 100_000, Decision::Accepted),
    ];
    let summary = Summary::of(entries.iter());
    let expected = Counts {
        received: 9,
        pending: 1,
        rejected: 1,
        throttled: 1,
        answered: 1,
        dropped: 1,
        executed: 4,
        accepted: 2,
        refused: 2,
    };
    assert_eq!(summary.total, expected);

    let verified = summary.action(VERIFIED);
    assert_eq!(verified.account, KEY);
    assert_eq!(verified.counts.executed, 3);
    assert_eq!(verified.worst_second, 4);
    assert_eq!(verified.worst_second_admitted, 3);
    assert_eq!(verified.first_counted_us, Some(0));
    assert_eq!(verified.last_counted_us, Some(9_000_000));
    assert_eq!(summary.worst_second, 4);
    assert_eq!(summary.action(READ_STATUS).worst_second, 1);
    assert_eq!(summary.action("Nothing").counts.received, 0);

    // Reads are not executions of a code.
    assert_eq!(summary.max_executed_per_code, 2);
    let codes = summary.codes.iter();
    let codes: Vec<_> = codes
        .map(|c| (c.code.as_str(), c.executed, c.accepted))
        .collect();
    assert_eq!(codes, [(CODE, 2, 1), ("111111", 1, 0)]);

    let times = [0, 400_000, 500_000, 5_000_000, 6_500_000, 9_000_000];
    assert_eq!(admitted_times(&entries, VERIFIED), times);
}

#[test]
fn accounts_are_told_apart() {
    let base = template();
    let foreign = Entry {
        account: Some("z".to_owned()),
        ..base.clone()
    };
    let entries = [
        entry(&base, VERIFIED, 0, Decision::Accepted),
        entry(&foreign, VERIFIED, 1, Decision::Accepted),
    ];
    let summary = Summary::of(entries.iter());
    assert_eq!((summary.actions.len(), summary.worst_second), (2, 1));
    assert_eq!(summary.action(VERIFIED).counts.executed, 2);
}

#[test]
fn an_entry_has_all_of_a_request() {
    let simulator = simulator();
    let before = jiff::Timestamp::now();
    let call = Rpc::verify(CODE);
    let sent = |name: &str| {
        let mut params = call.params.iter();
        params.find(|(n, _)| n == name).map(|(_, v)| v.clone())
    };
    let begin = simulator.now_us();
    let wire = call.send(&simulator);
    let entry = last_entry(&simulator);
    let expected = Entry {
        seq: 1,
        connection: 1,
        request_on_connection: 1,
        method: "POST".to_owned(),
        algorithm: Algorithm::V1,
        signature_ok: Some(true),
        account: Some(KEY.to_owned()),
        key_id: Some(KEY.to_owned()),
        action: VERIFIED.to_owned(),
        phone: sent("PhoneNumber"),
        cust_space_id: sent("CustSpaceId"),
        code: sent("VerifyCode"),
        nonce: sent("SignatureNonce"),
        signature: Some(call.signature()),
        timestamp: sent("Timestamp"),
        decision: Decision::Accepted,
        request_id: wire.json()["RequestId"].as_str().unwrap().to_owned(),
        reply_status: Some(200),
        reply_code: Some("OK".to_owned()),
        delivery: Delivery::Complete,
        ..entry.clone()
    };
    assert_eq!(entry, expected);
    assert!(entry.arrived_at >= before && entry.arrived_at <= jiff::Timestamp::now());
    let times = [
        begin,
        entry.arrived_us,
        entry.executed_us.unwrap(),
        entry.replied_us.unwrap(),
    ];
    assert!(times.is_sorted(), "{times:?}");

    let json = serde_json::to_value(&entry).unwrap();
    assert_eq!(serde_json::from_value::<Entry>(json).unwrap(), entry);
    simulator.clear_ledger();
    assert_eq!(simulator.ledger(), []);
    Rpc::read().send(&simulator);
    assert_eq!(last_entry(&simulator).seq, 2, "numbers go on");
    assert_eq!(simulator.ledger_since(2), []);
}

/// A floor far below what it does, so that a busy machine does not fail it.
#[test]
fn a_thousand_calls_a_second_are_no_burden() {
    use std::io::{Read as _, Write as _};
    let simulator = simulator_with(|settings| settings.quota = Quota::unlimited());
    let address = simulator.address();
    let calls: Vec<Vec<_>> = (0..4)
        .map(|_| (0..1000).map(|_| Rpc::read().bytes_to_stay()).collect())
        .collect();
    let clients = calls.into_iter().map(|calls| {
        std::thread::spawn(move || {
            let mut stream = common::connect(address);
            let mut reply = [0; 4096];
            for bytes in calls {
                stream.write_all(&bytes).unwrap();
                // A reply is written at once, and there is never more than one.
                let length = stream.read(&mut reply).unwrap();
                assert!(reply[..length].starts_with(b"HTTP/1.1 200 OK"));
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    last_entry(&simulator);
    let ledger = simulator.ledger();
    assert_eq!(ledger.len(), 4000);
    let took = ledger[3999].replied_us.unwrap() - ledger[0].arrived_us;
    println!("{} calls per second", 4_000_000_000 / took);
    assert!(took < 4_000_000, "{took} µs for 4,000 calls");
}
