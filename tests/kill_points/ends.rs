//! What is expected after the kill.

use harness::World;
use harness::cams_simulator::Entry;
use serde_json::Value;

use crate::point::{NAME, Point};
use crate::{PATIENCE, code, phone, reason};

/// The code that the user gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    Right,
    Wrong,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing was claimed: sent now, once.
    Sent,
    /// Executed, and found again by a read, with its Id; no further call.
    Found,
    /// It cannot be known: final, and only a different code goes on. So many calls were
    /// received.
    Unknown { calls: usize },
    /// It stands in status already; no further call.
    Recorded,
}

fn end(point: Point, given: Given) -> End {
    match (point, given) {
        (Point::K0, _) => End::Sent,
        (Point::K1 | Point::K2 | Point::K3, _) => End::Unknown { calls: 0 },
        (Point::K4, _) => End::Unknown { calls: 1 },
        (Point::K4Executed | Point::K5 | Point::K6 | Point::K7, Given::Right) => End::Found,
        // Executed, refused, and the answer lost: a read cannot tell.
        (Point::K4Executed | Point::K5 | Point::K6 | Point::K7, Given::Wrong) => {
            End::Unknown { calls: 1 }
        }
        (Point::K8 | Point::K9, _) => End::Recorded,
    }
}

/// What stands in status right after the kill, before anybody goes on.
pub async fn assert_left_behind(world: &World, point: Point, given: Given, claimed: Option<&str>) {
    let status = world.get(NAME).await.unwrap().data["status"].clone();
    let attempt = &status["attempt"];
    match end(point, given) {
        End::Sent => assert!(claimed.is_none() && attempt.is_null(), "{status}"),
        End::Found | End::Unknown { .. } => {
            assert_eq!(attempt["id"].as_str(), claimed, "{status}");
            assert!(attempt["outcome"].is_null(), "{status}");
        }
        End::Recorded => {
            assert_eq!(attempt["id"].as_str(), claimed, "{status}");
            assert_eq!(harness::reason(&status), recorded(given), "{status}");
        }
    }
}

fn recorded(given: Given) -> &'static str {
    match given {
        Given::Right => "Verified",
        Given::Wrong => "CodeRejected",
    }
}

/// Waits for the end that belongs to the point, and for the next code where there is one.
pub async fn assert_end(world: &World, point: Point, given: Given, claimed: Option<&str>) {
    let number = phone(1);
    match end(point, given) {
        End::Sent => {
            let status = reason(world, NAME, recorded(given)).await;
            assert_eq!(status["attempt"]["number"], 1, "{status}");
            assert_carried(&world.calls(&number), &[status["attempt"]["id"].as_str()]);
        }
        End::Found => {
            let status = reason(world, NAME, "Verified").await;
            assert_verified(&status, &number);
            assert_eq!(status["attempt"]["id"].as_str(), claimed, "{status}");
            assert_carried(&world.calls(&number), &[claimed]);
        }
        End::Unknown { calls: received } => {
            let done = |status: &Value| harness::condition(status, "Finished") == "True";
            let status = world.until(NAME, PATIENCE, done).await.unwrap();
            assert_final_unknown(&status);
            look_again(world, "the same code").await;
            let sent = vec![claimed; received];
            assert_carried(&world.calls(&number), &sent);
            assert_next_code_goes_on(world, sent).await;
        }
        End::Recorded => {
            look_again(world, "recorded").await;
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
    world.code(NAME, &code(2)).await.unwrap();
    world.request(NAME, "another code").await.unwrap();
    let status = reason(world, NAME, "Verified").await;
    assert_verified(&status, &number);
    assert_eq!(status["attempt"]["number"], 2, "{status}");
    assert_eq!(status["history"].as_array().unwrap().len(), 1, "{status}");
    sent.push(status["attempt"]["id"].as_str());
    assert_carried(&world.calls(&number), &sent);
}

/// The calls carried these attempts, in this order, and no others.
fn assert_carried(calls: &[Entry], attempts: &[Option<&str>]) {
    let carried: Vec<_> = calls.iter().map(|call| call.nonce.as_deref()).collect();
    assert_eq!(carried, attempts);
}

fn assert_verified(status: &Value, phone: &str) {
    assert_eq!(harness::condition(status, "Ready"), "True", "{status}");
    assert_eq!(status["id"], format!("id-{phone}"), "{status}");
}

/// An end that asks for a person, with no success anywhere.
fn assert_final_unknown(status: &Value) {
    assert_eq!(harness::reason(status), "OutcomeUnknown", "{status}");
    assert_eq!(harness::condition(status, "Stalled"), "True", "{status}");
    assert_eq!(harness::condition(status, "Ready"), "False", "{status}");
    assert_eq!(status["attempt"]["outcome"], "UnknownFinal", "{status}");
    assert_eq!(status["attempt"]["number"], 1, "{status}");
}

/// Makes the operator look again and waits until it did.
async fn look_again(world: &World, token: &str) {
    world.request(NAME, token).await.unwrap();
    let seen = |status: &Value| status["lastHandledReconcileAt"] == token;
    world.until(NAME, PATIENCE, seen).await.unwrap();
}
