//! One run in which every path of an error is taken, then a search for every secret in
//! everything that was written.

use harness::cams_simulator::{
    AccessKey, Answer, Fault, FaultRule, READ_STATUS, Refusal, Release, Stage, VERIFIED,
};
use harness::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, Migration, Operator, SECURITY_TOKEN, World, condition,
};
use serde_json::{Value, json};

use crate::artefacts::{etcd_dump, of_process};
use crate::{OPERATOR, PATIENCE, SOON_FINAL, reason, until};

/// The numbers and codes of one run; nothing else looks like them.
struct Canary(usize);

impl Canary {
    fn phone(&self, n: usize) -> String {
        format!("86138{:02}{n:06}", 71 + self.0)
    }

    /// The right code.
    fn code(&self, n: usize) -> String {
        format!("4{}67{n:04}", self.0)
    }

    /// What a careless service might repeat.
    fn echo(&self, n: usize) -> String {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let (code, phone) = (self.code(n), self.phone(n));
        let plain = format!("VerifyCode={code}&PhoneNumber={phone}&AccessKeyId={ACCESS_KEY_ID}");
        let once = plain.replace('=', "%3D").replace('&', "%26");
        let token = SECURITY_TOKEN
            .replace('/', "%2F")
            .replace('+', "%2B")
            .replace('=', "%3D");
        let hex: String = code.bytes().map(|b| format!("{b:02x}")).collect();
        format!(
            "{plain} {once} {token} {} {SECURITY_TOKEN} {hex} {} \u{1b}[31m\r\nlevel=error \u{202e}{code}\u{0}",
            token.replace('%', "%25"),
            STANDARD.encode(&plain),
        )
    }
}

/// A resource that sends without a look; its code is right.
async fn sends(world: &World, canary: &Canary, name: &str, n: usize) {
    let (phone, code) = (canary.phone(n), canary.code(n));
    world.number(&phone, &code, &format!("id-{phone}"));
    world.code(name, &code).await.unwrap();
    let spec = json!({"adoptIfVerified": false});
    world
        .create(&Migration::new(name, phone).spec(spec))
        .await
        .unwrap();
}

fn fault(world: &World, phone: &str, action: &str, fault: Fault) {
    let rule = FaultRule::new(fault).action(action).phone(phone).once();
    world.sim.add_fault(rule).unwrap();
}

/// Replies that say too much, or that are none: the fault, and how it ends.
async fn replies(world: &World, canary: &Canary) {
    let elsewhere = "http://127.0.0.1:9/?".to_owned();
    let raw = |status, content_type: &str, body: String| Answer::Raw {
        status,
        content_type: content_type.into(),
        body,
    };
    let json_type = "application/json;charset=utf-8";
    let api = |status, code: String, n| Answer::Api {
        refusal: Refusal::new(status, code, canary.echo(n)),
    };
    let quoted = |n| Value::from(canary.echo(n)).to_string();
    let deep = |n| format!("{}{}", "[".repeat(20_000), quoted(n));
    let table: Vec<(Fault, &str)> = vec![
        (
            Fault::Message {
                text: canary.echo(0),
            },
            "Verified",
        ),
        (
            Fault::answer(
                Stage::Executed,
                api(200, format!("InvalidVerifyCode.{}", canary.code(1)), 1),
            ),
            "Verified",
        ),
        (
            Fault::answer(Stage::Counted, api(200, "VerifyCode.Mismatch".into(), 2)),
            "CodeRejected",
        ),
        (
            Fault::answer(
                Stage::Counted,
                api(400, format!("InvalidParameter.{}", canary.phone(3)), 3),
            ),
            "RequestRejected",
        ),
        (
            Fault::answer(Stage::Counted, api(500, "InternalError".into(), 4)),
            "OutcomeUnknown",
        ),
        (
            Fault::answer(Stage::Counted, raw(200, "text/html", canary.echo(5))),
            "OutcomeUnknown",
        ),
        (
            Fault::answer(Stage::Counted, raw(502, json_type, quoted(6))),
            "OutcomeUnknown",
        ),
        (
            Fault::answer(Stage::Counted, raw(200, json_type, deep(7))),
            "OutcomeUnknown",
        ),
        (
            Fault::answer(
                Stage::Counted,
                raw(200, json_type, format!("{{\"Code\":{}", quoted(8))),
            ),
            "OutcomeUnknown",
        ),
        (
            Fault::answer(
                Stage::Counted,
                Answer::Redirect {
                    url: elsewhere + &canary.code(9),
                },
            ),
            "OutcomeUnknown",
        ),
        (
            Fault::answer(Stage::Executed, Answer::Huge { bytes: 50 << 20 }),
            "Verified",
        ),
        (
            Fault::OtherPhone {
                phone: canary.phone(12),
            },
            "Verified",
        ),
        (Fault::reset(Stage::Received), "OutcomeUnknown"),
        (Fault::half_reply(), "Verified"),
        (Fault::nonce_used(Stage::Counted), "OutcomeUnknown"),
        (Fault::blackhole(Stage::Counted), "OutcomeUnknown"),
    ];
    // The last takes longest.
    for (n, (unlucky, wanted)) in table.iter().enumerate().rev() {
        fault(world, &canary.phone(n), VERIFIED, unlucky.clone());
        // The read before a refusal is recorded repeats too much as well.
        if wanted.ends_with("Rejected") {
            let read = Fault::answer(Stage::Received, raw(200, json_type, quoted(n)));
            fault(world, &canary.phone(n), READ_STATUS, read);
        }
        let name = format!("reply-{n}");
        sends(world, canary, &name, n).await;
        // Three in a row would hold the account.
        if *unlucky != Fault::blackhole(Stage::Counted) {
            let told = |status: &Value| status["attempt"]["outcome"].is_string();
            world.until(&name, PATIENCE, told).await.unwrap();
        }
        let calm = format!("calm-{n}");
        sends(world, canary, &calm, 100 + n).await;
        reason(world, &calm, "Verified").await;
    }
    for (n, (_, wanted)) in table.iter().enumerate() {
        let ended = |status: &Value| {
            harness::reason(status) == *wanted && condition(status, "Finished") == "True"
        };
        let name = format!("reply-{n}");
        world.until(&name, PATIENCE, ended).await.unwrap();
    }
}

/// Secrets that hold anything but a code that may be sent.
async fn values(world: &World, canary: &Canary) {
    let code = canary.code(40);
    let other = "a-value-of-another-key";
    let table = [
        (
            json!({"code": "hunter2-Database/Passw0rd+=="}),
            "InvalidCode",
        ),
        (json!({"code": format!(" {code}")}), "InvalidCode"),
        (json!({"code": format!("{code}\n\n")}), "InvalidCode"),
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
            .create(&Migration::new(&name, canary.phone(40 + n)))
            .await
            .unwrap();
    }
    for (n, (_, wanted)) in table.iter().enumerate() {
        reason(world, &format!("value-{n}"), wanted).await;
    }
    // Of a number that is somebody's already.
    let same = Migration::new("duplicate", canary.phone(2));
    world.code("duplicate", &canary.code(41)).await.unwrap();
    world.create(&same).await.unwrap();
    reason(world, "duplicate", "DuplicatePhoneNumber").await;
}

/// The account itself: throttled, denied, off by its clock, and refused with an echo of the
/// string that was signed.
async fn account(world: &World, canary: &Canary) {
    let told = |code, n| Refusal::new(400, code, canary.echo(n));
    let throttle = told("Throttling.User", 60).retry_after_ms(500);
    let throttle = Fault::api(Stage::Counted, throttle);
    let phone = |n| canary.phone(n);
    fault(world, &phone(60), VERIFIED, throttle);
    sends(world, canary, "account-60", 60).await;
    reason(world, "account-60", "Verified").await;
    // A look that says too much.
    let look = Fault::answer(
        Stage::Received,
        Answer::Api {
            refusal: told("InvalidParameter", 64),
        },
    );
    fault(world, &phone(64), READ_STATUS, look);
    let code = canary.code(64);
    world
        .ready_migration("look", &phone(64), &code)
        .await
        .unwrap();
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

/// Deleted while its call is under way: the outcome goes to an Event and the log.
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

/// What it was given by file is spoilt, noticed, and repaired.
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

/// Nobody speaks TLS where https is asked for: nothing is sent, and the account is held.
async fn without_tls(world: &World, canary: &Canary, flags: &[&str]) {
    let url = world.sim.url().replace("http:", "https:");
    let flags: Vec<&str> = flags
        .iter()
        .copied()
        .chain(["--cams-endpoint", &url])
        .collect();
    let mut operator = world.operator(&flags).await.unwrap();
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
    let mut operator = world.operator(&flags).await.unwrap();
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
