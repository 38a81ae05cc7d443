//! The expected end after the kill.

use super::point::{NAME, Point};
use super::*;

/// The code that the user gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    Right,
    Wrong,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// No claim was stored: sent now, once.
    Sent,
    /// Executed, and found again by a read, with its Id; no further call.
    Found,
    /// The outcome cannot be known: final, and only a different code goes on. So many calls were
    /// received.
    Unknown { calls: usize },
    /// The outcome is in the ledger, and in status if `shown`; no further call.
    Recorded { shown: bool },
}

fn end(point: Point, given: Given) -> End {
    match (point, given) {
        (Point::BeforeClaim, _) => End::Sent,
        (Point::ClaimUnanswered | Point::Claimed | Point::HalfSent, _) => End::Unknown { calls: 0 },
        (Point::Received, _) => End::Unknown { calls: 1 },
        (
            Point::ReceivedExecuted | Point::Executed | Point::HalfReplied | Point::BeforeOutcome,
            Given::Right,
        ) => End::Found,
        // Executed, refused, and the answer lost: a read cannot find that out.
        (
            Point::ReceivedExecuted | Point::Executed | Point::HalfReplied | Point::BeforeOutcome,
            Given::Wrong,
        ) => End::Unknown { calls: 1 },
        (Point::OutcomeUnanswered | Point::BeforeStatus, _) => End::Recorded { shown: false },
        (Point::StatusUnanswered | Point::BeforeEvent | Point::EventUnanswered, _) => {
            End::Recorded { shown: true }
        }
    }
}

/// Checks the ledger and the status right after the kill, before any process goes on. Only a
/// process that was alone has surely shown the outcome: another one may have shown the open entry
/// first, and then the API server refused the write.
pub async fn assert_left_behind(
    world: &World,
    point: Point,
    given: Given,
    claimed: Option<&str>,
    alone: bool,
) {
    let status = world.status(NAME).await;
    let ledgers = world.ledgers().await.unwrap();
    let entry = ledgers
        .first()
        .map_or(Value::Null, |l| l["entries"][0].clone());
    let end = end(point, given);
    assert_eq!(entry["attemptId"].as_str(), claimed, "{entry}");
    match end {
        End::Sent => assert!(entry.is_null(), "{entry}"),
        End::Found | End::Unknown { .. } => {
            assert!(entry["attemptId"].is_string(), "{entry}");
            assert!(entry["outcome"].is_null(), "{entry}");
        }
        End::Recorded { .. } => assert_eq!(entry["outcome"], recorded_as(given), "{entry}"),
    }
    match end {
        End::Recorded { shown: true } if alone => {
            assert_eq!(status["attempt"]["id"].as_str(), claimed, "{status}");
            assert_eq!(harness::reason(&status), recorded(given), "{status}");
        }
        // Another process may have shown its finding by now.
        End::Sent | End::Found | End::Unknown { .. } | End::Recorded { .. } => {
            let outcome = &status["attempt"]["outcome"];
            let open = outcome.is_null() || outcome == "Unknown";
            let found = matches!(end, End::Recorded { .. }) && outcome == recorded_as(given);
            assert!(open || found, "{status}");
        }
    }
}

fn recorded_as(given: Given) -> &'static str {
    match given {
        Given::Right => "Accepted",
        Given::Wrong => "Refused",
    }
}

fn recorded(given: Given) -> &'static str {
    match given {
        Given::Right => "Verified",
        Given::Wrong => "CodeRejected",
    }
}

/// Waits for the end that belongs to the point, and for the next code if the case has one.
pub async fn assert_end(world: &World, point: Point, given: Given, claimed: Option<&str>) {
    let number = phone(1);
    match end(point, given) {
        End::Sent => {
            let status = reason(world, NAME, recorded(given)).await;
            assert_eq!(status["attempt"]["number"], 1, "{status}");
            assert_carried(&world.calls(&number), &[status["attempt"]["id"].as_str()]);
        }
        End::Found => {
            let status = verified(world, NAME, &number).await;
            assert_eq!(status["attempt"]["id"].as_str(), claimed, "{status}");
            assert_carried(&world.calls(&number), &[claimed]);
        }
        End::Unknown { calls: received } => {
            let status = finished(world, NAME).await;
            assert_final_unknown(&status);
            assert_eq!(status["attempt"]["number"], 1, "{status}");
            world.looked(NAME).await;
            let sent = vec![claimed; received];
            assert_carried(&world.calls(&number), &sent);
            assert_next_code_goes_on(world, sent).await;
        }
        End::Recorded { .. } => {
            world.looked(NAME).await;
            let status = reason(world, NAME, recorded(given)).await;
            assert_eq!(status["attempt"]["id"].as_str(), claimed, "{status}");
            assert_carried(&world.calls(&number), &[claimed]);
            match given {
                Given::Right => assert_verified(&status, &number),
                Given::Wrong => assert_next_code_goes_on(world, vec![claimed]).await,
            }
        }
    }
    assert!(world.executed(&number) <= world.calls(&number).len());
}

/// A different, right code is sent once.
async fn assert_next_code_goes_on(world: &World, mut sent: Vec<Option<&str>>) {
    let number = phone(1);
    assert!(world.sim.set_code(&number, &code(2)));
    world.replace_code(NAME, &code(2)).await;
    let status = verified(world, NAME, &number).await;
    assert_eq!(status["attempt"]["number"], 2, "{status}");
    assert_eq!(status["history"].as_array().unwrap().len(), 1, "{status}");
    sent.push(status["attempt"]["id"].as_str());
    assert_carried(&world.calls(&number), &sent);
}

/// The calls carried exactly these attempts, in this order.
fn assert_carried(calls: &[Entry], attempts: &[Option<&str>]) {
    let carried: Vec<_> = calls.iter().map(|call| call.nonce.as_deref()).collect();
    assert_eq!(carried, attempts);
}
