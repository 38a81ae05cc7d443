//! Adds to a ledger the codes that only a status, or this process's memory, has. PURE.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Ledger, end_at_most};
use crate::api::code_ledger::{LedgerEntry, MigrationRef};
use crate::api::crd::{Attempt, PhoneMigration};
use crate::domain::reads::final_at;

/// The ledger plus the entries that only this process's memory (`sent`) or the status of `object`
/// has.
///
/// An attempt is not added if the ledger has its id, or an entry that spent its code. No outcome of
/// an entry changes here.
pub fn import(
    stored: Ledger,
    sent: &[LedgerEntry],
    object: Option<&PhoneMigration>,
    validity: Duration,
    now: Timestamp,
) -> Ledger {
    let mut ledger = stored;
    if ledger.unusable.is_some() {
        return ledger;
    }
    for entry in sent {
        add(&mut ledger, entry.clone());
    }
    for entry in object.map_or_else(Vec::new, |object| evidence(object, validity, now)) {
        add(&mut ledger, entry);
    }
    ledger
}

fn add(ledger: &mut Ledger, entry: LedgerEntry) {
    let known = ledger.entry(&entry.attempt_id).is_some()
        || ledger.released.contains(&entry.attempt_id)
        || ledger.with_fingerprint(&entry.fingerprint).is_some();
    if !known {
        ledger.unstored.push(entry.attempt_id.clone());
        ledger.insert_by_age(entry);
    }
}

/// Entries for the codes that a status shows as used or possibly used, newest first.
fn evidence(object: &PhoneMigration, validity: Duration, now: Timestamp) -> Vec<LedgerEntry> {
    let Some(status) = &object.status else {
        return Vec::new();
    };
    let error_of = |attempt: &Attempt| {
        let spent = status.history.iter().find(|e| e.attempt_id == attempt.id);
        spent.map_or((None, None), |e| {
            (e.error_code.clone(), e.request_id.clone())
        })
    };
    let of_attempt = status.attempt.iter().map(|attempt| {
        let (error_code, request_id) = error_of(attempt);
        let signed_at = attempt.signed_at.0.min(now);
        let end = attempt.final_at.as_ref().map(|at| at.0);
        LedgerEntry {
            final_at: Time(
                end.unwrap_or_else(|| final_at(signed_at, validity))
                    .min(end_at_most(signed_at)),
            ),
            secret: attempt.secret.clone(),
            outcome: attempt.outcome,
            error_code,
            request_id,
            finished_at: attempt.finished_at.clone(),
            ..bare(
                object,
                &attempt.id,
                attempt.code_fingerprint.as_ref(),
                signed_at,
            )
        }
    });
    let of_history = status.history.iter().map(|spent| {
        let signed_at = spent.finished_at.0.min(now);
        LedgerEntry {
            final_at: Time(final_at(signed_at, validity)),
            outcome: Some(spent.outcome),
            error_code: spent.error_code.clone(),
            request_id: spent.request_id.clone(),
            finished_at: Some(spent.finished_at.clone()),
            ..bare(
                object,
                &spent.attempt_id,
                spent.code_fingerprint.as_ref(),
                signed_at,
            )
        }
    });
    of_attempt
        .chain(of_history)
        .filter(|entry| !entry.is_released() && !entry.attempt_id.is_empty())
        .collect()
}

fn bare(
    object: &PhoneMigration,
    attempt_id: &str,
    fingerprint: Option<&String>,
    signed_at: Timestamp,
) -> LedgerEntry {
    LedgerEntry {
        attempt_id: attempt_id.to_owned(),
        // An empty key id compares as "cannot tell"; the attempt id makes it equal to no other
        // entry.
        fingerprint: fingerprint
            .cloned()
            .unwrap_or_else(|| format!(":{attempt_id}")),
        signed_at: Time(signed_at),
        final_at: Time(signed_at),
        cust_space_id: object.spec.cust_space_id.clone(),
        migration: migration_of(object),
        secret: None,
        imported: true,
        outcome: None,
        error_code: None,
        error_message: None,
        request_id: None,
        id: None,
        finished_at: None,
    }
}

/// The reference of an entry to its PhoneMigration.
pub fn migration_of(object: &PhoneMigration) -> MigrationRef {
    let meta = &object.metadata;
    MigrationRef {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
    }
}
