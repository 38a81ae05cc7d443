//! The chart's output, value by value. The default output is tested in full by `tests/deploy.rs`,
//! as the kustomize base that it equals.

use std::collections::BTreeSet;
use std::path::Path;

use super::helm::{Helm, NAME, all_ci, chart, ci, documents, id, name, namespace, only, path};
use super::*;

fn ids(objects: &[Value]) -> BTreeSet<String> {
    objects.iter().map(id).collect()
}

fn kinds(objects: &[Value]) -> BTreeSet<&str> {
    let kinds = objects.iter().map(|o| o["kind"].as_str().unwrap());
    kinds.collect()
}

fn pod(objects: &[Value]) -> &Value {
    &only(objects, "Deployment")["spec"]["template"]["spec"]
}

fn args(objects: &[Value]) -> Vec<&str> {
    let args = pod(objects)["containers"][0]["args"].as_array().unwrap();
    args.iter().map(|arg| arg.as_str().unwrap()).collect()
}

#[test]
fn the_chart_names_its_kinds_and_shows_the_sample() {
    let text = std::fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let chart: Value = serde_yaml_ng::from_str(&text).unwrap();
    let annotation = |name: &str| -> Value {
        let text = chart["annotations"][format!("artifacthub.io/{name}")].as_str();
        serde_yaml_ng::from_str(text.unwrap_or_else(|| panic!("{name}"))).unwrap()
    };
    let crds = annotation("crds");
    for (n, plural) in ["codeledgers", "phonemigrations"].iter().enumerate() {
        assert_eq!(crds[n]["name"], format!("{plural}.phonemigration.dev"));
        assert_eq!(crds[n]["version"], "v1alpha1");
    }
    // The example is the sample in the README.
    let sample = harness::repository().join("deploy/samples/phone-migration.yaml");
    let sample = documents(&std::fs::read_to_string(sample).unwrap());
    assert_eq!(annotation("crdsExamples"), json!(sample));
}

#[tokio::test]
async fn the_package_holds_all_that_it_needs() {
    let helm = Helm::without_cluster().await;
    let (dir, chart) = (tempfile::tempdir().unwrap(), chart());
    let args = ["package", path(&chart), "--destination", path(dir.path())];
    helm.ok(&args).await;
    let version = env!("CARGO_PKG_VERSION");
    let package = dir.path().join(format!("{NAME}-{version}.tgz"));
    let values = ci("existing");
    let render = async |chart: &Path| {
        let args = ["template", NAME, path(chart), "--values", &values];
        helm.ok(&args).await
    };
    assert_eq!(render(&package).await, render(&chart).await);
}

#[tokio::test]
async fn each_object_comes_with_its_value() {
    let helm = Helm::without_cluster().await;
    let of_default = ids(&helm.ci("default").await);
    let named = |kind: &str, name: &str| format!("{kind} {NAME}/{name}");
    let wide = |kind: &str, name: &str| format!("{kind} /{name}");
    let crd = |plural: &str| format!("CustomResourceDefinition /{plural}.phonemigration.dev");
    let expected = [
        crd("codeledgers"),
        crd("phonemigrations"),
        wide("ClusterRole", NAME),
        wide("ClusterRole", &format!("{NAME}-view")),
        wide("ClusterRole", &format!("{NAME}-edit")),
        wide("ClusterRole", &format!("{NAME}-code-desk")),
        wide("ClusterRoleBinding", NAME),
        named("Role", &format!("{NAME}-leader-election")),
        named("RoleBinding", &format!("{NAME}-leader-election")),
        named("Role", &format!("{NAME}-ledger")),
        named("RoleBinding", &format!("{NAME}-ledger")),
        named("ServiceAccount", NAME),
        named("Secret", &format!("{NAME}-fingerprint-key")),
        named("Deployment", NAME),
        named("Pod", &format!("{NAME}-check")),
    ];
    assert_eq!(of_default, BTreeSet::from(expected));

    let full = helm.ci("full").await;
    for kind in [
        "PodDisruptionBudget",
        "NetworkPolicy",
        "Service",
        "ServiceMonitor",
        "PrometheusRule",
        "ConfigMap",
    ] {
        assert!(kinds(&full).contains(kind), "{kind}");
    }
    let dashboard = std::fs::read_to_string(chart().join("files/dashboard.json")).unwrap();
    let data = &only(&full, "ConfigMap")["data"]["phone-migration-operator.json"];
    assert_eq!(data.as_str().unwrap().trim_end(), dashboard.trim_end());
    let pods = helm.ci("pod-monitor").await;
    assert!(kinds(&pods).contains("PodMonitor"));
    assert!(!kinds(&pods).contains("Service"));
    // Without any kind of the Prometheus Operator's.
    let annotated = "metricsService.annotations.prometheus\\.io/scrape=true";
    let service = ["--set", "metricsService.enabled=true"];
    let values = [&service[..], &["--set-string", annotated]].concat();
    let plain = helm.objects(&values).await;
    let service = only(&plain, "Service");
    let annotations = &service["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/scrape"], "true");
    assert!(!kinds(&plain).contains("ServiceMonitor"));

    let existing = helm.ci("existing").await;
    for kind in ["Secret", "ServiceAccount", "CustomResourceDefinition"] {
        assert!(!kinds(&existing).contains(kind), "{kind}");
    }
    let without = helm.set("rbac.create=false").await;
    let of_rbac = |o: &Value| o["apiVersion"].as_str().unwrap().starts_with("rbac");
    assert!(!without.iter().any(of_rbac));
}

/// A name in the values must not leave one object behind under the old one.
#[tokio::test]
async fn objects_refer_to_each_other_under_any_name() {
    let helm = Helm::without_cluster().await;
    for values in [
        "fullnameOverride=other",
        "nameOverride=other",
        "serviceAccount.name=other",
    ] {
        let objects = helm.set(values).await;
        let account = name(only(&objects, "ServiceAccount"));
        assert_eq!(pod(&objects)["serviceAccountName"], account, "{values}");
        for binding in objects.iter().filter(|o| o["roleRef"].is_object()) {
            assert_eq!(binding["subjects"][0]["name"], account, "{values}");
            let kind = binding["roleRef"]["kind"].as_str().unwrap();
            let role = binding["roleRef"]["name"].as_str().unwrap();
            let bound = |o: &&Value| o["kind"] == kind && name(o) == role;
            assert_eq!(objects.iter().filter(bound).count(), 1, "{values}: {role}");
        }
        let key = name(only(&objects, "Secret"));
        let volume = &pod(&objects)["volumes"][1]["secret"]["secretName"];
        assert_eq!(volume, key, "{values}");
    }
}

/// Kinds without a namespace.
const CLUSTER_WIDE: [&str; 3] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
];

#[tokio::test]
async fn every_object_is_labelled_and_in_the_releases_namespace() {
    let helm = Helm::without_cluster().await;
    for values in all_ci() {
        for object in helm.ci(&values).await {
            let what = format!("{values}: {}", id(&object));
            let labels = &object["metadata"]["labels"];
            for label in ["name", "instance", "version", "managed-by"] {
                let label = format!("app.kubernetes.io/{label}");
                assert!(labels[&label].is_string(), "{what}: {label}");
            }
            let kind = object["kind"].as_str().unwrap();
            match namespace(&object) {
                "" => assert!(CLUSTER_WIDE.contains(&kind), "{what}"),
                NAME => {}
                other => assert!(other.starts_with("tenant-"), "{what}"),
            }
        }
    }
}

/// One list decides where the operator watches and where it has rights.
#[tokio::test]
async fn the_list_of_namespaces_decides_over_watches_and_rights() {
    let helm = Helm::without_cluster().await;
    let objects = helm.ci("namespaced").await;
    assert!(!kinds(&objects).contains("ClusterRoleBinding"));
    assert!(args(&objects).contains(&"--watch-namespaces=tenant-a,tenant-b"));
    let bindings = objects.iter().filter(|o| o["kind"] == "RoleBinding");
    let bound = bindings.filter(|o| o["roleRef"]["kind"] == "ClusterRole");
    let bound: Vec<&Value> = bound.collect();
    let places: Vec<&str> = bound.iter().map(|o| namespace(o)).collect();
    assert_eq!(places, ["tenant-a", "tenant-b"]);
    for binding in bound {
        assert_eq!(binding["roleRef"]["name"], NAME);
        assert_eq!(binding["subjects"][0]["namespace"], NAME);
    }
    // Without rbac.aggregate, the only role for users is the one that is bound to no user.
    let roles = objects.iter().filter(|o| o["kind"] == "ClusterRole");
    let names: BTreeSet<&str> = roles.map(name).collect();
    let wanted = [NAME, "phone-migration-operator-code-desk"];
    assert_eq!(names, BTreeSet::from(wanted));
}

#[tokio::test]
async fn secrets_are_listed_only_by_who_asks_for_it() {
    let helm = Helm::without_cluster().await;
    for values in all_ci() {
        let objects = helm.ci(&values).await;
        let watches = args(&objects).contains(&"--watch-secrets");
        assert_eq!(watches, values == "namespaced", "{values}");
        let wanted = match watches {
            true => json!(["get", "list", "watch"]),
            false => json!(["get"]),
        };
        let roles = objects.iter().filter(|o| o["rules"].is_array());
        // The code desk's role is for people.
        let roles = roles.filter(|role| !name(role).ends_with("-code-desk"));
        let rules = roles.flat_map(|role| role["rules"].as_array().unwrap());
        let secrets = json!("secrets");
        let of_secrets = |rule: &&Value| rule["resources"].as_array().unwrap().contains(&secrets);
        for rule in rules.filter(of_secrets) {
            assert_eq!(rule["verbs"], wanted, "{values}");
        }
    }
}

#[tokio::test]
async fn the_crds_are_kept_unless_it_is_said_otherwise() {
    let helm = Helm::without_cluster().await;
    let (default, namespaced) = (helm.ci("default").await, helm.ci("namespaced").await);
    for plural in ["codeledgers", "phonemigrations"] {
        let crd = format!("CustomResourceDefinition /{plural}.phonemigration.dev");
        let crd = |objects: &[Value]| objects.iter().find(|o| id(o) == crd).unwrap().clone();
        let kept = crd(&default);
        let annotations = &kept["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/resource-policy"], "keep");
        let not_kept = crd(&namespaced);
        assert_eq!(not_kept["metadata"]["annotations"], Value::Null);
        let text = harness::repository().join(format!("crds/{plural}.yaml"));
        let text = std::fs::read_to_string(text).unwrap();
        let own: Value = serde_yaml_ng::from_str(&text).unwrap();
        let own = numbers(own["spec"].clone());
        assert!(numbers(kept["spec"].clone()) == own, "another CRD {plural}");
        let other = numbers(not_kept["spec"].clone());
        assert!(other == own, "another CRD {plural}");
    }
}

/// Helm turns 1000.0 into 1000.
fn numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(list) => list.into_iter().map(numbers).collect(),
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, numbers(v))).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

/// Argo CD renders without a cluster, again and again.
#[tokio::test]
async fn with_an_existing_key_every_rendering_is_the_same() {
    let helm = Helm::without_cluster().await;
    let values = ci("existing");
    let args = ["--values", values.as_str()];
    assert_eq!(helm.template(&args).await, helm.template(&args).await);
    // The reason: the chart would generate a different key each time.
    let key = |objects: &[Value]| only(objects, "Secret")["data"]["key"].clone();
    let (first, second) = (helm.objects(&[]).await, helm.objects(&[]).await);
    assert_ne!(key(&first), key(&second));
    let annotations = &only(&first, "Secret")["metadata"]["annotations"];
    assert_eq!(annotations["helm.sh/resource-policy"], "keep");
    let none = helm.set("fingerprintKey.create=false").await;
    assert!(!kinds(&none).contains("Secret"));
}

#[tokio::test]
async fn the_pod_waits_for_its_key_whoever_makes_it() {
    let helm = Helm::without_cluster().await;
    let volume = |objects: &[Value]| pod(objects)["volumes"][1]["secret"].clone();
    let own = format!("{NAME}-fingerprint-key");
    let none = helm.set("fingerprintKey.create=false").await;
    for (objects, name) in [
        (helm.ci("existing").await, "fingerprint-key"),
        (helm.ci("default").await, own.as_str()),
        (none, own.as_str()),
    ] {
        let secret = volume(&objects);
        assert_eq!(secret["secretName"], name);
        assert_eq!(secret["optional"], Value::Null);
    }
}

#[tokio::test]
async fn more_replicas_are_spread_and_survive_a_drain() {
    let helm = Helm::without_cluster().await;
    let one = helm.ci("default").await;
    assert_eq!(pod(&one)["topologySpreadConstraints"], Value::Null);
    assert!(!kinds(&one).contains("PodDisruptionBudget"));

    let three = helm.ci("full").await;
    let deployment = &only(&three, "Deployment")["spec"];
    assert_eq!(deployment["replicas"], 3);
    // One strategy for any number of replicas: the API server refuses a change back to Recreate.
    let strategy = &only(&one, "Deployment")["spec"]["strategy"];
    assert_eq!(&deployment["strategy"], strategy);
    let labels = &deployment["selector"]["matchLabels"];
    let spread = pod(&three)["topologySpreadConstraints"].as_array().unwrap();
    assert_eq!(spread.len(), 2);
    for constraint in spread {
        assert_eq!(&constraint["labelSelector"]["matchLabels"], labels);
    }
    let budget = &only(&three, "PodDisruptionBudget")["spec"];
    assert_eq!(budget["maxUnavailable"], 1);
    assert_eq!(&budget["selector"]["matchLabels"], labels);
}

#[tokio::test]
async fn nothing_gets_out_but_dns_the_api_server_https_and_traces() {
    let helm = Helm::without_cluster().await;
    let objects = helm.ci("full").await;
    let policy = &only(&objects, "NetworkPolicy")["spec"];
    let selector = &policy["podSelector"];
    let (instance, name) = ("app.kubernetes.io/instance", "app.kubernetes.io/name");
    assert_eq!(selector["matchExpressions"][0]["key"], name);
    let names = &selector["matchExpressions"][0]["values"];
    let names = names.as_array().unwrap();
    let operators = &only(&objects, "Deployment")["spec"]["template"]["metadata"];
    for metadata in [operators, &only(&objects, "Pod")["metadata"]] {
        let labels = &metadata["labels"];
        let wanted = json!({ instance: labels[instance] });
        assert_eq!(selector["matchLabels"], wanted);
        assert!(names.contains(&labels[name]), "{labels}");
    }
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let ingress = policy["ingress"].as_array().unwrap();
    assert_eq!(ingress.len(), 1);
    let metrics = json!([{"protocol": "TCP", "port": 9090}]);
    assert_eq!(ingress[0]["ports"], metrics);
    assert_eq!(ingress[0]["from"].as_array().unwrap().len(), 1);
    let egress = policy["egress"].as_array().unwrap();
    let ports = |rule: &Value| rule["ports"].clone();
    let tcp = |port: u16| json!({"protocol": "TCP", "port": port});
    let udp = |port: u16| json!({"protocol": "UDP", "port": port});
    let dns = json!([udp(53), tcp(53), udp(5353), tcp(5353)]);
    assert_eq!(ports(&egress[0]), dns);
    assert!(egress[0]["to"].to_string().contains("openshift-dns"));
    assert_eq!(ports(&egress[1]), json!([tcp(443), tcp(6443)]));
    let api_server = json!([{"ipBlock": {"cidr": "10.0.0.1/32"}}]);
    assert_eq!(egress[1]["to"], api_server);
    assert_eq!(ports(&egress[2]), json!([tcp(443)]));
    // The cloud's metadata services hand out the node's credentials.
    for network in ["169.254.0.0/16", "100.64.0.0/10"] {
        assert!(egress[2]["to"].to_string().contains(network), "{network}");
    }
    // STS is also inside a VPC; the metadata service is not for an operator with a key.
    assert_eq!(ports(&egress[3]), json!([tcp(443)]));
    let sts = egress[3]["to"].to_string();
    assert!(sts.contains("100.100.100.200/32") && !sts.contains("100.64.0.0/10"));
    assert_eq!(ports(&egress[4]), json!([tcp(4318)]));
    assert!(egress[4]["to"].to_string().contains("observability"));
    assert_eq!(egress.len(), 5);

    // Only the role of the node needs it.
    let metadata = |objects: &[Value]| {
        let egress = &only(objects, "NetworkPolicy")["spec"]["egress"];
        let to = json!([{"ipBlock": {"cidr": "100.100.100.200/32"}}]);
        let mut rules = egress.as_array().unwrap().iter();
        rules.find(|rule| rule["to"] == to).map(ports)
    };
    assert_eq!(metadata(&objects), None);
    assert_eq!(metadata(&helm.ci("rrsa").await), None);
    assert_eq!(metadata(&helm.ci("ecs").await), Some(json!([tcp(80)])));
}

/// The key that signs: the flag, the variables, the mounted files, and the annotation for the
/// webhook.
#[tokio::test]
async fn one_value_decides_whose_key_signs() {
    let helm = Helm::without_cluster().await;
    let volume = |objects: &[Value], name: &str| {
        let volumes = pod(objects)["volumes"].as_array().unwrap().clone();
        volumes.into_iter().find(|volume| volume["name"] == name)
    };
    let credentials = |objects: &[Value]| -> Vec<String> {
        let flags = ["--credentials", "--assume-role", "--sts"];
        let args = args(objects).into_iter();
        let ours = args.filter(|arg| flags.iter().any(|flag| arg.starts_with(flag)));
        ours.map(str::to_owned).collect()
    };
    let rrsa = helm.ci("rrsa").await;
    assert_eq!(
        credentials(&rrsa),
        [
            "--credentials=oidc",
            "--assume-role-arn=acs:ram::2000000000000002:role/cams-migration",
            "--assume-role-external-id=acme-7f3c",
            "--sts-endpoint=sts-vpc.cn-hangzhou.aliyuncs.com",
        ]
    );
    let env = pod(&rrsa)["containers"][0]["env"].to_string();
    let file = r#"{"name":"ALIBABA_CLOUD_OIDC_TOKEN_FILE","value":"/var/run/secrets/alibaba-cloud/token"}"#;
    assert!(env.contains(file), "{env}");
    let source = &volume(&rrsa, "credentials").unwrap()["projected"]["sources"][0];
    assert_eq!(
        source["serviceAccountToken"],
        json!({"audience": "sts.aliyuncs.com", "expirationSeconds": 3600, "path": "token"})
    );
    assert!(volume(&rrsa, "more").is_some());
    let mounts = pod(&rrsa)["containers"][0]["volumeMounts"].to_string();
    assert!(mounts.contains("/more") && mounts.contains("/var/run/secrets/alibaba-cloud"));
    let account = only(&rrsa, "ServiceAccount").to_string();
    assert!(!account.contains("pod-identity"));

    let flags = [
        ("webhook", "--credentials=oidc"),
        ("ecs", "--credentials=ecs"),
    ];
    for (name, flag) in flags {
        let objects = helm.ci(name).await;
        assert_eq!(credentials(&objects), [flag], "{name}");
        assert!(volume(&objects, "credentials").is_none(), "{name}");
        let container = pod(&objects)["containers"][0].to_string();
        assert!(!container.contains("ALIBABA_CLOUD") && !container.contains("alibaba-cloud"));
    }
    let account = only(&helm.ci("webhook").await, "ServiceAccount").clone();
    assert_eq!(
        account["metadata"]["annotations"],
        json!({"pod-identity.alibabacloud.com/role-name": "phmig", "example.com/team": "messaging"})
    );
}

#[tokio::test]
async fn what_is_given_reaches_the_operator() {
    let helm = Helm::without_cluster().await;
    let full = helm.ci("full").await;
    let expected = [
        "run",
        "--cams-endpoint=https://cams.eu-central-1.aliyuncs.com",
        "--signature=v3",
        "--signature-validity=1h30m",
        "--code-digits=4-8",
        "--qps=5",
        "--credentials-dir=/var/run/secrets/alibaba-cloud",
        "--fingerprint-key-file=/var/run/secrets/fingerprint-key/key",
        "--ledger-namespace=$(POD_NAMESPACE)",
        "--max-concurrent-reconciles=32",
        "--listen=[::]:9090",
        "--log-format=text",
        "--otlp-endpoint=http://collector.observability:4318",
        "--leader-elect=true",
    ];
    assert_eq!(args(&full), expected);
    let security = &pod(&full)["securityContext"];
    assert_eq!(security["runAsUser"], 1_000_650_000);
    assert_eq!(security["runAsGroup"], Value::Null);
    assert_eq!(security["runAsNonRoot"], true);
    let existing = helm.ci("existing").await;
    let image = pod(&existing)["containers"][0]["image"].as_str().unwrap();
    assert!(image.starts_with("registry.example.com:5000/platform/phone-migration-operator:"));
    assert!(image.contains("@sha256:0123456789abcdef"), "{image}");
}

/// YAML reads `off` as a boolean and `42` as a number, but Kubernetes expects texts.
#[tokio::test]
async fn names_that_look_like_numbers_or_booleans_stay_texts() {
    let helm = Helm::without_cluster().await;
    let chart = chart();
    let strings = [
        "logLevel=off",
        "credentials.existingSecret=41",
        "fingerprintKey.existingSecret=1e3",
        "serviceAccount.name=42",
        "fullnameOverride=43",
        "nameOverride=44",
        "priorityClassName=45",
        "image.repository=46",
        "image.tag=47",
        "watchNamespaces={46,true}",
        "serviceMonitor.interval=30s",
    ];
    // The chart's templates of every kind, for a release and a namespace of digits.
    let mut args = vec!["template", "48", path(&chart), "--namespace", "49"];
    for string in strings {
        args.extend(["--set-string", string]);
    }
    let on = "networkPolicy.enabled=true,serviceMonitor.enabled=true,\
              prometheusRule.enabled=true,dashboard.enabled=true,replicaCount=2";
    args.extend(["--set", on]);
    let text = helm.ok(&args).await;
    // `off` is a boolean for Helm and Kubernetes, and a text for the parser of this test.
    assert!(text.contains("value: \"off\"\n"));
    let objects = documents(&text);
    for object in &objects {
        let what = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let metadata = &object["metadata"];
        assert!(metadata["name"].is_string(), "{what}");
        let namespace = &metadata["namespace"];
        assert!(namespace.is_null() || namespace.is_string(), "{what}");
        let labels = metadata["labels"].as_object().unwrap();
        assert!(labels.values().all(Value::is_string), "{what}");
        for subject in object["subjects"].as_array().into_iter().flatten() {
            assert_eq!(subject["name"], "42", "{what}");
            assert_eq!(subject["namespace"], "49", "{what}");
        }
        let role = &object["roleRef"]["name"];
        assert!(role.is_null() || role.is_string(), "{what}");
    }
    let pod = pod(&objects);
    assert_eq!(pod["serviceAccountName"], "42");
    assert_eq!(pod["priorityClassName"], "45");
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "41");
    assert_eq!(pod["volumes"][1]["secret"]["secretName"], "1e3");
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "46:47");
    let variables = container["env"].as_array().unwrap();
    let level = variables.iter().find(|v| v["name"] == "RUST_LOG").unwrap();
    assert_eq!(level["value"], "off");
    let labels = &only(&objects, "Deployment")["spec"]["selector"]["matchLabels"];
    assert_eq!(labels["app.kubernetes.io/name"], "44");
    assert_eq!(labels["app.kubernetes.io/instance"], "48");
    let bound = objects.iter().filter(|o| o["kind"] == "RoleBinding");
    let places: BTreeSet<&str> = bound.map(namespace).collect();
    assert_eq!(places, BTreeSet::from(["46", "49", "true"]));
}

/// Commands in the notes name what the release really has.
#[tokio::test]
async fn the_notes_say_what_is_left_to_do() {
    let helm = Helm::without_cluster().await;
    let chart = chart();
    let notes = async |values: &str| {
        let chart = chart.to_str().unwrap();
        let install = format!("install {NAME} {chart} --namespace cams --dry-run=client");
        let args: Vec<&str> = install.split(' ').chain(["--values", values]).collect();
        helm.ok(&args).await
    };
    let default = notes(&ci("default")).await;
    assert!(default.contains("--namespace cams create secret generic alibaba-cloud-credentials"));
    assert!(default.contains("set fingerprintKey.existingSecret"));
    assert!(default.contains("leaves the CustomResourceDefinitions"));
    let existing = notes(&ci("existing")).await;
    assert!(existing.contains("create secret generic cams-credentials"));
    assert!(existing.contains("fingerprint-key --from-file=key=/dev/stdin"));
    let namespaced = notes(&ci("namespaced")).await;
    assert!(namespaced.contains("works in the namespaces tenant-a, tenant-b."));
    assert!(namespaced.contains("WARNING: crds.keep is false"));
}
