//! The metadata service of an ECS instance: the key of the instance's RAM role, in hardened mode.
//!
//! Plain http to one literal address that only the instance itself reaches, with three requests for
//! a key. The client fetches the token of hardened mode again each time and never keeps it.
//!
//! Danger: every pod of the node that may reach the address gets the same key. So the operator
//! calls the service only if the configuration asks for it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use rustls::ClientConfig;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::reply::{self, Issued};
use crate::cams::ClientError;
use crate::cams::client::resolver::{GuardedResolver, system_lookup};
use crate::cams::client::{faults, one_shot, read_body};
use crate::cams::endpoint::Endpoint;
use crate::cams::wire::parse_http_date;
use crate::clock;
use crate::secret::Secret;
use crate::tls;

/// Deadline of each of the three requests. The service answers at once or not at all.
const DEADLINE: Duration = Duration::from_secs(2);
/// Life of the token, in seconds: two requests use it.
const TOKEN_TTL: &str = "60";
const ROLES: &str = "/latest/meta-data/ram/security-credentials/";

/// Client of the metadata service.
pub struct MetadataClient {
    endpoint: Endpoint,
    tls: ClientConfig,
}

struct Answer {
    now: Timestamp,
    body: Zeroizing<Vec<u8>>,
}

impl MetadataClient {
    /// Builds the client and calls nothing.
    ///
    /// # Errors
    /// If the TLS library refuses its own configuration (which is not used).
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        let tls = tls::client_config(Vec::new())?;
        Ok(Self { endpoint, tls })
    }

    /// The key of this role, or of the role that the instance has.
    ///
    /// # Errors
    /// The reason if there is no key.
    pub async fn key(&self, role: Option<&str>) -> Result<Issued, Fault> {
        let ttl = ("X-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_TTL);
        let token = self.ask(Method::PUT, "/latest/api/token", ttl).await?;
        let token = text(&token.body).ok_or(Fault::NotTheMetadata(200))?;
        let shown = ("X-aliyun-ecs-metadata-token", token.expose());
        let role = match role {
            Some(role) => role.to_owned(),
            None => {
                let roles = self.ask(Method::GET, ROLES, shown).await?;
                let role = text(&roles.body).filter(|role| is_name(role.expose()));
                role.ok_or(Fault::NoInstanceRole)?.expose().to_owned()
            }
        };
        let answer = self
            .ask(Method::GET, &format!("{ROLES}{role}"), shown)
            .await?;
        reply::of_instance(&answer.body, answer.now).ok_or(Fault::NotTheMetadata(200))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        (name, value): (&'static str, &str),
    ) -> Result<Answer, Fault> {
        let lost = |error: reqwest::Error| Fault::NoMetadata(self.lost(&error));
        let resolver = GuardedResolver {
            endpoint: self.endpoint.clone(),
            lookup: system_lookup(),
            lookup_running: Arc::new(AtomicBool::new(false)),
        };
        let client = one_shot(&self.endpoint, self.tls.clone(), resolver)
            .timeout(DEADLINE)
            .build()
            .map_err(lost)?;
        let url = format!("{}{path}", self.endpoint);
        let sent = client.request(method, url).header(name, value).send().await;
        let mut response = sent.map_err(lost)?;
        match response.status().as_u16() {
            200 => {}
            404 => return Err(Fault::NoInstanceRole),
            status => return Err(Fault::NotTheMetadata(status)),
        }
        let date = response.headers().get(http::header::DATE);
        let date = date.and_then(|value| parse_http_date(value.to_str().ok()?));
        let body = read_body(&mut response).await.map_err(lost)?;
        Ok(Answer {
            now: date.unwrap_or_else(|| clock::now().wall),
            body: body.ok_or(Fault::NotTheMetadata(200))?,
        })
    }

    fn lost(&self, error: &reqwest::Error) -> String {
        if error.is_connect() {
            faults::connect_fault(self.endpoint.service(), error).1
        } else if error.is_timeout() {
            format!("no complete reply within {DEADLINE:?}")
        } else {
            faults::exchange_fault(error)
        }
    }
}

/// One line of visible ASCII.
fn text(body: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(body).ok()?.trim_end();
    let visible = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    visible.then(|| Secret::new(text.to_owned()))
}

/// The name becomes a part of a path.
fn is_name(role: &str) -> bool {
    (1..=64).contains(&role.len())
        && role
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
