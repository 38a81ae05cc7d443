//! Priority and fairness of the API server rejects the operator.

use std::sync::Arc;

use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

const RESOURCES: usize = 20;
const REJECTED_FOR: Duration = Duration::from_secs(20);

/// No seat at all for the operator's ServiceAccount, and no queue.
const JAIL: &str = "
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: no-seat}
spec:
  type: Limited
  limited: {nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {type: Reject}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: no-seat}
spec:
  matchingPrecedence: 2
  priorityLevelConfiguration: {name: no-seat}
  rules:
  - subjects:
    - kind: ServiceAccount
      serviceAccount: {namespace: phone-migration-operator, name: phone-migration-operator}
    resourceRules:
    - {verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true}
";

/// A client with the operator's token, which repeats nothing.
async fn as_operator(world: &World) -> kube::Client {
    let path = world.dir().join("asker.kubeconfig");
    let (plane, url) = (&world.plane, world.plane.control.url());
    plane.operator_kubeconfig(&path, &url).unwrap();
    let kubeconfig = Kubeconfig::read_from(&path).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options);
    let mut config = config.await.unwrap();
    config.default_retry = false;
    config.proxy_url = None;
    kube::Client::try_from(config).unwrap()
}

/// Repeats the request until the answer has this status and comes from this priority level.
async fn until_answered(world: &World, client: &kube::Client, wanted: u16, level: Option<&str>) {
    let url = format!(
        "/apis/phonemigration.dev/v1alpha1/namespaces/{}/phonemigrations?limit=1",
        world.namespace
    );
    let answered = async || {
        let request = http::Request::get(&url).body(kube::client::Body::empty());
        let answer = client.send(request.unwrap()).await.unwrap();
        let from = answer.headers().get("x-kubernetes-pf-prioritylevel-uid");
        let from = from.and_then(|uid| uid.to_str().ok());
        answer.status() == wanted && (level.is_none() || from == level)
    };
    until_asked(&format!("an answer {wanted}"), answered).await;
}

/// Occupies the one seat that even a level without seats gives away when it is free: a request of
/// the same user whose body never ends.
async fn sit(world: &World) -> TlsStream<TcpStream> {
    let token = world.plane.operator_token();
    let control = &world.plane.control;
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(control.ca_pem().as_bytes());
    roots.add(ca.unwrap()).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let url = control.url();
    let address = url.trim_start_matches("https://");
    let stream = TcpStream::connect(address).await.unwrap();
    let host = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(host, stream)
        .await
        .unwrap();
    let namespace = &world.namespace;
    let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

async fn rejected(world: &World, operator: &mut Operator) {
    let (from, began) = (Timestamp::now(), Instant::now());
    for n in 0..RESOURCES {
        ready(world, n).await;
    }
    tokio::time::sleep_until(began + REJECTED_FOR).await;
    let requests = requests_between(world, from, Timestamp::now());
    let refused = requests.iter().filter(|r| r.code == 429).count();
    assert!(
        refused >= RESOURCES,
        "{refused} of {} were rejected",
        requests.len()
    );
    let times: Vec<Timestamp> = requests.iter().map(|r| r.timestamp).collect();
    assert_not_hot("requests while rejected", &times, REJECTED_FOR);
    assert_alive(operator).await;
}

#[tokio::test]
async fn c13_priority_and_fairness_rejects_every_request_for_20_s_and_nothing_loops_hot() {
    let apart = apart("c13").await;
    let world = &apart.world;
    let mut operator = world.start(NEVER_FINAL).await;
    world.plane.control.apply(JAIL).await.unwrap();
    let uid = "get prioritylevelconfiguration no-seat -o jsonpath={.metadata.uid}";
    let uid = world.kubectl(uid).await;
    let client = as_operator(world).await;
    until_answered(world, &client, 200, Some(uid.trim())).await;
    let sitter = sit(world).await;
    until_answered(world, &client, 429, None).await;
    rejected(world, &mut operator).await;
    assert!(world.sim.ledger().is_empty(), "a call without a claim");
    drop(sitter);
    world
        .kubectl("delete flowschema,prioritylevelconfiguration no-seat")
        .await;
    until_answered(world, &client, 200, None).await;
    for n in 0..RESOURCES {
        world.request(&name(n), "again").await.unwrap();
    }
    for n in 0..RESOURCES {
        verified(world, n).await;
    }
    world.finish().await.unwrap();
}
