//! A process does not see a spent code: the list that would show it has not come.

use super::*;

/// The resource that spent the code is in a namespace that is not listed yet, and the ledgers are
/// not listed either: the live read before the claim finds its entry.
#[tokio::test]
async fn a_code_of_a_namespace_that_is_not_listed_yet_is_not_sent_again_by_another() {
    let world = World::new(OPERATOR, "unlisted").await.unwrap();
    let (slow, both) = world.second_namespace("slow").await;
    let flags = [NEVER_FINAL, &["--watch-namespaces", &both]].concat();
    let number = phone(1);
    world.number(&number, &code(1), &format!("id-{number}"));
    let spent = json!({"code": code(2)});
    world.secret_in(&slow, "first-code", spent).await.unwrap();
    let first = Migration::new("first", &number);
    world.create_in(&slow, &first).await.unwrap();
    let mut operator = world.start(&flags).await;
    reason_in(&world, &slow, "first", "CodeRejected").await;
    operator.kill().await.unwrap();

    let proxy = world.proxy().await.unwrap();
    let slow_list = When::list("phonemigrations").namespace(&slow);
    let unlisted = proxy.rule(slow_list, Then::Hold);
    let no_ledgers = proxy.rule(When::list("codeledgers"), Then::Hold);
    world.code("second", &code(2)).await.unwrap();
    world.make(&Migration::new("second", &number)).await;
    let launch = world.launch_via(&proxy.url(), &flags).unwrap();
    let mut operator = Operator::spawn(&launch).unwrap();
    unlisted.hit_within(PATIENCE).await.unwrap();
    let part = "by another PhoneMigration";
    let status = says(&world, "second", "CodeRejected", part).await;
    assert!(status["attempt"].is_null(), "not its own: {status}");
    assert_eq!(world.calls(&number).len(), 1);
    drop((unlisted, no_ledgers));
    operator.ready().await.unwrap();
    world.looked("second").await;
    assert_eq!(world.calls(&number).len(), 1);
    world.finish().await.unwrap();
}

/// The process died before status showed its acceptance, and the next one has not listed the
/// ledgers: its read finds the number verified, and the ledger names the call.
#[tokio::test]
async fn an_acceptance_that_no_status_shows_is_told_as_the_ledger_has_it_before_ledgers_are_listed()
{
    let world = World::new(OPERATOR, "unshown").await.unwrap();
    let number = phone(1);
    let (proxy, mut operator) = world.proxied(NEVER_FINAL).await;
    let unshown = proxy.rule(shown_of("m"), Then::Close);
    world.migrate("m", &number, &code(1)).await;
    unshown.hit().await.unwrap();
    operator.kill().await.unwrap();
    drop(unshown);
    let _no_ledgers = proxy.rule(When::list("codeledgers"), Then::Hold);
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    let status = says(&world, "m", "Verified", "CAMS accepted the code").await;
    assert_verified(&status, &number);
    let call = &world.calls(&number)[0];
    assert_eq!(status["requestId"], call.request_id, "{status}");
    assert_eq!(status["attempt"]["outcome"], "Accepted", "{status}");
    assert_eq!(world.calls(&number).len(), 1);
    world.finish().await.unwrap();
}
