//! The program and its admin interface, as an outside tool uses them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cams_simulator::{Entry, FaultState, Held, Number, READ_STATUS, Settings, Summary, VERIFIED};
use common::{CODE, ID, KEY, PHONE, Rpc, SECRET, SPACE, exchange, wait_for};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cams-simulator");

struct Program {
    child: Child,
    gateway: SocketAddr,
    admin: SocketAddr,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let account = format!("{KEY}:{SECRET}");
        let mut child = Command::new(PROGRAM)
            .args(["--account", &account])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let urls: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| {
            let url = urls[name].as_str().unwrap();
            url.strip_prefix("http://").unwrap().parse().unwrap()
        };
        Self {
            gateway: address("url"),
            admin: address("adminUrl"),
            child,
        }
    }

    fn admin(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let wire = exchange(self.admin, request.as_bytes());
        (wire.status(), wire.json())
    }

    fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.admin("GET", path, Value::Null);
        assert_eq!(status, 200, "{body}");
        serde_json::from_value(body).unwrap()
    }

    #[track_caller]
    fn order(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, body) = self.admin(method, path, body);
        assert_eq!(status, 200, "{body}");
        body
    }

    fn call(&self, call: &Rpc) -> common::Wire {
        exchange(self.gateway, &call.bytes())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program's stderr when it ends without success, within 10 s.
fn fails(arguments: &[&str]) -> String {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("it runs: {arguments:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(!status.success(), "{arguments:?}");
    let mut text = String::new();
    let mut errors = child.stderr.take().unwrap();
    errors.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn numbers_ledger_and_summary() {
    let program = Program::start(&[]);
    program.order(
        "PUT",
        "/numbers",
        json!({ "phone": PHONE, "code": "1", "id": ID, "custSpaceId": SPACE }),
    );
    program.order(
        "PUT",
        "/numbers",
        json!([{ "phone": "49301", "verified": true }]),
    );
    program.order(
        "PUT",
        &format!("/numbers/{PHONE}/code"),
        json!({ "code": CODE }),
    );
    assert_eq!(program.get::<Vec<Number>>("/numbers").len(), 2);
    assert_eq!(program.call(&Rpc::verify(CODE)).code(), "OK");
    assert!(program.get::<Number>(&format!("/numbers/{PHONE}")).verified);
    let ledger: Vec<Entry> = wait_for(|| {
        let ledger: Vec<Entry> = program.get("/ledger");
        ledger[0].replied_us.is_some().then_some(ledger)
    });
    assert_eq!((ledger.len(), ledger[0].code.as_deref()), (1, Some(CODE)));
    assert_eq!(program.get::<Vec<Entry>>("/ledger?since=1"), []);
    let summary: Summary = program.get("/summary");
    assert_eq!(
        (
            summary.action(VERIFIED).counts.accepted,
            summary.max_executed_per_code
        ),
        (1, 1)
    );
    program.order("DELETE", "/ledger", Value::Null);
    assert_eq!(program.get::<Vec<Entry>>("/ledger"), []);
    program.order("DELETE", "/numbers/49301", Value::Null);
    assert_eq!(program.admin("GET", "/numbers/49301", Value::Null).0, 404);
}

#[test]
fn settings_are_merged_and_checked() {
    let program = Program::start(&[
        "--quota",
        "7",
        "--quota-kind",
        "bucket",
        "--processing-ms",
        "3",
        "--jitter-ms",
        "2",
        "--timestamp-window",
        "off",
        "--nonce-retention",
        "60",
        "--read-qps",
        "4",
    ]);
    let before: Settings = program.get("/settings");
    assert_eq!(
        (before.quota.limit, before.processing_ms, before.jitter_ms),
        (7, 3, 2)
    );
    assert_eq!(
        (before.timestamp_past_ms, before.nonce_retention_ms),
        (None, 60_000)
    );
    assert_eq!(before.quota_of(READ_STATUS).limit, 4);
    program.order(
        "PATCH",
        "/settings",
        json!({
            "quota": { "limit": 5 }, "clockOffsetMs": -1000,
            "refusals": { "wrongCode": { "status": 400, "code": "136025" } },
        }),
    );
    let mut expected = before;
    expected.quota.limit = 5;
    expected.clock_offset_ms = -1000;
    expected.refusals.wrong_code.status = 400;
    expected.refusals.wrong_code.code = "136025".to_owned();
    assert_eq!(program.get::<Settings>("/settings"), expected);
    for (patch, status) in [
        (json!({ "checks": ["quota"] }), 422),
        (json!({ "quotta": {} }), 400),
        (json!({ "quota": { "kind": "hourly" } }), 400),
    ] {
        assert_eq!(
            program.admin("PATCH", "/settings", patch.clone()).0,
            status,
            "{patch}"
        );
    }
    assert_eq!(program.get::<Settings>("/settings"), expected);
}

#[test]
fn faults_and_keys() {
    let program = Program::start(&[]);
    program.order(
        "PUT",
        "/numbers",
        json!({ "phone": PHONE, "code": CODE, "id": ID }),
    );
    let rule = json!({
        "fault": { "kind": "answer", "at": "counted", "answer": { "is": "html", "status": 502 } },
        "action": VERIFIED, "times": 1,
    });
    let id = program.order("POST", "/faults", rule)["id"]
        .as_u64()
        .unwrap();
    assert_eq!(program.call(&Rpc::verify(CODE)).status(), 502);
    let faults: Vec<FaultState> = program.get("/faults");
    assert_eq!((faults[0].id, faults[0].hits), (id, 1));
    program.order("DELETE", &format!("/faults/{id}"), Value::Null);
    assert_eq!(
        program
            .admin("DELETE", &format!("/faults/{id}"), Value::Null)
            .0,
        404
    );
    for (rule, status) in [
        (
            json!({ "fault": { "kind": "gate", "at": "accepted" } }),
            422,
        ),
        (json!({ "fault": { "kind": "unheardOf" } }), 400),
    ] {
        assert_eq!(program.admin("POST", "/faults", rule).0, status);
    }
    program.order(
        "PUT",
        "/keys",
        json!({ "id": "two", "secret": "s2", "account": KEY }),
    );
    let two = || {
        program
            .call(&Rpc::read().with("AccessKeyId", "two").secret("s2"))
            .code()
    };
    assert_eq!(two(), "OK");
    program.order("PATCH", "/keys/two", json!({ "state": "disabled" }));
    assert_eq!(two(), "Forbidden.AccessKeyDisabled");
    program.order("DELETE", "/keys/two", Value::Null);
    assert_eq!(two(), "InvalidAccessKeyId.NotFound");
    assert_eq!(
        program.admin("GET", "/keys", Value::Null).0,
        404,
        "keys are never given"
    );
    assert_eq!(program.admin("GET", "/nothing", Value::Null).0, 404);
}

#[test]
fn gates_are_long_polled_and_released() {
    let program = Program::start(&[]);
    program.order(
        "PUT",
        "/numbers",
        json!({ "phone": PHONE, "code": CODE, "id": ID }),
    );
    program.order(
        "POST",
        "/faults",
        json!({ "fault": { "kind": "gate", "at": "executed" } }),
    );
    assert_eq!(program.get::<Vec<Held>>("/held?timeout=10"), []);
    for how in ["continue", "close"] {
        let (gateway, bytes) = (program.gateway, Rpc::verify(CODE).bytes());
        let client = std::thread::spawn(move || exchange(gateway, &bytes));
        let held: Vec<Held> = program.get("/held?timeout=10000");
        let release = format!("/held/{}/release", held[0].id);
        program.order("POST", &release, json!({ "how": how }));
        assert_eq!(client.join().unwrap().bytes.is_empty(), how == "close");
        assert_eq!(
            program.admin("POST", &release, json!({ "how": how })).0,
            404
        );
    }
    let all = program.order("POST", "/held/release", json!({ "how": "continue" }));
    assert_eq!(all, json!({ "released": 0 }));
}

#[test]
fn the_program_stops_cleanly_and_says_what_is_wrong() {
    let mut program = Program::start(&[]);
    let pid = program.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(program.child.wait().unwrap().success());

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("numbers.json");
    std::fs::write(&file, json!([{ "phone": PHONE, "code": CODE }]).to_string()).unwrap();
    let file = file.to_str().unwrap();
    let program = Program::start(&["--numbers", file]);
    assert_eq!(program.get::<Vec<Number>>("/numbers").len(), 1);

    for (arguments, says) in [
        (
            &["--account", "a:SECRET-CANARY", "--listen", "0.0.0.0:0"][..],
            "loopback only",
        ),
        (
            &["--account", "a:SECRET-CANARY", "--numbers", "/nonexistent"],
            "cannot read",
        ),
        (&["--account", "SECRET-CANARY"], "ID:SECRET"),
        (&[], "--account"),
    ] {
        let text = fails(arguments);
        assert!(text.contains(says), "{text}");
        assert!(!text.contains("CANARY"), "{text}");
    }
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("POST   /held/{id}/release")
    );
}
