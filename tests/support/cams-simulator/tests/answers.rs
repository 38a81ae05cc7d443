//! Unexpected answers: the bytes on the wire, and the ledger's entry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cams_simulator::{Answer, Fault, FaultRule, Stage};
use common::{CODE, PHONE, Rpc, Wire, last_entry, simulator};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

#[test]
fn errors_in_the_apis_shape() {
    let simulator = simulator();
    for (fault, code) in [
        (Fault::internal_error(Stage::Counted), "InternalError"),
        (
            Fault::service_unavailable(Stage::Counted),
            "ServiceUnavailable",
        ),
        (Fault::nonce_used(Stage::Counted), "SignatureNonceUsed"),
        (Fault::nonce_used(Stage::Executed), "SignatureNonceUsed"),
    ] {
        simulator.add_fault(FaultRule::new(fault).once()).unwrap();
        assert_eq!(Rpc::verify(CODE).send(&simulator).code(), code);
        assert_eq!(last_entry(&simulator).reply_code.as_deref(), Some(code));
    }
    assert!(
        simulator.number(PHONE).unwrap().verified,
        "executed by the last one"
    );
}

#[test]
fn a_body_of_fifty_mebibytes() {
    let bytes = 50 * 1024 * 1024;
    let simulator = simulator();
    let huge = Fault::answer(Stage::Executed, Answer::Huge { bytes });
    simulator.add_fault(huge).unwrap();
    let wire = Rpc::verify(CODE).send(&simulator);
    assert_eq!((wire.status(), wire.announced() as u64), (200, bytes));
    assert_eq!(wire.body().len() as u64, bytes);
    assert!(wire.bytes.ends_with(b"aaaa"));
}

#[test]
fn edits_of_a_true_reply() {
    let one = |fault: Fault| {
        let simulator = simulator();
        simulator.add_fault(fault).unwrap();
        let reply = Rpc::verify(CODE).send(&simulator).json();
        assert!(simulator.number(PHONE).unwrap().verified);
        reply
    };
    let other = one(Fault::OtherPhone {
        phone: "8613999999999".to_owned(),
    });
    assert_eq!(other["Data"]["PhoneNumber"], "8613999999999");
    assert_eq!(
        one(Fault::MaskPhone)["Data"]["PhoneNumber"],
        "861380000****"
    );
    let no_id = one(Fault::OmitId);
    assert_eq!(
        (&no_id["Code"], no_id["Data"].get("Id")),
        (&"OK".into(), None)
    );
    let no_data = one(Fault::OmitData);
    assert_eq!(
        (&no_data["Code"], no_data.get("Data")),
        (&"OK".into(), None)
    );
    let nasty = "\0\u{1b}[31mred\r\nlevel=error \u{202e}";
    let message = one(Fault::Message {
        text: nasty.to_owned(),
    });
    assert_eq!(message["Message"], nasty);
}

#[test]
fn the_status_read_lags() {
    for by_fault in [false, true] {
        let simulator = simulator();
        if by_fault {
            simulator.add_fault(Fault::ReadLag { ms: 200 }).unwrap();
        } else {
            simulator.set_read_lag(200);
        }
        assert_eq!(Rpc::verify(CODE).send(&simulator).code(), "OK");
        let executed = last_entry(&simulator).executed_us.unwrap();
        let status = || {
            let data = Rpc::read().send(&simulator).json()["Data"].clone();
            data["CodeVerificationStatus"].as_str().unwrap().to_owned()
        };
        simulator.set_quota(None, cams_simulator::Quota::unlimited());
        common::wait_for(|| (status() == "VERIFIED").then_some(()));
        for entry in simulator.ledger_since(1) {
            let visible = entry.executed_us.unwrap() >= executed + 200_000;
            let last = Some(&entry) == simulator.ledger().last();
            assert_eq!(
                visible, last,
                "VERIFIED from 200 ms on, and not before: {entry:?}"
            );
        }
    }
}

#[test]
fn the_date_header_follows_the_offset() {
    let skew = |wire: &Wire| {
        let date = rfc2822::parse(&wire.header("date").unwrap()).unwrap();
        date.timestamp().duration_since(Timestamp::now()).as_secs()
    };
    let simulator = simulator();
    let wire = Rpc::read().send(&simulator);
    assert!(skew(&wire).abs() <= 2, "{}", skew(&wire));
    assert!(wire.header("date").unwrap().ends_with(" GMT"));

    simulator.set_clock_offset(20 * 60_000);
    let wire = Rpc::read().send(&simulator);
    assert_eq!(wire.code(), "InvalidTimeStamp.Expired");
    assert!((1198..=1202).contains(&skew(&wire)), "{}", skew(&wire));
    simulator.set_clock_offset(0);

    let fault = Fault::ClockOffset { ms: -20 * 60_000 };
    simulator.add_fault(FaultRule::new(fault).once()).unwrap();
    let wire = Rpc::read().send(&simulator);
    assert_eq!(wire.code(), "InvalidTimeStamp.Expired");
    assert!((-1202..=-1198).contains(&skew(&wire)), "{}", skew(&wire));
    assert_eq!(Rpc::read().send(&simulator).code(), "OK");
}
