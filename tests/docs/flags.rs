//! `docs/reference/flags.md` equals the command line.

use std::fmt::Write;

use clap::{Arg, Command};
use phone_migration_operator::app::config::command_line;

use crate::page::{cell, settle};

const HEAD: &str = "\
# Flags

For administrators who configure the operator without the chart. Generated from the command line by `UPDATE_DOCS=1 cargo test --test docs reference`;
`phone-migration-operator --help` prints the same. A flag outweighs its variable.
";

/// Flags in their order, without those that clap adds itself.
pub fn flags(command: &Command) -> Vec<&Arg> {
    command
        .get_arguments()
        .filter(|arg| arg.get_env().is_some())
        .collect()
}

fn row(arg: &Arg) -> String {
    let value = arg.get_value_names().unwrap_or_default().join(" ");
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .filter(|value| !value.is_empty())
        .collect();
    let default = match defaults.join(" ") {
        none if none.is_empty() => none,
        some => format!("`{some}`"),
    };
    let form = match arg.is_require_equals_set() {
        true => format!("[={value}]"),
        false => format!(" {value}"),
    };
    format!(
        "| `{}` | `{}` | {} | {} |",
        cell(&format!("--{}{form}", arg.get_long().unwrap())),
        arg.get_env().unwrap().to_string_lossy(),
        cell(&default),
        cell(&arg.get_help().unwrap().to_string()),
    )
}

fn reference(command: &Command) -> String {
    let mut out = format!("{HEAD}\n## Commands\n\n| Command | Does |\n|---|---|\n");
    for sub in command.get_subcommands() {
        let about = sub.get_about().unwrap().to_string();
        writeln!(out, "| `{}` | {} |", sub.get_name(), cell(&about)).unwrap();
    }
    let mut heading = None;
    for arg in flags(command) {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            writeln!(out, "\n## {}\n", heading.unwrap()).unwrap();
            out.push_str("| Flag | Variable | Default | Meaning |\n|---|---|---|---|\n");
        }
        writeln!(out, "{}", row(arg)).unwrap();
    }
    let more = command.get_after_help().unwrap().to_string();
    writeln!(
        out,
        "\n## Credentials and other environment\n\n```text\n{more}\n```"
    )
    .unwrap();
    out
}

#[test]
fn reference_of_the_flags_is_what_the_command_line_says() {
    settle("docs/reference/flags.md", &reference(&command_line()));
}

/// A heading occurs once: flags of one subject are together.
#[test]
fn every_flag_is_in_the_reference_under_one_heading() {
    let command = command_line();
    let page = reference(&command);
    let mut headings: Vec<&str> = page.lines().filter(|l| l.starts_with("## ")).collect();
    let all = headings.len();
    headings.sort_unstable();
    headings.dedup();
    assert_eq!(headings.len(), all, "{headings:?}");
    let rows = page.lines().filter(|line| line.starts_with("| `--"));
    assert_eq!(rows.count(), flags(&command).len());
    assert!(flags(&command).len() >= 14);
}
