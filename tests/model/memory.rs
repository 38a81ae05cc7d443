//! What a process remembers, replayed into the production code's own memory at every use.

use phone_migration_operator::attempt::rules::{self, AtGate};
use phone_migration_operator::code::Code;
use phone_migration_operator::context::NeverSent;
use phone_migration_operator::crd::PhoneMigration;
use phone_migration_operator::fact::Told;
use phone_migration_operator::record::Owned;
use phone_migration_operator::spent::SpentCodes;

use crate::protocol::Protocol;
use crate::scope::Removed;
use crate::state::{Memory, Mine, State};
use crate::world::{NUMBER, VALIDITY, clocks};

impl Protocol {
    /// The memory of spent codes, as the production code keeps it.
    pub fn spent(&self, memory: &[Memory]) -> SpentCodes {
        let spent = SpentCodes::default();
        if self.is_without(Removed::Memory) {
            return spent;
        }
        for entry in memory {
            match entry {
                Memory::Began { mine, at } => {
                    let code = self.code(mine.rotation);
                    let _ = rules::open_gate(&self.at_gate(mine, code), true, &spent, clocks(*at));
                }
                Memory::Concluded { mine, fact, told } => {
                    let code = self.code(mine.rotation);
                    rules::remember(&spent, code, &mine.owned.attempt_id, fact, told);
                }
                Memory::Ended { id, outcome } => spent.end(id, *outcome, &Told::default()),
            }
        }
        spent
    }

    pub fn at_gate<'a>(&self, mine: &'a Mine, code: &'a Code) -> AtGate<'a> {
        AtGate {
            owned: &mine.owned,
            number: NUMBER,
            code,
            signed: clocks(mine.signed),
            validity: VALIDITY,
        }
    }

    pub fn remember(&self, s: &mut State, r: usize, entry: Memory) {
        let id = match &entry {
            Memory::Began { mine, .. } | Memory::Concluded { mine, .. } => &mine.owned.attempt_id,
            Memory::Ended { id, .. } => id,
        };
        let about = |entry: &Memory| match entry {
            Memory::Began { mine, .. } | Memory::Concluded { mine, .. } => {
                mine.owned.attempt_id == *id
            }
            Memory::Ended { id: of, .. } => of == id,
        };
        let begun = s.replicas[r].memory.iter().any(about);
        if !begun && !matches!(entry, Memory::Began { .. }) {
            return;
        }
        let mut memory = s.replicas[r].memory.clone();
        memory.push(entry.clone());
        if let Memory::Concluded { mine, .. } = &entry {
            // A released code leaves no trace, if the production code agrees.
            let probe = Mine {
                owned: Owned {
                    attempt_id: "probe".into(),
                    ..mine.owned.clone()
                },
                ..mine.clone()
            };
            let code = self.code(mine.rotation);
            let at = clocks(mine.signed);
            let free =
                rules::open_gate(&self.at_gate(&probe, code), true, &self.spent(&memory), at);
            if free.is_ok() {
                memory.retain(|entry| !about(entry));
            }
        }
        s.replicas[r].memory = memory;
    }

    /// True for a claim of this process that it certainly never sent.
    pub fn surfaced(&self, s: &State, r: usize, object: &PhoneMigration) -> bool {
        let never_sent = NeverSent::default();
        for id in &s.replicas[r].never_sent {
            never_sent.add(id);
        }
        if self.is_without(Removed::ReleaseBySignerOnly)
            && let Some(attempt) = object.status.as_ref().and_then(|s| s.attempt.as_ref())
        {
            never_sent.add(&attempt.id);
        }
        never_sent.surfaced_in(object)
    }

    /// After an observation was recorded, as `record::remember`.
    pub fn remember_recorded(&self, s: &mut State, r: usize) {
        let status = s.store.status.as_ref();
        let attempt = status.and_then(|status| status.attempt.as_ref());
        if let Some((id, Some(outcome))) = attempt.map(|a| (a.id.clone(), a.outcome)) {
            self.remember(s, r, Memory::Ended { id, outcome });
        }
    }
}
