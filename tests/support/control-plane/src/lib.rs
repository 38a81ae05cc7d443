//! A real kube-apiserver and etcd on loopback, for tests and the demo.
//!
//! [`ControlPlane::start`] brings up the pair in about 2.5 s and 300 MB: RBAC on, TLS that clients
//! verify, service-account tokens, an audit log of every request. The binaries come from
//! [`assets`]. No process survives the one that started it, however that one ends; a `static` one
//! is fine.
//!
//! What is *not* there: controller-manager, scheduler, kubelet. So no garbage collection, no end of
//! a deleted namespace, no ClusterRole aggregation, no `default` service accounts, no running
//! Deployments. Do not claim to have tested those.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use control_plane::{ControlPlane, Options};
//! let dir = tempfile::tempdir()?;
//! let control_plane = ControlPlane::start(dir.path(), Options::default()).await?;
//! control_plane.kubectl_ok(["create", "namespace", "tenant-a"]).await?;
//! let client = control_plane.admin_client().await?;
//! # Ok(()) }
//! ```

mod access;
mod audit;
mod error;
mod flags;
mod parts;
mod pki;
mod ports;
mod process;
mod run;
mod snapshot;

pub use access::install_crypto_provider;
pub use audit::AuditEntry;
pub use error::Error;
pub use go_build::kubernetes::{Assets, assets};
pub use pki::ADMIN_USER;
pub use run::{ControlPlane, Options, Pids};
