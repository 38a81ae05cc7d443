//! C01 with one operator, restarted at once. Each test is one kill point.

use harness::for_each_seed;

use super::ends::Given::{Right, Wrong};
use super::ends::{Given, assert_end, assert_left_behind};
use super::point::Point::{
    BeforeClaim, BeforeEvent, BeforeOutcome, BeforeStatus, ClaimUnanswered, Claimed,
    EventUnanswered, Executed, HalfReplied, HalfSent, OutcomeUnanswered, Received,
    ReceivedExecuted, StatusUnanswered,
};
use super::point::{NAME, Point, Scene};
use super::*;

async fn restarted(point: Point, given: Given) {
    let case = format!("{point:?}-{given:?}").to_lowercase();
    let run = async |seed: harness::Seed| {
        let world = World::new(OPERATOR, &case).await.unwrap();
        let mut scene = Scene::start(&world, point, 1, &phone(1)).await;
        give(&world, given).await;
        let claimed = scene.kill(&world, &seed).await;
        assert_left_behind(&world, point, given, claimed.as_deref(), true).await;
        let mut rng = seed.rng();
        let away = Duration::from_millis(rng.u64(0..2) * rng.u64(0..=1500));
        seed.plan(format!("started anew after {away:?}"));
        tokio::time::sleep(away).await;
        let _operator = world.start(SOON_FINAL).await;
        assert_end(&world, point, given, claimed.as_deref()).await;
        world.finish().await.unwrap();
    };
    for_each_seed(&format!("c01 {case}"), run).await.unwrap();
}

/// Creates the resource and its code, and gives CAMS the right one.
pub async fn give(world: &World, given: Given) {
    let number = phone(1);
    let right = match given {
        Right => code(1),
        Wrong => code(9),
    };
    world.offer(NAME, &number, &code(1), &right).await;
}

#[tokio::test]
async fn c01_k0_killed_before_its_claim_sends_after_the_restart() {
    restarted(BeforeClaim, Right).await;
}

#[tokio::test]
async fn c01_k1_killed_without_the_reply_to_its_claim_ends_unknown() {
    restarted(ClaimUnanswered, Right).await;
}

#[tokio::test]
async fn c01_k2_killed_between_claim_and_request_ends_unknown() {
    restarted(Claimed, Right).await;
}

#[tokio::test]
async fn c01_k3_killed_with_half_of_its_request_out_ends_unknown() {
    restarted(HalfSent, Right).await;
}

#[tokio::test]
async fn c01_k4_killed_with_a_request_that_the_server_drops_ends_unknown() {
    restarted(Received, Right).await;
}

#[tokio::test]
async fn c01_k4_killed_with_a_request_that_is_executed_later_ends_verified() {
    restarted(ReceivedExecuted, Right).await;
}

#[tokio::test]
async fn c01_k5_killed_after_the_execution_ends_verified_with_its_id() {
    restarted(Executed, Right).await;
}

#[tokio::test]
async fn c01_k5_killed_after_a_refusal_ends_unknown() {
    restarted(Executed, Wrong).await;
}

#[tokio::test]
async fn c01_k6_killed_with_half_of_the_reply_ends_verified_with_its_id() {
    restarted(HalfReplied, Right).await;
}

#[tokio::test]
async fn c01_k6_killed_with_half_of_a_refusal_ends_unknown() {
    restarted(HalfReplied, Wrong).await;
}

#[tokio::test]
async fn c01_k7_killed_before_it_records_an_acceptance_ends_verified_with_its_id() {
    restarted(BeforeOutcome, Right).await;
}

#[tokio::test]
async fn c01_k7_killed_before_it_records_a_refusal_ends_unknown() {
    restarted(BeforeOutcome, Wrong).await;
}

#[tokio::test]
async fn c01_k8_killed_without_the_reply_to_its_acceptance_makes_no_further_call() {
    restarted(OutcomeUnanswered, Right).await;
}

#[tokio::test]
async fn c01_k8_killed_without_the_reply_to_its_refusal_makes_no_further_call() {
    restarted(OutcomeUnanswered, Wrong).await;
}

#[tokio::test]
async fn c01_k8_killed_before_status_shows_its_acceptance_makes_no_further_call() {
    restarted(BeforeStatus, Right).await;
}

#[tokio::test]
async fn c01_k8_killed_before_status_shows_its_refusal_makes_no_further_call() {
    restarted(BeforeStatus, Wrong).await;
}

#[tokio::test]
async fn c01_k9_killed_without_the_reply_to_the_status_of_its_acceptance_makes_no_further_call() {
    restarted(StatusUnanswered, Right).await;
}

#[tokio::test]
async fn c01_k9_killed_without_the_reply_to_the_status_of_its_refusal_makes_no_further_call() {
    restarted(StatusUnanswered, Wrong).await;
}

#[tokio::test]
async fn c01_k9_killed_before_the_event_of_an_acceptance_makes_no_further_call() {
    restarted(BeforeEvent, Right).await;
}

#[tokio::test]
async fn c01_k9_killed_before_the_event_of_a_refusal_makes_no_further_call() {
    restarted(BeforeEvent, Wrong).await;
}

#[tokio::test]
async fn c01_k9_killed_without_the_reply_to_its_event_makes_no_further_call() {
    restarted(EventUnanswered, Wrong).await;
}
