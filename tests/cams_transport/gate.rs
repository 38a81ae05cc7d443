//! The gate stands between the connection and the first byte.

use std::cell::Cell;
use std::future::pending;

use phone_migration_operator::cams::{GateClosed, NotSentCause, Permit, Verdict};
use phone_migration_operator::clock::Now;

use crate::server::{OK, Script, Server, http};
use crate::{assert_nothing_leaks, cams, open, signed, submit};

/// Enough time for anything that wants to leave: twenty whole calls come and go.
async fn let_others_pass() {
    let server = Server::start(vec![Script::Reply(http(200, &[], OK))]).await;
    let other = cams(&server.url());
    for _ in 0..20 {
        let call = submit(&other).await;
        assert!(matches!(call.answer.verdict, Verdict::Accepted { .. }));
    }
}

/// What these gates return.
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
        // The connection stands while the gate decides, and nothing is on it.
        server.until("the connection", |all| all.len() == 1).await;
        let_others_pass().await;
        assert!(server.connections()[0].bytes.is_empty());
        Ok(Pass::new(7))
    };
    let call = cams.submit(signed(&cams), gate).await;
    let pass = call.admitted.unwrap();
    assert_eq!(pass.number, 7);
    // The permit is told of the write itself, not of the reply.
    assert_eq!(pass.written, call.timing.written);
    assert!(matches!(call.answer.verdict, Verdict::Accepted { .. }));

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
    // The end of the connection is the proof: no byte can follow it.
    let connections = server.ended(1).await;
    assert_eq!(connections.len(), 1);
    assert!(connections[0].bytes.is_empty());
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
    let connections = server.ended(1).await;
    assert_eq!(connections.len(), 1);
    assert!(connections[0].bytes.is_empty());
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
