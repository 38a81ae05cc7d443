//! A state of the model: the API server's objects, the processes, the requests in flight, the
//! service. Small values only: `world.rs` converts them to production values and back.
//!
//! Attempts are numbers into one table, which has their ages; versions of objects are numbers of
//! which only equality counts. [`State::tidy`] renumbers both and drops everything without an
//! effect, so that equivalent states become equal.

use std::fmt;

use crate::records::{Book, Entry, Id, Out, Said};
use crate::scope::Scope;

pub type Version = u8;

/// An attempt, as it was signed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signed {
    /// The resource, and how often it was recreated before.
    pub resource: u8,
    pub life: u8,
    /// The rotation of the Secret that it was read from.
    pub rotation: u8,
    pub code: u8,
    /// The fingerprint key.
    pub key: u8,
    /// Ticks since it was signed.
    pub age: u8,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Signed {
            resource,
            life,
            code,
            age,
            ..
        } = self;
        write!(f, "r{resource}.{life} code{code} age{age}")
    }
}

/// The history of an attempt's request, as an omniscient observer sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Truth {
    /// The gate opened.
    pub sent: bool,
    /// The gateway has recorded its nonce.
    pub noted: bool,
    pub executed: bool,
    /// A ledger showed it as released.
    pub released: bool,
    /// Attempts that its claim could not know of, as the page of limits admits (bits).
    pub blind: u8,
}

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    pub life: u8,
    pub version: Version,
    pub said: Option<Said>,
    /// The attempts that its status was ever given to show and that no fault removed (bits).
    pub told: u8,
    /// How often its Secret got another code.
    pub rotation: u8,
}

/// The version that a write to the ledger replaces, or nothing.
pub type Replaces = Option<Version>;

/// The one task that a process runs for the number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    Idle,
    /// Signed; the claim is about to be written. `asked`: a try had no answer. `shown`, `shown_own`:
    /// the attempts that any status, or its own, showed when it was decided on (bits).
    Claim {
        id: Id,
        replaces: Replaces,
        book: Book,
        asked: bool,
        shown: u8,
        shown_own: u8,
    },
    /// A ledger was created: the next step reads the status once more.
    Check {
        id: Id,
        book: Book,
    },
    /// Claimed; before the gate.
    Gate {
        id: Id,
        hindered: bool,
    },
    /// Sent; with the reply once it came.
    Sent {
        id: Id,
        reply: Option<Reply>,
    },
    /// The next step writes an outcome into the ledger.
    Record {
        entry: Entry,
        ended: Out,
        by: By,
    },
    /// A refusal is recorded, and the next step reads the number's status.
    Refused {
        id: Id,
        ended: Out,
        book: Book,
    },
    /// The next step shows the outcome, by the ledger that was last read or written.
    Show {
        id: Id,
        ended: Out,
        book: Book,
    },
    /// A read found the number of this resource verified.
    ShowVerified {
        resource: u8,
        book: Book,
    },
}

impl Task {
    /// The attempt of the task, if it has one.
    fn id(&mut self) -> Option<&mut Id> {
        match self {
            Task::Claim { id, .. }
            | Task::Check { id, .. }
            | Task::Gate { id, .. }
            | Task::Sent { id, .. }
            | Task::Refused { id, .. }
            | Task::Show { id, .. } => Some(id),
            Task::Record { entry, .. } => Some(&mut entry.id),
            Task::Idle | Task::ShowVerified { .. } => None,
        }
    }

    /// The ledger of the task, if it has read one.
    fn book(&mut self) -> Option<&mut Book> {
        match self {
            Task::Claim { book, .. }
            | Task::Check { book, .. }
            | Task::Refused { book, .. }
            | Task::Show { book, .. }
            | Task::ShowVerified { book, .. } => Some(book),
            Task::Idle | Task::Gate { .. } | Task::Sent { .. } | Task::Record { .. } => None,
        }
    }
}

/// The source of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// The attempt's own task.
    Signer,
    /// The read after its refusal.
    AfterRefusal,
    /// A read or memory, for any process's attempt.
    Other,
    /// A read for this resource.
    Resource(u8),
}

/// The answer of the service, or of the transport, to a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reply {
    Accepted,
    Refused,
    AlreadyVerified,
    Throttled,
    Credentials,
    NonceUsed,
    Timeout,
    Gate,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Replica {
    pub task: Task,
    /// The attempts that it sent, newest first, with the outcomes that it knows.
    pub sent: Vec<(Id, Out)>,
    /// Claims that it certainly never sent.
    pub abandoned: Vec<Id>,
}

/// A write to the ledger in flight, whose writer no longer waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LateBook {
    pub replaces: Replaces,
    pub book: Book,
}

/// The same for a status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LateSaid {
    pub resource: u8,
    pub version: Version,
    pub said: Said,
}

/// An earlier state of the ledger and the statuses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    pub version: Version,
    pub book: Book,
    pub said: Vec<(u8, Option<Said>)>,
}

/// The service's executions of a code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Code {
    pub executed: bool,
    pub accepted: bool,
}

/// Violations that a single state does not show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wrong {
    pub executed_twice: bool,
    pub executed_unclaimed: bool,
    pub sent_unclaimed: bool,
    pub moved_back: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub resources: Vec<Resource>,
    pub ledger: Option<(Version, Book)>,
    pub replicas: Vec<Replica>,
    pub attempts: Vec<Signed>,
    pub truth: Vec<Truth>,
    /// Copies of requests on their way.
    pub wire: Vec<Id>,
    pub codes: [Code; 2],
    pub verified: bool,
    pub late_book: Option<LateBook>,
    pub late_said: Option<LateSaid>,
    pub snapshot: Option<Snapshot>,
    /// Faults that may still happen.
    pub faults: u8,
    pub rotations: u8,
    /// A ledger was lost or restored.
    pub lost: bool,
    /// A case that the page of limits admits has happened: further steps do not matter.
    pub limit: bool,
    pub wrong: Wrong,
}

/// For counterexamples.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:?} wire {:?} faults {} {:?}",
            self.attempts, self.wire, self.faults, self.wrong
        )?;
        writeln!(f, "    ledger {:?}", self.ledger)?;
        for resource in &self.resources {
            writeln!(f, "    said {:?}", resource.said)?;
        }
        for replica in &self.replicas {
            writeln!(f, "    process {replica:?}")?;
        }
        write!(
            f,
            "    late {:?} {:?} then {:?}",
            self.late_book, self.late_said, self.snapshot
        )
    }
}

impl State {
    pub fn book(&self) -> Option<&Book> {
        self.ledger.as_ref().map(|(_, book)| book)
    }

    pub fn version(&self) -> Replaces {
        self.ledger.as_ref().map(|(version, _)| *version)
    }

    pub fn entry(&self, id: Id) -> Option<Entry> {
        self.book()?.get(id)
    }

    /// Whether a resource is still the one that an attempt was made for.
    pub fn lives(&self, id: Id) -> bool {
        let signed = self.attempts[usize::from(id)];
        self.resources[usize::from(signed.resource)].life == signed.life
    }

    /// A version that no object has.
    pub fn fresh_version(&mut self) -> Version {
        let mut most = 0;
        self.versions(&mut |version| most = most.max(*version));
        most + 1
    }

    fn versions(&mut self, see: &mut dyn FnMut(&mut Version)) {
        for resource in &mut self.resources {
            see(&mut resource.version);
        }
        if let Some((version, _)) = &mut self.ledger {
            see(version);
        }
        for replica in &mut self.replicas {
            if let Task::Claim {
                replaces: Some(version),
                ..
            } = &mut replica.task
            {
                see(version);
            }
        }
        if let Some(LateBook {
            replaces: Some(version),
            ..
        }) = &mut self.late_book
        {
            see(version);
        }
        if let Some(late) = &mut self.late_said {
            see(&mut late.version);
        }
        if let Some(snapshot) = &mut self.snapshot {
            see(&mut snapshot.version);
        }
    }

    fn books(&mut self) -> impl Iterator<Item = &mut Book> {
        let tasks = self.replicas.iter_mut().filter_map(|r| r.task.book());
        let late = self.late_book.iter_mut().map(|late| &mut late.book);
        let then = self.snapshot.iter_mut().map(|s| &mut s.book);
        let now = self.ledger.iter_mut().map(|(_, book)| book);
        now.chain(tasks).chain(late).chain(then)
    }

    fn saids(&mut self) -> impl Iterator<Item = &mut Said> {
        let late = self.late_said.iter_mut().map(|late| &mut late.said);
        let then = self.snapshot.iter_mut().flat_map(|s| &mut s.said);
        let then = then.filter_map(|(_, said)| said.as_mut());
        let now = self.resources.iter_mut().filter_map(|r| r.said.as_mut());
        now.chain(late).chain(then)
    }

    /// Every attempt that some part of the state refers to, except lists of released ones, which
    /// keep none alive, and except ledgers.
    fn mentioned(&mut self, see: &mut dyn FnMut(&mut Id)) {
        for said in self.saids() {
            said.attempt.iter_mut().for_each(|(id, _)| see(id));
            said.history.iter_mut().for_each(|(id, _)| see(id));
        }
        for replica in &mut self.replicas {
            replica.task.id().into_iter().for_each(&mut *see);
            replica.sent.iter_mut().for_each(|(id, _)| see(id));
        }
        self.wire.iter_mut().for_each(see);
    }

    fn entries(&mut self, see: &mut dyn FnMut(&mut Entry)) {
        self.books()
            .for_each(|book| book.entries.iter_mut().for_each(&mut *see));
    }

    /// The lists of ids that keep no attempt alive.
    fn lists(&mut self, see: &mut dyn FnMut(&mut Vec<Id>)) {
        self.books().for_each(|book| see(&mut book.released));
        self.replicas.iter_mut().for_each(|r| see(&mut r.abandoned));
    }

    fn bits(&mut self, see: &mut dyn FnMut(&mut u8)) {
        for truth in &mut self.truth {
            see(&mut truth.blind);
        }
        for resource in &mut self.resources {
            see(&mut resource.told);
        }
        for replica in &mut self.replicas {
            if let Task::Claim {
                shown, shown_own, ..
            } = &mut replica.task
            {
                see(shown);
                see(shown_own);
            }
        }
    }

    /// The age of an attempt counts while a ledger or process holds it as open, or its request
    /// exists.
    fn forget_ages(&mut self, oldest: u8) {
        let mut counts = vec![false; self.attempts.len()];
        self.entries(&mut |e| counts[usize::from(e.id)] |= !e.out.is_definite());
        for (id, out) in self
            .saids()
            .flat_map(|said| said.attempts().collect::<Vec<_>>())
        {
            counts[usize::from(id)] |= !out.is_definite();
        }
        for replica in &mut self.replicas {
            for (id, out) in &replica.sent {
                counts[usize::from(*id)] |= !out.is_definite();
            }
            match &replica.task {
                Task::Claim { id, .. }
                | Task::Check { id, .. }
                | Task::Gate { id, .. }
                | Task::Sent { id, .. } => counts[usize::from(*id)] = true,
                Task::Record { entry, .. } => counts[usize::from(entry.id)] = true,
                Task::Idle
                | Task::Refused { .. }
                | Task::Show { .. }
                | Task::ShowVerified { .. } => {}
            }
        }
        self.wire
            .iter()
            .for_each(|id| counts[usize::from(*id)] = true);
        for (signed, counts) in self.attempts.iter_mut().zip(counts) {
            if !counts {
                signed.age = oldest;
            }
        }
    }

    /// Late writes whose version condition can no longer hold.
    fn drop_dead_writes(&mut self) {
        let (now, then) = (self.version(), self.snapshot.as_ref().map(|s| s.version));
        if let Some(late) = &self.late_book {
            let comes_back = match late.replaces {
                Some(_) => late.replaces == then,
                None => self.faults > 0,
            };
            if late.replaces != now && !comes_back {
                self.late_book = None;
            }
        }
        if let Some(late) = &self.late_said
            && self.resources[usize::from(late.resource)].version != late.version
        {
            self.late_said = None;
        }
    }

    /// Attempts that no part refers to, or a ledger only as released, and that were not executed.
    fn forget_attempts(&mut self) {
        let count = self.attempts.len();
        let mut used: Vec<bool> = self.truth.iter().map(|t| t.executed).collect();
        self.mentioned(&mut |id| used[usize::from(*id)] = true);
        self.entries(&mut |e| used[usize::from(e.id)] |= !e.out.is_released());
        self.lists(&mut |list| list.retain(|id| used[usize::from(*id)]));
        for book in self.books() {
            book.entries.retain(|e| used[usize::from(e.id)]);
        }
        if used.iter().all(|used| *used) {
            return;
        }
        let kept: Vec<usize> = (0..count).filter(|old| used[*old]).collect();
        let new = |old: Id| {
            let place = kept.iter().position(|kept| *kept == usize::from(old));
            u8::try_from(place.unwrap()).unwrap()
        };
        self.mentioned(&mut |id| *id = new(*id));
        self.entries(&mut |e| e.id = new(e.id));
        self.lists(&mut |list| list.iter_mut().for_each(|id| *id = new(*id)));
        self.bits(&mut |bits| {
            let set = kept
                .iter()
                .enumerate()
                .filter(|(_, old)| *bits & (1 << **old) != 0);
            *bits = set.fold(0, |bits, (new, _)| bits | 1 << new);
        });
        self.attempts = kept.iter().map(|old| self.attempts[*old]).collect();
        self.truth = kept.iter().map(|old| self.truth[*old]).collect();
    }

    /// The canonical form of this state: everything without a further effect is dropped, attempts
    /// and versions are renumbered, and equal processes are put in order.
    pub fn tidy(&mut self, scope: &Scope) {
        if self.faults == 0 {
            self.snapshot = None;
        }
        self.drop_dead_writes();
        if !scope.keys {
            self.replicas.sort();
        }
        self.wire.sort_unstable();
        self.forget_attempts();
        self.lists(&mut |list| list.sort_unstable());
        self.forget_ages(scope.oldest());
        let mut known: Vec<Version> = Vec::new();
        self.versions(&mut |version| {
            let place = known.iter().position(|v| v == version);
            *version = u8::try_from(place.unwrap_or_else(|| {
                known.push(*version);
                known.len() - 1
            }))
            .unwrap();
        });
    }
}

/// The attempts that a status shows as possibly spent.
pub fn shown(said: Option<&Said>) -> u8 {
    let attempts = said.into_iter().flat_map(Said::attempts);
    attempts
        .filter(|(_, out)| !out.is_released())
        .fold(0, |bits, (id, _)| bits | 1 << id)
}
