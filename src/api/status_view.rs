//! The parts of a status that decisions use. PURE.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::crd::{DEFAULT_ATTEMPT_LIMIT, MAX_ATTEMPTS, PhoneMigrationStatus};
use super::reason::Reason;

/// A number with its last four digits hidden.
pub fn masked(number: &str) -> String {
    let shown = number.chars().count().saturating_sub(4);
    let mut text: String = number.chars().take(shown).collect();
    text.push_str("****");
    text
}

impl PhoneMigrationStatus {
    /// The state; `None` before the first one, or for an unknown word.
    pub fn reason(&self) -> Option<Reason> {
        self.reason.as_deref().and_then(Reason::parse)
    }

    /// The condition of this type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|one| one.type_ == type_)
    }

    /// True if the condition of this type has the status `True`.
    pub fn is_true(&self, type_: &str) -> bool {
        self.condition(type_)
            .is_some_and(|one| one.status == "True")
    }

    /// How many codes may be spent; at most 20, even if status has more.
    pub fn attempt_limit(&self) -> i32 {
        self.attempt_limit
            .unwrap_or(DEFAULT_ATTEMPT_LIMIT)
            .clamp(0, MAX_ATTEMPTS)
    }
}
