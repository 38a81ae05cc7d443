//! The chart and the manifests, judged by Helm, kubeconform, kustomize and a real API server, and
//! by the operator at work under exactly the rights that a release granted.
//!
//! There is no controller-manager and no kubelet: the Deployment's pods and the aggregated
//! ClusterRoles (into view, edit and admin) are rendered and validated here, but not run. `release`
//! does the kubelet's work for the operator's container (arguments, environment, mounted Secrets).

mod alerts;
mod check_pod;
mod conform;
mod crd_upgrade;
mod helm;
mod kustomize;
mod lifecycle;
#[allow(dead_code)]
#[path = "../../docs/page.rs"]
mod page;
mod release;
mod render;
mod rights;
mod values;
mod walk;

use harness::cases::*;

use crate::OPERATOR;
