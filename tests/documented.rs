//! Every proof that docs/guarantees.md, docs/interleavings.md and docs/threats.md name exists, and
//! every reference case and every threat has its test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

/// Number of reference cases: `cNN_` in the names of their tests.
const CASES: usize = 36;
/// Number of threats: `T1` and so on in docs/threats.md.
const THREATS: usize = 29;
/// The text of a threat without a test.
const UNTESTED: &str = "documentation only";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The names of all tests in a source.
fn tests_in(text: &str) -> Vec<String> {
    let mut marked = false;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim_start) {
        let function = ["fn ", "async fn "]
            .into_iter()
            .find_map(|start| line.strip_prefix(start));
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let (true, Some(rest)) = (marked, function) {
            names.push(rest.split('(').next().unwrap_or_default().to_owned());
            marked = false;
        } else if !line.starts_with('#') && !line.starts_with("//") {
            marked = false;
        }
    }
    names
}

fn tests() -> Vec<String> {
    let mut files = Vec::new();
    sources(&root().join("tests"), &mut files);
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    texts.flat_map(|text| tests_in(&text)).collect()
}

/// The texts in backquotes in the last column of the table below a heading.
fn named(text: &str, heading: &str) -> Vec<String> {
    let section = text.split(heading).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    rows.filter(|row| row.matches('|').count() == 4)
        .filter_map(|row| row.rsplit('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned))
        .collect()
}

/// Those of `names` that are neither part of a test's name nor a file or folder of tests.
fn missing(names: &[String], tests: &[String]) -> Vec<String> {
    let exists = |name: &String| {
        root().join(name).exists() || tests.iter().any(|test| test.contains(name.as_str()))
    };
    names.iter().filter(|name| !exists(name)).cloned().collect()
}

/// Tests that a table names by their files, `file::test`, and scripts of the gate that do not exist.
fn missing_of_files(text: &str) -> Vec<String> {
    let names = text.split('`').skip(1).step_by(2);
    let is_missing = |name: &&str| match name.split_once("::") {
        None => name.starts_with(".ci/") && !root().join(name).exists(),
        Some((file, test)) => {
            let source = std::fs::read_to_string(root().join(file)).unwrap_or_default();
            !tests_in(&source).iter().any(|name| name == test)
        }
    };
    names.filter(is_missing).map(str::to_owned).collect()
}

/// What is wrong with the rows of the threats: threat, control and tests.
fn faults_of_threats(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for n in 1..=THREATS {
        let rows = text.lines().filter_map(|line| {
            let row = line.strip_prefix(&format!("| T{n} |"))?;
            Some(row.trim_end_matches('|').split('|').collect::<Vec<_>>())
        });
        match &rows.collect::<Vec<_>>()[..] {
            [row] => match row[..] {
                [what, control, tests] if what.len() > 10 && control.len() > 10 => {
                    if !tests.contains("::") && !tests.contains(".ci/") && !tests.contains(UNTESTED)
                    {
                        found.push(format!("T{n}: neither a test nor {UNTESTED:?}"));
                    }
                }
                _ => found.push(format!("T{n}: no threat, control and tests")),
            },
            rows => found.push(format!("T{n}: {} rows", rows.len())),
        }
    }
    found
}

#[test]
fn every_threat_has_its_row_and_every_named_test_exists() {
    let page = std::fs::read_to_string(root().join("docs/threats.md")).unwrap();
    assert_eq!(faults_of_threats(&page), [""; 0]);
    let rows = page.lines().filter(|line| line.starts_with("| T"));
    assert_eq!(rows.count(), THREATS);
    assert_eq!(missing_of_files(&page), [""; 0]);
}

#[test]
fn every_reference_case_has_a_test() {
    let tests = tests();
    let without: Vec<String> = (1..=CASES)
        .map(|n| format!("c{n:02}_"))
        .filter(|case| !tests.iter().any(|test| test.contains(case.as_str())))
        .collect();
    assert_eq!(without, [""; 0]);
    for n in 0..10 {
        let point = format!("c01_k{n}_");
        assert!(tests.iter().any(|test| test.starts_with(&point)), "{point}");
    }
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let page = std::fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
    let named = named(&page, "\n## Faults\n");
    assert!(named.len() > 40, "{named:?}");
    assert_eq!(missing(&named, &tests()), [""; 0]);
}

#[test]
fn every_test_that_the_page_of_interleavings_names_exists() {
    let page = std::fs::read_to_string(root().join("docs/interleavings.md")).unwrap();
    let headings = page.lines().filter(|line| line.starts_with("## "));
    let sections = headings.map(|heading| named(&page, &format!("\n{heading}\n")));
    let tests = tests();
    for named in sections {
        assert!(named.len() >= 4, "{named:?}");
        assert_eq!(missing(&named, &tests), [""; 0]);
    }
}

#[test]
fn the_checks_find_what_they_are_for() {
    let source =
        "#[test]\n#[ignore]\nfn c01_a() {}\nfn helper() {}\n#[tokio::test]\nasync fn b() {}";
    assert_eq!(tests_in(source), ["c01_a", "b"]);
    let text = "\n## G\n| Fault | What | Test |\n|---|---|---|\n| x | `y` | `c01`, `gone` |\n## H\n| a | b | `z` |\n";
    let names = named(text, "\n## G\n");
    assert_eq!(names, ["c01", "gone"]);
    assert_eq!(missing(&names, &["c01_a".to_owned()]), ["gone"]);
    let here = "`tests/documented.rs::the_checks_find_what_they_are_for`";
    assert_eq!(missing_of_files(here), [""; 0]);
    for name in [
        "documented.rs::the_checks",
        "documented.rs::root",
        "no.rs::x",
    ] {
        let name = format!("tests/{name}");
        assert_eq!(missing_of_files(&format!("`{name}`")), [name]);
    }
    assert_eq!(missing_of_files("`.ci/nothing`"), [".ci/nothing"]);
    let bare = "| T1 | some threat or other | some control or other | by hand |";
    let found = faults_of_threats(bare);
    assert!(found[0].starts_with("T1: neither"), "{found:?}");
    assert_eq!(found.len(), THREATS, "{found:?}");
}
