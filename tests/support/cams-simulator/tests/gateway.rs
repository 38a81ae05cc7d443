//! The checks of the gateway: each refusal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cams_simulator::{AccessKey, AccountSettings, Decision, KeyState, Refusal, Simulator};
use common::{CODE, KEY, Rpc, SECRET, Wire, exchange, last_entry, simulator};

#[track_caller]
fn refused(simulator: &Simulator, wire: &Wire, status: u16, code: &str) {
    assert_eq!(wire.outcome(), (status, code.to_owned()));
    let reply = wire.json();
    let entry = last_entry(simulator);
    assert_eq!(reply["RequestId"], entry.request_id);
    assert_eq!(reply["HostId"], "cams.test");
    assert!(reply["Recommend"].as_str().unwrap().contains(code));
    assert!(!reply["Message"].as_str().unwrap().is_empty());
    assert_eq!(entry.decision, Decision::Rejected);
    assert_eq!(
        (entry.executed_us, entry.reply_code.as_deref()),
        (None, Some(code))
    );
}

#[test]
fn keys_signatures_and_times() {
    let simulator = simulator();
    let call = || Rpc::verify(CODE);
    for (call, status, code) in [
        (call().without("AccessKeyId"), 400, "MissingAccessKeyId"),
        (
            call().with("AccessKeyId", "nobody"),
            404,
            "InvalidAccessKeyId.NotFound",
        ),
        (
            call().with("SecurityToken", "x"),
            400,
            "InvalidSecurityToken.MismatchWithAccessKey",
        ),
        (
            call().with("SignatureMethod", "HMAC-MD5"),
            400,
            "InvalidSignatureMethod",
        ),
        (
            call().with("SignatureVersion", "2.0"),
            400,
            "InvalidSignatureVersion",
        ),
        (call().secret("wrong"), 400, "SignatureDoesNotMatch"),
        (call().without("Timestamp"), 400, "IllegalTimestamp"),
        (
            call().with("Timestamp", "2026-11-22 08:09:10"),
            400,
            "InvalidTimeStamp.Format",
        ),
        (
            call().with("Timestamp", "2026-11-22T08:09:10.5Z"),
            400,
            "InvalidTimeStamp.Format",
        ),
    ] {
        refused(&simulator, &call.send(&simulator), status, code);
    }
    assert_eq!(simulator.summary().total.executed, 0);
    assert_eq!(call().send(&simulator).code(), "OK");
}

#[test]
fn parameters_of_the_api() {
    let simulator = simulator();
    let call = || Rpc::verify(CODE);
    for (call, status, code) in [
        (
            call().without("SignatureNonce"),
            400,
            "MissingSignatureNonce",
        ),
        (call().without("Version"), 400, "MissingVersion"),
        (call().with("Version", "2014-05-26"), 400, "InvalidVersion"),
        (call().without("Action"), 400, "MissingAction"),
        (
            call().with("Action", "DescribeRegions"),
            404,
            "InvalidApi.NotFound",
        ),
        (call().without("CustSpaceId"), 400, "MissingCustSpaceId"),
        (call().with("PhoneNumber", ""), 400, "MissingPhoneNumber"),
        (call().without("VerifyCode"), 400, "MissingVerifyCode"),
    ] {
        refused(&simulator, &call.send(&simulator), status, code);
    }
    let unsigned = call().bytes_signed("", "Connection: close\r\n");
    refused(
        &simulator,
        &exchange(simulator.address(), &unsigned),
        400,
        "IncompleteSignature",
    );
    let bytes = String::from_utf8(call().bytes()).unwrap();
    for (bytes, status, code) in [
        (
            bytes.replacen("POST", "PUT", 1),
            400,
            "UnsupportedHTTPMethod",
        ),
        (bytes.replacen("/?", "/v1?", 1), 404, "InvalidApi.NotFound"),
        (
            bytes.replacen("Action", "x=%FF&Action", 1),
            400,
            "InvalidParameter",
        ),
    ] {
        let wire = exchange(simulator.address(), bytes.as_bytes());
        assert_eq!(wire.status(), status, "{}", wire.text());
        assert!(wire.text().contains(code), "{}", wire.text());
    }
    assert_eq!(simulator.summary().total.executed, 0);
    assert_eq!(call().send(&simulator).code(), "OK");
}

#[test]
fn keys_have_states() {
    let simulator = simulator();
    assert!(simulator.set_key_state(KEY, KeyState::Disabled));
    refused(
        &simulator,
        &Rpc::read().send(&simulator),
        403,
        "Forbidden.AccessKeyDisabled",
    );
    simulator.add_key(AccessKey::new(KEY, SECRET).with_token("token"));
    refused(
        &simulator,
        &Rpc::read().send(&simulator),
        400,
        "MissingSecurityToken",
    );
    let empty = Rpc::read().with("SecurityToken", "");
    refused(
        &simulator,
        &empty.send(&simulator),
        400,
        "InvalidSecurityToken.Malformed",
    );
    assert_eq!(
        Rpc::read()
            .with("SecurityToken", "token")
            .send(&simulator)
            .code(),
        "OK"
    );
}

#[test]
fn the_echo_is_the_whole_string_to_sign() {
    let simulator = simulator();
    let call = Rpc::verify(CODE).secret("wrong");
    let wire = call.send(&simulator);
    refused(&simulator, &wire, 400, "SignatureDoesNotMatch");
    let text = cams_simulator::sign::rpc_string_to_sign("POST", &call.params);
    let message = wire.json()["Message"].as_str().unwrap().to_owned();
    assert_eq!(
        message,
        format!(
            "Specified signature is not matched with our calculation. server string to sign is:{text}"
        )
    );
    assert!(message.contains(&format!("VerifyCode%3D{CODE}")));
}

#[test]
fn the_method_is_signed_and_a_form_body_counts() {
    let simulator = simulator();
    let mut call = Rpc::read();
    call.method = "GET";
    assert_eq!(call.send(&simulator).code(), "OK");
    let mut other = Rpc::read();
    let signature = other.signature();
    other.method = "GET";
    let wire = exchange(
        simulator.address(),
        &other.bytes_signed(&signature, "Connection: close\r\n"),
    );
    assert_eq!(wire.code(), "SignatureDoesNotMatch");
    let mut form = Rpc::verify(CODE);
    form.in_body = true;
    assert_eq!(form.send(&simulator).code(), "OK");
    assert_eq!(last_entry(&simulator).code.as_deref(), Some(CODE));
}

#[test]
fn without_a_format_the_answer_is_xml() {
    let simulator = simulator();
    let wire = Rpc::read().without("Format").send(&simulator);
    assert!(wire.header("content-type").unwrap().starts_with("text/xml"));
    let text = wire.text();
    assert!(
        text.contains("<GetPhoneNumberVerificationStatusResponse>"),
        "{text}"
    );
    assert!(text.contains("<CodeVerificationStatus>NOT_VERIFIED</CodeVerificationStatus>"));
    let text = Rpc::read()
        .without("Format")
        .secret("<&>")
        .send(&simulator)
        .text();
    assert!(
        text.contains("<Error>") && text.contains("POST&amp;%2F"),
        "{text}"
    );
}

#[test]
fn account_errors() {
    let simulator = simulator();
    let forbidden = Refusal::new(403, "Forbidden.RAM", "no");
    let denied = |action: &str, refusal| [(action.to_owned(), refusal)].into();
    for (account, status, code) in [
        (
            AccountSettings {
                denied: denied("*", AccountSettings::ram_denial()),
            },
            400,
            "Ram.PermissionDeny",
        ),
        (
            AccountSettings {
                denied: denied(cams_simulator::READ_STATUS, forbidden),
            },
            403,
            "Forbidden.RAM",
        ),
    ] {
        simulator
            .change_settings(|settings| drop(settings.accounts.insert(KEY.to_owned(), account)))
            .unwrap();
        let wire = Rpc::read().send(&simulator);
        refused(&simulator, &wire, status, code);
        let detail = &wire.json()["AccessDeniedDetail"]["AuthAction"];
        assert_eq!(
            detail.is_string(),
            code.contains("Ram") || code.contains("RAM")
        );
    }
    assert_eq!(
        Rpc::verify(CODE).send(&simulator).code(),
        "OK",
        "only the read was denied"
    );
}
