//! Questions about the API server itself, for `check`.

use http::Request;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use serde_json::Value;

use super::{Cluster, ClusterError, within};
use crate::check::Right;

impl Cluster {
    /// The API server's version, such as `v1.36.3`.
    ///
    /// # Errors
    /// When it does not answer, or refuses our identity.
    pub async fn server_version(&self) -> Result<String, ClusterError> {
        let version = within(self.client.apiserver_version()).await?;
        Ok(version.git_version)
    }

    /// The OpenAPI document of a group and version, by its path below `openapi/v3/`.
    ///
    /// # Errors
    /// `NotFound` when nothing of it is served.
    pub async fn openapi(&self, path: &str) -> Result<Value, ClusterError> {
        let request = Request::get(format!("/openapi/v3/{path}"))
            .body(Vec::new())
            .map_err(|_| ClusterError::NotFound)?;
        within(self.client.request(request)).await
    }

    /// True if we have this right with this verb.
    ///
    /// # Errors
    /// When the API server does not say.
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
