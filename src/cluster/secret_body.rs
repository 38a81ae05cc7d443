//! Parses a Secret's JSON into the two values that the operator uses; skips everything else unread.
//! PURE.
//!
//! This module returns no error text: a parser's message may quote the text that it could not
//! parse.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use zeroize::Zeroizing;

use crate::api::crd::{SecretVersion, VerifyCodeSecretRef};
use crate::domain::code::SecretValues;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    uid: String,
    resource_version: String,
}

/// Parses a reply's body; `None` if it is not a Secret.
pub fn parse(body: &[u8], reference: &VerifyCodeSecretRef) -> Option<SecretValues> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let values = SecretSeed(reference).deserialize(&mut json).ok()?;
    json.end().ok().map(|()| values)
}

struct SecretSeed<'a>(&'a VerifyCodeSecretRef);

impl<'de> DeserializeSeed<'de> for SecretSeed<'_> {
    type Value = SecretValues;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<SecretValues, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SecretSeed<'_> {
    type Value = SecretValues;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Secret")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretValues, A::Error> {
        let mut metadata: Option<Metadata> = None;
        let mut picked = Picked::default();
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "metadata" => metadata = Some(map.next_value()?),
                "data" => picked = map.next_value_seed(DataSeed(self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let metadata = metadata.ok_or_else(|| serde::de::Error::missing_field("metadata"))?;
        Ok(SecretValues {
            version: SecretVersion {
                uid: metadata.uid,
                resource_version: metadata.resource_version,
            },
            code: picked.code,
            expires_at: picked.expires_at,
        })
    }
}

#[derive(Default)]
struct Picked {
    code: Option<Zeroizing<Vec<u8>>>,
    expires_at: Option<Zeroizing<Vec<u8>>>,
}

struct DataSeed<'a>(&'a VerifyCodeSecretRef);

impl<'de> DeserializeSeed<'de> for DataSeed<'_> {
    type Value = Picked;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Picked, D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for DataSeed<'_> {
    type Value = Picked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Secret's data")
    }

    fn visit_none<E>(self) -> Result<Picked, E> {
        Ok(Picked::default())
    }

    fn visit_unit<E>(self) -> Result<Picked, E> {
        Ok(Picked::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<Picked, D::Error> {
        json.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Picked, A::Error> {
        let mut picked = Picked::default();
        while let Some(key) = map.next_key::<String>()? {
            let is_code = key == self.0.key;
            let is_expiry = key == self.0.expires_at_key;
            if !is_code && !is_expiry {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = decode(&Zeroizing::new(map.next_value::<String>()?));
            if is_expiry {
                picked.expires_at = Some(value.clone());
            }
            if is_code {
                picked.code = Some(value);
            }
        }
        Ok(picked)
    }
}

/// Invalid base64 becomes an empty value, which is not a code.
fn decode(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(STANDARD.decode(text).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reference() -> VerifyCodeSecretRef {
        VerifyCodeSecretRef {
            name: "s".into(),
            key: "code".into(),
            expires_at_key: "expiresAt".into(),
        }
    }

    #[test]
    fn only_the_two_values_are_read() {
        let body = br#"{"kind":"Secret","metadata":{"name":"s","uid":"u","resourceVersion":"7"},
            "data":{"code":"MTIzNDU2","other":"%%% not base64","expiresAt":"MjAyNg=="},"type":"Opaque"}"#;
        let values = parse(body, &reference()).unwrap();
        assert_eq!(values.version.resource_version, "7");
        assert_eq!(values.code.unwrap().as_slice(), b"123456");
        assert_eq!(values.expires_at.unwrap().as_slice(), b"2026");
    }

    #[test]
    fn absent_data_is_an_absent_key_and_anything_else_is_no_secret() {
        for data in ["", r#","data":null"#, r#","data":{}"#] {
            let body = format!(r#"{{"metadata":{{"uid":"u","resourceVersion":"7"}}{data}}}"#);
            assert!(parse(body.as_bytes(), &reference()).unwrap().code.is_none());
        }
        for body in [
            "",
            "{}",
            "[]",
            "null",
            "<html>",
            r#"{"metadata":{"uid":"u"}}"#,
            r#"{"metadata":{"uid":"u","resourceVersion":"7"},"data":{"code":5}}"#,
            r#"{"metadata":{"uid":"u","resourceVersion":"7"}}{"#,
        ] {
            assert!(parse(body.as_bytes(), &reference()).is_none(), "{body}");
        }
    }
}
