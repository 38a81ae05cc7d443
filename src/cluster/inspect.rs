//! Questions about the API server itself, for `check`.

use std::fmt;

use http::Request;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use serde_json::Value;

use super::{Cluster, ClusterError, within};

/// A right on one resource type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// API group; `""` is the core group.
    pub group: &'static str,
    /// Resource, with its subresource after a slash.
    pub resource: &'static str,
    /// Verbs.
    pub verbs: Vec<&'static str>,
    /// Namespace; `None` for all.
    pub namespace: Option<String>,
}

impl Right {
    /// The resource and its subresource, split.
    pub fn parts(&self) -> (&'static str, Option<&'static str>) {
        match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (self.resource, None),
        }
    }

    /// The given verbs on this right, as text.
    pub fn words(&self, verbs: &[&str]) -> String {
        format!("{} {self}", verbs.join(", "))
    }
}

/// The resource and its scope, as text.
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in namespace {namespace}", self.resource),
            None => write!(f, "{} in all namespaces", self.resource),
        }
    }
}

impl Cluster {
    /// The API server's version, such as `v1.36.3`.
    ///
    /// # Errors
    /// When the API server does not answer, or refuses the operator's identity.
    pub async fn server_version(&self) -> Result<String, ClusterError> {
        let version = within(self.client.apiserver_version()).await?;
        Ok(version.git_version)
    }

    /// The OpenAPI document of a group and version; `path` is its path below `openapi/v3/`.
    ///
    /// # Errors
    /// `NotFound` when the API server does not serve this group and version.
    pub async fn openapi(&self, path: &str) -> Result<Value, ClusterError> {
        let request = Request::get(format!("/openapi/v3/{path}"))
            .body(Vec::new())
            .map_err(|_| ClusterError::NotFound)?;
        within(self.client.request(request)).await
    }

    /// True if the operator has this right with this verb.
    ///
    /// # Errors
    /// When the API server does not answer the review.
    pub async fn may(&self, right: &Right, verb: &str) -> Result<bool, ClusterError> {
        let (resource, subresource) = right.parts();
        let attributes = ResourceAttributes {
            group: Some(right.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: subresource.map(str::to_owned),
            verb: Some(verb.to_owned()),
            namespace: right.namespace.clone(),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let answer = within(api.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}
