//! The bounds of the resource as plain numbers, so that code which cuts a text needs no Kubernetes
//! type. PURE.
//!
//! The attributes in `crd` repeat them as literals; `tests/crd.rs` compares the two.

/// Longest history, and the highest limit of codes that one namespace may spend on a number.
pub const MAX_ATTEMPTS: i32 = 20;
/// Codes that may be spent before a user must allow more.
pub const DEFAULT_ATTEMPT_LIMIT: i32 = 5;
/// Longest `errorMessage` and condition message the operator writes, in characters.
pub const MAX_MESSAGE: usize = 512;
/// Highest number of an attempt; a higher one in status is cut to it.
pub const MAX_NUMBER: i32 = 1000;
/// Longest id, reason or masked number that the operator writes, in characters.
pub const MAX_NAME: usize = 64;
/// Longest fingerprint, in characters.
pub const MAX_FINGERPRINT: usize = 96;
/// Longest identifier taken from a reply (`id`, `requestId`, `errorCode`), in characters.
pub const MAX_IDENTIFIER: usize = 128;
/// Most tokens of `status.handledRetryTokens`.
pub const MAX_HANDLED_TOKENS: usize = 20;
