//! Cuts a status to every bound of the schema before it is written, and puts its history in order.
//! PURE.
//!
//! If the API server refused an outcome write, the outcome would be lost. So no value from outside
//! may be longer or larger than the schema allows.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::crd::{
    Attempt, MAX_ATTEMPTS, MAX_FINGERPRINT, MAX_HANDLED_TOKENS, MAX_IDENTIFIER, MAX_MESSAGE,
    MAX_NAME, MAX_NUMBER, PhoneMigrationStatus, SpentCode,
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
    status.history.iter_mut().for_each(fit_spent);
    // One order whatever the old status shows, and by what is written. Danger: otherwise two entries
    // of one code and one second, which a restored status can hold, change places with every write,
    // without end.
    status.history.sort_by(|a, b| {
        let newest_first = (b.finished_at.0, b.number).cmp(&(a.finished_at.0, a.number));
        newest_first.then_with(|| a.attempt_id.cmp(&b.attempt_id))
    });
    status
        .history
        .truncate(usize::try_from(MAX_ATTEMPTS).unwrap_or(20));
    status
        .handled_retry_tokens
        .retain(|token| is_token_hash(token));
    status.handled_retry_tokens.truncate(MAX_HANDLED_TOKENS);
    status.conditions.iter_mut().for_each(fit_condition);
}

/// 16 hexadecimal digits, as the schema requires.
fn is_token_hash(token: &str) -> bool {
    token.len() == 16
        && token
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Not every fact rewrites the conditions. If a condition written under an earlier CRD does not fit
/// this one, the API server would refuse the whole status.
fn fit_condition(condition: &mut Condition) {
    shorten(&mut condition.type_, MAX_NAME);
    shorten(&mut condition.reason, MAX_NAME);
    shorten(&mut condition.message, MAX_MESSAGE);
}

fn fit_attempt(attempt: &mut Attempt) {
    attempt.number = attempt.number.clamp(0, MAX_NUMBER);
    shorten(&mut attempt.id, MAX_NAME);
    if let Some(secret) = &mut attempt.secret {
        shorten(&mut secret.uid, MAX_NAME);
        shorten(&mut secret.resource_version, MAX_NAME);
    }
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

/// Cuts a text to `max` characters, which the API server counts (not bytes).
pub(super) fn shorten(text: &mut String, max: usize) {
    if let Some((end, _)) = text.char_indices().nth(max) {
        text.truncate(end);
    }
}
