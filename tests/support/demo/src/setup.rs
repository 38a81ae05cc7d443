//! Everything that runs: control plane, simulator, operator; brought up and taken down.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness::{ControlPlane, Error, Migration, Operator, Result, World, control_plane};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::board::Board;
use crate::cast::{Role, TENANT_A, TENANT_B};

/// The running parts. Dropping it ends all of them.
pub struct Setup {
    /// Killed first: it must not see the others go.
    pub operator: Operator,
    /// Namespaces, simulator, and the control plane.
    pub world: World,
    /// The plugin's binary, to try next.
    pub plugin: PathBuf,
}

impl Setup {
    /// Brings everything up, the control plane's files in `dir`.
    pub async fn bring_up(board: &Board, dir: &Path) -> Result<Self> {
        // Up to date, unless the demo was not started by the launcher.
        let binary = harness::operator_binary().await?;
        let plugin = harness::plugin_binary().await?;
        board.say("Starting etcd and kube-apiserver");
        let control = ControlPlane::start(dir, control_plane::Options::default())
            .await
            .map_err(Error::at("control plane"))?;
        board.say("Installing the CRD, the ServiceAccount and its rights");
        let plane = Arc::new(harness::install(control).await?);
        let world = World::in_namespace(plane, binary, TENANT_A).await?;
        world.namespace(TENANT_B).await?;
        board.say("Starting the simulated cloud, and the operator under its ServiceAccount");
        let operator = start_operator(&world).await?;
        Ok(Self {
            operator,
            world,
            plugin,
        })
    }

    /// Another operator process, after the last one ended.
    pub async fn restart_operator(&mut self) -> Result<()> {
        self.operator = start_operator(&self.world).await?;
        Ok(())
    }

    /// Creates the Secret of a number.
    pub async fn code(&self, role: &Role, code: &str) -> Result<()> {
        let name = format!("{}-code", role.name);
        let data = json!({"code": code});
        self.world.secret_in(role.namespace, &name, data).await
    }

    /// Puts another code into its Secret.
    pub async fn replace_code(&self, role: &Role, code: &str) -> Result<()> {
        let name = format!("{}-code", role.name);
        let patch = json!({"stringData": {"code": code}});
        let world = &self.world;
        world.patch_secret_in(role.namespace, &name, patch).await
    }

    /// Creates the PhoneMigration, without its Secret.
    pub async fn migration(&self, role: &Role) -> Result<()> {
        let migration = Migration::new(&role.name, &role.phone);
        let created = self.world.create_in(role.namespace, &migration).await;
        created.map(|_| ())
    }

    /// The same with its right code.
    pub async fn ready_migration(&self, role: &Role) -> Result<()> {
        self.code(role, &role.code).await?;
        self.migration(role).await
    }

    /// Asks the operator to reconcile at once, as `kubectl annotate` does.
    pub async fn request(&self, role: &Role) -> Result<()> {
        let annotations = json!({"phonemigration.dev/requestedAt": "corrected"});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        self.world
            .migrations_in(role.namespace)
            .patch(&role.name, &PatchParams::default(), &patch)
            .await
            .map(|_| ())
            .map_err(Error::at(role.full_name()))
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.world.plane.control.admin_kubeconfig_path()
    }

    /// Ends all processes, in the order that makes no noise.
    pub async fn take_down(mut self) {
        // It may be dead already, killed by the play or by the same Ctrl-C.
        let _ = self.operator.kill().await;
    }
}

/// One operator for all namespaces.
async fn start_operator(world: &World) -> Result<Operator> {
    let mut launch = world.launch(&["--watch-namespaces", ""])?;
    for (name, value) in &mut launch.env {
        if name == "RUST_LOG" {
            *value = "info".to_owned();
        }
    }
    let mut operator = Operator::spawn(&launch)?;
    operator.ready().await?;
    Ok(operator)
}
