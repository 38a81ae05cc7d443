//! States of the account that a resource shows: none of them spends the code, and all of them heal.

use harness::cams_simulator::AccountSettings;

use super::expect::*;

const PHONE: &str = "8613800000301";
const CODE: &str = "40718265";

async fn world(name: &str) -> World {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.number(PHONE, CODE, "id-1");
    world.code("m", CODE).await.unwrap();
    world
}

/// Verified by the first attempt: the fault before it did not spend the code.
async fn heals(world: &World) {
    let status = shows(world, "m", accepted()).await;
    assert_eq!(status["attempt"]["number"], 1, "{status}");
    assert!(status["history"].is_null(), "{status}");
    assert!(status["errorCode"].is_null(), "{status}");
    finish(world).await;
}

const CREDENTIALS: &str = "Correct the AccessKey";

#[tokio::test]
async fn refused_credentials_wait_and_heal_when_the_account_is_repaired() {
    let world = world("credentials").await;
    world.key("another-secret");
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let status = shows(&world, "m", progress("CredentialsInvalid", CREDENTIALS)).await;
    assert_eq!(status["errorCode"], "SignatureDoesNotMatch");
    assert!(status["nextAttemptAt"].is_string(), "{status}");
    assert!(status["attempt"].is_null(), "nothing is claimed: {status}");
    // The others wait, and show for what.
    world.migrate("other", "8613800000302", "77665544").await;
    let says = "no credentials that CAMS takes";
    shows(&world, "other", progress("Queued", says)).await;
    assert!(world.calls(PHONE).is_empty());
    world.key(ACCESS_KEY_SECRET);
    shows(&world, "other", accepted()).await;
    until_events(&world, "m", &["CredentialsInvalid", "Verified"]).await;
    heals(&world).await;
}

/// Writes the files of a mounted Secret.
fn write_key(dir: &std::path::Path, id: &str, secret: &str) {
    std::fs::write(dir.join("ALIBABA_CLOUD_ACCESS_KEY_ID"), id).unwrap();
    std::fs::write(dir.join("ALIBABA_CLOUD_ACCESS_KEY_SECRET"), secret).unwrap();
}

#[tokio::test]
async fn refused_credentials_heal_when_the_files_are_repaired() {
    let world = world("credential-files").await;
    let dir = world.dir().join("credentials");
    std::fs::create_dir(&dir).unwrap();
    write_key(&dir, "LTAI5tUnknown\n", ACCESS_KEY_SECRET);
    let dir_text = dir.to_string_lossy();
    let _operator = world.start(&["--credentials-dir", &dir_text]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let status = shows(&world, "m", progress("CredentialsInvalid", CREDENTIALS)).await;
    assert_eq!(status["errorCode"], "InvalidAccessKeyId.NotFound");
    write_key(&dir, ACCESS_KEY_ID, ACCESS_KEY_SECRET);
    heals(&world).await;
}

/// The last process left the account held for four more minutes: longer than any wait here.
async fn held_for_minutes(world: &World, reason: &str) {
    let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap();
    let until = now + Duration::from_secs(240);
    world.make(&Migration::new("m", PHONE)).await;
    let secret = json!({"uid": "11111111-2222-3333-4444-555555555555", "resourceVersion": "1"});
    let attempt = json!({
        "number": 1, "id": "of-the-last-process", "outcome": "Blocked", "secret": secret,
        "generation": 1, "signedAt": now.to_string(), "finishedAt": now.to_string(),
    });
    let status = json!({"reason": reason, "nextAttemptAt": until.to_string(), "attempt": attempt});
    world.patch_status("m", status).await.unwrap();
}

/// No resource calls, and all of them wait.
async fn nothing_is_tried(world: &World) {
    let other = "8613800000302";
    world.migrate("other", other, "77665544").await;
    shows(world, "other", progress("Queued", "CAMS")).await;
    assert!(world.sim.ledger().is_empty(), "probed too early");
}

/// Both are verified, by one call each.
async fn goes_on(world: &World) {
    for name in ["m", "other"] {
        let status = shows(world, name, accepted()).await;
        assert_eq!(status["attempt"]["number"], 1, "{status}");
    }
    // Not the strict end of the others: the operator did not write the status that was there first.
    world.finish().await.unwrap();
}

#[tokio::test]
async fn a_held_account_is_tried_when_a_person_asks_for_it() {
    for reason in ["CredentialsInvalid", "AccountError"] {
        let world = world("asked").await;
        held_for_minutes(&world, reason).await;
        let _operator = world.start(&[]).await;
        nothing_is_tried(&world).await;
        world.request("m", "repaired").await.unwrap();
        goes_on(&world).await;
    }
}

/// No call is signed meanwhile, and only signing would read the files.
#[tokio::test]
async fn a_held_account_is_tried_when_its_credential_files_change() {
    let world = world("changed-files").await;
    held_for_minutes(&world, "CredentialsInvalid").await;
    let dir = world.dir().join("credentials");
    std::fs::create_dir(&dir).unwrap();
    write_key(&dir, ACCESS_KEY_ID, "a-wrong-secret");
    let dir_text = dir.to_string_lossy();
    let flags = ["--credentials-dir", &dir_text];
    let _operator = world.start(&flags).await;
    nothing_is_tried(&world).await;
    write_key(&dir, ACCESS_KEY_ID, ACCESS_KEY_SECRET);
    goes_on(&world).await;
}

#[tokio::test]
async fn a_refused_account_waits_and_heals() {
    let world = world("account").await;
    let deny = |denied: bool| {
        let mut account = AccountSettings::default();
        if denied {
            account
                .denied
                .insert(VERIFIED.into(), AccountSettings::ram_denial());
        }
        let change = |s: &mut harness::cams_simulator::Settings| {
            s.accounts.insert(ACCESS_KEY_ID.into(), account);
        };
        world.sim.change_settings(change).unwrap();
    };
    deny(true);
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    let says = "Check the RAM policy and the subscription";
    let status = shows(&world, "m", progress("AccountError", says)).await;
    assert_eq!(status["errorCode"], "Ram.PermissionDeny");
    assert_eq!(status["attempt"]["outcome"], "Blocked");
    assert!(status["nextAttemptAt"].is_string(), "{status}");
    deny(false);
    heals(&world).await;
}

const CLOCK: &str = "Correct the node's clock";

/// The service would accept it. But if a signature can be taken as fifteen minutes younger or older
/// than it is, "surely expired" becomes a guess.
#[tokio::test]
async fn nothing_is_sent_while_the_clocks_differ_by_more_than_a_minute() {
    let world = world("skew").await;
    world.sim.set_clock_offset(-120_000);
    let _operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    shows(&world, "m", progress("ClockSkew", CLOCK)).await;
    assert!(world.calls(PHONE).is_empty());
    world.sim.set_clock_offset(0);
    heals(&world).await;
}

async fn throttled_for(world: &World, ms: u64) -> Operator {
    world.next_call(busy(ms));
    let operator = world.start(&[]).await;
    world.make(&Migration::new("m", PHONE)).await;
    operator
}

#[tokio::test]
async fn a_throttled_call_is_repeated_after_the_pause_that_the_service_asks_for() {
    let world = world("throttled").await;
    let _operator = throttled_for(&world, 4000).await;
    let status = shows(&world, "m", throttled()).await;
    assert_eq!(status["errorCode"], "Throttling.User");
    assert_eq!(status["attempt"]["outcome"], "Throttled");
    assert!(status["nextAttemptAt"].is_string(), "{status}");
    shows(&world, "m", accepted()).await;
    let calls = world.calls(PHONE);
    assert_eq!(calls.len(), 2);
    let pause = Duration::from_micros(calls[1].arrived_us - calls[0].arrived_us);
    assert!(pause >= Duration::from_secs(4), "{pause:?}");
    assert!(pause < Duration::from_secs(8), "{pause:?}");
    // Signed anew, under a claim of its own.
    assert_ne!(calls[0].nonce, calls[1].nonce);
    until_events(&world, "m", &["Throttled", "Verified"]).await;
    heals(&world).await;
}

#[tokio::test]
async fn a_code_that_expires_while_the_account_is_paused_is_not_sent() {
    let world = world("expires-paused").await;
    let soon = jiff::Timestamp::now() + Duration::from_secs(5);
    let data = json!({"code": CODE, "expiresAt": soon.to_string()});
    world.secret("m-code", data).await.unwrap();
    let _operator = throttled_for(&world, 9000).await;
    shows(&world, "m", throttled()).await;
    shows(&world, "m", stalled("CodeExpired", "request a new code")).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    let fresh = json!({"stringData": {"expiresAt": "2099-01-01T00:00:00Z"}});
    world.patch_secret("m-code", fresh).await.unwrap();
    world.request("m", "now").await.unwrap();
    heals(&world).await;
}

/// No request left the operator: CAMS cannot be reached, and no code is spent on that.
#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_holds_the_account_and_is_probed() {
    let world = world("unreachable").await;
    let nowhere = ["--cams-endpoint", "http://127.0.0.1:1"];
    let mut operator = world.start(&nowhere).await;
    world.make(&Migration::new("m", PHONE)).await;
    let status = says(&world, "m", "Queued", "could not be sent").await;
    assert_eq!(status["attempt"]["outcome"], "NotSent", "{status}");
    shows(&world, "m", progress("Queued", "CAMS cannot be reached")).await;
    operator.stop().await.unwrap();
    let _operator = world.start(&[]).await;
    heals(&world).await;
}
