//! Flags, their values, and `RUST_LOG`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use phone_migration_operator::app::config::{
    CloudVariables, Command, Config, Environment, command_line, parse,
};
use phone_migration_operator::telemetry;
use proptest::prelude::*;
use tracing::Level;

use super::{any_text, cases};

/// Every flag, but those that clap adds itself.
fn flags() -> Vec<String> {
    let command = command_line();
    let ours = command
        .get_arguments()
        .filter(|arg| arg.get_env().is_some());
    ours.map(|arg| format!("--{}", arg.get_long().unwrap()))
        .collect()
}

fn environment() -> Environment {
    Environment {
        in_cluster: false,
        pod_name: None,
        pod_namespace: Some("operators".into()),
        host_name: "host".into(),
        random: [7; 4],
        cloud: CloudVariables {
            access_key: true,
            ..CloudVariables::default()
        },
    }
}

/// The result of the flag's value: a configuration, or the one line that the user reads.
fn checked(words: &[OsString]) -> Result<Option<Config>, String> {
    let argv = std::iter::once(OsString::from("operator")).chain(words.iter().cloned());
    match parse(argv, &environment()) {
        Ok(Command::Run(config)) => Ok(Some(*config)),
        Ok(Command::Crd | Command::Print(_)) => Ok(None),
        Ok(Command::Check(config)) => config.map(Some).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn with(flag: &str, value: &str) -> Result<Config, String> {
    let words = [
        format!("{flag}={value}"),
        "--allow-insecure-endpoint=true".into(),
        "--fingerprint-key-file=/key".into(),
    ];
    checked(&words.map(OsString::from)).map(|config| config.expect("a configuration"))
}

fn assert_one_line(error: &str) {
    assert!(
        !error.contains(['\n', '\r']) && !error.chars().any(char::is_control),
        "{error:?}"
    );
    assert!(
        !error.is_empty() && error.chars().count() < 600,
        "{error:?}"
    );
}

/// Libraries, and targets that are no module of ours.
const CAPPED: [&str; 17] = [
    "HTTP",
    "h2",
    "hyper",
    "hyper::proto",
    "hyper_util::client::legacy",
    "kube_client",
    "kube_client::client",
    "kube_client::client::tls",
    "kube_clientele",
    "kube_runtime::watcher",
    "phone_migration_operator_x",
    "reqwest::connect",
    "rustls::client",
    "tokio",
    "tower::buffer",
    "tower_http",
    "unheard_of",
];

/// `1h30m` in seconds, computed independently, from the letters of a grammar.
fn reference(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0u64;
    for (unit, seconds) in [('h', 3600u64), ('m', 60), ('s', 1)] {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 && rest[digits..].starts_with(unit) {
            total = total.checked_add(rest[..digits].parse::<u64>().ok()?.checked_mul(seconds)?)?;
            rest = &rest[digits + 1..];
        }
    }
    (rest.is_empty() && total > 0).then_some(total)
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn any_words_are_a_configuration_or_one_line(
        words in prop::collection::vec(
            prop_oneof![
                2 => (prop::sample::select(flags()), any_text()).prop_map(|(flag, value)| OsString::from(format!("{flag}={value}"))),
                1 => prop::sample::select(flags()).prop_map(OsString::from),
                1 => any_text().prop_map(OsString::from),
                1 => prop::collection::vec(1u8.., 0..20).prop_map(OsString::from_vec),
            ],
            0..4,
        ),
    ) {
        if let Err(error) = checked(&words) {
            assert_one_line(&error);
        }
    }

    #[test]
    fn any_value_of_any_flag_is_taken_or_refused_in_one_line(
        flag in prop::sample::select(flags()),
        value in any_text(),
    ) {
        let word = [OsString::from(format!("{flag}={value}"))];
        if let Err(error) = checked(&word) {
            assert_one_line(&error);
        }
    }

    #[test]
    fn a_duration_is_what_the_grammar_says(
        text in prop_oneof![
            "([0-9]{1,3}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?",
            "[0-9hms]{0,12}",
            "[0-9]{15,25}[hms]",
            any_text(),
        ],
    ) {
        let wanted = reference(&text).filter(|seconds| *seconds <= 24 * 3600);
        let read = with("--signature-validity", &text).map(|config| config.signature_validity);
        prop_assert_eq!(read.ok(), wanted.map(Duration::from_secs), "{:?}", text);
    }

    #[test]
    fn a_number_is_digits_within_its_bounds(text in prop_oneof!["[+-]?[0-9]{1,6}", "[0-9]{1,30}", any_text()]) {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse::<u128>().ok().filter(|_| plain);
        let qps = with("--qps", &text).map(|config| config.qps.map_or(0, |qps| qps.get().into()));
        prop_assert_eq!(qps.ok(), number.filter(|n| *n <= 1000), "{:?}", text);
        let workers = with("--max-concurrent-reconciles", &text)
            .map(|config| u128::from(config.max_concurrent_reconciles));
        prop_assert_eq!(workers.ok(), number.filter(|n| (1..=1000).contains(n)), "{:?}", text);
    }

    #[test]
    fn namespaces_are_sorted_names_without_repeats(
        names in prop::collection::vec("[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", 0..5),
        spaces in "[ ]{0,2}",
    ) {
        let text = names.join(&format!(",{spaces}"));
        let mut wanted = names.clone();
        wanted.sort();
        wanted.dedup();
        prop_assert_eq!(with("--watch-namespaces", &text).unwrap().watch_namespaces, wanted);
    }

    /// For any `RUST_LOG`, libraries that log their traffic stay silent.
    #[test]
    fn no_filter_opens_what_is_capped(
        text in prop_oneof![
            any_text(),
            "(trace|debug|kube_client|kube_client::client|hyper|hyper_util::client|h2|reqwest|rustls|tower|phone_migration_operator)(=(trace|debug|off))?(,(trace|hyper=trace|kube_client=trace)){0,3}",
        ],
    ) {
        let Ok(filter) = telemetry::filter(&text) else { return Ok(()) };
        for target in CAPPED {
            prop_assert!(!filter.allows(target, Level::TRACE) && !filter.allows(target, Level::DEBUG));
            prop_assert!(!filter.allows(target, Level::INFO));
        }
        for target in ["kube_client", "kube_client::client", "kube_client::client::tls"] {
            prop_assert!(!filter.allows(target, Level::WARN));
        }
    }
}
