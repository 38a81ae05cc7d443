//! The rights of a release: enough for everything, and no unused one.

use std::collections::BTreeSet;

use super::helm::{NAME, chart};
use super::release::Site;
use super::*;

/// Used once a ledger is 30 days old and its number has no resource any more.
const RETENTION: &str = "phonemigration.dev codeledgers delete";

/// "group resource verb" of each rule that is granted to the release's ServiceAccount.
async fn granted(site: &Site) -> BTreeSet<String> {
    let mut granted = BTreeSet::new();
    let election = format!("{NAME}-leader-election");
    let ledger = format!("{NAME}-ledger");
    for (kind, name) in [
        ("clusterrole", NAME),
        ("role", election.as_str()),
        ("role", ledger.as_str()),
    ] {
        let role = site.get(kind, name).await.unwrap();
        for rule in role["rules"].as_array().unwrap() {
            let list = |key: &str| -> Vec<String> {
                let list = rule[key].as_array().unwrap().iter();
                list.map(|word| word.as_str().unwrap().to_owned()).collect()
            };
            for group in list("apiGroups") {
                for resource in list("resources") {
                    for verb in list("verbs") {
                        granted.insert(format!("{group} {resource} {verb}"));
                    }
                }
            }
        }
    }
    granted
}

/// The same of every request that the operator made.
fn used(site: &Site, user: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    // The test's own requests come from kubectl.
    let wanted = |e: &AuditEntry| e.user == user && !e.user_agent.starts_with("kubectl");
    for entry in site.control.audit_entries(wanted).unwrap() {
        assert_ne!(entry.code, 403, "{entry:?}");
        // The schemas of the CRDs, which every user may read.
        if entry.uri.starts_with("/openapi/") {
            continue;
        }
        let resource = match entry.subresource.as_str() {
            "" => entry.resource,
            sub => format!("{}/{sub}", entry.resource),
        };
        used.insert(format!("{} {resource} {}", entry.group, entry.verb));
    }
    used
}

/// Makes the operator do everything: it leads, lists and watches, submits, records right and wrong
/// codes, publishes an Event for each, publishes the same Event again, and hands the Lease over at
/// its end.
async fn everything(site: &Site, world: &World) {
    let mut operator = site.operator(world).await;
    world.migrate("right", "8613800000001", "12345678").await;
    world.number("8613800000002", "22345678", "id-8613800000002");
    world.code("wrong", "99999991").await.unwrap();
    world.make(&Migration::new("wrong", "8613800000002")).await;
    world.until_reason("right", "Verified").await.unwrap();
    let first = world.until_reason("wrong", "CodeRejected").await.unwrap();
    // The second refusal is the same Event again, which is a patch of the first.
    world.replace_code("wrong", "99999992").await;
    let again = |status: &Value| {
        status["reason"] == "CodeRejected" && status["attempt"]["id"] != first["attempt"]["id"]
    };
    world.until_status("wrong", again).await;
    world.replace_code("wrong", "22345678").await;
    let status = world.until_reason("wrong", "Verified").await.unwrap();
    assert_eq!(status["id"], "id-8613800000002");
    assert_eq!(operator.stop().await.unwrap(), Some(0));
    world.finish().await.unwrap();
}

/// Asserts that there are no unused rights, and no used ones that are not granted.
async fn compare(site: &Site, world: &World) {
    let granted = granted(site).await;
    let used = used(site, &world.plane.operator_user());
    println!("granted: {granted:#?}");
    let unused: Vec<&String> = granted.difference(&used).collect();
    assert_eq!(unused, [RETENTION]);
    let lacking: Vec<&String> = used.difference(&granted).collect();
    assert_eq!(lacking, [""; 0]);
}

#[tokio::test]
async fn a_release_does_the_main_job_and_uses_every_right_that_it_has() {
    let site = Site::new().await;
    site.install(&chart(), &[]).await;
    let world = site.world("tenant-a").await;
    everything(&site, &world).await;
    compare(&site, &world).await;
}

/// With names in the list there are rights in these namespaces only; and the right to watch Secrets
/// exists, and is used, only on request.
#[tokio::test]
async fn rights_end_at_the_namespaces_of_the_list() {
    let site = Site::new().await;
    site.install(&chart(), &[]).await;
    let world = site.world("tenant-a").await;
    world.namespace("tenant-b").await.unwrap();
    let get = may(&site, &world, "get", "secrets", "tenant-b").await;
    assert_eq!(get, "yes");
    let list = may(&site, &world, "list", "secrets", "tenant-a").await;
    assert_eq!(list, "no");

    let values = "watchNamespaces={tenant-a},watchSecrets=true";
    site.upgrade(&["--set", values]).await;
    assert!(site.get("clusterrolebinding", NAME).await.is_none());
    world.allow_secret_watches();
    everything(&site, &world).await;
    compare(&site, &world).await;
    for (verb, resource) in [
        ("get", "secrets"),
        ("list", "secrets"),
        ("list", "phonemigrations"),
        ("update", "phonemigrations/status"),
        ("create", "events.events.k8s.io"),
    ] {
        let here = may(&site, &world, verb, resource, "tenant-a").await;
        assert_eq!(here, "yes", "{verb} {resource}");
        for other in ["tenant-b", "kube-system", NAME] {
            let there = may(&site, &world, verb, resource, other).await;
            assert_eq!(there, "no", "{verb} {resource} in {other}");
        }
    }
}

/// Rights that the release's ServiceAccount may never have, in any installation.
#[tokio::test]
async fn no_release_may_write_what_users_own() {
    let site = Site::new().await;
    let values = ["--set", "watchSecrets=true"];
    site.install(&chart(), &values).await;
    let world = site.world("tenant-a").await;
    let never = [
        ("phonemigrations", "create update patch delete"),
        ("secrets", "create update patch delete"),
        ("codeledgers", "get create update delete"),
        ("pods", "create"),
        ("serviceaccounts/token", "create"),
        ("users", "impersonate"),
        ("clusterroles", "escalate bind"),
        ("nodes", "get"),
        ("leases", "get"),
    ];
    for (resource, verbs) in never {
        for verb in verbs.split(' ') {
            let answer = may(&site, &world, verb, resource, "tenant-a").await;
            assert_eq!(answer, "no", "{verb} {resource}");
        }
    }
}

/// "yes" or "no", the API server's answer to the release's ServiceAccount itself.
async fn may(site: &Site, world: &World, verb: &str, resource: &str, namespace: &str) -> String {
    let kubeconfig = world.dir().join("may.kubeconfig");
    let server = world.plane.control.url();
    let written = world.plane.operator_kubeconfig(&kubeconfig, &server);
    written.unwrap();
    let kubeconfig = kubeconfig.display();
    let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
    let what = format!("{verb} {resource} --subresource={sub} --namespace {namespace}");
    let words = format!("--kubeconfig={kubeconfig} auth can-i {what}");
    let output = site.control.kubectl(words.split(' ')).await.unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
