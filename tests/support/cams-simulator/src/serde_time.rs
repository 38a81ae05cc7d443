//! RFC 3339 timestamps in JSON. PURE.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// A timestamp as a string.
pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(at)
}

/// A string as a timestamp.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}
