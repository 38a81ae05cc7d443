//! Why a sign-in failed, as a message for the administrator who can repair it. PURE.

use super::{AUDIENCE, AssumeRole, OidcRole};
use crate::cams::CredentialsError;

/// One request of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `AssumeRoleWithOIDC`.
    Oidc(OidcRole),
    /// `AssumeRole`.
    AssumeRole(AssumeRole),
    /// `GetCallerIdentity`.
    Identity,
}

/// Why there is no key. `Display` is one line without a secret; it tells the administrator what to
/// do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The operator cannot read the token.
    #[error(
        "the ServiceAccount token is not there: {0}: have the pod project it, see docs/credentials.md"
    )]
    Token(CredentialsError),
    /// The operator cannot read the AccessKey that is to assume a role.
    #[error("{0}")]
    Key(CredentialsError),
    /// No reply came. The operator writes the text.
    #[error("STS cannot be reached ({0}): check DNS, --sts-endpoint and the egress rules to it")]
    Unreachable(String),
    /// STS refused a request; the message is scrubbed.
    #[error("{}", refused(step, code, message.as_deref()))]
    Refused {
        /// The refused request.
        step: Step,
        /// `Code`.
        code: String,
        /// `Message`.
        message: Option<String>,
    },
    /// Something other than STS answered.
    #[error(
        "HTTP {0} with a body that is not of STS: check --sts-endpoint and what is between it and the operator"
    )]
    NotTheApi(u16),
    /// The metadata service does not answer. The operator writes the text.
    #[error(
        "the metadata service cannot be reached ({0}): an instance role works on an ECS instance only, \
         with egress to 100.100.100.200, port 80"
    )]
    NoMetadata(String),
    /// The metadata service knows no role.
    #[error("the instance has no RAM role, or not the one that ALIBABA_CLOUD_ECS_METADATA names")]
    NoInstanceRole,
    /// Something other than the metadata service answered.
    #[error(
        "the metadata service answered HTTP {0} and no key: see whether it is in hardened mode"
    )]
    NotTheMetadata(u16),
    /// STS gave a key that had already ended by its own clock.
    #[error("STS gave a key that has ended already; it is asked again")]
    Ended,
    /// No role is configured, so the operator sent no request.
    #[error("no role is configured for this identity")]
    NoRole,
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

impl Fault {
    /// The word for metrics: the `Code` of STS, or one of the operator.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Unreachable(_) | Self::NoMetadata(_) => "NoReply",
            Self::NotTheApi(_) | Self::NotTheMetadata(_) | Self::Ended => "NotTheApi",
            Self::Token(_)
            | Self::Key(_)
            | Self::NoInstanceRole
            | Self::NoRole
            | Self::NoRandomness => "NotSent",
        }
    }
}

fn refused(step: &Step, code: &str, message: Option<&str>) -> String {
    match advice(step, code) {
        Some(advice) => format!("{} ({code}): {advice}", what(step)),
        None => {
            let message = message.unwrap_or("no message");
            format!(
                "{} ({code}: {message}): look the code up in the documentation of STS",
                what(step)
            )
        }
    }
}

fn what(step: &Step) -> String {
    match step {
        Step::Oidc(role) => format!(
            "STS does not let the ServiceAccount assume {}",
            role.role_arn
        ),
        Step::AssumeRole(role) => format!("STS does not let us assume {}", role.role_arn),
        Step::Identity => "STS does not say whose key it is".to_owned(),
    }
}

/// The required change; `None` for an unknown code.
fn advice(step: &Step, code: &str) -> Option<String> {
    let of_step = match step {
        Step::Oidc(role) => of_oidc(role, code),
        Step::AssumeRole(role) => of_assume_role(role, code),
        Step::Identity => None,
    };
    of_step.or_else(|| of_any(code))
}

fn of_oidc(role: &OidcRole, code: &str) -> Option<String> {
    let OidcRole {
        role_arn,
        provider_arn,
        token_file,
    } = role;
    let file = token_file.display();
    Some(match code {
        "AuthenticationFail.OIDCToken.Expired" => format!(
            "the token in {file} has expired: see whether the kubelet renews it, and whether the \
             node's clock is right"
        ),
        "AuthenticationFail.OIDCToken.AudienceNotMatch" => format!(
            "set the audience of the projected token to {AUDIENCE}, and list it as a client ID of \
             {provider_arn}"
        ),
        "AuthenticationFail.OIDCToken.IssuerNotMatch" => format!(
            "the token is of another issuer than {provider_arn}: name the OIDC provider of this \
             cluster"
        ),
        "AuthenticationFail.OIDCToken.IssuerConfigurationBroken" => format!(
            "RAM cannot read the keys of the issuer of {provider_arn}: its discovery document must \
             be on the internet"
        ),
        "AuthenticationFail.NoPermission" => format!(
            "see that the OIDC provider {provider_arn} exists, and that the trust policy of \
             {role_arn} names it, the audience {AUDIENCE} and this ServiceAccount (oidc:sub)"
        ),
        "EntityNotExist.Role" => "create this role, or correct its ARN".to_owned(),
        _ if code.starts_with("AuthenticationFail.OIDCToken") => format!(
            "{provider_arn} does not take the token in {file}: see its issuer, client IDs and \
             thumbprints"
        ),
        _ if code.starts_with("InvalidParameter") => format!(
            "one of {role_arn}, {provider_arn} and the session name is not what STS expects"
        ),
        _ => return None,
    })
}

fn of_assume_role(role: &AssumeRole, code: &str) -> Option<String> {
    let id = match role.external_id {
        Some(_) => "with the external ID that is configured",
        None => "with an external ID if the role asks for one (--assume-role-external-id)",
    };
    Some(match code {
        "NoPermission" => format!(
            "allow sts:AssumeRole on it to the identity that asks, and trust that identity in the \
             role, {id}"
        ),
        "EntityNotExist.Role" => "create this role, or correct --assume-role-arn".to_owned(),
        "InvalidParameter.RoleArn" => "correct --assume-role-arn".to_owned(),
        "InvalidParameter.ExternalId" => "correct --assume-role-external-id".to_owned(),
        _ => return None,
    })
}

fn of_any(code: &str) -> Option<String> {
    let stem = code.split('.').next().unwrap_or_default();
    Some(match stem {
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSecurityToken"
        | "MissingSecurityToken"
        | "IncompleteSignature" => {
            "STS refuses the AccessKey: give the operator a valid one".to_owned()
        }
        "InvalidTimeStamp" | "IllegalTimestamp" => "correct the clock of the node".to_owned(),
        "Throttling" => "STS throttles the account; it is asked again".to_owned(),
        "InternalError" | "ServiceUnavailable" => {
            "STS has a trouble of its own; it is asked again".to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn oidc() -> Step {
        Step::Oidc(OidcRole {
            role_arn: "acs:ram::1:role/phmig".to_owned(),
            provider_arn: "acs:ram::1:oidc-provider/ack".to_owned(),
            token_file: PathBuf::from("/run/token"),
        })
    }

    fn assume(external_id: Option<&str>) -> Step {
        Step::AssumeRole(AssumeRole {
            role_arn: "acs:ram::2:role/x".to_owned(),
            external_id: external_id.map(str::to_owned),
        })
    }

    fn line(step: Step, code: &str) -> String {
        let (code, message) = (code.to_owned(), Some("the message".to_owned()));
        Fault::Refused {
            step,
            code,
            message,
        }
        .to_string()
    }

    /// The codes that the documentation of RRSA, AssumeRole and the gateway lists, and the words
    /// that each message must contain.
    #[test]
    fn every_documented_code_says_what_to_change() {
        let by_oidc = [
            (
                "AuthenticationFail.OIDCToken.Expired",
                "the token in /run/token has expired",
            ),
            (
                "AuthenticationFail.OIDCToken.AudienceNotMatch",
                "audience of the projected token to sts.aliyuncs.com",
            ),
            (
                "AuthenticationFail.OIDCToken.IssuerNotMatch",
                "another issuer than acs:ram::1:oidc-provider/ack",
            ),
            (
                "AuthenticationFail.OIDCToken.IssuerConfigurationBroken",
                "discovery document",
            ),
            (
                "AuthenticationFail.OIDCToken.Invalid",
                "does not take the token in /run/token",
            ),
            (
                "AuthenticationFail.NoPermission",
                "trust policy of acs:ram::1:role/phmig",
            ),
            ("EntityNotExist.Role", "create this role"),
            ("InvalidParameter.OIDCProviderArn", "not what STS expects"),
            ("Throttling.User", "asked again"),
        ];
        for (code, words) in by_oidc {
            let line = line(oidc(), code);
            let start = format!(
                "STS does not let the ServiceAccount assume acs:ram::1:role/phmig ({code}): "
            );
            assert!(line.starts_with(&start), "{line}");
            assert!(line.contains(words), "{line}");
        }
        let by_key = [
            ("NoPermission", "allow sts:AssumeRole"),
            ("EntityNotExist.Role", "correct --assume-role-arn"),
            ("InvalidParameter.RoleArn", "correct --assume-role-arn"),
            (
                "InvalidParameter.ExternalId",
                "correct --assume-role-external-id",
            ),
            ("InvalidAccessKeyId.NotFound", "refuses the AccessKey"),
            ("SignatureDoesNotMatch", "refuses the AccessKey"),
            ("InvalidSecurityToken.Expired", "refuses the AccessKey"),
            ("InvalidTimeStamp.Expired", "clock of the node"),
            ("InternalError", "asked again"),
        ];
        for (code, words) in by_key {
            let line = line(assume(None), code);
            assert!(line.starts_with(&format!(
                "STS does not let us assume acs:ram::2:role/x ({code}): "
            )));
            assert!(line.contains(words), "{line}");
        }
        assert!(line(assume(None), "NoPermission").contains("--assume-role-external-id"));
        assert!(line(assume(Some("secretish")), "NoPermission").contains("that is configured"));
        assert!(!line(assume(Some("secretish")), "NoPermission").contains("secretish"));
    }

    #[test]
    fn a_code_that_is_not_known_brings_its_message() {
        assert_eq!(
            line(Step::Identity, "Some.Thing"),
            "STS does not say whose key it is (Some.Thing: the message): look the code up in the \
             documentation of STS"
        );
    }
}
