//! Changes that the operator does not see, and replies that it must not believe.

use harness::FrameThen;
use harness::fault_proxy::Answer;

use super::*;

/// A page of a proxy in front of the API server.
fn page() -> Then {
    Then::Answer(Answer::new(404).body(json!("404 page not found")))
}

/// No change of the resource requests any of them again, which would hide the fault.
#[tokio::test]
async fn a_404_that_names_no_object_is_not_believed() {
    let world = World::new(OPERATOR, "v-404").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let pages = [
        ("secret", secret_of("secret")),
        ("live", When::get("phonemigrations").name("live")),
        ("show", shown_of("show")),
    ];
    let rules = pages.map(|(name, when)| (name, proxy.rule(when.once(), page())));
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    for (n, (name, _)) in rules.iter().enumerate() {
        // A read cannot find the refused one either.
        let given = if *name == "show" { 9 } else { n };
        world.offer(name, &phone(n), &code(given), &code(n)).await;
    }
    for (n, (name, rule)) in rules.iter().enumerate() {
        let wanted = match *name {
            "show" => "CodeRejected",
            _ => "Verified",
        };
        let status = reason(&world, name, wanted).await;
        assert_eq!(rule.hits(), 1, "{name}");
        assert_eq!(world.calls(&phone(n)).len(), 1, "{name}: {status}");
    }
    world.finish().await.unwrap();
}

/// Resources of the namespaces that may be watched do not wait for those that may not.
#[tokio::test]
async fn a_forbidden_namespace_makes_only_itself_wait() {
    let world = World::new(OPERATOR, "v-403").await.unwrap();
    let (other, both) = world.second_namespace("other").await;
    let proxy = world.proxy().await.unwrap();
    let of_other = When::list("phonemigrations").namespace(&other);
    let forbidden = proxy.rule(of_other, Then::answer(403));
    let flags = [NEVER_FINAL, &["--watch-namespaces", &both]].concat();
    let mut operator = world.operator_via(&proxy, &flags).await.unwrap();
    let (here, there) = (phone(1), phone(2));
    world.migrate("here", &here, &code(1)).await;
    by_one_call(&world, "here", &here).await;
    let waits = Migration::new("there", &there);
    world.create_in(&other, &waits).await.unwrap();
    for state in ["forbidden", "watching"] {
        let series = format!("phonemigration_watches{{state=\"{state}\"}} 1");
        operator.until_metric(&series).await;
    }
    let log = operator.log();
    let mut lines = log
        .lines()
        .filter(|line| line.contains("may not be listed (403)"));
    assert!(lines.any(|line| line.contains(&other)), "{log}");
    forbidden.remove();
    reason_in(&world, &other, "there", "SecretNotFound").await;
    world.finish().await.unwrap();
}

/// A watch that dies in silence: the connection is open, and no frame comes any more.
#[tokio::test]
#[ignore = "a dead watch is renewed after a minute"]
async fn a_dead_watch_hides_a_new_resource_for_little_more_than_a_minute() {
    let world = World::new(OPERATOR, "v-dead").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let number = phone(1);
    let frames = When::watch("phonemigrations").name("late").once();
    let dead = proxy.frame_rule(frames, FrameThen::Hold);
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    world.migrate("late", &number, &code(1)).await;
    dead.hit().await.unwrap();
    let began = Instant::now();
    let verified = |status: &Value| harness::reason(status) == "Verified";
    let within = Duration::from_secs(90);
    world.until("late", within, verified).await.unwrap();
    println!("seen and verified after {:?}", began.elapsed());
    by_one_call(&world, "late", &number).await;
    world.finish().await.unwrap();
}

/// A peer that accepts and never answers: a list that hangs is given up and repeated.
#[tokio::test]
#[ignore = "a list has fifteen seconds"]
async fn a_list_that_hangs_does_not_stop_discovery() {
    let world = World::new(OPERATOR, "v-hangs").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let number = phone(1);
    world.migrate("there", &number, &code(1)).await;
    // The first is the request for the revision, the second the list.
    let hangs = proxy.rule(When::list("phonemigrations").nth(2).once(), Then::Hold);
    let launch = world.launch_via(&proxy.url(), NEVER_FINAL).unwrap();
    let mut operator = Operator::spawn(&launch).unwrap();
    hangs.hit().await.unwrap();
    operator.ready().await.unwrap();
    let lists = || {
        let requests = proxy.requests();
        let list = |r: &&harness::fault_proxy::Request| r.target.verb.to_string() == "list";
        requests.iter().filter(list).count()
    };
    until("it is listed again", || lists() > 2).await;
    by_one_call(&world, "there", &number).await;
    world.finish().await.unwrap();
}
