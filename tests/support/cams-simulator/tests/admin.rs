//! The program and its admin interface, as an outside tool uses them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cams_simulator::{Entry, FaultState, Number, Settings, Summary, VERIFIED};
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
        json!({ "phone": PHONE, "code": CODE, "id": ID, "custSpaceId": SPACE }),
    );
    program.order(
        "PUT",
        "/numbers",
        json!([{ "phone": "49301", "verified": true }]),
    );
    assert_eq!(program.call(&Rpc::verify(CODE)).code(), "OK");
    let numbers: Vec<Number> = program.get("/numbers");
    assert_eq!(numbers.len(), 2);
    assert!(numbers.iter().all(|number| number.verified));
    let ledger: Vec<Entry> = wait_for(|| {
        let ledger: Vec<Entry> = program.get("/ledger");
        ledger[0].replied_us.is_some().then_some(ledger)
    });
    assert_eq!((ledger.len(), ledger[0].code.as_deref()), (1, Some(CODE)));
    assert_eq!(program.get::<Vec<Entry>>("/ledger?since=1"), []);
    let summary: Summary = program.get("/summary");
    let executed = (
        summary.action(VERIFIED).counts.accepted,
        summary.max_executed_per_code,
    );
    assert_eq!(executed, (1, 1));
    for path in ["/keys", "/nothing"] {
        assert_eq!(program.admin("GET", path, Value::Null).0, 404, "{path}");
    }
}

#[test]
fn settings_and_faults_are_checked() {
    let program = Program::start(&["--quota", "7"]);
    let mut expected: Settings = program.get("/settings");
    assert_eq!(expected.quota.limit, 7);
    let patch = json!({ "quota": { "limit": 5 }, "throttle": { "status": 429, "code": "busy" } });
    program.order("PATCH", "/settings", patch);
    expected.quota.limit = 5;
    expected.throttle.status = 429;
    expected.throttle.code = "busy".to_owned();
    let rule = json!({
        "fault": { "kind": "answer", "at": "counted", "answer": { "is": "html", "status": 502 } },
        "action": VERIFIED, "times": 1,
    });
    let id = program.order("POST", "/faults", rule)["id"].clone();
    for (method, path, body, status) in [
        ("PATCH", "/settings", json!({ "checks": ["quota"] }), 422),
        ("PATCH", "/settings", json!({ "quotta": {} }), 400),
        (
            "POST",
            "/faults",
            json!({ "fault": { "kind": "maskPhone" }, "probability": 2 }),
            422,
        ),
        (
            "POST",
            "/faults",
            json!({ "fault": { "kind": "unheardOf" } }),
            400,
        ),
    ] {
        let answer = program.admin(method, path, body.clone());
        assert_eq!(answer.0, status, "{method} {path} {body}");
    }
    assert_eq!(program.get::<Settings>("/settings"), expected);
    assert_eq!(program.call(&Rpc::verify(CODE)).status(), 502);
    let faults: Vec<FaultState> = program.get("/faults");
    assert_eq!((json!(faults[0].id), faults[0].hits), (id.clone(), 1));
    program.order("DELETE", &format!("/faults/{id}"), Value::Null);
    assert_eq!(program.get::<Vec<FaultState>>("/faults"), []);
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
            .contains("POST   /faults")
    );
}
