//! Recognises replies of the API server itself, not of something in front of it. PURE.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde_json::Value;

use super::ClusterError;

/// The Status object that a reply consists of; `None` if the reply is anything else.
pub(super) fn status_of(body: &[u8]) -> Option<Status> {
    let kind = serde_json::from_slice::<Value>(body).ok()?;
    (kind["kind"] == "Status")
        .then(|| serde_json::from_value(kind).ok())
        .flatten()
}

/// True if the reply is a Status about the object of this name.
///
/// Danger: only such a 404 proves that the object does not exist. A proxy, a load balancer, or an
/// API server that has just lost the resource type also answers 404. If the operator trusted that,
/// it would forget a resource or an outcome.
pub(super) fn names(body: &[u8], name: &str) -> bool {
    let details = status_of(body).and_then(|status| status.details);
    details.is_some_and(|details| details.name.as_deref() == Some(name))
}

/// Like [`names`], for an error that kube's client made from a reply.
pub(super) fn is_about(status: &kube::core::Status, name: &str) -> bool {
    let mut details = status.details.iter();
    details.any(|details| details.name == name)
}

/// The error for a 404 that the operator does not trust.
pub(super) fn unbelieved() -> ClusterError {
    ClusterError::Unavailable("a 404 that does not name the object".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(body: &str) -> kube::core::Status {
        serde_json::from_str(body).unwrap_or_default()
    }

    #[test]
    fn only_a_status_that_names_the_object_is_about_it() {
        let status = |kind: &str, details: &str| {
            format!(r#"{{"kind":"{kind}","status":"Failure","code":404,"details":{details}}}"#)
        };
        let about = status("Status", r#"{"name":"a","kind":"phonemigrations"}"#);
        assert!(names(about.as_bytes(), "a") && is_about(&error_of(&about), "a"));
        for body in [
            String::new(),
            "404 page not found".to_owned(),
            "<html>a</html>".to_owned(),
            r#"{"code":404}"#.to_owned(),
            status("Status", "{}"),
            status("Status", r#"{"name":"b"}"#),
            // This Status names the namespace, not the object.
            status("Status", r#"{"name":"ns","kind":"namespaces"}"#),
        ] {
            assert!(!names(body.as_bytes(), "a"), "{body}");
            assert!(!is_about(&error_of(&body), "a"), "{body}");
        }
        let other_kind = status("Page", r#"{"name":"a"}"#);
        assert!(!names(other_kind.as_bytes(), "a"));
    }
}
