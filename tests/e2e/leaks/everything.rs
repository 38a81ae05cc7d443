//! Runs every error path once, then searches all output for every secret.

use harness::SECURITY_TOKEN;
use harness::cams_simulator::Answer;

use super::artefacts::{etcd_dump, of_process};
use super::canary::{Canary, next_read, sends};
use super::replies::{CALM, replies};
use super::*;

/// Secrets that hold anything but a code that may be sent.
async fn values(world: &World, canary: &Canary) {
    let code = canary.code(40);
    let other = "a-value-of-another-key";
    let other_secret = "hunter2-Database/Passw0rd+==";
    let no_time = json!({"code": code, "expiresAt": "the canary's next birthday"});
    let past = json!({"code": code, "expiresAt": "2020-01-01T00:00:00Z"});
    let table = [
        (json!({"code": other_secret}), "InvalidCode"),
        (json!({"code": format!("+{code}")}), "InvalidCode"),
        (json!({"code": format!("{code}.\n")}), "InvalidCode"),
        (no_time, "InvalidCode"),
        (past, "CodeExpired"),
        (json!({"another": other}), "KeyNotFound"),
    ];
    for (n, (data, _)) in table.iter().enumerate() {
        let name = format!("value-{n}");
        let secret = format!("{name}-code");
        world.secret(&secret, data.clone()).await.unwrap();
        let phone = canary.phone(40 + n);
        world.make(&Migration::new(&name, phone)).await;
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
    world.next_call_of(&phone(60), throttle);
    sends(world, canary, "account-60", 60).await;
    reason(world, "account-60", "Verified").await;
    // A pre-read whose reply says too much.
    let refusal = told("InvalidParameter", 64);
    let look = Fault::answer(Stage::Received, Answer::Api { refusal });
    next_read(world, &phone(64), look);
    sends(world, canary, "look", 64).await;
    reason(world, "look", "Verified").await;
    world.next_call_of(&phone(61), Fault::ClockOffset { ms: 20 * 60_000 });
    sends(world, canary, "account-61", 61).await;
    reason(world, "account-61", "ClockSkew").await;
    reason(world, "account-61", "Verified").await;
    world.next_call_of(
        &phone(62),
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
    let echoed = |e: &Entry| e.reply_code.as_deref() == Some("SignatureDoesNotMatch");
    assert!(world.sim.ledger().iter().any(echoed), "no echo was sent");
}

async fn until_logged(world: &World, text: &str) {
    until(text, || world.logs().concat().contains(text)).await;
}

/// Deleted while its call is in flight: the outcome goes to an Event and the log.
async fn orphaned(world: &World, canary: &Canary) {
    world.next_call_of(&canary.phone(70), Fault::gate(Stage::Executed));
    sends(world, canary, "orphan", 70).await;
    let held = world.held().await;
    world.delete("orphan").await.unwrap();
    world.go_on(held);
    until_logged(world, "whose resource is gone").await;
}

/// Its credential files are damaged; the operator notices, and the test repairs them.
async fn spoilt_credentials(world: &World, canary: &Canary, folder: &std::path::Path) {
    let token = folder.join("ALIBABA_CLOUD_SECURITY_TOKEN");
    std::fs::write(&token, format!("{SECURITY_TOKEN} {ACCESS_KEY_SECRET}")).unwrap();
    sends(world, canary, "spoilt", 71).await;
    reason(world, "spoilt", "Verified").await;
    until_logged(world, "CAMS credentials not reloaded").await;
    std::fs::write(&token, SECURITY_TOKEN).unwrap();
}

/// The server does not speak TLS although the URL says https: nothing is sent, and the account is
/// held.
async fn without_tls(world: &World, canary: &Canary, flags: &[&str]) {
    let url = world.sim.url().replace("http:", "https:");
    let flags = [flags, &["--cams-endpoint", &url]].concat();
    let mut operator = world.start(&flags).await;
    sends(world, canary, "tls", 80).await;
    let told = |status: &Value| {
        let shown = status.to_string();
        shown.contains("NotSent.Tls") || shown.contains("CAMS cannot be reached")
    };
    world.until_status("tls", told).await;
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
    let case = format!("every-path-{signature}");
    let world = World::new(OPERATOR, &case).await.unwrap();
    let folder = world.temporary_credentials().unwrap();
    let path = folder.to_string_lossy().into_owned();
    let given = ["--signature", signature, "--credentials-dir", &path];
    let flags = [SOON_FINAL, &given].concat();
    without_tls(&world, &canary, &flags).await;
    let mut operator = world.start(&flags).await;
    replies(&world, &canary).await;
    values(&world, &canary).await;
    orphaned(&world, &canary).await;
    spoilt_credentials(&world, &canary, &folder).await;
    account(&world, &canary).await;
    // 25 codes and more, as many numbers, a signature of every call and read, and the keys.
    let secrets = world.canaries().count();
    assert!(secrets > 100, "{secrets}");
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
