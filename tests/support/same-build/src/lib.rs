//! No code. Cargo gives a dependency the features that the selected packages ask for together, so
//! `cargo test`, `cargo test -p e2e`, `cargo demo` and `cargo test --workspace` would each compile
//! nearly every dependency, and the operator, for themselves. All of them depend on this package,
//! and it asks for the features of all of them.
//!
//! The operator itself (`cargo build --release`) does without.

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::collections::BTreeSet;
    use std::process::Command;

    const EVERYTHING: &[&str] = &["--workspace", "--edges=normal,build,dev"];
    /// Selections of packages that are built together.
    const SELECTIONS: [&[&str]; 6] = [
        &[
            "--package=phone-migration-operator",
            "--package=kubectl-phmig",
            "--edges=normal,build,dev",
        ],
        &["--package=e2e", "--edges=normal,build,dev"],
        &["--package=model", "--edges=normal,build,dev"],
        &["--package=control-plane", "--edges=normal,build"],
        &["--package=demo", "--edges=normal,build"],
        // The operator and the plugin, as demo and soak build them.
        &[
            "--package=harness",
            "--package=phone-migration-operator",
            "--package=kubectl-phmig",
            "--edges=normal,build",
        ],
    ];

    /// Each dependency with its features.
    fn dependencies(selection: &[&str]) -> BTreeSet<String> {
        let mut command = Command::new(env!("CARGO"));
        command.args([
            "tree",
            "--locked",
            "--offline",
            "--prefix=none",
            "--no-dedupe",
        ]);
        command.args(["--format={p} {f}"]).args(selection);
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {error}");
        let text = String::from_utf8(output.stdout).unwrap();
        let found: BTreeSet<String> = text.lines().map(str::to_owned).collect();
        assert!(found.len() > 100, "{command:?}: {found:?}");
        found
    }

    #[test]
    fn features_are_the_same_whatever_is_built() {
        let everything = dependencies(EVERYTHING);
        for selection in SELECTIONS {
            let own = dependencies(selection);
            let others: Vec<&String> = own.difference(&everything).collect();
            assert!(
                others.is_empty(),
                "{selection:?} builds these once more: {others:#?}"
            );
        }
    }

    #[test]
    fn the_quick_layer_needs_neither_cluster_nor_model() {
        let quick = dependencies(SELECTIONS[0]);
        let everything = dependencies(EVERYTHING);
        for heavy in ["harness", "control-plane", "mlua", "stateright"] {
            let named = |all: &BTreeSet<String>| {
                let mut names = all.iter().filter_map(|line| line.split(' ').next());
                names.any(|name| name == heavy)
            };
            assert!(!named(&quick), "`cargo test` compiles {heavy}");
            assert!(named(&everything), "nothing is called {heavy}");
        }
    }

    /// Otherwise the check would find nothing.
    #[test]
    fn the_shipped_operator_has_features_of_its_own() {
        let shipped = ["--package=phone-migration-operator", "--edges=normal,build"];
        let shipped = dependencies(&shipped);
        assert!(
            !shipped.is_subset(&dependencies(EVERYTHING)),
            "{shipped:#?}"
        );
        let clocks = shipped.iter().filter(|line| line.contains("test-util"));
        assert_eq!(clocks.count(), 0, "a clock that tests can stop");
    }
}
