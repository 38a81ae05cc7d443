//! The role of the instance, by its metadata service.

use harness::cams_simulator::Role;

use super::*;

#[tokio::test]
async fn the_role_of_an_instance_signs_in_by_hardened_mode() {
    let world = World::new(OPERATOR, "ecs").await.unwrap();
    world.sim.add_role(Role::new(harness::ROLE));
    world.sim.set_instance_role(Some(harness::ROLE));
    let metadata = format!("--metadata-endpoint={}", world.sim.metadata_url());
    let flags = ["--credentials=ecs", "--signature-validity=10m", &metadata];
    let _operator = world.start(&flags).await;
    migration(&world, 1).await;
    verified(&world, 1).await;
    // Without a token the service answers 403, so each of these had one.
    let roles = "/latest/meta-data/ram/security-credentials/";
    let asked_for = ["/latest/api/token", roles, &format!("{roles}phmig")];
    assert_eq!(world.sim.metadata_asked(), asked_for);
    assert!(asked(&world, harness::cams_simulator::WITH_OIDC).is_empty());
    let calls = world.calls(&super::phone(1));
    assert_eq!(calls[0].account.as_deref(), Some("1968132000234567"));
    world.finish().await.unwrap();
}

#[tokio::test]
async fn an_instance_without_a_role_is_told_apart_from_none() {
    let world = World::new(OPERATOR, "no-ecs").await.unwrap();
    let metadata = format!("--metadata-endpoint={}", world.sim.metadata_url());
    let there = world.launch(&["--credentials=ecs", &metadata]).unwrap();
    let line = super::words::credentials(&there).await;
    assert_says(
        &line,
        &["WRONG    credentials: the instance has no RAM role"],
    );
    let metadata = "--metadata-endpoint=http://127.0.0.1:1";
    let nowhere = ["--credentials=ecs", metadata];
    let line = super::words::credentials(&world.launch(&nowhere).unwrap()).await;
    assert_says(
        &line,
        &["the metadata service cannot be reached (no connection"],
    );
    world.finish().await.unwrap();
}
