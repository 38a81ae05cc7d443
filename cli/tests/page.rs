//! `docs/cli.md` equals the command line: `UPDATE_DOCS=1 cargo test -p kubectl-phmig --test page`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::{Arg, Command};
use kubectl_phmig::args::command_line;
use kubectl_phmig::exit::Exit;

const HEAD: &str = "\
# kubectl phmig

For people who hand in codes and watch over a batch: a plugin of kubectl. This page is generated from the command line
by `UPDATE_DOCS=1 cargo test -p kubectl-phmig --test page`.

Build it with `cargo build --release -p kubectl-phmig`, and put `target/release/kubectl-phmig` into a folder of
your PATH: kubectl finds it by its name. It reads the kubeconfig as kubectl does, and makes requests to the API server
only. It needs the rights of the ClusterRole `phone-migration-operator-code-desk`. The chart makes this role and binds
it to nobody:

```sh
kubectl -n tenant-a create rolebinding code-desk --clusterrole=phone-migration-operator-code-desk \\
  --group=code-desk
```

**A code is never an argument**: the user types it at a prompt without echo, or a pipe brings it. The plugin writes it
into the Secret that the resource names and nowhere else. It reports the outcome of exactly this code, since the
operator names the version of the Secret with each attempt. With `NO_COLOR` set, or in a pipe, there are no colours;
in a pipe there are plain lines.

Completion: `source <(kubectl-phmig completion bash)`; also zsh, fish, powershell.
";

fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|")
}

fn flag(arg: &Arg) -> String {
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let name = match names.is_empty() {
        true => arg.get_value_names().unwrap_or_default().join(" "),
        false => names.join(", "),
    };
    let takes = arg.get_action().takes_values() && !names.is_empty();
    match takes {
        true => {
            let value = arg.get_value_names().unwrap_or_default().join(" ");
            format!("{name} {value}")
        }
        false => name,
    }
}

fn row(arg: &Arg) -> String {
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults = arg.get_default_values().iter();
    let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        write!(help, " (default {})", defaults.join(" ")).unwrap();
    }
    if let Some(variable) = arg.get_env() {
        write!(help, "; also ${}", variable.to_string_lossy()).unwrap();
    }
    format!("| `{}` | {} |", cell(&flag(arg)), cell(&help))
}

fn table(command: &Command, global: bool) -> String {
    let shown = |arg: &&Arg| {
        let own = arg.is_global_set() == global && !arg.is_hide_set();
        own && !matches!(arg.get_id().as_str(), "help" | "version")
    };
    let rows: Vec<String> = command.get_arguments().filter(shown).map(row).collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("\n| Argument | Meaning |\n|---|---|\n{}\n", rows.join("\n")),
    }
}

fn page() -> String {
    let command = command_line();
    let mut out = format!("{HEAD}\n## Every command takes\n{}", table(&command, true));
    for sub in command.get_subcommands() {
        let about = sub.get_about().unwrap();
        writeln!(out, "\n## kubectl phmig {}\n\n{about}.", sub.get_name()).unwrap();
        out.push_str(&table(sub, false));
        if let Some(more) = sub.get_after_help() {
            writeln!(out, "\n```text\n{}\n```", more.to_string().trim_end()).unwrap();
        }
    }
    out.push_str(
        "\n## Exit codes\n\nIf several numbers end differently, the exit code is that of the ending which matters most.\n\n",
    );
    out.push_str("| Code | Meaning |\n|---|---|\n");
    for (exit, meaning) in Exit::ALL {
        writeln!(out, "| {} | {} |", exit.code(), cell(meaning)).unwrap();
    }
    out
}

#[test]
fn the_page_is_what_the_command_line_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let wanted = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &wanted).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/cli.md is not what the command line says: \
         UPDATE_DOCS=1 cargo test -p kubectl-phmig --test page"
    );
}

#[test]
fn every_command_and_flag_is_on_the_page() {
    let (page, command) = (page(), command_line());
    for sub in command.get_subcommands() {
        assert!(page.contains(&format!("\n## kubectl phmig {}\n", sub.get_name())));
        let mut visible = sub.get_arguments().filter(|arg| !arg.is_hide_set());
        let missing = visible.find(|arg| {
            let long = arg.get_long().unwrap_or_default();
            long != "help" && !page.contains(&format!("--{long}"))
        });
        assert!(missing.is_none(), "{missing:?}");
    }
}
