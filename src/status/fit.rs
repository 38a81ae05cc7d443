//! Every bound of the schema, applied to a status before it is written. PURE.
//!
//! A refusal of our own outcome write would lose an outcome, so nothing that came from outside
//! may be longer or larger than what the API server accepts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::crd::{
    Attempt, MAX_ATTEMPTS, MAX_FINGERPRINT, MAX_IDENTIFIER, MAX_MESSAGE, MAX_NAME, MAX_NUMBER,
    PhoneMigrationStatus, SpentCode,
};

/// Shortens what is too long; changes nothing that the schema accepts.
pub(super) fn fit(status: &mut PhoneMigrationStatus) {
    for text in [
        &mut status.id,
        &mut status.error_code,
        &mut status.request_id,
        &mut status.last_handled_reconcile_at,
        &mut status.last_handled_retry_token,
    ] {
        fit_text(text, MAX_IDENTIFIER);
    }
    fit_text(&mut status.reason, MAX_NAME);
    fit_text(&mut status.phone_number, MAX_NAME);
    fit_text(&mut status.error_message, MAX_MESSAGE);
    if let Some(limit) = &mut status.attempt_limit {
        *limit = (*limit).clamp(0, MAX_ATTEMPTS);
    }
    if let Some(attempt) = &mut status.attempt {
        fit_attempt(attempt);
    }
    status
        .history
        .truncate(usize::try_from(MAX_ATTEMPTS).unwrap_or(20));
    status.history.iter_mut().for_each(fit_spent);
    status.conditions.iter_mut().for_each(fit_condition);
}

/// Not every fact writes the conditions anew: one of an earlier CRD, kept as it is, would have the
/// API server refuse the whole status.
fn fit_condition(condition: &mut Condition) {
    shorten(&mut condition.type_, MAX_NAME);
    shorten(&mut condition.reason, MAX_NAME);
    shorten(&mut condition.message, MAX_MESSAGE);
}

fn fit_attempt(attempt: &mut Attempt) {
    attempt.number = attempt.number.clamp(0, MAX_NUMBER);
    shorten(&mut attempt.id, MAX_NAME);
    shorten(&mut attempt.secret.uid, MAX_NAME);
    shorten(&mut attempt.secret.resource_version, MAX_NAME);
    fit_text(&mut attempt.code_fingerprint, MAX_FINGERPRINT);
}

fn fit_spent(entry: &mut SpentCode) {
    entry.number = entry.number.clamp(0, MAX_NUMBER);
    shorten(&mut entry.attempt_id, MAX_NAME);
    fit_text(&mut entry.code_fingerprint, MAX_FINGERPRINT);
    fit_text(&mut entry.error_code, MAX_IDENTIFIER);
    fit_text(&mut entry.request_id, MAX_IDENTIFIER);
}

fn fit_text(text: &mut Option<String>, max: usize) {
    if let Some(text) = text {
        shorten(text, max);
    }
}

/// Cuts a text to so many characters, which is what the API server counts.
pub(super) fn shorten(text: &mut String, max: usize) {
    if let Some((end, _)) = text.char_indices().nth(max) {
        text.truncate(end);
    }
}
