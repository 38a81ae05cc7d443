#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const FOLDER: &str = "folder";
const KEY: &str = "key";
const INSTANCE: &str = "instance";
const ROLE: &str = "acs:ram::1:role/phmig";
const PROVIDER: &str = "acs:ram::1:oidc-provider/ack-rrsa-c1";

fn words(credentials: &str) -> Words {
    Words {
        credentials: credentials.to_owned(),
        credentials_dir: None,
        assume_role_arn: None,
        assume_role_external_id: None,
        sts_region: None,
        sts_endpoint: None,
    }
}

fn set(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The environment with any of `key`, `role`, `provider`, `token`, `instance`.
fn cloud(there: &[&str]) -> CloudVariables {
    let has = |name| there.contains(&name);
    CloudVariables {
        access_key: has(KEY),
        role_arn: set(ROLE).filter(|_| has("role")),
        oidc_provider_arn: set(PROVIDER).filter(|_| has("provider")),
        oidc_token_file: set("/run/token").filter(|_| has("token")),
        ecs_metadata: set("worker").filter(|_| has(INSTANCE)),
        ..CloudVariables::default()
    }
}

/// The word for an identity, or the first words of the error.
fn way(credentials: &str, there: &[&str]) -> String {
    let mut words = words(credentials);
    words.credentials_dir = there
        .contains(&FOLDER)
        .then(|| OsString::from("/credentials"));
    match words.sign_in(&cloud(there)) {
        Ok(sign_in) => match sign_in.identity {
            Identity::Environment => "env".to_owned(),
            Identity::Files(folder) => {
                assert_eq!(folder, PathBuf::from("/credentials"));
                "files".to_owned()
            }
            Identity::Oidc(role) => {
                assert_eq!(role.role_arn, ROLE);
                assert_eq!(role.provider_arn, PROVIDER);
                "oidc".to_owned()
            }
            Identity::Ecs { role } => {
                assert_eq!(role.is_some(), there.contains(&INSTANCE));
                "ecs".to_owned()
            }
        },
        Err(error) => error.to_string(),
    }
}

/// Every combination has exactly one outcome; no way falls back to another.
#[test]
fn one_rule_says_whose_key_signs() {
    const ALL: [&str; 3] = ["role", "provider", "token"];
    let with = |more: &[&'static str]| [&ALL[..], more].concat();
    const NOTHING: &str = "there are no credentials of Alibaba Cloud: set";
    const NO_ROLE: &str = "ALIBABA_CLOUD_ROLE_ARN is not set";
    const NO_PROVIDER: &str = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN is not set";
    const NO_TOKEN: &str = "ALIBABA_CLOUD_OIDC_TOKEN_FILE is not set";
    let unfit = |way: &str, advice: &str| {
        format!("--credentials (or PHONEMIG_CREDENTIALS): \"{way}\" is not valid: {advice}")
    };
    let [no_env, no_files, no_ecs, no_oidc] = [
        unfit("env", "leave out"),
        unfit("files", "name the folder"),
        unfit("ecs", "leave out"),
        unfit("oidc", "leave out"),
    ];
    let table: &[(&str, Vec<&str>, &str)] = &[
        ("auto", vec![FOLDER], "files"),
        ("auto", vec![FOLDER, KEY], "files"),
        ("auto", with(&[FOLDER, KEY]), "files"),
        ("auto", vec![KEY], "env"),
        ("auto", with(&[KEY]), "env"),
        ("auto", with(&[]), "oidc"),
        ("auto", vec![], NOTHING),
        ("auto", vec!["role"], NO_PROVIDER),
        ("auto", vec!["role", "token"], NO_PROVIDER),
        ("auto", vec!["role", "provider"], NO_TOKEN),
        ("auto", vec!["provider", "token"], NO_ROLE),
        ("env", vec![KEY], "env"),
        // The reader of the AccessKey names the missing part.
        ("env", vec![], "env"),
        ("env", with(&[]), "env"),
        ("env", vec![FOLDER], &no_env),
        ("files", vec![FOLDER], "files"),
        ("files", with(&[KEY]), &no_files),
        // `auto` never chooses it, whatever the variable of the role says.
        ("auto", vec![INSTANCE], NOTHING),
        ("auto", vec![KEY, INSTANCE], "env"),
        ("auto", with(&[INSTANCE]), "oidc"),
        ("ecs", vec![INSTANCE], "ecs"),
        ("ecs", with(&[KEY]), "ecs"),
        ("ecs", vec![FOLDER], &no_ecs),
        ("oidc", with(&[KEY]), "oidc"),
        ("oidc", vec![KEY], NO_ROLE),
        ("oidc", with(&[FOLDER]), &no_oidc),
    ];
    for (credentials, there, expected) in table {
        let found = way(credentials, there);
        assert!(
            found.starts_with(expected),
            "{credentials} {there:?}: {found}"
        );
    }
}

#[test]
fn a_role_to_assume_is_checked_and_an_external_id_is_not_shown() {
    let role = |arn: &str, id: &str| {
        let mut words = words("env");
        words.assume_role_arn = set(arn);
        words.assume_role_external_id = set(id);
        let signed_in = words.sign_in(&cloud(&[]));
        signed_in
            .map(|found| found.assume_role)
            .map_err(|e| e.to_string())
    };
    let some = |id: Option<&str>| {
        Ok(Some(AssumeRole {
            role_arn: ROLE.to_owned(),
            external_id: id.map(str::to_owned),
        }))
    };
    assert_eq!(role(ROLE, ""), some(None));
    assert_eq!(role(ROLE, "acme-7f3c"), some(Some("acme-7f3c")));
    assert_eq!(role("", ""), Ok(None));
    for bad in [
        "acs:ram::1:user/x",
        "acs:ram::x:role/x",
        "acs:ram::1:role/",
        "acs:ram::1:role/a b",
        "arn:aws:iam::1:role/x",
        PROVIDER,
    ] {
        let error = role(bad, "").unwrap_err();
        assert!(
            error.contains("write acs:ram::ACCOUNT_ID:role/NAME"),
            "{error}"
        );
    }
    for (arn, id) in [(ROLE, "h"), (ROLE, "hunter2 x"), ("", "hunter2")] {
        let error = role(arn, id).unwrap_err();
        assert!(error.starts_with("--assume-role-external-id"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_bad_variable_is_named() {
    let error = |change: fn(&mut CloudVariables)| {
        let mut cloud = cloud(&["role", "provider", "token"]);
        change(&mut cloud);
        words("oidc").sign_in(&cloud).unwrap_err().to_string()
    };
    let role = error(|cloud| cloud.role_arn = set("phmig"));
    assert_eq!(
        role,
        "ALIBABA_CLOUD_ROLE_ARN: \"phmig\" is not valid: write acs:ram::ACCOUNT_ID:role/NAME"
    );
    let provider = error(|cloud| cloud.oidc_provider_arn = set(ROLE));
    assert!(
        provider.starts_with("ALIBABA_CLOUD_OIDC_PROVIDER_ARN: "),
        "{provider}"
    );
    let session = error(|cloud| cloud.role_session_name = set("a b"));
    assert!(
        session.starts_with("ALIBABA_CLOUD_ROLE_SESSION_NAME: "),
        "{session}"
    );
}

#[test]
fn sts_is_where_the_flags_say_else_the_variables_else_beside_cams() {
    const REAL: &str = "https://cams.ap-southeast-1.aliyuncs.com";
    let place = |cams: &str, words: &Words, cloud: &CloudVariables| {
        words.sts_endpoint(cams, true, cloud).unwrap()
    };
    let (mut flags, mut cloud) = (words("env"), CloudVariables::default());
    let of_region = |name: &str| format!("https://{name}.aliyuncs.com");
    assert_eq!(place(REAL, &flags, &cloud), of_region("sts.ap-southeast-1"));
    cloud.vpc_endpoint_enabled = set("false");
    assert_eq!(place(REAL, &flags, &cloud), of_region("sts.ap-southeast-1"));
    cloud.sts_region = set("cn-hangzhou");
    assert_eq!(place(REAL, &flags, &cloud), of_region("sts.cn-hangzhou"));
    cloud.vpc_endpoint_enabled = set("true");
    assert_eq!(
        place(REAL, &flags, &cloud),
        of_region("sts-vpc.cn-hangzhou")
    );
    cloud.sts_endpoint = set("sts.eu-central-1.aliyuncs.com");
    assert_eq!(place(REAL, &flags, &cloud), of_region("sts.eu-central-1"));
    // A test that configures no STS does not call the real one.
    let test = "http://127.0.0.1:9";
    assert_eq!(place(test, &flags, &cloud), test);
    flags.sts_region = set("me-east-1");
    assert_eq!(place(REAL, &flags, &cloud), of_region("sts-vpc.me-east-1"));
    flags.sts_endpoint = set("https://sts.aliyuncs.com");
    assert_eq!(place(test, &flags, &cloud), of_region("sts"));

    cloud = CloudVariables {
        sts_region: set("CN"),
        ..CloudVariables::default()
    };
    let error = words("env").sts_endpoint(REAL, false, &cloud).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ALIBABA_CLOUD_STS_REGION: \"CN\" is not valid: write a region such as ap-southeast-1"
    );
}
