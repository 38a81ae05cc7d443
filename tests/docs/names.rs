//! Everything that pages name exists: flags and variables of the operator, values of the chart,
//! test files, and paths of the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use phone_migration_operator::app::config::command_line;
use serde_json::Value;

use crate::flags::flags;
use crate::page::{Page, none, repository};

const BINARY: &str = "phone-migration-operator";
const PLUGIN_PAGE: &str = "docs/cli.md";
/// Flags of other tools that pages name without the tool.
const OTHER_TOOLS: [&str; 12] = [
    "--create-namespace",
    "--dir",
    "--field-selector",
    "--from-env-file",
    "--from-literal",
    "--help",
    "--seed",
    "--set",
    "--timeout",
    "--values",
    "--version",
    "--wait",
];
/// Variables that only tests read.
const OF_TESTS: [&str; 3] = [
    "PHONEMIG_KUBERNETES",
    "PHONEMIG_TEST_SEED",
    "PHONEMIG_TEST_SEEDS",
];
/// First folders of the paths that the test checks.
const FOLDERS: [&str; 7] = [
    ".ci/", "crds/", "deploy/", "docs/", "src/", "tests/", "scripts/",
];

fn words(code: &str) -> impl Iterator<Item = &str> {
    let between = |c: char| matches!(c, '=' | ',' | ';' | '(' | ')' | '[' | ']' | '"' | '\'');
    code.split(move |c: char| c.is_whitespace() || between(c))
}

/// Flags that a code gives to the operator: it begins with the operator's name, or with a flag,
/// also as an item of a YAML list.
fn operator_flags(code: &str) -> Vec<String> {
    let code = code
        .trim()
        .trim_start_matches("- ")
        .trim_start_matches('$')
        .trim();
    let ours = code.starts_with("--") || code.split_whitespace().next() == Some(BINARY);
    let flags = words(code).filter(|word| word.starts_with("--") && word.len() > 2);
    flags.filter(|_| ours).map(str::to_owned).collect()
}

fn wrong_flags(page: &Page, known: &BTreeSet<String>) -> Vec<String> {
    let named = page
        .code()
        .into_iter()
        .flat_map(|code| operator_flags(&code));
    let wrong = named.filter(|flag| !known.contains(flag) && !OTHER_TOOLS.contains(&&**flag));
    wrong
        .map(|flag| page.fault(&format!("{flag} is no flag")))
        .collect()
}

fn wrong_variables(page: &Page, known: &BTreeSet<String>) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_' || c == '*';
    let words = page.text.split(|c: char| !is_part(c));
    let named = words.filter(|word| word.starts_with("PHONEMIG_") && !word.contains('*'));
    let wrong = named.filter(|name| !known.contains(*name) && !OF_TESTS.contains(name));
    wrong
        .map(|name| page.fault(&format!("{name} is no variable")))
        .collect()
}

/// Values that a page gives with `--set` and that do not exist.
fn wrong_values(page: &Page, values: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for code in page.code() {
        for setting in code.split("--set ").skip(1) {
            let path = setting.trim_start_matches('\'').split('=').next().unwrap();
            let found = path.split('.').try_fold(values, |node, key| node.get(key));
            if found.is_none() {
                wrong.push(page.fault(&format!("{path} is no value of the chart")));
            }
        }
    }
    wrong
}

/// The folder of a package of this repository.
fn package(name: &str) -> Option<PathBuf> {
    let folders = ["tests", "tests/support"].map(|folder| repository().join(folder).join(name));
    let plugin = (name == "kubectl-phmig").then(|| repository().join("cli"));
    folders
        .into_iter()
        .chain(plugin)
        .find(|f| f.join("Cargo.toml").exists())
}

/// Whether a package has a test target of this name.
fn has_test(package: &Path, name: &str) -> bool {
    let files = [format!("tests/{name}.rs"), format!("tests/{name}/main.rs")];
    let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
    let declared = format!("[[test]]\nname = \"{name}\"\n");
    files.iter().any(|file| package.join(file).exists()) || manifest.contains(&declared)
}

/// Packages, test targets and folders of behaviour tests that are named by `cargo test`, and do
/// not exist.
fn wrong_tests(page: &Page) -> Vec<String> {
    let mut wrong = Vec::new();
    for code in page
        .code()
        .iter()
        .filter(|code| code.contains("cargo test"))
    {
        let words: Vec<&str> = code.split_whitespace().collect();
        let after = |flag: &'static str| {
            let pairs = words.windows(2).filter(move |pair| pair[0] == flag);
            pairs.map(|pair| pair[1])
        };
        let root = match after("-p").next() {
            Some(name) => package(name),
            None => Some(repository().to_path_buf()),
        };
        let Some(root) = root else {
            wrong.push(page.fault(&format!("there is no package in {code}")));
            continue;
        };
        for name in after("--test").filter(|name| !has_test(&root, name)) {
            wrong.push(page.fault(&format!("there is no test {name}")));
        }
        for name in words.iter().filter_map(|word| word.split_once("::")) {
            if !["", ".rs"]
                .iter()
                .any(|end| root.join(format!("{}{end}", name.0)).exists())
            {
                wrong.push(page.fault(&format!("there is no module {} in {code}", name.0)));
            }
        }
    }
    wrong
}

/// Paths of the repository in code that do not exist.
fn wrong_paths(page: &Page) -> Vec<String> {
    let mut wrong = Vec::new();
    for code in page.code() {
        for word in words(&code) {
            let path = word.split("::").next().unwrap().trim_start_matches("./");
            let path = path.trim_end_matches(['.', ':']);
            let ours = FOLDERS.iter().any(|folder| path.starts_with(folder));
            let literal = !path.contains(['*', '{', '<', '…', '$']);
            if ours && literal && !repository().join(path).exists() {
                wrong.push(page.fault(&format!("{path} does not exist")));
            }
        }
    }
    wrong
}

/// The operator's, and those of the plugin's page, which is generated from its command line.
fn known_flags() -> BTreeSet<String> {
    let command = command_line();
    let flags = flags(&command).into_iter();
    let mut known: BTreeSet<String> = flags
        .map(|arg| format!("--{}", arg.get_long().unwrap()))
        .collect();
    let page = Page::read(Path::new(PLUGIN_PAGE));
    let rows = page.text.lines().filter(|line| line.starts_with("| `-"));
    let cells = rows.filter_map(|row| row.split('`').nth(1).map(str::to_owned));
    for cell in cells {
        let flags = words(&cell).filter(|word| word.starts_with("--"));
        known.extend(flags.map(str::to_owned));
    }
    known
}

fn known_variables() -> BTreeSet<String> {
    let command = command_line();
    let flags = flags(&command).into_iter();
    let variables = flags.filter_map(|arg| arg.get_env().and_then(|env| env.to_str()));
    let page = Page::read(Path::new(PLUGIN_PAGE));
    let of_plugin = page.text.split("also $").skip(1);
    let of_plugin = of_plugin.filter_map(|rest| rest.split_whitespace().next());
    variables.chain(of_plugin).map(str::to_owned).collect()
}

fn values() -> Value {
    let path = "deploy/charts/phone-migration-operator/values.yaml";
    let text = fs::read_to_string(repository().join(path)).unwrap();
    serde_yaml_ng::from_str(&text).unwrap()
}

#[test]
fn every_flag_and_variable_that_a_page_names_exists() {
    let (flags, variables) = (known_flags(), known_variables());
    for page in Page::all() {
        none(wrong_flags(&page, &flags));
        none(wrong_variables(&page, &variables));
    }
}

#[test]
fn every_value_test_and_path_that_a_page_names_exists() {
    let values = values();
    for page in Page::all() {
        none(wrong_values(&page, &values));
        none(wrong_tests(&page));
        none(wrong_paths(&page));
    }
}

#[test]
fn names_of_what_does_not_exist_are_found() {
    let flags = known_flags();
    let page = |text: &str| Page::new("x.md", text);
    let good = "`--qps 5` `kubectl get --all` `--wait`\n```\nhelm install --foo\n- --qps=5\n```\n";
    none(wrong_flags(&page(good), &flags));
    for bad in [
        "`--qqps`",
        "```\nphone-migration-operator \\\n  --qqps=1\n```",
        "```\n  - --qqps=1\n```",
    ] {
        assert_eq!(
            wrong_flags(&page(bad), &flags),
            ["x.md: --qqps is no flag"],
            "{bad}"
        );
    }
    let variables = known_variables();
    let found = wrong_variables(&page("PHONEMIG_QPS PHONEMIG_* PHONEMIG_QQPS"), &variables);
    assert_eq!(found, ["x.md: PHONEMIG_QQPS is no variable"]);
    let text = "```\nhelm upgrade x --set cams.qps=5 \\\n  --set cams.qqps=5\n```";
    assert_eq!(wrong_values(&page(text), &values()).len(), 1);
    let text = "`cargo test --test docs` `cargo test --test nothing` \
                `cargo test -p fault-proxy --test proxy` `cargo test -p fault-proxy --test docs` \
                `cargo test -p e2e --test timing` `cargo test -p e2e --test faults` \
                `cargo test -p e2e faults::` `cargo test -p e2e fault::x` `cargo test -p e3e`";
    assert_eq!(wrong_tests(&page(text)).len(), 5);
    let text = "`deploy/flux` `tests/docs/links.rs::faults` `src/*.rs` `src/nothing.rs`";
    assert_eq!(
        wrong_paths(&page(text)),
        ["x.md: src/nothing.rs does not exist"]
    );
}
