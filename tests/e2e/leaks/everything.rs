//! Runs every error path once, then searches all output for every secret.

use harness::cams_simulator::{
    AccessKey, Answer, Fault, READ_STATUS, Refusal, Release, Stage, VERIFIED,
};
use harness::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Migration, Operator, SECURITY_TOKEN, World};
use serde_json::{Value, json};

use super::artefacts::{etcd_dump, of_process};
use super::canary::{Canary, fault, sends};
use super::replies::{CALM, replies};
use super::{OPERATOR, PATIENCE, SOON_FINAL, reason, until};

/// Secrets that hold anything but a code that may be sent.
async fn values(world: &World, canary: &Canary) {
    let code = canary.code(40);
    let other = "a-value-of-another-key";
    let table = [
        (
            json!({"code": "hunter2-Database/Passw0rd+=="}),
            "InvalidCode",
        ),
        (json!({"code": format!("+{code}")}), "InvalidCode"),
        (json!({"code": format!("{code}.\n")}), "InvalidCode"),
        (
            json!({"code": code, "expiresAt": "the canary's next birthday"}),
            "InvalidCode",
        ),
        (
            json!({"code": code, "expiresAt": "2020-01-01T00:00:00Z"}),
            "CodeExpired",
        ),
        (json!({"another": other}), "KeyNotFound"),
    ];
    for (n, (data, _)) in table.iter().enumerate() {
        let name = format!("value-{n}");
        world
            .secret(&format!("{name}-code"), data.clone())
            .await
            .unwrap();
        world
            .make(&Migration::new(&name, canary.phone(40 + n)))
            .await;
    }
    for (n, (_, wanted)) in table.iter().enumerate() {
        reason(world, &format!("value-{n}"), wanted).await;
    }
    // Shares a number that another resource's code verified.
    let same = Migration::new("duplicate", canary.phone(CALM));
    world.code("duplicate", &canary.code(41)).await.unwrap();
    world.make(&same).await;
    reason(world, "duplicate", "DuplicatePhoneNumber").await;
}

/// The account itself: throttled, denied, with a skewed clock, and refused with an echo of the
/// signed string.
async fn account(world: &World, canary: &Canary) {
    let told = |code, n| Refusal::new(400, code, canary.echo(n));
    let throttle = told("Throttling.User", 60).retry_after_ms(500);
    let throttle = Fault::api(Stage::Counted, throttle);
    let phone = |n| canary.phone(n);
    fault(world, &phone(60), VERIFIED, throttle);
    sends(world, canary, "account-60", 60).await;
    reason(world, "account-60", "Verified").await;
    // A pre-read whose reply says too much.
    let look = Fault::answer(
        Stage::Received,
        Answer::Api {
            refusal: told("InvalidParameter", 64),
        },
    );
    fault(world, &phone(64), READ_STATUS, look);
    let code = canary.code(64);
    world.migrate("look", &phone(64), &code).await;
    reason(world, "look", "Verified").await;
    fault(
        world,
        &phone(61),
        VERIFIED,
        Fault::ClockOffset { ms: 20 * 60_000 },
    );
    sends(world, canary, "account-61", 61).await;
    reason(world, "account-61", "ClockSkew").await;
    reason(world, "account-61", "Verified").await;
    fault(
        world,
        &phone(62),
        VERIFIED,
        Fault::api(Stage::Counted, told("Forbidden.RAM", 62)),
    );
    sends(world, canary, "account-62", 62).await;
    reason(world, "account-62", "AccountError").await;
    reason(world, "account-62", "Verified").await;
    let wrong = AccessKey::new(ACCESS_KEY_ID, "AnotherSecretOfTheSameKey");
    world.sim.add_key(wrong.with_token(SECURITY_TOKEN));
    sends(world, canary, "account-63", 63).await;
    reason(world, "account-63", "CredentialsInvalid").await;
    let right = AccessKey::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET);
    world.sim.add_key(right.with_token(SECURITY_TOKEN));
    reason(world, "account-63", "Verified").await;
    let echoed = |e: &harness::cams_simulator::Entry| {
        e.reply_code.as_deref() == Some("SignatureDoesNotMatch")
    };
    assert!(world.sim.ledger().iter().any(echoed), "no echo was sent");
}

/// Deleted while its call is in flight: the outcome goes to an Event and the log.
async fn orphaned(world: &World, canary: &Canary) {
    fault(
        world,
        &canary.phone(70),
        VERIFIED,
        Fault::gate(Stage::Executed),
    );
    sends(world, canary, "orphan", 70).await;
    let held = world.sim.wait_held(PATIENCE).await.unwrap();
    world.delete("orphan").await.unwrap();
    assert!(world.sim.release(held.id, Release::Continue));
    let logged = || world.logs().concat().contains("whose resource is gone");
    until("the orphan's outcome is logged", logged).await;
}

/// Its credential files are damaged; the operator notices, and the test repairs them.
async fn spoilt_credentials(world: &World, canary: &Canary, folder: &std::path::Path) {
    let token = folder.join("ALIBABA_CLOUD_SECURITY_TOKEN");
    std::fs::write(&token, format!("{SECURITY_TOKEN} {ACCESS_KEY_SECRET}")).unwrap();
    sends(world, canary, "spoilt", 71).await;
    reason(world, "spoilt", "Verified").await;
    let logged = || {
        world
            .logs()
            .concat()
            .contains("CAMS credentials not reloaded")
    };
    until("the spoilt file is noticed", logged).await;
    std::fs::write(&token, SECURITY_TOKEN).unwrap();
}

/// The server does not speak TLS although the URL says https: nothing is sent, and the account is
/// held.
async fn without_tls(world: &World, canary: &Canary, flags: &[&str]) {
    let url = world.sim.url().replace("http:", "https:");
    let flags: Vec<&str> = flags
        .iter()
        .copied()
        .chain(["--cams-endpoint", &url])
        .collect();
    let mut operator = world.start(&flags).await;
    sends(world, canary, "tls", 80).await;
    let told = |status: &Value| {
        let shown = status.to_string();
        shown.contains("NotSent.Tls") || shown.contains("CAMS cannot be reached")
    };
    world.until("tls", PATIENCE, told).await.unwrap();
    assert!(world.sim.ledger().is_empty(), "sent without TLS");
    assert_eq!(operator.stop().await.unwrap(), Some(0));
}

async fn nothing_is_found(world: &World, operator: &mut Operator) {
    let search = world.canaries().search().unwrap();
    let mut all = of_process(operator).await;
    let dump = etcd_dump(world).await;
    assert!(dump.len() > 50, "etcd holds only {} keys", dump.len());
    all.extend(dump);
    all.extend(world.written().await.unwrap());
    search.none_in(&all).unwrap();
    world.finish().await.unwrap();
}

async fn every_error_path(signature: &str, canary: Canary) {
    let world = World::new(OPERATOR, &format!("every-path-{signature}"))
        .await
        .unwrap();
    let folder = world.temporary_credentials().unwrap();
    let path = folder.to_string_lossy().into_owned();
    let given = ["--signature", signature, "--credentials-dir", &path];
    let flags: Vec<&str> = SOON_FINAL.iter().copied().chain(given).collect();
    without_tls(&world, &canary, &flags).await;
    let mut operator = world.start(&flags).await;
    replies(&world, &canary).await;
    values(&world, &canary).await;
    orphaned(&world, &canary).await;
    spoilt_credentials(&world, &canary, &folder).await;
    account(&world, &canary).await;
    // 25 codes and more, as many numbers, a signature of every call and read, and the keys.
    assert!(
        world.canaries().count() > 100,
        "{}",
        world.canaries().count()
    );
    nothing_is_found(&world, &mut operator).await;
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    nothing_new_after_the_end(&world).await;
}

async fn nothing_new_after_the_end(world: &World) {
    let search = world.canaries().search().unwrap();
    search.none_in(&world.written().await.unwrap()).unwrap();
}

#[tokio::test]
async fn no_secret_is_written_whatever_goes_wrong_with_v1_signatures() {
    every_error_path("v1", Canary(1)).await;
}

#[tokio::test]
async fn no_secret_is_written_whatever_goes_wrong_with_v3_signatures() {
    every_error_path("v3", Canary(3)).await;
}
