//! STS gives no key for longer than the old one lives: the account is held, no code is spent, and
//! all resources go on by themselves.

use harness::cams_simulator::WITH_OIDC;

use super::*;

/// Life of the keys, in place of an hour: renewed after half of it, used for nine tenths.
const LIFE_MS: u64 = 4000;

/// Waits until the resource shows that the account has no key.
async fn held(world: &World, n: usize) {
    let held = |status: &Value| {
        harness::reason(status) == "CredentialsInvalid" && message(status).contains("not signed in")
            || message(status).contains("no credentials that CAMS takes")
    };
    world.until_status(&format!("m-{n}"), held).await;
}

/// `crowd` resources meet an account without a key; `heal` brings STS back.
async fn without_a_key(world: &World, crowd: usize, heal: impl FnOnce()) {
    held_by_crowd(world, crowd).await;
    let spent = asked(world, VERIFIED).len();
    let exchanges = asked(world, WITH_OIDC).len();
    assert_eq!(spent, 1, "only the one before");
    heal();
    for n in 2..2 + crowd {
        verified(world, n).await;
    }
    assert!(asked(world, WITH_OIDC).len() > exchanges);
    assert_eq!(asked(world, VERIFIED).len(), 1 + crowd);
}

async fn held_by_crowd(world: &World, crowd: usize) {
    // The key in use ends before any resource is created.
    let ended = || {
        let keys = given(world);
        let ends = keys.iter().filter_map(|key| key.expires_at).max();
        ends.is_some_and(|end| end < jiff::Timestamp::now())
    };
    until("the end of the key in use", ended).await;
    for n in 2..2 + crowd {
        migration(world, n).await;
    }
    for n in 2..2 + crowd {
        held(world, n).await;
    }
}

#[tokio::test]
async fn a_key_that_ends_while_sts_is_away_spends_no_code_and_loses_nothing() {
    let world = World::new(OPERATOR, "sts-away").await.unwrap();
    world.rrsa(world.role().living_ms(LIFE_MS)).await.unwrap();
    let _operator = world.start(RRSA).await;
    migration(&world, 1).await;
    verified(&world, 1).await;
    let away = FaultRule::new(Fault::close(Stage::Received)).action(WITH_OIDC);
    let away = world.sim.add_fault(away).unwrap();
    without_a_key(&world, 10, || {
        world.sim.add_role(world.role());
        world.sim.remove_fault(away);
    })
    .await;
    world.finish().await.unwrap();
}

#[tokio::test]
async fn a_role_that_comes_back_is_assumed_again() {
    let world = World::new(OPERATOR, "role-back").await.unwrap();
    world.rrsa(world.role().living_ms(LIFE_MS)).await.unwrap();
    let _operator = world.start(RRSA).await;
    migration(&world, 1).await;
    verified(&world, 1).await;
    assert!(world.sim.remove_role(harness::ROLE));
    let refused = |entry: &Entry| entry.reply_code.as_deref() == Some("EntityNotExist.Role");
    assert!(world.sim.wait_entry(PATIENCE, refused).await.is_some());
    without_a_key(&world, 2, || world.sim.add_role(world.role())).await;
    assert!(world.logs().concat().contains("EntityNotExist.Role"));
    world.finish().await.unwrap();
}

/// An operator that starts with a token of the wrong audience, whose refusal repeats the token; the
/// kubelet replaces it, and no restart is needed.
#[tokio::test]
async fn a_token_that_is_replaced_is_read_anew() {
    let world = World::new(OPERATOR, "rotated").await.unwrap();
    world.rrsa(world.role()).await.unwrap();
    world.project_token("kubernetes").await.unwrap();
    let _operator = world.start(RRSA).await;
    migration(&world, 2).await;
    held(&world, 2).await;
    assert_eq!(asked(&world, VERIFIED).len(), 0);
    world.project_token(harness::AUDIENCE).await.unwrap();
    verified(&world, 2).await;
    let log = world.logs().concat();
    assert!(log.contains("OIDCToken.AudienceNotMatch"), "{log}");
    assert!(log.contains("Signed in to Alibaba Cloud"), "{log}");
    world.finish().await.unwrap();
}
