//! The request, byte for byte, and the reply through the facade.

use jiff::{SignedDuration, Timestamp};
use phone_migration_operator::api::shown_number::ShownNumber;
use phone_migration_operator::cams::wire::percent_encode;
use phone_migration_operator::cams::{
    BlockCause, ClientOptions, NumberStatus, Refusal, RefusalKind, SignatureVersion, UnknownCause,
    Verdict, VerifiedNumber,
};
use phone_migration_operator::clock;

use crate::server::{Connection, OK, Script, Server, date, http};
use crate::{
    CODE, KEY_ID, KEY_SECRET, TOKEN, assert_nothing_leaks, cams, cams_with, open, signed, submit,
    target,
};

fn header<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    request
        .split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

async fn one_request(signature: SignatureVersion) -> (String, Connection) {
    let server = Server::start(vec![Script::Reply(http(200, &[], OK))]).await;
    let cams = cams_with(&server.url(), signature, ClientOptions::default());
    let call = cams.submit(signed(&cams), open).await;
    let accepted = Verdict::Accepted(VerifiedNumber {
        id: Some("82828893332".to_owned()),
        phone_number: Some(ShownNumber {
            masked: "861380000****".to_owned(),
            is_other: false,
        }),
    });
    assert_eq!(call.answer.verdict, accepted);
    assert_nothing_leaks(&call.answer);
    let connection = server.ended(1).await.remove(0);
    (server.address.to_string(), connection)
}

fn assert_common(request: &str, address: &str) {
    assert!(request.ends_with("\r\n\r\n"), "there is a body: {request}");
    assert_eq!(header(request, "host"), [address]);
    assert_eq!(header(request, "content-length"), ["0"]);
    assert_eq!(header(request, "accept"), ["application/json"]);
    let agent = concat!("phone-migration-operator/", env!("CARGO_PKG_VERSION"));
    assert_eq!(header(request, "user-agent"), [agent]);
    for absent in [
        "accept-encoding",
        "referer",
        "cookie",
        "transfer-encoding",
        "content-type",
    ] {
        assert!(header(request, absent).is_empty(), "{absent} in {request}");
    }
}

#[tokio::test]
async fn a_v1_request_on_the_wire() {
    let (address, connection) = one_request(SignatureVersion::V1).await;
    let request = connection.text();
    assert_common(&request, &address);
    let start = "POST /?Action=ChatappMigrationVerified&Format=JSON&Version=2020-06-06&Timestamp=";
    assert!(request.starts_with(start), "{request}");
    for part in [
        "&SignatureNonce=3ee8c1b883d344afa94f4e0ad82fd6cf&CustSpaceId=293483938849493",
        "&PhoneNumber=8613800001234&VerifyCode=828798&SignatureMethod=HMAC-SHA1",
        "&SignatureVersion=1.0&AccessKeyId=LTAIcanarykeyid",
        "&SecurityToken=CAIScanary%2Fto%2Bken%3D%3D&Signature=",
    ] {
        assert!(request.contains(part), "{part} not in {request}");
    }
}

#[tokio::test]
async fn a_v3_request_on_the_wire() {
    let (address, connection) = one_request(SignatureVersion::V3).await;
    let request = connection.text();
    assert_common(&request, &address);
    let line = "POST /?CustSpaceId=293483938849493&PhoneNumber=8613800001234&VerifyCode=828798 \
                HTTP/1.1\r\n";
    assert!(request.starts_with(line), "{request}");
    assert_eq!(
        header(&request, "x-acs-action"),
        ["ChatappMigrationVerified"]
    );
    assert_eq!(header(&request, "x-acs-accesskey-id"), [KEY_ID]);
    let authorization = header(&request, "authorization");
    let signed_names = "SignedHeaders=accept;host;x-acs-accesskey-id;x-acs-action;\
        x-acs-content-sha256;x-acs-date;x-acs-security-token;x-acs-signature-nonce;x-acs-version,";
    assert!(authorization[0].contains(signed_names), "{authorization:?}");
}

#[tokio::test]
async fn an_echo_of_the_request_is_scrubbed() {
    for signature in [SignatureVersion::V1, SignatureVersion::V3] {
        let server = Server::start(vec![Script::Echo]).await;
        let cams = cams_with(&server.url(), signature, ClientOptions::default());
        let call = cams.submit(signed(&cams), open).await;
        assert_eq!(
            call.answer.verdict,
            Verdict::Blocked(BlockCause::Credentials)
        );
        assert!(server.connections()[0].text().contains(CODE));
        let shown = format!("{:?}", call.answer).replace("127.0.0.1", "");
        for canary in [
            CODE,
            "8613800001234",
            KEY_ID,
            "canarykeysecret",
            "CAIScanary",
        ] {
            assert!(!shown.contains(canary), "{canary} in {shown}");
        }
    }
}

/// A message shows only the beginning of an echo, so each secret comes by itself here.
#[tokio::test]
async fn each_secret_of_a_request_is_scrubbed() {
    for signature in [SignatureVersion::V1, SignatureVersion::V3] {
        for secret in [CODE, KEY_ID, KEY_SECRET, TOKEN] {
            let encoded = percent_encode(secret);
            let body =
                format!(r#"{{"RequestId":"R-1","Code":"X.Y","Message":"<{secret}> <{encoded}>"}}"#);
            let server = Server::start(vec![Script::Reply(http(400, &[], &body))]).await;
            let cams = cams_with(&server.url(), signature, ClientOptions::default());
            let message = submit(&cams).await.answer.message;
            assert_eq!(message.as_deref(), Some("<***> <***>"));
        }
    }
}

#[tokio::test]
async fn a_code_repeated_in_the_error_code_is_scrubbed_and_still_a_refusal() {
    let body = format!(r#"{{"RequestId":"R-{CODE}","Code":"InvalidVerifyCode.{CODE}"}}"#);
    let server = Server::start(vec![Script::Reply(http(200, &[], &body))]).await;
    let call = submit(&cams(&server.url())).await;
    let refusal = Refusal {
        code: "InvalidVerifyCode.***".to_owned(),
        kind: RefusalKind::Code,
    };
    assert_eq!(call.answer.verdict, Verdict::Refused(refusal));
    assert_eq!(call.answer.code.as_deref(), Some("InvalidVerifyCode.***"));
    assert_eq!(call.answer.request_id.as_deref(), Some("R-***"));
}

#[tokio::test]
async fn a_status_read_goes_the_same_way() {
    let body = r#"{"RequestId":"R-1","Code":"OK","Data":{"PhoneNumber":"861380000****","Id":"7","CodeVerificationStatus":"VERIFIED"}}"#;
    let server = Server::start(vec![Script::Reply(http(200, &[], body))]).await;
    let cams = cams(&server.url());
    let request = cams.sign_status(target(), "00", Timestamp::now());
    let call = cams.read_status(request, open).await;
    assert!(matches!(
        call.answer.verdict,
        Verdict::Accepted(NumberStatus::Verified(_))
    ));
    assert!(call.answer.ends_hold());
    let request = server.ended(1).await.remove(0).text();
    assert!(request.contains("Action=GetPhoneNumberVerificationStatus"));
    assert!(!request.contains("VerifyCode"));
}

#[tokio::test]
async fn the_servers_clock_is_believed_from_two_replies_of_the_api_that_agree() {
    let hour_ahead = Timestamp::now() + SignedDuration::from_hours(1);
    let day_ahead = Timestamp::now() + SignedDuration::from_hours(24);
    let (hour, day) = (date(hour_ahead), date(day_ahead));
    let expired = r#"{"RequestId":"R-1","Code":"InvalidTimeStamp.Expired"}"#;
    let server = Server::start(vec![
        Script::Reply(http(502, &[("Date", &day)], "<html>")),
        Script::Reply(http(400, &[("Date", &hour)], expired)),
        Script::Reply(http(502, &[("Date", &day)], "<html>")),
        Script::Reply(http(400, &[("Date", &hour)], expired)),
    ])
    .await;
    let cams = cams(&server.url());
    assert_eq!(cams.clock_skew(clock::now()), None);

    let foreign = submit(&cams).await;
    assert_eq!(
        foreign.answer.verdict,
        Verdict::Unknown(UnknownCause::NotTheApi)
    );
    assert_eq!(cams.clock_skew(clock::now()), None);

    let call = submit(&cams).await;
    assert_eq!(call.answer.verdict, Verdict::Blocked(BlockCause::Clock));
    // One reply an hour off is one node's clock, and proves nothing.
    assert_eq!(
        (call.answer.date, cams.clock_skew(clock::now())),
        (None, None)
    );
    assert!(cams.clock_is_in_doubt());
    submit(&cams).await;
    assert_eq!(cams.clock_skew(clock::now()), None);

    let call = submit(&cams).await;
    assert!(call.answer.date.is_some() && !cams.clock_is_in_doubt());
    let skew = cams.clock_skew(clock::now()).unwrap();
    assert!((3590..=3601).contains(&skew.as_secs()), "{skew}");
}
