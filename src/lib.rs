//! Operator that submits WhatsApp phone-number migration codes to Alibaba Cloud CAMS
//! (`ChatappMigrationVerified`), each code at most once.

pub mod clock;
pub mod cluster;
pub mod code;
pub mod crd;
pub mod decide;
pub mod events;
pub mod fact;
pub mod message;
pub mod reads;
pub mod reason;
pub mod secret;
pub mod secret_body;
pub mod siblings;
pub mod spent;
pub mod status;
pub mod visits;
