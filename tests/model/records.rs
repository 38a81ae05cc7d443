//! What a ledger and a status hold, in the model's small values.

use std::fmt;

use phone_migration_operator::api::reason::{CodeUse, Outcome, Reason};

/// An attempt, by its place in the table of attempts.
pub type Id = u8;

/// An outcome, or none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Out(u8);

impl Out {
    pub const OPEN: Out = Out(0);

    pub fn of(outcome: Option<Outcome>) -> Self {
        let place = |outcome| Outcome::ALL.iter().position(|known| *known == outcome);
        Self(outcome.map_or(0, |outcome| {
            u8::try_from(place(outcome).unwrap() + 1).unwrap()
        }))
    }

    pub fn get(self) -> Option<Outcome> {
        (self.0 > 0).then(|| Outcome::ALL[usize::from(self.0) - 1])
    }

    pub fn code_use(self) -> CodeUse {
        self.get().map_or(CodeUse::Open, Outcome::code_use)
    }

    pub fn is_released(self) -> bool {
        self.code_use() == CodeUse::Released
    }

    pub fn is_definite(self) -> bool {
        self.code_use() != CodeUse::Open
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get().map_or("open", Outcome::as_str))
    }
}

/// An entry of the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    pub id: Id,
    pub out: Out,
    pub imported: bool,
}

impl Entry {
    pub fn new(id: Id, out: Out) -> Self {
        Self {
            id,
            out,
            imported: false,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let imported = if self.imported { " imported" } else { "" };
        write!(f, "a{} {:?}{imported}", self.id, self.out)
    }
}

/// The content of a ledger.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Book {
    pub entries: Vec<Entry>,
    pub released: Vec<Id>,
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} released {:?}", self.entries, self.released)
    }
}

impl Book {
    pub fn get(&self, id: Id) -> Option<Entry> {
        self.entries.iter().copied().find(|e| e.id == id)
    }

    pub fn knows(&self, id: Id) -> bool {
        self.get(id).is_some() || self.released.contains(&id)
    }

    pub fn open(&self) -> impl Iterator<Item = Entry> {
        let open = |e: &&Entry| e.out.code_use() == CodeUse::Open;
        self.entries.iter().filter(open).copied()
    }
}

/// The content of a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Said {
    pub reason: Option<Word>,
    pub finished: bool,
    pub has_id: bool,
    pub attempt: Option<(Id, Out)>,
    pub history: Vec<(Id, Out)>,
}

impl Said {
    pub fn attempts(&self) -> impl Iterator<Item = (Id, Out)> {
        self.attempt.iter().chain(&self.history).copied()
    }

    pub fn is(&self, reason: Reason) -> bool {
        self.reason.is_some_and(|word| word.0 == reason)
    }
}

/// A reason, with an order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word(pub Reason);

impl Word {
    fn place(self) -> usize {
        Reason::ALL
            .iter()
            .position(|known| *known == self.0)
            .unwrap()
    }
}

impl PartialOrd for Word {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Word {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}
