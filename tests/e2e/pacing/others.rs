//! Another client uses the same account.

use harness::crowd_phone;
use jiff::Timestamp;
use phone_migration_operator::cams::{
    Cams, CamsConfig, ClientOptions, CredentialSource, Destination, Endpoint, SignatureVersion,
    Target,
};
use phone_migration_operator::secret::Secret;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::*;

/// Calls a second of the other client.
const THEIRS: u32 = 5;
/// The Retry-After of CAMS with each throttle.
const RETRY_AFTER: Duration = Duration::from_millis(1_500);
/// A call that already had its slot when the throttle was read cannot react to it.
const UNDER_WAY: Duration = Duration::from_millis(400);

/// A client of the same key that submits codes for its own numbers, as evenly as it can, and
/// ignores throttles.
fn other_client(world: &World) -> JoinHandle<()> {
    let config = CamsConfig {
        endpoint: Endpoint::parse(Destination::Cams, &world.sim.url(), true).unwrap(),
        signature: SignatureVersion::V3,
        credentials: CredentialSource::environment(|name| match name {
            "ALIBABA_CLOUD_ACCESS_KEY_ID" => Some(ACCESS_KEY_ID.to_owned()),
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET" => Some(ACCESS_KEY_SECRET.to_owned()),
            _ => None,
        })
        .into(),
        options: ClientOptions::default(),
    };
    let cams = Cams::new(config).unwrap();
    let seed = seed();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / THEIRS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for n in 0u32.. {
            ticks.tick().await;
            let phone = format!("4915{n:08}");
            let target = Target {
                cust_space_id: "1",
                phone_number: &phone,
            };
            let nonce = format!("{seed:016x}{n:016x}");
            let code = Secret::new("1234".to_owned());
            let request = cams.sign_verified(target, &code, &nonce, Timestamp::now());
            cams.submit(request, || async { Ok(()) }).await;
        }
    })
}

fn ours(entry: &Entry) -> bool {
    let phone = entry.phone.as_deref().unwrap_or_default();
    phone.starts_with(&crowd_phone(0)[..5])
}

/// After each throttle of the operator, no call of the operator arrives for the requested time.
fn assert_obeys(ledger: &[Entry]) {
    let us = |d: Duration| u64::try_from(d.as_micros()).unwrap();
    for throttle in throttled(ledger, VERIFIED).iter().filter(|e| ours(e)) {
        let told = throttle.replied_us.unwrap();
        let too_soon = |e: &&Entry| {
            let after = e.arrived_us.saturating_sub(told);
            ours(e) && after > us(UNDER_WAY) && after < us(RETRY_AFTER)
        };
        let early: Vec<_> = ledger.iter().filter(too_soon).collect();
        assert!(early.is_empty(), "told at {told}: {early:#?}");
    }
}

async fn shared_account(name: &str, resources: u32, within: Duration) {
    let world = world_with(name, resources).await;
    // CAMS throttles the other client's calls too, and that client ignores it.
    world.expect_throttles();
    world.expect_other_clients();
    let busy = Refusal::new(429, "Throttling.User", "Request was denied.");
    let asks = busy.retry_after_ms(u64::try_from(RETRY_AFTER.as_millis()).unwrap());
    let changed = world.sim.change_settings(|s| s.throttle = asks);
    changed.unwrap();
    let other = other_client(&world);
    let _operator = operator(&world, NEVER_FINAL).await;
    world.until_all_verified(resources, within).await.unwrap();
    other.abort();
    let ledger = world.sim.ledger();
    let met = throttled(&ledger, VERIFIED)
        .iter()
        .filter(|e| ours(e))
        .count();
    println!("throttled of ours: {met}");
    let case = format!("C21, {resources} resources beside {THEIRS} calls a second");
    tell(&case, &world, Edges::Tenth);
    assert!(met > 0, "the other client was not felt");
    assert_obeys(&ledger);
    for object in world.list().await.unwrap() {
        let attempt = &object["status"]["attempt"];
        assert_eq!(attempt["number"], 1, "a throttle spends no code: {object}");
    }
    for n in 0..resources {
        assert_eq!(world.executed(&crowd_phone(n)), 1);
    }
    world.finish().await.unwrap();
}

#[tokio::test]
async fn c21_another_client_of_the_account_is_given_way() {
    let _beside = beside().await;
    shared_account("c21-slice", 40, Duration::from_secs(50)).await;
}

#[tokio::test]
#[ignore = "minutes: 200 resources on half of the quota"]
async fn c21_200_resources_settle_beside_another_client_of_the_account() {
    let _alone = alone().await;
    shared_account("c21", 200, Duration::from_secs(600)).await;
}
