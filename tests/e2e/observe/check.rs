//! `phone-migration-operator check` against a real API server and the simulator: it finds each
//! fault, and names it with its remedy.

use std::path::Path;

use harness::cams_simulator::WHO_AM_I;
use harness::{ControlPlane, Launch};
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use phone_migration_operator::app::check::{Right, needed};
use phone_migration_operator::app::config::{CloudVariables, Command, Config, Environment, parse};
use serde::Deserialize;

use super::*;

/// The output of one run.
struct Report {
    text: String,
    fine: bool,
}

impl Report {
    async fn of(launch: &Launch<'_>) -> Self {
        let output = check(launch).await;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        for secret in [ACCESS_KEY_ID, ACCESS_KEY_SECRET, "WrongSecret"] {
            assert!(!text.contains(secret), "{text}");
        }
        let fine = output.status.success();
        assert_eq!(fine, !text.contains("WRONG"), "{text}");
        let last = text.lines().last().unwrap();
        assert_eq!(fine, last == "Nothing is wrong", "{text}");
        Self { text, fine }
    }

    /// The lines that begin with this word.
    fn lines(&self, word: &str) -> Vec<&str> {
        let lines = self.text.lines().filter(|line| line.starts_with(word));
        lines.collect()
    }

    /// One check fails, with these words in its line.
    async fn only_wrong(launch: &Launch<'_>, says: &str) -> Self {
        let report = Self::of(launch).await;
        let wrong = report.lines("WRONG");
        assert_eq!(wrong.len(), 1, "{}", report.text);
        assert_quotes(wrong[0], says);
        assert_eq!(report.text.lines().last(), Some("1 item is wrong"));
        report
    }
}

fn set(launch: &mut Launch<'_>, name: &str, value: Option<&str>) {
    launch.env.retain(|(key, _)| key != name);
    let variable = value.map(|value| (name.to_owned(), value.to_owned()));
    launch.env.extend(variable);
}

#[tokio::test]
async fn everything_in_order_is_said_line_by_line_and_nothing_is_changed() {
    let world = World::new(OPERATOR, "check").await.unwrap();
    let report = Report::of(&world.launch(&[]).unwrap()).await;
    assert!(report.fine, "{}", report.text);
    let items = [
        "configuration: http://127.0.0.1:",
        "fingerprint key: read from ",
        "credentials: AccessKey from the environment",
        "account: 1000000000000001, acs:ram::1000000000000001:user/somebody",
        "CAMS: takes the credentials",
        "API server: v",
        "CRD: codeledgers.phonemigration.dev has every field of this version",
        "CRD: phonemigrations.phonemigration.dev has every field of this version",
        "rights: get, list, watch phonemigrations in namespace check-",
        "rights: update phonemigrations/status in namespace check-",
        "rights: get secrets in namespace check-",
        "rights: create, patch events in namespace check-",
        "rights: get, list, create, update, delete codeledgers in namespace check-",
        "CodeLedgers: can be written in namespace check-",
    ];
    let lines = report.lines("ok ");
    assert_eq!(lines.len(), items.len(), "{}", report.text);
    for (line, item) in lines.iter().zip(items) {
        assert!(line.starts_with(&format!("ok       {item}")), "{line}");
    }
    let election = [
        "--leader-elect=true",
        "--lease-namespace=phone-migration-operator",
    ];
    let report = Report::of(&world.launch(&election).unwrap()).await;
    let lease = "ok       rights: get, create, update leases in namespace phone-migration-operator";
    assert!(report.lines("ok ").contains(&lease), "{}", report.text);
    // One status read each time, with this key, and nothing else.
    let ledger = world.sim.ledger();
    let asked: Vec<&str> = ledger.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(asked, [WHO_AM_I, READ_STATUS, WHO_AM_I, READ_STATUS]);
    // A dry run each time, which stores nothing.
    let requests = world.requests().unwrap();
    assert_eq!(requests.len(), 2, "{requests:?}");
    for request in requests {
        assert_eq!(request.resource, "codeledgers");
        assert!(request.uri.contains("dryRun=All"), "{}", request.uri);
    }
    assert!(world.ledgers().await.unwrap().is_empty());
    world.finish().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_configuration_and_key_file_is_found() {
    let world = World::new(OPERATOR, "check-config").await.unwrap();
    let there = world.launch(&["--qps", "many"]).unwrap();
    let says = "configuration: --qps … \"many\" … whole number from 1 to 1000";
    Report::only_wrong(&there, says).await;

    for (flag, says) in [
        ("--fingerprint-key-file", "head -c 32 /dev/urandom"),
        ("--ledger-namespace", "PHONEMIG_LEDGER_NAMESPACE"),
    ] {
        let mut launch = world.launch(&[]).unwrap();
        let at = launch.args.iter().position(|arg| arg == flag).unwrap();
        launch.args.drain(at..at + 2);
        let says = format!("configuration: {flag} … {says}");
        Report::only_wrong(&launch, &says).await;
    }
    let missing = ["--fingerprint-key-file", "/nowhere/key"];
    let there = world.launch(&missing).unwrap();
    let says = "fingerprint key: … there is no file /nowhere/key … head -c 32 /dev/urandom";
    Report::only_wrong(&there, says).await;

    let short = world.dir().join("short-key");
    std::fs::write(&short, "CANARY").unwrap();
    let flags = ["--fingerprint-key-file", short.to_str().unwrap()];
    let there = world.launch(&flags).unwrap();
    let says = "fingerprint key: … must hold 32 random bytes … create one with";
    let report = Report::only_wrong(&there, says).await;
    assert!(!report.text.contains("CANARY"));
    world.finish().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_the_credentials_and_the_account_is_found() {
    let world = World::new(OPERATOR, "check-account").await.unwrap();
    let mut launch = world.launch(&[]).unwrap();
    set(&mut launch, "ALIBABA_CLOUD_ACCESS_KEY_SECRET", None);
    let says = "credentials: … ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set … --credentials-dir";
    let report = Report::only_wrong(&launch, says).await;
    assert_says(report.lines("skipped")[1], &["CAMS"]);

    let empty = world.dir().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let flags = ["--credentials-dir", empty.to_str().unwrap()];
    let there = world.launch(&flags).unwrap();
    let says = "credentials: … empty/ALIBABA_CLOUD_ACCESS_KEY_ID cannot be read";
    Report::only_wrong(&there, says).await;

    let secret = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
    set(&mut launch, secret, Some("WrongSecret"));
    let says = "CAMS: refuses the credentials … SignatureDoesNotMatch … valid AccessKey";
    Report::only_wrong(&launch, says).await;

    let launch = world.launch(&[]).unwrap();
    let denied = Refusal::new(403, "NoPermission", "You are not authorized.");
    let denied = FaultRule::new(Fault::api(Stage::Received, denied)).action(READ_STATUS);
    world.fault(denied.once());
    let says = "CAMS: refuses the account (NoPermission … cams:ChatappMigrationVerified";
    Report::only_wrong(&launch, says).await;

    world.sim.set_clock_offset(300_000);
    let says = "CAMS: its clock and that of this machine differ by … correct this";
    Report::only_wrong(&launch, says).await;
    world.sim.set_clock_offset(0);

    let page = FaultRule::new(Fault::close(Stage::Received)).action(READ_STATUS);
    world.fault(page.once());
    let says = "CAMS: gives no answer of its own … what is in between";
    Report::only_wrong(&launch, says).await;

    let nowhere = ["--cams-endpoint", "http://127.0.0.1:1"];
    let there = world.launch(&nowhere).unwrap();
    let says = "CAMS: cannot be reached … --cams-endpoint, DNS and the egress rules";
    Report::only_wrong(&there, says).await;
    world.finish().await.unwrap();
}

#[tokio::test]
async fn an_api_server_that_cannot_be_asked_is_found() {
    let world = World::new(OPERATOR, "check-api").await.unwrap();
    let launch = world.launch_via("https://127.0.0.1:1", &[]).unwrap();
    let says = "API server: no answer … check its address";
    let report = Report::only_wrong(&launch, says).await;
    assert_eq!(report.lines("skipped").len(), 3, "{}", report.text);

    let mut launch = world.launch(&[]).unwrap();
    let kubeconfig = world.dir().join("forged.kubeconfig");
    let control = &world.plane.control;
    let written = control.write_kubeconfig(&kubeconfig, "forged-token");
    written.unwrap();
    set(&mut launch, "KUBECONFIG", kubeconfig.to_str());
    let says = "API server: refuses our identity … ServiceAccount";
    let report = Report::only_wrong(&launch, says).await;
    assert!(!report.text.contains("forged-token"));

    set(&mut launch, "KUBECONFIG", Some("/nowhere/kubeconfig"));
    let says = "API server: kubeconfig (see KUBECONFIG)";
    Report::only_wrong(&launch, says).await;
    world.finish().await.unwrap();
}

#[tokio::test]
async fn a_crd_that_is_missing_or_of_another_version_is_found() {
    let world = World::new(OPERATOR, "check-crd").await.unwrap();
    // Its own control plane: the CRD of the others stays as it is.
    let dir = tempfile::tempdir().unwrap();
    let options = harness::control_plane::Options::default();
    let control = ControlPlane::start(dir.path(), options).await.unwrap();
    let admin = control.admin_kubeconfig_path();
    let mut launch = world.launch(&[]).unwrap();
    set(&mut launch, "KUBECONFIG", admin.to_str());
    let report = Report::of(&launch).await;
    let wrong = report.lines("WRONG");
    assert_eq!(wrong.len(), 2, "{}", report.text);
    for (line, plural) in wrong.iter().zip(["codeledgers", "phonemigrations"]) {
        let says =
            format!("CRD: {plural}.phonemigration.dev is not installed: apply crds/{plural}.yaml");
        assert!(line.contains(&says), "{says} in {line}");
    }
    let skipped = report.lines("skipped");
    assert_says(skipped[0], &["CodeLedgers: a CRD or a right"]);

    let namespace = ["create", "namespace", &world.ledger_namespace];
    control.kubectl_ok(namespace).await.unwrap();
    for plural in ["phonemigrations", "codeledgers"] {
        let crd = definition(plural).to_string();
        control.apply(&crd).await.unwrap();
    }
    until_said(&launch, "Nothing is wrong").await;
    for (plural, part, field, says) in [
        (
            "phonemigrations",
            "properties/status/properties",
            "attemptLimit",
            "lacks .status.attemptLimit: apply crds/phonemigrations.yaml",
        ),
        (
            "codeledgers",
            "properties/entries/items/properties",
            "imported",
            "lacks .entries.imported: apply crds/codeledgers.yaml",
        ),
    ] {
        let mut crd = definition(plural);
        let part = format!("/spec/versions/0/schema/openAPIV3Schema/{part}");
        let fields = crd.pointer_mut(&part).unwrap().as_object_mut().unwrap();
        fields.remove(field).unwrap();
        control.apply(&crd.to_string()).await.unwrap();
        let named = format!("CRD: {plural}.phonemigration.dev is of another version and {says}");
        until_said(&launch, &named).await;
        Report::only_wrong(&launch, &named).await;
        let crd = definition(plural).to_string();
        control.apply(&crd).await.unwrap();
        until_said(&launch, "Nothing is wrong").await;
    }
    world.finish().await.unwrap();
}

fn definition(plural: &str) -> Value {
    let path = harness::repository().join(format!("crds/{plural}.yaml"));
    serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The OpenAPI document follows the CRD after a moment.
async fn until_said(launch: &Launch<'_>, says: &str) {
    let said = async || Report::of(launch).await.text.contains(says);
    until_asked(says, said).await;
}

/// Rights are not enough: an admission policy, and a missing namespace.
#[tokio::test]
async fn ledgers_that_cannot_be_written_are_found() {
    let world = World::new(OPERATOR, "check-ledger").await.unwrap();
    // As the administrator, who has every right.
    let mut launch = world.launch(&[]).unwrap();
    let admin = world.plane.control.admin_kubeconfig_path();
    set(&mut launch, "KUBECONFIG", admin.to_str());
    assert!(Report::of(&launch).await.fine);

    let message = "nothing is created here";
    world.refuse_ledgers(&["CREATE"], message).await;
    let namespace = &world.ledger_namespace;
    let named = format!("CodeLedgers: cannot be written in namespace {namespace}");
    until_said(&launch, &named).await;
    let says = format!("{named} … HTTP 422 … admission policy");
    Report::only_wrong(&launch, &says).await;

    let mut args = launch.args.iter();
    let at = args.position(|arg| arg == "--ledger-namespace").unwrap();
    launch.args[at + 1] = "nowhere".to_owned();
    let says = "CodeLedgers: there is no namespace nowhere … --ledger-namespace";
    Report::only_wrong(&launch, says).await;
    world.finish().await.unwrap();
}

/// A right, and the verb of it that is left out.
fn without(rights: &[Right], left_out: (usize, &str)) -> Vec<Value> {
    let rule = |(n, right): (usize, &Right)| {
        let verbs: Vec<&str> = right.verbs.clone();
        let verbs = verbs.into_iter().filter(|verb| (n, *verb) != left_out);
        json!({
            "apiGroups": [right.group],
            "resources": [right.resource],
            "verbs": verbs.collect::<Vec<_>>(),
        })
    };
    let rules = rights.iter().enumerate().map(rule);
    rules.filter(|rule| rule["verbs"] != json!([])).collect()
}

#[tokio::test]
async fn each_missing_right_is_found_alone() {
    let world = World::new(OPERATOR, "check-rights").await.unwrap();
    let namespace = world.namespace.clone();
    let lease = format!("--lease-namespace={namespace}");
    let election = ["--leader-elect=true", &lease, "--watch-secrets"];
    let flags = [&election[..], &["--ledger-namespace", &namespace]].concat();
    let watched = format!("--watch-namespaces={namespace}");
    let rights = needed(&config(&[&flags[..], &[&watched]].concat()));
    let verbs = rights
        .iter()
        .enumerate()
        .flat_map(|(n, right)| right.verbs.iter().map(move |verb| (n, *verb)));
    let mut looked = 0;
    for (n, verb) in verbs {
        looked += 1;
        let name = format!("lacks-{looked}");
        let named = json!({"name": name, "namespace": namespace});
        let rbac = "rbac.authorization.k8s.io";
        let version = format!("{rbac}/v1");
        let role = json!({"apiVersion": version, "kind": "Role", "metadata": named,
            "rules": without(&rights, (n, verb))});
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named});
        let binding = json!({"apiVersion": version, "kind": "RoleBinding", "metadata": named,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]});
        let control = &world.plane.control;
        let manifests = [role, account, binding].map(|m| m.to_string()).join("\n");
        control.apply(&manifests).await.unwrap();
        let within = Duration::from_secs(600);
        let token = control
            .service_account_token(&namespace, &name, within)
            .await;
        let kubeconfig = world.dir().join(format!("{name}.kubeconfig"));
        let written = control.write_kubeconfig(&kubeconfig, &token.unwrap());
        written.unwrap();
        let mut launch = world.launch(&flags).unwrap();
        set(&mut launch, "KUBECONFIG", kubeconfig.to_str());
        // The authorizer sees a new Role after a moment.
        let known = async || {
            let report = Report::of(&launch).await;
            report.lines("ok       rights").len() >= rights.len() - 1
        };
        until_asked("the other rights are known", known).await;
        let says = format!("rights: may not {verb} {}: … deploy/rbac.yaml", rights[n]);
        Report::only_wrong(&launch, &says).await;
    }
    assert_eq!(looked, 17);
    world.finish().await.unwrap();
}

fn config(flags: &[&str]) -> Config {
    let environment = Environment {
        in_cluster: true,
        pod_name: Some("pod".to_owned()),
        pod_namespace: Some("phone-migration-operator".to_owned()),
        host_name: "node".to_owned(),
        random: [0; 4],
        cloud: CloudVariables {
            access_key: true,
            ..CloudVariables::default()
        },
    };
    let needed = ["phone-migration-operator", "--fingerprint-key-file=/key"];
    let argv = needed.iter().chain(flags);
    match parse(argv.map(Into::into), &environment).unwrap() {
        Command::Run(config) => *config,
        other => panic!("{other:?}"),
    }
}

/// The same list twice would drift apart.
#[test]
fn the_rights_that_are_checked_are_those_that_are_shipped() {
    let path = harness::repository().join("deploy/rbac.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let mut shipped = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let document = Value::deserialize(document).unwrap();
        let rules = match document["kind"].as_str().unwrap() {
            "ClusterRole" => {
                serde_json::from_value::<ClusterRole>(document)
                    .unwrap()
                    .rules
            }
            "Role" => serde_json::from_value::<Role>(document).unwrap().rules,
            _ => None,
        };
        for rule in rules.unwrap_or_default() {
            for resource in rule.resources.unwrap() {
                let group = rule.api_groups.as_ref().unwrap()[0].clone();
                shipped.push((group, resource, rule.verbs.clone()));
            }
        }
    }
    let ours: Vec<_> = needed(&config(&[]))
        .into_iter()
        .map(|right| {
            let verbs = right.verbs.iter().map(|verb| (*verb).to_owned()).collect();
            (right.group.to_owned(), right.resource.to_owned(), verbs)
        })
        .collect();
    assert_eq!(ours, shipped);
}

#[tokio::test]
async fn help_and_version_are_for_people() {
    let run = async |args: &[&str]| {
        let output = tokio::process::Command::new(Path::new(OPERATOR))
            .args(args)
            .env_clear()
            .output()
            .await
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{args:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let version = run(&["--version"]).await;
    let wanted = format!("phone-migration-operator {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(version, wanted);
    for args in [&["--help"][..], &["check", "--help"], &["run", "-h"]] {
        let help = run(args).await;
        let wide = help.lines().find(|line| line.chars().count() > 100);
        assert_eq!(wide, None);
        for word in ["Usage:", "--cams-endpoint", "PHONEMIG_QPS", "[default: 10]"] {
            assert!(help.contains(word), "{word} in {help}");
        }
    }
    let help = run(&["--help"]).await;
    for word in [
        "  run\n",
        "  check\n",
        "  crd\n",
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "KUBECONFIG",
    ] {
        assert!(help.contains(word), "{word} in {help}");
    }
}
