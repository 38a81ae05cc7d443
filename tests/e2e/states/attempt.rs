//! States of an attempt: from the queue to success, refusal and exhaustion.

use super::expect::*;

const PHONE: &str = "8613800000201";
const RIGHT: &str = "40718265";
const WRONG: &str = "99887766";

async fn world(name: &str) -> World {
    let world = World::new(OPERATOR, name).await.unwrap();
    world.number(PHONE, RIGHT, "id-1");
    world
}

#[tokio::test]
async fn resources_over_the_quota_are_shown_queued_and_all_end_verified() {
    let world = World::new(OPERATOR, "queued").await.unwrap();
    let names: Vec<String> = (0..30).map(|n| format!("m-{n:02}")).collect();
    let phone = |n: usize| format!("86138000003{n:02}");
    for (n, name) in names.iter().enumerate() {
        let code = format!("5555{n:04}");
        world.migrate(name, &phone(n), &code).await;
    }
    let _operator = world.start(&[]).await;
    for name in &names {
        shows(&world, name, accepted()).await;
    }
    let figures = finish(&world).await;
    let queued = |name: &&String| written_reasons(&figures, name).contains(&"Queued".to_owned());
    let shown = names.iter().filter(queued).count();
    println!("{shown} of 30 were shown Queued");
    assert!(shown >= 5, "{shown}");
    let written = figures.requests.iter();
    let bodies = written.filter_map(|r| r.request_object.as_ref());
    let messages: std::collections::BTreeSet<String> = bodies
        .filter(|body| body["status"]["reason"] == "Queued")
        .map(|body| message(&body["status"]).to_owned())
        .collect();
    assert_eq!(messages.len(), 1, "stable: {messages:?}");
    assert!(messages.iter().all(|m| m.contains("quota")), "{messages:?}");
}

#[tokio::test]
async fn an_open_attempt_stands_in_the_ledger_and_in_no_status_until_its_answer() {
    let world = world("open").await;
    world.next_call(Fault::gate(Stage::Received));
    let _operator = world.begin(&[], "m", PHONE, RIGHT).await;
    let held = world.held().await;
    let [ledger] = &world.ledgers().await.unwrap()[..] else {
        panic!("one number has one ledger");
    };
    assert_eq!(ledger["spec"]["phoneNumber"], PHONE);
    assert_eq!(ledger["summary"]["open"], true, "{ledger}");
    let [entry] = &ledger["entries"].as_array().unwrap()[..] else {
        panic!("one attempt: {ledger}");
    };
    assert!(entry["outcome"].is_null(), "{entry}");
    assert_eq!(entry["migration"]["name"], "m");
    let call = &world.calls(PHONE)[0];
    assert_eq!(entry["attemptId"].as_str(), call.nonce.as_deref());
    let object = world.object("m").await;
    assert!(object["status"]["attempt"].is_null(), "{object:#}");
    assert_eq!(kstatus(&object), "InProgress");
    world.go_on(held);
    let status = shows(&world, "m", accepted()).await;
    assert_eq!(status["attempt"]["id"], entry["attemptId"]);
    let ledger = &world.ledgers().await.unwrap()[0];
    assert_eq!(ledger["entries"][0]["outcome"], "Accepted", "{ledger}");
    assert_eq!(ledger["summary"]["open"], false, "{ledger}");
    finish(&world).await;
}

#[tokio::test]
async fn a_right_code_ends_verified_with_id_masked_number_and_request_id() {
    let world = world("verified").await;
    let _operator = world.begin(&[], "m", PHONE, RIGHT).await;
    let status = shows(&world, "m", accepted()).await;
    assert_eq!(status["id"], "id-1");
    assert_eq!(status["attempt"]["outcome"], "Accepted");
    assert!(status["requestId"].is_string(), "{status}");
    assert!(status["verifiedAt"].is_string(), "{status}");
    assert!(status["errorCode"].is_null(), "{status}");
    let number = status["phoneNumber"].as_str().unwrap();
    assert!(number.ends_with("****"), "{number}");
    assert!(PHONE.starts_with(number.trim_end_matches('*')));
    // For good: neither another code nor a retryToken changes this.
    put_code(&world, "m", WRONG).await;
    world.retry("m", "again").await;
    world.looked("m").await;
    shows(&world, "m", accepted()).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn a_number_that_is_already_verified_is_adopted_without_spending_the_code() {
    let world = world("adopted").await;
    world.verified_elsewhere(PHONE, RIGHT, "id-9");
    let _operator = world.begin(&[], "m", PHONE, RIGHT).await;
    let status = shows(&world, "m", verified("already verified; no code was spent")).await;
    assert_eq!(status["id"], "id-9");
    assert!(world.calls(PHONE).is_empty());
    finish(&world).await;
}

#[tokio::test]
async fn without_the_pre_read_the_call_is_made_and_a_refusal_that_hides_success_is_not_shown() {
    let world = world("no-look").await;
    world.verified_elsewhere(PHONE, RIGHT, "id-9");
    world.code("m", RIGHT).await.unwrap();
    let _operator = world.start(&[]).await;
    world.unreadable(PHONE, 1).unwrap();
    world.make(&Migration::new("m", PHONE)).await;
    let says = "the verification may be an earlier one";
    let status = shows(&world, "m", verified(says)).await;
    assert_eq!(status["id"], "id-9");
    let (calls, reads) = (world.calls(PHONE), world.reads(PHONE));
    assert_eq!(world.counts(PHONE), (1, 1));
    assert_eq!(reads.len(), 2);
    assert!(reads[0].seq < calls[0].seq && reads[1].seq > calls[0].seq);
    let written = written_reasons(&finish(&world).await, "m");
    assert!(!written.contains(&"CodeRejected".to_owned()), "{written:?}");
}

#[tokio::test]
async fn c27_a_refused_code_stalls_until_a_different_one_is_there() {
    let world = world("rejected").await;
    let _operator = world.begin(&[], "m", PHONE, WRONG).await;
    let says = "request a new code and put it into the Secret";
    let rejected = ended("CodeRejected", says);
    let status = shows(&world, "m", rejected).await;
    assert_eq!(status["errorCode"], "VerifyCode.Mismatch");
    assert_eq!(status["errorMessage"], "The verification code is wrong.");
    assert!(status["requestId"].is_string());
    assert_eq!(status["history"].as_array().unwrap().len(), 1);
    assert_eq!(status["history"][0]["errorCode"], "VerifyCode.Mismatch");
    // The same code again: a label, and the value written again.
    let label = json!({"metadata": {"labels": {"touched": "yes"}}});
    world.patch_secret("m-code", label).await.unwrap();
    world.looked("m").await;
    world.code("m", &format!("{WRONG}\n")).await.unwrap();
    world.looked("m").await;
    shows(&world, "m", rejected).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    new_code(&world, "m", RIGHT).await;
    let status = shows(&world, "m", accepted()).await;
    assert_eq!(status["attempt"]["number"], 2);
    assert_eq!(status["history"][0]["outcome"], "Refused", "{status}");
    assert!(status["errorCode"].is_null(), "{status}");
    assert!(status["errorMessage"].is_null(), "{status}");
    assert_eq!(world.executed(PHONE), 2);
    finish(&world).await;
}

#[tokio::test]
async fn a_retry_token_never_sends_the_same_code_again() {
    let world = world("retry-same").await;
    let mut operator = world.begin(&[], "m", PHONE, WRONG).await;
    let rejected = code_refused();
    shows(&world, "m", rejected).await;
    let retry = async |token: &str| {
        world.retry("m", token).await;
        world.looked("m").await;
        let status = shows(&world, "m", rejected).await;
        assert_eq!(status["lastHandledRetryToken"], token);
    };
    retry("one").await;
    // Neither a process without memory nor an old value that was put back changes that.
    operator.stop().await.unwrap();
    let _operator = world.start(&[]).await;
    world.code("m", WRONG).await.unwrap();
    retry("two").await;
    assert_eq!(world.calls(PHONE).len(), 1);
    finish(&world).await;
}

#[tokio::test]
async fn a_refused_request_stalls_with_advice_of_its_own() {
    let world = world("request-rejected").await;
    let elsewhere = Number::new(PHONE, RIGHT, "id-1").in_space("111");
    world.sim.add_number(elsewhere);
    let _operator = world.begin(&[], "m", PHONE, WRONG).await;
    let says = "check custSpaceId, phoneNumber";
    let status = shows(&world, "m", ended("RequestRejected", says)).await;
    assert_eq!(status["errorCode"], "Authentication.NoAuth");
    assert_eq!(status["attempt"]["outcome"], "RequestRefused");
    world.number(PHONE, RIGHT, "id-1");
    world.looked("m").await;
    assert_eq!(world.calls(PHONE).len(), 1, "sent again");
    new_code(&world, "m", RIGHT).await;
    shows(&world, "m", accepted()).await;
    finish(&world).await;
}

/// custSpaceId is immutable, so a wrong one needs another resource: the message names this way out.
#[tokio::test]
async fn after_a_refused_request_another_resource_with_the_right_space_goes_on() {
    let world = World::new(OPERATOR, "right-space").await.unwrap();
    let in_space = |space: &str| json!({"custSpaceId": space});
    let elsewhere = Number::new(PHONE, RIGHT, "id-1").in_space("111");
    world.sim.add_number(elsewhere);
    world.code("wrong", WRONG).await.unwrap();
    world.code("right", RIGHT).await.unwrap();
    let _operator = world.start(&[]).await;
    let wrong = Migration::new("wrong", PHONE).spec(in_space("222"));
    world.make(&wrong).await;
    let says = "a wrong one needs another PhoneMigration, with a new code";
    shows(&world, "wrong", ended("RequestRejected", says)).await;
    let right = Migration::new("right", PHONE).spec(in_space("111"));
    world.make(&right).await;
    shows(&world, "right", accepted()).await;
    assert_eq!(world.calls(PHONE).len(), 2);
    finish(&world).await;
}

/// Five refused codes.
async fn exhaust(world: &World) {
    world.code("m", "10000001").await.unwrap();
    world.make(&Migration::new("m", PHONE)).await;
    for n in 1..=5 {
        if n > 1 {
            new_code(world, "m", &format!("1000000{n}")).await;
        }
        let spent = |status: &Value| status["history"][0]["number"] == n;
        world.until_status("m", spent).await;
    }
}

const EXHAUSTED: &str = "put a new code into the Secret, then change spec.retryToken";

#[tokio::test]
async fn five_refused_codes_exhaust_and_a_changed_retry_token_allows_more() {
    let world = world("exhausted").await;
    let _operator = world.start(&[]).await;
    exhaust(&world).await;
    let status = shows(&world, "m", ended("AttemptsExhausted", EXHAUSTED)).await;
    assert_eq!(status["attemptLimit"], 5);
    put_code(&world, "m", RIGHT).await;
    world.looked("m").await;
    shows(&world, "m", ended("AttemptsExhausted", EXHAUSTED)).await;
    assert_eq!(world.calls(PHONE).len(), 5, "the sixth code is not sent");
    world.retry("m", "go on").await;
    let status = shows(&world, "m", accepted()).await;
    assert_eq!(status["attemptLimit"], 10);
    assert_eq!(status["attempt"]["number"], 6);
    assert_eq!(world.calls(PHONE).len(), 6);
    finish(&world).await;
}

/// A changed token is a user's decision; a long queue must not lose it.
#[tokio::test]
async fn a_retry_token_is_not_lost_while_the_resource_waits_in_the_queue() {
    let world = world("retry-queued").await;
    let _operator = world.start(&[]).await;
    exhaust(&world).await;
    shows(&world, "m", ended("AttemptsExhausted", EXHAUSTED)).await;
    // Another resource is throttled, which pauses the account for four seconds.
    throttle_other(&world, "8613800000202", 4000).await;
    put_code(&world, "m", RIGHT).await;
    world.retry("m", "go on").await;
    shows(&world, "m", progress("Queued", "quota")).await;
    let status = shows(&world, "m", accepted()).await;
    assert_eq!(status["attemptLimit"], 10);
    shows(&world, "other", accepted()).await;
    finish(&world).await;
}

/// Under another fingerprint key the operator cannot tell whether a changed Secret holds a new
/// code: the user states that with a retryToken.
#[tokio::test]
async fn a_code_whose_sameness_cannot_be_told_waits_for_a_retry_token() {
    let world = world("sameness").await;
    let mut operator = world
        .begin(
            &["--fingerprint-key-file", &world.other_key(1).unwrap()],
            "m",
            PHONE,
            WRONG,
        )
        .await;
    shows(&world, "m", code_refused()).await;
    operator.stop().await.unwrap();
    // An unchanged Secret holds the same code, whatever the key.
    let mut operator = with_key(&world, 2).await;
    world.looked("m").await;
    shows(&world, "m", code_refused()).await;
    operator.stop().await.unwrap();
    put_code(&world, "m", RIGHT).await;
    let _operator = with_key(&world, 3).await;
    world.looked("m").await;
    let says = "change spec.retryToken to submit it";
    shows(&world, "m", ended("CodeRejected", says)).await;
    assert_eq!(world.calls(PHONE).len(), 1);
    world.retry("m", "it is new").await;
    shows(&world, "m", accepted()).await;
    finish(&world).await;
}
