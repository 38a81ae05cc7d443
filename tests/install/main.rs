//! The chart and the manifests, judged by Helm, kubeconform, kustomize and a real API server, and
//! by the operator at work under exactly the rights that a release granted.
//!
//! There is no controller-manager and no kubelet: that the Deployment's pods come up, and that
//! the aggregated ClusterRoles end up in view, edit and admin, is rendered and validated here,
//! and not run. What a kubelet would do for the operator's container (arguments, environment,
//! mounted Secrets) is done by `release`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alerts;
mod conform;
mod crd_upgrade;
mod helm;
mod kustomize;
mod lifecycle;
#[allow(dead_code)]
#[path = "../docs/page.rs"]
mod page;
mod release;
mod render;
mod rights;
mod values;
mod walk;

const OPERATOR: &str = env!("CARGO_BIN_EXE_phone-migration-operator");
