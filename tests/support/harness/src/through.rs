//! Operators that reach the API server through a fault proxy.

use std::fs;

use fault_proxy::{FaultProxy, Upstream, When};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::operator::Operator;
use crate::world::World;

/// Status writes whose attempt is open: the claim of `name`.
pub fn claim_of(name: &str) -> When {
    status_write(name).body("claim", |object| {
        let attempt = &object["status"]["attempt"];
        attempt["id"].is_string() && attempt["outcome"].is_null()
    })
}

/// Status writes whose attempt has an outcome: the record of `name`, or a release.
pub fn outcome_of(name: &str) -> When {
    status_write(name).body("outcome", |object: &Value| {
        object["status"]["attempt"]["outcome"].is_string()
    })
}

fn status_write(name: &str) -> When {
    When::update("phonemigrations/status").name(name)
}

impl World {
    /// A proxy in front of this world's API server. What it sees and does is in this world's
    /// log. There may be several, for several operators.
    ///
    /// # Errors
    /// When it cannot be started.
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
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn operator_via(&self, proxy: &FaultProxy, extra: &[&str]) -> Result<Operator> {
        let mut operator = Operator::spawn(&self.launch_via(&proxy.url(), extra)?)?;
        operator.ready().await?;
        Ok(operator)
    }
}
