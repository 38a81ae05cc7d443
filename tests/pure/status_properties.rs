//! Every fact on every status and ledger: consistent conditions, within the schema, and no loss of
//! knowledge.

use phone_migration_operator::api::crd::PhoneMigrationStatus;
use phone_migration_operator::api::reason::{CodeUse, Outcome, Reason};
use phone_migration_operator::domain::fact::Fact;
use phone_migration_operator::domain::ledger::Ledger;
use phone_migration_operator::domain::status::{Stamp, UserRequest, apply};
use proptest::prelude::*;

use super::arbitrary::*;
use super::schema::refusals;
use super::states::stamp;
use super::world::*;

/// The status after `fact`, and whether it was written.
fn said(
    old: &PhoneMigrationStatus,
    fact: &Fact,
    ledger: &Ledger,
    stamp: &Stamp,
) -> (PhoneMigrationStatus, bool) {
    match apply(&object(Some(old.clone())), fact, ledger, stamp) {
        Some(new) => (new, true),
        None => (old.clone(), false),
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn the_api_server_accepts_it(old in a_status(), fact in a_fact(), ledger in a_ledger(), wide in any::<bool>()) {
        let word = if wide { "🦀".repeat(5000) } else { "w".to_owned() };
        let request = UserRequest { retry_token: word.clone(), requested_at: Some(word), ..stamp(0).request };
        let (new, written) = said(&old, &fact, &ledger, &Stamp { request, ..stamp(0) });
        if written {
            prop_assert_eq!(refusals(&new), Vec::<String>::new());
        }
    }

    #[test]
    fn saying_it_twice_changes_nothing_more(old in a_status(), fact in a_fact(), ledger in a_ledger()) {
        let (one, _) = said(&old, &fact, &ledger, &stamp(0));
        let (two, written) = said(&one, &fact, &ledger, &stamp(60));
        prop_assert!(!written, "{:?}\n{:?}", one, two);
    }

    #[test]
    fn conditions_never_contradict_each_other(old in a_status(), fact in a_fact(), ledger in a_ledger()) {
        let (new, written) = said(&old, &fact, &ledger, &stamp(0));
        if !written || new.reason == old.reason {
            return Ok(());
        }
        let holds = |type_: &str| {
            let found: Vec<_> = new.conditions.iter().filter(|c| c.type_ == type_).collect();
            assert_eq!(found.len(), 1, "{type_}");
            assert_eq!(found[0].observed_generation, Some(3));
            found[0].status == "True"
        };
        prop_assert!(!(holds("Reconciling") && holds("Stalled")));
        prop_assert_eq!(holds("Ready"), new.reason() == Some(Reason::Verified));
        prop_assert!(!holds("Finished") || !holds("Reconciling"));
        for condition in &new.conditions {
            let same = old.conditions.iter().find(|c| c.type_ == condition.type_ && c.status == condition.status);
            let since = same.map_or(now(), |c| c.last_transition_time.0);
            prop_assert_eq!(condition.last_transition_time.0, since);
        }
    }

    /// Entries that only status shows are the evidence from which a lost ledger is filled again.
    #[test]
    fn what_only_status_knows_stays(old in a_status(), fact in a_fact(), ledger in a_ledger()) {
        // More than 20 are cut; two with one id cannot be told apart.
        prop_assume!(old.history.len() < 10);
        let (new, _) = said(&old, &fact, &ledger, &stamp(0));
        let unknown = |id: &str| ledger.entry(id).is_none() && !ledger.released.iter().any(|r| r == id);
        let shows = |id: &str| {
            new.attempt.as_ref().is_some_and(|a| a.id == id) || new.history.iter().any(|e| e.attempt_id == id)
        };
        for spent in old.history.iter().filter(|e| unknown(&e.attempt_id)) {
            prop_assert!(shows(&spent.attempt_id), "{:?}", spent);
        }
        if let Some(attempt) = old.attempt.as_ref().filter(|a| unknown(&a.id)) {
            let used = attempt.outcome.map_or(CodeUse::Open, Outcome::code_use);
            let fingerprint = attempt.code_fingerprint.as_deref().unwrap_or_default();
            let superseded = ledger.with_fingerprint(fingerprint).is_some_and(|e| !e.is_open());
            let may_go = used == CodeUse::Released || (used == CodeUse::Open && superseded);
            prop_assert!(may_go || shows(&attempt.id), "{:?}", attempt);
        }
    }

    #[test]
    fn a_definite_outcome_is_never_replaced_by_a_weaker_one(old in a_status(), fact in a_fact(), ledger in a_ledger()) {
        let (new, _) = said(&old, &fact, &ledger, &stamp(0));
        let (Some(before), Some(after)) = (&old.attempt, &new.attempt) else { return Ok(()) };
        if let (Some(known), Some(said), true) = (before.outcome, after.outcome, before.id == after.id) {
            prop_assert!(said == known || said.may_replace(Some(known)), "{:?} by {:?}", known, said);
        }
        prop_assert!(before.id != after.id || before.outcome.is_none() || after.outcome.is_some());
    }
}
