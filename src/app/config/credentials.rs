//! Chooses how the operator signs in. One rule decides once; the running process never falls back
//! to another way. PURE.
//!
//! `auto` chooses a folder of files if the user names one; else the AccessKey of the environment;
//! else the ServiceAccount's token if any of its three variables is set (then all three must be).
//! It never chooses an instance role.

use std::ffi::OsString;
use std::path::PathBuf;

use super::args::RunArgs;
use super::{ConfigError, values};
use crate::cams::sts::{AssumeRole, DEFAULT_REGION, DEFAULT_SESSION_NAME, Identity, OidcRole};
use crate::cams::{Destination, Endpoint, SignIn};

const ROLE_ARN: &str = "ALIBABA_CLOUD_ROLE_ARN";
const PROVIDER_ARN: &str = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN";
const TOKEN_FILE: &str = "ALIBABA_CLOUD_OIDC_TOKEN_FILE";
const INSTANCE_ROLE: &str = "ALIBABA_CLOUD_ECS_METADATA";
const SESSION_NAME: &str = "ALIBABA_CLOUD_ROLE_SESSION_NAME";
const STS_REGION: &str = "ALIBABA_CLOUD_STS_REGION";
const STS_ENDPOINT: &str = "ALIBABA_CLOUD_STS_ENDPOINT";
const VPC_ENDPOINT: &str = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED";

/// The variables of Alibaba Cloud's SDKs, which ACK's webhook also injects, without the values of
/// keys. An empty variable counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudVariables {
    /// The environment holds an AccessKey or a part of one.
    pub access_key: bool,
    /// `ALIBABA_CLOUD_ROLE_ARN`.
    pub role_arn: Option<String>,
    /// `ALIBABA_CLOUD_OIDC_PROVIDER_ARN`.
    pub oidc_provider_arn: Option<String>,
    /// `ALIBABA_CLOUD_OIDC_TOKEN_FILE`.
    pub oidc_token_file: Option<String>,
    /// `ALIBABA_CLOUD_ECS_METADATA`: a role's name.
    pub ecs_metadata: Option<String>,
    /// `ALIBABA_CLOUD_ROLE_SESSION_NAME`.
    pub role_session_name: Option<String>,
    /// `ALIBABA_CLOUD_STS_REGION`.
    pub sts_region: Option<String>,
    /// `ALIBABA_CLOUD_STS_ENDPOINT`: a host.
    pub sts_endpoint: Option<String>,
    /// `ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED`: `true` for the endpoint inside of a VPC.
    pub vpc_endpoint_enabled: Option<String>,
}

impl CloudVariables {
    /// Reads the variables by a lookup that returns no empty value.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        use crate::cams::credentials::{ACCESS_KEY_ID, ACCESS_KEY_SECRET};
        Self {
            access_key: [ACCESS_KEY_ID, ACCESS_KEY_SECRET]
                .iter()
                .any(|name| variable(name).is_some()),
            role_arn: variable(ROLE_ARN),
            oidc_provider_arn: variable(PROVIDER_ARN),
            oidc_token_file: variable(TOKEN_FILE),
            ecs_metadata: variable(INSTANCE_ROLE),
            role_session_name: variable(SESSION_NAME),
            sts_region: variable(STS_REGION),
            sts_endpoint: variable(STS_ENDPOINT),
            vpc_endpoint_enabled: variable(VPC_ENDPOINT),
        }
    }
}

/// The flags about credentials, unchecked.
pub(super) struct Words {
    credentials: String,
    credentials_dir: Option<OsString>,
    assume_role_arn: Option<String>,
    assume_role_external_id: Option<String>,
    sts_region: Option<String>,
    sts_endpoint: Option<String>,
}

impl Words {
    /// Moves the values out of the flags.
    pub(super) fn take(args: &mut RunArgs) -> Self {
        Self {
            credentials: std::mem::take(&mut args.credentials),
            credentials_dir: args.credentials_dir.take(),
            assume_role_arn: args.assume_role_arn.take(),
            assume_role_external_id: args.assume_role_external_id.take(),
            sts_region: args.sts_region.take(),
            sts_endpoint: args.sts_endpoint.take(),
        }
    }

    /// The identity that signs in, and the role that it then assumes.
    pub(super) fn sign_in(&self, cloud: &CloudVariables) -> Result<SignIn, ConfigError> {
        let folder = values::path("--credentials-dir", self.credentials_dir.clone())?;
        Ok(SignIn {
            identity: identity(&self.credentials, folder, cloud)?,
            assume_role: self.assume_role()?,
            session_name: session_name(cloud)?,
        })
    }

    fn assume_role(&self) -> Result<Option<AssumeRole>, ConfigError> {
        const EXTERNAL_ID: &str = "--assume-role-external-id";
        let arn = self
            .assume_role_arn
            .as_deref()
            .filter(|arn| !arn.is_empty());
        let external_id = self
            .assume_role_external_id
            .clone()
            .filter(|id| !id.is_empty());
        if external_id.as_deref().is_some_and(|id| !is_external_id(id)) {
            let advice = "write 2 to 1224 characters out of letters, digits and _+=,.@:/-";
            return Err(ConfigError::value(EXTERNAL_ID, "(not shown)", advice));
        }
        match (arn, external_id) {
            (Some(arn), external_id) if is_arn(arn, "role/") => Ok(Some(AssumeRole {
                role_arn: arn.to_owned(),
                external_id,
            })),
            (Some(arn), _) => Err(ConfigError::value("--assume-role-arn", arn, ROLE_ADVICE)),
            (None, Some(_)) => {
                let advice = "name the role that it is for with --assume-role-arn";
                Err(ConfigError::value(EXTERNAL_ID, "(not shown)", advice))
            }
            (None, None) => Ok(None),
        }
    }

    /// URL of STS: flags first, then variables. A test's loopback endpoint of CAMS serves as STS
    /// too, so a test without an STS endpoint never calls the real STS.
    pub(super) fn sts_endpoint(
        &self,
        cams_endpoint: &str,
        insecure: bool,
        cloud: &CloudVariables,
    ) -> Result<String, ConfigError> {
        let inside = cloud.vpc_endpoint_enabled.as_deref() == Some("true");
        if let Some(endpoint) = &self.sts_endpoint {
            const EXAMPLE: &str = "https://sts.ap-southeast-1.aliyuncs.com";
            let endpoint = values::endpoint("--sts-endpoint", endpoint.clone(), EXAMPLE)?;
            return Ok(url(&endpoint));
        }
        if let Some(region) = &self.sts_region {
            return match is_region(region) {
                true => Ok(url_of_region(region, inside)),
                false => Err(ConfigError::value("--sts-region", region, REGION_ADVICE)),
            };
        }
        let cams = Endpoint::parse(Destination::Cams, cams_endpoint, insecure);
        if cams.is_ok_and(|cams| cams.is_loopback()) {
            return Ok(cams_endpoint.to_owned());
        }
        if let Some(host) = &cloud.sts_endpoint {
            return Ok(url(host));
        }
        match &cloud.sts_region {
            Some(region) if is_region(region) => Ok(url_of_region(region, inside)),
            Some(region) => Err(ConfigError::variable(STS_REGION, region, REGION_ADVICE)),
            None => Ok(url_of_region(DEFAULT_REGION, inside)),
        }
    }
}

const ROLE_ADVICE: &str = "write acs:ram::ACCOUNT_ID:role/NAME";
const REGION_ADVICE: &str = "write a region such as ap-southeast-1";

fn identity(
    way: &str,
    folder: Option<PathBuf>,
    cloud: &CloudVariables,
) -> Result<Identity, ConfigError> {
    const FLAG: &str = "--credentials";
    match (way, folder) {
        ("auto" | "files", Some(folder)) => Ok(Identity::Files(folder)),
        ("auto", None) if cloud.access_key => Ok(Identity::Environment),
        ("auto", None) => match has_oidc(cloud) {
            true => oidc(cloud),
            false => Err(ConfigError::NoCredentials),
        },
        ("env", None) => Ok(Identity::Environment),
        ("files", None) => {
            let advice = "name the folder of the files with --credentials-dir";
            Err(ConfigError::value(FLAG, way, advice))
        }
        ("oidc", None) => oidc(cloud),
        ("ecs", None) => ecs(cloud),
        ("env" | "oidc" | "ecs", Some(_)) => {
            let advice = "leave out --credentials-dir, which is for files";
            Err(ConfigError::value(FLAG, way, advice))
        }
        _ => Err(ConfigError::value(
            FLAG,
            way,
            "write auto, env, files, oidc or ecs",
        )),
    }
}

/// True if any of the three is set: a user who sets one of them wants this way.
fn has_oidc(cloud: &CloudVariables) -> bool {
    [
        &cloud.role_arn,
        &cloud.oidc_provider_arn,
        &cloud.oidc_token_file,
    ]
    .iter()
    .any(|variable| variable.is_some())
}

fn oidc(cloud: &CloudVariables) -> Result<Identity, ConfigError> {
    let needed =
        |name, value: &Option<String>| value.clone().ok_or(ConfigError::OidcVariable { name });
    let role_arn = needed(ROLE_ARN, &cloud.role_arn)?;
    let provider_arn = needed(PROVIDER_ARN, &cloud.oidc_provider_arn)?;
    let token_file = needed(TOKEN_FILE, &cloud.oidc_token_file)?;
    if !is_arn(&role_arn, "role/") {
        return Err(ConfigError::variable(ROLE_ARN, &role_arn, ROLE_ADVICE));
    }
    if !is_arn(&provider_arn, "oidc-provider/") {
        let advice = "write acs:ram::ACCOUNT_ID:oidc-provider/NAME";
        return Err(ConfigError::variable(PROVIDER_ARN, &provider_arn, advice));
    }
    Ok(Identity::Oidc(OidcRole {
        role_arn,
        provider_arn,
        token_file: PathBuf::from(token_file),
    }))
}

fn ecs(cloud: &CloudVariables) -> Result<Identity, ConfigError> {
    let role = cloud.ecs_metadata.clone();
    match role.as_deref().is_none_or(is_role_name) {
        true => Ok(Identity::Ecs { role }),
        false => {
            let advice = "write the name of a RAM role";
            let name = role.unwrap_or_default();
            Err(ConfigError::variable(INSTANCE_ROLE, &name, advice))
        }
    }
}

fn session_name(cloud: &CloudVariables) -> Result<String, ConfigError> {
    let Some(name) = &cloud.role_session_name else {
        return Ok(DEFAULT_SESSION_NAME.to_owned());
    };
    let fits = (2..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'@' | b'_' | b'-'));
    match fits {
        true => Ok(name.clone()),
        false => {
            let advice = "write 2 to 64 characters out of letters, digits and .@_-";
            Err(ConfigError::variable(SESSION_NAME, name, advice))
        }
    }
}

/// `acs:ram::DIGITS:KIND/NAME`.
fn is_arn(arn: &str, kind: &str) -> bool {
    let Some((account, name)) = arn
        .strip_prefix("acs:ram::")
        .and_then(|rest| rest.split_once(':'))
    else {
        return false;
    };
    let name = name.strip_prefix(kind).unwrap_or_default();
    (1..=32).contains(&account.len())
        && account.bytes().all(|b| b.is_ascii_digit())
        && is_role_name(name)
}

fn is_role_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_external_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
    (2..=1224).contains(&id.len()) && id.bytes().all(allowed)
}

fn is_region(region: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&region.len()) && region.bytes().all(allowed)
}

fn url(host_or_url: &str) -> String {
    match host_or_url.contains("://") {
        true => host_or_url.to_owned(),
        false => format!("https://{host_or_url}"),
    }
}

fn url_of_region(region: &str, inside: bool) -> String {
    let name = if inside { "sts-vpc" } else { "sts" };
    format!("https://{name}.{region}.aliyuncs.com")
}

#[cfg(test)]
mod tests;
