//! Faults that stop a whole account: each cause spends no code, causes no churn, and heals by
//! itself.

use harness::cams_simulator::AccountSettings;

use super::*;

fn received(world: &World, action: &str) -> usize {
    let ledger = world.sim.ledger();
    ledger.iter().filter(|e| e.action == action).count()
}

/// Verified by the first attempt and one call: the fault before it spent no code.
async fn healed(world: &World, name: &str, n: usize) {
    let status = verified(world, name, &phone(n)).await;
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    assert_eq!(world.executed(&phone(n)), 1);
}

/// 20 resources, and a service that echoes the string it signed: key id, code and all.
#[tokio::test]
async fn c33_wrong_credentials_hold_the_account_and_leak_nothing() {
    let world = World::new(OPERATOR, "c33").await.unwrap();
    world.key("AnotherSecretOfTheSameKey");
    let _operator = world.start(NEVER_FINAL).await;
    for n in 0..20 {
        world.migrate(&format!("m-{n}"), &phone(n), &code(n)).await;
    }
    let held = || received(&world, READ_STATUS) >= 1;
    until("the hold is probed", held).await;
    // The refused and the not refused resources.
    let mut refused = 0;
    for n in 0..20 {
        let told = |s: &Value| {
            let ways = [
                "refuses the operator's credentials",
                "no credentials that CAMS takes",
            ];
            ways.iter().any(|way| message(s).contains(way))
        };
        let status = world.until_status(&format!("m-{n}"), told).await;
        if harness::reason(&status) == "CredentialsInvalid" {
            assert_eq!(condition(&status, "Reconciling"), "True", "{status}");
            assert_eq!(condition(&status, "Finished"), "False", "{status}");
            refused += 1;
        } else {
            assert_eq!(harness::reason(&status), "Queued", "{status}");
        }
    }
    assert!(refused >= 1);
    let submitted = received(&world, VERIFIED);
    assert!(submitted <= 3, "{submitted} submissions");
    let probed = received(&world, READ_STATUS);
    // Those in flight when the first one was refused, and the probes.
    assert!(probed <= 10, "{probed} reads, not one for each resource");
    world.key(ACCESS_KEY_SECRET);
    for n in 0..20 {
        healed(&world, &format!("m-{n}"), n).await;
    }
    world.finish().await.unwrap();
}

#[tokio::test]
async fn c34_a_clock_20_minutes_off_holds_the_account_and_spends_nothing() {
    let world = World::new(OPERATOR, "c34").await.unwrap();
    world.sim.set_clock_offset(20 * 60_000);
    let _operator = world.start(NEVER_FINAL).await;
    world.migrate("look", &phone(1), &code(1)).await;
    world.migrate("send", &phone(2), &code(2)).await;
    let status = reason(&world, "look", "ClockSkew").await;
    assert_eq!(status["errorCode"], "InvalidTimeStamp.Expired", "{status}");
    assert_eq!(condition(&status, "Reconciling"), "True", "{status}");
    let probed = || received(&world, READ_STATUS) >= 2;
    until("the hold is probed", probed).await;
    assert!(received(&world, VERIFIED) <= 1, "the clocks differ");
    let reads = received(&world, READ_STATUS);
    assert!(reads <= 3, "{reads} reads in the first seconds: a loop");
    world.sim.set_clock_offset(0);
    for (name, n) in [("look", 1), ("send", 2)] {
        healed(&world, name, n).await;
    }
    world.finish().await.unwrap();
}

/// The reply itself shows the clock skew: the operator sends nothing more until a read shows a
/// right clock.
#[tokio::test]
async fn c34_an_expired_timestamp_of_one_call_is_not_an_attempt() {
    let world = World::new(OPERATOR, "c34-call").await.unwrap();
    let skew = Fault::ClockOffset { ms: 20 * 60_000 };
    world.next_call_of(&phone(1), skew);
    let _operator = world.start(NEVER_FINAL).await;
    world.migrate("skew", &phone(1), &code(1)).await;
    let status = reason(&world, "skew", "ClockSkew").await;
    assert_eq!(status["attempt"]["outcome"], "Blocked", "{status}");
    let status = verified(&world, "skew", &phone(1)).await;
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    assert_eq!(world.counts(&phone(1)), (2, 1));
    world.finish().await.unwrap();
}

#[tokio::test]
async fn three_lost_replies_in_a_row_spare_the_next_code() {
    let world = World::new(OPERATOR, "outage").await.unwrap();
    let dead = |fault, action: &str| FaultRule::new(fault).action(action);
    world.fault(dead(Fault::close(Stage::Executed), VERIFIED).times(3));
    world.fault(dead(Fault::close(Stage::Received), READ_STATUS));
    let _operator = world.start(NEVER_FINAL).await;
    for n in 1..=3 {
        let name = format!("m-{n}");
        world.migrate(&name, &phone(n), &code(n)).await;
        reason(&world, &name, "OutcomeUnknown").await;
    }
    world.migrate("m-4", &phone(4), &code(4)).await;
    says(&world, "m-4", "Queued", "cannot be reached").await;
    // Its probe is a read.
    let probed = || !world.reads(&phone(4)).is_empty();
    until("the hold is probed", probed).await;
    assert!(world.calls(&phone(4)).is_empty(), "sent into an outage");
    world.sim.clear_faults();
    for n in 1..=4 {
        verified(&world, &format!("m-{n}"), &phone(n)).await;
        assert_eq!(world.calls(&phone(n)).len(), 1);
    }
    world.finish().await.unwrap();
}

#[tokio::test]
async fn an_account_that_may_not_submit_is_probed_by_one_attempt_at_a_time() {
    let world = World::new(OPERATOR, "denied").await.unwrap();
    let deny = |account: &mut AccountSettings| {
        let denial = AccountSettings::ram_denial();
        account.denied.insert(VERIFIED.to_owned(), denial);
    };
    let settings = &world.sim;
    let changed =
        settings.change_settings(|s| deny(s.accounts.entry(ACCESS_KEY_ID.into()).or_default()));
    changed.unwrap();
    let _operator = world.start(NEVER_FINAL).await;
    for n in 0..10 {
        world.migrate(&format!("m-{n}"), &phone(n), &code(n)).await;
    }
    let denied = || received(&world, VERIFIED);
    until("the account was refused", || denied() >= 1).await;
    let first = world.sim.ledger()[0].arrived_us;
    // The first probe is due after 5 s.
    let probed = || world.sim.now_us() > first + 7_000_000;
    until("the hold is probed", probed).await;
    assert!((2..=5).contains(&denied()), "{}", denied());
    settings.change_settings(|s| s.accounts.clear()).unwrap();
    for n in 0..10 {
        healed(&world, &format!("m-{n}"), n).await;
    }
    world.finish().await.unwrap();
}
