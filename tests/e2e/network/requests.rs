//! Faults on the way there: whether the call is executed, and what the operator may do if it cannot
//! know.

use harness::crowd_code;
use tcp_proxy::{Ending, Flow, Toxics};

use super::*;

/// Half of a request's head.
const SOME_BYTES: u64 = 150;

#[tokio::test]
async fn c15_a_reset_before_a_byte_is_read_is_never_sent_twice() {
    let net = Net::new("net-at-once", SOON_FINAL).await;
    net.submit_through(Toxics::reset_at_once(), "m", 1).await;
    let done = |status: &Value| condition(status, "Finished") == "True";
    let status = net.world.until("m", super::PATIENCE, done).await.unwrap();
    // "Provably unsent" is allowed to go on; anything else must end unknown.
    match harness::reason(&status) {
        "Verified" => net.is_verified(&status, 1, "Accepted"),
        _ => net.ends_unknown("m", 1).await,
    }
    net.finish().await;
}

#[tokio::test]
async fn c15_a_reset_in_answer_to_the_first_byte_ends_unknown() {
    let net = Net::new("net-reset", SOON_FINAL).await;
    let reset = Flow::default().limit(0, Ending::Reset);
    net.submit_through(Toxics::up(reset), "m", 1).await;
    net.ends_unknown("m", 1).await;
    assert!(net.calls(1).is_empty());
    net.finish().await;
}

#[tokio::test]
async fn a_request_that_vanishes_ends_unknown() {
    let net = Net::new("net-vanish", SOON_FINAL).await;
    let hole = Flow::default().limit(0, Ending::Blackhole);
    net.submit_through(Toxics::up(hole), "m", 1).await;
    net.ends_unknown("m", 1).await;
    assert!(net.calls(1).is_empty());
    net.finish().await;
}

/// K3, with the connection lost in each of three ways.
#[tokio::test]
async fn half_a_request_is_not_executed_and_not_sent_again() {
    let net = Net::new("net-half", SOON_FINAL).await;
    // Two in a row: a third would trip the circuit breaker.
    for (n, ending) in [(1, Ending::Close), (2, Ending::HalfClose)] {
        let half = Flow::default().limit(SOME_BYTES, ending);
        let name = format!("m-{n}");
        net.submit_through(Toxics::up(half), &name, n).await;
        net.ends_unknown(&name, n).await;
        assert!(net.calls(n).is_empty());
    }
    net.submit("between", 3).await;
    net.is_accepted("between", 3).await;
    let half = Flow::default().limit(SOME_BYTES, Ending::Reset);
    net.submit_through(Toxics::up(half), "m-4", 4).await;
    net.ends_unknown("m-4", 4).await;
    assert!(net.calls(4).is_empty());
    net.finish().await;
}

/// The client has hung up when the server reads the request.
#[tokio::test]
async fn a_request_that_arrives_after_its_deadline_is_found_by_a_read() {
    let net = Net::new("net-late", NEVER_FINAL).await;
    let late = Flow::default().latency(TOO_LATE);
    net.submit_through(Toxics::up(late), "m", 1).await;
    let lost = net.until("m", "OutcomeUnknown").await;
    assert!(net.calls(1).is_empty(), "not late: {lost}");
    // Another code for the same number waits as long as the first may still arrive.
    net.world.code("m", &crowd_code(7)).await.unwrap();
    net.is_found_by_a_read("m", 1).await;
    net.finish().await;
}

#[tokio::test]
async fn a_call_in_pieces_of_one_byte_is_a_call_like_any_other() {
    let net = Net::new("net-slices", NEVER_FINAL).await;
    let slices = Flow::default().slices(1, Duration::from_millis(1));
    net.submit_through(Toxics::both(slices), "m", 1).await;
    net.is_accepted("m", 1).await;
    // Also the pre-read.
    net.proxy.set(Toxics::both(slices));
    net.submit("looks", 2).await;
    net.is_accepted("looks", 2).await;
    net.finish().await;
}
