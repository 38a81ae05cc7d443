//! The effect of the actions on a number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cams_simulator::{Decision, Number, Quota, Simulator, UnknownNumber};
use common::{CODE, ID, PHONE, Rpc, SPACE, last_entry, simulator, simulator_with};

fn verify(simulator: &Simulator, code: &str) -> (u16, String) {
    Rpc::verify(code).send(simulator).outcome()
}

fn ok(code: &str) -> (u16, String) {
    (200, code.to_owned())
}

#[test]
fn a_right_code_verifies_and_the_reply_has_the_id() {
    let simulator = simulator();
    let read = |simulator: &Simulator| Rpc::read().send(simulator).json()["Data"].clone();
    let status = |status: &str| serde_json::json!({ "CodeVerificationStatus": status, "Id": ID, "PhoneNumber": PHONE });
    assert_eq!(read(&simulator), status("NOT_VERIFIED"));
    let reply = Rpc::verify(CODE).send(&simulator).json();
    assert_eq!(
        (&reply["Code"], &reply["Message"]),
        (&"OK".into(), &"SUCCESS".into())
    );
    assert_eq!(
        reply["Data"],
        serde_json::json!({ "Id": ID, "PhoneNumber": PHONE })
    );
    assert!(reply.get("HostId").is_none());
    assert_eq!(read(&simulator), status("VERIFIED"));
}

#[test]
fn refusals_come_in_http_200() {
    let simulator = simulator_with(|settings| settings.quota = Quota::unlimited());
    assert_eq!(verify(&simulator, "000000"), ok("VerifyCode.Mismatch"));
    let entry = last_entry(&simulator);
    assert_eq!(
        (entry.decision, entry.executed()),
        (Decision::Refused, true)
    );

    assert_eq!(verify(&simulator, CODE), ok("OK"));
    assert_eq!(verify(&simulator, CODE), ok("PhoneNumber.AlreadyVerified"));
    assert_eq!(
        simulator.summary().max_executed_per_code,
        2,
        "the second submission shows"
    );
}

#[test]
fn spaces_unknown_numbers_and_numbers_not_in_migration() {
    let simulator = simulator_with(|settings| settings.quota = Quota::unlimited());
    let call = |phone: &str, space: &str| {
        let call = Rpc::verify(CODE)
            .with("PhoneNumber", phone)
            .with("CustSpaceId", space);
        call.send(&simulator).outcome()
    };
    assert_eq!(call(PHONE, "cams-other"), ok("Authentication.NoAuth"));
    assert_eq!(
        call("49301234567", SPACE),
        ok("InvalidParameter.PhoneNumberError")
    );
    simulator.add_number(Number {
        code: None,
        ..Number::new("4931", "", "1")
    });
    assert_eq!(call("4931", SPACE), ok("PhoneNumber.NotInMigration"));
    simulator
        .change_settings(|settings| settings.unknown_number = UnknownNumber::AcceptAnyCode)
        .unwrap();
    assert_eq!(call("49301234567", SPACE), ok("OK"));
    assert_eq!(
        simulator.number("49301234567").unwrap().id.as_deref(),
        Some("849301234567")
    );
}
