//! The Secret that holds a code: the existing one and its replacement. The CLI writes it by create
//! or replace, never by apply: kubectl's `last-applied-configuration` would keep the code in clear.
//!
//! Danger: no type here has `Debug`, and no error holds the body of a reply.

use std::collections::BTreeMap;

use http::{Method, Request};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::client::Body;
use phone_migration_api::crd::{SecretVersion, VerifyCodeSecretRef};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{ApiError, Cluster, DEADLINE, MANAGER};
use crate::digits::Digits;

/// Type of the Secrets that the CLI creates, so that an admission policy can recognise them. The
/// type of an existing Secret cannot change.
pub const SECRET_TYPE: &str = "phonemigration.dev/code";
/// kubectl keeps the last applied object here, with the old code.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A value of `data` or `stringData`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Hidden(String);

impl Drop for Hidden {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// An existing Secret.
#[derive(Deserialize)]
pub struct Stored {
    /// Its metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    #[serde(rename = "type", default)]
    type_: Option<String>,
    #[serde(default)]
    data: Option<BTreeMap<String, Hidden>>,
    /// The Secret is immutable.
    #[serde(default)]
    pub immutable: Option<bool>,
}

impl Stored {
    /// The keys of the Secret.
    pub fn keys(&self) -> Vec<&str> {
        let keys = self.data.iter().flat_map(BTreeMap::keys);
        keys.map(String::as_str).collect()
    }
}

/// The Secret to write.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    #[serde(rename = "type")]
    type_: String,
    data: BTreeMap<String, Hidden>,
    string_data: BTreeMap<String, Hidden>,
    #[serde(skip)]
    replaces: bool,
}

impl Draft {
    /// Sets this code and expiry under the keys that the resource names, and keeps everything else
    /// of the Secret that it replaces. Without an expiry, it removes an old one.
    pub fn new(
        reference: &VerifyCodeSecretRef,
        namespace: &str,
        digits: &Digits,
        expires_at: Option<Timestamp>,
        old: Option<Stored>,
    ) -> Self {
        let replaces = old.is_some();
        let (mut metadata, type_, mut data) = match old {
            Some(old) => (old.metadata, old.type_, old.data.unwrap_or_default()),
            None => (ObjectMeta::default(), None, BTreeMap::new()),
        };
        metadata.name = Some(reference.name.clone());
        metadata.namespace = Some(namespace.to_owned());
        // The API server keeps managedFields itself; sending them would change the owners.
        metadata.managed_fields = None;
        if let Some(annotations) = &mut metadata.annotations {
            annotations.remove(LAST_APPLIED);
        }
        data.remove(&reference.key);
        data.remove(&reference.expires_at_key);
        let code = Hidden(digits.expose().to_owned());
        let mut string_data = BTreeMap::from([(reference.key.clone(), code)]);
        if let Some(at) = expires_at {
            string_data.insert(reference.expires_at_key.clone(), Hidden(at.to_string()));
        }
        Self {
            api_version: "v1",
            kind: "Secret",
            metadata,
            type_: type_.unwrap_or_else(|| SECRET_TYPE.to_owned()),
            data,
            string_data,
            replaces,
        }
    }
}

#[derive(Deserialize)]
struct Written {
    metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
}

impl Cluster {
    /// The Secret, if it exists.
    ///
    /// # Errors
    /// The API server's error.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Stored>, ApiError> {
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        match self.secret_request(Method::GET, path, None).await {
            Ok(stored) => Ok(Some(stored)),
            Err(ApiError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates or replaces the Secret in one request. The API server refuses a replacement if the
    /// Secret changed since it was read. Returns the stored Secret.
    ///
    /// # Errors
    /// The API server's error. After `Unreachable` the Secret may have been written.
    pub async fn put_secret(&self, draft: &Draft) -> Result<SecretVersion, ApiError> {
        let field = |field: &Option<String>| field.clone().unwrap_or_default();
        let namespace = field(&draft.metadata.namespace);
        let mut path = format!("/api/v1/namespaces/{namespace}/secrets");
        let method = match draft.replaces {
            true => {
                path = format!("{path}/{}", field(&draft.metadata.name));
                Method::PUT
            }
            false => Method::POST,
        };
        path.push_str("?fieldManager=");
        path.push_str(MANAGER);
        let body = serde_json::to_vec(draft)
            .map_err(|_| ApiError::Unreachable("the Secret cannot be written as JSON".into()))?;
        let written: Written = self.secret_request(method, path, Some(body)).await?;
        Ok(SecretVersion {
            uid: field(&written.metadata.uid),
            resource_version: field(&written.metadata.resource_version),
        })
    }

    async fn secret_request<T: for<'de> Deserialize<'de>>(
        &self,
        method: Method,
        path: String,
        body: Option<Vec<u8>>,
    ) -> Result<T, ApiError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, Body::from))
            .map_err(|_| ApiError::Unreachable("the Secret's name is no path".into()))?;
        let answer = async {
            let reply = self.client.send(request).await?;
            let status = reply.status();
            Ok((status, reply.into_body().collect_bytes().await?))
        };
        let (status, body) = match tokio::time::timeout(DEADLINE, answer).await {
            Ok(answer) => answer.map_err(|error: kube::Error| ApiError::from(error))?,
            Err(_) => {
                return Err(ApiError::Unreachable(
                    "no answer about the Secret in time".into(),
                ));
            }
        };
        // Best effort: the CLI cannot clear the connection's own buffers.
        let body = Zeroizing::new(body.to_vec());
        if !status.is_success() {
            let said = serde_json::from_slice::<Said>(&body);
            let message = said.map(|said| said.message).unwrap_or_default();
            return Err(ApiError::of(status.as_u16(), &message));
        }
        serde_json::from_slice(&body)
            .map_err(|_| ApiError::Unreachable("its answer is not a Secret".into()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::digits::Lengths;

    fn reference() -> VerifyCodeSecretRef {
        VerifyCodeSecretRef {
            name: "store-42-code".into(),
            key: "code".into(),
            expires_at_key: "expiresAt".into(),
        }
    }

    fn draft(old: Option<&str>, expires_at: Option<&str>) -> serde_json::Value {
        let digits = Digits::parse("123456", Lengths::default()).unwrap();
        let old = old.map(|json| serde_json::from_str(json).unwrap());
        let expires_at = expires_at.map(|at| at.parse().unwrap());
        let draft = Draft::new(&reference(), "tenant-a", &digits, expires_at, old);
        serde_json::to_value(draft).unwrap()
    }

    #[test]
    fn a_new_secret_has_two_keys_and_a_type_of_its_own() {
        let json = draft(None, Some("2026-01-31T12:00:00Z"));
        assert_eq!(json["type"], SECRET_TYPE);
        assert_eq!(json["metadata"]["name"], "store-42-code");
        let expected = serde_json::json!({"code": "123456", "expiresAt": "2026-01-31T12:00:00Z"});
        assert_eq!(json["stringData"], expected);
        assert_eq!(json["data"], serde_json::json!({}));
    }

    #[test]
    fn a_replacement_keeps_what_is_not_ours_and_drops_old_codes() {
        let old = r#"{"metadata": {"name": "store-42-code", "uid": "u", "resourceVersion": "7",
            "labels": {"a": "b"}, "annotations": {"x": "y",
            "kubectl.kubernetes.io/last-applied-configuration": "{\"code\":\"MTExMTEx\"}"}},
            "type": "Opaque",
            "data": {"code": "MTExMTEx", "expiresAt": "b2xk", "other": "a2VwdA=="}}"#;
        let json = draft(Some(old), None);
        assert_eq!(json["type"], "Opaque");
        assert_eq!(json["metadata"]["resourceVersion"], "7");
        assert_eq!(json["metadata"]["labels"]["a"], "b");
        assert_eq!(
            json["metadata"]["annotations"],
            serde_json::json!({"x": "y"})
        );
        assert_eq!(json["data"], serde_json::json!({"other": "a2VwdA=="}));
        assert_eq!(json["stringData"], serde_json::json!({"code": "123456"}));
        assert!(!json.to_string().contains("MTExMTEx"));
    }
}
