//! The rules of the house, checked on the source: which module may name what, how long a file
//! may be, and no catch-all arm where one of our own enums is matched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// Nothing pure names a clock, anything async, a client, or the log.
const IMPURE: &[&str] = &[
    "clock::now",
    "clock::boot",
    "clock::random",
    "Timestamp::now",
    "Instant",
    "SystemTime",
    "async ",
    ".await",
    "tokio",
    "futures",
    "reqwest",
    "hyper",
    "kube::Api",
    "kube::Client",
    "kube::client",
    "tracing",
    "std::fs",
    "std::net",
    "std::env",
    "getrandom",
    "crate::cams::client",
];

/// Modules by path prefix below `src/`, and the words they may not contain.
const RULES: &[(&[&str], &[&str])] = &[
    (
        &[
            "crd.rs",
            "crd/",
            "reason.rs",
            "fact.rs",
            "message.rs",
            "events.rs",
            "reads.rs",
            "code.rs",
            "decide.rs",
            "decide/",
            "status.rs",
            "status/",
            "secret.rs",
            "secret_body.rs",
            "siblings.rs",
            "spent.rs",
            "visits.rs",
            "visits/",
            "attempt/rules.rs",
            "cams/sign.rs",
            "cams/wire.rs",
            "cams/wire/json.rs",
            "cams/classify.rs",
            "quota/account.rs",
            "quota/account/",
            "quota/estimate.rs",
            "quota/hold.rs",
            "quota/hold/",
            "quota/pacer.rs",
            // Not spacing.rs: the clock that governor is given has an `Instant`, and it is ours.
            "quota/pacer/ahead.rs",
            "quota/pacer/allowance.rs",
            "quota/pacer/rate.rs",
            "quota/pacer/window.rs",
            "quota/queue.rs",
            "quota/recent.rs",
        ],
        IMPURE,
    ),
    // Decisions know plain types only.
    (
        &[
            "decide.rs",
            "decide/",
            "status.rs",
            "status/",
            "reads.rs",
            "code.rs",
            "fact.rs",
        ],
        &[
            "kube::",
            "crate::cluster",
            "crate::context",
            "crate::quota",
            "crate::cams",
        ],
    ),
    (
        &["cams/"],
        &[
            "kube::",
            "k8s_openapi",
            "crate::crd",
            "crate::cluster",
            "crate::decide",
        ],
    ),
    (
        &["cluster.rs"],
        &["crate::cams", "crate::quota", "crate::decide", "reqwest"],
    ),
    (
        &[
            "attempt.rs",
            "attempt/",
            "act.rs",
            "reconcile.rs",
            "observe.rs",
            "status_read.rs",
            "record.rs",
            "look.rs",
        ],
        &[
            "reqwest",
            "kube::Api",
            "Api<",
            "Timestamp::now",
            "Instant",
            "SystemTime",
        ],
    ),
];

/// The longest file, in lines.
const LONGEST: usize = 350;

/// Our own enums, whose `match` names every variant.
const ENUMS: &[&str] = &[
    "Fact",
    "Outcome",
    "Reason",
    "Kstatus",
    "Spent",
    "NoCode",
    "QueuedFor",
    "HoldCause",
    "Setback",
    "VerifiedBy",
    "Next",
    "TurnState",
    "Elsewhere",
    "Owner",
    "Purpose",
    "ReadResult",
    "Sameness",
    "CodeReading",
    "InvalidCode",
    "Verdict",
    "StatusVerdict",
    "ReadFailure",
    "UnknownCause",
    "NotSentCause",
    "BlockCause",
    "Due",
    "Recorded",
    "Recording",
    "ClusterError",
];

/// Catch-all arms that were looked at and are right: file, and the arm's beginning.
const REVIEWED: &[(&str, &str)] = &[
    // Only two states hold the account after a start; every other one does not.
    ("controller/listing.rs", "_ => None,"),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file below `src` but the tests' own, with its path below it.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![source()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .strip_prefix(source())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let is_test = name.ends_with("_tests.rs")
                || name.ends_with("/tests.rs")
                || name.contains("/tests/");
            if name.ends_with(".rs") && !is_test {
                found.push((name, code_of(&fs::read_to_string(path).unwrap())));
            }
        }
    }
    found.sort();
    assert!(found.len() > 40, "only {} files", found.len());
    found
}

/// A source without its tests at the end, comments blanked.
fn code_of(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let blank = |line: &str| match line.find("//") {
        Some(at) if !line[..at].contains('"') => line[..at].to_owned(),
        Some(_) | None => line.to_owned(),
    };
    code.lines().map(blank).collect::<Vec<_>>().join("\n")
}

fn forbidden_words(name: &str, code: &str) -> Vec<String> {
    let applies = |modules: &[&str]| {
        modules
            .iter()
            .any(|m| name == *m || (m.ends_with('/') && name.starts_with(m)))
    };
    let mut found = Vec::new();
    for (_, words) in RULES.iter().filter(|(modules, _)| applies(modules)) {
        for (n, line) in code.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                found.push(format!("src/{name}:{}: `{word}`", n + 1));
            }
        }
    }
    found
}

/// `_ =>` arms of a match that names one of our enums in another arm.
fn catch_alls(name: &str, code: &str) -> Vec<String> {
    let lines: Vec<&str> = code.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let arm = line.trim_start();
        if !(arm.starts_with("_ =>") || arm.starts_with("_ if ")) {
            continue;
        }
        // The arms above it, of the same match: back to a line that is less indented.
        let siblings = lines[..n]
            .iter()
            .rev()
            .take_while(|above| above.trim().is_empty() || indent(above) >= indent(line))
            .filter(|above| indent(above) == indent(line));
        let ours = siblings.into_iter().any(|above| {
            let pattern = above.split("=>").next().unwrap();
            let words = pattern.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            words.into_iter().any(|word| {
                word.split_once("::")
                    .is_some_and(|(type_, _)| ENUMS.contains(&type_))
            })
        });
        let reviewed = REVIEWED
            .iter()
            .any(|(file, start)| *file == name && arm.starts_with(start));
        if ours && !reviewed {
            found.push(format!("src/{name}:{}: {arm}", n + 1));
        }
    }
    found
}

#[test]
fn each_module_names_only_what_it_may() {
    let found: Vec<_> = files()
        .iter()
        .flat_map(|(name, code)| forbidden_words(name, code))
        .collect();
    assert!(
        found.is_empty(),
        "these words break the module rules of src/lib.rs:\n{}",
        found.join("\n")
    );
}

#[test]
fn every_module_of_the_rules_exists() {
    let files = files();
    for module in RULES.iter().flat_map(|(modules, _)| *modules) {
        let there = files
            .iter()
            .any(|(name, _)| name == module || (module.ends_with('/') && name.starts_with(module)));
        assert!(there, "src/{module} is in the rules, but not in the source");
    }
}

#[test]
fn no_file_is_too_long() {
    for (name, code) in files() {
        let lines = code.lines().count();
        assert!(lines <= LONGEST, "src/{name} has {lines} lines");
    }
}

#[test]
fn no_match_on_our_enums_has_a_catch_all() {
    let found: Vec<_> = files()
        .iter()
        .flat_map(|(name, code)| catch_alls(name, code))
        .collect();
    assert!(
        found.is_empty(),
        "name every variant:\n{}",
        found.join("\n")
    );
}

#[test]
fn the_checks_find_what_they_are_for() {
    let clock = "fn f() {\n    let now = crate::clock::now();\n}";
    assert_eq!(
        forbidden_words("decide/go.rs", clock),
        ["src/decide/go.rs:2: `clock::now`"]
    );
    assert_eq!(forbidden_words("controller.rs", clock), [""; 0]);
    assert!(!forbidden_words("cams/client.rs", "use crate::crd::PhoneMigration;").is_empty());
    assert!(!forbidden_words("cluster.rs", "use crate::quota::Quota;").is_empty());
    assert!(!forbidden_words("attempt/submit.rs", "let api: Api<Secret> = x;").is_empty());
    assert!(!forbidden_words("visits.rs", "pub async fn f() {}").is_empty());
    let hidden = "match x {\n    Fact::Seen => 1,\n    _ => 2,\n}";
    assert_eq!(catch_alls("a.rs", hidden), ["src/a.rs:3: _ => 2,"]);
    let plain = "match x {\n    \"Fact\" => 1,\n    _ => 2,\n}";
    assert_eq!(catch_alls("a.rs", plain), [""; 0]);
    assert_eq!(code_of("a // clock::now\nb"), "a \nb");
}
