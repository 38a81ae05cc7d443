//! Failures of requests to the API server, in words that say what to do.

use crate::exit::{Exit, Failure};
use crate::text::clean;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The object does not exist, or the resource type is not installed.
    #[error("not found")]
    NotFound,
    /// Another write was faster.
    #[error("it was changed by somebody else at the same moment: try again")]
    Conflict,
    /// A right is missing.
    #[error(
        "{0}\nThe ClusterRole phone-migration-operator-code-desk of the chart has the rights for \
         codes: have an administrator bind it in the namespace"
    )]
    Forbidden(String),
    /// The API server does not know the user.
    #[error("the API server does not accept the credentials of the kubeconfig (401): log in again")]
    Unauthorized,
    /// The API server refused the request.
    #[error("the API server refused it ({code}): {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// Message of the API server.
        message: String,
    },
    /// No definite answer; a write may have been executed.
    #[error("no answer from the API server: {0}")]
    Unreachable(String),
}

impl ApiError {
    /// Classifies by the reply's HTTP status and message.
    pub fn of(code: u16, message: &str) -> Self {
        match code {
            401 => ApiError::Unauthorized,
            403 => ApiError::Forbidden(clean(message)),
            404 => ApiError::NotFound,
            409 => ApiError::Conflict,
            code => ApiError::Refused {
                code,
                message: clean(message),
            },
        }
    }

    /// The same error without texts that may hold a code. Danger: a policy's message may quote the
    /// object that it refuses.
    #[must_use]
    pub fn without(self, code: &str) -> Self {
        let hide = |text: String| text.replace(code, "······");
        match self {
            ApiError::Forbidden(message) => ApiError::Forbidden(hide(message)),
            ApiError::Refused { code, message } => ApiError::Refused {
                code,
                message: hide(message),
            },
            ApiError::Unreachable(message) => ApiError::Unreachable(hide(message)),
            ApiError::NotFound => ApiError::NotFound,
            ApiError::Conflict => ApiError::Conflict,
            ApiError::Unauthorized => ApiError::Unauthorized,
        }
    }

    /// Adds the action that failed.
    pub fn while_(&self, what: &str) -> Failure {
        Failure {
            exit: Exit::Error,
            message: format!("{what}: {self}"),
        }
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => ApiError::of(status.code, &status.message),
            // The text of this error may quote a body.
            kube::Error::SerdeError(_) => {
                ApiError::Unreachable("its answer cannot be parsed".into())
            }
            other => ApiError::Unreachable(clean(&chain(&other))),
        }
    }
}

/// An error with its causes: the last one says what is wrong.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_named_with_the_role_that_has_it() {
        let message = "secrets is forbidden: User \"desk\" cannot create resource \"secrets\"";
        let text = ApiError::of(403, message).to_string();
        assert!(
            text.contains("cannot create resource \"secrets\""),
            "{text}"
        );
        assert!(
            text.contains("phone-migration-operator-code-desk"),
            "{text}"
        );
    }

    #[test]
    fn a_quoted_code_is_hidden() {
        for code in [403, 422] {
            let error = ApiError::of(code, "denied: object has 123456 in it").without("123456");
            assert!(!error.to_string().contains("123456"), "{error}");
        }
    }
}
