//! Cases that do not share the control plane of `behaviour`. `install` and `cluster_faults` start
//! their own: releases bring cluster-wide objects, and API servers are stopped for minutes. `lease`
//! and `gitops` share one with a few others: elections and waiting tools have deadlines, and they
//! would miss them on a control plane that serves hundreds of cases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cluster_faults;
mod gitops;
mod install;
mod lease;

/// The binary under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_operator-under-test");
