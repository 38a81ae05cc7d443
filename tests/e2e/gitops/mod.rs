//! The verdicts of GitOps tools on a PhoneMigration in every state: Flux's kstatus library and
//! health check expressions, Argo CD's health script in a Lua interpreter, Helm's `--wait`,
//! server-side apply. The objects are those that a real API server returns.

mod argo;
mod helm;
mod kstatus;
mod ownership;
mod states;

use harness::cases::*;

use crate::OPERATOR;
