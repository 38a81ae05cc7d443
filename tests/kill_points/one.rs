//! C01 with one operator, restarted at once. Each test is one kill point.

use std::time::Duration;

use harness::{Migration, World, for_each_seed};

use crate::ends::Given::{Right, Wrong};
use crate::ends::{Given, assert_end, assert_left_behind};
use crate::point::Point::{K0, K1, K2, K3, K4, K4Executed, K5, K6, K7, K8, K9};
use crate::point::{NAME, Point, Scene};
use crate::{OPERATOR, SOON_FINAL, code, phone};

async fn restarted(point: Point, given: Given) {
    let case = format!("{point:?}-{given:?}").to_lowercase();
    let run = async |seed: harness::Seed| {
        let world = World::new(OPERATOR, &case).await.unwrap();
        let mut scene = Scene::start(&world, point, 1, &phone(1)).await;
        give(&world, given).await;
        let claimed = scene.kill(&world, &seed).await;
        assert_left_behind(&world, point, given, claimed.as_deref()).await;
        let mut rng = seed.rng();
        let away = Duration::from_millis(rng.u64(0..2) * rng.u64(0..=1500));
        seed.plan(format!("started anew after {away:?}"));
        tokio::time::sleep(away).await;
        let _operator = world.operator(SOON_FINAL).await.unwrap();
        assert_end(&world, point, given, claimed.as_deref()).await;
        world.finish().await.unwrap();
    };
    for_each_seed(&format!("c01 {case}"), run).await.unwrap();
}

/// The resource, its code, and what CAMS takes for the right one.
pub async fn give(world: &World, given: Given) {
    let number = phone(1);
    let right = match given {
        Right => code(1),
        Wrong => code(9),
    };
    world.number(&number, &right, &format!("id-{number}"));
    world.code(NAME, &code(1)).await.unwrap();
    let migration = Migration::new(NAME, &number);
    world.create(&migration).await.unwrap();
}

#[tokio::test]
async fn c01_k0_killed_before_its_claim_sends_after_the_restart() {
    restarted(K0, Right).await;
}

#[tokio::test]
async fn c01_k1_killed_without_the_reply_to_its_claim_ends_unknown() {
    restarted(K1, Right).await;
}

#[tokio::test]
async fn c01_k2_killed_between_claim_and_request_ends_unknown() {
    restarted(K2, Right).await;
}

#[tokio::test]
async fn c01_k3_killed_with_half_of_its_request_out_ends_unknown() {
    restarted(K3, Right).await;
}

#[tokio::test]
async fn c01_k4_killed_with_a_request_that_the_server_drops_ends_unknown() {
    restarted(K4, Right).await;
}

#[tokio::test]
async fn c01_k4_killed_with_a_request_that_is_executed_later_ends_verified() {
    restarted(K4Executed, Right).await;
}

#[tokio::test]
async fn c01_k5_killed_after_the_execution_ends_verified_with_its_id() {
    restarted(K5, Right).await;
}

#[tokio::test]
async fn c01_k5_killed_after_a_refusal_ends_unknown() {
    restarted(K5, Wrong).await;
}

#[tokio::test]
async fn c01_k6_killed_with_half_of_the_reply_ends_verified_with_its_id() {
    restarted(K6, Right).await;
}

#[tokio::test]
async fn c01_k6_killed_with_half_of_a_refusal_ends_unknown() {
    restarted(K6, Wrong).await;
}

#[tokio::test]
async fn c01_k7_killed_before_it_records_an_acceptance_ends_verified_with_its_id() {
    restarted(K7, Right).await;
}

#[tokio::test]
async fn c01_k7_killed_before_it_records_a_refusal_ends_unknown() {
    restarted(K7, Wrong).await;
}

#[tokio::test]
async fn c01_k8_killed_without_the_reply_to_its_acceptance_makes_no_further_call() {
    restarted(K8, Right).await;
}

#[tokio::test]
async fn c01_k8_killed_without_the_reply_to_its_refusal_makes_no_further_call() {
    restarted(K8, Wrong).await;
}

#[tokio::test]
async fn c01_k9_killed_before_the_event_of_an_acceptance_makes_no_further_call() {
    restarted(K9, Right).await;
}

#[tokio::test]
async fn c01_k9_killed_before_the_event_of_a_refusal_makes_no_further_call() {
    restarted(K9, Wrong).await;
}
