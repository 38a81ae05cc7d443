//! The judge: Alibaba Cloud's own SDK core for Go against the simulator, with both signatures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use cams_simulator::{
    AccessKey, AccountSettings, Algorithm, Fault, FaultRule, Quota, Settings, Simulator, Stage,
};
use common::{CODE, ID, KEY, PHONE, SECRET, SPACE, simulator};
use go_build::{Programs, required_version};
use serde_json::{Value, json};

/// The program in `tests/sdk`; its `main.go` says what it reads and prints.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    let of = "github.com/alibabacloud-go/darabonba-openapi/v2";
    let dir = required_version(&module, of).and_then(|version| {
        let programs = Programs {
            module: &module,
            cache: "sdk",
            version: &version,
            packages: &["."],
            programs: &["sdk"],
            sources: &["go.mod", "go.sum", "main.go"],
            linker_flags: "-s -w",
            tags: "",
            takes: "about 15 s on two cores",
            otherwise: "",
        };
        programs.ensure()
    });
    dir.unwrap_or_else(|why| panic!("{why}")).join("sdk")
});

struct Sdk {
    child: Child,
    orders: ChildStdin,
    results: BufReader<ChildStdout>,
}

impl Sdk {
    fn start() -> Self {
        let mut child = Command::new(&*PROGRAM)
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            orders: child.stdin.take().unwrap(),
            results: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn call(&mut self, order: &Value) -> Value {
        writeln!(self.orders, "{order}").unwrap();
        let mut line = String::new();
        self.results.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the SDK's program died: {order}"))
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A simulator, and how to call it: the signature, and the SDK's own name of it.
struct Case {
    sdk: Sdk,
    simulator: Simulator,
    signature: Algorithm,
    name: &'static str,
}

impl Case {
    /// Runs a case with each signature.
    fn each(case: impl Fn(Self)) {
        for (name, signature) in [("v3", Algorithm::V3), ("v2", Algorithm::V1)] {
            case(Self {
                sdk: Sdk::start(),
                simulator: simulator(),
                signature,
                name,
            });
        }
    }

    fn order(&self, action: &str, params: Value) -> Value {
        let mut all = json!({ "CustSpaceId": SPACE, "PhoneNumber": PHONE });
        for (name, value) in params.as_object().unwrap() {
            all[name] = value.clone();
        }
        json!({
            "url": self.simulator.url(), "algorithm": self.name, "key": KEY, "secret": SECRET,
            "action": action, "params": all,
        })
    }

    fn verification(&self, code: &str) -> Value {
        self.order("verified", json!({ "VerifyCode": code }))
    }

    fn verify(&mut self, code: &str) -> Value {
        let order = self.verification(code);
        self.sdk.call(&order)
    }

    fn read(&mut self) -> Value {
        let order = self.order("status", json!({}));
        self.sdk.call(&order)
    }
}

#[test]
fn accepts_and_refuses_with_both_signatures() {
    Case::each(|mut case| {
        let wrong = case.verify("000000");
        assert_eq!(wrong["ok"], true, "a refusal in HTTP 200: {wrong}");
        assert_eq!(wrong["body"]["Code"], "VerifyCode.Mismatch");
        let shown = |reply: &Value| reply["body"]["Data"]["CodeVerificationStatus"].clone();
        assert_eq!(shown(&case.read()), "NOT_VERIFIED");

        let right = case.verify(CODE);
        assert_eq!(right["status"], 200);
        assert_eq!(right["body"]["Code"], "OK");
        let data = json!({ "Id": ID, "PhoneNumber": PHONE });
        assert_eq!(right["body"]["Data"], data);
        let after = case.read();
        assert_eq!(shown(&after), "VERIFIED");
        assert_eq!(after["body"]["Data"]["Id"], ID);

        let ledger = case.simulator.ledger();
        assert_eq!(ledger.len(), 4, "one request for each call, no retries");
        for entry in &ledger {
            let how = (entry.algorithm, entry.signature_ok);
            assert_eq!(how, (case.signature, Some(true)));
        }
        assert_eq!(right["body"]["RequestId"], ledger[2].request_id);
    });
}

#[test]
fn sts_credentials_need_their_token() {
    Case::each(|mut case| {
        let token = "CAISexample/AbC+d/EfG==/hij kl&m";
        let key = AccessKey::new("STS.id", "stssecret").with_token(token);
        case.simulator.add_key(key);
        let mut order = case.verification(CODE);
        order["key"] = json!("STS.id");
        order["secret"] = json!("stssecret");
        let without = case.sdk.call(&order);
        assert_eq!(without["code"], "MissingSecurityToken", "{without}");
        order["token"] = json!("other");
        let mismatch = "InvalidSecurityToken.MismatchWithAccessKey";
        assert_eq!(case.sdk.call(&order)["code"], mismatch);
        order["token"] = json!(token);
        assert_eq!(case.sdk.call(&order)["body"]["Code"], "OK");
    });
}

#[test]
fn a_wrong_signature_is_a_client_error_that_echoes_the_code() {
    Case::each(|mut case| {
        let mut forged = case.verification(CODE);
        forged["secret"] = json!("wrong");
        let result = case.sdk.call(&forged);
        assert_eq!(result["error"], "ClientError", "{result}");
        assert_eq!(result["status"], 400);
        assert_eq!(result["code"], "SignatureDoesNotMatch");
        let message = result["message"].as_str().unwrap();
        assert!(message.contains(CODE), "{message}");
        assert!(result["requestId"].is_string());
        assert_eq!(case.simulator.summary().total.executed, 0);
    });
}

#[test]
fn a_throttle_is_a_throttling_error() {
    Case::each(|mut case| {
        let one_a_minute = Quota {
            window_ms: 60_000,
            ..Quota::rolling(1)
        };
        case.simulator.set_quota(None, one_a_minute);
        assert_eq!(case.read()["ok"], true);
        let result = case.read();
        assert_eq!(result["error"], "ThrottlingError", "{result}");
        assert_eq!(result["code"], "Throttling.User");
        let calls = case.simulator.ledger().len();
        assert_eq!(calls, 2, "the SDK does not retry");
    });
}

#[test]
fn a_denial_and_server_errors_are_the_sdks_errors() {
    Case::each(|mut case| {
        let account = AccountSettings {
            denied: [("*".to_owned(), AccountSettings::ram_denial())].into(),
            ..AccountSettings::default()
        };
        let deny = |settings: &mut Settings| {
            settings.accounts.insert(KEY.to_owned(), account);
        };
        case.simulator.change_settings(deny).unwrap();
        let result = case.verify(CODE);
        assert_eq!(result["error"], "ClientError", "{result}");
        assert_eq!(result["code"], "Ram.PermissionDeny");
        let action = &result["accessDenied"]["AuthAction"];
        assert_eq!(*action, "cams:ChatappMigrationVerified");
        let allow = |settings: &mut Settings| settings.accounts.clear();
        case.simulator.change_settings(allow).unwrap();
        let at = Stage::Counted;
        for (fault, code) in [
            (Fault::internal_error(at), "InternalError"),
            (Fault::service_unavailable(at), "ServiceUnavailable"),
        ] {
            let rule = FaultRule::new(fault).once();
            case.simulator.add_fault(rule).unwrap();
            let result = case.verify(CODE);
            assert_eq!(result["error"], "ServerError", "{result}");
            assert_eq!(result["code"], code);
        }
        let calls = case.simulator.ledger().len();
        assert_eq!(calls, 3, "the SDK does not retry");
        assert_eq!(case.simulator.summary().total.executed, 0);
    });
}

#[test]
fn the_whole_migration_runs_through_the_sdk() {
    Case::each(|mut case| {
        let phone = "8613900001234";
        let call = |case: &mut Case, action, params: Value| {
            let mut order = case.order(action, params);
            order["params"]["PhoneNumber"] = json!(phone);
            case.sdk.call(&order)["body"].clone()
        };
        let number = json!({ "CountryCode": "86", "MobileNumber": "13900001234" });
        let begun = call(&mut case, "initiate", number);
        assert_eq!(begun["Data"]["Status"], "MIGRATING", "{begun}");
        let early = call(&mut case, "register", json!({}));
        assert_eq!(early["Code"], "PhoneNumber.NotVerified");
        let sent = call(
            &mut case,
            "getCode",
            json!({ "Locale": "zh_CN", "Method": "sms" }),
        );
        assert_eq!(sent["Code"], "OK", "{sent}");
        let code = case.simulator.number(phone).unwrap().code;
        let verified = call(&mut case, "verified", json!({ "VerifyCode": code }));
        assert_eq!(verified["Data"]["Id"], format!("8{phone}"));
        let registered = call(&mut case, "register", json!({}));
        assert_eq!(registered["Code"], "OK", "{registered}");
        assert_eq!(registered.get("Data"), None, "Register has no Data");
    });
}
