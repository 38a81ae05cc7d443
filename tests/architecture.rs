//! The architecture rules, checked on the source: no folder imports a higher one, each module names
//! only what it may, no file is too long, and no match on the crate's own enums has a catch-all
//! arm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// The folders (and files) below `src/`, the highest first. Each may import the lower ones.
/// Neighbours on one line do not import each other.
const FLOORS: &[&[&str]] = &[
    &["app"],
    &["operator/controller"],
    &["operator/attempt"],
    &["operator/state"],
    &["quota"],
    &["cluster"],
    &["telemetry"],
    &["cams"],
    &["domain"],
    &["api"],
    &["back_off", "clock", "hex", "secret", "tls"],
];

/// These are above all floors: they name everything.
const ROOTS: &[&str] = &["lib.rs", "main.rs"];

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
            "api/",
            "back_off.rs",
            "domain/",
            "hex.rs",
            "secret.rs",
            "cluster/secret_body.rs",
            "operator/state/ledger_index.rs",
            "operator/state/ledger_memory.rs",
            "operator/state/numbers.rs",
            "operator/state/polls.rs",
            "operator/state/secret_names.rs",
            "operator/state/sent.rs",
            "operator/state/memory.rs",
            "operator/state/memory/",
            "operator/attempt/rules.rs",
            "cams/credentials/renewal.rs",
            "cams/sign.rs",
            "cams/sts/fault.rs",
            "cams/sts/reply.rs",
            "cams/sts/request.rs",
            "cams/wire.rs",
            "cams/wire/json.rs",
            "cams/classify.rs",
            "quota/account.rs",
            "quota/account/",
            "quota/estimate.rs",
            "quota/hold.rs",
            "quota/hold/",
            "quota/pacer.rs",
            // Not spacing.rs: governor's clock trait has an associated type `Instant`, which the
            // crate defines itself.
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
            "domain/code.rs",
            "domain/decide/",
            "domain/fact.rs",
            "domain/ledger/",
            "domain/reads.rs",
            "domain/status/mod.rs",
            "domain/status/conditions.rs",
            "domain/status/fit.rs",
        ],
        &["kube::"],
    ),
    (
        &["cams/"],
        &["kube::", "k8s_openapi", "crate::api::crd", "crate::domain"],
    ),
    (
        &["cluster/"],
        &["crate::cams", "crate::domain::decide", "reqwest"],
    ),
    (
        &[
            "operator/attempt/",
            "operator/controller/execute.rs",
            "operator/controller/reconcile.rs",
            "operator/state/evaluate.rs",
            "operator/state/ledgers.rs",
            "operator/state/status_writer.rs",
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
const LONGEST: usize = 600;

/// The crate's own enums, whose `match` names every variant.
const ENUMS: &[&str] = &[
    "Fact",
    "State",
    "CamsResult",
    "Outcome",
    "Reason",
    "Kstatus",
    "NoCode",
    "QueuedFor",
    "HoldCause",
    "Setback",
    "VerifiedBy",
    "Next",
    "TurnState",
    "Exhausted",
    "SpentBy",
    "CodeUse",
    "CodeMatch",
    "Unusable",
    "Purpose",
    "ReadResult",
    "CodeReading",
    "InvalidCode",
    "Verdict",
    "NumberStatus",
    "UnknownCause",
    "NotSentCause",
    "BlockCause",
    "Due",
    "LedgerRead",
    "Replaces",
    "Written",
    "Blame",
    "Prepared",
    "Tried",
    "Recorded",
    "Recording",
    "Showing",
    "ClusterError",
];

/// Reviewed catch-all arms that are right: file, and the arm's beginning.
const REVIEWED: &[(&str, &str)] = &[
    // Only two states hold the account after a start; every other one does not.
    ("operator/controller/watch_handler.rs", "_ => None,"),
    // The other half of the pattern is an HTTP status.
    ("cluster/ledgers.rs", "_ => unclear(),"),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file below `src`, with its path below it.
fn sources() -> Vec<(String, String)> {
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
            if name.ends_with(".rs") {
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The code of every file below `src`, without tests and comments.
fn files() -> Vec<(String, String)> {
    let is_test = |name: &str| name.ends_with("/tests.rs") || name.contains("/tests/");
    let files: Vec<_> = sources()
        .into_iter()
        .filter(|(name, _)| !is_test(name))
        .map(|(name, text)| (name, code_of(&text)))
        .collect();
    assert!(files.len() > 40, "only {} files", files.len());
    files
}

/// A source without its tests at the end, comments blanked.
fn code_of(text: &str) -> String {
    without_comments(text.split("\n#[cfg(test)]\nmod tests {").next().unwrap())
}

fn without_comments(text: &str) -> String {
    let blank = |line: &str| match line.find("//") {
        Some(at) if !line[..at].contains('"') => line[..at].to_owned(),
        Some(_) | None => line.to_owned(),
    };
    text.lines().map(blank).collect::<Vec<_>>().join("\n")
}

/// The floor of a path of modules, and the folder on it. The longest folder that fits: a part of
/// `operator` is not a folder of its own.
fn floor(modules: &[&str]) -> Option<(usize, &'static str)> {
    FLOORS.iter().enumerate().find_map(|(n, folders)| {
        let fits = |folder: &&&str| {
            let parts: Vec<&str> = folder.split('/').collect();
            modules.starts_with(&parts)
        };
        folders.iter().find(fits).map(|folder| (n, *folder))
    })
}

/// The modules that lead to the module of a file.
fn modules_of(name: &str) -> Vec<&str> {
    let mut modules: Vec<&str> = name.trim_end_matches(".rs").split('/').collect();
    if modules.last() == Some(&"mod") {
        modules.pop();
    }
    modules
}

/// The paths that a file names from the crate's root, each as the line and the modules:
/// `crate::…`, and `super::…` where it leads out of the file's own module.
fn named_paths<'a>(name: &'a str, code: &'a str) -> Vec<(usize, Vec<&'a str>)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (n, line) in code.lines().enumerate() {
        for root in ["crate::", "super::"] {
            for (at, _) in line.match_indices(root) {
                let before = &line[..at];
                if before.ends_with(|c: char| is_word(c) || c == '$' || c == ':') {
                    continue;
                }
                let mut parts: Vec<&str> = line[at..]
                    .split(|c: char| !is_word(c) && c != ':')
                    .next()
                    .unwrap()
                    .split("::")
                    .filter(|part| !part.is_empty())
                    .collect();
                let ups = parts.iter().take_while(|part| **part == "super").count();
                let mut path = Vec::new();
                if ups > 0 {
                    path = modules_of(name);
                    path.truncate(path.len().saturating_sub(ups));
                    parts.drain(..ups);
                } else {
                    parts.remove(0);
                }
                path.extend(parts);
                found.push((n + 1, path));
            }
        }
    }
    found
}

/// Imports of a file from a higher floor, from a neighbour, or from no floor at all.
fn upward(name: &str, code: &str) -> Vec<String> {
    if ROOTS.contains(&name) {
        return Vec::new();
    }
    let here = floor(&modules_of(name));
    let mut found = Vec::new();
    for (line, path) in named_paths(name, code) {
        let may = match (here, floor(&path)) {
            (Some((ours, folder)), Some((theirs, other))) => theirs > ours || folder == other,
            (None, _) | (_, None) => false,
        };
        if !may {
            found.push(format!("src/{name}:{line}: {}", path.join("::")));
        }
    }
    found
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

/// `_ =>` arms of a match that names one of the crate's own enums in another arm.
fn catch_alls(name: &str, code: &str) -> Vec<String> {
    let lines: Vec<&str> = code.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let arm = line.trim_start();
        if !(arm.starts_with("_ =>") || arm.starts_with("_ if ")) {
            continue;
        }
        // The arms above it, of the same match: back to a line with less indentation.
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

/// Unit tests included.
#[test]
fn no_folder_imports_a_higher_one() {
    let files = sources();
    let found: Vec<_> = files
        .iter()
        .flat_map(|(name, text)| upward(name, &without_comments(text)))
        .collect();
    assert!(
        found.is_empty(),
        "these imports lead up:\n{}",
        found.join("\n")
    );
    let down: usize = files
        .iter()
        .map(|(name, text)| named_paths(name, text).len())
        .sum();
    assert!(down > 300, "only {down} paths were looked at");
}

#[test]
fn every_file_stands_on_a_floor_and_every_floor_exists() {
    // It contains only its folders.
    let bare = ["operator/mod.rs"];
    let mut empty: Vec<&str> = FLOORS.concat();
    for (name, _) in sources() {
        match floor(&modules_of(&name)) {
            Some((_, folder)) => empty.retain(|other| *other != folder),
            None => assert!(
                ROOTS.contains(&&*name) || bare.contains(&&*name),
                "src/{name} is in no folder: put it into one of those in src/lib.rs"
            ),
        }
    }
    assert!(
        empty.is_empty(),
        "{empty:?} are in the rules, but not in the source"
    );
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
        forbidden_words("domain/decide/go.rs", clock),
        ["src/domain/decide/go.rs:2: `clock::now`"]
    );
    assert_eq!(
        forbidden_words("operator/controller/mod.rs", clock),
        [""; 0]
    );
    assert!(!forbidden_words("cams/client.rs", "use crate::api::crd::PhoneMigration;").is_empty());
    assert!(!forbidden_words("cluster/mod.rs", "use crate::cams::Cams;").is_empty());
    assert!(!forbidden_words("operator/attempt/submit.rs", "let api: Api<Secret> = x;").is_empty());
    assert!(!forbidden_words("operator/state/memory.rs", "pub async fn f() {}").is_empty());
    let up = "use crate::app::config::Config;";
    assert_eq!(
        upward("quota/hold.rs", up),
        ["src/quota/hold.rs:1: app::config::Config"]
    );
    assert_eq!(upward("app/check.rs", up), [""; 0]);
    let attempt = "    super::super::controller::act::carry_out(x);";
    assert_eq!(
        upward("operator/attempt/prepare.rs", attempt),
        ["src/operator/attempt/prepare.rs:1: operator::controller::act::carry_out"]
    );
    assert_eq!(
        upward(
            "operator/controller/execute.rs",
            "use super::watch_handler;"
        ),
        [""; 0]
    );
    assert_eq!(
        upward("tls.rs", "use crate::clock;"),
        ["src/tls.rs:1: clock"]
    );
    assert_eq!(
        upward("app/check.rs", "use crate::{quota, decide::decide};"),
        ["src/app/check.rs:1: "]
    );
    assert!(!upward("app/check.rs", "use crate::decide::decide;").is_empty());
    let hidden = "match x {\n    Fact::Unchanged => 1,\n    _ => 2,\n}";
    assert_eq!(catch_alls("a.rs", hidden), ["src/a.rs:3: _ => 2,"]);
    let plain = "match x {\n    \"Fact\" => 1,\n    _ => 2,\n}";
    assert_eq!(catch_alls("a.rs", plain), [""; 0]);
    assert_eq!(code_of("a // clock::now\nb"), "a \nb");
}
