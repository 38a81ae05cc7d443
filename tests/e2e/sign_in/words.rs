//! `check` reports, line by line, the faults of a sign-in.

use harness::Launch;
use harness::cams_simulator::{Role, Settings, WITH_OIDC};

use super::chain::OTHER;
use super::*;

async fn lines(launch: &Launch<'_>) -> Vec<String> {
    let output = check(launch).await;
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The line about the credentials.
pub(super) async fn credentials(launch: &Launch<'_>) -> String {
    let lines = lines(launch).await;
    let line = lines.iter().find(|line| line.contains(" credentials: "));
    line.unwrap_or_else(|| panic!("{lines:?}")).clone()
}

#[tokio::test]
async fn check_signs_in_and_names_the_account_and_the_principal() {
    let world = World::new(OPERATOR, "check-rrsa").await.unwrap();
    world.rrsa(world.role()).await.unwrap();
    let lines = lines(&world.launch(RRSA).unwrap()).await;
    let name = harness::ROLE;
    let role = format!("ok       credentials: RAM role {name} (token file ");
    let account = "ok       account: 1968132000234567, \
                   acs:ram::1968132000234567:assumed-role/phmig/phone-migration-operator";
    let signed_in = lines.iter().any(|line| line.starts_with(&role));
    assert!(signed_in, "{lines:?}");
    assert!(lines.iter().any(|line| line == account), "{lines:?}");
    assert!(lines.contains(&"Nothing is wrong".to_owned()), "{lines:?}");
    world.finish().await.unwrap();
}

#[tokio::test]
async fn each_mistake_of_a_sign_in_has_its_own_words() {
    let world = World::new(OPERATOR, "rrsa-words").await.unwrap();
    world.rrsa(world.role()).await.unwrap();
    let launch = world.launch(RRSA).unwrap();
    let says = async |launch: &Launch<'_>, words: &str| {
        let line = credentials(launch).await;
        assert!(line.starts_with("WRONG    credentials: "), "{line}");
        assert_quotes(&line, words);
    };

    world.project_token("kubernetes").await.unwrap();
    let words =
        "OIDCToken.AudienceNotMatch … set the audience of the projected token to sts.aliyuncs.com";
    says(&launch, words).await;
    std::fs::write(world.token_file(), "no token of anybody").unwrap();
    says(
        &launch,
        "the ServiceAccount token is not there … holds a space",
    )
    .await;
    std::fs::write(world.token_file(), "not.a.token").unwrap();
    says(&launch, "OIDCToken.Invalid … does not take the token in").await;
    std::fs::remove_file(world.token_file()).unwrap();
    says(
        &launch,
        "the ServiceAccount token is not there … cannot be read",
    )
    .await;
    world.project_token(harness::AUDIENCE).await.unwrap();

    // The token lives for an hour, by the clock of STS.
    world.sim.set_clock_offset(2 * 3_600_000);
    let any_age = |settings: &mut Settings| settings.timestamp_past_ms = None;
    world.sim.change_settings(any_age).unwrap();
    says(&launch, "OIDCToken.Expired … whether the kubelet renews it").await;
    world.sim.set_clock_offset(0);

    world.sim.add_role(Role::new(harness::ROLE));
    says(
        &launch,
        "AuthenticationFail.NoPermission … trust policy of acs:ram::",
    )
    .await;
    world.sim.remove_role(harness::ROLE);
    says(&launch, "EntityNotExist.Role … create this role").await;
    world.sim.add_role(world.role());

    // An unknown Code is shown with its message, and that may repeat the request.
    let token = std::fs::read_to_string(world.token_file()).unwrap();
    let echo = Refusal::new(400, "Some.New", format!("what is {token}?"));
    let echo = FaultRule::new(Fault::api(Stage::Counted, echo)).action(WITH_OIDC);
    world.fault(echo.once());
    says(&launch, "(Some.New: what is ***?)").await;

    let lost = FaultRule::new(Fault::close(Stage::Executed));
    world.fault(lost.action(WITH_OIDC).once());
    says(&launch, "STS cannot be reached … --sts-endpoint").await;

    let arn = format!("--assume-role-arn={OTHER}");
    let chained = world.launch(&[RRSA, &[&arn]].concat()).unwrap();
    let mut other = Role::new(OTHER).trusting_key(harness::ROLE);
    other.external_id = Some("acme-7f3c".to_owned());
    world.sim.add_role(other);
    says(
        &chained,
        "NoPermission … sts:AssumeRole … --assume-role-external-id",
    )
    .await;

    let skewed = world.launch(&[&arn, "--signature-validity=10m"]).unwrap();
    world.sim.set_clock_offset(-20 * 60_000);
    says(
        &skewed,
        "InvalidTimeStamp.Expired … correct the clock of the node",
    )
    .await;
    world.finish().await.unwrap();
}
