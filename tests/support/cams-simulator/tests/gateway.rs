//! The checks of the gateway: each refusal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cams_simulator::{AccessKey, AccountSettings, Decision, KeyState, Refusal, Simulator};
use common::{CODE, KEY, Rpc, SECRET, Wire, exchange, last_entry, simulator};

const MISMATCH: &str = "InvalidSecurityToken.MismatchWithAccessKey";
const NO_TIME: &str = "InvalidTimeStamp.Format";
const UNKNOWN_KEY: &str = "InvalidAccessKeyId.NotFound";

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
    assert_eq!(entry.executed_us, None);
    assert_eq!(entry.reply_code.as_deref(), Some(code));
}

#[test]
fn each_parameter_is_checked() {
    let simulator = simulator();
    let call = || Rpc::verify(CODE);
    for (name, value, code) in [
        ("AccessKeyId", None, "MissingAccessKeyId"),
        ("AccessKeyId", Some("nobody"), UNKNOWN_KEY),
        ("SecurityToken", Some("x"), MISMATCH),
        (
            "SignatureMethod",
            Some("HMAC-MD5"),
            "InvalidSignatureMethod",
        ),
        ("SignatureVersion", Some("2.0"), "InvalidSignatureVersion"),
        ("Timestamp", None, "IllegalTimestamp"),
        ("Timestamp", Some("2026-11-22 08:09:10"), NO_TIME),
        ("Timestamp", Some("2026-11-22T08:09:10.5Z"), NO_TIME),
        ("SignatureNonce", None, "MissingSignatureNonce"),
        ("Version", None, "MissingVersion"),
        ("Version", Some("2014-05-26"), "InvalidVersion"),
        ("Action", None, "MissingAction"),
        ("Action", Some("DescribeRegions"), "InvalidApi.NotFound"),
        ("CustSpaceId", None, "MissingCustSpaceId"),
        ("PhoneNumber", Some(""), "MissingPhoneNumber"),
        ("VerifyCode", None, "MissingVerifyCode"),
    ] {
        let call = match value {
            Some(value) => call().with(name, value),
            None => call().without(name),
        };
        let status = if code.ends_with("NotFound") { 404 } else { 400 };
        refused(&simulator, &call.send(&simulator), status, code);
    }
    let forged = call().secret("wrong").send(&simulator);
    refused(&simulator, &forged, 400, "SignatureDoesNotMatch");
    let unsigned = exchange(simulator.address(), &call().bytes_signed(""));
    refused(&simulator, &unsigned, 400, "IncompleteSignature");
    for (from, to, status, code) in [
        ("POST", "PUT", 400, "UnsupportedHTTPMethod"),
        ("/?", "/v1?", 404, "InvalidApi.NotFound"),
        ("Action", "x=%FF&Action", 400, "InvalidParameter"),
    ] {
        let bytes = String::from_utf8(call().bytes()).unwrap();
        let wire = exchange(simulator.address(), bytes.replacen(from, to, 1).as_bytes());
        assert_eq!(wire.status(), status, "{}", wire.text());
        assert!(wire.text().contains(code), "{}", wire.text());
    }
    assert_eq!(simulator.summary().total.executed, 0);
    assert_eq!(call().send(&simulator).code(), "OK");
}

#[test]
fn keys_have_states() {
    let simulator = simulator();
    let refused = |call: Rpc, status, code| {
        refused(&simulator, &call.send(&simulator), status, code);
    };
    for (state, status, code) in [
        (KeyState::Inactive, 400, "InvalidAccessKeyId.Inactive"),
        (KeyState::Disabled, 403, "Forbidden.AccessKeyDisabled"),
        (KeyState::TokenExpired, 400, "InvalidSecurityToken.Expired"),
    ] {
        assert!(simulator.set_key_state(KEY, state));
        refused(Rpc::read(), status, code);
    }
    simulator.add_key(AccessKey::new(KEY, SECRET).with_token("token"));
    let with = |token: &str| Rpc::read().with("SecurityToken", token);
    refused(Rpc::read(), 400, "MissingSecurityToken");
    refused(with(""), 400, "InvalidSecurityToken.Malformed");
    assert_eq!(with("token").send(&simulator).code(), "OK");
    assert!(simulator.remove_key(KEY));
    refused(Rpc::read(), 404, UNKNOWN_KEY);
}

#[test]
fn the_echo_is_the_whole_string_to_sign() {
    let simulator = simulator();
    let call = Rpc::verify(CODE).secret("wrong");
    let wire = call.send(&simulator);
    let text = cams_simulator::sign::rpc_string_to_sign("POST", &call.params);
    let start =
        "Specified signature is not matched with our calculation. server string to sign is:";
    let message = wire.json()["Message"].as_str().unwrap().to_owned();
    assert_eq!(message, format!("{start}{text}"));
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
    let wire = exchange(simulator.address(), &other.bytes_signed(&signature));
    assert_eq!(wire.code(), "SignatureDoesNotMatch");
    let mut form = Rpc::verify(CODE);
    form.in_body = true;
    assert_eq!(form.send(&simulator).code(), "OK");
    assert_eq!(last_entry(&simulator).code.as_deref(), Some(CODE));
}

#[test]
fn without_a_format_the_answer_is_xml() {
    let simulator = simulator();
    let call = || Rpc::read().without("Format");
    let wire = call().send(&simulator);
    assert!(wire.header("content-type").unwrap().starts_with("text/xml"));
    let refused = call().secret("<&>").send(&simulator);
    for (text, part) in [
        (wire.text(), "<GetPhoneNumberVerificationStatusResponse>"),
        (wire.text(), ">NOT_VERIFIED</CodeVerificationStatus>"),
        (refused.text(), "<Error>"),
        (refused.text(), "POST&amp;%2F"),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn account_errors() {
    let simulator = simulator();
    let none = AccountSettings::default;
    let denied = |action: &str, refusal| AccountSettings {
        denied: [(action.to_owned(), refusal)].into(),
        ..none()
    };
    let unsubscribed = AccountSettings {
        unsubscribed: true,
        ..none()
    };
    let risky = AccountSettings {
        risk_control: true,
        ..none()
    };
    let all = denied("*", AccountSettings::ram_denial());
    let forbidden = Refusal::new(403, "Forbidden.RAM", "no");
    let reads = denied(cams_simulator::READ_STATUS, forbidden);
    for (account, status, code) in [
        (unsubscribed, 400, "Product.Unsubscript"),
        (risky, 403, "Forbidden.RiskControl"),
        (all, 400, "Ram.PermissionDeny"),
        (reads, 403, "Forbidden.RAM"),
    ] {
        simulator
            .change_settings(|settings| drop(settings.accounts.insert(KEY.to_owned(), account)))
            .unwrap();
        let wire = Rpc::read().send(&simulator);
        refused(&simulator, &wire, status, code);
        let detail = &wire.json()["AccessDeniedDetail"]["AuthAction"];
        let of_ram = code.contains("Ram") || code.contains("RAM");
        assert_eq!(detail.is_string(), of_ram, "{code}");
    }
    let another = Rpc::verify(CODE).send(&simulator);
    assert_eq!(another.code(), "OK", "only the read was denied");
}
