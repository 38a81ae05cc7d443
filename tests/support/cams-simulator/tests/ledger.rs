//! The ledger's arithmetic, on entries made by hand, and its completeness.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cams_simulator::{
    Decision, Entry, READ_STATUS, Summary, VERIFIED, admitted_times, utilisation, worst_second,
};
use common::{CODE, KEY, Rpc, last_entry, simulator};

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
    let total = summary.total;
    assert_eq!(
        (
            total.received,
            total.executed,
            total.accepted,
            total.refused
        ),
        (9, 4, 2, 2)
    );
    assert_eq!((total.throttled, total.dropped, total.answered), (1, 1, 1));
    assert_eq!((total.rejected, total.pending), (1, 1));

    let verified = summary.action(VERIFIED);
    assert_eq!(
        (verified.account.as_str(), verified.counts.executed),
        (KEY, 3)
    );
    assert_eq!(verified.worst_second, 4);
    assert_eq!(summary.worst_second, 4);
    assert_eq!(summary.action(READ_STATUS).worst_second, 1);
    assert_eq!(summary.action("Nothing").counts.received, 0);

    assert_eq!(
        summary.max_executed_per_code, 2,
        "reads are not executions of a code"
    );
    let codes: Vec<_> = summary
        .codes
        .iter()
        .map(|c| (c.code.as_str(), c.executed, c.accepted))
        .collect();
    assert_eq!(codes, [(CODE, 2, 1), ("111111", 1, 0)]);

    assert_eq!(
        admitted_times(&entries, VERIFIED),
        [0, 400_000, 500_000, 5_000_000, 6_500_000, 9_000_000]
    );
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
        call.params
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.clone())
    };
    let begin = simulator.now_us();
    let wire = call.send(&simulator);
    let entry = last_entry(&simulator);
    assert_eq!((entry.seq, entry.connection), (1, 1));
    assert_eq!(
        (entry.method.as_str(), entry.account.as_deref()),
        ("POST", Some(KEY))
    );
    assert_eq!(
        (entry.action.as_str(), entry.key_id.as_deref()),
        (VERIFIED, Some(KEY))
    );
    assert_eq!(
        (entry.phone, entry.code),
        (sent("PhoneNumber"), sent("VerifyCode"))
    );
    assert_eq!(
        (entry.nonce, entry.timestamp),
        (sent("SignatureNonce"), sent("Timestamp"))
    );
    assert_eq!(entry.cust_space_id, sent("CustSpaceId"));
    assert_eq!(
        (entry.reply_status, entry.reply_code.as_deref()),
        (Some(200), Some("OK"))
    );
    assert_eq!(wire.json()["RequestId"], entry.request_id);
    assert!(entry.arrived_at >= before && entry.arrived_at <= jiff::Timestamp::now());
    let times = [
        begin,
        entry.arrived_us,
        entry.executed_us.unwrap(),
        entry.replied_us.unwrap(),
    ];
    assert!(times.is_sorted(), "{times:?}");

    let json = serde_json::to_value(last_entry(&simulator)).unwrap();
    assert_eq!(
        serde_json::from_value::<Entry>(json).unwrap(),
        last_entry(&simulator)
    );
    assert_eq!(simulator.ledger_since(1), []);
}
