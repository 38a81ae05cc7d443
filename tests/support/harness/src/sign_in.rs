//! Worlds whose operator signs in with its ServiceAccount's token: the API server issues it, and
//! the simulated STS checks it against the API server's keys.

use std::path::PathBuf;

use cams_simulator::{OidcProvider, Role};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use serde_json::Value;

use crate::cluster::{OPERATOR_NAMESPACE, SERVICE_ACCOUNT};
use crate::error::{Error, Result};
use crate::world::World;

/// The role of these worlds.
pub const ROLE: &str = "acs:ram::1968132000234567:role/phmig";
/// The provider that it trusts.
pub const PROVIDER: &str = "acs:ram::1968132000234567:oidc-provider/ack-rrsa-test";
/// The audience that the provider accepts.
pub const AUDIENCE: &str = "sts.aliyuncs.com";

impl World {
    /// A role that trusts the operator's ServiceAccount.
    pub fn role(&self) -> Role {
        Role::new(ROLE).trusting(PROVIDER, self.plane.operator_user())
    }

    /// Makes the API server an issuer that the simulated RAM knows, adds the role, and writes a
    /// token as the kubelet would. An operator that starts with `--credentials=oidc` uses it.
    pub async fn rrsa(&self, role: Role) -> Result<()> {
        self.provider(AUDIENCE).await?;
        self.sim.add_role(role);
        self.project_token(AUDIENCE).await
    }

    /// Makes the API server known as an issuer for this audience.
    pub async fn provider(&self, audience: &str) -> Result<()> {
        let get = |path: &'static str| async move {
            let request = http::Request::get(path).body(Vec::new());
            let request = request.map_err(Error::at(path))?;
            let answer = self.plane.admin.request::<Value>(request).await;
            answer.map_err(Error::at(path))
        };
        let discovery = get("/.well-known/openid-configuration").await?;
        self.sim.add_provider(OidcProvider {
            arn: PROVIDER.to_owned(),
            issuer: discovery["issuer"].as_str().unwrap_or_default().to_owned(),
            client_ids: vec![audience.to_owned()],
            jwks: get("/openid/v1/jwks").await?,
        });
        Ok(())
    }

    /// Replaces the projected token by one for this audience.
    pub async fn project_token(&self, audience: &str) -> Result<()> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![audience.to_owned()],
                expiration_seconds: Some(3600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let admin = self.plane.admin.clone();
        let accounts: Api<ServiceAccount> = Api::namespaced(admin, OPERATOR_NAMESPACE);
        let answer = accounts
            .create_token_request(SERVICE_ACCOUNT, &PostParams::default(), &request)
            .await
            .map_err(Error::at("TokenRequest"))?;
        let token = answer.status.map(|status| status.token).unwrap_or_default();
        self.remember_token(&token);
        // As the kubelet does: the whole file exists at every moment.
        let (next, file) = (self.dir().join("token-next"), self.token_file());
        std::fs::write(&next, token).map_err(Error::at("token"))?;
        std::fs::rename(next, file).map_err(Error::at("token"))
    }

    pub fn token_file(&self) -> PathBuf {
        self.dir().join("token")
    }

    /// The variables that ACK's webhook injects.
    pub(crate) fn rrsa_variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ALIBABA_CLOUD_ROLE_ARN", ROLE.to_owned()),
            ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", PROVIDER.to_owned()),
            (
                "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
                self.token_file().to_string_lossy().into_owned(),
            ),
        ]
    }
}
