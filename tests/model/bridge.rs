//! The production functions, called with the model's values. Each result is cached: there are few
//! different calls, and they are frequent. A removed protection changes an input or output here.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use phone_migration_operator::api::code_ledger::LedgerEntry;
use phone_migration_operator::api::crd::PhoneMigration;
use phone_migration_operator::api::reason::{CodeUse, Outcome};
use phone_migration_operator::clock::Now;
use phone_migration_operator::domain::code::{Code, CodeReading, key_id};
use phone_migration_operator::domain::decide::{
    Neighbour, Next, Observed, Permit, TurnState, decide,
};
use phone_migration_operator::domain::fact::{CamsResult, Fact, ReleaseCause, VerifiedBy};
use phone_migration_operator::domain::ledger::{
    self, Ended, Ledger, Recording, as_if_recorded, import, put_back, recording,
};
use phone_migration_operator::domain::reads::{Purpose, ReadResult, Reads};
use phone_migration_operator::domain::status::{Stamp, UserRequest, apply};
use phone_migration_operator::operator::attempt::rules::{self, Adoption, AtGate, Concluded};
use phone_migration_operator::operator::state::numbers::Numbers;
use phone_migration_operator::operator::state::sent::SentEntries;

use crate::records::{Book, Entry, Id, Out, Said};
use crate::scope::Removed;
use crate::state::{Reply, Signed};
use crate::world::{self, NUMBER, VALIDITY, ago, now};

/// Results by input.
struct Memo<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Memo<K, V> {
    fn ask(&self, question: &K, answer: impl FnOnce(&K) -> V) -> V {
        if let Some(known) = self.0.lock().unwrap().get(question) {
            return known.clone();
        }
        let new = answer(question);
        self.0.lock().unwrap().insert(question.clone(), new.clone());
        new
    }
}

/// The attempts that a process sent, newest first.
pub type Sent = Vec<(Id, Out)>;

/// A resource as a process sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seeing {
    pub resource: u8,
    pub life: u8,
    pub said: Option<Said>,
}

impl Seeing {
    fn object(&self, signed: &[Signed]) -> PhoneMigration {
        let status = self.said.as_ref().map(|said| world::status(signed, said));
        world::object(self.resource, self.life, status)
    }
}

/// The inputs of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    pub signed: Vec<Signed>,
    pub own: Seeing,
    pub others: Vec<Seeing>,
    pub book: Option<Book>,
    pub sent: Sent,
    pub abandoned: Vec<Id>,
    /// The attempt that would be signed now.
    pub next: Signed,
    pub granted: bool,
    /// The read that this state asks for was made.
    pub read: bool,
}

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The status that is written, if it changes.
    pub said: Option<Said>,
    pub then: Then,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    Nothing,
    /// The ledger with the claim of the attempt that follows the known ones.
    Claim(Book),
    StoreImport,
    /// This entry was never sent.
    Settle(Entry),
    Read(Purpose),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    Stands,
    Write(Book),
    Withheld,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adopted {
    Duplicate(Option<Said>),
    NotNow,
    Adopt(Option<Entry>),
}

type Show = (Vec<Signed>, Seeing, Id, Out, Book);
pub type Known = (Vec<Signed>, Option<Seeing>, Option<Book>, Sent, Vec<Id>);

#[derive(Default)]
pub struct Bridge {
    without: Option<Removed>,
    decisions: Memo<Input, Decided>,
    adoptions: Memo<Input, Adopted>,
    imports: Memo<Known, Option<Book>>,
    records: Memo<(Vec<Signed>, Option<Book>, Entry, Out), Recorded>,
    shows: Memo<Show, Option<Said>>,
    verified: Memo<(Vec<Signed>, Seeing, Book), Option<Said>>,
    hindrances: Memo<(Vec<Signed>, Seeing, Book, Id), bool>,
    recognised: Memo<(Vec<Signed>, Option<Book>, Id), bool>,
    gates: Memo<(Vec<Signed>, Id, Sent), bool>,
    observations: Memo<(Signed, Entry, bool, Option<bool>, i8), Out>,
    firsts: Memo<(Vec<Signed>, Seeing), bool>,
    lates: Memo<Input, Option<Option<Entry>>>,
}

impl Bridge {
    pub fn new(without: Option<Removed>) -> Self {
        Self {
            without,
            ..Self::default()
        }
    }

    fn is_without(&self, removed: Removed) -> bool {
        self.without == Some(removed)
    }

    /// The known state: the ledger, memory, and a status.
    fn known(
        &self,
        signed: &[Signed],
        book: Option<&Book>,
        sent: &[(Id, Out)],
        object: Option<&PhoneMigration>,
    ) -> Ledger {
        let forgets = [Removed::Sent, Removed::SentImport, Removed::ReRecord];
        let sent = match forgets.iter().any(|removed| self.is_without(*removed)) {
            true => Vec::new(),
            false => sent_entries(signed, sent),
        };
        let object = object.filter(|_| !self.is_without(Removed::Import));
        import(world::ledger(signed, book), &sent, object, VALIDITY, now())
    }

    pub fn decide(&self, input: &Input) -> Decided {
        self.decisions.ask(input, |input| self.decided(input))
    }

    fn decided(&self, input: &Input) -> Decided {
        let signed = &input.signed;
        let object = input.own.object(signed);
        let known = self.known(signed, input.book.as_ref(), &input.sent, Some(&object));
        let code = world::code(&input.next);
        // Every read is due.
        let mut reads = Reads::none(now() - Duration::from_secs(7200));
        if input.read {
            reads = reads.made(true, now());
        }
        let compared = self.compared(&known, &code);
        let open = compared.open().map(|e| world::back(e).id);
        let is_abandoned =
            |id: Id| input.abandoned.contains(&id) || self.is_without(Removed::ReleaseBySigner);
        let observed = Observed {
            object: &object,
            ledger: &compared,
            neighbours: &self.neighbours(input),
            task_runs: false,
            abandoned: open.is_some_and(is_abandoned),
            overdue: None,
            code: Some(&CodeReading::Usable(code.clone())),
            turn: if input.granted {
                TurnState::Granted
            } else {
                TurnState::None
            },
            hold: None,
            held_since: None,
            braked: false,
            reads: &reads,
            asked: false,
        };
        let decision = decide(&observed, now());
        let stamp = Stamp::of_reconcile(&object, decision.permit, now());
        let said = decision.fact.as_ref();
        let said = said.and_then(|fact| self.says(&object, fact, &known, &stamp));
        let then = match decision.next {
            Next::Rest | Next::At(_) | Next::Poll | Next::Enqueue(_) | Next::Stay(_) => {
                Then::Nothing
            }
            Next::Observe { now: _ } => Then::Nothing,
            Next::Claim if self.is_under_way(input, &known) => Then::Nothing,
            Next::Claim => Then::Claim(self.claim(input, &object, &known, &code)),
            Next::ReadStatus(purpose) => Then::Read(purpose),
            Next::StoreImport => Then::StoreImport,
            Next::SettleUnsent => Then::Settle(known.open().map(world::back).unwrap()),
            Next::ReadCode | Next::RereadLedger => panic!("the model was said never to meet this"),
        };
        Decided { said, then }
    }

    fn is_under_way(&self, input: &Input, known: &Ledger) -> bool {
        let sent = sent_entries(&input.signed, &input.sent);
        !self.is_without(Removed::Sent) && rules::under_way(&sent, known, now()).is_some()
    }

    fn claim(&self, input: &Input, object: &PhoneMigration, known: &Ledger, code: &Code) -> Book {
        let id = world::attempt_id(u8::try_from(input.signed.len()).unwrap());
        let entry = rules::entry(object, &id, ago(0).wall, VALIDITY, code);
        world::book_of(ledger::claim(known, NUMBER, entry))
    }

    /// The entries that codes are compared with.
    fn compared(&self, known: &Ledger, code: &Code) -> Ledger {
        let mut ledger = known.clone();
        if self.is_without(Removed::WholeHistory) {
            let newest = ledger.unreleased().next().map(|e| e.attempt_id.clone());
            ledger
                .entries
                .retain(|e| e.is_released() || Some(&e.attempt_id) == newest.as_ref());
        }
        if self.is_without(Removed::OtherKey) {
            let ours = key_id(&code.fingerprint);
            ledger
                .entries
                .retain(|e| e.is_open() || key_id(&e.fingerprint) == ours);
        }
        ledger
    }

    fn neighbours(&self, input: &Input) -> Vec<Neighbour> {
        let numbers = Numbers::default();
        for other in &input.others {
            numbers.seen(&other.object(&input.signed));
        }
        let mut neighbours = numbers.neighbours(NUMBER, "");
        if self.is_without(Removed::ShownElsewhere) {
            neighbours.iter_mut().for_each(|n| n.codes.clear());
        }
        neighbours
    }

    /// The status that says `fact`, if that changes it.
    fn says(
        &self,
        object: &PhoneMigration,
        fact: &Fact,
        ledger: &Ledger,
        stamp: &Stamp,
    ) -> Option<Said> {
        let old = object.status.as_ref().map(world::said);
        let mut of = object.clone();
        if let (true, Some(status)) = (self.is_without(Removed::Evidence), &mut of.status) {
            (status.attempt, status.history) = (None, Vec::new());
        }
        let new = apply(&of, fact, ledger, stamp).map(|status| world::said(&status));
        new.filter(|new| *new != old.clone().unwrap_or_default())
    }

    /// Whether the number's status is read before this resource's attempt.
    pub fn reads_first(&self, signed: &[Signed], own: &Seeing) -> bool {
        let question = (signed.to_vec(), own.clone());
        self.firsts.ask(&question, |(signed, own)| {
            rules::reads_first(&own.object(signed))
        })
    }

    /// The entry, if any, that a status read for this resource is about; `None`: no read is due. A
    /// final unknown is read whenever a user asks.
    pub fn late_read(&self, input: &Input) -> Option<Option<Entry>> {
        self.lates.ask(input, |input| {
            let object = input.own.object(&input.signed);
            let known = self.known(
                &input.signed,
                input.book.as_ref(),
                &input.sent,
                Some(&object),
            );
            let uid = object.metadata.uid.as_deref().unwrap();
            let spent = known.own_spent(uid);
            let is_final = spent.is_some_and(|e| e.outcome == Some(Outcome::UnknownFinal));
            if !is_final && !matches!(self.decide(input).then, Then::Read(_)) {
                return None;
            }
            Some(known.own_verified(uid).or(spent).map(world::back))
        })
    }

    /// The result for a resource whose number was found verified before its attempt.
    pub fn adoption(&self, input: &Input) -> Adopted {
        self.adoptions.ask(input, |input| {
            let object = input.own.object(&input.signed);
            let book = input.book.as_ref();
            let known = self.known(&input.signed, book, &input.sent, Some(&object));
            match rules::adoption(&object, &known, &self.neighbours(input)) {
                Adoption::Duplicate(fact) => {
                    let stamp = Stamp::of_reconcile(&object, Permit::default(), now());
                    Adopted::Duplicate(self.says(&object, &fact, &known, &stamp))
                }
                Adoption::Wait => Adopted::NotNow,
                Adoption::Adopt(entry) => Adopted::Adopt(entry.map(|e| world::back(&e))),
            }
        })
    }

    /// The ledger after the entries that only memory and a status know were stored.
    pub fn put_back(&self, known: &Known) -> Option<Book> {
        self.imports
            .ask(known, |(signed, own, book, sent, abandoned)| {
                let object = own.as_ref().map(|own| own.object(signed));
                let known = self.known(signed, book.as_ref(), sent, object.as_ref());
                let is_abandoned = |id: &str| abandoned.iter().any(|a| world::attempt_id(*a) == id);
                put_back(&known, NUMBER, &is_abandoned, now()).map(world::book_of)
            })
    }

    /// The ledger after an outcome was recorded.
    pub fn record(
        &self,
        signed: &[Signed],
        book: Option<&Book>,
        entry: Entry,
        ended: Out,
    ) -> Recorded {
        let question = (signed.to_vec(), book.cloned(), entry, ended);
        self.records.ask(&question, |(signed, book, entry, ended)| {
            let gone = book
                .as_ref()
                .is_none_or(|book| book.get(entry.id).is_none());
            if gone && self.is_without(Removed::ReRecord) {
                return Recorded::Stands;
            }
            let stored = world::ledger(signed, book.as_ref());
            let entry = world::entry(signed, *entry);
            match recording(&stored, NUMBER, &entry, &self::ended(*ended), now()) {
                Recording::Stands => Recorded::Stands,
                Recording::Write(fields) => Recorded::Write(world::book_of(*fields)),
                Recording::Withheld => Recorded::Withheld,
            }
        })
    }

    /// The ledger as it would be if the outcome were stored.
    pub fn as_if(&self, signed: &[Signed], book: &Book, id: Id, outcome: Out) -> Book {
        let entry = world::entry(signed, Entry::new(id, Out::OPEN));
        let ledger = world::ledger(signed, Some(book));
        world::book(&as_if_recorded(&ledger, &entry, &ended(outcome), now()))
    }

    /// The status after the outcome of an attempt was shown.
    pub fn show(
        &self,
        signed: &[Signed],
        own: Seeing,
        id: Id,
        outcome: Out,
        book: &Book,
    ) -> Option<Said> {
        let question = (signed.to_vec(), own, id, outcome, book.clone());
        self.shows
            .ask(&question, |(signed, own, id, outcome, book)| {
                let object = own.object(signed);
                let ledger = world::ledger(signed, Some(book));
                let own = world::entry(signed, Entry::new(*id, Out::OPEN));
                let entry = ledger.entry(&own.attempt_id).unwrap_or(&own);
                let concluded = concluded(*outcome);
                let fact = concluded.fact(&object, &ledger, entry, Permit::default(), None);
                let stamp =
                    Stamp::of_attempt(1, UserRequest::of(&object, Permit::default()), now());
                self.says(&object, &fact, &ledger, &stamp)
            })
    }

    /// The status after a read found the number verified.
    pub fn show_verified(&self, signed: &[Signed], own: Seeing, book: &Book) -> Option<Said> {
        let question = (signed.to_vec(), own, book.clone());
        self.verified.ask(&question, |(signed, own, book)| {
            let object = own.object(signed);
            let fact = Fact::Result(CamsResult::Verified {
                by: VerifiedBy::ReadAfter,
                id: Some("828".into()),
                phone_number: None,
                request_id: None,
            });
            let ledger = world::ledger(signed, Some(book));
            let stamp = Stamp::of_attempt(1, UserRequest::of(&object, Permit::default()), now());
            self.says(&object, &fact, &ledger, &stamp)
        })
    }

    /// Whether the status, read after a ledger was created, prevents the send of the claim.
    pub fn is_hindered(&self, signed: &[Signed], own: Seeing, book: &Book, id: Id) -> bool {
        let question = (signed.to_vec(), own, book.clone(), id);
        self.hindrances.ask(&question, |(signed, own, book, id)| {
            let of = signed[usize::from(*id)];
            if of.life != own.life {
                return true;
            }
            let stored = world::ledger(signed, Some(book));
            {
                let ours = world::entry(signed, Entry::new(*id, Out::OPEN));
                rules::status_knows_more(&own.object(signed), &stored, &ours, VALIDITY, now())
            }
        })
    }

    /// Whether the ledger that was read after a lost reply holds the claim.
    pub fn recognises(&self, signed: &[Signed], book: Option<&Book>, id: Id) -> bool {
        let question = (signed.to_vec(), book.cloned(), id);
        self.recognised.ask(&question, |(signed, book, id)| {
            let entry = world::entry(signed, Entry::new(*id, Out::OPEN));
            let stored = world::ledger(signed, book.as_ref());
            rules::recognises(&stored, &entry, signed_at(signed, *id), ago(0))
        })
    }

    /// Whether the gate opens.
    pub fn opens(&self, signed: &[Signed], id: Id, sent: &[(Id, Out)]) -> bool {
        let question = (signed.to_vec(), id, sent.to_vec());
        self.gates.ask(&question, |(signed, id, sent)| {
            let entry = world::entry(signed, Entry::new(*id, Out::OPEN));
            let memory = SentEntries::default();
            let remembers = !self.is_without(Removed::Sent);
            for (id, out) in sent.iter().rev().filter(|_| remembers) {
                let entry = world::entry(signed, Entry::new(*id, *out));
                memory.begin(NUMBER, &entry);
            }
            let at = AtGate {
                number: NUMBER,
                entry: &entry,
                code: &world::code(&signed[usize::from(*id)]),
                signed: match self.is_without(Removed::Gate) {
                    true => ago(0),
                    false => signed_at(signed, *id),
                },
            };
            rules::open_gate(&at, true, &memory, ago(0)).is_ok()
        })
    }

    pub fn has_rival(&self, signed: &[Signed], book: Option<&Book>, id: Id) -> bool {
        world::ledger(signed, book).has_rival(&world::attempt_id(id))
    }

    /// The outcome of an open entry, as far as memory knows it.
    pub fn known_end(
        &self,
        signed: &[Signed],
        sent: &[(Id, Out)],
        id: Id,
        rival: bool,
    ) -> Option<Out> {
        let sent = sent_entries(signed, sent);
        let ended = rules::known_end(&sent, &world::attempt_id(id), rival)?;
        Some(Out::of(Some(ended.outcome)))
    }

    /// The effect of a read on an open entry; `verified`: the read's answer, if any. `date`: by how
    /// many ticks the answer's `Date` is later than the operator's clock. `rival`: another entry is
    /// open or verified.
    pub fn observed(
        &self,
        of: Signed,
        entry: Entry,
        rival: bool,
        verified: Option<bool>,
        date: i8,
    ) -> Out {
        let question = (of, Entry { id: 0, ..entry }, rival, verified, date);
        self.observations
            .ask(&question, |(of, entry, rival, verified, date)| {
                let mut stored = world::entry(&[*of], *entry);
                let (mut date, mut clock) = (world::later(*date), now());
                let past = stored.final_at.0 + Duration::from_secs(1);
                if self.is_without(Removed::FinalByDate) && clock > stored.final_at.0 {
                    date = past;
                }
                if self.is_without(Removed::OwnClock) && date > stored.final_at.0 {
                    clock = past;
                }
                let result = result(*verified, date);
                let result = rules::about_entry(result, Some(date), *rival);
                stored.imported = false;
                let ended = rules::after_observation(&stored, &result, None, VALIDITY, clock);
                Out::of(ended.map(|ended| ended.outcome))
            })
    }

    /// The effect of a read after a refusal.
    pub fn after_refusal(&self, verified: Option<bool>) -> Option<Out> {
        let result = result(verified, now());
        rules::after_refusal(&result).map(|ended| Out::of(Some(ended.outcome)))
    }

    /// Memory after an attempt ended with this outcome.
    pub fn remember(&self, signed: &[Signed], sent: &[(Id, Out)], id: Id, outcome: Out) -> Sent {
        let memory = SentEntries::default();
        for entry in sent_entries(signed, sent).iter().rev() {
            memory.begin(NUMBER, entry);
        }
        memory.end(NUMBER, &world::attempt_id(id), &ended(outcome), now());
        let entries = memory.of(NUMBER);
        entries
            .iter()
            .map(world::back)
            .map(|e| (e.id, e.out))
            .collect()
    }
}

fn result(verified: Option<bool>, date: Timestamp) -> ReadResult {
    match verified {
        Some(true) => ReadResult::Verified {
            id: Some("828".into()),
            phone_number: None,
            request_id: None,
        },
        Some(false) => ReadResult::NotVerified { date: Some(date) },
        None => ReadResult::Failed("Timeout".into()),
    }
}

fn sent_entries(signed: &[Signed], sent: &[(Id, Out)]) -> Vec<LedgerEntry> {
    let entry = |(id, out): &(Id, Out)| world::entry(signed, Entry::new(*id, *out));
    sent.iter().map(entry).collect()
}

fn signed_at(signed: &[Signed], id: Id) -> Now {
    ago(signed[usize::from(id)].age)
}

/// The outcome of an attempt by its reply.
pub fn conclusion(reply: Reply) -> Out {
    Out::of(Some(rules::conclusion(world::answer(reply)).ended.outcome))
}

fn ended(out: Out) -> Ended {
    let ended = Ended::of(out.get().unwrap());
    match out.code_use() {
        CodeUse::Verified => Ended {
            id: Some("828".into()),
            ..ended
        },
        CodeUse::Open | CodeUse::Released | CodeUse::Spent => ended,
    }
}

fn concluded(out: Out) -> Concluded {
    let release_cause = match out.get() {
        Some(Outcome::Throttled) => Some(ReleaseCause::Throttled),
        Some(Outcome::NotSent) => Some(ReleaseCause::NotSent),
        Some(Outcome::Blocked) => Some(ReleaseCause::Credentials),
        Some(
            Outcome::Accepted
            | Outcome::Adopted
            | Outcome::Refused
            | Outcome::RequestRefused
            | Outcome::UnknownFinal
            | Outcome::Unknown,
        )
        | None => None,
    };
    Concluded {
        ended: ended(out),
        release_cause,
        phone_number: None,
    }
}
