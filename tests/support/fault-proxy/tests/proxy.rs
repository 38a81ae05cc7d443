//! The proxy in front of a real API server: plain forwarding, and each kind of fault once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use control_plane::{ControlPlane, Options};
use fault_proxy::{FaultProxy, FrameThen, Then, Upstream, Verb, When};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use futures::StreamExt;
use futures::stream::BoxStream;

const SOON: Duration = Duration::from_secs(20);

async fn plane() -> Arc<ControlPlane> {
    static SHARED: OnceCell<(Arc<ControlPlane>, TempDir)> = OnceCell::const_new();
    let start = || async {
        let dir = TempDir::new().unwrap();
        let plane = ControlPlane::start(dir.path(), Options::default()).await;
        (Arc::new(plane.unwrap()), dir)
    };
    Arc::clone(&SHARED.get_or_init(start).await.0)
}

type Events = BoxStream<'static, kube::Result<WatchEvent<ConfigMap>>>;

/// A namespace, a proxy, and the same API direct and through it.
struct Case {
    proxy: FaultProxy,
    straight: Api<ConfigMap>,
    through: Api<ConfigMap>,
}

impl Case {
    async fn new(namespace: &str) -> Self {
        let plane = plane().await;
        let admin = plane.admin_client().await.unwrap();
        let mut new = Namespace::default();
        new.metadata.name = Some(namespace.to_owned());
        let namespaces: Api<Namespace> = Api::all(admin.clone());
        namespaces
            .create(&PostParams::default(), &new)
            .await
            .unwrap();
        let (cert, key) = plane.serving_certificate();
        let read = |path| std::fs::read_to_string(path).unwrap();
        let proxy = FaultProxy::start(Upstream {
            url: plane.url(),
            ca_pem: plane.ca_pem().to_owned(),
            cert_pem: read(cert),
            key_pem: read(key),
        })
        .await
        .unwrap();
        let mut kubeconfig = plane.admin_kubeconfig().unwrap();
        let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
        cluster.server = Some(proxy.url());
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        config.proxy_url = None;
        config.default_retry = false;
        let client = Client::try_from(config).unwrap();
        Self {
            straight: Api::namespaced(admin, namespace),
            through: Api::namespaced(client, namespace),
            proxy,
        }
    }

    async fn create(&self, name: &str) -> kube::Result<ConfigMap> {
        let mut new = ConfigMap::default();
        new.metadata.name = Some(name.to_owned());
        self.through.create(&PostParams::default(), &new).await
    }

    async fn watch(&self, from: &str) -> Events {
        let params = WatchParams::default().disable_bookmarks();
        self.through.watch(&params, from).await.unwrap().boxed()
    }

    /// Direct, so that only the watch goes through the proxy.
    async fn set(&self, name: &str, n: u64) {
        let patch = Patch::Merge(json!({"data": {"n": n.to_string()}}));
        let params = PatchParams::default();
        self.straight.patch(name, &params, &patch).await.unwrap();
    }
}

fn code<T>(result: kube::Result<T>) -> Option<u16> {
    match result {
        Ok(_) => Some(200),
        Err(kube::Error::Api(status)) => Some(status.code),
        Err(_) => None,
    }
}

/// Type, name and `n` of the next event.
async fn next(events: &mut Events) -> String {
    let event = timeout(SOON, events.next()).await.expect("no event");
    let told = |type_: &str, map: &ConfigMap| {
        let n = map.data.as_ref().and_then(|data| data.get("n"));
        let name = map.metadata.name.clone().unwrap_or_default();
        format!("{type_} {name} {}", n.map_or("", String::as_str))
    };
    match event {
        Some(Ok(WatchEvent::Added(map))) => told("added", &map),
        Some(Ok(WatchEvent::Modified(map))) => told("modified", &map),
        Some(Ok(WatchEvent::Deleted(map))) => told("deleted", &map),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn everything_passes_and_is_logged_without_the_token() {
    let case = Case::new("passes").await;
    case.create("a").await.unwrap();
    assert_eq!(code(case.create("a").await), Some(409));
    let listed = case.through.list(&ListParams::default()).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    let from = listed.metadata.resource_version.unwrap();
    let mut events = case.watch(&from).await;
    case.set("a", 1).await;
    assert_eq!(next(&mut events).await, "modified a 1");
    let requests = case.proxy.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|r| (r.target.verb, r.target.name.as_str(), r.status))
        .collect();
    let wanted = [
        (Verb::Create, "a", Some(201)),
        (Verb::Create, "a", Some(409)),
        (Verb::List, "", Some(200)),
        (Verb::Watch, "", Some(200)),
    ];
    assert_eq!(seen, wanted);
    assert!(requests.iter().all(|r| r.upstream == r.status));
    assert!(!format!("{requests:?}").contains("Bearer"));
}

#[tokio::test]
async fn a_swallowed_reply_belongs_to_a_write_that_happened() {
    let case = Case::new("swallow").await;
    let closes = case
        .proxy
        .rule(When::create("configmaps").name("a"), Then::swallow());
    assert_eq!(code(case.create("a").await), None);
    let hit = closes.hit().await.unwrap();
    assert_eq!(hit.body["metadata"]["name"], "a");
    case.straight.get("a").await.unwrap();
    closes.remove();
    let when = When::create("configmaps").once();
    let answers = case.proxy.rule(when, Then::swallow_and_answer(504));
    assert_eq!(code(case.create("b").await), Some(504));
    case.straight.get("b").await.unwrap();
    assert_eq!(code(case.create("b").await), Some(409));
    assert_eq!(answers.hits(), 1);
    let last = case.proxy.requests().pop().unwrap();
    assert_eq!((last.upstream, last.status), (Some(409), Some(409)));
}

#[tokio::test]
async fn a_held_request_is_forwarded_when_it_is_released_though_its_client_has_gone() {
    let case = Case::new("hold").await;
    let hold = case
        .proxy
        .rule(When::create("configmaps").once(), Then::Hold);
    let impatient = timeout(Duration::from_millis(300), case.create("a")).await;
    assert!(impatient.is_err());
    hold.hit().await.unwrap();
    assert_eq!(code(case.straight.get("a").await), Some(404));
    hold.release();
    let stored = async {
        while case.straight.get("a").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, stored).await.unwrap();
    let reply = case
        .proxy
        .rule(When::create("configmaps").once(), Then::HoldReply);
    let released = async {
        reply.hit().await.unwrap();
        case.straight.get("b").await.unwrap();
        reply.release();
    };
    let (created, ()) = tokio::join!(case.create("b"), released);
    assert_eq!(code(created), Some(200));
}

#[tokio::test]
async fn a_recorded_reply_is_shown_again() {
    let case = Case::new("replay").await;
    case.create("a").await.unwrap();
    let recording = case.proxy.record(When::get("configmaps").name("a"));
    case.through.get("a").await.unwrap();
    recording.stop();
    assert_eq!(recording.count(), 1);
    case.set("a", 1).await;
    let stale = case
        .proxy
        .rule(When::get("configmaps"), Then::Replay(recording));
    assert_eq!(case.through.get("a").await.unwrap().data, None);
    assert_eq!(code(case.through.get("other").await), Some(404));
    assert_eq!(stale.hits(), 1);
    stale.remove();
    assert!(case.through.get("a").await.unwrap().data.is_some());
}

#[tokio::test]
async fn frames_are_dropped_doubled_and_replayed() {
    let case = Case::new("frames").await;
    case.create("a").await.unwrap();
    let modified = || When::watch("configmaps").event("MODIFIED");
    let recording = case.proxy.record_frames(modified().once());
    let is = |n: &'static str| move |object: &Value| object["data"]["n"] == n;
    let proxy = &case.proxy;
    let dropped = proxy.frame_rule(modified().body("2", is("2")), FrameThen::Drop);
    let _doubled = proxy.frame_rule(modified().body("3", is("3")), FrameThen::Duplicate);
    let when = modified().body("4", is("4"));
    let _again = proxy.frame_rule(when, FrameThen::Replay(recording));
    let mut events = case.watch("0").await;
    assert_eq!(next(&mut events).await, "added a ");
    for n in 1..=4 {
        case.set("a", n).await;
    }
    for wanted in ["1", "3", "3", "4", "1"] {
        assert_eq!(next(&mut events).await, format!("modified a {wanted}"));
    }
    let hit = dropped.hit().await.unwrap();
    let told = (hit.event.as_deref(), hit.name.as_str());
    assert_eq!(told, (Some("MODIFIED"), "a"));
}

#[tokio::test]
async fn frames_are_held_in_order() {
    let case = Case::new("watches").await;
    case.create("a").await.unwrap();
    let modified = || When::watch("configmaps").event("MODIFIED");
    let hold = case.proxy.frame_rule(modified().once(), FrameThen::Hold);
    let mut events = case.watch("0").await;
    assert_eq!(next(&mut events).await, "added a ");
    case.set("a", 1).await;
    case.set("a", 2).await;
    hold.hit().await.unwrap();
    let quiet = timeout(Duration::from_millis(200), events.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    hold.release();
    for wanted in ["modified a 1", "modified a 2"] {
        assert_eq!(next(&mut events).await, wanted);
    }
}
