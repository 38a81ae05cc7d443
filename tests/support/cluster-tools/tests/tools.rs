//! Checks that the tools exist and have the versions of go.mod. Cargo runs the tests of packages in
//! the order of their names: so the tools are built here, and not during behaviour tests, which
//! wait for conditions with time limits.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use cluster_tools::{Error, PrometheusTools, Tools};

fn built<T>(tools: Result<T, Error>) -> T {
    tools.unwrap_or_else(|why| panic!("{why}"))
}

/// The program's output.
fn says(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_tool_is_of_the_version_that_its_module_pins() {
    let prometheus = built(PrometheusTools::ensure());
    let tools = built(Tools::ensure());
    let folder = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let pinned = |module: &str, of: &str| {
        let version = go_build::required_version(&folder(module), of);
        built(version)
    };
    let of_prometheus = pinned("prometheus", "github.com/prometheus/prometheus");
    let of_helm = pinned("go", "helm.sh/helm/v4");
    let cases: [(PathBuf, &[&str], &str); 3] = [
        (prometheus.prometheus(), &["--version"], &of_prometheus),
        (prometheus.promtool(), &["--version"], &of_prometheus),
        (tools.helm(), &["version"], &of_helm),
    ];
    for (program, args, version) in cases {
        let said = says(&program, args);
        assert!(said.contains(version), "{program:?}, {version}: {said}");
    }
    // kubeconform does not know its version when it is built from a module.
    says(&tools.kubeconform(), &["-h"]);
}

#[test]
fn kstatus_has_nothing_to_say_to_nothing() {
    assert_eq!(says(&built(kstatus::program()), &[]), "");
}
