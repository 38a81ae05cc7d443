//! Operators that reach the API server through a fault proxy.

use std::fs;

use fault_proxy::{FaultProxy, Upstream, When};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::operator::Operator;
use crate::world::World;

/// Writes of a number's CodeLedger whose newest entry is open and of `name`: its claim.
pub fn claim_of(name: &str) -> When {
    ledger_write(name, "claim", |newest| newest["outcome"].is_null())
}

/// Writes of a number's CodeLedger whose newest entry is of `name` and has an outcome: the record
/// of its attempt, or a release.
pub fn outcome_of(name: &str) -> When {
    ledger_write(name, "outcome", |newest| newest["outcome"].is_string())
}

/// Status writes that show the end of an attempt of `name`.
pub fn shown_of(name: &str) -> When {
    status_write(name).body("shown outcome", |object: &Value| {
        object["status"]["attempt"]["outcome"].is_string()
    })
}

fn ledger_write(
    name: &str,
    what: &str,
    holds: impl Fn(&Value) -> bool + Send + Sync + 'static,
) -> When {
    let name = name.to_owned();
    When::any()
        .resource("codeledgers")
        .body(what, move |ledger: &Value| {
            let newest = &ledger["entries"][0];
            newest["migration"]["name"] == name.as_str() && holds(newest)
        })
}

fn status_write(name: &str) -> When {
    When::update("phonemigrations/status").name(name)
}

impl World {
    /// A proxy in front of this world's API server. Its requests and hits are in this world's log.
    /// There may be several, for several operators.
    pub async fn proxy(&self) -> Result<FaultProxy> {
        let control = &self.plane.control;
        let (cert, key) = control.serving_certificate();
        let upstream = Upstream {
            url: control.url(),
            ca_pem: control.ca_pem().to_owned(),
            cert_pem: fs::read_to_string(cert).map_err(Error::at("certificate"))?,
            key_pem: fs::read_to_string(key).map_err(Error::at("key"))?,
        };
        let proxy = FaultProxy::start(upstream)
            .await
            .map_err(Error::at("fault proxy"))?;
        self.events.add(proxy.log());
        Ok(proxy)
    }

    /// Starts an operator that reaches the API server through `proxy` only, and waits until it
    /// is ready.
    pub async fn operator_via(&self, proxy: &FaultProxy, extra: &[&str]) -> Result<Operator> {
        let mut operator = Operator::spawn(&self.launch_via(&proxy.url(), extra)?)?;
        operator.ready().await?;
        Ok(operator)
    }
}
