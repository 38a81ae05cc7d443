#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct RpcVector {
    name: String,
    method: String,
    access_key_secret: String,
    params: BTreeMap<String, String>,
    canonicalized_query: String,
    string_to_sign: String,
    signature: String,
}

#[derive(Deserialize)]
struct Acs3Vector {
    name: String,
    method: String,
    access_key_id: String,
    access_key_secret: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: String,
    canonical_request: String,
    string_to_sign: String,
    signature: String,
    authorization: String,
}

fn rpc_vectors() -> Vec<RpcVector> {
    serde_json::from_str(include_str!("../../../tests/vectors/rpc_v1.json")).unwrap()
}

fn acs3_vectors() -> Vec<Acs3Vector> {
    serde_json::from_str(include_str!("../../../tests/vectors/acs3.json")).unwrap()
}

/// In reverse order, so that the test finds a missing sort.
fn pairs(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    map.iter()
        .rev()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

#[test]
fn reproduces_every_rpc_vector() {
    let vectors = rpc_vectors();
    for vector in &vectors {
        let canonical = canonical_query(&pairs(&vector.params));
        assert_eq!(
            *canonical, vector.canonicalized_query,
            "query of {}",
            vector.name
        );
        let to_sign = rpc_string_to_sign(&vector.method, &canonical);
        assert_eq!(*to_sign, vector.string_to_sign, "string of {}", vector.name);
        assert_eq!(
            *rpc_signature(&vector.access_key_secret, &to_sign),
            vector.signature,
            "signature of {}",
            vector.name
        );
    }
    assert_eq!(vectors.len(), 29);
}

#[test]
fn reproduces_every_acs3_vector() {
    let vectors = acs3_vectors();
    for vector in &vectors {
        let headers = pairs(&vector.headers);
        let canonical = canonical_request(
            &vector.method,
            &pairs(&vector.query),
            &headers,
            &sha256_hex(vector.body.as_bytes()),
        );
        assert_eq!(
            *canonical, vector.canonical_request,
            "request of {}",
            vector.name
        );
        let to_sign = acs3_string_to_sign(&canonical);
        assert_eq!(to_sign, vector.string_to_sign, "string of {}", vector.name);
        let signature = acs3_signature(&vector.access_key_secret, &to_sign);
        assert_eq!(signature, vector.signature, "signature of {}", vector.name);
        assert_eq!(
            authorization(&vector.access_key_id, &headers, &signature),
            vector.authorization,
            "header of {}",
            vector.name
        );
    }
    assert_eq!(vectors.len(), 5);
}

const HOST: &str = "cams.ap-southeast-1.aliyuncs.com";
const NONCE: &str = "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf";

fn credentials(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials {
        access_key_id: id.to_owned(),
        access_key_secret: Secret::new(secret.to_owned()),
        security_token: token.map(|token| Secret::new(token.to_owned())),
    }
}

fn sign(
    version: SignatureVersion,
    credentials: &Credentials,
    host: &str,
    action: Action,
    code: Option<&str>,
) -> SignedRequest {
    let code = code.map(|code| Secret::new(code.to_owned()));
    version.signer().sign(&Unsigned {
        credentials,
        host,
        action,
        target: Target {
            cust_space_id: "293483938849493",
            phone_number: "8613800001234",
        },
        code: code.as_ref(),
        nonce: NONCE,
        // The fraction of a second must not reach the wire.
        timestamp: "2026-11-22T08:09:10.987654321Z".parse().unwrap(),
    })
}

fn submission(version: SignatureVersion, key: &Credentials, host: &str) -> SignedRequest {
    sign(
        version,
        key,
        host,
        Action::ChatappMigrationVerified,
        Some("828798"),
    )
}

fn vector_signature(name: &str) -> String {
    let vectors = rpc_vectors();
    let vector = vectors.iter().find(|vector| vector.name == name).unwrap();
    vector.signature.clone()
}

/// The query's decoded parameters.
fn params(request: &SignedRequest) -> BTreeMap<String, String> {
    let url = format!("https://h/?{}", request.query.expose());
    let url = reqwest::Url::parse(&url).unwrap();
    assert_eq!(url.query(), Some(request.query.expose()), "needs encoding");
    url.query_pairs().into_owned().collect()
}

fn header<'a>(request: &'a SignedRequest, name: &str) -> Option<&'a str> {
    let mut found = request.headers.iter().filter(|(n, _)| *n == name);
    let value = found.next().map(|(_, value)| value.expose());
    assert!(found.next().is_none(), "{name} is there twice");
    value
}

#[test]
fn v1_submissions_are_the_vectors_and_all_of_them_is_in_the_query() {
    let token = "CAISexample/AbC+d/EfG==/hij+KLM/NopQRstUv==";
    let plain = credentials("testid", "testsecret", None);
    let sts = credentials("STS.testid", "stssecret", Some(token));
    for (name, key, count) in [
        ("verified_post_plain", &plain, 12),
        ("verified_post_sts_token", &sts, 13),
    ] {
        let request = submission(SignatureVersion::V1, key, HOST);
        let params = params(&request);
        assert_eq!(params["Signature"], vector_signature(name));
        assert_eq!(params["Action"], "ChatappMigrationVerified");
        assert_eq!(params["VerifyCode"], "828798");
        assert_eq!(params["Timestamp"], "2026-11-22T08:09:10Z");
        let shown = params.get("SecurityToken").map(String::as_str);
        assert_eq!(
            shown,
            key.security_token.as_ref().map(|token| token.expose())
        );
        assert_eq!(params.len(), count);
        assert_eq!(request.headers.len(), 1);
        assert_eq!(header(&request, "accept"), Some("application/json"));
    }
}

#[test]
fn v3_submissions_are_the_vectors() {
    let plain = credentials("testid", "testsecret", None);
    let sts = credentials("STS.testid", "stssecret", Some("CAISexample/AbC+d/EfG=="));
    let cases = [
        ("verified_post", &plain, HOST),
        ("verified_post_sts", &sts, HOST),
        ("host_with_port", &plain, "127.0.0.1:40457"),
    ];
    let vectors = acs3_vectors();
    for (name, key, host) in cases {
        let vector = vectors.iter().find(|vector| vector.name == name).unwrap();
        let request = submission(SignatureVersion::V3, key, host);
        assert_eq!(
            header(&request, "authorization"),
            Some(vector.authorization.as_str()),
            "{name}"
        );
        for (header_name, value) in &vector.headers {
            if header_name != "host" {
                assert_eq!(
                    header(&request, header_name),
                    Some(value.as_str()),
                    "{name}"
                );
            }
        }
        assert_eq!(header(&request, "host"), None, "the HTTP stack sets it");
        assert_eq!(params(&request), vector.query, "{name}");
    }
}

#[test]
fn a_status_read_carries_no_code() {
    let key = credentials("testid", "testsecret", None);
    for version in [SignatureVersion::V1, SignatureVersion::V3] {
        let action = Action::GetPhoneNumberVerificationStatus;
        let request = sign(version, &key, "h", action, None);
        let params = params(&request);
        assert!(!params.contains_key("VerifyCode"));
        assert_eq!(params["PhoneNumber"], "8613800001234");
        let named = params.get("Action").map(String::as_str);
        let named = named.or_else(|| header(&request, "x-acs-action"));
        assert_eq!(named, Some("GetPhoneNumberVerificationStatus"));
    }
}

#[test]
fn leading_zeros_of_a_code_stay() {
    let key = credentials("testid", "testsecret", None);
    let action = Action::ChatappMigrationVerified;
    let request = sign(SignatureVersion::V1, &key, "h", action, Some("012345"));
    assert_eq!(params(&request)["VerifyCode"], "012345");
}

#[test]
fn the_reply_may_repeat_nothing_that_was_signed() {
    let token = "CAISexample/AbC+d/EfG==";
    let key = credentials("LTAIexampleid", "testsecret", Some(token));
    for version in [SignatureVersion::V1, SignatureVersion::V3] {
        let request = submission(version, &key, HOST);
        let mut echo = format!(
            "signed {} as {} for 8613800001234",
            percent_encode(request.query.expose()),
            header(&request, "authorization").unwrap_or_default(),
        );
        request.subject.scrub(&mut echo);
        for secret in [
            "828798",
            "LTAIexampleid",
            "testsecret",
            token,
            "8613800001234",
        ] {
            assert!(!echo.contains(secret), "{echo}");
        }
    }
}
