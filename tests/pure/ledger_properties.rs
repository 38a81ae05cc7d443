//! Results that no write and no loss of a ledger may cause.

use phone_migration_operator::api::code_ledger::{LedgerEntry, MAX_IMPORTED};
use phone_migration_operator::api::reason::{CodeUse, Outcome};
use phone_migration_operator::domain::ledger::{
    Ledger, Recording, claim, put_back, recording, shown,
};
use proptest::prelude::*;

use super::arbitrary::*;
use super::world::*;

/// The rules of the schema: at most one open entry, no fingerprint in two unreleased ones.
fn obeys(entries: &[LedgerEntry]) -> bool {
    admitted(entries.to_vec()).len() == entries.len()
}

/// The rules of the schema on a change: an unreleased entry never vanishes; its code and date stay;
/// an outcome moves only forwards.
fn follows(old: &[LedgerEntry], new: &[LedgerEntry]) -> Result<(), TestCaseError> {
    for before in old {
        let Some(after) = new.iter().find(|e| e.attempt_id == before.attempt_id) else {
            prop_assert!(before.is_released(), "{} vanished", before.attempt_id);
            continue;
        };
        prop_assert_eq!(&after.fingerprint, &before.fingerprint);
        prop_assert_eq!(&after.signed_at, &before.signed_at);
        if after.outcome == before.outcome {
            continue;
        }
        let forwards = match before.code_use() {
            CodeUse::Open => true,
            CodeUse::Spent if before.outcome == FINAL => !after.is_released(),
            CodeUse::Spent => after.outcome == Some(Outcome::Adopted),
            CodeUse::Released | CodeUse::Verified => false,
        };
        prop_assert!(forwards, "{:?} to {:?}", before.outcome, after.outcome);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn no_outcome_moves_back_and_no_entry_vanishes(
        mut stored in a_ledger(), other in an_entry(), which in any::<prop::sample::Index>(), ended in an_ended(), known in any::<bool>(),
    ) {
        let ours = match known && !stored.entries.is_empty() {
            true => which.get(&stored.entries).clone(),
            false => other,
        };
        if !known {
            stored.entries.retain(|e| e.attempt_id != ours.attempt_id);
        }
        match recording(&stored, NUMBER, &ours, &ended, now()) {
            Recording::Write(new) => {
                prop_assert!(obeys(&new.entries), "{:?}", new.entries);
                follows(&stored.entries, &new.entries)?;
                let entry = new.entries.iter().find(|e| e.attempt_id == ours.attempt_id);
                let recorded = entry.unwrap().outcome;
                // Next to a rival nothing is adopted: a lost entry is put back as it was.
                let as_it_was = ended.outcome == Outcome::Adopted && recorded == ours.outcome;
                prop_assert!(recorded == Some(ended.outcome) || as_it_was);
                prop_assert_eq!(&new.released, &stored.released);
                // Recording it again writes nothing more.
                let again = Ledger { entries: new.entries, ..stored };
                let once = recording(&again, NUMBER, &ours, &ended, now());
                prop_assert_eq!(once, Recording::Stands);
            }
            Recording::Withheld => {
                let spent = stored.with_fingerprint(&ours.fingerprint).is_some();
                prop_assert!(spent || stored.open().is_some());
            }
            Recording::Stands => {}
        }
    }

    #[test]
    fn a_claim_and_what_is_put_back_obey_the_rules(world in a_world(), new in an_entry()) {
        let (stored, known) = (&world.ledger, world.known());
        let is_new = known.entry(&new.attempt_id).is_none()
            && known.with_fingerprint(&new.fingerprint).is_none();
        if known.open().is_none() && is_new && known.unusable.is_none() {
            let new = LedgerEntry { outcome: None, ..new };
            let written = claim(&known, NUMBER, new.clone());
            prop_assert!(obeys(&written.entries));
            follows(&stored.entries, &written.entries)?;
            prop_assert_eq!(&written.entries[0], &new);
            for entry in known.unreleased() {
                prop_assert!(written.entries.contains(entry));
            }
            for entry in known.entries.iter().filter(|e| e.is_released()) {
                prop_assert!(written.released.contains(&entry.attempt_id));
            }
        }
        if let Some(written) = put_back(&known, NUMBER, &|_| world.abandoned, now()) {
            prop_assert!(obeys(&written.entries));
            follows(&stored.entries, &written.entries)?;
            let imported = written.entries.iter().filter(|e| e.imported).count();
            prop_assert!(imported <= MAX_IMPORTED);
            prop_assert!(written.entries.len() > stored.entries.len());
        }
    }

    /// Status survives a loss of the ledger: every code that the ledger forbade because of this
    /// resource is forbidden by its status alone, and no released one is.
    #[test]
    fn what_status_shows_stands_in_for_a_lost_ledger(world in a_world()) {
        let world = world.with(|w| {
            w.ledger.unusable = None;
            w.sent.clear();
            w.object.status = None;
        });
        let ours: Vec<_> = world.ledger.of_uid(US).cloned().collect();
        // The code that verified the number is in no history, and makes room for an open one.
        prop_assume!(ours.iter().filter(|e| matches!(e.code_use(), CodeUse::Open | CodeUse::Verified)).count() <= 1);
        let view = shown(&world.object, &world.ledger);
        let lost = world.change_status(|s| (s.attempt, s.history) = (view.attempt, view.history));
        let lost = lost.with(|w| w.ledger = Ledger::default());
        let known = lost.known();
        for entry in &ours {
            let forbids = known.with_fingerprint(&entry.fingerprint);
            let others = ours.iter().any(|e| !e.is_released() && e.fingerprint == entry.fingerprint);
            prop_assert_eq!(forbids.is_some(), others, "{:?}", entry);
            if let (Some(known), false) = (forbids, entry.is_released()) {
                prop_assert_eq!(&known.attempt_id, &entry.attempt_id);
                prop_assert_eq!(known.outcome, entry.outcome);
                prop_assert!(!known.is_open() || known.final_at == entry.final_at);
            }
        }
        prop_assert_eq!(known.entries.len(), ours.iter().filter(|e| !e.is_released()).count());
        // And shows the same again.
        let again = shown(&lost.object, &known);
        prop_assert_eq!(again.history.len(), lost.status().history.len());
    }
}
