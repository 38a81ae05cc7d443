//! Replies whose bodies are cut off or invalid.
use super::claim::claims;
use super::*;

/// Each request whose reply is read, by the name of the resource that meets it.
fn kinds() -> [(&'static str, When); 4] {
    [
        ("get", When::get("phonemigrations").name("get")),
        ("secret", secret_of("secret")),
        ("claim", claim_of("claim")),
        ("outcome", outcome_of("outcome")),
    ]
}

async fn spoilt(case: &str, by: Then) {
    let world = World::new(OPERATOR, case).await.unwrap();
    let (proxy, _operator) = world.proxied(NEVER_FINAL).await;
    let spoil = |(_, when): (_, When)| proxy.rule(when.once(), by.clone());
    let rules: Vec<Rule> = kinds().into_iter().map(spoil).collect();
    for (n, (name, _)) in kinds().into_iter().enumerate() {
        world.migrate(name, &phone(n), &code(n)).await;
    }
    for rule in &rules {
        rule.hit().await.unwrap();
    }
    for (n, (name, _)) in kinds().into_iter().enumerate() {
        let status = by_one_call(&world, name, &phone(n)).await;
        assert_eq!(status["attempt"]["number"], 1, "{status}");
    }
    // Recognised by a read, not claimed again: the same request again, with the same id.
    let claims = claims(&proxy, "claim");
    let same = claims.iter().all(|claim| claim.0 == claims[0].0);
    assert!(same, "{claims:?}");
    world.finish().await.unwrap();
}

#[tokio::test]
async fn spoilt_replies_lose_nothing() {
    let page = |_| b"{\"kind\":\"Status\",\"status\":\"Success\"}".to_vec();
    let spoilers = [
        ("cut", Then::CutBody { after_bytes: 40 }),
        (
            "garbled",
            Then::corrupt(|body| body[..body.len() / 2].to_vec()),
        ),
        ("another-kind", Then::corrupt(page)),
    ];
    for_each_row(spoilers, async |(name, by)| spoilt(name, by).await).await;
}
