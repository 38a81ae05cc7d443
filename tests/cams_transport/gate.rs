//! The gate is between the connection and the first byte.

use std::cell::Cell;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use phone_migration_operator::cams::credentials::renewal::Life;
use phone_migration_operator::cams::credentials::{Session, SessionKey};
use phone_migration_operator::cams::{
    BlockCause, Cams, ClientOptions, Credentials, GateClosed, KeySource, NOT_SIGNED_IN,
    NotSentCause, Permit, SignatureVersion, Verdict,
};
use phone_migration_operator::clock::{self, Now};
use phone_migration_operator::secret::Secret;

use crate::server::{OK, Script, Server, http};
use crate::{
    KEY_ID, KEY_SECRET, TOKEN, assert_nothing_leaks, cams, cams_of, open, signed, submit, target,
};

/// Enough time for any pending send: twenty whole calls come and go.
async fn let_others_pass() {
    let server = Server::start(vec![Script::Reply(http(200, &[], OK))]).await;
    let other = cams(&server.url());
    for _ in 0..20 {
        let call = submit(&other).await;
        assert!(matches!(call.answer.verdict, Verdict::Accepted(_)));
    }
}

/// The record of one call's gates.
struct Pass {
    number: i32,
    written: Option<Now>,
}

impl Pass {
    fn new(number: i32) -> Self {
        Self {
            number,
            written: None,
        }
    }
}

impl Permit for Pass {
    fn written(&mut self, at: Now) {
        self.written = Some(at);
    }
}

#[tokio::test]
async fn opens_after_the_connection_and_before_the_first_byte() {
    let server = Server::start(vec![Script::Reply(http(200, &[], OK))]).await;
    let cams = cams(&server.url());
    let gate = || async {
        // The connection is open while the gate decides, and carries no byte.
        server.until("the connection", |all| all.len() == 1).await;
        let_others_pass().await;
        assert!(server.connections()[0].bytes.is_empty());
        Ok(Pass::new(7))
    };
    let call = cams.submit(signed(&cams), gate).await;
    let pass = call.admitted.unwrap();
    assert_eq!(pass.number, 7);
    // The permit learns the time of the write itself, not of the reply.
    assert_eq!(pass.written, call.timing.written);
    assert!(matches!(call.answer.verdict, Verdict::Accepted(_)));

    let opened = call.timing.opened.unwrap().boot;
    let written = call.timing.written.unwrap().boot;
    let replied = call.timing.replied.unwrap().boot;
    let first_byte = server.connections()[0].first_byte.unwrap();
    assert!(opened <= written && written <= first_byte && first_byte <= replied);
}

#[tokio::test]
async fn a_refusal_sends_nothing() {
    let server = Server::start(vec![Script::Silent]).await;
    let cams = cams(&server.url());
    let reason = "this replica is no longer the leader";
    let refuse = || async {
        let_others_pass().await;
        Err::<(), _>(GateClosed { reason })
    };
    let call = cams.submit(signed(&cams), refuse).await;
    assert_eq!(call.answer.verdict, Verdict::NotSent(NotSentCause::Gate));
    assert_eq!(call.answer.message.as_deref(), Some(reason));
    assert_eq!((call.admitted, call.timing.opened), (None, None));
    assert_nothing_leaks(&call.answer);
    server.got_no_byte().await;
}

#[tokio::test]
async fn dropping_the_call_at_the_gate_sends_nothing() {
    let server = Server::start(vec![Script::Silent]).await;
    let cams = cams(&server.url());
    let call = cams.submit(signed(&cams), pending::<Result<(), GateClosed>>);
    tokio::select! {
        _ = call => panic!("the gate never opened"),
        () = server.until("the connection", |all| all.len() == 1) => {}
    }
    server.got_no_byte().await;
}

#[tokio::test]
async fn is_not_asked_without_a_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let cams = cams(&url);
    let asked = Cell::new(false);
    let gate = || {
        asked.set(true);
        open()
    };
    let call = cams.submit(signed(&cams), gate).await;
    assert_eq!(call.answer.verdict, Verdict::NotSent(NotSentCause::Connect));
    let text = "no connection to the CAMS endpoint: connection refused";
    assert_eq!(call.answer.message.as_deref(), Some(text));
    assert_nothing_leaks(&call.answer);
    assert!(!asked.get());
}

#[tokio::test]
async fn may_borrow_and_runs_in_the_callers_task() {
    let server = Server::start(vec![Script::Reply(http(200, &[], OK))]).await;
    let cams = cams(&server.url());
    // Neither `Send` nor `'static`.
    let turns = std::rc::Rc::new(Cell::new(0));
    let gate = || async {
        turns.set(turns.get() + 1);
        Ok(Pass::new(turns.get()))
    };
    let call = cams.submit(signed(&cams), gate).await;
    assert_eq!(call.admitted.map(|pass| pass.number), Some(1));
}

/// A client whose temporary key may be used for so long from now on; without a time, a client that
/// never had a key.
fn cams_for(url: &str, good_for: Option<Duration>) -> Cams {
    let session = Arc::new(Session::default());
    if let Some(good_for) = good_for {
        let begin = clock::boot();
        // A key may be used for nine tenths of a short life.
        let life = Life {
            begin,
            end: begin + good_for * 10 / 9,
        };
        session.put(SessionKey {
            credentials: Arc::new(Credentials {
                access_key_id: KEY_ID.to_owned(),
                access_key_secret: Secret::new(KEY_SECRET.to_owned()),
                security_token: Some(Secret::new(TOKEN.to_owned())),
            }),
            life,
        });
    }
    let key = KeySource::Session(session);
    cams_of(url, SignatureVersion::V1, key, ClientOptions::default())
}

/// Signed while the key was good, connected when the key had expired: the gate is not even asked.
#[tokio::test]
async fn a_key_that_ends_between_signature_and_send_sends_nothing() {
    let server = Server::start(vec![Script::Silent]).await;
    let cams = cams_for(&server.url(), Some(Duration::from_millis(90)));
    let request = signed(&cams);
    while cams.key_good_until().unwrap() > clock::boot() {
        tokio::task::yield_now().await;
    }
    let asked = Cell::new(false);
    let gate = || async {
        asked.set(true);
        Ok(())
    };
    let call = cams.submit(request, gate).await;
    assert_eq!(call.answer.verdict, Verdict::NotSent(NotSentCause::Gate));
    assert!(!asked.get());
    assert_nothing_leaks(&call.answer);
    server.got_no_byte().await;
}

/// Before the first key, and after the last one: a read reports that without a connection.
#[tokio::test]
async fn without_a_good_key_nothing_is_asked() {
    let server = Server::start(vec![Script::Silent]).await;
    for good_for in [None, Some(Duration::ZERO)] {
        let cams = cams_for(&server.url(), good_for);
        let request = cams.sign_status(target(), "00", Timestamp::now());
        let call = cams.read_status(request, open).await;
        assert_eq!(
            call.answer.verdict,
            Verdict::Blocked(BlockCause::Credentials)
        );
        assert_eq!(call.answer.code.as_deref(), Some(NOT_SIGNED_IN));
        assert!(!call.answer.ends_hold());
        assert_eq!(call.timing.opened, None);
        let call = cams.submit(signed(&cams), open).await;
        assert_eq!(call.answer.verdict, Verdict::NotSent(NotSentCause::Gate));
    }
    // Only the submissions connected.
    assert_eq!(server.ended(2).await.len(), 2);
}

/// A good key is used to its full length: the request is let through.
#[tokio::test]
async fn a_good_temporary_key_sends() {
    let server = Server::start(vec![Script::Reply(http(200, &[], OK))]).await;
    let cams = cams_for(&server.url(), Some(Duration::from_secs(60)));
    let call = submit(&cams).await;
    assert!(matches!(call.answer.verdict, Verdict::Accepted(_)));
}
