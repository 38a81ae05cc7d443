//! C01 with two active operators and no election: the one that claimed is killed, the other one
//! takes over. Only the claim keeps them apart.

use harness::for_each_seed;

use super::ends::Given::{Right, Wrong};
use super::ends::{Given, assert_end, assert_left_behind};
use super::one::give;
use super::point::Point::{
    BeforeClaim, BeforeEvent, BeforeOutcome, BeforeStatus, ClaimUnanswered, Claimed, Executed,
    HalfReplied, HalfSent, OutcomeUnanswered, Received, ReceivedExecuted, StatusUnanswered,
};
use super::point::{Point, Scene};
use super::*;

async fn taken_over(point: Point, given: Given) {
    let case = format!("two-{point:?}-{given:?}").to_lowercase();
    let run = async |seed: harness::Seed| {
        let world = World::new(OPERATOR, &case).await.unwrap();
        let mut scene = Scene::start(&world, point, 2, &phone(1)).await;
        give(&world, given).await;
        let claimed = scene.kill(&world, &seed).await;
        // Before its claim it leaves nothing behind, and the other one goes on at once.
        if point != BeforeClaim {
            assert_left_behind(&world, point, given, claimed.as_deref(), false).await;
        }
        assert_end(&world, point, given, claimed.as_deref()).await;
        world.finish().await.unwrap();
    };
    for_each_seed(&format!("c01 {case}"), run).await.unwrap();
}

#[tokio::test]
async fn c01_k0_the_other_replica_sends_what_was_not_claimed() {
    taken_over(BeforeClaim, Right).await;
}

#[tokio::test]
async fn c01_k1_the_other_replica_sends_nothing_after_an_unacknowledged_claim() {
    taken_over(ClaimUnanswered, Right).await;
}

#[tokio::test]
async fn c01_k2_the_other_replica_sends_nothing_after_a_claim() {
    taken_over(Claimed, Right).await;
}

#[tokio::test]
async fn c01_k3_the_other_replica_sends_nothing_after_half_a_request() {
    taken_over(HalfSent, Right).await;
}

#[tokio::test]
async fn c01_k4_the_other_replica_sends_nothing_after_a_dropped_request() {
    taken_over(Received, Right).await;
}

#[tokio::test]
async fn c01_k4_the_other_replica_finds_what_is_executed_later() {
    taken_over(ReceivedExecuted, Right).await;
}

#[tokio::test]
async fn c01_k5_the_other_replica_finds_what_was_executed() {
    taken_over(Executed, Right).await;
}

#[tokio::test]
async fn c01_k6_the_other_replica_finds_what_was_half_told() {
    taken_over(HalfReplied, Right).await;
}

#[tokio::test]
async fn c01_k7_the_other_replica_finds_what_was_not_recorded() {
    taken_over(BeforeOutcome, Right).await;
}

#[tokio::test]
async fn c01_k7_the_other_replica_cannot_know_a_refusal_that_was_not_recorded() {
    taken_over(BeforeOutcome, Wrong).await;
}

#[tokio::test]
async fn c01_k8_the_other_replica_takes_a_recorded_outcome_as_it_is() {
    taken_over(OutcomeUnanswered, Right).await;
}

#[tokio::test]
async fn c01_k8_the_other_replica_shows_a_refusal_that_no_status_shows() {
    taken_over(BeforeStatus, Wrong).await;
}

#[tokio::test]
async fn c01_k9_the_other_replica_takes_a_shown_outcome_as_it_is() {
    taken_over(StatusUnanswered, Right).await;
}

#[tokio::test]
async fn c01_k9_the_other_replica_takes_an_outcome_without_its_event_as_it_is() {
    taken_over(BeforeEvent, Right).await;
}
