//! Every state of a PhoneMigration as people and tools see it, on the real API server, with the
//! CAMS simulator and the operator binary. Judged by reads of the API server, the simulator's
//! ledger and the audit log.

mod account;
mod admission;
mod asked;
mod attempt;
mod brake;
mod cli;
mod codes;
mod events;
mod expect;
mod ledger_rules;
mod ownership;
mod process;
mod restored;
mod retry;
mod traces;
mod unknown;
mod waiting;
