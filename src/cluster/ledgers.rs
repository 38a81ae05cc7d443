//! Sends every request for CodeLedgers. This module makes no decisions and never repeats a request.
//!
//! Writes are raw requests for two reasons: kube's parameters cannot ask for strict field
//! validation, and the meaning of a reply depends on whether it is a Status of the API server that
//! names this ledger.

use http::{Request, StatusCode};
use kube::Client;
use kube::client::Body;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::replies::{names, status_of, unbelieved};
use super::{ClusterError, MANAGER, within};
use crate::api::code_ledger::{CodeLedger, CodeLedgerFields, CodeLedgerSpec, LedgerSummary};

/// Ledgers on one page of a list.
const PAGE: u32 = 100;
/// Phone number of the dry run that tests whether ledgers can be written; it is never stored. No
/// country code begins with 999, so no real number equals it.
const MADE_UP_NUMBER: &str = "999999999999999";
const MADE_UP_NAME: &str = "write-check";

/// The CodeLedgers of one namespace.
#[derive(Clone)]
pub struct LedgerStore {
    client: Client,
    namespace: String,
}

/// The result of reading a ledger.
#[derive(Clone, Debug, PartialEq)]
pub enum LedgerRead {
    /// No such ledger exists.
    Absent,
    /// The ledger as stored.
    Stored(Box<CodeLedger>),
    /// The ledger exists, but this version cannot parse it.
    Unparsable,
}

/// One page of the ledgers.
pub struct LedgerPage {
    /// Name and content of each ledger.
    pub items: Vec<(String, LedgerRead)>,
    /// Token of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// The version that a write replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaces {
    /// None: the write creates the ledger.
    Nothing,
    /// This version.
    Version {
        /// metadata.uid.
        uid: String,
        /// metadata.resourceVersion.
        resource_version: String,
    },
}

impl Replaces {
    /// The version that a write over this ledger replaces.
    pub fn version_of(object: Option<&CodeLedger>) -> Self {
        let Some(object) = object else {
            return Replaces::Nothing;
        };
        Replaces::Version {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            resource_version: object.metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}

/// The result of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// The API server stored this ledger.
    Stored(Box<CodeLedger>),
    /// Another write came first.
    Conflict,
    /// The API server refused the write with this HTTP status.
    Refused(u16),
    /// The API server does not accept the operator's credentials.
    Unauthorized,
    /// The result is unknown: the write may have been stored, or may be stored later.
    Unclear(ClusterError),
}

impl LedgerStore {
    /// Gives access to the ledgers in this namespace.
    pub fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace }
    }

    /// The namespace of the ledgers.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn path(&self) -> String {
        let namespace = &self.namespace;
        format!("/apis/phonemigration.dev/v1alpha1/namespaces/{namespace}/codeledgers")
    }

    async fn send(&self, request: Request<Body>) -> Result<(StatusCode, Vec<u8>), ClusterError> {
        within(async {
            let reply = self.client.send(request).await?;
            let status = reply.status();
            Ok((status, reply.into_body().collect_bytes().await?.to_vec()))
        })
        .await
    }

    /// Reads the ledger of this name live.
    ///
    /// # Errors
    /// When the API server returns neither a ledger nor a 404 that names it.
    pub async fn get(&self, name: &str) -> Result<LedgerRead, ClusterError> {
        let request = request(
            Request::get(format!("{}/{name}", self.path())),
            Body::empty(),
        )?;
        let (status, body) = self.send(request).await?;
        match status {
            StatusCode::NOT_FOUND if names(&body, name) => Ok(LedgerRead::Absent),
            StatusCode::NOT_FOUND => Err(unbelieved()),
            status if status.is_success() => Ok(read(&body)),
            status => Err(ClusterError::of_status(status.as_u16())),
        }
    }

    /// Reads one page of all ledgers; `from` is the page's token.
    ///
    /// # Errors
    /// When the API server does not return the page.
    pub async fn list(&self, from: Option<&str>) -> Result<LedgerPage, ClusterError> {
        let from = from.map_or_else(String::new, |token| {
            let escaped =
                percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC);
            format!("&continue={escaped}")
        });
        let path = format!("{}?limit={PAGE}{from}", self.path());
        let request = request(Request::get(path), Body::empty())?;
        let (status, body) = self.send(request).await?;
        if !status.is_success() {
            return Err(ClusterError::of_status(status.as_u16()));
        }
        page(&body)
    }

    /// Creates the ledger, or replaces exactly this version of it. Danger: without the version, two
    /// processes that read the same ledger would both hold their claim.
    pub async fn write(
        &self,
        name: &str,
        replaces: &Replaces,
        fields: CodeLedgerFields,
    ) -> Written {
        let mut object = CodeLedger::new(name, fields);
        object.metadata.namespace = Some(self.namespace.clone());
        let query = format!("fieldManager={MANAGER}&fieldValidation=Strict");
        let builder = match replaces {
            Replaces::Nothing => Request::post(format!("{}?{query}", self.path())),
            Replaces::Version {
                uid,
                resource_version,
            } => {
                object.metadata.uid = Some(uid.clone());
                object.metadata.resource_version = Some(resource_version.clone());
                Request::put(format!("{}/{name}?{query}", self.path()))
            }
        };
        let sent = match json_request(builder, &object) {
            Ok(request) => self.send(request).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok((status, body)) => written(status, &body, name, replaces),
            Err(error) => Written::Unclear(error),
        }
    }

    /// Tests by a dry run whether a ledger can be created now: the API server stores nothing.
    ///
    /// # Errors
    /// When the API server refuses, or does not answer.
    pub async fn try_create(&self) -> Result<(), ClusterError> {
        let fields = CodeLedgerFields {
            spec: CodeLedgerSpec {
                phone_number: MADE_UP_NUMBER.to_owned(),
            },
            summary: LedgerSummary::default(),
            entries: Vec::new(),
            released: Vec::new(),
        };
        let mut object = CodeLedger::new(MADE_UP_NAME, fields);
        object.metadata.namespace = Some(self.namespace.clone());
        let path = format!(
            "{}?dryRun=All&fieldManager={MANAGER}&fieldValidation=Strict",
            self.path()
        );
        let (status, _) = self
            .send(json_request(Request::post(path), &object)?)
            .await?;
        match status.is_success() {
            true => Ok(()),
            false => Err(ClusterError::of_status(status.as_u16())),
        }
    }

    /// Deletes exactly this version of a ledger.
    ///
    /// # Errors
    /// When the ledger has changed, or the API server does not delete it.
    pub async fn delete(&self, object: &CodeLedger) -> Result<(), ClusterError> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let preconditions = json!({
            "uid": object.metadata.uid,
            "resourceVersion": object.metadata.resource_version,
        });
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
        });
        let builder = Request::delete(format!("{}/{name}", self.path()));
        let (status, _) = self.send(json_request(builder, &options)?).await?;
        match status.is_success() {
            true => Ok(()),
            false => Err(ClusterError::of_status(status.as_u16())),
        }
    }
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<Item>,
}

/// One ledger of a page. Only the ledger being parsed is in memory as a full JSON value.
struct Item(Option<(String, LedgerRead)>);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let item = Value::deserialize(json)?;
        let Some(name) = item["metadata"]["name"].as_str().map(str::to_owned) else {
            return Ok(Self(None));
        };
        let read = serde_json::from_value(item)
            .map_or(LedgerRead::Unparsable, |l| LedgerRead::Stored(Box::new(l)));
        Ok(Self(Some((name, read))))
    }
}

#[derive(Default, Deserialize)]
struct ListMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
}

fn request(builder: http::request::Builder, body: Body) -> Result<Request<Body>, ClusterError> {
    builder
        .body(body)
        .map_err(|_| ClusterError::Unavailable("the request cannot be built".into()))
}

fn json_request(
    builder: http::request::Builder,
    body: &impl serde::Serialize,
) -> Result<Request<Body>, ClusterError> {
    let body = serde_json::to_vec(body)
        .map_err(|_| ClusterError::Unavailable("the request cannot be built".into()))?;
    let builder = builder.header(http::header::CONTENT_TYPE, "application/json");
    request(builder, Body::from(body))
}

fn read(body: &[u8]) -> LedgerRead {
    serde_json::from_slice(body).map_or(LedgerRead::Unparsable, |l| LedgerRead::Stored(Box::new(l)))
}

/// Parses one page of a list. A reply without `items` does not come from the API server: it must
/// not pass for an empty list.
fn page(body: &[u8]) -> Result<LedgerPage, ClusterError> {
    let list: List = serde_json::from_slice(body)
        .map_err(|_| ClusterError::Unavailable("its answer cannot be parsed".into()))?;
    Ok(LedgerPage {
        items: list.items.into_iter().filter_map(|item| item.0).collect(),
        next: list.metadata.next.filter(|token| !token.is_empty()),
    })
}

fn written(status: StatusCode, body: &[u8], name: &str, replaces: &Replaces) -> Written {
    if status.is_success() {
        return match serde_json::from_slice(body) {
            Ok(object) => Written::Stored(Box::new(object)),
            Err(_) => Written::Unclear(ClusterError::Unavailable(
                "its answer cannot be parsed".into(),
            )),
        };
    }
    let unclear = || Written::Unclear(ClusterError::of_status(status.as_u16()));
    if status_of(body).is_none() {
        return unclear();
    }
    match (status.as_u16(), replaces) {
        (409, _) => Written::Conflict,
        (404, Replaces::Version { .. }) if names(body, name) => Written::Conflict,
        (404, Replaces::Nothing) | (400 | 403 | 422, _) => Written::Refused(status.as_u16()),
        (401, _) => Written::Unauthorized,
        _ => unclear(),
    }
}

#[cfg(test)]
mod tests;
