//! A role that is assumed with another role's key.

use harness::cams_simulator::{ASSUME_ROLE, Role};

use super::*;

/// A role of another account.
pub(super) const OTHER: &str = "acs:ram::2000000000000002:role/cams-migration";

#[tokio::test]
async fn a_role_of_another_account_is_assumed_with_its_external_id() {
    let world = World::new(OPERATOR, "chain").await.unwrap();
    world.rrsa(world.role()).await.unwrap();
    let mut other = Role::new(OTHER).trusting_key(harness::ROLE);
    other.external_id = Some("acme-7f3c".to_owned());
    world.sim.add_role(other);
    let arn = format!("--assume-role-arn={OTHER}");
    let flags = [RRSA, &[&arn, "--assume-role-external-id=acme-7f3c"]].concat();
    let _operator = world.start(&flags).await;
    migration(&world, 1).await;
    verified(&world, 1).await;

    let second = asked(&world, ASSUME_ROLE);
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].signature_ok, Some(true));
    // Only the last key is restricted: the first one must be able to assume the other role.
    for key in given(&world) {
        let allowed = key.allowed.unwrap();
        let is_last = key.role.as_deref() == Some(OTHER);
        assert_eq!(allowed.len(), if is_last { 2 } else { 4 }, "{allowed:?}");
    }
    // The numbers belong to the other account.
    let calls = world.calls(&super::phone(1));
    assert_eq!(calls[0].account.as_deref(), Some("2000000000000002"));
    world.finish().await.unwrap();
}
