//! The metadata service of an instance: the key of its role, in hardened mode only.
//!
//! A client first gets a token, with the life that it asks for. With the token it reads the name of
//! the role and its key. The key is the same until half of its life is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::clock::http_date;
use crate::config::AccessKey;
use crate::http::{Connection, Request};
use crate::reply::{Body, Reply};
use crate::rng::uuid;
use crate::state::{Shared, State};
use crate::sts::rfc3339;

const ROLES: &str = "/latest/meta-data/ram/security-credentials/";

/// The service's memory.
#[derive(Debug, Default)]
pub struct Metadata {
    /// ARN of the instance's role.
    pub role: Option<String>,
    tokens: BTreeMap<String, Timestamp>,
    key: Option<AccessKey>,
    /// Requests that were answered, by path.
    pub answered: Vec<String>,
}

/// Serves a connection to its end.
pub async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let mut wire = Connection::new(stream);
    while let Ok(Some(request)) = wire.read(None).await {
        let now = shared.clock.wall();
        let (status, body) = answer(&mut shared.lock(), &request, now);
        let reply = Reply {
            status,
            headers: vec![("Date", http_date(now))],
            body: Body::Bytes(body.into_bytes()),
            code: None,
        };
        if wire.write(&reply, true, None).await.is_err() {
            break;
        }
    }
    wire.close().await;
}

fn answer(state: &mut State, request: &Request, now: Timestamp) -> (u16, String) {
    state.metadata.answered.push(request.path.clone());
    if (request.method.as_str(), request.path.as_str()) == ("PUT", "/latest/api/token") {
        return token(state, request, now);
    }
    let shown = request
        .header("x-aliyun-ecs-metadata-token")
        .unwrap_or_default();
    let good = state
        .metadata
        .tokens
        .get(shown)
        .is_some_and(|end| *end > now);
    if !good {
        return (403, "Forbidden".to_owned());
    }
    let role = state.metadata.role.clone();
    let role = role.and_then(|arn| state.sts.roles.get(&arn).cloned());
    match (request.path.strip_prefix(ROLES), role) {
        (Some(""), Some(role)) => (200, role.name().to_owned()),
        (Some(name), Some(role)) if name == role.name() => {
            let half = |key: &AccessKey| {
                let left = key.expires_at.map(|end| end.duration_since(now));
                left.is_some_and(|left| left * 2 > role.life())
            };
            let kept = state.metadata.key.take().filter(half);
            let key =
                kept.unwrap_or_else(|| role.key("i-instance", &role.allowed, now, &mut state.ids));
            let body = key_body(&key);
            state.keys.insert(key.id.clone(), key.clone());
            state.metadata.key = Some(key);
            (200, body.to_string())
        }
        (Some(_) | None, Some(_) | None) => (404, "Not Found".to_owned()),
    }
}

fn token(state: &mut State, request: &Request, now: Timestamp) -> (u16, String) {
    let ttl = request.header("x-aliyun-ecs-metadata-token-ttl-seconds");
    let ttl = ttl.and_then(|ttl| ttl.parse().ok());
    match ttl.filter(|ttl| (1..=21_600).contains(ttl)) {
        Some(ttl) => {
            let token = uuid(&mut state.ids);
            let end = now
                .checked_add(SignedDuration::from_secs(ttl))
                .unwrap_or(now);
            state.metadata.tokens.insert(token.clone(), end);
            (200, token)
        }
        None => (400, "Bad Request".to_owned()),
    }
}

fn key_body(key: &AccessKey) -> Value {
    json!({
        "Code": "Success",
        "AccessKeyId": key.id,
        "AccessKeySecret": key.secret,
        "SecurityToken": key.token,
        "Expiration": key.expires_at.map(rfc3339),
        "LastUpdated": key.expires_at.map(rfc3339),
    })
}
