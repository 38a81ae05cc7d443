//! `docs/threats.md` names the test of every control: each of them exists, and each threat has a
//! row with tests, or says that it is documentation only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use harness::repository;

const TABLE: &str = "docs/threats.md";
const THREATS: usize = 29;
/// The text of a row without a test.
const UNTESTED: &str = "documentation only";

/// The rows of the table, by threat: their cells.
fn rows(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| T")) {
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        let before = rows.insert(cells[1].clone(), cells[2..cells.len() - 1].to_vec());
        assert!(before.is_none(), "{} has two rows", cells[1]);
    }
    rows
}

/// The tests and scripts that a cell names: every text in backquotes with `::` or a dot folder.
fn named(cell: &str) -> BTreeSet<String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted
        .filter(|text| text.contains("::") || text.starts_with(".ci/"))
        .map(str::to_owned)
        .collect()
}

/// Why a named test does not exist.
fn missing(root: &Path, name: &str) -> Option<String> {
    let Some((file, test)) = name.split_once("::") else {
        return (!root.join(name).exists()).then(|| format!("{name}: no such file"));
    };
    let Ok(source) = std::fs::read_to_string(root.join(file)) else {
        return Some(format!("{name}: no such file"));
    };
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let is_function = |line: &&str| -> bool {
        let start = ["fn ", "async fn "]
            .into_iter()
            .find_map(|f| line.strip_prefix(f));
        start.is_some_and(|rest| rest.starts_with(&format!("{test}(")))
    };
    let Some(at) = lines.iter().position(is_function) else {
        return Some(format!("{name}: no such function"));
    };
    // Attributes and comments are right above it.
    let above = lines[..at]
        .iter()
        .rev()
        .take_while(|line| line.starts_with('#') || line.starts_with("//"));
    let is_test = above
        .into_iter()
        .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
    (!is_test).then(|| format!("{name}: not a test"))
}

/// Everything that is wrong with the table.
fn faults(root: &Path, text: &str) -> Vec<String> {
    let rows = rows(text);
    let mut found = Vec::new();
    for n in 1..=THREATS {
        let threat = format!("T{n}");
        let Some([what, control, tests]) = rows.get(&threat).map(Vec::as_slice) else {
            found.push(format!("{threat}: no row of threat, control and tests"));
            continue;
        };
        if what.len() < 10 || control.len() < 10 {
            found.push(format!("{threat}: says nothing"));
        }
        let named = named(tests);
        if named.is_empty() && !tests.contains(UNTESTED) {
            found.push(format!("{threat}: neither a test nor \"{UNTESTED}\""));
        }
    }
    found.extend(named(text).iter().filter_map(|name| missing(root, name)));
    if rows.len() != THREATS {
        found.push(format!("{} rows", rows.len()));
    }
    found
}

#[test]
fn every_threat_has_its_row_and_every_named_test_exists() {
    let text = std::fs::read_to_string(repository().join(TABLE)).unwrap();
    let found = faults(&repository(), &text);
    assert!(found.is_empty(), "{TABLE}:\n{}", found.join("\n"));
}

#[test]
fn the_check_finds_what_it_is_for() {
    let text = std::fs::read_to_string(repository().join(TABLE)).unwrap();
    let here = "`tests/e2e/leaks/threats.rs::the_check_finds_what_it_is_for`";
    assert_eq!(missing(&repository(), here.trim_matches('`')), None);
    for name in [
        "tests/e2e/leaks/threats.rs::no_such_test",
        "tests/e2e/leaks/threats.rs::the_check",
        "tests/e2e/leaks/threats.rs::missing",
        "tests/e2e/leaks/nowhere.rs::the_check_finds_what_it_is_for",
        ".ci/nothing",
    ] {
        assert!(missing(&repository(), name).is_some(), "{name}");
    }
    let without_last = text.lines().filter(|line| !line.starts_with("| T25"));
    let shorter: Vec<&str> = without_last.collect();
    assert!(!faults(&repository(), &shorter.join("\n")).is_empty());
    let bare = "| T1 | some threat or other | some control or other | by hand |";
    let found = faults(&repository(), bare);
    assert!(found[0].starts_with("T1: neither"), "{found:?}");
    let wrong = text.replacen("::", "::not_", 1);
    assert_eq!(faults(&repository(), &wrong).len(), 1);
}
