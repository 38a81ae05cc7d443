//! The watch or a read shows an old state.

use harness::{FrameThen, Recording, Seed, for_each_seed};

use super::*;

/// The watch breaks off and cannot start again; only a new list shows the changes since.
#[tokio::test]
async fn c10_after_a_lost_watch_the_newest_code_and_spec_count() {
    let run = async |seed: Seed| {
        let mut rng = seed.rng();
        let world = World::new(OPERATOR, "v10").await.unwrap();
        let proxy = world.proxy().await.unwrap();
        let number = phone(1);
        world.number(&number, &code(2), &format!("id-{number}"));
        world.code("c10", &code(1)).await.unwrap();
        let waits = Migration::new("c10", &number).spec(json!({"suspend": true}));
        world.make(&waits).await;
        let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
        reason(&world, "c10", "Suspended").await;
        let away = proxy.rule(When::watch("phonemigrations"), Then::Close);
        proxy.cut();
        away.hit().await.unwrap();
        let edits = rng.usize(0..4);
        seed.plan(format!("{edits} older codes before the newest"));
        for n in 0..edits {
            world.code("c10", &code(10 + n)).await.unwrap();
        }
        let start = Instant::now();
        world.edit("c10", json!({"suspend": false})).await;
        world.code("c10", &code(2)).await.unwrap();
        let gone = Then::ErrorEvent { code: 410 };
        let expired = proxy.rule(When::watch("phonemigrations"), gone);
        for _ in 0..2 {
            away.hit().await.unwrap();
        }
        let bound = 5 + 5 * start.elapsed().as_secs() as usize;
        assert!(away.hits() <= bound, "{} tries", away.hits());
        away.remove();
        let gone = expired.hit().await.unwrap();
        expired.remove();
        by_one_call(&world, "c10", &number).await;
        assert_eq!(world.calls(&number)[0].code.as_deref(), Some(&*code(2)));
        // The attempt may end before the watch learns that it is too old.
        let listed = || {
            let requests = proxy.requests();
            let mut later = requests.iter().filter(|request| request.seq > gone.seq);
            later.any(|r| r.target.verb.to_string() == "list")
        };
        until("everything is listed again", listed).await;
        world.finish().await.unwrap();
    };
    for_each_seed("c10", run).await.unwrap();
}

/// A list comes in pages, and takes effect with its last page: the operator still reconciles a
/// resource that changed while there was no watch and came with another page.
#[tokio::test]
async fn c10_after_a_list_of_two_pages_the_news_of_the_first_count() {
    const PAGE: usize = 500;
    let world = World::new(OPERATOR, "v10-pages").await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let suspended = |n: usize| {
        let migration = Migration::new(format!("m-{n:03}"), phone(n));
        migration.spec(json!({"suspend": true}))
    };
    let all: Vec<Migration> = (0..=PAGE).map(suspended).collect();
    let created = all.iter().map(|migration| world.create(migration));
    futures::future::try_join_all(created).await.unwrap();
    world.number(&phone(0), &code(0), &format!("id-{}", phone(0)));
    world.code("m-000", &code(0)).await.unwrap();
    let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    for n in 0..=PAGE {
        reason(&world, &format!("m-{n:03}"), "Suspended").await;
    }
    let away = proxy.rule(When::watch("phonemigrations"), Then::Close);
    proxy.cut();
    away.hit().await.unwrap();
    world.edit("m-000", json!({"suspend": false})).await;
    let (late, its_code) = (phone(PAGE + 1), code(PAGE + 1));
    world.migrate("a-late", &late, &its_code).await;
    let second_page = When::list("phonemigrations").nth(2).once();
    let second_page = proxy.rule(second_page, Then::Hold);
    let gone = Then::ErrorEvent { code: 410 };
    let expired = proxy.rule(When::watch("phonemigrations"), gone);
    away.remove();
    expired.hit().await.unwrap();
    expired.remove();
    second_page.hit().await.unwrap();
    // Long enough for a reconcile of the first page's content.
    tokio::time::sleep(Duration::from_millis(500)).await;
    second_page.release();
    for (name, number) in [("a-late", late), ("m-000", phone(0))] {
        by_one_call(&world, name, &number).await;
    }
    world.finish().await.unwrap();
}

/// Every third change never comes. Some codes come late.
#[tokio::test]
async fn c11_resources_whose_changes_are_not_all_shown_settle() {
    const RESOURCES: usize = 50;
    let run = async |seed: Seed| {
        let world = World::new(OPERATOR, "v11").await.unwrap();
        let proxy = world.proxy().await.unwrap();
        let first = seed.rng().u64(1..=3);
        seed.plan(format!("every third MODIFIED from the {first}. on"));
        let third = When::watch("phonemigrations").event("MODIFIED");
        let drops = proxy.frame_rule(third.nth(first).every(3), FrameThen::Drop);
        let _operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
        for n in 0..RESOURCES {
            let (name, number) = (format!("m-{n}"), phone(n));
            world.number(&number, &code(n), &format!("id-{number}"));
            if !n.is_multiple_of(10) {
                world.code(&name, &code(n)).await.unwrap();
            }
            world.make(&Migration::new(name, number)).await;
        }
        for n in (0..RESOURCES).step_by(10) {
            world.replace_code(&format!("m-{n}"), &code(n)).await;
        }
        for n in 0..RESOURCES {
            by_one_execution(&world, &format!("m-{n}"), &phone(n)).await;
        }
        assert!(drops.hits() >= RESOURCES / 3, "{} dropped", drops.hits());
        world.finish().await.unwrap();
    };
    for_each_seed("c11", run).await.unwrap();
}

/// A verified resource, and a list from before its claim.
struct Past {
    world: World,
    proxy: FaultProxy,
    listed: When,
    lists: Recording,
    reads: Recording,
    ledger: Recording,
    status: Value,
}

const NAME: &str = "old";

/// Only the claim keeps the code from being sent again: no read answers, and the process is new.
async fn past(case: &str) -> Past {
    let world = World::new(OPERATOR, case).await.unwrap();
    let proxy = world.proxy().await.unwrap();
    let number = phone(1);
    world.number(&number, &code(1), &format!("id-{number}"));
    world.code(NAME, &code(1)).await.unwrap();
    world.unreadable(&number, u64::MAX).unwrap();
    world.make(&Migration::new(NAME, &number)).await;
    let listed = When::list("phonemigrations").namespace(&world.namespace);
    let lists = proxy.record(listed.clone());
    let reads = proxy.record(When::get("phonemigrations").name(NAME).once());
    let ledger = proxy.record(When::get("codeledgers").once());
    let hold = proxy.rule(claim_of(NAME).once(), Then::Hold);
    let mut operator = world.operator_via(&proxy, NEVER_FINAL).await.unwrap();
    hold.hit().await.unwrap();
    lists.stop();
    hold.release();
    let status = by_one_call(&world, NAME, &number).await;
    operator.kill().await.unwrap();
    assert!(lists.count() > 0 && reads.count() == 1);
    Past {
        world,
        proxy,
        listed,
        lists,
        reads,
        ledger,
        status,
    }
}

impl Past {
    /// A new operator that sees the old list, and no change since.
    async fn live_again(&self) -> (Operator, Vec<Rule>) {
        let old = Then::Replay(self.lists.clone());
        let rules = vec![
            self.proxy.rule(self.listed.clone(), old),
            self.proxy.rule(When::watch("phonemigrations"), Then::Hold),
        ];
        let operator = self.world.operator_via(&self.proxy, NEVER_FINAL).await;
        (operator.unwrap(), rules)
    }

    /// Nothing was sent, and nothing overwrote the outcome, before a later resource was verified.
    async fn assert_nothing_again(&self) {
        let later = phone(2);
        let world = &self.world;
        world.migrate("later", &later, &code(2)).await;
        by_one_call(world, "later", &later).await;
        assert_eq!(world.calls(&phone(1)).len(), 1);
        let now = world.status(NAME).await;
        assert_eq!(now, self.status);
        world.finish().await.unwrap();
    }
}

#[tokio::test]
async fn c12_a_list_from_before_the_claim_sends_nothing_again() {
    let past = past("v12").await;
    let live = When::get("phonemigrations").name(NAME);
    let live = past.proxy.rule(live, Then::before(|_| {}));
    let claims = past.proxy.rule(claim_of(NAME), Then::before(|_| {}));
    let (_operator, stale) = past.live_again().await;
    live.hit().await.unwrap();
    drop(stale);
    past.assert_nothing_again().await;
    assert_eq!(claims.hits(), 0, "claimed by an old view");
}

/// Even the reads right before the claim are old, and no list of ledgers has come: the claim's own
/// condition refuses it.
#[tokio::test]
async fn c12_a_read_from_before_the_claim_cannot_claim_again() {
    let past = past("v12-read").await;
    let old = When::get("phonemigrations").name(NAME);
    let old = past.proxy.rule(old, Then::Replay(past.reads.clone()));
    let none = When::get("codeledgers");
    let none = past.proxy.rule(none, Then::Replay(past.ledger.clone()));
    let unlisted = past.proxy.rule(When::list("codeledgers"), Then::Hold);
    let claims = past.proxy.rule(claim_of(NAME), Then::after(|_| {}));
    let (_operator, stale) = past.live_again().await;
    let refused = claims.hit().await.unwrap();
    claims.hit_within(PATIENCE).await.unwrap();
    drop((old, none, unlisted, stale));
    past.assert_nothing_again().await;
    let claim = &past.proxy.requests()[refused.seq as usize - 1];
    assert_eq!(claim.upstream, Some(409));
}
