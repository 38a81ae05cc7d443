//! Bodies and heads that a service should not send: each is one delivery, decides nothing unless it
//! has the API's shape, and leaks nothing.

use phone_migration_operator::cams::{UnknownCause, Verdict};

use crate::server::{OK, Script, Server, http};
use crate::{CODE, KEY_SECRET, cams, submit};

/// The verdict for a reply, and all texts that come with it.
async fn verdict(script: Script) -> (Verdict, String) {
    let server = Server::start(vec![script]).await;
    let call = submit(&cams(&server.url())).await;
    assert_eq!(server.ended(1).await.len(), 1);
    let shown = format!("{:?}", call.answer);
    (call.answer.verdict, shown)
}

fn not_the_api() -> Verdict {
    Verdict::Unknown(UnknownCause::NotTheApi)
}

#[tokio::test]
async fn fifty_mebibytes_are_cut_off_after_64_kibibytes() {
    let start = r#"{"RequestId":"R-1","Code":"OK","Message":""#;
    for size in [70_000, 1 << 20, 50 << 20] {
        let body = start.to_owned() + &"x".repeat(size);
        let given = http(200, &[], &body);
        let until_closed = format!("HTTP/1.1 200 OK\r\n\r\n{body}").into_bytes();
        let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        for reply in [given, until_closed, chunked.into_bytes()] {
            let (verdict, _) = verdict(Script::ReplyAndClose(reply)).await;
            let wanted = Verdict::Unknown(UnknownCause::ReplyTooLarge);
            assert_eq!(verdict, wanted, "{size} bytes");
        }
    }
}

#[tokio::test]
async fn deep_json_is_no_reply_and_no_overflow() {
    let (open, close) = ("[".repeat(30_000), "]".repeat(30_000));
    let objects = r#"{"a":"#.repeat(10_000);
    let inside = format!(r#"{{"RequestId":"R-1","Code":"OK","Data":{open}{close}}}"#);
    for body in [open.clone(), format!("{open}{close}"), objects, inside] {
        assert!(body.len() < 64 << 10);
        let (verdict, _) = verdict(Script::Reply(http(200, &[], &body))).await;
        assert_eq!(verdict, not_the_api());
    }
}

#[tokio::test]
async fn control_characters_do_not_reach_a_terminal() {
    let escapes = r"\u0000\u001b[2J\u001b]0;title\u0007\u009b31m\r\nlevel=error\u202e\u2066\u0008";
    for field in ["RequestId", "Code", "Message", "HostId"] {
        let mut fields = vec![
            ("RequestId", "R-1".to_owned()),
            ("Code", "VerifyCode.Mismatch".to_owned()),
            ("Message", "wrong".to_owned()),
            ("HostId", "h".to_owned()),
        ];
        for (name, value) in &mut fields {
            if *name == field {
                value.push_str(escapes);
            }
        }
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!(r#""{name}":"{value}""#))
            .collect();
        let body = format!("{{{}}}", fields.join(","));
        let (verdict, shown) = verdict(Script::Reply(http(200, &[], &body))).await;
        // Debug escapes control characters, so none may be left.
        for sign in ["\\u{", "\\0", "\\r", "\\n", "\\t", "\u{1b}", "[2J"] {
            assert!(!shown.contains(sign), "{sign} of {field} in {shown}");
        }
        let no_code = field == "Code";
        assert_eq!(verdict == not_the_api(), no_code, "{field}: {verdict:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_hide_no_code() {
    let mut body = format!(r#"{{"RequestId":"R-1","Code":"X.Y","Message":"a {CODE} "#).into_bytes();
    body.extend_from_slice(b"\xff\xfe\xc0\x80\xed\xa0\x80");
    body.extend_from_slice(format!(" {KEY_SECRET}\"}}").as_bytes());
    let mut reply =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    reply.extend_from_slice(&body);
    // `submit` searches the shown texts.
    verdict(Script::Reply(reply)).await;
}

/// The client asks for no encoding and undoes none: a small body cannot become a large one.
#[tokio::test]
async fn a_compressed_body_is_not_the_api() {
    let reply = http(
        200,
        &[("Content-Encoding", "gzip")],
        "\u{1f}\u{8b}\u{8}\0\0\0",
    );
    assert_eq!(verdict(Script::Reply(reply)).await.0, not_the_api());
}

#[tokio::test]
async fn endless_heads_are_given_up() {
    let many = "X-Filler: y\r\n".repeat(1_000);
    let long = format!("X-Filler: {}\r\n", "y".repeat(1 << 20));
    let informational = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(3);
    for head in [many, long] {
        let reply = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 2\r\n\r\n{{}}");
        let (verdict, _) = verdict(Script::ReplyAndClose(reply.into_bytes())).await;
        assert_eq!(verdict, Verdict::Unknown(UnknownCause::ConnectionLost));
    }
    let last = String::from_utf8(http(200, &[], OK)).unwrap();
    let reply = informational + &last;
    let (verdict, _) = verdict(Script::Reply(reply.into_bytes())).await;
    assert!(matches!(verdict, Verdict::Accepted(_)), "{verdict:?}");
}

/// A second reply on the connection is ignored.
#[tokio::test]
async fn what_follows_the_reply_is_ignored() {
    let first = http(
        200,
        &[],
        r#"{"RequestId":"R-1","Code":"VerifyCode.Mismatch"}"#,
    );
    let both = [first, http(200, &[], OK)].concat();
    let (verdict, _) = verdict(Script::ReplyAndClose(both)).await;
    assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
}
