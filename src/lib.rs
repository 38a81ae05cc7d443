//! Operator that submits WhatsApp phone-number migration codes to Alibaba Cloud CAMS
//! (`ChatappMigrationVerified`), each code at most once.

pub mod clock;
pub mod config;
pub mod metrics;
pub mod secret;
pub mod server;
pub mod telemetry;
