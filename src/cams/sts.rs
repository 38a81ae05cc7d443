//! The Security Token Service (STS): a temporary key in exchange for an identity.
//!
//! | Identity | First | Then, with a role to assume |
//! |---|---|---|
//! | [`Identity::Oidc`] | `AssumeRoleWithOIDC`, not signed: the token is the proof | `AssumeRole`, signed with that key |
//! | [`Identity::Ecs`] | the instance's metadata service gives a key | the same |
//! | [`Identity::Environment`], [`Identity::Files`] | the AccessKey itself | `AssumeRole`, signed with it |
//!
//! Only the last exchange carries a session policy with the two actions of CAMS: whatever the role
//! allows, the key of this exchange allows no more. (With the policy, an earlier exchange would
//! lose the right to `sts:AssumeRole`.) The key of an instance comes from no exchange and has all
//! rights of its role.
//!
//! The modules below it have one concern each: [`request`] and [`reply`] (PURE) hold the formats,
//! [`fault`] (PURE) the error texts, [`client`] the HTTP client, [`metadata`] the client of an
//! instance's metadata service. No module here retries or waits for the next renewal:
//! [`Login::exchange`] is one round.
//!
//! Limits: keys live one hour. Every role allows at least that, and no more is possible when one
//! role assumes another.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock;
use crate::secret::Secret;

pub mod client;
pub mod fault;
pub mod metadata;
pub mod reply;
pub mod request;

pub use client::StsClient;
pub use fault::{Fault, Step};
pub use metadata::MetadataClient;
pub use reply::CallerIdentity;

use super::credentials::renewal::Life;
use super::credentials::{SessionKey, read_value};
use super::{CredentialSource, Credentials, CredentialsError};
use reply::Issued;
use request::OidcExchange;

/// Region of STS by default: that of the default CAMS endpoint. (The host without a region is in
/// mainland China, and far from everything else.)
pub const DEFAULT_REGION: &str = "ap-southeast-1";
/// Default name of the operator's sessions; it appears in ActionTrail.
pub const DEFAULT_SESSION_NAME: &str = "phone-migration-operator";
/// Audience of the tokens that RAM accepts.
pub const AUDIENCE: &str = "sts.aliyuncs.com";

/// Longest token that STS accepts, with a line end, in bytes.
const MAX_TOKEN: u64 = 20_002;

/// The operations of STS that the operator calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StsAction {
    /// Exchanges a token of an OIDC provider for a role's key.
    AssumeRoleWithOidc,
    /// Exchanges a key for another role's key.
    AssumeRole,
    /// Returns the identity of a key.
    GetCallerIdentity,
}

impl StsAction {
    /// Every action.
    pub const ALL: [StsAction; 3] = [
        Self::AssumeRoleWithOidc,
        Self::AssumeRole,
        Self::GetCallerIdentity,
    ];

    /// Name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::AssumeRoleWithOidc => "AssumeRoleWithOIDC",
            Self::AssumeRole => "AssumeRole",
            Self::GetCallerIdentity => "GetCallerIdentity",
        }
    }
}

/// A role that trusts an OIDC provider, and the token for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcRole {
    /// `acs:ram::ID:role/NAME`.
    pub role_arn: String,
    /// `acs:ram::ID:oidc-provider/NAME`.
    pub provider_arn: String,
    /// File of the token, read again for each exchange.
    pub token_file: PathBuf,
}

/// A role that trusts another identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumeRole {
    /// `acs:ram::ID:role/NAME`.
    pub role_arn: String,
    /// External ID, if the role's trust policy requires one.
    pub external_id: Option<String>,
}

/// The operator's first identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// An AccessKey in the environment.
    Environment,
    /// An AccessKey in files of this directory.
    Files(PathBuf),
    /// A ServiceAccount, by its token.
    Oidc(OidcRole),
    /// The instance that the process runs on, by its RAM role.
    Ecs {
        /// The role; if `None`, the instance names it.
        role: Option<String>,
    },
}

/// The configured sign-in, without a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The first identity.
    pub identity: Identity,
    /// The role to assume with it.
    pub assume_role: Option<AssumeRole>,
    /// Name of the sessions.
    pub session_name: String,
}

impl SignIn {
    /// True if STS or the metadata service gives the key that signs, so that it is temporary.
    pub fn is_exchange(&self) -> bool {
        match self.identity {
            Identity::Oidc(_) | Identity::Ecs { .. } => true,
            Identity::Environment | Identity::Files(_) => self.assume_role.is_some(),
        }
    }
}

/// The configuration, for a log line: `RAM role acs:… (token file …)`.
impl fmt::Display for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            Identity::Environment => f.write_str("AccessKey from the environment")?,
            Identity::Files(folder) => write!(f, "AccessKey from {}", folder.display())?,
            Identity::Oidc(role) => write!(
                f,
                "RAM role {} (token file {})",
                role.role_arn,
                role.token_file.display()
            )?,
            Identity::Ecs { role: None } => f.write_str("RAM role of the ECS instance")?,
            Identity::Ecs { role: Some(role) } => write!(f, "RAM role {role} of the ECS instance")?,
        }
        match &self.assume_role {
            Some(role) => write!(f, ", then RAM role {}", role.role_arn),
            None => Ok(()),
        }
    }
}

/// A request that was made, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The requested operation.
    pub action: StsAction,
    /// `OK`, the `Code` of STS, or a word of the operator.
    pub code: String,
}

/// One round of requests and its result.
pub struct Round {
    /// The requests, in order.
    pub made: Vec<Made>,
    /// The key, and its principal as STS names it.
    pub key: Result<(SessionKey, Option<String>), Fault>,
}

/// Signs in, once per call of [`Login::exchange`].
pub struct Login {
    first: First,
    then: Option<AssumeRole>,
    session_name: String,
    sts: StsClient,
}

enum First {
    Key(CredentialSource),
    Oidc(OidcRole),
    Ecs(Box<MetadataClient>, Option<String>),
}

/// Sources of the first key of a sign-in, in addition to the configuration.
pub struct Sources<K, M> {
    /// The AccessKey, for an identity that has one.
    pub key: K,
    /// The metadata service, for the identity of an instance.
    pub metadata: M,
}

impl Login {
    /// Creates only the sources that the identity needs, and calls nothing.
    ///
    /// # Errors
    /// If the client of the metadata service cannot be built.
    pub fn new<E>(
        sign_in: &SignIn,
        sources: Sources<
            impl FnOnce() -> CredentialSource,
            impl FnOnce() -> Result<MetadataClient, E>,
        >,
        sts: StsClient,
    ) -> Result<Self, E> {
        Ok(Self {
            first: match &sign_in.identity {
                Identity::Environment | Identity::Files(_) => First::Key((sources.key)()),
                Identity::Oidc(role) => First::Oidc(role.clone()),
                Identity::Ecs { role } => First::Ecs(Box::new((sources.metadata)()?), role.clone()),
            },
            then: sign_in.assume_role.clone(),
            session_name: sign_in.session_name.clone(),
            sts,
        })
    }

    /// Requests a key, once for each role.
    pub async fn exchange(&self) -> Round {
        let mut made = Vec::new();
        let key = self.exchange_noting(&mut made).await;
        Round { made, key }
    }

    async fn exchange_noting(
        &self,
        made: &mut Vec<Made>,
    ) -> Result<(SessionKey, Option<String>), Fault> {
        let first = match &self.first {
            First::Key(source) => {
                let credentials = source.load().map_err(Fault::Key)?;
                // An AccessKey without a role needs no exchange.
                let role = self.then.as_ref().ok_or(Fault::NoRole)?;
                return self.as_role(role, &credentials, made).await;
            }
            First::Oidc(role) => self.with_token(role, made).await?,
            First::Ecs(metadata, role) => {
                let begin = clock::boot();
                in_use(metadata.key(role.as_deref()).await?, begin)?
            }
        };
        match &self.then {
            Some(role) => self.as_role(role, &first.0.credentials, made).await,
            None => Ok(first),
        }
    }

    async fn with_token(
        &self,
        role: &OidcRole,
        made: &mut Vec<Made>,
    ) -> Result<(SessionKey, Option<String>), Fault> {
        let token = read_token(&role.token_file).map_err(Fault::Token)?;
        let exchange = OidcExchange {
            role_arn: &role.role_arn,
            provider_arn: &role.provider_arn,
            token: &token,
            session_name: &self.session_name,
            last: self.then.is_none(),
        };
        let begin = clock::boot();
        let step = Step::Oidc(role.clone());
        let issued = self.sts.assume_role_with_oidc(&exchange, step).await;
        note(made, StsAction::AssumeRoleWithOidc, &issued);
        in_use(issued?, begin)
    }

    async fn as_role(
        &self,
        role: &AssumeRole,
        credentials: &Credentials,
        made: &mut Vec<Made>,
    ) -> Result<(SessionKey, Option<String>), Fault> {
        let begin = clock::boot();
        let name = &self.session_name;
        let issued = self.sts.assume_role(credentials, role, name).await;
        note(made, StsAction::AssumeRole, &issued);
        in_use(issued?, begin)
    }
}

fn note<T>(made: &mut Vec<Made>, action: StsAction, result: &Result<T, Fault>) {
    let code = match result {
        Ok(_) => "OK",
        Err(fault) => fault.code(),
    };
    made.push(Made {
        action,
        code: code.to_owned(),
    });
}

/// The life of a key begins before the operator requested it, and its length is the difference of
/// two times of STS: the local wall clock does not matter.
fn in_use(issued: Issued, begin: clock::BootTime) -> Result<(SessionKey, Option<String>), Fault> {
    let left = issued.expires.duration_since(issued.now);
    let length = std::time::Duration::try_from(left).unwrap_or_default();
    if length.is_zero() {
        return Err(Fault::Ended);
    }
    let life = Life {
        begin,
        end: begin + length,
    };
    let credentials = Arc::new(issued.credentials);
    Ok((SessionKey { credentials, life }, issued.principal))
}

fn read_token(path: &Path) -> Result<Secret, CredentialsError> {
    read_value(path, path, MAX_TOKEN)
}
