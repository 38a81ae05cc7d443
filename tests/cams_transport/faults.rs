//! For any behaviour of the server, a call is one delivery at most.

use std::time::Instant;

use phone_migration_operator::cams::{Answer, Call, UnknownCause, Verdict};

use crate::server::{OK, Script, Server, http};
use crate::{cams, sign_in, submit};

fn unknown(cause: UnknownCause) -> Verdict {
    Verdict::Unknown(cause)
}

/// One call to a server with this script.
async fn call_of(script: Script) -> (Server, Call<Answer, ()>) {
    let server = Server::start(vec![script]).await;
    let call = submit(&cams(&server.url())).await;
    (server, call)
}

#[tokio::test]
async fn read_and_closed_is_one_delivery() {
    let (server, call) = call_of(Script::Close).await;
    assert_eq!(call.answer.verdict, unknown(UnknownCause::ConnectionLost));
    assert!(call.admitted.is_some() && call.timing.replied.is_none());
    assert_eq!(server.ended(1).await.len(), 1);
}

#[tokio::test]
async fn a_connection_closed_at_once_is_not_replaced() {
    let server = Server::start(vec![Script::CloseAtOnce, Script::Reply(http(200, &[], OK))]).await;
    let cams = cams(&server.url());
    // The close is on the wire before the gate opens: the request goes to a dead connection.
    let gate = || async {
        server.ended(1).await;
        Ok(())
    };
    let call = cams.submit(crate::signed(&cams), gate).await;
    assert_eq!(call.answer.verdict, unknown(UnknownCause::ConnectionLost));
    assert_eq!(server.connections().len(), 1);
}

#[tokio::test]
async fn silence_is_a_time_out_and_one_delivery() {
    let before = Instant::now();
    let (server, call) = call_of(Script::Silent).await;
    assert_eq!(call.answer.verdict, unknown(UnknownCause::Timeout));
    let took = before.elapsed();
    assert!((10..15).contains(&took.as_secs()), "{took:?}");
    assert!(call.timing.replied.is_none());
    // The client has hung up: no late reply can be taken for another call's.
    assert_eq!(server.ended(1).await.len(), 1);
}

/// A byte every 100 ms: the deadline is that of the whole call.
#[tokio::test]
async fn an_endless_head_and_an_endless_body_end_at_the_deadline() {
    let endless = async |reply: &str| {
        let before = Instant::now();
        let (server, call) = call_of(Script::Drip(reply.into())).await;
        assert_eq!(call.answer.verdict, unknown(UnknownCause::Timeout));
        let took = before.elapsed();
        assert!((10..15).contains(&took.as_secs()), "{took:?}");
        assert_eq!(server.ended(1).await.len(), 1);
        call.timing.replied
    };
    let (head, body) = tokio::join!(
        endless("HTTP/1.1 200 OK\r\nX-Filler: "),
        endless("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"),
    );
    assert!(head.is_none());
    assert!(
        body.is_some(),
        "a head proves the arrival, though not the outcome"
    );
}

#[tokio::test]
async fn broken_replies_are_lost_connections() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"Code\":\"OK\"".to_vec();
    let half_head = b"HTTP/1.1 200 OK\r\nContent-Le".to_vec();
    let garbage = b"\x15\x03\x01\x00\x02\x02\x50 not http\r\n\r\n".to_vec();
    for reply in [half, half_head, garbage] {
        let (server, call) = call_of(Script::ReplyAndClose(reply)).await;
        assert_eq!(call.answer.verdict, unknown(UnknownCause::ConnectionLost));
        assert_eq!(server.ended(1).await.len(), 1);
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let second = Server::start(vec![Script::Reply(http(200, &[], OK))]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = second.url();
        let redirect = http(status, &[("Location", &location)], "");
        let (first, call) = call_of(Script::Reply(redirect)).await;
        assert_eq!(
            call.answer.verdict,
            unknown(UnknownCause::NotTheApi),
            "{status}"
        );
        assert_eq!(first.ended(1).await.len(), 1);
    }
    assert!(second.connections().is_empty());
}

#[tokio::test]
async fn every_call_has_a_connection_of_its_own() {
    // Kept alive by the server, and still not used again.
    let server = Server::start(vec![Script::Reply(http(200, &[], OK))]).await;
    let cams = cams(&server.url());
    for _ in 0..3 {
        let call = submit(&cams).await;
        assert!(matches!(call.answer.verdict, Verdict::Accepted(_)));
    }
    let connections = server.ended(3).await;
    assert_eq!(connections.len(), 3);
    for connection in connections {
        assert_eq!(connection.text().matches("POST /?").count(), 1);
    }
}

#[tokio::test]
async fn as_many_deliveries_as_calls_whatever_happens() {
    let scripts = [
        Script::Reply(http(200, &[], OK)),
        Script::Close,
        Script::ReplyAndClose(http(503, &[("Retry-After", "0")], "busy")),
        Script::ReplyAndClose(
            b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n".to_vec(),
        ),
        Script::Reply(http(200, &[("Connection", "close")], OK)),
    ];
    let calls = 100;
    let scripts: Vec<_> = scripts.iter().cycle().take(calls).cloned().collect();
    let server = Server::start(scripts).await;
    let cams = cams(&server.url());
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..calls {
        let cams = cams.clone();
        running.spawn(async move { submit(&cams).await.answer.verdict });
    }
    let verdicts = running.join_all().await;
    let accepted = |verdict: &&Verdict| matches!(verdict, Verdict::Accepted(_));
    assert_eq!(verdicts.iter().filter(accepted).count(), 2 * calls / 5);
    let connections = server.ended(calls).await;
    let delivered: usize = connections
        .iter()
        .map(|connection| connection.text().matches("POST /?").count())
        .sum();
    assert_eq!((connections.len(), delivered), (calls, calls));
}

const PROXY_CHILD: &str = "CAMS_TRANSPORT_PROXY_CHILD";

#[tokio::test]
async fn proxies_from_the_environment_are_ignored() {
    if let Ok(url) = std::env::var(PROXY_CHILD) {
        // The child: the proxy variables are set, and the call goes to the right server.
        let call = submit(&cams(&url)).await;
        assert!(matches!(call.answer.verdict, Verdict::Accepted(_)));
        // The server does not speak TLS; a proxy would have got a CONNECT.
        let call = submit(&cams(&url.replace("http:", "https:"))).await;
        let verdict = call.answer.verdict;
        assert!(matches!(verdict, Verdict::NotSent(_)), "{verdict:?}");
        // Both get the CAMS server's connection, which closes.
        assert!(
            sign_in::sts(&url)
                .get_caller_identity(&sign_in::first_key())
                .await
                .is_err()
        );
        assert!(sign_in::metadata(&url).key(None).await.is_err());
        return;
    }
    let ok = Script::Reply(http(200, &[], OK));
    let server = Server::start(vec![ok.clone(), Script::CloseAtOnce]).await;
    let proxy = Server::start(vec![ok]).await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "faults::proxies_from_the_environment_are_ignored",
    ]);
    child
        .env(PROXY_CHILD, server.url())
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
    ] {
        child.env(name, proxy.url());
    }
    let output = child.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    assert_eq!(server.ended(4).await.len(), 4);
    assert!(proxy.connections().is_empty());
}
