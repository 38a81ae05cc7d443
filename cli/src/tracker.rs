//! Codes that were handed in, and how each ended. PURE: the caller passes the time since the start.
//!
//! The outcome of a hand-in is that of the attempt whose Secret has the uid and the version that
//! the write returned. So the tracker takes neither an old `Finished` nor another user's code for
//! it. If the operator makes no attempt (the code is unusable, the same as a spent one, …), the
//! state counts that the operator shows at rest after it answered the hand-in's request. An
//! unchanged state proves nothing: the CLI asks the operator again, and the operator must answer
//! that, too. It answers nothing while an attempt runs, and shows `Queued` after 1 s.

use std::collections::BTreeMap;
use std::time::Duration;

use phone_migration_api::crd::{PhoneMigration, SecretVersion};
use phone_migration_api::reason::{CodeUse, Outcome, Reason};

use crate::cluster::Key;
use crate::exit::Exit;
use crate::state;
use crate::text::clean;

/// A state that stays unchanged this long after the operator's reconcile is the answer. A resource
/// that waits for its turn says so within 2 s.
pub const QUIET: Duration = Duration::from_secs(5);

/// What a hand-in wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandIn {
    /// The Secret, as the API server has it since.
    pub secret: SecretVersion,
    /// The value of the annotation requestedAt.
    pub request: String,
}

/// How a hand-in ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What it was.
    pub key: Key,
    /// The exit code of `code`.
    pub exit: Exit,
    /// The state, as a word.
    pub reason: String,
    /// The Id, if the number is verified.
    pub id: Option<String>,
    /// The code of the error that CAMS answered.
    pub error_code: Option<String>,
    /// What it means.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// From the hand-in on.
    pub took: Duration,
}

/// The part of a status that matters: while it is unchanged, nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    reason: String,
    message: String,
    attempt: Option<String>,
    outcome: Option<Outcome>,
    answered: Option<String>,
}

struct Pending {
    hand_in: HandIn,
    asked_again: bool,
    before: Shown,
    shown: Shown,
    since: Duration,
    began: Duration,
}

/// Hand-ins that have no outcome yet.
#[derive(Default)]
pub struct Tracker {
    latest: BTreeMap<Key, PhoneMigration>,
    pending: BTreeMap<Key, Pending>,
}

impl Tracker {
    /// A code is about to be handed in for `object`, as it was read for that.
    pub fn begin(&mut self, object: &PhoneMigration) {
        let key = Key::of(object);
        self.latest.entry(key).or_insert_with(|| object.clone());
    }

    /// A code was handed in. `before`: the resource as it was.
    pub fn add(&mut self, before: &PhoneMigration, hand_in: HandIn, now: Duration) {
        let before_shown = shown(before);
        let pending = Pending {
            hand_in,
            asked_again: false,
            shown: before_shown.clone(),
            before: before_shown,
            since: now,
            began: now,
        };
        self.pending.insert(Key::of(before), pending);
    }

    /// A resource was seen.
    pub fn see(&mut self, object: PhoneMigration) {
        self.latest.insert(Key::of(&object), object);
    }

    /// A resource is gone.
    pub fn gone(&mut self, key: &Key) {
        self.latest.remove(key);
    }

    /// The hand-ins that ended since the last call.
    pub fn ended(&mut self, now: Duration) -> Vec<Ending> {
        let mut endings = Vec::new();
        for (key, pending) in &mut self.pending {
            let ending = match self.latest.get(key) {
                Some(object) => pending.ending(object, now),
                None => Some(deleted(key, now.saturating_sub(pending.began))),
            };
            endings.extend(ending);
        }
        for ending in &endings {
            self.pending.remove(&ending.key);
        }
        endings
    }

    /// Hand-ins with an unchanged state although the operator reconciled: the CLI must ask again.
    pub fn to_ask_again(&self, now: Duration) -> Vec<Key> {
        let stale = self.pending.iter().filter(|(_, pending)| {
            let quiet = now.saturating_sub(pending.since) >= QUIET;
            !pending.asked_again && pending.is_answered() && quiet
        });
        stale.map(|(key, _)| key.clone()).collect()
    }

    /// The CLI asked again with this value.
    pub fn asked_again(&mut self, key: &Key, request: String) {
        if let Some(pending) = self.pending.get_mut(key) {
            pending.asked_again = true;
            pending.hand_in.request = request;
        }
    }

    /// How many have no outcome yet.
    pub fn open(&self) -> usize {
        self.pending.len()
    }

    /// Whether a hand-in for this resource has no outcome yet.
    pub fn is_open(&self, key: &Key) -> bool {
        self.pending.contains_key(key)
    }

    /// Hand-ins that the operator has not reconciled for this long.
    pub fn unanswered(&self, now: Duration, at_least: Duration) -> Vec<&Key> {
        let open = self.pending.iter().filter(|(_, pending)| {
            !pending.is_answered() && now.saturating_sub(pending.began) >= at_least
        });
        open.map(|(key, _)| key).collect()
    }

    /// The time is up: returns the known facts of each open hand-in.
    pub fn give_up(&mut self, now: Duration) -> Vec<Ending> {
        let pending = std::mem::take(&mut self.pending);
        let late = |(key, pending): (Key, Pending)| {
            let message = match pending.is_answered() {
                true => format!("no outcome yet: {}", pending.shown.message),
                false => "the operator has not reconciled it: is it running?".to_owned(),
            };
            Ending {
                advice: format!("kubectl phmig explain {} -n {}", key.name, key.namespace),
                key,
                exit: Exit::Timeout,
                reason: pending.shown.reason,
                id: None,
                error_code: None,
                message,
                took: now.saturating_sub(pending.began),
            }
        };
        pending.into_iter().map(late).collect()
    }
}

impl Pending {
    fn is_answered(&self) -> bool {
        self.shown.answered.as_ref() == Some(&self.hand_in.request)
    }

    fn ending(&mut self, object: &PhoneMigration, now: Duration) -> Option<Ending> {
        let shown = shown(object);
        if shown != self.shown {
            self.shown = shown;
            self.since = now;
        }
        let took = now.saturating_sub(self.began);
        let reason = state::reason(object)?;
        if reason == Reason::Verified {
            return Some(ending(object, reason, Exit::Done, took));
        }
        let ours = object.status.as_ref().and_then(|s| s.attempt.as_ref());
        let ours = ours.filter(|a| a.secret.as_ref() == Some(&self.hand_in.secret));
        if let Some(outcome) = ours.and_then(|attempt| attempt.outcome) {
            match outcome.code_use() {
                // The state says what is to be done about it, and it was written with it.
                CodeUse::Spent => {
                    let exit = state::exit(reason).unwrap_or(Exit::Person);
                    return Some(ending(object, reason, exit, took));
                }
                // A read may still find the number verified, and Verified is seen above.
                CodeUse::Open | CodeUse::Released | CodeUse::Verified => {}
            }
        }
        let mut exit = state::exit(reason)?;
        // The outcome of an earlier code, whose attempt was still under way, or of a later one.
        let anothers = ours.is_none() && self.shown.attempt != self.before.attempt;
        let is_news = (&self.shown.reason, &self.shown.message)
            != (&self.before.reason, &self.before.message);
        let tells = is_news && !anothers || self.asked_again;
        let quiet = tells && now.saturating_sub(self.since) >= QUIET;
        // A released attempt and an open one go on by themselves. They show at rest only after
        // nothing changed for a while.
        let at_rest = quiet || is_news && ours.is_none() && !anothers && is_verdict(reason);
        if !(self.is_answered() && at_rest) {
            return None;
        }
        if anothers && exit == Exit::Refused {
            exit = Exit::Person;
        }
        let mut ending = ending(object, reason, exit, took);
        if anothers {
            ending.message = format!(
                "the Secret was changed by somebody else, and this is what became of that code: {}",
                ending.message
            );
        }
        Some(ending)
    }
}

/// Whether a state that is new since the hand-in tells the code's outcome. The other states may be
/// short and pass.
fn is_verdict(reason: Reason) -> bool {
    match reason {
        Reason::InvalidCode
        | Reason::SecretForbidden
        | Reason::CodeExpired
        | Reason::CodeRejected
        | Reason::AttemptsExhausted
        | Reason::LedgerUnreadable
        | Reason::CodeUnknown
        | Reason::DuplicatePhoneNumber
        | Reason::Suspended => true,
        Reason::SecretNotFound
        | Reason::KeyNotFound
        | Reason::Queued
        | Reason::Verified
        | Reason::RequestRejected
        | Reason::CredentialsInvalid
        | Reason::AccountError
        | Reason::ClockSkew
        | Reason::Throttled
        | Reason::OutcomeUnknown => false,
    }
}

fn shown(object: &PhoneMigration) -> Shown {
    let status = object.status.as_ref();
    let attempt = status.and_then(|status| status.attempt.as_ref());
    Shown {
        reason: state::word(object),
        message: state::message(object),
        attempt: attempt.map(|attempt| attempt.id.clone()),
        outcome: attempt.and_then(|attempt| attempt.outcome),
        answered: status.and_then(|status| status.last_handled_reconcile_at.clone()),
    }
}

fn ending(object: &PhoneMigration, reason: Reason, exit: Exit, took: Duration) -> Ending {
    let status = object.status.as_ref();
    let text = |field: Option<&String>| field.map(|text| clean(text));
    let key = Key::of(object);
    Ending {
        exit,
        reason: reason.as_str().to_owned(),
        id: text(status.and_then(|status| status.id.as_ref())),
        error_code: text(status.and_then(|status| status.error_code.as_ref()))
            .filter(|_| exit != Exit::Done),
        message: state::message(object),
        advice: state::advice(reason, &key),
        took,
        key,
    }
}

fn deleted(key: &Key, took: Duration) -> Ending {
    Ending {
        key: key.clone(),
        exit: Exit::Person,
        reason: "Deleted".to_owned(),
        id: None,
        error_code: None,
        message: "the PhoneMigration was deleted meanwhile".to_owned(),
        advice: String::new(),
        took,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::state::tests::in_state;
    use phone_migration_api::crd::Attempt;
    use serde_json::json;

    const ZERO: Duration = Duration::ZERO;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn version(n: u32) -> SecretVersion {
        SecretVersion {
            uid: "u".into(),
            resource_version: n.to_string(),
        }
    }

    fn hand_in() -> HandIn {
        HandIn {
            secret: version(7),
            request: "now".into(),
        }
    }

    fn attempt(secret: u32, outcome: Option<&str>) -> Attempt {
        serde_json::from_value(json!({"number": 1, "id": format!("a{secret}"),
            "signedAt": "2026-01-31T12:00:00Z", "outcome": outcome,
            "secret": {"uid": "u", "resourceVersion": secret.to_string()}}))
        .unwrap()
    }

    fn answered(mut object: PhoneMigration) -> PhoneMigration {
        object.status.as_mut().unwrap().last_handled_reconcile_at = Some("now".into());
        object
    }

    fn with(mut object: PhoneMigration, attempt: Attempt) -> PhoneMigration {
        object.status.as_mut().unwrap().attempt = Some(attempt);
        object
    }

    fn tracker(before: &PhoneMigration) -> Tracker {
        let mut tracker = Tracker::default();
        tracker.begin(before);
        tracker.add(before, hand_in(), ZERO);
        tracker
    }

    fn rejected() -> PhoneMigration {
        in_state("a", Reason::CodeRejected, true)
    }

    #[test]
    fn an_old_outcome_is_not_taken_for_the_new_one() {
        let before = with(rejected(), attempt(5, Some("Refused")));
        let mut tracker = tracker(&before);
        assert_eq!(tracker.ended(secs(300)), []);
        // The operator reconciled, but has not read the new code yet.
        tracker.see(answered(before));
        assert_eq!(tracker.ended(secs(301)), []);
        tracker.see(answered(with(rejected(), attempt(7, Some("Refused")))));
        let endings = tracker.ended(secs(302));
        assert_eq!(endings[0].exit, Exit::Refused);
        assert_eq!(endings[0].took, secs(302));
        assert_eq!(tracker.open(), 0);
    }

    #[test]
    fn a_later_code_of_somebody_else_is_not_ours() {
        let mut tracker = tracker(&in_state("a", Reason::SecretNotFound, false));
        tracker.see(with(rejected(), attempt(9, Some("Refused"))));
        assert_eq!(tracker.ended(secs(60)), []);
    }

    #[test]
    fn what_became_of_another_code_is_told_as_that() {
        let mut tracker = tracker(&in_state("a", Reason::SecretNotFound, false));
        tracker.see(answered(with(rejected(), attempt(9, Some("Refused")))));
        assert_eq!(tracker.ended(secs(12)), [], "ours may come next");
        let key = tracker.to_ask_again(secs(17)).remove(0);
        tracker.asked_again(&key, "now".into());
        let ending = &tracker.ended(secs(18))[0];
        assert_eq!(ending.exit, Exit::Person);
        assert!(ending.message.contains("somebody else"), "{ending:?}");
    }

    #[test]
    fn an_outcome_that_was_seen_before_the_write_returned_counts() {
        let before = in_state("a", Reason::SecretNotFound, false);
        let mut tracker = Tracker::default();
        tracker.begin(&before);
        tracker.see(answered(with(rejected(), attempt(7, Some("Refused")))));
        tracker.add(&before, hand_in(), ZERO);
        assert_eq!(tracker.ended(ZERO)[0].exit, Exit::Refused);
    }

    #[test]
    fn verified_counts_with_or_without_an_attempt() {
        let mut tracker = tracker(&in_state("a", Reason::SecretNotFound, false));
        let mut verified = in_state("a", Reason::Verified, false);
        verified.status.as_mut().unwrap().id = Some("82828893332".into());
        tracker.see(verified);
        let ending = &tracker.ended(secs(1))[0];
        assert_eq!(ending.exit, Exit::Done);
        assert_eq!(ending.id.as_deref(), Some("82828893332"));
    }

    #[test]
    fn released_and_open_attempts_go_on() {
        for outcome in ["Throttled", "NotSent", "Blocked", "Unknown"] {
            let mut tracker = tracker(&in_state("a", Reason::SecretNotFound, false));
            let queued = in_state("a", Reason::Queued, false);
            tracker.see(answered(with(queued, attempt(7, Some(outcome)))));
            assert_eq!(tracker.ended(secs(300)), [], "{outcome}");
        }
    }

    #[test]
    fn a_state_without_an_attempt_counts_once_it_answers_the_request() {
        let mut tracker = tracker(&in_state("a", Reason::SecretNotFound, false));
        let duplicate = in_state("a", Reason::DuplicatePhoneNumber, true);
        tracker.see(duplicate.clone());
        assert_eq!(tracker.ended(secs(100)), [], "not answered yet");
        tracker.see(answered(duplicate));
        assert_eq!(tracker.ended(secs(101))[0].exit, Exit::Person);
    }

    #[test]
    fn the_same_state_counts_when_it_outlasts_a_second_request() {
        let before = with(rejected(), attempt(5, Some("Refused")));
        let mut tracker = tracker(&before);
        let mut object = answered(before);
        tracker.see(object.clone());
        assert_eq!(tracker.ended(secs(1)), []);
        assert_eq!(tracker.to_ask_again(secs(4)), []);
        assert_eq!(tracker.ended(secs(300)), [], "one answer is not enough");
        let asked = tracker.to_ask_again(secs(300));
        assert_eq!(asked, [Key::of(&object)]);
        tracker.asked_again(&asked[0], "again".into());
        assert_eq!(tracker.to_ask_again(secs(301)), [], "asked once");
        assert_eq!(tracker.ended(secs(600)), [], "not answered");
        object.status.as_mut().unwrap().last_handled_reconcile_at = Some("again".into());
        tracker.see(object);
        assert_eq!(tracker.ended(secs(601)), []);
        assert_eq!(tracker.ended(secs(611))[0].exit, Exit::Refused);
    }

    #[test]
    fn the_account_is_at_fault_when_that_stays() {
        let mut tracker = tracker(&in_state("a", Reason::SecretNotFound, false));
        let held = in_state("a", Reason::CredentialsInvalid, true);
        tracker.see(answered(with(held, attempt(7, Some("Blocked")))));
        assert_eq!(tracker.ended(secs(1)), []);
        assert_eq!(tracker.ended(secs(12))[0].exit, Exit::Account);
    }

    #[test]
    fn what_nobody_answers_is_told_and_given_up() {
        let mut tracker = tracker(&in_state("a", Reason::SecretNotFound, false));
        assert_eq!(tracker.ended(secs(20)), []);
        assert_eq!(tracker.unanswered(secs(20), secs(10)).len(), 1);
        let endings = tracker.give_up(secs(30));
        assert_eq!(endings[0].exit, Exit::Timeout);
        assert!(endings[0].message.contains("is it running"));
    }

    #[test]
    fn a_deleted_resource_ends_its_hand_in() {
        let before = in_state("a", Reason::SecretNotFound, false);
        let mut tracker = tracker(&before);
        tracker.gone(&Key::of(&before));
        assert_eq!(tracker.ended(secs(1))[0].reason, "Deleted");
    }
}
