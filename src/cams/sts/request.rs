//! The requests of STS. PURE: the caller passes in time and nonce.
//!
//! POST. The common parameters are in the query, as in the official clients. The operation's own
//! parameters, such as the OIDC token, are in the form, because error texts of HTTP libraries can
//! hold URLs. A signature of RPC v1 covers both and is in the query.

use jiff::Timestamp;

use super::{AssumeRole, StsAction};
use crate::cams::credentials::Credentials;
use crate::cams::scrub::scrub;
use crate::cams::sign::{query, sign_rpc, whole_seconds};
use crate::secret::Secret;

const VERSION: &str = "2015-04-01";
/// Life of the requested keys, in seconds.
const DURATION: &str = "3600";
/// Rights of the last exchange's key, whatever its role allows.
const POLICY: &str = concat!(
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":["#,
    r#""cams:ChatappMigrationVerified","cams:GetPhoneNumberVerificationStatus"],"#,
    r#""Resource":"*"}]}"#
);

/// A POST to the root of STS. Its texts are zeroised, and it can be neither printed nor copied.
pub struct StsRequest {
    /// The requested operation.
    pub action: StsAction,
    /// The URL's query, without `?`.
    pub(super) query: Secret,
    /// The body.
    pub(super) form: Secret,
    /// Secrets that no text of the reply may repeat.
    hidden: Vec<Secret>,
}

impl StsRequest {
    /// Removes the request's secrets from a text.
    pub fn scrub(&self, text: &str) -> String {
        let hidden: Vec<&str> = self.hidden.iter().map(Secret::expose).collect();
        scrub(text, &hidden)
    }
}

/// Parameters of `AssumeRoleWithOIDC`.
pub struct OidcExchange<'a> {
    /// The role.
    pub role_arn: &'a str,
    /// The provider that the role trusts.
    pub provider_arn: &'a str,
    /// The token.
    pub token: &'a Secret,
    /// Name of the session.
    pub session_name: &'a str,
    /// True if no other role is assumed with the key.
    pub last: bool,
}

type Params<'a> = Vec<(&'a str, &'a str)>;

/// `AssumeRoleWithOIDC`, which is not signed.
pub fn assume_role_with_oidc(
    exchange: &OidcExchange<'_>,
    nonce: &str,
    at: Timestamp,
) -> StsRequest {
    let action = StsAction::AssumeRoleWithOidc;
    let timestamp = whole_seconds(at);
    let mut form = vec![
        ("RoleArn", exchange.role_arn),
        ("OIDCProviderArn", exchange.provider_arn),
        ("OIDCToken", exchange.token.expose()),
        ("RoleSessionName", exchange.session_name),
        ("DurationSeconds", DURATION),
    ];
    if exchange.last {
        form.push(("Policy", POLICY));
    }
    StsRequest {
        action,
        query: Secret::new(query(&common(action, &timestamp, nonce))),
        form: Secret::new(query(&form)),
        hidden: vec![exchange.token.clone()],
    }
}

/// `AssumeRole`, the last exchange of its round.
pub fn assume_role(
    credentials: &Credentials,
    role: &AssumeRole,
    session_name: &str,
    nonce: &str,
    at: Timestamp,
) -> StsRequest {
    let mut form = vec![
        ("RoleArn", role.role_arn.as_str()),
        ("RoleSessionName", session_name),
        ("DurationSeconds", DURATION),
        ("Policy", POLICY),
    ];
    if let Some(external_id) = &role.external_id {
        form.push(("ExternalId", external_id));
    }
    signed(StsAction::AssumeRole, &form, credentials, nonce, at)
}

/// `GetCallerIdentity`, which takes no parameter and needs no right.
pub fn get_caller_identity(credentials: &Credentials, nonce: &str, at: Timestamp) -> StsRequest {
    signed(StsAction::GetCallerIdentity, &[], credentials, nonce, at)
}

fn signed(
    action: StsAction,
    form: &[(&str, &str)],
    credentials: &Credentials,
    nonce: &str,
    at: Timestamp,
) -> StsRequest {
    let timestamp = whole_seconds(at);
    let mut params = common(action, &timestamp, nonce);
    let signature = sign_rpc(&mut params, form, credentials);
    params.push(("Signature", signature.as_str()));
    let mut hidden = vec![
        Secret::new(signature.to_string()),
        Secret::new(credentials.access_key_id.clone()),
        credentials.access_key_secret.clone(),
    ];
    hidden.extend(credentials.security_token.clone());
    StsRequest {
        action,
        query: Secret::new(query(&params)),
        form: Secret::new(query(form)),
        hidden,
    }
}

fn common<'a>(action: StsAction, timestamp: &'a str, nonce: &'a str) -> Params<'a> {
    vec![
        ("Action", action.name()),
        ("Format", "JSON"),
        ("Version", VERSION),
        ("Timestamp", timestamp),
        ("SignatureNonce", nonce),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "acs:ram::1968132000234567:role/phmig";
    const TOKEN: &str = "eyJhbGciOi.eyJpc3Mi.c2ln-_";

    fn oidc(last: bool) -> StsRequest {
        let exchange = OidcExchange {
            role_arn: ROLE,
            provider_arn: "acs:ram::1968132000234567:oidc-provider/ack-rrsa-c1",
            token: &Secret::new(TOKEN.to_owned()),
            session_name: "phone-migration-operator",
            last,
        };
        assume_role_with_oidc(&exchange, "00ff", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_token_stands_in_the_form_and_nothing_is_signed() {
        let request = oidc(true);
        assert_eq!(
            request.query.expose(),
            "Action=AssumeRoleWithOIDC&Format=JSON&Version=2015-04-01&\
             Timestamp=1970-01-01T00%3A00%3A00Z&SignatureNonce=00ff"
        );
        let form = request.form.expose();
        assert!(
            form.starts_with(
                "RoleArn=acs%3Aram%3A%3A1968132000234567%3Arole%2Fphmig&\
                 OIDCProviderArn=acs%3Aram%3A%3A1968132000234567%3Aoidc-provider%2Fack-rrsa-c1&\
                 OIDCToken=eyJhbGciOi.eyJpc3Mi.c2ln-_&RoleSessionName=phone-migration-operator&\
                 DurationSeconds=3600&Policy=%7B%22Version%22"
            ),
            "{form}"
        );
        assert_eq!(request.scrub(&format!("a {TOKEN} b")), "a *** b");
    }

    #[test]
    fn only_the_last_exchange_has_a_session_policy() {
        assert!(oidc(true).form.expose().contains("&Policy="));
        assert!(!oidc(false).form.expose().contains("Policy"));
        assert!(POLICY.len() <= 2048, "the most that STS takes");
        let policy: serde_json::Value = serde_json::from_str(POLICY).unwrap_or_default();
        let actions: Vec<_> = crate::cams::Action::ALL
            .iter()
            .map(|action| format!("cams:{}", action.name()))
            .collect();
        // Not a word more: another statement or effect could allow anything.
        let statement = serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
        let whole = serde_json::json!({"Version": "1", "Statement": [statement]});
        assert_eq!(policy, whole);
    }

    /// A signature from another implementation: Python's hmac over the string that the
    /// documentation of RPC v1 describes, query and form sorted together.
    #[test]
    fn a_signature_is_over_query_and_form() {
        let credentials = Credentials {
            access_key_id: "STS.id".to_owned(),
            access_key_secret: Secret::new("secret".to_owned()),
            security_token: Some(Secret::new("to/k+en==".to_owned())),
        };
        let role = AssumeRole {
            role_arn: ROLE.to_owned(),
            external_id: Some("acme-7f3c".to_owned()),
        };
        let request = assume_role(&credentials, &role, "me", "00ff", Timestamp::UNIX_EPOCH);
        let query = request.query.expose();
        assert!(
            query.contains("&SecurityToken=to%2Fk%2Ben%3D%3D&Signature="),
            "{query}"
        );
        assert!(
            query.ends_with("&Signature=4vyOK4UXTsS8tSx3chvQaknrfBE%3D"),
            "{query}"
        );
        let form = request.form.expose();
        assert!(form.ends_with("&ExternalId=acme-7f3c"), "{form}");
        let signature = "4vyOK4UXTsS8tSx3chvQaknrfBE=";
        for secret in ["secret", "STS.id", "to/k+en==", signature] {
            assert_eq!(request.scrub(&format!("<{secret}>")), "<***>");
        }
    }
}
