//! The main job: from manifest to Id or error code.

use harness::{World, condition};

use crate::OPERATOR;

#[tokio::test]
async fn a_right_code_ends_verified_with_its_id() {
    let world = World::new(OPERATOR, "verified").await.unwrap();
    let _operator = world.start(&[]).await;
    world.migrate("store-1", "8613800000001", "12345678").await;
    let status = world.until_reason("store-1", "Verified").await.unwrap();
    assert_eq!(status["id"], "id-8613800000001", "{status}");
    assert_eq!(condition(&status, "Ready"), "True");
    assert_eq!(condition(&status, "Finished"), "True");
    assert_eq!(condition(&status, "Stalled"), "False");
    assert_eq!(condition(&status, "Reconciling"), "False");
    world.finish().await.unwrap();
}
