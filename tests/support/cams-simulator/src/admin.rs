//! The admin interface: JSON over HTTP, the same as the methods of `Simulator`.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::config::{AccessKey, KeyState};
use crate::encoding::parse_form;
use crate::fault::FaultRule;
use crate::held::Release;
use crate::http::{Connection, Request};
use crate::numbers::Number;
use crate::reply::Reply;
use crate::settings::Settings;
use crate::state::Shared;
use crate::sts::{OidcProvider, Role};

/// The routes, as `GET /` and `--help` print them.
pub const ROUTES: &str = "\
GET    /                        these routes
GET    /settings                behaviour
PATCH  /settings                merge into it, e.g. {\"quota\":{\"limit\":5},\"processingMs\":50}
PUT    /keys                    add a key {\"id\",\"secret\",\"account\"?,\"token\"?,\"state\"?}, or an array
PATCH  /keys/{id}               {\"state\":\"active|inactive|disabled|tokenExpired\"}
DELETE /keys/{id}
PUT    /providers               an OIDC provider {\"arn\",\"issuer\",\"clientIds\",\"jwks\"}, or an array
PUT    /roles                   a role {\"arn\",\"allowed\",\"trustsTokens\"?,\"trustsKeys\"?,...}, or an array
GET    /numbers                 all numbers
PUT    /numbers                 add or replace {\"phone\",\"code\",\"id\",\"custSpaceId\"?,\"verified\"?,...}, or an array
GET    /numbers/{phone}
PUT    /numbers/{phone}/code    {\"code\":\"...\",\"expiresAt\"?:\"RFC 3339\"}
DELETE /numbers/{phone}
GET    /ledger[?since=SEQ]      every request received after SEQ
DELETE /ledger                  forget them
GET    /summary                 the figures
GET    /faults                  rules in force, with hits
POST   /faults                  add a rule, e.g. {\"fault\":{\"kind\":\"drop\",\"at\":\"executed\",\"how\":\"close\"},\"action\":\"ChatappMigrationVerified\",\"times\":1}
DELETE /faults                  all, or /faults/{id}
GET    /held[?timeout=MS]       requests that a gate holds; waits for the first one
POST   /held/{id}/release       {\"how\":\"continue|close|reset|blackhole\"}; /held/release for all
";

/// Longest wait of `GET /held`.
const MAX_WAIT_MS: u64 = 10 * 60_000;

/// Serves an admin connection to its end.
pub async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let mut wire = Connection::new(stream);
    while let Ok(Some(request)) = wire.read(None).await {
        let reply = match route(&shared, &request).await {
            Ok(value) => Reply::plain_json(200, &value),
            Err(Failure(status, why)) => Reply::plain_json(status, &json!({ "error": why })),
        };
        let close = !request.keep_alive;
        if wire.write(&reply, close, None).await.is_err() || close {
            break;
        }
    }
    wire.close().await;
}

/// HTTP status and the error text.
struct Failure(u16, String);

type Answer = Result<Value, Failure>;

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewCode {
    code: String,
    #[serde(default)]
    expires_at: Option<jiff::Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewState {
    state: KeyState,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReleaseOrder {
    how: Release,
}

async fn route(shared: &Shared, request: &Request) -> Answer {
    let path: Vec<_> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), path.as_slice()) {
        ("GET", [""]) => Ok(json!(ROUTES.lines().collect::<Vec<_>>())),
        ("GET", ["settings"]) => to_json(&shared.lock().settings),
        ("PATCH", ["settings"]) => patch_settings(shared, request),
        ("GET", ["ledger"]) => to_json(&shared.lock().ledger.since(number(request, "since")?)),
        ("DELETE", ["ledger"]) => {
            shared.lock().ledger.clear();
            Ok(json!({}))
        }
        ("GET", ["summary"]) => to_json(&shared.lock().ledger.summary()),
        ("PUT", ["providers"]) => {
            for provider in many::<OidcProvider>(request)? {
                let mut state = shared.lock();
                state.sts.providers.insert(provider.arn.clone(), provider);
            }
            Ok(json!({}))
        }
        ("PUT", ["roles"]) => {
            for role in many::<Role>(request)? {
                shared.lock().sts.roles.insert(role.arn.clone(), role);
            }
            Ok(json!({}))
        }
        (_, ["keys", ..]) => keys(shared, request, &path),
        (_, ["numbers", ..]) => numbers(shared, request, &path),
        (_, ["faults", ..]) => faults(shared, request, &path),
        (_, ["held", ..]) => held(shared, request, &path).await,
        _ => not_found(request),
    }
}

fn patch_settings(shared: &Shared, request: &Request) -> Answer {
    let patch: Value = body(request)?;
    let mut merged = to_json(&shared.lock().settings)?;
    merge(&mut merged, patch);
    let new: Settings = serde_json::from_value(merged).map_err(bad)?;
    let changed = shared.change_settings(|settings| *settings = new);
    to_json(&changed.map_err(|why| Failure(422, why.to_owned()))?)
}

fn keys(shared: &Shared, request: &Request, path: &[&str]) -> Answer {
    match (request.method.as_str(), path) {
        ("PUT", [_]) => {
            for key in many::<AccessKey>(request)? {
                shared.lock().keys.insert(key.id.clone(), key);
            }
            Ok(json!({}))
        }
        ("PATCH", [_, id]) => {
            let NewState { state } = body(request)?;
            match shared.lock().keys.get_mut(*id) {
                Some(key) => {
                    key.state = state;
                    Ok(json!({}))
                }
                None => not_found(request),
            }
        }
        ("DELETE", [_, id]) => found(shared.lock().keys.remove(*id).is_some(), request),
        _ => not_found(request),
    }
}

fn numbers(shared: &Shared, request: &Request, path: &[&str]) -> Answer {
    match (request.method.as_str(), path) {
        ("GET", [_]) => to_json(&shared.lock().numbers.all()),
        ("PUT", [_]) => {
            for number in many::<Number>(request)? {
                shared.lock().numbers.put(number);
            }
            Ok(json!({}))
        }
        ("GET", [_, phone]) => match shared.lock().numbers.get(phone) {
            Some(number) => to_json(number),
            None => not_found(request),
        },
        ("PUT", [_, phone, "code"]) => {
            let new: NewCode = body(request)?;
            match shared.lock().numbers.get_mut(phone) {
                Some(number) => {
                    number.code = Some(new.code);
                    number.code_expires_at = new.expires_at;
                    to_json(number)
                }
                None => not_found(request),
            }
        }
        ("DELETE", [_, phone]) => found(shared.lock().numbers.remove(phone), request),
        _ => not_found(request),
    }
}

fn faults(shared: &Shared, request: &Request, path: &[&str]) -> Answer {
    match (request.method.as_str(), path) {
        ("GET", [_]) => to_json(&shared.lock().rules.all()),
        ("POST", [_]) => {
            let rule: FaultRule = body(request)?;
            let now = shared.clock.now_us();
            let added = shared.lock().rules.add(rule, now);
            let id = added.map_err(|why| Failure(422, why.to_owned()))?;
            Ok(json!({ "id": id }))
        }
        ("DELETE", [_]) => {
            shared.lock().rules.clear();
            Ok(json!({}))
        }
        ("DELETE", [_, id]) => {
            let id = id
                .parse()
                .map_err(|_| Failure(400, "not a number".to_owned()))?;
            found(shared.lock().rules.remove(id), request)
        }
        _ => not_found(request),
    }
}

async fn held(shared: &Shared, request: &Request, path: &[&str]) -> Answer {
    match (request.method.as_str(), path) {
        ("GET", [_]) => {
            let wait = Duration::from_millis(number(request, "timeout")?.min(MAX_WAIT_MS));
            shared.held.wait(wait, |_| true).await;
            to_json(&shared.held.all())
        }
        ("POST", [_, "release"]) => {
            let ReleaseOrder { how } = body(request)?;
            Ok(json!({ "released": shared.held.release_all(how) }))
        }
        ("POST", [_, id, "release"]) => {
            let ReleaseOrder { how } = body(request)?;
            let id = id
                .parse()
                .map_err(|_| Failure(400, "not a number".to_owned()))?;
            found(shared.held.release(id, how), request)
        }
        _ => not_found(request),
    }
}

fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch,
    }
}

fn many<T: DeserializeOwned>(request: &Request) -> Result<Vec<T>, Failure> {
    Ok(match body(request)? {
        OneOrMany::Many(many) => many,
        OneOrMany::One(one) => vec![one],
    })
}

fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Failure> {
    serde_json::from_slice(&request.body).map_err(bad)
}

fn bad(error: serde_json::Error) -> Failure {
    Failure(400, error.to_string())
}

fn to_json(value: &impl serde::Serialize) -> Answer {
    serde_json::to_value(value).map_err(|error| Failure(500, error.to_string()))
}

fn number(request: &Request, name: &str) -> Result<u64, Failure> {
    let query = parse_form(&request.query).unwrap_or_default();
    match query.iter().find(|(have, _)| have == name) {
        Some((_, value)) => value
            .parse()
            .map_err(|_| Failure(400, format!("{name} is not a number"))),
        None => Ok(0),
    }
}

fn found(found: bool, request: &Request) -> Answer {
    if found {
        Ok(json!({}))
    } else {
        not_found(request)
    }
}

fn not_found(request: &Request) -> Answer {
    Err(Failure(
        404,
        format!(
            "no {} {}; GET / lists the routes",
            request.method, request.path
        ),
    ))
}
