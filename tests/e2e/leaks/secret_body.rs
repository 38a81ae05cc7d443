//! Damaged replies of the API server in place of a Secret: no part of one is logged or reported.

use std::io::Write;
use std::sync::{Arc, Mutex};

use harness::canary::Canaries;
use http::{Request, Response};
use kube::client::Body;
use phone_migration_operator::api::crd::VerifyCodeSecretRef;
use phone_migration_operator::app::config::LogFormat;
use phone_migration_operator::cluster::Cluster;
use phone_migration_operator::telemetry;

const CODE: &str = "46550017";
/// The code in base64.
const ENCODED: &str = "NDY1NTAwMTc=";

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Bodies that hold the code but are not a Secret, or are a Secret whose code cannot be sent.
fn spoilt() -> Vec<(u16, String)> {
    let meta = r#""metadata":{"name":"s","uid":"u","resourceVersion":"7"}"#;
    let secret = |data: &str| format!(r#"{{"kind":"Secret",{meta},"data":{data}}}"#);
    vec![
        (
            200,
            secret(&format!(r#"{{"code":"{ENCODED}","other":"%%%"}}"#)),
        ),
        (200, secret(&format!(r#"{{"code":"%{ENCODED}"}}"#))),
        (200, secret(&format!(r#"{{"code":{CODE}}}"#))),
        (200, secret(&format!(r#"{{"code":["{CODE}"]}}"#))),
        (200, secret(&format!(r#"["{CODE}"]"#))),
        (200, secret(&format!(r#"{{"code":"{ENCODED}""#))),
        (
            200,
            format!(r#"{{"data":{{"code":"{ENCODED}"}},"metadata":{CODE}}}"#),
        ),
        (
            200,
            format!(r#"{{"data":{{"code":"{ENCODED}"}},"metadata":{{"uid":"{CODE}"}}}}"#),
        ),
        (200, format!("<html>{CODE} {ENCODED}</html>")),
        (200, format!(r#""{CODE}""#)),
        (200, format!("{}{CODE}", "[".repeat(5_000))),
        (
            500,
            format!(r#"{{"kind":"Status","message":"{CODE} {ENCODED}"}}"#),
        ),
        (
            403,
            format!(r#"{{"kind":"Status","code":403,"message":"{CODE} {ENCODED}"}}"#),
        ),
        (418, format!("{CODE} {ENCODED}")),
    ]
}

#[test]
fn t02_a_spoilt_secret_is_neither_logged_nor_told() {
    let mut canaries = Canaries::default();
    canaries.add("a code", CODE);
    let search = canaries.search().unwrap();
    let captured = Captured::default();
    let writer = captured.clone();
    let filter = telemetry::filter("trace").unwrap();
    let subscriber = telemetry::subscriber(LogFormat::Json, filter, false, move || writer.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let reference = VerifyCodeSecretRef {
        name: "s".into(),
        key: "code".into(),
        expires_at_key: "expiresAt".into(),
    };
    let mut told = Vec::new();
    tracing::subscriber::with_default(subscriber, || {
        for (status, body) in spoilt() {
            let found = search.finds(body.as_bytes());
            assert!(!found.is_empty(), "no canary in {body}");
            let reply = move |_: Request<Body>| {
                let reply = Response::builder().status(status);
                let reply = reply.body(Body::from(body.clone().into_bytes())).unwrap();
                std::future::ready(Ok::<_, std::convert::Infallible>(reply))
            };
            let answer = runtime.block_on(async {
                let client = kube::Client::new(tower::service_fn(reply), "tenant-a");
                let cluster = Cluster::new(client, "test".into());
                cluster.secret("tenant-a", &reference).await
            });
            if let Err(error) = answer {
                tracing::error!(target: "phone_migration_operator", %error, "Reconcile not finished");
                told.push(format!("{error} {error:?}"));
            }
        }
    });
    assert!(told.len() > 8, "{told:?}");
    let logs = captured.0.lock().unwrap().clone();
    assert!(String::from_utf8_lossy(&logs).contains("Reconcile not finished"));
    let artefacts = [
        ("the log".to_owned(), logs),
        ("the errors".to_owned(), told.concat().into_bytes()),
    ];
    search.none_in(&artefacts).unwrap();
}
