//! The API server's side: status writes on the condition of the version that was read.

use std::sync::Arc;

use phone_migration_operator::crd::{PhoneMigration, PhoneMigrationStatus, REQUESTED_AT};
use phone_migration_operator::decide::{is_open, requested};
use phone_migration_operator::fact::Fact;
use phone_migration_operator::look::{changed, circumstances};
use phone_migration_operator::observe::attempt_id;
use phone_migration_operator::reads::{Purpose, after_read};
use phone_migration_operator::reason::{Outcome, Reason, Spent};
use phone_migration_operator::record::{Owned, Recording, recording};

use crate::drift;
use crate::protocol::{Fate, Get, Protocol};
use crate::scope::{Fault, Removed};
use crate::state::{State, Task};
use crate::world::{NUMBER, usable, wall};

/// What a writer learns.
enum Written {
    Stored,
    Conflict,
    /// No reply.
    Doubt,
}

impl Protocol {
    /// The write that the process has prepared.
    pub fn write(&self, s: &mut State, r: usize, fate: Fate) -> Option<()> {
        match s.replicas[r].task.clone() {
            Task::Say { held, fact, then } => {
                let now = wall(s.tick);
                let new = changed(&held, &fact, &circumstances(&held, now));
                self.meet(drift::fact(&fact), &fact);
                let Some(new) = new else {
                    return end(s, r, fate);
                };
                let written = self.put(s, &held, new, fate, false)?;
                s.replicas[r].task = match (written, then) {
                    (Written::Stored, Some(purpose)) => Task::Due { purpose },
                    (Written::Stored | Written::Conflict | Written::Doubt, _) => Task::Idle,
                };
            }
            Task::Claim { held, fact, mine } => {
                let new = changed(&held, &fact, &circumstances(&held, wall(mine.signed)));
                self.meet(drift::fact(&fact), &fact);
                let Some(new) = new else {
                    s.replicas[r].task = Task::Idle;
                    return (fate == Fate::Answered).then_some(());
                };
                let anyhow = self.is_without(Removed::ConditionalClaim);
                match self.put(s, &held, new, fate, anyhow)? {
                    Written::Stored => {
                        let held = Arc::clone(&s.store);
                        s.replicas[r].task = Task::Gate { held, mine };
                    }
                    Written::Doubt => s.replicas[r].task = Task::Doubt { mine },
                    Written::Conflict => {
                        s.replicas[r].task = Task::Doubt { mine };
                        self.recognise(s, r, Get::Current)?;
                    }
                }
            }
            Task::Record { .. } => self.record(s, r, fate)?,
            Task::Observed { .. } => self.write_observed(s, r, fate)?,
            Task::Idle
            | Task::Due { .. }
            | Task::Look { .. }
            | Task::Doubt { .. }
            | Task::Gate { .. }
            | Task::Sent { .. } => return None,
        }
        Some(())
    }

    /// One round of `record::record`.
    fn record(&self, s: &mut State, r: usize, fate: Fate) -> Option<()> {
        let Task::Record {
            held,
            owned,
            fact,
            make_up,
        } = s.replicas[r].task.clone()
        else {
            return None;
        };
        self.meet(drift::fact(&fact), &fact);
        let (object, owned) = self.release_target(&held, owned, &fact);
        let now = wall(s.tick);
        let done = match recording(&object, &owned, &fact, now) {
            Recording::Orphaned => return end(s, r, fate),
            Recording::Stands => {
                if make_up {
                    s.replicas[r].reads.make_up(held.status.as_ref(), now);
                }
                return end(s, r, fate);
            }
            Recording::Write(new) => self.put(s, &held, *new, fate, false)?,
        };
        match done {
            Written::Stored => {
                if make_up {
                    let status = s.store.status.clone();
                    s.replicas[r].reads.make_up(status.as_ref(), now);
                }
                s.replicas[r].task = Task::Idle;
            }
            Written::Conflict | Written::Doubt => {
                let held = Arc::clone(&s.store);
                s.replicas[r].task = Task::Record {
                    held,
                    owned,
                    fact,
                    make_up,
                };
            }
        }
        Some(())
    }

    /// What a release is made of, and about which attempt.
    fn release_target(
        &self,
        held: &Arc<PhoneMigration>,
        mut owned: Owned,
        fact: &Fact,
    ) -> (PhoneMigration, Owned) {
        let mut object = (**held).clone();
        let attempt = object.status.as_mut().and_then(|s| s.attempt.as_mut());
        if let (Fact::Released { .. }, Some(attempt)) = (fact, attempt) {
            if self.is_without(Removed::ReleaseOfOwnId) {
                owned.attempt_id = attempt.id.clone();
            }
            if self.is_without(Removed::ReleaseOfOpenOnly) && attempt.id == owned.attempt_id {
                attempt.outcome = None;
            }
        }
        (object, owned)
    }

    /// One round of `observe::conclude`.
    fn write_observed(&self, s: &mut State, r: usize, fate: Fate) -> Option<()> {
        let Task::Observed {
            held,
            purpose,
            result,
        } = s.replicas[r].task.clone()
        else {
            return None;
        };
        let now = wall(s.tick);
        let status = held.status.clone().unwrap_or_default();
        let elsewhere = match purpose {
            Purpose::TakeOver => {
                let spent = self.spent(&s.replicas[r].memory);
                let code = usable(&self.readings[usize::from(s.rotation)]);
                spent.elsewhere(&code.fingerprint, NUMBER, &status, now)
            }
            Purpose::Open | Purpose::Late | Purpose::MakeUp | Purpose::MissingId => None,
        };
        let validity = self.validity();
        let fact = after_read(&status, purpose, &result, elsewhere.as_ref(), validity, now);
        let new = fact.and_then(|fact| {
            self.meet(drift::fact(&fact), &fact);
            changed(&held, &fact, &circumstances(&held, now))
        });
        let Some(new) = new else {
            return end(s, r, fate);
        };
        match self.put(s, &held, new, fate, false)? {
            Written::Stored => {
                self.remember_recorded(s, r);
                s.replicas[r].task = Task::Idle;
            }
            Written::Doubt => s.replicas[r].task = Task::Idle,
            Written::Conflict if attempt_id(&held) == attempt_id(&s.store) => {
                let held = Arc::clone(&s.store);
                s.replicas[r].task = Task::Observed {
                    held,
                    purpose,
                    result,
                };
            }
            Written::Conflict => s.replicas[r].task = Task::Idle,
        }
        Some(())
    }

    /// A status write. `anyhow`: whatever changed since `held` was read.
    fn put(
        &self,
        s: &mut State,
        held: &PhoneMigration,
        new: PhoneMigrationStatus,
        fate: Fate,
        anyhow: bool,
    ) -> Option<Written> {
        let reason = new.reason.as_deref().and_then(Reason::parse).unwrap();
        self.meet(drift::reason(reason), &reason);
        if let Some(outcome) = new.attempt.as_ref().and_then(|attempt| attempt.outcome) {
            self.meet(drift::outcome(outcome), &outcome);
        }
        let mut object = held.clone();
        object.status = Some(new);
        if anyhow {
            object.metadata = s.store.metadata.clone();
        }
        match fate {
            Fate::Answered => Some(if store(s, object) {
                Written::Stored
            } else {
                Written::Conflict
            }),
            Fate::Lost => {
                self.fault(s, Fault::LostWrite)?;
                store(s, object).then_some(Written::Doubt)
            }
            Fate::Late => {
                self.fault(s, Fault::LateWrite)?;
                s.late_write.is_none().then_some(())?;
                s.late_write = Some(Arc::new(object));
                Some(Written::Doubt)
            }
        }
    }

    /// A late write reaches the store.
    pub fn surface(&self, s: &mut State) -> Option<()> {
        let late = s.late_write.take()?;
        store(s, (*late).clone());
        Some(())
    }

    /// The resource is deleted and created anew.
    pub fn wipe(&self, s: &mut State) -> Option<()> {
        s.wipes = s.wipes.checked_sub(1)?;
        let mut object = (*s.store).clone();
        object.status.take()?;
        s.before = Arc::clone(&s.store);
        s.version += 1;
        object.metadata.uid = Some(format!("uid-{}", s.wipes + 1));
        object.metadata.resource_version = Some(s.version.to_string());
        s.store = Arc::new(object);
        Some(())
    }

    /// The user asks for another look at an outcome that is not known.
    pub fn ask(&self, s: &mut State) -> Option<()> {
        let status = s.store.status.as_ref()?;
        (status.reason.as_deref() == Some(Reason::OutcomeUnknown.as_str())).then_some(())?;
        requested(&s.store, status).is_none().then_some(())?;
        let last = status.last_handled_reconcile_at.as_deref();
        let value = if last == Some("a") { "b" } else { "a" };
        let mut object = (*s.store).clone();
        let annotations = object.metadata.annotations.get_or_insert_default();
        annotations.insert(REQUESTED_AT.to_owned(), value.to_owned());
        s.version += 1;
        object.metadata.resource_version = Some(s.version.to_string());
        s.before = std::mem::replace(&mut s.store, Arc::new(object));
        Some(())
    }

    pub fn is_open_in_store(&self, s: &State, id: &str) -> bool {
        let status = s.store.status.as_ref();
        status.is_some_and(|status| {
            is_open(status) && status.attempt.as_ref().is_some_and(|a| a.id == id)
        })
    }
}

fn end(s: &mut State, r: usize, fate: Fate) -> Option<()> {
    s.replicas[r].task = Task::Idle;
    (fate == Fate::Answered).then_some(())
}

/// Stores `object` if nothing changed since it was read.
fn store(s: &mut State, mut object: PhoneMigration) -> bool {
    let (old, new) = (&s.store.metadata, &object.metadata);
    if old.resource_version != new.resource_version || old.uid != new.uid {
        return false;
    }
    let none = PhoneMigrationStatus::default();
    let before = s.store.status.as_ref().unwrap_or(&none);
    let after = object.status.as_ref().unwrap_or(&none);
    s.seen.forgotten_claim |= is_open(before)
        && before.attempt.as_ref().map(|a| &a.id) != after.attempt.as_ref().map(|a| &a.id);
    s.seen.moved_back |= moves_back(before, after);
    s.version += 1;
    object.metadata.resource_version = Some(s.version.to_string());
    s.before = std::mem::replace(&mut s.store, Arc::new(object));
    true
}

/// An attempt number goes back, a spent code is forgotten, or a definite outcome is replaced.
fn moves_back(before: &PhoneMigrationStatus, after: &PhoneMigrationStatus) -> bool {
    let (Some(old), Some(new)) = (&before.attempt, &after.attempt) else {
        return before.attempt.is_some();
    };
    let replaced = old.id == new.id
        && match old.outcome {
            None | Some(Outcome::Unknown) => false,
            // An answer that comes late is a better word than "unknown".
            Some(Outcome::UnknownFinal) => new
                .outcome
                .is_none_or(|outcome| matches!(outcome.spent(), Spent::Open | Spent::Released)),
            Some(
                Outcome::Accepted
                | Outcome::Adopted
                | Outcome::Refused
                | Outcome::RequestRefused
                | Outcome::Throttled
                | Outcome::NotSent
                | Outcome::Blocked,
            ) => new.outcome != old.outcome,
        };
    let spent_before = before.history.iter().map(|e| &e.attempt_id);
    let forgotten = spent_before
        .into_iter()
        .any(|id| !after.history.iter().any(|e| &e.attempt_id == id));
    replaced || forgotten || new.number < old.number
}
