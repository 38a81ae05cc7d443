//! The Security Token Service: roles, OIDC providers, and the keys that it issues for them. PURE:
//! time and randomness come in.
//!
//! It answers at the gateway's address; the API version tells the two apart. It follows the
//! documentation. Where the documentation is silent, it does the worst: its messages about a token
//! repeat the token.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::Call;
use crate::config::{AccessKey, KeyState};
use crate::jwt::{Flaw, verify};
use crate::rng::uuid;
use crate::settings::Refusal;

/// Version of its API.
pub const STS_VERSION: &str = "2015-04-01";
/// Exchanges a token for a role's key; not signed.
pub const WITH_OIDC: &str = "AssumeRoleWithOIDC";
/// Exchanges a key for a role's key.
pub const ASSUME_ROLE: &str = "AssumeRole";
/// Reports the owner of a key.
pub const WHO_AM_I: &str = "GetCallerIdentity";

/// Its actions and their required parameters.
pub const STS_ACTIONS: [(&str, &[&str]); 3] = [
    (
        WITH_OIDC,
        &["RoleArn", "OIDCProviderArn", "OIDCToken", "RoleSessionName"],
    ),
    (ASSUME_ROLE, &["RoleArn", "RoleSessionName"]),
    (WHO_AM_I, &[]),
];

/// The account of keys that this service did not issue.
const SOMEBODY: &str = "1000000000000001";

/// An issuer of tokens that RAM knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcProvider {
    /// `acs:ram::ID:oidc-provider/NAME`.
    pub arn: String,
    /// `iss` of its tokens.
    pub issuer: String,
    /// Audiences that count.
    pub client_ids: Vec<String>,
    /// Its keys: the answer of its `jwks_uri`.
    pub jwks: Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    /// `acs:ram::ID:role/NAME`; the ID is the account that its keys count for.
    pub arn: String,
    /// Pairs of a provider's ARN and a `sub` that it trusts.
    #[serde(default)]
    pub trusts_tokens: Vec<(String, String)>,
    /// AccessKeyIds and roles' ARNs that it trusts.
    #[serde(default)]
    pub trusts_keys: Vec<String>,
    /// The ExternalId that a caller with a key must know.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Its permissions, such as `cams:ChatappMigrationVerified`.
    pub allowed: Vec<String>,
    /// Life of its keys in place of the requested one, so that an hour can pass in seconds.
    #[serde(default)]
    pub life_ms: Option<u64>,
}

impl Role {
    /// A role with all the permissions that an operator and a chain of roles need. It trusts no
    /// caller yet.
    pub fn new(arn: impl Into<String>) -> Self {
        let actions = [
            "cams:ChatappMigrationVerified",
            "cams:GetPhoneNumberVerificationStatus",
            "cams:ChatappMigrationRegister",
            "sts:AssumeRole",
        ];
        Self {
            arn: arn.into(),
            trusts_tokens: Vec::new(),
            trusts_keys: Vec::new(),
            external_id: None,
            allowed: actions.map(str::to_owned).to_vec(),
            life_ms: None,
        }
    }

    /// The same, assumable by tokens of that subject.
    pub fn trusting(mut self, provider: impl Into<String>, subject: impl Into<String>) -> Self {
        self.trusts_tokens.push((provider.into(), subject.into()));
        self
    }

    /// The same, assumable by the key or role of that name.
    pub fn trusting_key(mut self, key: impl Into<String>) -> Self {
        self.trusts_keys.push(key.into());
        self
    }

    /// The same with keys that live so long.
    pub fn living_ms(mut self, ms: u64) -> Self {
        self.life_ms = Some(ms);
        self
    }

    /// Life of its keys when the caller asks for none.
    pub(crate) fn life(&self) -> SignedDuration {
        let ms = self.life_ms.unwrap_or(3_600_000);
        SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
    }

    /// A new key.
    pub(crate) fn key(
        &self,
        session: &str,
        allowed: &[String],
        now: Timestamp,
        ids: &mut fastrand::Rng,
    ) -> AccessKey {
        let (account, name) = (self.account(), self.name());
        AccessKey {
            id: format!("STS.N{}", uuid(ids).replace('-', "")),
            secret: uuid(ids).replace('-', ""),
            account: account.to_owned(),
            // With characters that encodings change.
            token: Some(format!("CAIS{}/+{}==", uuid(ids), uuid(ids))),
            state: KeyState::Active,
            expires_at: now.checked_add(self.life()).ok(),
            allowed: Some(allowed.to_vec()),
            role: Some(self.arn.clone()),
            principal: Some(format!("acs:ram::{account}:assumed-role/{name}/{session}")),
        }
    }

    fn account(&self) -> &str {
        self.arn.split(':').nth(3).unwrap_or_default()
    }

    /// Name of the role.
    pub(crate) fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }
}

/// The service's memory.
#[derive(Debug, Default)]
pub struct Sts {
    /// By ARN.
    pub providers: BTreeMap<String, OidcProvider>,
    /// By ARN.
    pub roles: BTreeMap<String, Role>,
}

/// The call is one of the service's.
pub fn is_sts(call: &Call) -> bool {
    call.version.as_deref() == Some(STS_VERSION)
}

/// The call is proven by its token, not by a signature.
pub fn is_unsigned(call: &Call) -> bool {
    is_sts(call) && call.action == WITH_OIDC
}

/// A key's right to an action that has one. `Err`: the refusal of that action's service.
pub fn check_right(call: &Call, key: Option<&AccessKey>) -> Result<(), Refusal> {
    let Some(allowed) = key.and_then(|key| key.allowed.as_ref()) else {
        return Ok(());
    };
    let right = match call.action.as_str() {
        WHO_AM_I => return Ok(()),
        ASSUME_ROLE => format!("sts:{ASSUME_ROLE}"),
        action => format!("cams:{action}"),
    };
    match allowed.contains(&right) {
        true => Ok(()),
        false => Err(Refusal::new(
            403,
            "NoPermission",
            "You are not authorized to do this action. You should be authorized by RAM.",
        )),
    }
}

impl Sts {
    /// Executes a call that passed the checks. The caller adds an issued key to the others.
    pub fn execute(
        &self,
        call: &Call,
        key: Option<&AccessKey>,
        now: Timestamp,
        ids: &mut fastrand::Rng,
    ) -> Result<(Value, Option<AccessKey>), Refusal> {
        match (call.action.as_str(), key) {
            (WITH_OIDC, _) => {
                let (role, info) = self.by_token(call, now)?;
                self.give(call, role, now, ids, info)
            }
            (ASSUME_ROLE, Some(key)) => {
                let role = self.by_key(call, key)?;
                self.give(call, role, now, ids, json!({}))
            }
            (_, Some(key)) => Ok((identity(key), None)),
            (_, None) => Err(Refusal::new(400, "MissingAccessKeyId", "")),
        }
    }

    fn role(&self, call: &Call) -> Result<&Role, Refusal> {
        let arn = call.param("RoleArn").unwrap_or_default();
        self.roles.get(&arn).ok_or_else(|| {
            let message = "The specified Role not exists.";
            Refusal::new(404, "EntityNotExist.Role", message)
        })
    }

    fn by_token(&self, call: &Call, now: Timestamp) -> Result<(&Role, Value), Refusal> {
        let refuse = |code: &str, message: &str| {
            Refusal::new(403, format!("AuthenticationFail.{code}"), message)
        };
        let role = self.role(call)?;
        let arn = call.param("OIDCProviderArn").unwrap_or_default();
        let Some(provider) = self.providers.get(&arn) else {
            let message = "No such OIDC Provider registered.";
            return Err(refuse("NoPermission", message));
        };
        let token = call.param("OIDCToken").unwrap_or_default();
        let audiences = &provider.client_ids;
        let claims = verify(&token, &provider.jwks, &provider.issuer, audiences, now);
        let claims = claims.map_err(|flaw| {
            let (code, what) = match flaw {
                Flaw::Invalid => ("OIDCToken.Invalid", "is not valid"),
                Flaw::Issuer => ("OIDCToken.IssuerNotMatch", "has another issuer"),
                Flaw::Audience => ("OIDCToken.AudienceNotMatch", "has another audience"),
                Flaw::Expired => ("OIDCToken.Expired", "is expired"),
            };
            refuse(code, &format!("This OIDC Token {token} {what}."))
        })?;
        let trusted = (arn, claims.subject.clone());
        if !role.trusts_tokens.contains(&trusted) {
            return Err(refuse("NoPermission", "There is no permission."));
        }
        let info = json!({
            "Subject": claims.subject,
            "Issuer": claims.issuer,
            "ClientIds": provider.client_ids.join(","),
            "ExpirationTime": rfc3339(claims.expires),
            "VerificationInfo": "Success",
        });
        Ok((role, json!({ "OIDCTokenInfo": info })))
    }

    fn by_key(&self, call: &Call, key: &AccessKey) -> Result<&Role, Refusal> {
        let role = self.role(call)?;
        let trusts = |name: &str| role.trusts_keys.iter().any(|trusted| trusted == name);
        let known = role.external_id.is_none() || call.param("ExternalId") == role.external_id;
        if (trusts(&key.id) || key.role.as_deref().is_some_and(trusts)) && known {
            return Ok(role);
        }
        let message = "You are not authorized to do this action. You should be authorized by RAM.";
        Err(Refusal::new(403, "NoPermission", message))
    }

    fn give(
        &self,
        call: &Call,
        role: &Role,
        now: Timestamp,
        ids: &mut fastrand::Rng,
        mut more: Value,
    ) -> Result<(Value, Option<AccessKey>), Refusal> {
        let session = call.param("RoleSessionName").unwrap_or_default();
        let asked = duration(call)?;
        let allowed = match call.param("Policy") {
            None => role.allowed.clone(),
            Some(policy) => within(&policy, &role.allowed)?,
        };
        let mut key = role.key(&session, &allowed, now, ids);
        if role.life_ms.is_none() {
            key.expires_at = now.checked_add(asked).ok();
        }
        more["Credentials"] = json!({
            "AccessKeyId": key.id,
            "AccessKeySecret": key.secret,
            "SecurityToken": key.token,
            "Expiration": key.expires_at.map(rfc3339),
        });
        more["AssumedRoleUser"] = json!({
            "Arn": key.principal,
            "AssumedRoleId": format!("3300000000000000:{session}"),
        });
        Ok((more, Some(key)))
    }
}

fn identity(key: &AccessKey) -> Value {
    // The service knows nothing of a key that it did not issue; the key's id is not the name of a
    // user.
    let user = format!("acs:ram::{SOMEBODY}:user/somebody");
    json!({
        "IdentityType": if key.role.is_some() { "AssumedRoleUser" } else { "RAMUser" },
        "AccountId": if key.role.is_some() { key.account() } else { SOMEBODY },
        "Arn": key.principal.as_ref().unwrap_or(&user),
        "PrincipalId": "2800000000000000",
    })
}

fn duration(call: &Call) -> Result<SignedDuration, Refusal> {
    let seconds = match call.param("DurationSeconds") {
        None => Some(3600),
        Some(text) => text.parse().ok().filter(|s| (900..=3600).contains(s)),
    };
    let code = "InvalidParameter.DurationSeconds";
    let refusal = || {
        Refusal::new(
            400,
            code,
            "The Min/Max value of DurationSeconds is 15min/1hr.",
        )
    };
    seconds.map(SignedDuration::from_secs).ok_or_else(refusal)
}

/// The part of the role's permissions that a session policy leaves.
fn within(policy: &str, allowed: &[String]) -> Result<Vec<String>, Refusal> {
    if policy.len() > 2048 {
        let message = "The size of Policy must be smaller than 2048 bytes.";
        return Err(Refusal::new(400, "InvalidParameter.PolicySize", message));
    }
    let refusal = || {
        let message = "The parameter Policy has not passed grammar check.";
        Refusal::new(400, "InvalidParameter.PolicyGrammar", message)
    };
    let policy: Value = serde_json::from_str(policy).map_err(|_| refusal())?;
    let statements = policy["Statement"].as_array().ok_or_else(refusal)?;
    let named: Vec<&str> = statements
        .iter()
        .filter(|statement| statement["Effect"] == "Allow")
        .flat_map(|statement| match &statement["Action"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        })
        .collect();
    let left = allowed
        .iter()
        .filter(|right| named.contains(&right.as_str()));
    Ok(left.cloned().collect())
}

/// As STS writes times.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
