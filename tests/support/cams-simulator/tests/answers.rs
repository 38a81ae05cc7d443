//! Unexpected answers: the bytes on the wire, and the ledger's entry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use cams_simulator::{Answer, Decision, Delivery, Fault, FaultRule, Refusal, Stage};
use common::{
    CODE, End, ID, PHONE, Rpc, Wire, last_entry, simulator, simulator_under, simulator_with,
};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::json;

/// The same answer in place of executing and in place of the reply of an execution.
fn in_both_places(answer: &Answer, check: impl Fn(&Wire, bool)) {
    for stage in [Stage::Received, Stage::Counted, Stage::Executed] {
        let fault = Fault::answer(stage, answer.clone());
        let simulator = simulator_under(FaultRule::new(fault).once());
        let wire = Rpc::verify(CODE).send(&simulator);
        let executed = stage == Stage::Executed;
        check(&wire, executed);
        assert_eq!(wire.end, End::Fin);
        let entry = last_entry(&simulator);
        assert_eq!(entry.executed(), executed);
        assert_eq!(entry.delivery, Delivery::Complete);
        assert_eq!(entry.reply_status, Some(wire.status()));
        let decision = if executed {
            Decision::Accepted
        } else {
            Decision::Answered
        };
        assert_eq!(entry.decision, decision);
        assert_eq!(simulator.number(PHONE).unwrap().verified, executed);
    }
}

#[test]
fn pages_empty_bodies_and_broken_json() {
    for status in [200, 502] {
        in_both_places(&Answer::Html { status }, |wire, _| {
            assert_eq!(wire.status(), status);
            let kind = wire.header("content-type").unwrap();
            assert!(kind.starts_with("text/html"));
            assert!(wire.text().contains("<html>"));
        });
    }
    in_both_places(&Answer::Empty { status: 200 }, |wire, _| {
        assert_eq!((wire.status(), wire.body().len()), (200, 0));
    });
    in_both_places(&Answer::EmptyObject, |wire, _| {
        assert_eq!((wire.status(), wire.body()), (200, b"{}".to_vec()));
    });
    in_both_places(&Answer::TruncatedJson, |wire, _| {
        assert_eq!(wire.status(), 200);
        // A whole reply of half a text.
        assert_eq!(wire.body().len(), wire.announced());
        assert!(wire.body().starts_with(b"{\""));
        assert!(serde_json::from_slice::<serde_json::Value>(&wire.body()).is_err());
    });
    let raw = Answer::Raw {
        status: 418,
        content_type: "text/plain".to_owned(),
        body: "teapot".to_owned(),
    };
    in_both_places(&raw, |wire, _| {
        assert_eq!((wire.status(), wire.body()), (418, b"teapot".to_vec()));
    });
}

#[test]
fn errors_in_the_apis_shape() {
    for (status, code) in [
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (400, "SignatureNonceUsed"),
        (200, "isv.UNHEARD_OF"),
    ] {
        let refusal = Refusal::new(status, code, "x");
        in_both_places(&Answer::Api { refusal }, |wire, _| {
            assert_eq!(wire.outcome(), (status, code.to_owned()));
            assert!(wire.json()["RequestId"].is_string());
            assert_eq!(wire.json()["HostId"].is_string(), status >= 400);
        });
    }
    let simulator = simulator();
    let before = Stage::Counted;
    for (fault, code) in [
        (Fault::internal_error(before), "InternalError"),
        (Fault::service_unavailable(before), "ServiceUnavailable"),
        (Fault::nonce_used(before), "SignatureNonceUsed"),
        (Fault::nonce_used(Stage::Executed), "SignatureNonceUsed"),
    ] {
        simulator.add_fault(FaultRule::new(fault).once()).unwrap();
        assert_eq!(Rpc::verify(CODE).send(&simulator).code(), code);
        assert_eq!(last_entry(&simulator).reply_code.as_deref(), Some(code));
    }
    let verified = simulator.number(PHONE).unwrap().verified;
    assert!(verified, "executed by the last one");
}

#[test]
fn redirects() {
    let url = "http://127.0.0.1:9/elsewhere?a=b".to_owned();
    in_both_places(&Answer::Redirect { url: url.clone() }, |wire, _| {
        assert_eq!(wire.status(), 307);
        assert_eq!(wire.header("location").as_ref(), Some(&url));
    });
}

#[test]
fn a_body_of_fifty_mebibytes() {
    let bytes = 50 * 1024 * 1024;
    let simulator = simulator_under(Fault::answer(Stage::Executed, Answer::Huge { bytes }));
    let wire = Rpc::verify(CODE).send(&simulator);
    assert_eq!((wire.status(), wire.announced() as u64), (200, bytes));
    assert_eq!(wire.body().len() as u64, bytes);
    assert!(wire.bytes.ends_with(b"aaaa"));
}

#[test]
fn a_slow_body() {
    let simulator = simulator_under(Fault::Slow { ms_per_byte: 2 });
    let wire = Rpc::verify(CODE).send(&simulator);
    assert_eq!(wire.code(), "OK");
    let least = Duration::from_millis(2 * (wire.announced() as u64 - 2));
    assert!(wire.lasted >= least, "{:?} < {least:?}", wire.lasted);
}

#[test]
fn edits_of_a_true_reply() {
    let one = |fault: Fault| {
        let simulator = simulator_under(fault);
        let reply = Rpc::verify(CODE).send(&simulator).json();
        assert!(simulator.number(PHONE).unwrap().verified);
        reply
    };
    let phone = "8613999999999".to_owned();
    let other = one(Fault::OtherPhone { phone });
    assert_eq!(other["Data"]["PhoneNumber"], "8613999999999");
    let masked = one(Fault::MaskPhone);
    assert_eq!(masked["Data"]["PhoneNumber"], "861380000****");
    let no_id = one(Fault::OmitId);
    assert_eq!(no_id["Code"], "OK");
    assert_eq!(no_id["Data"].get("Id"), None);
    let no_data = one(Fault::OmitData);
    assert_eq!(no_data["Code"], "OK");
    assert_eq!(no_data.get("Data"), None);
    let nasty = "\0\u{1b}[31mred\r\nlevel=error \u{202e}";
    let text = nasty.to_owned();
    assert_eq!(one(Fault::Message { text })["Message"], nasty);
}

#[test]
fn reply_shapes_by_setting() {
    let simulator = simulator_with(|settings| settings.replies.mask_phone = true);
    let reply = Rpc::verify(CODE).send(&simulator).json();
    assert_eq!(reply["Data"]["PhoneNumber"], "861380000****");
    assert_eq!(reply["Data"]["Id"], ID);
    let change = |settings: &mut cams_simulator::Settings| {
        settings.replies.omit_phone = true;
        settings.replies.omit_id = true;
    };
    simulator.change_settings(change).unwrap();
    let data = &Rpc::read().send(&simulator).json()["Data"];
    assert_eq!(*data, json!({ "CodeVerificationStatus": "VERIFIED" }));
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
            // VERIFIED from 200 ms on, and not before.
            assert_eq!(visible, last, "{entry:?}");
        }
    }
}

#[test]
fn the_date_header_follows_the_offset() {
    let simulator = simulator();
    let is_off_by = |seconds: i64, code: &str| {
        let wire = Rpc::read().send(&simulator);
        assert_eq!(wire.code(), code);
        let date = wire.header("date").unwrap();
        assert!(date.ends_with(" GMT"), "{date}");
        let date = rfc2822::parse(&date).unwrap().timestamp();
        let skew = date.duration_since(Timestamp::now()).as_secs();
        assert!((skew - seconds).abs() <= 2, "{skew}");
    };
    is_off_by(0, "OK");
    simulator.set_clock_offset(20 * 60_000);
    is_off_by(1200, "InvalidTimeStamp.Expired");
    simulator.set_clock_offset(0);
    let fault = Fault::ClockOffset { ms: -20 * 60_000 };
    simulator.add_fault(FaultRule::new(fault).once()).unwrap();
    is_off_by(-1200, "InvalidTimeStamp.Expired");
    is_off_by(0, "OK");
}
