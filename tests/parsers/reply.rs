//! The reply of CAMS: any bytes, and JSON that is almost one.

use phone_migration_operator::api::bounds::MAX_IDENTIFIER;
use phone_migration_operator::cams::classify::{
    BlockCause, NumberStatus, Verdict, VerifiedNumber, classify, classify_status,
};
use phone_migration_operator::cams::wire::{
    ApiBody, MAX_BODY, Reply, ReplyHeaders, parse_body, parse_reply,
};
use proptest::prelude::*;
use serde_json::Value;

use super::json::{a_json, an_object, damaged, quoted};
use super::{any_bytes, any_text, cases};

const NUMBER: &str = "8613800001234";
const NAMES: &[&str] = &[
    "Code",
    "code",
    "RequestId",
    "requestId",
    "Message",
    "message",
    "Data",
    "data",
    "Id",
    "id",
    "PhoneNumber",
    "phoneNumber",
    "CodeVerificationStatus",
    "codeVerificationStatus",
];

/// Bodies close to the API's shape.
fn a_body() -> impl Strategy<Value = String> {
    an_object(NAMES, a_json(NAMES))
}

fn a_status() -> impl Strategy<Value = u16> {
    prop_oneof![4 => Just(200), 1 => prop::sample::select(vec![400, 403, 429, 500, 503]), 1 => any::<u16>()]
}

fn reply(status: u16, body: &[u8]) -> Reply {
    parse_reply(status, &ReplyHeaders::default(), body)
}

/// The bounds of every body that the parser accepts as the API's.
fn assert_bounds(body: &ApiBody) {
    let made_of = |text: &str, max: usize, extra: &str| {
        (1..=max).contains(&text.len())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    assert!(
        made_of(&body.code, MAX_IDENTIFIER, "._:-"),
        "{:?}",
        body.code
    );
    assert!(
        body.request_id
            .as_ref()
            .is_none_or(|id| made_of(id, 64, "-"))
    );
    let graphic = |id: &String| {
        (1..=MAX_IDENTIFIER).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
    };
    assert!(body.id.as_ref().is_none_or(graphic), "{:?}", body.id);
}

/// The values of a member of the top level, in order, read without the parser under test.
fn members(body: &[u8], names: [&str; 2]) -> Vec<Value> {
    struct Members(Vec<(String, Value)>);
    impl<'de> serde::Deserialize<'de> for Members {
        fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
            struct All;
            impl<'de> serde::de::Visitor<'de> for All {
                type Value = Members;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Members, A::Error> {
                    let mut all = Vec::new();
                    while let Some(member) = map.next_entry()? {
                        all.push(member);
                    }
                    Ok(Members(all))
                }
            }
            json.deserialize_map(All)
        }
    }
    let text = String::from_utf8_lossy(body);
    let all = serde_json::from_str::<Members>(text.trim_start_matches('\u{feff}'));
    let all = all.map_or_else(|_| Vec::new(), |members| members.0);
    let named = all
        .into_iter()
        .filter(|(name, _)| names.contains(&name.as_str()));
    named.map(|(_, value)| value).collect()
}

/// A success counts only if nothing in the body contradicts it.
fn assert_success_is_unambiguous(status: u16, body: &[u8]) {
    let codes = members(body, ["Code", "code"]);
    assert_eq!(status, 200);
    assert!(
        !codes.is_empty() && codes.iter().all(|code| code == "OK"),
        "{codes:?}"
    );
}

fn judge(status: u16, body: &[u8]) {
    if let Some(api) = &reply(status, body).api {
        assert_bounds(api);
    }
    let submitted = classify(Ok(reply(status, body)), NUMBER).verdict;
    if let Verdict::Accepted(VerifiedNumber { id, phone_number }) = &submitted {
        assert_success_is_unambiguous(status, body);
        assert!(id.as_ref().is_none_or(|id| id.len() <= MAX_IDENTIFIER));
        // Masked: nothing is shown of a foreign number either.
        let shown = phone_number.as_ref().map_or("****", |shown| &*shown.masked);
        assert!(shown.ends_with(&"*".repeat(shown.len().min(4))), "{shown}");
    }
    let read = classify_status(Ok(reply(status, body)), NUMBER);
    if let Verdict::Accepted(NumberStatus::Verified(_)) = read.verdict {
        assert_success_is_unambiguous(status, body);
        let data = members(body, ["Data", "data"]).pop().unwrap();
        let word = ["CodeVerificationStatus", "codeVerificationStatus"];
        assert!(word.iter().any(|name| data[name] == "VERIFIED"), "{data}");
    }
    let blocked = matches!(
        read.verdict,
        Verdict::Blocked(BlockCause::Credentials | BlockCause::Clock)
    );
    assert!(!(read.ends_hold() && blocked));
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn any_bytes_are_read_without_a_panic(status in any::<u16>(), body in any_bytes()) {
        judge(status, &body);
    }

    #[test]
    fn any_json_close_to_the_apis_is_read_without_a_panic(status in a_status(), body in a_body()) {
        judge(status, body.as_bytes());
    }

    #[test]
    fn damaged_json_is_read_without_a_panic(status in a_status(), body in damaged(a_body())) {
        judge(status, &body);
    }

    /// XML is never a success, and never gives a text beyond the bounds.
    #[test]
    fn xml_close_to_the_apis_is_read_without_a_panic(
        status in a_status(), code in "[A-Za-z.]{0,12}|OK", noise in "[<>/&;#xA-Ea-e0-9 ]{0,40}",
        at in 0usize..120,
    ) {
        let mut body = format!(
            "<Error><RequestId>R-1</RequestId><Code>{code}</Code><Message>m</Message></Error>"
        );
        judge(status, body.as_bytes());
        let mut at = at.min(body.len());
        while !body.is_char_boundary(at) {
            at -= 1;
        }
        body.insert_str(at, &noise);
        judge(status, body.as_bytes());
        let verdict = classify(Ok(reply(status, body.as_bytes())), NUMBER).verdict;
        let accepted = matches!(verdict, Verdict::Accepted(_));
        prop_assert!(!accepted, "{body}");
    }

    #[test]
    fn any_headers_are_read_without_a_panic(
        date in any_text(), after in any_text(), kind in any_text(),
    ) {
        let headers = ReplyHeaders {
            date: Some(&date),
            retry_after: Some(&after),
            content_type: Some(&kind),
        };
        let reply = parse_reply(200, &headers, br#"{"Code":"OK","RequestId":"R-1"}"#);
        let kind = kind.to_ascii_lowercase();
        let markup = kind.contains("html") || kind.contains("xml");
        prop_assert!(!(markup && reply.api.is_some()));
    }

    /// The message is free text, and nothing else of the reply depends on it.
    #[test]
    fn any_message_leaves_the_verdict_alone(message in any::<String>(), code in "[A-Za-z.]{1,20}") {
        let with = format!(r#"{{"Code":"{code}","Message":{},"RequestId":"R-1"}}"#, quoted(&message));
        let without = format!(r#"{{"Code":"{code}","RequestId":"R-1"}}"#);
        prop_assume!(with.len() <= MAX_BODY);
        let verdict = |body: &str| classify(Ok(reply(200, body.as_bytes())), NUMBER).verdict;
        prop_assert_eq!(verdict(&with), verdict(&without));
        prop_assert_eq!(parse_body(with.as_bytes()).unwrap().message, Some(message));
    }

    /// An Id that lost digits on the way would be a wrong one.
    #[test]
    fn an_id_is_the_one_that_was_sent_or_none(id in "-?[0-9]{1,80}", float in any::<f64>()) {
        let body = |id: &str| format!(r#"{{"Code":"OK","RequestId":"R","Data":{{"Id":{id}}}}}"#);
        let read = |id: &str| parse_body(body(id).as_bytes()).and_then(|body| body.id);
        if let Some(read) = read(&id) {
            prop_assert_eq!(read, id);
        }
        prop_assert_eq!(read(&format!("{float:e}")), None);
    }
}

#[test]
fn depth_and_size_end_in_no_answer() {
    for depth in [10, 127, 128, 129, 10_000, 30_000] {
        for (open, close) in [("[", "]"), (r#"{"Data":"#, "}")] {
            let inner = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let body = format!(r#"{{"Code":"OK","RequestId":"R","Data":{inner}}}"#);
            judge(200, body.as_bytes());
            assert_eq!(
                parse_body(body.as_bytes()).is_some(),
                depth < 127,
                "{depth}"
            );
        }
    }
    let filled = |length: usize| {
        let frame = r#"{"Code":"OK","RequestId":"R","Message":""}"#.len();
        let text = "m".repeat(length - frame);
        format!(r#"{{"Code":"OK","RequestId":"R","Message":"{text}"}}"#)
    };
    assert!(parse_body(filled(MAX_BODY).as_bytes()).is_some());
    assert!(parse_body(filled(MAX_BODY + 1).as_bytes()).is_none());
}

/// All ways to give a member twice with two values: a body that contradicts itself decides nothing.
#[test]
fn a_member_given_twice_with_two_values_is_not_the_api() {
    for (a, b) in [
        ("Code", "Code"),
        ("code", "code"),
        ("Code", "code"),
        ("code", "Code"),
    ] {
        for (first, second) in [("OK", "isv.Wrong"), ("isv.Wrong", "OK")] {
            let body = format!(r#"{{"{a}":"{first}","RequestId":"R","{b}":"{second}"}}"#);
            assert!(parse_body(body.as_bytes()).is_none(), "{body}");
        }
        let body = format!(r#"{{"{a}":"OK","RequestId":"R","{b}":"OK"}}"#);
        assert!(parse_body(body.as_bytes()).is_some(), "{body}");
    }
    for data in [
        r#""Data":{"Id":"1","Id":"2"}"#,
        r#""Data":{"Id":"1"},"Data":{"Id":"2"}"#,
        r#""Data":{"CodeVerificationStatus":"VERIFIED","CodeVerificationStatus":"NOT"}"#,
    ] {
        let body = format!(r#"{{"Code":"OK","RequestId":"R",{data}}}"#);
        assert!(parse_body(body.as_bytes()).is_none(), "{body}");
    }
}
