//! The effect of the actions on a number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cams_simulator::{
    AlreadyVerified, Decision, Migration, Number, Quota, Refusal, Settings, Simulator,
    UnknownNumber,
};
use common::{CODE, ID, PHONE, Rpc, SPACE, last_entry, simulator, simulator_with};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

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
    let status =
        |status: &str| json!({ "CodeVerificationStatus": status, "Id": ID, "PhoneNumber": PHONE });
    assert_eq!(read(&simulator), status("NOT_VERIFIED"));
    let reply = Rpc::verify(CODE).send(&simulator).json();
    assert_eq!(reply["Code"], "OK");
    assert_eq!(reply["Message"], "SUCCESS");
    assert_eq!(reply["Data"], json!({ "Id": ID, "PhoneNumber": PHONE }));
    assert!(reply.get("HostId").is_none());
    assert_eq!(read(&simulator), status("VERIFIED"));
}

#[test]
fn refusals_come_in_http_200_or_as_configured() {
    let simulator = simulator_with(|settings| settings.quota = Quota::unlimited());
    assert_eq!(verify(&simulator, "000000"), ok("VerifyCode.Mismatch"));
    let entry = last_entry(&simulator);
    assert_eq!(entry.decision, Decision::Refused);
    assert!(entry.executed());
    assert_eq!(simulator.number(PHONE).unwrap().wrong_codes, 1);

    let http_400 = Refusal::new(400, "136025", "verify code failed");
    simulator
        .change_settings(|settings| settings.refusals.wrong_code = http_400)
        .unwrap();
    assert_eq!(verify(&simulator, "000000"), (400, "136025".to_owned()));
    assert_eq!(last_entry(&simulator).decision, Decision::Refused);

    assert_eq!(verify(&simulator, CODE), ok("OK"));
    assert_eq!(verify(&simulator, CODE), ok("PhoneNumber.AlreadyVerified"));
    let executed = simulator.summary().max_executed_per_code;
    assert_eq!(executed, 2, "the second submission shows");
    let accept = |settings: &mut Settings| settings.already_verified = AlreadyVerified::Accept;
    simulator.change_settings(accept).unwrap();
    assert_eq!(verify(&simulator, "111111"), ok("OK"));
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
    let unknown = "49301234567";
    let refused = ok("InvalidParameter.PhoneNumberError");
    assert_eq!(call(unknown, SPACE), refused);
    let early = Number {
        migration: Migration::NotBegun,
        ..Number::new("4930", CODE, "1")
    };
    simulator.add_number(early);
    assert_eq!(call("4930", SPACE), ok("PhoneNumber.NotInMigration"));
    simulator.add_number(Number {
        code: None,
        ..Number::new("4931", "", "1")
    });
    assert_eq!(call("4931", SPACE), ok("PhoneNumber.NotInMigration"));
    let any = |settings: &mut Settings| settings.unknown_number = UnknownNumber::AcceptAnyCode;
    simulator.change_settings(any).unwrap();
    assert_eq!(call(unknown, SPACE), ok("OK"));
    let id = simulator.number(unknown).unwrap().id;
    assert_eq!(id.as_deref(), Some("849301234567"));
}

#[test]
fn codes_expire_and_numbers_lock() {
    let simulator = simulator_with(|settings| settings.lock_after = Some(3));
    let past = Timestamp::now() - SignedDuration::from_secs(1);
    simulator.add_number(Number::new(PHONE, CODE, ID).code_expires_at(past));
    assert_eq!(verify(&simulator, CODE), ok("VerifyCode.Expired"));
    assert!(simulator.set_code(PHONE, CODE), "a new code has no expiry");
    for _ in 0..3 {
        assert_eq!(verify(&simulator, "000000"), ok("VerifyCode.Mismatch"));
    }
    assert_eq!(verify(&simulator, CODE), ok("VerifyCode.TooManyAttempts"));
    assert!(!simulator.number(PHONE).unwrap().verified);
    assert!(!simulator.set_code("nobody", CODE));
}

#[test]
fn the_four_actions_in_a_row() {
    let simulator = simulator();
    let phone = "8613900001234";
    let of = |action: &str| Rpc::new(action).with("PhoneNumber", phone);
    let begin = Rpc::new("CreateChatappMigrationInitiate")
        .without("PhoneNumber")
        .with("CountryCode", "86")
        .with("MobileNumber", "13900001234");
    let reply = begin.send(&simulator).json();
    assert_eq!(reply["Data"]["Status"], "MIGRATING");
    assert_eq!(last_entry(&simulator).phone.as_deref(), Some(phone));

    let number = Number {
        next_code: Some("012345".to_owned()),
        ..simulator.number(phone).unwrap()
    };
    simulator.add_number(number);
    let send_code = || {
        let call = of("GetMigrationVerifyCode").with("Locale", "zh_CN");
        call.with("Method", "sms").send(&simulator).code()
    };
    assert_eq!(send_code(), "OK");
    let number = simulator.number(phone).unwrap();
    assert_eq!(number.code.as_deref(), Some("012345"));
    let end = number.code_expires_at.unwrap();
    let life = end.duration_since(Timestamp::now());
    assert!((590..=600).contains(&life.as_secs()), "{life:?}");

    let register = || of("ChatappMigrationRegister").send(&simulator);
    assert_eq!(register().code(), "PhoneNumber.NotVerified");
    let verify = Rpc::verify("012345").with("PhoneNumber", phone);
    assert_eq!(verify.send(&simulator).code(), "OK");
    let reply = register().json();
    assert_eq!(reply["Code"], "OK");
    assert_eq!(reply.get("Data"), None);
    let migration = simulator.number(phone).unwrap().migration;
    assert_eq!(migration, Migration::Registered);
    assert_eq!(send_code(), "PhoneNumber.AlreadyVerified");
}
