//! The judge: Alibaba Cloud's own SDK core for Go against the simulator, with both signatures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use cams_simulator::{
    AccessKey, AccountSettings, Algorithm, Fault, FaultRule, Quota, Refusal, Simulator, Stage,
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

fn order(simulator: &Simulator, algorithm: &str, action: &str, params: Value) -> Value {
    let mut all = json!({ "CustSpaceId": SPACE, "PhoneNumber": PHONE });
    for (name, value) in params.as_object().unwrap() {
        all[name] = value.clone();
    }
    json!({
        "url": simulator.url(), "algorithm": algorithm, "key": KEY, "secret": SECRET,
        "action": action, "params": all,
    })
}

#[test]
fn accepts_and_refuses_with_both_signatures() {
    let mut sdk = Sdk::start();
    for (algorithm, signed) in [("v3", Algorithm::V3), ("v2", Algorithm::V1)] {
        let simulator = simulator();
        let verified = |code| {
            order(
                &simulator,
                algorithm,
                "verified",
                json!({ "VerifyCode": code }),
            )
        };
        let status = order(&simulator, algorithm, "status", json!({}));

        let wrong = sdk.call(&verified("000000"));
        assert_eq!(
            wrong["ok"],
            json!(true),
            "a refusal in HTTP 200 is a value: {wrong}"
        );
        assert_eq!(wrong["body"]["Code"], json!("VerifyCode.Mismatch"));
        let before = sdk.call(&status);
        assert_eq!(
            before["body"]["Data"]["CodeVerificationStatus"],
            json!("NOT_VERIFIED")
        );

        let right = sdk.call(&verified(CODE));
        assert_eq!(right["status"], json!(200));
        assert_eq!(right["body"]["Code"], json!("OK"));
        assert_eq!(
            right["body"]["Data"],
            json!({ "Id": ID, "PhoneNumber": PHONE })
        );
        let after = sdk.call(&status);
        assert_eq!(
            after["body"]["Data"]["CodeVerificationStatus"],
            json!("VERIFIED")
        );
        assert_eq!(after["body"]["Data"]["Id"], json!(ID));

        let ledger = simulator.ledger();
        assert_eq!(ledger.len(), 4, "one request for each call, no retries");
        for entry in &ledger {
            assert_eq!((entry.algorithm, entry.signature_ok), (signed, Some(true)));
        }
        assert_eq!(
            ledger[2].request_id,
            right["body"]["RequestId"].as_str().unwrap()
        );
    }
}

#[test]
fn sts_credentials_need_their_token() {
    let mut sdk = Sdk::start();
    for algorithm in ["v3", "v2"] {
        let simulator = simulator();
        let token = "CAISexample/AbC+d/EfG==/hij kl&m";
        simulator.add_key(AccessKey::new("STS.id", "stssecret").with_token(token));
        let mut call = order(
            &simulator,
            algorithm,
            "verified",
            json!({ "VerifyCode": CODE }),
        );
        call["key"] = json!("STS.id");
        call["secret"] = json!("stssecret");
        let without = sdk.call(&call);
        assert_eq!(without["code"], json!("MissingSecurityToken"), "{without}");
        call["token"] = json!("other");
        let other = sdk.call(&call);
        assert_eq!(
            other["code"],
            json!("InvalidSecurityToken.MismatchWithAccessKey")
        );
        call["token"] = json!(token);
        assert_eq!(sdk.call(&call)["body"]["Code"], json!("OK"));
    }
}

#[test]
fn a_wrong_signature_is_a_client_error_that_echoes_the_code() {
    let mut sdk = Sdk::start();
    for algorithm in ["v3", "v2"] {
        let simulator = simulator();
        let mut forged = order(
            &simulator,
            algorithm,
            "verified",
            json!({ "VerifyCode": CODE }),
        );
        forged["secret"] = json!("wrong");
        let result = sdk.call(&forged);
        assert_eq!(result["error"], json!("ClientError"), "{result}");
        assert_eq!(result["status"], json!(400));
        assert_eq!(result["code"], json!("SignatureDoesNotMatch"));
        let message = result["message"].as_str().unwrap();
        assert!(message.contains(CODE), "{message}");
        assert!(result["requestId"].is_string());
        assert_eq!(simulator.summary().total.executed, 0);
    }
}

#[test]
fn a_throttle_is_a_throttling_error() {
    let mut sdk = Sdk::start();
    for algorithm in ["v3", "v2"] {
        let simulator = simulator();
        let refusal = Refusal::new(400, "Throttling.User", "flow control");
        simulator
            .change_settings(|settings| settings.throttle = refusal)
            .unwrap();
        let one_a_minute = Quota {
            window_ms: 60_000,
            ..Quota::rolling(1)
        };
        simulator.set_quota(None, one_a_minute);
        let status = order(&simulator, algorithm, "status", json!({}));
        assert_eq!(sdk.call(&status)["ok"], json!(true));
        let result = sdk.call(&status);
        assert_eq!(result["error"], json!("ThrottlingError"), "{result}");
        assert_eq!(result["code"], json!("Throttling.User"));
        assert_eq!(simulator.ledger().len(), 2, "the SDK does not retry");
    }
}

#[test]
fn a_denial_and_server_errors_are_the_sdks_errors() {
    let mut sdk = Sdk::start();
    for algorithm in ["v3", "v2"] {
        let simulator = simulator();
        let verified = order(
            &simulator,
            algorithm,
            "verified",
            json!({ "VerifyCode": CODE }),
        );
        let account = AccountSettings {
            denied: [("*".to_owned(), AccountSettings::ram_denial())].into(),
        };
        simulator
            .change_settings(|settings| drop(settings.accounts.insert(KEY.to_owned(), account)))
            .unwrap();
        let result = sdk.call(&verified);
        assert_eq!(result["error"], json!("ClientError"), "{result}");
        assert_eq!(result["code"], json!("Ram.PermissionDeny"));
        let action = &result["accessDenied"]["AuthAction"];
        assert_eq!(*action, json!("cams:ChatappMigrationVerified"));
        simulator
            .change_settings(|settings| settings.accounts.clear())
            .unwrap();
        for (fault, code) in [
            (Fault::internal_error(Stage::Counted), "InternalError"),
            (
                Fault::service_unavailable(Stage::Counted),
                "ServiceUnavailable",
            ),
        ] {
            simulator.add_fault(FaultRule::new(fault).once()).unwrap();
            let result = sdk.call(&verified);
            assert_eq!(result["error"], json!("ServerError"), "{result}");
            assert_eq!(result["code"], json!(code));
        }
        assert_eq!(simulator.ledger().len(), 3, "the SDK does not retry");
        assert_eq!(simulator.summary().total.executed, 0);
    }
}
