//! The process: configuration, wiring, shutdown, and the command that checks an installation.
//!
//! | Module | Does |
//! |---|---|
//! | [`operator`] | starts and ends everything in its order |
//! | [`config`] | flags and environment become one checked configuration |
//! | [`check`] | checks that everything a run needs is there |
//! | `served` | checks that the API server serves the CRDs of this version |

pub mod check;
pub mod config;
pub mod operator;
mod served;
