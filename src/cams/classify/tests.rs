#![allow(clippy::unwrap_used, clippy::panic)]

use jiff::Timestamp;

use super::*;
use crate::cams::wire::{ReplyHeaders, parse_reply};

const NUMBER: &str = "8613800001234";

/// A gateway that ignores `Format` answers in XML; the same Codes have the same meaning.
#[test]
fn a_code_in_xml_means_what_it_means_in_json() {
    let codes = [
        "Throttling.User",
        "InvalidAction.NotFound",
        "SignatureDoesNotMatch",
        "InvalidTimeStamp.Expired",
        "ServiceUnavailable",
        "isv.VerifyCodeError",
        "InvalidParameter",
        "SignatureNonceUsed",
    ];
    for code in codes {
        let xml = format!(
            "<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>R-1</RequestId>\
             <HostId>cams.ap-southeast-1.aliyuncs.com</HostId><Code>{code}</Code>\
             <Message>a &lt;b&gt;</Message><Recommend/></Error>"
        );
        for status in STATUSES {
            let answer = classify(reply(*status, &xml), NUMBER);
            assert_eq!(answer.verdict, verdict(*status, code), "{code} {status}");
            assert_eq!(answer.request_id.as_deref(), Some("R-1"));
            assert_eq!(answer.message.as_deref(), Some("a <b>"));
        }
    }
}

/// Every HTTP status that each case is tried with.
const STATUSES: &[u16] = &[
    200, 201, 204, 302, 400, 401, 403, 404, 408, 409, 422, 429, 499, 500, 502, 503, 504,
];

fn reply(status: u16, body: &str) -> Sent {
    Ok(parse_reply(
        status,
        &ReplyHeaders::default(),
        body.as_bytes(),
    ))
}

fn with_code(status: u16, code: &str) -> Sent {
    let body = format!(r#"{{"RequestId":"R-1","Code":"{code}","Message":"m"}}"#);
    reply(status, &body)
}

fn verdict(status: u16, code: &str) -> Verdict {
    classify(with_code(status, code), NUMBER).verdict
}

fn refused(code: &str, kind: RefusalKind) -> Verdict {
    Verdict::Refused(Refusal {
        code: code.to_owned(),
        kind,
    })
}

/// Codes whose meaning no HTTP status changes.
fn listed() -> Vec<(&'static str, Verdict)> {
    let unknown = |cause| Verdict::Unknown(cause);
    let blocked = Verdict::Blocked;
    let (credentials, account, clock) = (
        blocked(BlockCause::Credentials),
        blocked(BlockCause::Account),
        blocked(BlockCause::Clock),
    );
    let throttled = Verdict::Throttled { after: None };
    vec![
        ("SignatureDoesNotMatch", credentials.clone()),
        ("IncompleteSignature", credentials.clone()),
        ("InvalidSignatureMethod", credentials.clone()),
        ("InvalidAccessKeyId", credentials.clone()),
        ("InvalidAccessKeyId.NotFound", credentials.clone()),
        ("InvalidAccessKeyId.Inactive", credentials.clone()),
        ("Forbidden.AccessKeyDisabled", credentials.clone()),
        ("MissingSecurityToken", credentials.clone()),
        ("InvalidSecurityToken.Malformed", credentials.clone()),
        (
            "InvalidSecurityToken.MismatchWithAccessKey",
            credentials.clone(),
        ),
        ("InvalidSecurityToken.Expired", credentials.clone()),
        ("signaturedoesnotmatch", credentials),
        ("InvalidTimeStamp.Expired", clock.clone()),
        ("InvalidTimeStamp.Format", clock.clone()),
        ("InvalidTimestamp.Expired", clock.clone()),
        ("IllegalTimestamp", clock.clone()),
        ("IllegalTimestamp.Any", clock),
        ("Product.Unsubscript", account.clone()),
        ("Ram.PermissionDeny", account.clone()),
        ("Forbidden", account.clone()),
        ("Forbidden.RAM", account.clone()),
        ("NoPermission", account.clone()),
        ("Forbidden.RiskControl", account.clone()),
        ("InvalidApi.NotFound", account.clone()),
        ("InvalidAction.NotFound", account.clone()),
        ("InvalidAction", account.clone()),
        ("MissingAction", account.clone()),
        ("NoSuchVersion", account.clone()),
        ("InvalidVersion", account.clone()),
        ("InvalidVersion.NotFound", account.clone()),
        ("MissingVersion", account.clone()),
        ("InvalidProduct.NotFound", account.clone()),
        ("InvalidRegionId.NotFound", account.clone()),
        ("InvalidRegion", account.clone()),
        ("RegionId.ApiNotSupported", account.clone()),
        ("Arrearage", account.clone()),
        ("InsufficientBalance", account.clone()),
        ("InvalidAccountStatus.NotEnoughBalance", account.clone()),
        ("Forbidden.SubUser", account.clone()),
        ("Forbidden.UserVerification", account.clone()),
        ("ActionUnauthorized", account.clone()),
        ("Forbidden.Unsubscribed", account.clone()),
        ("InvalidProtocol.NeedSsl", account.clone()),
        ("UnsupportedHTTPMethod", account),
        ("System.LimitControl", throttled.clone()),
        ("Throttling", throttled.clone()),
        ("Throttling.User", throttled.clone()),
        ("Throttling.Api", throttled.clone()),
        ("Throttling.Any.Deeper", throttled),
        ("SignatureNonceUsed", unknown(UnknownCause::NonceUsed)),
        ("InternalError", unknown(UnknownCause::ServerFailure)),
        ("UnknownError", unknown(UnknownCause::ServerFailure)),
        ("ServiceUnavailable", unknown(UnknownCause::ServerFailure)),
        // Neither the documented success nor a refusal.
        ("ok", unknown(UnknownCause::UnclearSuccess)),
        ("Success", unknown(UnknownCause::UnclearSuccess)),
        ("200", unknown(UnknownCause::UnclearSuccess)),
    ]
}

#[test]
fn a_listed_code_decides_whatever_the_status() {
    for (code, expected) in listed() {
        for status in STATUSES {
            assert_eq!(verdict(*status, code), expected, "{code} with {status}");
        }
    }
}

#[test]
fn a_refusal_of_the_request_is_the_resources_own() {
    use RefusalKind::{Code, Request};
    let cases = [
        ("Unknown.ResourceOwnerId", Request),
        ("Authentication.NoAuth", Request),
        ("MissingParameter", Request),
        ("MissingCustSpaceId", Request),
        ("MissingPhoneNumber", Request),
        ("InvalidParameter", Request),
        ("InvalidParameter.PhoneNumberError", Request),
        ("InvalidParameter.FromOnlyNumeric", Request),
        ("InvalidParameter.ToOnlyNumeric", Request),
        ("InvalidCountryCode", Request),
        ("InvalidParameter.CountryCode", Request),
        ("InvalidAccessKeyIdentity", Request),
        ("InvalidRegionalNumber", Request),
        ("InvalidActionParameter", Request),
        ("MissingVerifyCode", Code),
        ("InvalidVerifyCode", Code),
        ("InvalidVerifyCode.Expired", Code),
        ("InvalidParameter.VerifyCode", Code),
        ("InvalidVerificationCode", Code),
        ("InvalidParameter.verification_code", Code),
        ("InvalidCode", Code),
        ("InvalidCode.Used", Code),
        ("InvalidParameter.Code", Code),
    ];
    for (code, kind) in cases {
        for status in STATUSES.iter().filter(|status| **status != 429) {
            let expected = refused(code, kind);
            assert_eq!(verdict(*status, code), expected, "{code} with {status}");
        }
        let over_quota = Verdict::Throttled { after: None };
        assert_eq!(verdict(429, code), over_quota, "{code} with 429");
    }
}

#[test]
fn an_unlisted_code_is_a_refusal_only_with_200_or_4xx() {
    let codes = [
        "136025",
        "100",
        "VerifyCodeError",
        "CodeExpired",
        "AlreadyVerified",
        "isv.BUSINESS_LIMIT_CONTROL",
        "Forbidden.Other",
        "Ram.Other",
        "ThrottlingX",
        "OKAY",
        "Number.Locked",
    ];
    for code in codes {
        for status in STATUSES {
            let expected = match status {
                200 | 400 | 401 | 403 | 404 | 409 | 422 | 499 => refused(code, RefusalKind::Code),
                429 => Verdict::Throttled { after: None },
                _ => Verdict::Unknown(UnknownCause::ServerFailure),
            };
            assert_eq!(verdict(*status, code), expected, "{code} with {status}");
        }
    }
}

#[test]
fn a_code_that_names_a_failure_or_timeout_is_unknown_everywhere() {
    let codes = [
        "Request.Timeout",
        "GatewayTimeout",
        "TimedOut",
        "Internal.Failure",
        "InternalServerError",
        "isp.SYSTEM_ERROR",
        "SystemBusy",
        "Server.Error",
        "Backend.ServiceError",
        "DeadlineExceeded",
        "Meta.Unavailable",
        "Unexpected.State",
    ];
    for code in codes {
        for status in STATUSES {
            let expected = Verdict::Unknown(UnknownCause::ServerFailure);
            assert_eq!(verdict(*status, code), expected, "{code} with {status}");
        }
    }
}

#[test]
fn ok_is_success_with_http_200_alone() {
    for status in STATUSES {
        let expected = if *status == 200 {
            Verdict::Accepted(VerifiedNumber {
                id: None,
                phone_number: None,
            })
        } else {
            Verdict::Unknown(UnknownCause::UnclearSuccess)
        };
        assert_eq!(verdict(*status, "OK"), expected, "{status}");
    }
}

#[test]
fn malformed_replies_are_unknown_whatever_the_status() {
    let large = "x".repeat(70_000);
    let bodies = [
        "",
        "{}",
        "null",
        "<html><h1>502 Bad Gateway</h1></html>",
        "<Error><Code>Throttling</Code></Error>",
        r#"{"RequestId":"R-1","Code":"OK","Data":{"Id":"8282"#,
        r#"{"RequestId":"R-1","Message":"no code"}"#,
        r#"{"code":429,"message":"slow down"}"#,
        r#"{"message":"Throttling"}"#,
        &large,
    ];
    for body in bodies {
        for status in STATUSES {
            let answer = classify(reply(*status, body), NUMBER);
            let expected = Verdict::Unknown(UnknownCause::NotTheApi);
            assert_eq!(answer.verdict, expected, "{status}: {body:.60}");
            assert_eq!(answer.api_status, None);
            assert!(answer.message.unwrap().contains(&status.to_string()));
        }
    }
}

#[test]
fn another_spelling_of_the_number_is_accepted_and_told() {
    let ours = [
        "8613800001234",
        "+8613800001234",
        "86-138-0000-1234",
        "861380000****",
        "*************",
        "861*******234",
        "",
        "None",
        "无",
    ];
    let others = [
        "8613800001235",
        "861380000123",
        "86138000012345",
        "13800001234",
        "861390000****",
        "861380000***",
        "****",
        "８６１３８００００１２３４",
    ];
    let ask = |number: &str| {
        let body = format!(
            r#"{{"RequestId":"R-1","Code":"OK","Data":{{"PhoneNumber":"{number}","Id":"7"}}}}"#
        );
        classify(reply(200, &body), NUMBER).verdict
    };
    for number in ours {
        let Verdict::Accepted(VerifiedNumber { id, phone_number }) = ask(number) else {
            panic!("{number} is not accepted");
        };
        assert_eq!(id.as_deref(), Some("7"));
        if let Some(shown) = phone_number {
            assert!(
                !shown.is_other && shown.masked.ends_with("****"),
                "{shown:?}"
            );
        }
    }
    // The connection ties the reply to its request: a reply with another spelling of the number is
    // accepted with its Id, and the spelling is shown.
    for number in others {
        let Verdict::Accepted(VerifiedNumber { id, phone_number }) = ask(number) else {
            panic!("{number} is not accepted");
        };
        assert_eq!(id.as_deref(), Some("7"));
        assert!(phone_number.is_some_and(|shown| shown.is_other), "{number}");
    }
}

#[test]
fn a_success_keeps_its_id_and_shows_the_number_masked() {
    let body = r#"{"RequestId":"R-1","Code":"OK","Message":"SUCCESS",
        "Data":{"PhoneNumber":"8613800001234","Id":"82828893332"}}"#;
    let answer = classify(reply(200, body), NUMBER);
    let expected = Verdict::Accepted(VerifiedNumber {
        id: Some("82828893332".to_owned()),
        phone_number: Some(ShownNumber {
            masked: "861380000****".to_owned(),
            is_other: false,
        }),
    });
    assert_eq!(answer.verdict, expected);
    assert_eq!(answer.request_id.as_deref(), Some("R-1"));
    assert_eq!(answer.message.as_deref(), Some("SUCCESS"));
    assert_eq!(answer.api_status, Some(200));
}

#[test]
fn the_servers_pause_and_clock_come_along() {
    let headers = ReplyHeaders {
        date: Some("Sun, 22 Nov 2026 08:09:10 GMT"),
        retry_after: Some("2500"),
        content_type: None,
    };
    let body = br#"{"RequestId":"R-1","Code":"Throttling.User"}"#;
    let answer = classify(Ok(parse_reply(400, &headers, body)), NUMBER);
    let after = Some(Duration::from_millis(2500));
    assert_eq!(answer.verdict, Verdict::Throttled { after });
    let date: Timestamp = "2026-11-22T08:09:10Z".parse().unwrap();
    assert_eq!(answer.date, Some(date));
}

#[test]
fn a_call_without_a_reply_keeps_its_cause() {
    for cause in [
        NotSentCause::Dns,
        NotSentCause::Connect,
        NotSentCause::Tls,
        NotSentCause::Gate,
    ] {
        let error = SendError::NotSent(cause, "why".to_owned());
        let answer = classify(Err(error.clone()), NUMBER);
        assert_eq!(answer.verdict, Verdict::NotSent(cause));
        assert_eq!(answer.message.as_deref(), Some("why"));
        let failed = Verdict::NotSent(cause);
        assert_eq!(classify_status(Err(error), NUMBER).verdict, failed);
    }
    for cause in [
        UnknownCause::Timeout,
        UnknownCause::ConnectionLost,
        UnknownCause::ReplyTooLarge,
    ] {
        let error = SendError::Unknown(cause, "why".to_owned());
        let answer = classify(Err(error.clone()), NUMBER);
        assert_eq!(answer.verdict, Verdict::Unknown(cause));
        let failed = Verdict::Unknown(cause);
        assert_eq!(classify_status(Err(error), NUMBER).verdict, failed);
    }
}

fn read(status: u16, data: &str) -> StatusAnswer {
    let body = format!(r#"{{"RequestId":"R-1","Code":"OK","Data":{data}}}"#);
    classify_status(reply(status, &body), NUMBER)
}

#[test]
fn only_the_word_verified_means_verified() {
    let answer = read(
        200,
        r#"{"PhoneNumber":"861380000****","Id":"7","CodeVerificationStatus":"VERIFIED"}"#,
    );
    let verified = Verdict::Accepted(NumberStatus::Verified(VerifiedNumber {
        id: Some("7".to_owned()),
        phone_number: Some(ShownNumber {
            masked: "861380000****".to_owned(),
            is_other: false,
        }),
    }));
    assert_eq!(answer.verdict, verified);
    assert!(answer.ends_hold());

    let open_words = [
        "NOT_VERIFIED",
        "UNVERIFIED",
        "EXPIRED",
        "REJECTED",
        "REVOKED",
        "MORE_INFORMATION_REQUESTED",
        "verified",
        "VERIFIED ",
        "SOMETHING_NEW",
    ];
    for word in open_words {
        let data = format!(r#"{{"Id":"7","CodeVerificationStatus":"{word}"}}"#);
        let status = word.to_owned();
        assert_eq!(
            read(200, &data).verdict,
            Verdict::Accepted(NumberStatus::NotVerified { status })
        );
    }
}

#[test]
fn a_read_that_says_nothing_is_no_answer() {
    for data in [
        "null",
        "{}",
        r#"{"CodeVerificationStatus":""}"#,
        r#"{"Id":"7"}"#,
    ] {
        let verdict = read(200, data).verdict;
        assert_eq!(verdict, Verdict::Accepted(NumberStatus::Missing), "{data}");
    }
    let other = r#"{"PhoneNumber":"8613900001234","CodeVerificationStatus":"VERIFIED"}"#;
    let Verdict::Accepted(NumberStatus::Verified(number)) = read(200, other).verdict else {
        panic!("a read belongs to its request by its connection");
    };
    assert!(number.phone_number.is_some_and(|shown| shown.is_other));
    let unclear = r#"{"CodeVerificationStatus":"VERIFIED"}"#;
    let expected = Verdict::Unknown(UnknownCause::UnclearSuccess);
    assert_eq!(read(500, unclear).verdict, expected);
    // A refusal whose code contains the word by chance.
    let body = r#"{"RequestId":"R-1","Code":"Nope","Data":{"CodeVerificationStatus":"VERIFIED"}}"#;
    let refused = Refusal {
        code: "Nope".to_owned(),
        kind: RefusalKind::Code,
    };
    let verdict = classify_status(reply(200, body), NUMBER).verdict;
    assert_eq!(verdict, Verdict::Refused(refused));
}

#[test]
fn which_reads_end_a_hold() {
    let cases = [
        (200, "OK", true),
        (400, "Throttling.User", true),
        (400, "System.LimitControl", true),
        (403, "Forbidden.RAM", true),
        (400, "InvalidParameter", true),
        (400, "SignatureNonceUsed", true),
        (400, "InvalidTimeStamp.Expired", false),
        (400, "SignatureDoesNotMatch", false),
        (404, "InvalidAccessKeyId.NotFound", false),
        (500, "InternalError", false),
        (503, "ServiceUnavailable", false),
        (500, "OK", false),
    ];
    for (status, code, ends) in cases {
        let answer = classify_status(with_code(status, code), NUMBER);
        assert_eq!(answer.ends_hold(), ends, "{code} with {status}");
    }
    assert!(!classify_status(reply(200, "<html>"), NUMBER).ends_hold());
    let refused = SendError::NotSent(NotSentCause::Connect, String::new());
    assert!(!classify_status(Err(refused), NUMBER).ends_hold());
}
