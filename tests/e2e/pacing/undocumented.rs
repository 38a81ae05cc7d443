//! The undocumented parts of CAMS, tried both ways: the kind of its window, throttled calls that
//! count, the order of its checks, the scope of nonces. Whichever it is, no code is executed twice,
//! no outcome is lost, and the operator obeys a throttle of either action. CAMS admits fewer calls here than the
//! operator is told, so that it throttles some.

use Check::{AccessKey as Key, Api, Nonce, Permission, Quota as Limit, Signature, Timestamp};
use harness::cams_simulator::{Check, NonceScope, Quota, QuotaKind, Settings};

use super::*;

const RESOURCES: u32 = 20;
/// Calls a second that CAMS admits.
const ADMITTED: u32 = 4;
/// The Retry-After of CAMS with each throttle.
const RETRY_AFTER: Duration = Duration::from_millis(1_500);
/// A call that already had its slot when the throttle was read cannot react to it.
const UNDER_WAY: Duration = Duration::from_millis(400);

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

async fn all_are_verified(name: &str, change: impl FnOnce(&mut Settings)) {
    let _beside = beside().await;
    let world = world_with(name, RESOURCES).await;
    world.expect_throttles();
    let busy = Refusal::new(429, "Throttling.User", "Request was denied.");
    let asks = busy.retry_after_ms(micros(RETRY_AFTER) / 1000);
    let changed = world.sim.change_settings(|settings| {
        settings.throttle = asks;
        settings.quota = Quota::rolling(ADMITTED);
        change(settings);
    });
    changed.unwrap();
    let _operator = operator(&world, NEVER_FINAL).await;
    let all = world.until_all_verified(RESOURCES, 3 * patience(RESOURCES));
    all.await.unwrap();

    let ledger = world.sim.ledger();
    let throttles = [VERIFIED, READ_STATUS].map(|action| throttled(&ledger, action));
    let throttles = throttles.concat();
    assert!(!throttles.is_empty(), "nothing was throttled");
    for throttle in &throttles {
        let told = throttle.replied_us.unwrap();
        let too_soon = ledger.iter().filter(|entry| {
            let after = entry.arrived_us.saturating_sub(told);
            after > micros(UNDER_WAY) && after < micros(RETRY_AFTER)
        });
        assert_eq!(too_soon.count(), 0, "after the throttle at {told} µs");
    }
    world.finish().await.unwrap();
}

fn of_kind(kind: QuotaKind, count_throttled: bool) -> Quota {
    Quota {
        count_throttled,
        ..Quota::rolling(ADMITTED).of_kind(kind)
    }
}

#[tokio::test]
async fn a_fixed_window() {
    all_are_verified("q-fixed", |s| s.quota = of_kind(QuotaKind::Fixed, false)).await;
}

#[tokio::test]
async fn a_fixed_window_in_which_throttled_calls_count() {
    all_are_verified("q-fixedc", |s| s.quota = of_kind(QuotaKind::Fixed, true)).await;
}

#[tokio::test]
async fn a_rolling_window_in_which_throttled_calls_count() {
    all_are_verified("q-rollc", |s| s.quota = of_kind(QuotaKind::Rolling, true)).await;
}

#[tokio::test]
async fn a_token_bucket() {
    all_are_verified("q-bucket", |s| s.quota = of_kind(QuotaKind::Bucket, false)).await;
}

/// A throttled call leaves its nonce unused.
#[tokio::test]
async fn the_quota_is_checked_before_signature_and_nonce() {
    all_are_verified("q-first", |s| {
        s.checks = vec![Key, Limit, Signature, Timestamp, Nonce, Api, Permission];
    })
    .await;
}

/// Every refused call uses up the quota, and none its nonce.
#[tokio::test]
async fn the_nonce_is_checked_last() {
    all_are_verified("q-last", |s| {
        s.checks = vec![Key, Permission, Api, Timestamp, Signature, Limit, Nonce];
    })
    .await;
}

#[tokio::test]
async fn a_nonce_is_unique_for_one_key() {
    all_are_verified("q-key", |s| s.nonce_scope = NonceScope::Key).await;
}

#[tokio::test]
async fn a_nonce_is_unique_among_all_accounts() {
    all_are_verified("q-global", |s| s.nonce_scope = NonceScope::Global).await;
}
