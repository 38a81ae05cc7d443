//! The checks of the gateway: each refusal, and the order and memory that are settings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use cams_simulator::{
    AccessKey, AccountSettings, Check, Decision, KeyState, NonceScope, Quota, Refusal, Simulator,
};
use common::{CODE, KEY, Rpc, SECRET, Wire, exchange, last_entry, simulator, simulator_with};
use jiff::{SignedDuration, Timestamp};

fn stamp(seconds: i64) -> String {
    let at = Timestamp::now() + SignedDuration::from_secs(seconds);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

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
fn parameters_of_the_protocol() {
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
    for (state, status, code) in [
        (KeyState::Inactive, 400, "InvalidAccessKeyId.Inactive"),
        (KeyState::Disabled, 403, "Forbidden.AccessKeyDisabled"),
        (KeyState::TokenExpired, 400, "InvalidSecurityToken.Expired"),
    ] {
        assert!(simulator.set_key_state(KEY, state));
        refused(&simulator, &Rpc::read().send(&simulator), status, code);
    }
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
    assert!(simulator.remove_key(KEY));
    refused(
        &simulator,
        &Rpc::read().send(&simulator),
        404,
        "InvalidAccessKeyId.NotFound",
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
fn the_timestamp_window_has_two_sides() {
    let simulator = simulator_with(|settings| {
        settings.timestamp_past_ms = Some(100_000);
        settings.timestamp_future_ms = Some(50_000);
        settings.quota = Quota::unlimited();
    });
    let at = |seconds| {
        Rpc::read()
            .with("Timestamp", &stamp(seconds))
            .send(&simulator)
            .code()
    };
    for (seconds, code) in [
        (-110, "InvalidTimeStamp.Expired"),
        (-90, "OK"),
        (40, "OK"),
        (60, "InvalidTimeStamp.Expired"),
    ] {
        assert_eq!(at(seconds), code, "{seconds} s");
    }
    simulator.set_clock_offset(-3_600_000);
    assert_eq!(at(0), "InvalidTimeStamp.Expired");
    assert_eq!(at(-3600), "OK");
    simulator
        .change_settings(|settings| {
            settings.timestamp_past_ms = None;
            settings.timestamp_future_ms = None;
        })
        .unwrap();
    assert_eq!((at(-1_000_000), at(1_000_000)), ("OK".into(), "OK".into()));
}

#[test]
fn a_nonce_works_once_in_its_scope() {
    for (scope, same_account, other_account) in [
        (NonceScope::Key, "OK", "OK"),
        (NonceScope::Account, "SignatureNonceUsed", "OK"),
        (
            NonceScope::Global,
            "SignatureNonceUsed",
            "SignatureNonceUsed",
        ),
    ] {
        let simulator = simulator_with(|settings| settings.nonce_scope = scope);
        simulator.add_key(AccessKey::new("second", "s2").in_account(KEY));
        simulator.add_key(AccessKey::new("foreign", "s3"));
        let call = Rpc::read();
        let with = |key: &str, secret: &str| {
            let call = call.clone().with("AccessKeyId", key).secret(secret);
            call.send(&simulator).code()
        };
        assert_eq!(with(KEY, SECRET), "OK");
        refused(
            &simulator,
            &call.send(&simulator),
            400,
            "SignatureNonceUsed",
        );
        assert_eq!(with("second", "s2"), same_account, "{scope:?}");
        assert_eq!(with("foreign", "s3"), other_account, "{scope:?}");
    }
}

#[test]
fn a_nonce_is_forgotten_after_its_retention() {
    let simulator = simulator_with(|settings| {
        settings.nonce_retention_ms = 300;
        settings.quota = Quota::unlimited();
    });
    let call = Rpc::read();
    assert_eq!(call.send(&simulator).code(), "OK");
    common::wait_for(|| (call.send(&simulator).code() == "OK").then_some(()));
    let ledger = simulator.ledger();
    let apart = ledger.last().unwrap().arrived_us - ledger.first().unwrap().arrived_us;
    assert!(apart >= 300_000, "{apart}");
    assert!(ledger.len() > 2, "refused in between");
}

/// Two copies at the same time: one is executed.
#[test]
fn copies_that_come_together_are_executed_once() {
    let simulator = simulator_with(|settings| settings.quota = Quota::unlimited());
    let (address, bytes) = (simulator.address(), Rpc::verify(CODE).bytes());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let bytes = bytes.clone();
            std::thread::spawn(move || exchange(address, &bytes).code())
        })
        .collect();
    let mut codes: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    codes.sort();
    assert_eq!(codes[0], "OK");
    assert!(
        codes[1..].iter().all(|code| code == "SignatureNonceUsed"),
        "{codes:?}"
    );
    assert_eq!(simulator.summary().max_executed_per_code, 1);
}

#[test]
fn the_order_of_checks_decides_what_a_throttled_call_leaves_behind() {
    let nonce_later = [
        Check::AccessKey,
        Check::Signature,
        Check::Timestamp,
        Check::Api,
        Check::Quota,
        Check::Permission,
        Check::Nonce,
    ];
    for (checks, again) in [
        (Check::DEFAULT_ORDER.to_vec(), "SignatureNonceUsed"),
        (nonce_later.to_vec(), "OK"),
    ] {
        let simulator = simulator_with(|settings| {
            settings.checks = checks.clone();
            settings.quota = Quota {
                window_ms: 60_000,
                ..Quota::rolling(1)
            };
        });
        assert_eq!(Rpc::read().send(&simulator).code(), "OK");
        let call = Rpc::read();
        assert_eq!(call.send(&simulator).code(), "Throttling.User");
        simulator.set_quota(None, Quota::unlimited());
        assert_eq!(call.send(&simulator).code(), again, "{checks:?}");
    }
    let without_account = [Check::Signature, Check::AccessKey];
    let twice = [Check::AccessKey, Check::Api, Check::Api];
    for bad in [&without_account[..], &twice[..], &[]] {
        let simulator = simulator();
        let change = |settings: &mut cams_simulator::Settings| settings.checks = bad.to_vec();
        assert!(simulator.change_settings(change).is_err(), "{bad:?}");
        assert_eq!(simulator.settings().checks, Check::DEFAULT_ORDER);
    }
}

#[test]
fn account_errors() {
    let simulator = simulator();
    let forbidden = Refusal::new(403, "Forbidden.RAM", "no");
    let denied = |action: &str, refusal| [(action.to_owned(), refusal)].into();
    for (account, status, code) in [
        (
            AccountSettings {
                unsubscribed: true,
                ..Default::default()
            },
            400,
            "Product.Unsubscript",
        ),
        (
            AccountSettings {
                risk_control: true,
                ..Default::default()
            },
            403,
            "Forbidden.RiskControl",
        ),
        (
            AccountSettings {
                denied: denied("*", AccountSettings::ram_denial()),
                ..Default::default()
            },
            400,
            "Ram.PermissionDeny",
        ),
        (
            AccountSettings {
                denied: denied(cams_simulator::READ_STATUS, forbidden),
                ..Default::default()
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
