//! The probes and the bounds of the server, over real connections.
//!
//! With paused time, tokio moves the clock on as soon as every task waits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

struct Running {
    address: SocketAddr,
    health: Arc<Health>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn running() -> Running {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.address();
    let health = Health::new();
    let metrics = Arc::new(Metrics::new("default", ["Queued"]));
    let (stop, stopped) = oneshot::channel();
    let run = server.run(health.clone(), metrics, async {
        let _ = stopped.await;
    });
    Running {
        address,
        health,
        stop,
        server: tokio::spawn(run),
    }
}

impl Running {
    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// The whole reply; the server closes after it.
    async fn request(&self, line: &str, headers: &str) -> String {
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        rest_of(self.send(&request).await).await
    }

    async fn get(&self, path: &str) -> String {
        self.request(&format!("GET {path}"), "").await
    }
}

/// Everything that arrives until the server closes; a reset counts as a close.
async fn rest_of(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8(text).unwrap()
}

fn status(reply: &str) -> &str {
    reply.split(' ').nth(1).unwrap_or("no status")
}

fn body(reply: &str) -> &str {
    reply.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn readiness_follows_the_parts_and_liveness_does_not() {
    let server = running().await;
    let ready = async || {
        let reply = server.get("/readyz").await;
        (status(&reply).to_owned(), body(&reply).to_owned())
    };
    let no = |reason: &str| ("503".to_owned(), format!("{reason}\n"));
    let yes = ("200".to_owned(), "ok\n".to_owned());

    assert_eq!(ready().await, no("The operator is starting"));
    server.health.not_ready("crd", "The CRD is not installed");
    server.health.not_ready("credentials", "No credentials");
    server.health.started();
    assert_eq!(
        ready().await,
        no("The CRD is not installed; No credentials")
    );
    server.health.ready("crd");
    server.health.ready("credentials");
    assert_eq!(ready().await, yes);
    server.health.stopping();
    assert_eq!(ready().await, no("The operator is stopping"));
    assert_eq!(status(&server.get("/livez").await), "200");
}

#[tokio::test]
async fn a_core_task_that_panics_ends_liveness_and_readiness() {
    let server = running().await;
    server.health.started();
    let guard = server.health.task("controller");
    let lease = server.health.task("lease");
    assert_eq!(status(&server.get("/livez").await), "200");

    let task = tokio::spawn(async move {
        let _guard = guard;
        panic!("on purpose");
    });
    assert!(task.await.is_err());
    for path in ["/livez", "/readyz"] {
        let reply = server.get(path).await;
        assert_eq!(status(&reply), "503", "{path}");
        assert_eq!(body(&reply), "Core task ended: controller\n");
    }
    drop(lease);
}

#[tokio::test]
async fn a_task_that_ends_during_a_stop_is_no_failure() {
    let server = running().await;
    let guard = server.health.task("controller");
    server.health.stopping();
    drop(guard);
    assert_eq!(status(&server.get("/livez").await), "200");
}

#[tokio::test]
async fn metrics_come_in_the_form_that_was_asked_for() {
    let server = running().await;
    let plain = server.get("/metrics").await;
    assert!(plain.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(body(&plain).contains("phonemigration_build_info{"));
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5\r\n";
    let open = server.request("GET /metrics", accept).await;
    assert!(open.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(body(&open).ends_with("# EOF\n"));
}

#[tokio::test]
async fn nothing_else_is_served() {
    let server = running().await;
    for path in [
        "/",
        "/debug/pprof/",
        "/config",
        "/livez/",
        "/metrics/x",
        "//metrics",
    ] {
        assert_eq!(status(&server.get(path).await), "404", "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let reply = server.request(&format!("{method} /livez"), "").await;
        assert_eq!(status(&reply), "405", "{method}");
        assert!(reply.contains("allow: GET, HEAD\r\n"), "{reply}");
    }
    let head = server.request("HEAD /livez", "").await;
    assert_eq!((status(&head), body(&head)), ("200", ""));
    let junk = rest_of(server.send("\x16\x03\x01 not http\r\n\r\n").await).await;
    assert_eq!(status(&junk), "400");
    let many = "X: y\r\n".repeat(MOST_HEADERS + 1);
    assert_eq!(status(&server.request("GET /livez", &many).await), "431");
}

#[tokio::test]
async fn a_connection_serves_one_request() {
    let server = running().await;
    let twice = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    let replies = rest_of(server.send(&twice).await).await;
    assert_eq!(replies.matches("HTTP/1.1 200").count(), 1, "{replies}");
}

#[tokio::test(start_paused = true)]
async fn half_a_request_is_given_up() {
    let server = running().await;
    let start = Instant::now();
    let reply = rest_of(server.send("GET /livez HTTP/1.1\r\nHost:").await).await;
    assert!(!reply.contains("200"), "{reply}");
    let waited = start.elapsed();
    assert!(
        waited < HEADER_TIMEOUT + Duration::from_secs(1),
        "{waited:?}"
    );
}

/// A socket's usual buffers would swallow the whole reply; 64 bytes do not.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_given_up() {
    let (mut client, stream) = tokio::io::duplex(64);
    let metrics = Arc::new(Metrics::new("default", ["Queued"]));
    let start = Instant::now();
    let asked = Arc::new(AtomicBool::new(false));
    let served = tokio::spawn(serve(stream, asked, Health::new(), metrics));
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(request).await.unwrap();
    timeout(CONNECTION_TIMEOUT * 2, served)
        .await
        .expect("still served")
        .unwrap();
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(1), "the reply did not stall");
    assert!(
        waited <= CONNECTION_TIMEOUT + Duration::from_secs(1),
        "{waited:?}"
    );
}

/// Time stands still here, so the server gives up no silent connection: a probe that waited for
/// that would never get an answer.
#[tokio::test(start_paused = true)]
async fn silent_connections_do_not_keep_the_probes_out() {
    // Paused time moves on by itself, except while a blocking task runs.
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let still = tokio::task::spawn_blocking(move || wait.recv());
    let server = running().await;
    let mut silent = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        silent.push(server.send("GET /livez HTTP/1.1\r\n").await);
    }
    for _ in 0..2 {
        assert_eq!(status(&server.get("/livez").await), "200");
    }
    // The oldest connection was closed; the newest is still open.
    let mut newest = silent.pop().unwrap();
    newest.write_all(b"Host: x\r\n\r\n").await.unwrap();
    assert_eq!(status(&rest_of(newest).await), "200");
    assert_eq!(rest_of(silent.remove(0)).await, "");
    drop(done);
    let _ = still.await;
}

/// A client that sent its request gets an answer, however many clients follow.
#[tokio::test]
async fn a_connection_that_asked_makes_no_room() {
    let mut connections = Connections::default();
    for _ in 0..MOST_CONNECTIONS {
        connections.add(|asked| async move {
            asked.store(true, Ordering::Relaxed);
            std::future::pending().await
        });
        assert!(connections.have_room());
    }
    while connections.have_room() {
        tokio::task::yield_now().await;
    }
    assert_eq!(connections.all.len(), MOST_CONNECTIONS);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_nobody_for_long() {
    let server = running().await;
    let _idle = server.send("GET /livez HTTP/1.1\r\n").await;
    assert_eq!(status(&server.get("/livez").await), "200");
    let start = Instant::now();
    server.stop.send(()).unwrap();
    server.server.await.unwrap();
    assert!(
        start.elapsed() <= DRAIN_TIMEOUT * 2,
        "{:?}",
        start.elapsed()
    );
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_taken_address_is_one_clear_line() {
    let server = running().await;
    let line = Server::bind(server.address).await.unwrap_err().to_string();
    let start = format!(
        "--listen (or PHONEMIG_LISTEN): cannot listen on {}: ",
        server.address
    );
    assert!(line.starts_with(&start), "{line}");
    assert!(
        line.ends_with("free the port or choose another address"),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1);
}
