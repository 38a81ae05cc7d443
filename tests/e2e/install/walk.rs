//! Runs every command of the pages for kubectl and Helm as it is written, in the reader's order.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use harness::repository;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::helm::{NAME, tools};
use super::page::Page;
use super::release::Site;
use super::*;

/// The pages that come first, and those that come last.
const FIRST: [&str; 3] = ["docs/install.md", "README.md", "docs/first-migration.md"];
const LAST: [&str; 2] = ["docs/upgrade.md", "docs/uninstall.md"];
/// Commands that are not run here, each by a part of it.
const NOT_RUN: [(&str, &str); 12] = [
    ("cosign verify ", "no release is published"),
    ("sha256sum --check ", "no release is published"),
    ("kubectl phmig ", "tests/e2e/plugin"),
    ("cargo ", "runs in the gate, and by whoever develops"),
    (
        "docker build",
        "needs a registry; .ci/image builds the same",
    ),
    (
        "helm test ",
        "there is no kubelet; tests/e2e/install/check_pod.rs",
    ),
    (" logs ", "there is no kubelet"),
    (" exec deployment/", "there is no kubelet"),
    (" debug POD ", "there is no kubelet"),
    ("rollout status", "there is no controller-manager"),
    (
        "phone-migration-operator check ",
        "tests/e2e/observe/check.rs",
    ),
    ("helm install numbers", "tests/e2e/gitops/helm.rs"),
];
/// Commands for an installation without Helm: on their own cluster.
const WITHOUT_HELM: [&str; 3] = [
    "kubectl apply -k ",
    "fingerprint-key --from-file",
    " delete deployment ",
];
const PHONE: &str = "8613800001234";
const CODE: &str = "40718265";

/// A reader's shell: kubectl and Helm of the tests, and a folder with the files that the pages tell
/// the reader to write.
struct Shell {
    folder: TempDir,
    path: String,
    kubeconfig: PathBuf,
}

/// Writes the AccessKey, as a reader does. The file must be new, or only the reader's.
fn editor() -> String {
    format!(
        "#!/bin/sh -eu\n\
         printf '%s\\n' ALIBABA_CLOUD_ACCESS_KEY_ID={ACCESS_KEY_ID} \
         ALIBABA_CLOUD_ACCESS_KEY_SECRET={ACCESS_KEY_SECRET} >\"$1\"\n\
         [ \"$(stat -c %a \"$1\")\" = 600 ]\n"
    )
}

impl Shell {
    async fn on(site: &Site) -> Self {
        let folder = TempDir::new().unwrap();
        std::os::unix::fs::symlink(repository().join("deploy"), folder.path().join("deploy"))
            .unwrap();
        let page = Page::read(Path::new("docs/first-migration.md"));
        let manifest = page.text.split("```yaml\n").nth(1).unwrap();
        let manifest = manifest.split("```").next().unwrap();
        std::fs::write(folder.path().join("store-42.yaml"), manifest).unwrap();
        let script = folder.path().join("editor");
        std::fs::write(&script, editor()).unwrap();
        std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let of = |program: &Path| program.parent().unwrap().to_string_lossy().into_owned();
        let kubectl = of(&site.control.kubectl_path());
        let helm = of(&tools().await.helm());
        Self {
            folder,
            path: format!("{kubectl}:{helm}:{}", std::env::var("PATH").unwrap()),
            kubeconfig: site.control.admin_kubeconfig_path(),
        }
    }

    /// The command that creates a Secret asks for a code.
    async fn run(&self, line: &str) {
        let mut command = Command::new("bash");
        command
            .args(["-eu", "-o", "pipefail", "-c", line])
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("EDITOR", self.folder.path().join("editor"))
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // Most commands do not read it.
        let _ = input.write_all(format!("{CODE}\n").as_bytes()).await;
        drop(input);
        let output = child.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{said}");
    }

    /// Runs one command of a page, after removing what an earlier reading left in its way.
    async fn step(&self, command: &str) {
        if command.contains(&format!("helm install {NAME}")) {
            let gone = format!("helm uninstall {NAME} -n {NAME} --ignore-not-found");
            self.run(&gone).await;
        }
        if let Some((before, after)) = command.split_once(" create secret generic ") {
            let name = after.split_whitespace().next().unwrap();
            let kubectl = before.rsplit("| ").next().unwrap();
            let delete = format!("{kubectl} delete secret {name} --ignore-not-found");
            self.run(&delete).await;
        }
        self.run(&filled_in(command)).await;
    }
}

/// Fills in the reader's values. A search without a match is not a failure.
fn filled_in(command: &str) -> String {
    let filled = command
        .replace("NAMESPACE", "tenant-a")
        .replace(" NAME ", " store-42 ");
    match filled.split_once(" | grep ") {
        Some((search, pattern)) => format!("{search} | {{ grep {pattern} || [ $? = 1 ]; }}"),
        None => filled,
    }
}

/// Commands of the blocks that are marked as `sh`: one for each line, and for lines that `\\` or
/// `|` continues.
fn commands(page: &Page) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let (mut inside, mut open) = (false, false);
    for line in page.text.lines() {
        if line.starts_with("```") {
            (inside, open) = (line == "```sh", false);
            continue;
        }
        if !inside || line.is_empty() {
            continue;
        }
        let body = line.strip_suffix('\\').unwrap_or(line);
        match commands.last_mut().filter(|_| open) {
            Some(last) => last.push_str(body),
            None => commands.push(body.to_owned()),
        }
        open = line.ends_with(['\\', '|']);
    }
    commands
}

/// The pages in the order of reading.
fn pages() -> Vec<Page> {
    let place = |page: &Page| {
        let path = page.path.to_str().unwrap().to_owned();
        let first = FIRST.iter().position(|name| *name == path);
        let last = LAST.iter().position(|name| *name == path);
        (
            last.map_or(0, |n| n + 1),
            first.unwrap_or(FIRST.len()),
            path,
        )
    };
    let mut pages = Page::all();
    pages.sort_by_key(place);
    pages
}

/// Creates the namespaces of the examples, and the objects that Argo CD brings.
async fn prepare(site: &Site) {
    for namespace in ["tenant-a", "tenant-b", "argocd"] {
        site.kubectl(&format!("create namespace {namespace}")).await;
    }
    site.kubectl("-n argocd create configmap argocd-cm").await;
}

#[tokio::test]
async fn every_command_of_the_pages_does_what_it_says() {
    let (with_helm, without) = (Site::new().await, Site::new().await);
    let (reader, other) = (Shell::on(&with_helm).await, Shell::on(&without).await);
    prepare(&with_helm).await;
    let mut running = None;
    let mut not_run = BTreeSet::new();
    let mut run = 0;
    for page in pages() {
        for command in commands(&page) {
            if let Some((piece, _)) = NOT_RUN.iter().find(|(piece, _)| command.contains(piece)) {
                not_run.insert(*piece);
                continue;
            }
            run += 1;
            if WITHOUT_HELM.iter().any(|piece| command.contains(piece)) {
                other.step(&command).await;
                continue;
            }
            // The README begins its migration when the release is there.
            if command.contains("-n tenant-a") && running.is_none() {
                let world = with_helm.world("the-cloud").await;
                world.number(PHONE, CODE, "82828893332");
                running = Some((with_helm.operator(&world).await, world));
            }
            reader.step(&command).await;
        }
    }
    println!("{run} commands");
    assert!(run > 60, "only {run}");
    let key = reader.folder.path().join("credentials.env");
    assert!(!key.exists(), "a page leaves the AccessKey in a file");
    let listed: Vec<&str> = NOT_RUN.iter().map(|(piece, _)| *piece).collect();
    let unused: Vec<_> = listed.iter().filter(|p| !not_run.contains(*p)).collect();
    assert!(unused.is_empty(), "no page has {unused:?}");
    let (_operator, world) = running.unwrap();
    let migrations = world.migrations_in("tenant-a");
    let status = migrations.get("store-42").await.unwrap().data["status"].clone();
    assert_eq!(status["reason"], "Verified", "{status}");
    assert_eq!(status["id"], "82828893332", "{status}");
    assert_eq!(world.calls(PHONE).len(), 1);
}
