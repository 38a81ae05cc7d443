//! The configuration contract: every flag, its variable, its default and, for every bad value, the
//! one line that the user reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use clap::Args;
use phone_migration_operator::app::config::{
    CloudVariables, Command, Config, ConfigError, Environment, LeaderElection, LogFormat, RunArgs,
    parse,
};
use phone_migration_operator::app::operator;
use phone_migration_operator::cams::sts::{AssumeRole, Identity};
use phone_migration_operator::cams::{SignIn, SignatureVersion};
use phone_migration_operator::domain::code::CodeDigits;

fn laptop() -> Environment {
    Environment {
        in_cluster: false,
        pod_name: None,
        pod_namespace: None,
        host_name: "laptop".to_owned(),
        random: [0, 1, 0xab, 0xff],
        cloud: CloudVariables {
            access_key: true,
            ..CloudVariables::default()
        },
    }
}

fn pod() -> Environment {
    Environment {
        in_cluster: true,
        pod_name: Some("operator-7d9-x2x".to_owned()),
        pod_namespace: Some("phone-migration-operator".to_owned()),
        ..laptop()
    }
}

fn signing_in_as(identity: Identity) -> SignIn {
    SignIn {
        identity,
        assume_role: None,
        session_name: "phone-migration-operator".to_owned(),
    }
}

/// Parses exactly these words.
fn only(words: &[&str], environment: &Environment) -> Result<Command, ConfigError> {
    let argv = ["phone-migration-operator"].iter().chain(words);
    parse(argv.map(OsString::from), environment)
}

/// The flags without which nothing runs outside a pod.
const NEEDED: [&str; 2] = ["--fingerprint-key-file=/key", "--ledger-namespace=ledgers"];

/// Parses these words, after the other required ones.
fn command(words: &[&str], environment: &Environment) -> Result<Command, ConfigError> {
    let named = |flag: &str| {
        let name = flag.split('=').next().unwrap();
        words.iter().any(|word| word.starts_with(name))
    };
    let needed = NEEDED.into_iter().filter(|flag| !named(flag));
    let all: Vec<&str> = needed.chain(words.iter().copied()).collect();
    only(&all, environment)
}

fn config_in(words: &[&str], environment: &Environment) -> Config {
    match command(words, environment) {
        Ok(Command::Run(config)) => *config,
        Ok(other) => panic!("{words:?} gave {other:?}"),
        Err(error) => panic!("{words:?} was refused: {error}"),
    }
}

fn config(words: &[&str]) -> Config {
    config_in(words, &laptop())
}

fn refusal(words: &[&str]) -> String {
    match command(words, &laptop()) {
        Ok(_) => panic!("{words:?} was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn defaults_are_those_of_the_contract() {
    let expected = Config {
        cams_endpoint: "https://cams.ap-southeast-1.aliyuncs.com".to_owned(),
        metadata_endpoint: None,
        allow_insecure_endpoint: false,
        sign_in: signing_in_as(Identity::Environment),
        sts_endpoint: "https://sts.ap-southeast-1.aliyuncs.com".to_owned(),
        signature: SignatureVersion::V1,
        signature_validity: Duration::from_secs(31 * 60),
        qps: 10.try_into().ok(),
        watch_namespaces: Vec::new(),
        watch_secrets: false,
        max_concurrent_reconciles: 16,
        leader_election: None,
        ledger_namespace: "ledgers".to_owned(),
        fingerprint_key_file: PathBuf::from("/key"),
        code_digits: CodeDigits::default(),
        listen: "0.0.0.0:8080".parse().unwrap(),
        log_format: LogFormat::Json,
        otlp_endpoint: None,
        in_cluster: false,
    };
    assert_eq!(config(&[]), expected);
    assert_eq!(config(&["run"]), expected);
}

#[test]
fn flags_stand_before_or_after_run_or_without_it() {
    for words in [["--qps", "5", "run"], ["run", "--qps", "5"]] {
        assert_eq!(config(&words).qps, 5.try_into().ok(), "{words:?}");
    }
    assert_eq!(config(&["--qps=5"]).qps, 5.try_into().ok());
}

#[test]
fn every_flag_sets_its_field() {
    let config = config(&[
        "--cams-endpoint=http://127.0.0.1:9000",
        "--allow-insecure-endpoint",
        "--credentials=files",
        "--credentials-dir=/credentials",
        "--assume-role-arn=acs:ram::2:role/x",
        "--assume-role-external-id=acme-7f3c",
        "--sts-endpoint=http://127.0.0.1:9001",
        "--metadata-endpoint=http://127.0.0.1:9002",
        "--signature=v3",
        "--signature-validity=20s",
        "--qps=0",
        "--watch-namespaces=tenant-b, tenant-a,tenant-b",
        "--watch-secrets",
        "--max-concurrent-reconciles=1000",
        "--leader-elect=true",
        "--lease-namespace=operators",
        "--lease-identity=me",
        "--ledger-namespace=records",
        "--fingerprint-key-file=/own-key",
        "--code-digits=4-8",
        "--listen=[::1]:0",
        "--log-format=text",
        "--otlp-endpoint=http://collector:4318/",
    ]);
    let expected = Config {
        cams_endpoint: "http://127.0.0.1:9000".to_owned(),
        metadata_endpoint: Some("http://127.0.0.1:9002".to_owned()),
        allow_insecure_endpoint: true,
        sign_in: SignIn {
            assume_role: Some(AssumeRole {
                role_arn: "acs:ram::2:role/x".to_owned(),
                external_id: Some("acme-7f3c".to_owned()),
            }),
            ..signing_in_as(Identity::Files(PathBuf::from("/credentials")))
        },
        sts_endpoint: "http://127.0.0.1:9001".to_owned(),
        signature: SignatureVersion::V3,
        signature_validity: Duration::from_secs(20),
        qps: None,
        watch_namespaces: vec!["tenant-a".to_owned(), "tenant-b".to_owned()],
        watch_secrets: true,
        max_concurrent_reconciles: 1000,
        leader_election: Some(LeaderElection {
            namespace: "operators".to_owned(),
            identity: "me".to_owned(),
        }),
        ledger_namespace: "records".to_owned(),
        fingerprint_key_file: PathBuf::from("/own-key"),
        code_digits: CodeDigits::new(4, 8).unwrap(),
        listen: "[::1]:0".parse().unwrap(),
        log_format: LogFormat::Text,
        otlp_endpoint: Some("http://collector:4318".to_owned()),
        in_cluster: false,
    };
    assert_eq!(config, expected);
}

#[test]
fn switches_take_a_value_after_an_equals_sign_only() {
    assert!(config(&["--watch-secrets=true"]).watch_secrets);
    assert!(!config(&["--watch-secrets=false"]).watch_secrets);
    assert!(config(&["--watch-secrets", "run"]).watch_secrets);
    assert!(!config(&["--allow-insecure-endpoint=false"]).allow_insecure_endpoint);
}

const URL: &str = "write a URL such as https://cams.ap-southeast-1.aliyuncs.com";
const STS: &str = "write a URL such as https://sts.ap-southeast-1.aliyuncs.com";
const UNIT: &str = "write numbers with a unit h, m or s, such as 31m, 90s or 1h30m";
const QPS: &str = "write a whole number from 1 to 1000";
const DIGITS: &str = "write a number from 4 to 8, such as 6, or a range of them, such as 4-8";
const ADDRESS: &str = "write an IP address and a port, such as 0.0.0.0:8080 or [::1]:8080";
const NAMESPACE: &str =
    "write a namespace name: lower-case letters, digits and dashes, at most 63 characters";
const IDENTITY: &str = "write 1 to 253 visible ASCII characters, such as the pod's name";
const COLLECTOR: &str = "write a URL such as http://collector.observability:4318; headers for it, such \
                     as credentials, belong into OTEL_EXPORTER_OTLP_HEADERS";

/// One row per flag and kind of mistake: the words, and what to do.
const BAD_VALUES: &[(&str, &str, &str)] = &[
    ("--cams-endpoint", "", URL),
    ("--cams-endpoint", "https://cams host", URL),
    ("--cams-endpoint", "https://cams\nhost", URL),
    ("--allow-insecure-endpoint", "1", "write true or false"),
    (
        "--credentials",
        "aws",
        "write auto, env, files, oidc or ecs",
    ),
    ("--credentials-dir", "", "write a path, or leave it out"),
    (
        "--assume-role-arn",
        "x",
        "write acs:ram::ACCOUNT_ID:role/NAME",
    ),
    (
        "--sts-region",
        "A.b",
        "write a region such as ap-southeast-1",
    ),
    ("--sts-endpoint", "", STS),
    ("--sts-endpoint", "a b", STS),
    ("--otlp-endpoint", "collector:4318", COLLECTOR),
    ("--otlp-endpoint", "grpc://collector:4317", COLLECTOR),
    ("--otlp-endpoint", "http://a b", COLLECTOR),
    ("--signature", "v2", "write v1 or v3"),
    ("--signature", "", "write v1 or v3"),
    ("--signature-validity", "31", UNIT),
    ("--signature-validity", "", UNIT),
    ("--signature-validity", "0m", UNIT),
    ("--signature-validity", "-5m", UNIT),
    ("--signature-validity", "5m1h", UNIT),
    ("--signature-validity", "1.5h", UNIT),
    ("--signature-validity", "31 m", UNIT),
    ("--signature-validity", "m", UNIT),
    ("--signature-validity", "99999999999999999999h", UNIT),
    ("--signature-validity", "25h", "write 24h or less"),
    (
        "--signature-validity",
        "899s",
        "write 15m or more; less is for tests and needs --allow-insecure-endpoint as well",
    ),
    ("--qps", "ten", QPS),
    ("--qps", "-1", QPS),
    ("--qps", "+1", QPS),
    ("--qps", "2.5", QPS),
    ("--qps", "1001", QPS),
    ("--qps", "", QPS),
    (
        "--qps",
        "0",
        "write a whole number from 1 to 1000; 0 (unlimited) is for tests and needs \
         --allow-insecure-endpoint as well",
    ),
    ("--code-digits", "", DIGITS),
    ("--code-digits", "six", DIGITS),
    ("--code-digits", "3", DIGITS),
    ("--code-digits", "4-9", DIGITS),
    ("--code-digits", "8-4", DIGITS),
    ("--code-digits", "4-", DIGITS),
    ("--code-digits", "4-6-8", DIGITS),
    ("--code-digits", "06", DIGITS),
    ("--watch-secrets", "yes", "write true or false"),
    ("--max-concurrent-reconciles", "0", QPS),
    ("--max-concurrent-reconciles", "1001", QPS),
    ("--leader-elect", "maybe", "write true or false"),
    ("--lease-namespace", "", NAMESPACE),
    ("--lease-namespace", "Operators", NAMESPACE),
    ("--lease-namespace", "a.b", NAMESPACE),
    ("--lease-namespace", "-a", NAMESPACE),
    ("--lease-namespace", "a-", NAMESPACE),
    ("--lease-identity", "", IDENTITY),
    ("--lease-identity", "two words", IDENTITY),
    ("--ledger-namespace", "", NAMESPACE),
    ("--ledger-namespace", "Ledgers", NAMESPACE),
    ("--fingerprint-key-file", "", "write a path"),
    ("--listen", "8080", ADDRESS),
    ("--listen", ":8080", ADDRESS),
    ("--listen", "localhost:8080", ADDRESS),
    ("--listen", "0.0.0.0:70000", ADDRESS),
    ("--log-format", "yaml", "write json or text"),
];

#[test]
fn every_bad_value_gives_one_line_that_says_what_to_do() {
    let long = "a".repeat(64);
    let too_long = ("--lease-namespace", long.as_str(), NAMESPACE);
    for (flag, value, advice) in BAD_VALUES.iter().chain([&too_long]) {
        let variable = variable_of(flag);
        let shown: String = value.chars().take(60).collect();
        let cut = if value.chars().count() > 60 {
            "…"
        } else {
            ""
        };
        let quoted = format!("{:?}", format!("{shown}{cut}"));
        let line = refusal(&[&format!("{flag}={value}")]);
        assert_eq!(
            line,
            format!("{flag} (or {variable}): {quoted} is not valid: {advice}")
        );
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn a_bad_namespace_is_named() {
    for (list, bad) in [
        ("tenant-a,Tenant-B", "Tenant-B"),
        ("a,,b", ""),
        ("a,", ""),
        ("a b", "a b"),
        ("a,ns/b", "ns/b"),
    ] {
        let line = refusal(&["--watch-namespaces", list]);
        let expected = format!(
            "--watch-namespaces (or PHONEMIG_WATCH_NAMESPACES): {list:?} is not valid: {bad:?} is \
             no namespace name: write names of lower-case letters, digits and dashes (at most 63 \
             characters), separated by single commas"
        );
        assert_eq!(line, expected);
    }
    assert!(
        config(&["--watch-namespaces", " "])
            .watch_namespaces
            .is_empty()
    );
}

#[test]
fn a_test_setting_needs_the_test_flag() {
    let accepted = config(&[
        "--allow-insecure-endpoint",
        "--qps=0",
        "--signature-validity=1s",
    ]);
    assert_eq!(accepted.qps, None);
    assert_eq!(accepted.signature_validity, Duration::from_secs(1));
    refusal(&["--qps=0"]);
    refusal(&["--signature-validity=14m59s"]);
    refusal(&["--allow-insecure-endpoint=false", "--qps=0"]);
}

/// The process ends before it calls anything.
#[tokio::test]
async fn a_loopback_endpoint_needs_the_test_flag() {
    for (flag, credentials) in [
        ("--cams-endpoint", "env"),
        ("--sts-endpoint", "oidc"),
        ("--metadata-endpoint", "ecs"),
    ] {
        let set = |text: &str| Some(text.to_owned());
        let mut environment = laptop();
        environment.cloud.role_arn = set("acs:ram::1:role/x");
        environment.cloud.oidc_provider_arn = set("acs:ram::1:oidc-provider/x");
        environment.cloud.oidc_token_file = set("/token");
        let endpoint = format!("{flag}=http://127.0.0.1:1");
        let credentials = format!("--credentials={credentials}");
        let config = config_in(&[&endpoint, &credentials], &environment);
        let fatal = operator::run(config).await.unwrap_err().to_string();
        let start = format!("{flag}: a loopback endpoint is for tests");
        assert!(fatal.starts_with(&start), "{fatal}");
    }
}

#[test]
fn leader_election_is_on_in_a_cluster_and_off_outside() {
    let in_pod = LeaderElection {
        namespace: "phone-migration-operator".to_owned(),
        identity: "operator-7d9-x2x".to_owned(),
    };
    assert_eq!(config_in(&[], &pod()).leader_election, Some(in_pod));
    assert_eq!(
        config_in(&["--leader-elect=false"], &pod()).leader_election,
        None
    );
    assert_eq!(config(&[]).leader_election, None);

    let outside = config(&["--leader-elect=true", "--lease-namespace=operators"]);
    let outside = outside.leader_election.unwrap();
    assert_eq!(outside.identity, "laptop-0001abff");
    assert_eq!(
        refusal(&["--leader-elect", "true"]),
        "--lease-namespace (or PHONEMIG_LEASE_NAMESPACE) is needed for leader election outside a \
         pod: name the namespace of the Lease, or write --leader-elect=false"
    );
}

/// The namespace is the pod's, or that of the Lease; never an unnamed one.
#[test]
fn ledgers_are_where_the_lease_is_unless_another_place_is_named() {
    let key = "--fingerprint-key-file=/key";
    let place = |words: &[&str], environment: &Environment| {
        let words: Vec<&str> = words.iter().copied().chain([key]).collect();
        match only(&words, environment) {
            Ok(Command::Run(config)) => config.ledger_namespace,
            Ok(other) => panic!("{other:?}"),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(place(&[], &pod()), "phone-migration-operator");
    assert_eq!(
        place(&["--leader-elect=false"], &pod()),
        "phone-migration-operator"
    );
    let lease = "--lease-namespace=operators";
    assert_eq!(place(&[lease], &pod()), "operators");
    assert_eq!(place(&[lease], &laptop()), "operators");
    let own = "--ledger-namespace=records";
    assert_eq!(place(&[lease, own], &pod()), "records");
    assert_eq!(
        place(&[], &laptop()),
        "--ledger-namespace (or PHONEMIG_LEDGER_NAMESPACE) is needed outside a pod: name the \
         namespace of the CodeLedgers, the same for all operators of one account"
    );
}

#[test]
fn nothing_runs_without_a_fingerprint_key() {
    let Err(error) = only(&["run"], &pod()) else {
        panic!("a run without a key");
    };
    assert_eq!(
        error.to_string(),
        "--fingerprint-key-file (or PHONEMIG_FINGERPRINT_KEY_FILE) is needed, since spent codes \
         are recognised by this key: make it once with: head -c 32 /dev/urandom > FILE, and keep it"
    );
}

#[test]
fn wrong_words_give_one_line_without_their_values() {
    for (words, expected) in [
        (
            vec!["--access-key-secret=CANARY"],
            "unexpected argument '--access-key-secret' found; --help lists the flags and commands",
        ),
        (
            vec!["start"],
            "unrecognized subcommand 'start'; --help lists the flags and commands",
        ),
        (
            vec!["run", "--qps"],
            "a value is required for '--qps <N>' but none was supplied; --help lists the flags \
             and commands",
        ),
    ] {
        assert_eq!(refusal(&words), expected);
    }
}

#[test]
fn a_key_in_place_of_its_path_is_not_repeated() {
    let key = "ab".repeat(32);
    assert_eq!(
        refusal(&["--fingerprint-key-file", &key]),
        "--fingerprint-key-file (or PHONEMIG_FINGERPRINT_KEY_FILE): this looks like the key \
         itself: put it into a file and write the file's path"
    );
}

#[test]
fn a_password_in_the_collectors_url_is_not_repeated() {
    for url in [
        "http://user:CANARY@collector:4318",
        "http://collector:4318?key=CANARY",
    ] {
        let line = refusal(&["--otlp-endpoint", url]);
        assert!(
            line.starts_with("--otlp-endpoint (or PHONEMIG_OTLP_ENDPOINT): "),
            "{line}"
        );
        assert!(line.contains("OTEL_EXPORTER_OTLP_HEADERS"), "{line}");
        assert!(!line.contains("CANARY"), "{line}");
    }
    assert_eq!(config(&["--otlp-endpoint="]).otlp_endpoint, None);
}

#[test]
fn crd_needs_no_valid_flags() {
    assert!(matches!(command(&["crd"], &laptop()), Ok(Command::Crd)));
    let with_bad_flag = command(&["--qps=abc", "crd"], &laptop());
    assert!(matches!(with_bad_flag, Ok(Command::Crd)));
}

fn variable_of(flag: &str) -> String {
    let name = flag.trim_start_matches('-').replace('-', "_");
    format!("PHONEMIG_{}", name.to_uppercase())
}

/// Every flag of `run`, as clap knows it.
fn flags() -> Vec<clap::Arg> {
    let command = RunArgs::augment_args(clap::Command::new("run"));
    command.get_arguments().cloned().collect()
}

#[test]
fn every_flag_has_a_variable_of_its_name_and_stands_in_the_help() {
    let Ok(Command::Print(help)) = command(&["--help"], &laptop()) else {
        panic!("--help did not print");
    };
    // Lines wrap at the terminal's width.
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        flags().len(),
        24,
        "a new flag belongs into every table here"
    );
    for flag in flags() {
        let long = format!("--{}", flag.get_long().unwrap());
        let variable = variable_of(&long);
        assert_eq!(flag.get_env().unwrap().to_str().unwrap(), variable);
        assert!(words.contains(&long), "{long} is not in the help");
        assert!(words.contains(&format!("[env: {variable}]")), "{variable}");
        for default in flag.get_default_values().iter().filter(|d| !d.is_empty()) {
            let default = format!("[default: {}]", default.to_str().unwrap());
            assert!(words.contains(&default), "{long}: {default}");
        }
    }
    for heading in [
        "CAMS:",
        "Kubernetes:",
        "Leader election:",
        "Process:",
        "Credentials:",
    ] {
        assert!(help.lines().any(|line| line == heading), "{heading}");
    }
    assert!(words.contains("Tests only: allow plain http to a loopback address"));
}

#[test]
fn version_is_the_package_version() {
    let Ok(Command::Print(version)) = command(&["--version"], &laptop()) else {
        panic!("--version did not print");
    };
    assert_eq!(
        version,
        format!("phone-migration-operator {}\n", env!("CARGO_PKG_VERSION"))
    );
}

/// Prints the configuration from this process's own environment; the tests below run it again with
/// variables set.
#[test]
fn shows_its_configuration() {
    let environment = Environment::read().unwrap();
    for words in [&[][..], &["--listen=127.0.0.1:7"]] {
        match only(words, &environment) {
            Ok(config) => println!("{config:?}"),
            Err(error) => println!("REFUSED {error}"),
        }
    }
    let Ok(Command::Print(help)) = command(&["--help"], &environment) else {
        panic!("--help did not print");
    };
    println!("HELP {help}");
}

fn with_variables(variables: &[(&str, &str)]) -> String {
    let output = process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "shows_its_configuration", "--nocapture"])
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
    text
}

/// One flag of each kind: text, switch, list, number and choice. All have a variable.
#[test]
fn variables_set_the_same_values_as_flags_and_flags_win() {
    let shown = with_variables(&[
        ("PHONEMIG_ALLOW_INSECURE_ENDPOINT", "true"),
        ("PHONEMIG_FINGERPRINT_KEY_FILE", "/key"),
        ("PHONEMIG_LEADER_ELECT", "true"),
        ("PHONEMIG_LEASE_NAMESPACE", "lease-place"),
        ("PHONEMIG_LEDGER_NAMESPACE", "records"),
        ("PHONEMIG_LISTEN", "127.0.0.1:9"),
        ("PHONEMIG_QPS", "0"),
        ("PHONEMIG_SIGNATURE", "v3"),
        ("PHONEMIG_WATCH_NAMESPACES", "tenant-a"),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "id"),
    ]);
    for part in [
        "allow_insecure_endpoint: true",
        "fingerprint_key_file: \"/key\"",
        "namespace: \"lease-place\", identity: ",
        "ledger_namespace: \"records\"",
        "listen: 127.0.0.1:9",
        "listen: 127.0.0.1:7",
        "qps: None",
        "signature: V3",
        "watch_namespaces: [\"tenant-a\"]",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let help = shown.split_once("HELP ").unwrap().1;
    assert!(
        !help.contains("/key") && !help.contains("lease-place"),
        "{help}"
    );
}

#[test]
fn a_pod_is_known_by_its_variables_and_a_named_kubeconfig_wins() {
    let in_pod = [
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("POD_NAME", "operator-x"),
        ("POD_NAMESPACE", "operators"),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "id"),
        ("PHONEMIG_FINGERPRINT_KEY_FILE", "/key"),
    ];
    let shown = with_variables(&in_pod);
    assert!(shown.contains("in_cluster: true"), "{shown}");
    let lease = "LeaderElection { namespace: \"operators\", identity: \"operator-x\" }";
    assert!(shown.contains(lease), "{shown}");

    let mut with_kubeconfig = in_pod.to_vec();
    with_kubeconfig.push(("KUBECONFIG", "/kubeconfig"));
    let shown = with_variables(&with_kubeconfig);
    assert!(shown.contains("leader_election: None"), "{shown}");
    assert!(shown.contains("ledger_namespace: \"operators\""), "{shown}");
    assert!(shown.contains("in_cluster: false"), "{shown}");
}

#[test]
fn a_bad_variable_is_named() {
    let shown = with_variables(&[("PHONEMIG_QPS", "a lot")]);
    let line = "REFUSED --qps (or PHONEMIG_QPS): \"a lot\" is not valid: write a whole number \
                from 1 to 1000\n";
    assert!(shown.contains(line), "{shown}");
}
