//! The program and its admin interface, as an outside tool uses them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cams_simulator::{
    Entry, FaultState, Held, Number, Quota, QuotaKind, READ_STATUS, Settings, Summary, VERIFIED,
};
use common::{CODE, ID, KEY, PHONE, Rpc, SECRET, SPACE, exchange, wait_for};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cams-simulator");

struct Program {
    child: Child,
    gateway: SocketAddr,
    admin: SocketAddr,
}

impl Program {
    fn start(arguments: &str) -> Self {
        let account = format!("{KEY}:{SECRET}");
        let mut child = Command::new(PROGRAM)
            .args(["--account", &account])
            .args(arguments.split_whitespace())
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
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let wire = exchange(self.admin, request.as_bytes());
        (wire.status(), wire.json())
    }

    fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        serde_json::from_value(self.order("GET", path, Value::Null)).unwrap()
    }

    #[track_caller]
    fn order(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, body) = self.admin(method, path, body);
        assert_eq!(status, 200, "{body}");
        body
    }

    #[track_caller]
    fn delete(&self, path: &str) {
        self.order("DELETE", path, Value::Null);
    }

    #[track_caller]
    fn is_refused(&self, status: u16, method: &str, path: &str, body: Value) {
        let (got, answer) = self.admin(method, path, body.clone());
        assert_eq!(got, status, "{path} {body}: {answer}");
    }

    /// A number with this code.
    fn put_number(&self, code: &str) {
        let number = json!({ "phone": PHONE, "code": code, "id": ID, "custSpaceId": SPACE });
        self.order("PUT", "/numbers", number);
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
fn fails(arguments: &str) -> String {
    let mut child = Command::new(PROGRAM)
        .args(arguments.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("it runs: {arguments}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success(), "{arguments}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn numbers_ledger_and_summary() {
    let program = Program::start("");
    program.put_number("1");
    let verified = json!([{ "phone": "49301", "verified": true }]);
    program.order("PUT", "/numbers", verified);
    let number = format!("/numbers/{PHONE}");
    program.order("PUT", &format!("{number}/code"), json!({ "code": CODE }));
    assert_eq!(program.get::<Vec<Number>>("/numbers").len(), 2);
    assert_eq!(program.call(&Rpc::verify(CODE)).code(), "OK");
    assert!(program.get::<Number>(&number).verified);
    let ledger: Vec<Entry> = wait_for(|| {
        let ledger: Vec<Entry> = program.get("/ledger");
        ledger[0].replied_us.is_some().then_some(ledger)
    });
    assert_eq!((ledger.len(), ledger[0].code.as_deref()), (1, Some(CODE)));
    assert_eq!(program.get::<Vec<Entry>>("/ledger?since=1"), []);
    let summary: Summary = program.get("/summary");
    assert_eq!(summary.action(VERIFIED).counts.accepted, 1);
    assert_eq!(summary.max_executed_per_code, 1);
    program.delete("/ledger");
    assert_eq!(program.get::<Vec<Entry>>("/ledger"), []);
    program.delete("/numbers/49301");
    program.is_refused(404, "GET", "/numbers/49301", Value::Null);
}

#[test]
fn settings_are_merged_and_checked() {
    let program = Program::start(
        "--quota 7 --quota-kind bucket --processing-ms 3 --jitter-ms 2 \
         --timestamp-window off --nonce-retention 60 --read-qps 4",
    );
    let before: Settings = program.get("/settings");
    assert_eq!(before.quota, Quota::rolling(7).of_kind(QuotaKind::Bucket));
    assert_eq!((before.processing_ms, before.jitter_ms), (3, 2));
    assert_eq!(before.timestamp_past_ms, None);
    assert_eq!(before.nonce_retention_ms, 60_000);
    assert_eq!(before.quota_of(READ_STATUS).limit, 4);
    let patch = json!({
        "quota": { "limit": 5 }, "clockOffsetMs": -1000,
        "refusals": { "wrongCode": { "status": 400, "code": "136025" } },
    });
    program.order("PATCH", "/settings", patch);
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
        program.is_refused(status, "PATCH", "/settings", patch);
    }
    assert_eq!(program.get::<Settings>("/settings"), expected);
}

#[test]
fn faults_and_keys() {
    let program = Program::start("");
    program.put_number(CODE);
    let rule = json!({
        "fault": { "kind": "answer", "at": "counted", "answer": { "is": "html", "status": 502 } },
        "action": VERIFIED, "times": 1,
    });
    let id = program.order("POST", "/faults", rule)["id"].clone();
    assert_eq!(program.call(&Rpc::verify(CODE)).status(), 502);
    let faults: Vec<FaultState> = program.get("/faults");
    assert_eq!((json!(faults[0].id), faults[0].hits), (id.clone(), 1));
    program.delete(&format!("/faults/{id}"));
    program.is_refused(404, "DELETE", &format!("/faults/{id}"), Value::Null);
    let gate = json!({ "fault": { "kind": "gate", "at": "accepted" } });
    program.is_refused(422, "POST", "/faults", gate);
    let unheard_of = json!({ "fault": { "kind": "unheardOf" } });
    program.is_refused(400, "POST", "/faults", unheard_of);

    let key = json!({ "id": "two", "secret": "s2", "account": KEY });
    program.order("PUT", "/keys", key);
    let call = || Rpc::read().with("AccessKeyId", "two").secret("s2");
    let two = || program.call(&call()).code();
    assert_eq!(two(), "OK");
    program.order("PATCH", "/keys/two", json!({ "state": "disabled" }));
    assert_eq!(two(), "Forbidden.AccessKeyDisabled");
    program.delete("/keys/two");
    assert_eq!(two(), "InvalidAccessKeyId.NotFound");
    // Keys are never given.
    for path in ["/keys", "/nothing"] {
        program.is_refused(404, "GET", path, Value::Null);
    }
}

#[test]
fn gates_are_long_polled_and_released() {
    let program = Program::start("");
    program.put_number(CODE);
    let gate = json!({ "fault": { "kind": "gate", "at": "executed" } });
    program.order("POST", "/faults", gate);
    assert_eq!(program.get::<Vec<Held>>("/held?timeout=10"), []);
    for how in ["continue", "close"] {
        let (gateway, bytes) = (program.gateway, Rpc::verify(CODE).bytes());
        let client = std::thread::spawn(move || exchange(gateway, &bytes));
        let held: Vec<Held> = program.get("/held?timeout=10000");
        let release = format!("/held/{}/release", held[0].id);
        program.order("POST", &release, json!({ "how": how }));
        assert_eq!(client.join().unwrap().bytes.is_empty(), how == "close");
        program.is_refused(404, "POST", &release, json!({ "how": how }));
    }
    let all = program.order("POST", "/held/release", json!({ "how": "continue" }));
    assert_eq!(all, json!({ "released": 0 }));
}

#[test]
fn the_program_stops_cleanly_and_says_what_is_wrong() {
    let mut program = Program::start("");
    let pid = program.child.id().to_string();
    let kill = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(kill.unwrap().success());
    assert!(program.child.wait().unwrap().success());

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("numbers.json");
    std::fs::write(&file, json!([{ "phone": PHONE, "code": CODE }]).to_string()).unwrap();
    let program = Program::start(&format!("--numbers {}", file.display()));
    assert_eq!(program.get::<Vec<Number>>("/numbers").len(), 1);

    for (arguments, says) in [
        ("--account a:CANARY --listen 0.0.0.0:0", "loopback only"),
        ("--account a:CANARY --numbers /nonexistent", "cannot read"),
        ("--account CANARY", "ID:SECRET"),
        ("", "--account"),
    ] {
        let text = fails(arguments);
        assert!(text.contains(says), "{text}");
        assert!(!text.contains("CANARY"), "{text}");
    }
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("POST   /held/{id}/release"), "{help}");
}
