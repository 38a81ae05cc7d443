//! The shipped manifests: the operator's rights, the confinement of its pod, and the agreement of
//! the manifests with the program. They are the chart's default output
//! (`tests/e2e/install/kustomize.rs`), so this holds for the chart as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    Container, HTTPGetAction, Namespace, PodSpec, Secret, ServiceAccount, Volume,
};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use phone_migration_operator::app::config::{CloudVariables, Command, Config, Environment, parse};
use phone_migration_operator::cams::sts::Identity;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

const NAME: &str = "phone-migration-operator";
const ELECTION: &str = "phone-migration-operator-leader-election";
const LEDGER: &str = "phone-migration-operator-ledger";

/// The files with the shipped roles.
const ROLES: [&str; 3] = [
    "deploy/rbac.yaml",
    "deploy/aggregated-roles.yaml",
    "deploy/code-desk-role.yaml",
];

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn documents(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(repository(path)).unwrap();
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// As the Kubernetes type. A misspelt field would be lost on the way, so the result must equal the
/// input.
fn typed<T: Serialize + DeserializeOwned>(written: &Value) -> T {
    let object: T = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&object).unwrap(), written);
    object
}

/// The only document of a file.
fn only<T: Serialize + DeserializeOwned>(path: &str) -> T {
    let documents = documents(path);
    assert_eq!(documents.len(), 1, "{path}");
    typed(&documents[0])
}

/// The document of this kind and name in `rbac.yaml`.
fn rbac<T: Serialize + DeserializeOwned>(kind: &str, name: &str) -> T {
    let mut found = documents("deploy/rbac.yaml");
    assert_eq!(found.len(), 6);
    found.retain(|d| d["kind"] == kind && d["metadata"]["name"] == name);
    assert_eq!(found.len(), 1, "{kind} {name}");
    typed(&found[0])
}

fn deployment() -> Deployment {
    only("deploy/deployment.yaml")
}

fn pod() -> PodSpec {
    deployment().spec.unwrap().template.spec.unwrap()
}

fn container() -> Container {
    let containers = pod().containers;
    assert_eq!(containers.len(), 1);
    containers.into_iter().next().unwrap()
}

/// The program's configuration from the manifest's arguments, inside that pod.
fn config() -> Config {
    config_of(container().args.unwrap())
}

fn config_of(args: Vec<String>) -> Config {
    let variables = container().env.unwrap();
    let field = |name: &str| {
        let found = variables.iter().find(|v| v.name == name).unwrap();
        let source = found.value_from.as_ref().unwrap();
        source.field_ref.as_ref().unwrap().field_path.clone()
    };
    assert_eq!(field("POD_NAME"), "metadata.name");
    assert_eq!(field("POD_NAMESPACE"), "metadata.namespace");
    let environment = Environment {
        in_cluster: true,
        pod_name: Some("the-pod".to_owned()),
        pod_namespace: deployment().metadata.namespace,
        host_name: "the-node".to_owned(),
        random: [0; 4],
        cloud: CloudVariables::default(),
    };
    // As the kubelet does.
    let namespace = environment.pod_namespace.clone().unwrap();
    let args = args
        .into_iter()
        .map(|arg| arg.replace("$(POD_NAMESPACE)", &namespace));
    let argv = [NAME.to_owned()].into_iter().chain(args);
    match parse(argv.map(OsString::from), &environment).unwrap() {
        Command::Run(config) => *config,
        other => panic!("the manifest does not run the operator: {other:?}"),
    }
}

/// Each right as one line: API group, resource, verb.
fn rights(rules: Option<Vec<PolicyRule>>) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    for rule in rules.unwrap() {
        assert_eq!(rule.non_resource_urls, None);
        assert_eq!(rule.resource_names, None);
        for group in rule.api_groups.as_ref().unwrap() {
            for resource in rule.resources.as_ref().unwrap() {
                for verb in &rule.verbs {
                    rights.insert(format!("{group} {resource} {verb}"));
                }
            }
        }
    }
    rights
}

fn lines(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn the_cluster_role_holds_exactly_these_rights() {
    let role: ClusterRole = rbac("ClusterRole", NAME);
    assert_eq!(role.metadata.name.as_deref(), Some(NAME));
    assert_eq!(role.aggregation_rule, None);
    let expected = lines(&[
        " secrets get",
        "events.k8s.io events create",
        "events.k8s.io events patch",
        "phonemigration.dev phonemigrations get",
        "phonemigration.dev phonemigrations list",
        "phonemigration.dev phonemigrations watch",
        "phonemigration.dev phonemigrations/status update",
    ]);
    assert_eq!(rights(role.rules), expected);
}

#[test]
fn leases_are_written_in_the_own_namespace_only() {
    let role: Role = rbac("Role", ELECTION);
    assert_eq!(role.metadata.namespace.as_deref(), Some(NAME));
    let expected = lines(&[
        "coordination.k8s.io leases create",
        "coordination.k8s.io leases get",
        "coordination.k8s.io leases update",
    ]);
    assert_eq!(rights(role.rules), expected);
}

/// A user who can change the record of submissions could have a code sent again.
#[test]
fn ledgers_are_written_in_the_own_namespace_only() {
    let role: Role = rbac("Role", LEDGER);
    assert_eq!(role.metadata.namespace.as_deref(), Some(NAME));
    let verbs = ["create", "delete", "get", "list", "update"];
    let expected: BTreeSet<String> = verbs
        .iter()
        .map(|verb| format!("phonemigration.dev codeledgers {verb}"))
        .collect();
    assert_eq!(rights(role.rules), expected);
    assert_eq!(config().ledger_namespace, NAME);
    // No other role: no other shipped rule names them.
    for file in ROLES {
        for document in documents(file) {
            let names_them = document["rules"].to_string().contains("codeledgers");
            assert_eq!(
                names_them,
                document["metadata"]["name"] == LEDGER && document["kind"] == "Role",
                "{document}"
            );
        }
    }
}

#[test]
fn only_the_operators_service_account_is_bound() {
    let account: ServiceAccount = only("deploy/service-account.yaml");
    assert_eq!(account.metadata.name.as_deref(), Some(NAME));
    assert_eq!(account.metadata.namespace.as_deref(), Some(NAME));
    assert_eq!(account.automount_service_account_token, Some(false));
    assert_eq!(pod().service_account_name.as_deref(), Some(NAME));
    assert_eq!(pod().automount_service_account_token, Some(true));

    let subject = Subject {
        api_group: None,
        kind: "ServiceAccount".to_owned(),
        name: NAME.to_owned(),
        namespace: Some(NAME.to_owned()),
    };
    let role = |kind: &str, name: &str| RoleRef {
        api_group: "rbac.authorization.k8s.io".to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    };
    let everywhere: ClusterRoleBinding = rbac("ClusterRoleBinding", NAME);
    assert_eq!(everywhere.role_ref, role("ClusterRole", NAME));
    assert_eq!(everywhere.subjects, Some(vec![subject.clone()]));
    for name in [ELECTION, LEDGER] {
        let binding: RoleBinding = rbac("RoleBinding", name);
        assert_eq!(binding.metadata.namespace.as_deref(), Some(NAME));
        assert_eq!(binding.role_ref, role("Role", name));
        assert_eq!(binding.subjects, Some(vec![subject.clone()]));
    }
}

#[test]
fn the_namespace_enforces_the_restricted_standard() {
    let namespace: Namespace = only("deploy/namespace.yaml");
    assert_eq!(namespace.metadata.name.as_deref(), Some(NAME));
    let labels = namespace.metadata.labels.unwrap();
    for mode in ["enforce", "audit", "warn"] {
        let label = format!("pod-security.kubernetes.io/{mode}");
        assert_eq!(labels.get(&label).unwrap(), "restricted", "{label}");
    }
}

/// The API server's own admission judges the Pod Security Standard "restricted"
/// (`tests/e2e/install/conform.rs`); this is what goes beyond it.
#[test]
fn the_pod_meets_more_than_the_restricted_standard() {
    let pod = pod();
    assert!(pod.init_containers.is_none() && pod.ephemeral_containers.is_none());
    let security = pod.security_context.unwrap();
    assert_eq!(security.run_as_user, Some(65_532));
    assert_eq!(security.run_as_group, Some(65_532));
    assert_eq!(security.fs_group, Some(65_532));
    assert_eq!(security.supplemental_groups, None);

    let container = container();
    let security = container.security_context.unwrap();
    assert_eq!(security.read_only_root_filesystem, Some(true));
    // No setting here may weaken the pod's.
    assert_eq!(security.run_as_non_root, None);
    assert_eq!(security.run_as_user, None);
    assert_eq!(security.seccomp_profile, None);
    assert_eq!(security.capabilities.unwrap().add, None);
    for volume in pod.volumes.unwrap() {
        assert!(volume.secret.is_some(), "{} is no Secret", volume.name);
    }
}

#[test]
fn a_pod_goes_when_the_next_is_ready_and_has_time_to_record() {
    let deployment = deployment();
    assert_eq!(deployment.metadata.namespace.as_deref(), Some(NAME));
    let spec = deployment.spec.unwrap();
    assert_eq!(spec.replicas, Some(1));
    let rolling = spec.strategy.unwrap().rolling_update.unwrap();
    assert_eq!(rolling.max_surge, Some(IntOrString::Int(1)));
    assert_eq!(rolling.max_unavailable, Some(IntOrString::Int(0)));
    assert_eq!(
        spec.selector.match_labels,
        spec.template.metadata.unwrap().labels
    );
    // 10 s for a running call, the rest for writing its outcome.
    assert_eq!(pod().termination_grace_period_seconds, Some(45));
}

/// `.ci/version X.Y.Z` sets them all.
#[test]
fn every_file_names_the_version_of_the_workspace() {
    let version = env!("CARGO_PKG_VERSION");
    let chart: Value = only("deploy/charts/phone-migration-operator/Chart.yaml");
    assert_eq!(chart["version"], version);
    assert_eq!(chart["appVersion"], version);
    let images = chart["annotations"]["artifacthub.io/images"]
        .as_str()
        .unwrap();
    assert!(
        images.contains(&format!("image: {NAME}:{version}")),
        "{images}"
    );
    let plugin: Value = only("deploy/krew/phone-migration.yaml");
    assert_eq!(plugin["spec"]["version"], format!("v{version}"));
    for platform in plugin["spec"]["platforms"].as_array().unwrap() {
        let uri = platform["uri"].as_str().unwrap();
        assert!(uri.contains(&format!("/v{version}/")), "{uri}");
    }
    let dockerfile = fs::read_to_string(repository("deploy/Dockerfile")).unwrap();
    assert!(dockerfile.contains(&format!("{NAME}:{version}")));
    for file in ROLES {
        for document in documents(file) {
            assert_eq!(
                document["metadata"]["labels"]["app.kubernetes.io/version"],
                version
            );
        }
    }
}

#[test]
fn the_image_is_this_version_and_from_no_registry() {
    let version = env!("CARGO_PKG_VERSION");
    let image = container().image.unwrap();
    assert_eq!(image, format!("{NAME}:{version}"));
    assert_eq!(
        container().image_pull_policy.as_deref(),
        Some("IfNotPresent")
    );
}

#[test]
fn the_probes_ask_the_port_that_the_operator_listens_on() {
    let container = container();
    let path = |get: Option<HTTPGetAction>| {
        let get = get.unwrap();
        assert_eq!(get.port, IntOrString::String("http".to_owned()));
        assert_eq!(get.host, None);
        get.path.unwrap()
    };
    assert_eq!(path(container.liveness_probe.unwrap().http_get), "/livez");
    assert_eq!(path(container.readiness_probe.unwrap().http_get), "/readyz");
    let ports = container.ports.unwrap();
    assert_eq!(ports.len(), 1);
    assert_eq!(ports[0].name.as_deref(), Some("http"));
    assert_eq!(ports[0].container_port, i32::from(config().listen.port()));
}

#[test]
fn memory_is_bounded_and_cpu_is_not_throttled() {
    let resources = container().resources.unwrap();
    let requests = resources.requests.unwrap();
    assert!(requests.contains_key("cpu") && requests.contains_key("memory"));
    let limits: Vec<String> = resources.limits.unwrap().into_keys().collect();
    assert_eq!(limits, ["memory"]);
}

/// The directory that a volume is mounted on, and the volume.
fn mounted(name: &str) -> (PathBuf, Volume) {
    let mounts = container().volume_mounts.unwrap();
    let mount = mounts.into_iter().find(|m| m.name == name).unwrap();
    assert_eq!(mount.read_only, Some(true));
    // With a subPath the kubelet never updates the file.
    assert_eq!((&mount.sub_path, &mount.sub_path_expr), (&None, &None));
    let volumes = pod().volumes.unwrap();
    let volume = volumes.into_iter().find(|v| v.name == name).unwrap();
    (PathBuf::from(mount.mount_path), volume)
}

#[test]
fn secrets_come_as_files_where_the_operator_looks_for_them() {
    let config = config();
    let (directory, volume) = mounted("credentials");
    assert_eq!(config.sign_in.identity, Identity::Files(directory));
    let secret = volume.secret.unwrap();
    assert_eq!(
        secret.secret_name.as_deref(),
        Some("alibaba-cloud-credentials")
    );
    assert_eq!((secret.items, secret.default_mode), (None, Some(0o440)));
    assert_ne!(secret.optional, Some(true));

    let (directory, volume) = mounted("fingerprint-key");
    assert_eq!(config.fingerprint_key_file, directory.join("key"));
    let secret = volume.secret.unwrap();
    let name = "phone-migration-operator-fingerprint-key";
    assert_eq!(secret.secret_name.as_deref(), Some(name));
    assert_eq!((secret.items, secret.default_mode), (None, Some(0o440)));
    assert_ne!(secret.optional, Some(true), "the pod waits for it");

    for variable in container().env.unwrap() {
        let secret = variable.value_from.and_then(|from| from.secret_key_ref);
        assert!(secret.is_none(), "{}", variable.name);
    }
    assert_eq!(container().env_from, None);
}

#[test]
fn the_manifest_runs_with_leader_election_and_production_settings() {
    let config = config();
    let lease = config.leader_election.unwrap();
    assert_eq!(
        (lease.namespace.as_str(), lease.identity.as_str()),
        (NAME, "the-pod")
    );
    assert!(!config.allow_insecure_endpoint);
    assert!(!config.watch_secrets, "the shipped rights do not cover it");
    assert!(config.qps.is_some());
}

/// The manifest states the program's defaults, so that they can be seen and changed there.
#[test]
fn flags_that_are_spelled_out_repeat_the_programs_defaults() {
    let unspoken = config_of(vec![
        "run".to_owned(),
        "--credentials-dir=/var/run/secrets/alibaba-cloud".to_owned(),
        "--fingerprint-key-file=/var/run/secrets/fingerprint-key/key".to_owned(),
    ]);
    assert_eq!(config(), unspoken);
    assert!(container().args.unwrap().len() > 3);
}

/// For users: the rights that the cluster's own roles view, edit and admin get.
#[test]
fn the_aggregated_roles_give_people_no_more_than_the_resource() {
    let roles: Vec<ClusterRole> = documents("deploy/aggregated-roles.yaml")
        .iter()
        .map(typed)
        .collect();
    let [view, edit] = roles.as_slice() else {
        panic!("{}", roles.len());
    };
    let into = |role: &ClusterRole| -> BTreeSet<String> {
        let labels = role.metadata.labels.clone().unwrap();
        let prefix = "rbac.authorization.k8s.io/aggregate-to-";
        let names = labels.keys().filter_map(|key| key.strip_prefix(prefix));
        names.map(str::to_owned).collect()
    };
    assert_eq!(into(view), lines(&["admin", "edit", "view"]));
    assert_eq!(into(edit), lines(&["admin", "edit"]));
    let of = |resource: &str, verbs: &[&str]| -> Vec<String> {
        let line = |verb: &&str| format!("phonemigration.dev {resource} {verb}");
        verbs.iter().map(line).collect()
    };
    let read = ["get", "list", "watch"];
    let mut expected = of("phonemigrations", &read);
    expected.extend(of("phonemigrations/status", &read));
    assert_eq!(rights(view.rules.clone()), expected.into_iter().collect());
    let write = ["create", "update", "patch", "delete", "deletecollection"];
    let expected = of("phonemigrations", &write);
    assert_eq!(rights(edit.rules.clone()), expected.into_iter().collect());
}

/// For the plugin: no list of Secrets, no deletion, and no shipped binding.
#[test]
fn the_code_desk_hands_in_codes_and_is_bound_by_nothing() {
    let role: ClusterRole = only("deploy/code-desk-role.yaml");
    let expected = lines(&[
        " secrets create",
        " secrets get",
        " secrets update",
        "phonemigration.dev phonemigrations get",
        "phonemigration.dev phonemigrations list",
        "phonemigration.dev phonemigrations patch",
        "phonemigration.dev phonemigrations watch",
    ]);
    assert_eq!(rights(role.rules), expected);
    let labels = role.metadata.labels.unwrap();
    let aggregated = labels.keys().any(|label| label.contains("aggregate-to"));
    assert!(!aggregated, "{labels:?}");
    for file in ["deploy/rbac.yaml", "deploy/code-desk-role.yaml"] {
        for document in documents(file) {
            assert_ne!(
                document["roleRef"]["name"],
                "phone-migration-operator-code-desk"
            );
        }
    }
}

#[test]
fn kustomize_gets_every_manifest_and_the_crds() {
    let resources = |path: &str| -> BTreeSet<String> {
        let kustomization: Value = only(path);
        serde_json::from_value(kustomization["resources"].clone()).unwrap()
    };
    let mut files: BTreeSet<String> = fs::read_dir(repository("deploy"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml") && name != "kustomization.yaml")
        .collect();
    assert_eq!(files.len(), 6);
    files.insert("../crds".to_owned());
    assert_eq!(resources("deploy/kustomization.yaml"), files);
    assert_eq!(
        resources("crds/Kustomization"),
        lines(&["codeledgers.yaml", "phonemigrations.yaml"])
    );
}

#[test]
fn the_samples_belong_together_and_spend_nothing_as_they_stand() {
    let migration: Value = only("deploy/samples/phone-migration.yaml");
    assert_eq!(migration["apiVersion"], "phonemigration.dev/v1alpha1");
    assert_eq!(migration["kind"], "PhoneMigration");
    let secret: Secret = only("deploy/samples/secret.yaml");
    let name = secret.metadata.name.unwrap();
    assert_eq!(migration["spec"]["verifyCodeSecretRef"]["name"], name);
    let namespace = secret.metadata.namespace.unwrap();
    assert_eq!(migration["metadata"]["namespace"], namespace);
    let code = &secret.string_data.unwrap()["code"];
    assert!(
        !code.bytes().any(|b| b.is_ascii_digit()),
        "{code} may be sent"
    );
}

/// Velero leaves status out by default; and ledgers must come before the resources.
#[test]
fn the_sample_of_a_restore_brings_ledgers_first_and_then_resources_with_their_status() {
    let [ledgers, tenants] = documents("deploy/velero/restore.yaml").try_into().unwrap();
    assert_eq!(ledgers["spec"]["includedNamespaces"][0], NAME);
    assert_eq!(ledgers["spec"]["includeClusterResources"], true);
    let with_status = &tenants["spec"]["restoreStatus"]["includedResources"];
    assert_eq!(with_status[0], "phonemigrations.phonemigration.dev");
}
