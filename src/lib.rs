//! Operator that submits WhatsApp phone-number migration codes to Alibaba Cloud CAMS
//! (`ChatappMigrationVerified`), each code at most once.

pub mod cams;
pub mod clock;
pub mod secret;
