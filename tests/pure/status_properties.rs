//! Every fact on every status: conditions that make sense, within the schema.

use phone_migration_operator::decide::is_open;
use phone_migration_operator::fact::Fact;
use phone_migration_operator::reason::{Outcome, Spent};
use phone_migration_operator::status::{Look, apply};
use proptest::prelude::*;

use super::arbitrary::*;
use super::schema::refusals;
use super::world::now;

fn look(token: String, requested: String) -> Look {
    Look {
        generation: 2,
        now: now(),
        retry_token: Some(token),
        requested_at: Some(requested),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_api_server_accepts_it(old in a_status(), fact in a_fact(), wide in any::<bool>()) {
        let word = if wide { "🦀".repeat(5000) } else { "w".to_owned() };
        let new = apply(&old, &fact, &look(word.clone(), word));
        if new != old {
            prop_assert_eq!(refusals(&new), Vec::<String>::new());
        }
    }

    #[test]
    fn saying_it_twice_changes_nothing_more(old in a_status(), fact in a_fact()) {
        // A taken over code, a raised limit and a claim are news each time; nothing else is.
        prop_assume!(!matches!(fact, Fact::TookOver(_) | Fact::LimitRaised | Fact::Claimed(_)));
        let one = apply(&old, &fact, &look("t".into(), "r".into()));
        let again = Look { now: now() + std::time::Duration::from_secs(60), ..look("t".into(), "r".into()) };
        prop_assert_eq!(&apply(&one, &fact, &again), &one);
    }

    #[test]
    fn conditions_never_contradict_each_other(old in a_status(), fact in a_fact()) {
        let new = apply(&old, &fact, &look("t".into(), "r".into()));
        if new == old || new.reason == old.reason {
            return Ok(());
        }
        let holds = |type_: &str| {
            let found: Vec<_> = new.conditions.iter().filter(|c| c.type_ == type_).collect();
            assert_eq!(found.len(), 1, "{type_}");
            assert_eq!(found[0].observed_generation, Some(2));
            found[0].status == "True"
        };
        prop_assert!(!(holds("Reconciling") && holds("Stalled")));
        prop_assert_eq!(holds("Ready"), new.reason.as_deref() == Some("Verified"));
        prop_assert!(!holds("Finished") || !holds("Reconciling"));
        for condition in &new.conditions {
            let same = old.conditions.iter().find(|c| c.type_ == condition.type_ && c.status == condition.status);
            let since = same.map_or(now(), |c| c.last_transition_time.0);
            prop_assert_eq!(condition.last_transition_time.0, since);
        }
    }

    #[test]
    fn what_is_known_of_an_attempt_is_never_unlearned(old in a_status(), fact in a_fact()) {
        let new = apply(&old, &fact, &look("t".into(), "r".into()));
        let Some(before) = &old.attempt else { return Ok(()) };
        if is_open(&old) {
            let after = new.attempt.as_ref().unwrap();
            prop_assert_eq!(&after.id, &before.id);
            let ends = fact.outcome().is_some();
            prop_assert!(ends || after.outcome == before.outcome, "{:?}", fact);
        }
        let same = new.attempt.as_ref().filter(|a| a.id == before.id);
        if let (Some(after), Some(outcome)) = (same, before.outcome) {
            let definite = outcome.spent() != Spent::Open && outcome != Outcome::UnknownFinal;
            // What CAMS answered outweighs a release, which then is somebody else's writing.
            let answered = outcome.spent() == Spent::Released
                && matches!(fact.outcome(), Some(Outcome::Accepted | Outcome::Refused | Outcome::RequestRefused));
            prop_assert!(!definite || answered || after.outcome == Some(outcome), "{:?} by {:?}", outcome, fact);
            prop_assert!(outcome != Outcome::UnknownFinal || after.outcome.map(Outcome::spent) != Some(Spent::Released));
        }
        if !matches!(fact, Fact::TookOver(_) | Fact::Refused { .. } | Fact::UnknownFinal) {
            let kept = old.history.iter().take(20).map(|e| &e.attempt_id);
            prop_assert!(kept.eq(new.history.iter().take(20).map(|e| &e.attempt_id)));
        }
    }
}
