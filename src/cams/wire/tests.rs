#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

fn body(text: &str) -> Option<ApiBody> {
    parse_body(text.as_bytes())
}

#[test]
fn reads_a_success() {
    let body = body(
        r#"{"RequestId":"90E63D28-E31D-1EB2-8939-A94866411B2O","Code":"OK","Message":"SUCCESS",
            "AccessDeniedDetail":"None","Data":{"PhoneNumber":"861380000****","Id":"82828893332"}}"#,
    )
    .unwrap();
    assert_eq!(body.code, "OK");
    assert_eq!(body.message.as_deref(), Some("SUCCESS"));
    assert_eq!(body.phone_number.as_deref(), Some("861380000****"));
    assert_eq!(body.id.as_deref(), Some("82828893332"));
    assert_eq!(body.code_verification_status, None);
    let id = "90E63D28-E31D-1EB2-8939-A94866411B2O";
    assert_eq!(body.request_id.as_deref(), Some(id));
}

#[test]
fn tolerates_what_is_known_to_vary() {
    let accepted = [
        // Key case.
        r#"{"requestId":"R-1","code":"OK","message":"x","data":{"phoneNumber":"1","id":"7"}}"#,
        // Both spellings, agreeing.
        r#"{"RequestId":"R-1","requestId":"R-1","Code":"OK","code":"OK","Data":{"Id":"7"}}"#,
        // AccessDeniedDetail in every form.
        r#"{"RequestId":"R-1","Code":"OK","AccessDeniedDetail":{"AuthAction":"a"},"Data":{"Id":"7"}}"#,
        r#"{"RequestId":"R-1","Code":"OK","AccessDeniedDetail":null,"Data":{"Id":"7"}}"#,
        r#"{"RequestId":"R-1","Code":"OK","AccessDeniedDetail":"无","Data":{"Id":"7"}}"#,
        // A number for a string, unknown fields, null for an object or a text.
        r#"{"RequestId":"R-1","Code":"OK","Data":{"Id":7,"New":[1,{"a":2}]},"HostId":null}"#,
        r#"{"RequestId":"R-1","Code":"OK","Message":null,"Data":{"Id":"7","PhoneNumber":null}}"#,
        // A byte-order mark.
        "\u{feff}{\"RequestId\":\"R-1\",\"Code\":\"OK\",\"Data\":{\"Id\":\"7\"}}",
    ];
    for text in accepted {
        let body = body(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!((body.code.as_str(), body.id.as_deref()), ("OK", Some("7")));
        assert_eq!(body.request_id.as_deref(), Some("R-1"), "{text}");
    }
}

#[test]
fn missing_or_odd_data_is_no_data() {
    for data in [
        "",
        r#","Data":null"#,
        r#","Data":"x""#,
        r#","Data":[]"#,
        r#","Data":{}"#,
    ] {
        let body = body(&format!(r#"{{"RequestId":"R-1","Code":"OK"{data}}}"#)).unwrap();
        assert_eq!((body.id, body.phone_number), (None, None), "{data}");
    }
}

#[test]
fn an_absurd_id_is_left_out_and_the_outcome_stays() {
    let long = "7".repeat(MAX_IDENTIFIER + 1);
    let absurd = [
        format!("\"{long}\""),
        r#""7\u0000""#.to_owned(),
        r#""7\n8""#.to_owned(),
        r#""a b""#.to_owned(),
        r#""""#.to_owned(),
        r#""７""#.to_owned(),
        "{}".to_owned(),
        "true".to_owned(),
        "1e30".to_owned(),
        // The number would lose digits as a float.
        "123456789012345678901234567890".to_owned(),
    ];
    for id in absurd {
        let text = format!(r#"{{"RequestId":"R-1","Code":"OK","Data":{{"Id":{id}}}}}"#);
        let body = body(&text).unwrap_or_else(|| panic!("{id}"));
        assert_eq!((body.code.as_str(), body.id), ("OK", None), "{id}");
    }
    let longest = "7".repeat(MAX_IDENTIFIER);
    let text = format!(r#"{{"Code":"OK","Data":{{"Id":"{longest}"}}}}"#);
    assert_eq!(body(&text).unwrap().id, Some(longest));
}

#[test]
fn what_is_not_the_api() {
    let foreign = [
        "",
        "null",
        "[]",
        "\"OK\"",
        "{}",
        "OK",
        "<html>502</html>",
        "<?xml version='1.0'?><Error><Code>Throttling</Code></Error>",
        r#"{"Code":"OK","Data":{"Id":"#,
        r#"{"RequestId":"R-1"}"#,
        r#"{"RequestId":"R-1","Code":""}"#,
        r#"{"RequestId":"R-1","Code":null}"#,
        r#"{"RequestId":"R-1","Code":true}"#,
        r#"{"RequestId":"R-1","Code":["OK"]}"#,
        r#"{"RequestId":"R-1","Code":"O K"}"#,
        r#"{"RequestId":"R-1","Code":"OK\n"}"#,
        r#"{"RequestId":"R-1","Code":"OK\u202e"}"#,
        // The two spellings disagree.
        r#"{"RequestId":"R-1","Code":"OK","code":"Throttling"}"#,
        r#"{"RequestId":"R-1","Code":"OK","Data":{"Id":"1","id":"2"}}"#,
        // The own format of a proxy or firewall.
        r#"{"code":502,"message":"bad gateway"}"#,
        r#"{"code":"403","msg":"denied"}"#,
        r#"{"error":{"code":"x"}}"#,
    ];
    for text in foreign {
        assert!(body(text).is_none(), "{:.80}", text);
    }
}

#[test]
fn a_numeric_code_counts_beside_a_request_id() {
    let body = body(r#"{"RequestId":"R-1","Code":136025}"#).unwrap();
    assert_eq!(body.code, "136025");
}

#[test]
fn a_message_in_another_character_set_does_not_hide_the_code() {
    let mut text = b"{\"RequestId\":\"R-1\",\"Code\":\"Throttling\",\"Message\":\"".to_vec();
    text.extend([0xcf, 0xde, 0xc1, 0xf7]);
    text.extend(b"\"}");
    assert_eq!(parse_body(&text).unwrap().code, "Throttling");
}

#[test]
fn an_unfit_request_id_is_left_out() {
    let body = body(r#"{"RequestId":"a b\n","Code":"OK"}"#).unwrap();
    assert_eq!(body.request_id, None);
}

#[test]
fn a_markup_content_type_is_not_the_api_whatever_the_body() {
    let json = br#"{"RequestId":"R-1","Code":"OK"}"#;
    let cases = [
        (None, true),
        (Some("application/json;charset=utf-8"), true),
        (Some("text/plain"), true),
        (Some("text/html"), false),
        (Some("Text/HTML; charset=utf-8"), false),
        (Some("application/xml"), false),
    ];
    for (content_type, is_api) in cases {
        let headers = ReplyHeaders {
            content_type,
            ..ReplyHeaders::default()
        };
        let reply = parse_reply(200, &headers, json);
        assert_eq!(reply.api.is_some(), is_api, "{content_type:?}");
    }
    let xml = b"<Error><RequestId>R-1</RequestId><Code>Throttling</Code></Error>";
    for (content_type, is_api) in [
        (None, true),
        (Some("application/json"), true),
        (Some("text/xml;charset=utf-8"), true),
        (Some("application/xml"), true),
        (Some("application/xhtml+xml"), false),
        (Some("text/html"), false),
    ] {
        let headers = ReplyHeaders {
            content_type,
            ..ReplyHeaders::default()
        };
        let reply = parse_reply(400, &headers, xml);
        assert_eq!(reply.api.is_some(), is_api, "{content_type:?}");
    }
}

#[test]
fn reads_an_error_as_xml() {
    let full = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\n  \
        <RequestId>90E63D28-E31D</RequestId>\n  <HostId>cams.aliyuncs.com</HostId>\n  \
        <Code>Forbidden.RAM</Code>\n  <Message>a &amp; b &#20998;&#x5206; &quot;c&quot;</Message>\n  \
        <AccessDeniedDetail><AuthAction>a</AuthAction><Deep><Er/></Deep></AccessDeniedDetail>\n  \
        <Recommend></Recommend>\n</Error>\n";
    let read = body(full).unwrap();
    assert_eq!(read.code, "Forbidden.RAM");
    assert_eq!(read.request_id.as_deref(), Some("90E63D28-E31D"));
    assert_eq!(read.message.as_deref(), Some("a & b 分分 \"c\""));
    assert_eq!((read.id, read.phone_number), (None, None));
}

#[test]
fn xml_that_is_not_the_apis_error() {
    let error = |inner: &str| format!("<Error><RequestId>R-1</RequestId>{inner}</Error>");
    let deep = format!(
        "{}x{}",
        "<A>".repeat(20_000),
        "</A>".repeat(20_000).get(..60_000).unwrap_or_default()
    );
    let foreign = [
        // A success is never read as XML.
        error("<Code>OK</Code>"),
        error("<Code>ok</Code>"),
        "<ChatappMigrationVerifiedResponse><RequestId>R-1</RequestId><Code>Throttling</Code>\
         </ChatappMigrationVerifiedResponse>"
            .to_owned(),
        // No request id, no code, two codes.
        "<Error><Code>Throttling</Code></Error>".to_owned(),
        error(""),
        error("<Code/>"),
        error("<Code>Throttling</Code><Code>Forbidden</Code>"),
        error("<Code>Throttling</Code><code>Forbidden</code>"),
        error("<Code><Code>Throttling</Code></Code>"),
        // Not this shape.
        error("<Code a='b'>Throttling</Code>"),
        error("<Code>Throttling</Code><!-- x -->"),
        error("<Code><![CDATA[Throttling]]></Code>"),
        error("<Code>Throttling</Code>text"),
        error("<Code>Throttling</code>"),
        error("<Code>Thrott&ling;</Code>"),
        error("<Code>Throttling</Code><Message>&unknown;</Message>"),
        error("<Code>Throttling</Code><Message>&#xD800;</Message>"),
        format!("{}<Error/>", error("<Code>Throttling</Code>")),
        format!("<!DOCTYPE Error>{}", error("<Code>Throttling</Code>")),
        format!("<?xml version='1.0'{}", error("<Code>Throttling</Code>")),
        format!("<A>{}</A>", error("<Code>Throttling</Code>")),
        error("<Code>Throttling</Code>").replace("</Error>", ""),
        error(&format!("<Code>Throttling</Code>{deep}")),
    ];
    for text in foreign {
        assert!(body(&text).is_none(), "{text:.120}");
    }
}

#[test]
fn reads_http_dates() {
    let date = parse_http_date("Sun, 22 Nov 2026 08:09:10 GMT").unwrap();
    assert_eq!(date.to_string(), "2026-11-22T08:09:10Z");
    for garbage in ["", "now", "2026-11-22", "Sun, 99 Nov 2026 08:09:10 GMT"] {
        assert_eq!(parse_http_date(garbage), None, "{garbage}");
    }
}

#[test]
fn reads_the_servers_pause() {
    let ms = Duration::from_millis;
    let cases = [
        ("1500", Some(ms(1500))),
        (" 20 ", Some(ms(20))),
        ("120000", Some(MAX_RETRY_AFTER)),
        ("120001", Some(MAX_RETRY_AFTER)),
        ("99999999999999999999999999", Some(MAX_RETRY_AFTER)),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_retry_after(text), expected, "{text}");
    }
}
