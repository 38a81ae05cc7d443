//! The steps of a process: each request is one step, and the production code makes the decision in
//! it.

use phone_migration_operator::api::reason::{CodeUse, Outcome};

use crate::bridge::{Adopted, Input, Recorded, Then, conclusion};
use crate::protocol::{Fate, From, Protocol, View};
use crate::records::{Book, Entry, Id, Out};
use crate::scope::{Fault, Removed};
use crate::state::{By, Reply, Signed, State, Task, Truth};

impl Protocol {
    fn input(&self, s: &State, p: usize, resource: u8, book: Option<&Book>) -> Input {
        let replica = &s.replicas[p];
        let of = &s.resources[usize::from(resource)];
        let others = (0..self.scope.codes.len()).map(|r| u8::try_from(r).unwrap());
        Input {
            signed: s.attempts.clone(),
            own: self.seeing(s, resource),
            others: others
                .filter(|other| *other != resource)
                .map(|other| self.seeing(s, other))
                .collect(),
            book: book.cloned(),
            sent: replica.sent.clone(),
            abandoned: replica.abandoned.clone(),
            next: Signed {
                resource,
                life: of.life,
                rotation: of.rotation,
                code: self.code(s, resource),
                key: if self.scope.keys {
                    u8::try_from(p).unwrap()
                } else {
                    0
                },
                age: 0,
            },
            granted: false,
            read: false,
        }
    }

    /// The code in a resource's Secret.
    pub fn code(&self, s: &State, resource: u8) -> u8 {
        let place = usize::from(resource);
        (self.scope.codes[place] + s.resources[place].rotation) % 2
    }

    /// A read of the number's status.
    fn read(&self, s: &mut State, view: View) -> Option<Option<bool>> {
        Some(match view {
            View::Now => Some(s.verified),
            View::Failed => {
                self.fault(s, Fault::FailedRead)?;
                None
            }
        })
    }

    /// Steps 2 to 4: a turn. The pre-read, the live reads, the decision, the signature.
    pub fn turn(&self, s: &mut State, p: usize, resource: u8, view: View) -> Option<()> {
        let mut input = self.input(s, p, resource, s.book());
        if self.bridge.reads_first(&input.signed, &input.own) {
            if self.read(s, view)? == Some(true) {
                return self.adopt(s, p, resource, &input);
            }
        } else if view != View::Now {
            return None;
        }
        // All reads that were due by then were made.
        (input.granted, input.read) = (true, true);
        let decided = self.bridge.decide(&input);
        let Then::Claim(book) = decided.then else {
            return self.write_said(s, resource, decided.said?, false);
        };
        let id = u8::try_from(s.attempts.len()).unwrap();
        assert!(id < 8, "more attempts than bits");
        s.attempts.push(input.next);
        s.truth.push(Truth::default());
        s.replicas[p].task = Task::Claim {
            id,
            replaces: s.version(),
            book,
            asked: false,
            shown: s.resources.iter().fold(0, |bits, r| bits | r.told),
            shown_own: s.resources[usize::from(resource)].told,
        };
        Some(())
    }

    fn adopt(&self, s: &mut State, p: usize, resource: u8, input: &Input) -> Option<()> {
        match self.bridge.adoption(input) {
            Adopted::Duplicate(said) => self.write_said(s, resource, said?, false),
            Adopted::NotNow => None,
            Adopted::Adopt(entry) => {
                self.verified(s, p, resource, entry);
                Some(())
            }
        }
    }

    /// A read found the number of this resource verified.
    fn verified(&self, s: &mut State, p: usize, resource: u8, entry: Option<Entry>) {
        let book = s.book().cloned().unwrap_or_default();
        s.replicas[p].task = match entry {
            Some(entry) => Task::Record {
                entry,
                ended: match entry.out.get() {
                    Some(Outcome::Accepted) => entry.out,
                    _ => Out::of(Some(Outcome::Adopted)),
                },
                by: By::Resource(resource),
            },
            None => Task::ShowVerified { resource, book },
        };
    }

    /// An evaluation without an action, by the index.
    pub fn reconcile(
        &self,
        s: &mut State,
        p: usize,
        resource: u8,
        from: From,
        fate: Fate,
    ) -> Option<()> {
        let late = fate == Fate::Late;
        let book = match from {
            From::Current { .. } => s.book(),
            From::Nothing => (s.ledger.is_some()).then_some(None)?,
            From::Old => Some(&s.snapshot.as_ref()?.book),
        };
        let mut input = self.input(s, p, resource, book);
        input.read = from == From::Current { read: true };
        let decided = self.bridge.decide(&input);
        if let Some(said) = decided.said {
            self.write_said(s, resource, said, late)?;
        } else if late && decided.then != Then::StoreImport {
            return None;
        }
        match decided.then {
            Then::Nothing | Then::Read(_) => {}
            Then::Claim(_) => panic!("a claim without a turn"),
            Then::StoreImport => {
                let own = Some(input.own);
                let known = (
                    input.signed,
                    own,
                    s.book().cloned(),
                    input.sent,
                    input.abandoned,
                );
                self.write_book(s, self.bridge.put_back(&known)?, late)?;
            }
            Then::Settle(_) => self.settle(s, p)?,
        }
        Some(())
    }

    /// Settles the open entry if it was never sent.
    fn settle(&self, s: &mut State, p: usize) -> Option<()> {
        let entry = s.book()?.open().next()?;
        let replica = &mut s.replicas[p];
        let known = replica.abandoned.contains(&entry.id);
        (known || self.is_without(Removed::ReleaseBySigner)).then_some(())?;
        replica.abandoned.retain(|id| *id != entry.id);
        let ended = Out::of(Some(Outcome::NotSent));
        replica.task = Task::Record {
            entry,
            ended,
            by: By::Other,
        };
        Some(())
    }

    /// A read that a resource asks for.
    pub fn late_read(&self, s: &mut State, p: usize, resource: u8) -> Option<()> {
        let input = self.input(s, p, resource, s.book());
        let entry = self.bridge.late_read(&input)?;
        s.verified.then_some(())?;
        self.verified(s, p, resource, entry);
        Some(())
    }

    /// Step 11: observes an open entry of any process.
    pub fn observe(&self, s: &mut State, p: usize, view: View) -> Option<()> {
        let entry = s.book()?.open().next()?;
        let replica = &s.replicas[p];
        if replica.abandoned.contains(&entry.id) {
            return self.settle(s, p);
        }
        let rival = self.bridge.has_rival(&s.attempts, s.book(), entry.id);
        let here = self
            .bridge
            .known_end(&s.attempts, &replica.sent, entry.id, rival);
        let ended = match here.filter(|_| !self.is_without(Removed::PutBack)) {
            Some(out) => out,
            None => {
                let result = self.read(s, view)?;
                let of = s.attempts[usize::from(entry.id)];
                let date = self.scope.ahead.cast_signed() - self.scope.behind.cast_signed();
                self.bridge.observed(of, entry, rival, result, date)
            }
        };
        ended.is_definite().then_some(())?;
        s.replicas[p].task = Task::Record {
            entry,
            ended,
            by: By::Other,
        };
        Some(())
    }

    /// Step 6: stores the entries that memory has and the ledger lacks.
    pub fn put_back(&self, s: &mut State, p: usize, fate: Fate) -> Option<()> {
        let forgets = [
            Removed::Sent,
            Removed::SentImport,
            Removed::ReRecord,
            Removed::PutBack,
        ];
        (!forgets.iter().any(|removed| self.is_without(*removed))).then_some(())?;
        let replica = &s.replicas[p];
        let (sent, abandoned) = (replica.sent.clone(), replica.abandoned.clone());
        let known = (s.attempts.clone(), None, s.book().cloned(), sent, abandoned);
        if let Some(book) = self.bridge.put_back(&known) {
            return self.write_book(s, book, fate == Fate::Late);
        }
        (fate == Fate::Answered).then_some(())?;
        let news = replica.sent.iter().find_map(|(id, out)| {
            let entry = s.entry(*id)?;
            let outcome = out.get().filter(|_| out.is_definite())?;
            outcome
                .may_replace(entry.out.get())
                .then_some((entry, *out))
        });
        let (entry, ended) = news?;
        s.replicas[p].task = Task::Record {
            entry,
            ended,
            by: By::Other,
        };
        Some(())
    }

    /// The next write of the task.
    pub fn write(&self, s: &mut State, p: usize, fate: Fate) -> Option<()> {
        match s.replicas[p].task.clone() {
            Task::Claim { .. } => self.claim(s, p, fate),
            Task::Record { entry, ended, by } => self.record(s, p, entry, ended, by, fate),
            Task::Show { id, ended, book } => {
                s.replicas[p].task = Task::Idle;
                self.show(s, id, ended, &book, fate)
            }
            Task::ShowVerified { resource, book } => {
                s.replicas[p].task = Task::Idle;
                let own = self.seeing(s, resource);
                match self.bridge.show_verified(&s.attempts, own, &book) {
                    Some(said) => self.write_said(s, resource, said, fate == Fate::Late),
                    None => (fate == Fate::Answered).then_some(()),
                }
            }
            Task::Idle
            | Task::Check { .. }
            | Task::Gate { .. }
            | Task::Sent { .. }
            | Task::Refused { .. } => None,
        }
    }

    fn show(&self, s: &mut State, id: Id, ended: Out, book: &Book, fate: Fate) -> Option<()> {
        let resource = s.attempts[usize::from(id)].resource;
        let said = match s.lives(id) {
            true => {
                let own = self.seeing(s, resource);
                self.bridge.show(&s.attempts, own, id, ended, book)
            }
            false => None,
        };
        match said {
            Some(said) => self.write_said(s, resource, said, fate == Fate::Late),
            None => (fate == Fate::Answered).then_some(()),
        }
    }

    /// Step 5.
    fn claim(&self, s: &mut State, p: usize, fate: Fate) -> Option<()> {
        let Task::Claim {
            id,
            replaces,
            book,
            asked,
            ..
        } = s.replicas[p].task.clone()
        else {
            return None;
        };
        if asked && s.attempts[usize::from(id)].age > 0 {
            return None;
        }
        let stored = self.replaces(s, replaces);
        match fate {
            Fate::Answered if stored => {
                self.note_blindness(s, p);
                self.store_book(s, book);
                self.claimed(s, p, id, replaces.is_none());
            }
            Fate::Answered => {
                if self.bridge.recognises(&s.attempts, s.book(), id) {
                    // It was stored at an unknown time; only this is known.
                    self.note_blindness(s, p);
                    self.claimed(s, p, id, replaces.is_none());
                } else {
                    self.abandon(s, p, id, asked);
                }
            }
            Fate::Lost => {
                stored.then_some(())?;
                self.fault(s, Fault::LostWrite)?;
                self.note_blindness(s, p);
                self.store_book(s, book);
                ask_again(s, p);
            }
            Fate::Late => {
                self.note_blindness(s, p);
                self.send_book_late(s, replaces, book)?;
                ask_again(s, p);
            }
        }
        Some(())
    }

    fn claimed(&self, s: &mut State, p: usize, id: Id, created: bool) {
        let book = s.book().cloned().unwrap_or_default();
        if created {
            self.see_status_again(s, id);
        }
        s.replicas[p].task = match created && !self.is_without(Removed::StatusAfterPost) {
            true => Task::Check { id, book },
            false => Task::Gate {
                id,
                hindered: false,
            },
        };
    }

    fn abandon(&self, s: &mut State, p: usize, id: Id, asked: bool) {
        let replica = &mut s.replicas[p];
        replica.task = Task::Idle;
        if asked {
            replica.abandoned.push(id);
        }
    }

    /// A case that the page of limits admits: the ledger was lost or restored, and no other place
    /// that this process reads showed an attempt when it decided. Another code waits for the own
    /// status only.
    fn note_blindness(&self, s: &mut State, p: usize) {
        let Task::Claim {
            id,
            shown,
            shown_own,
            ..
        } = s.replicas[p].task
        else {
            return;
        };
        if !s.lost {
            return;
        }
        let place = usize::from(id);
        for other in (0..s.attempts.len()).filter(|other| *other != place) {
            let of = u8::try_from(other).unwrap();
            let in_status = match s.attempts[other].code == s.attempts[place].code {
                true => shown,
                false => shown_own,
            };
            let in_ledger = s.book().is_some_and(|book| book.knows(of));
            let sent = s.replicas[p].sent.iter().any(|(id, _)| *id == of);
            if !in_ledger && !sent && in_status & (1 << of) == 0 {
                s.truth[place].blind |= 1 << of;
            }
        }
    }

    /// After a creation, the current state of its own status counts.
    fn see_status_again(&self, s: &mut State, id: Id) {
        let own = &s.resources[usize::from(s.attempts[usize::from(id)].resource)];
        let seen = own.told;
        s.truth[usize::from(id)].blind &= !seen;
    }

    /// The status after a ledger was created.
    pub fn check(&self, s: &mut State, p: usize) -> Option<()> {
        let Task::Check { id, book } = s.replicas[p].task.clone() else {
            return None;
        };
        let own = self.seeing(s, s.attempts[usize::from(id)].resource);
        self.see_status_again(s, id);
        let hindered = self.bridge.is_hindered(&s.attempts, own, &book, id);
        s.replicas[p].task = Task::Gate { id, hindered };
        Some(())
    }

    /// Step 6: the gate; step 7: the bytes leave.
    pub fn send(&self, s: &mut State, p: usize, opens: bool) -> Option<()> {
        let Task::Gate { id, hindered } = s.replicas[p].task else {
            return None;
        };
        if !opens {
            self.fault(s, Fault::ShutGate)?;
        }
        if !opens || hindered || !self.bridge.opens(&s.attempts, id, &s.replicas[p].sent) {
            self.ended(s, p, id, Reply::Gate);
            return Some(());
        }
        let claimed = match s.entry(id) {
            Some(entry) => !entry.out.is_definite() || entry.out.get() == Some(Outcome::Adopted),
            None => s.lost,
        };
        if !claimed {
            s.wrong.sent_unclaimed = true;
        }
        s.truth[usize::from(id)].sent = true;
        s.replicas[p].sent.insert(0, (id, Out::OPEN));
        s.replicas[p].task = Task::Sent { id, reply: None };
        s.wire.push(id);
        Some(())
    }

    /// Step 8: the reply came.
    pub fn conclude(&self, s: &mut State, p: usize) -> Option<()> {
        let Task::Sent {
            id,
            reply: Some(reply),
        } = s.replicas[p].task
        else {
            return None;
        };
        self.ended(s, p, id, reply);
        Some(())
    }

    /// The deadline passed, or the claim's write got no answer.
    pub fn give_up(&self, s: &mut State, p: usize) -> Option<()> {
        match s.replicas[p].task {
            Task::Sent { id, reply } => {
                let age = s.attempts[usize::from(id)].age;
                if reply.is_some() || (s.wire.contains(&id) && age <= 1) {
                    self.fault(s, Fault::LostReply)?;
                }
                self.ended(s, p, id, Reply::Timeout);
                Some(())
            }
            Task::Claim {
                id, asked: true, ..
            } => {
                self.abandon(s, p, id, true);
                Some(())
            }
            _ => None,
        }
    }

    fn ended(&self, s: &mut State, p: usize, id: Id, reply: Reply) {
        let ended = conclusion(reply);
        self.remember(s, p, id, ended);
        let entry = Entry::new(id, Out::OPEN);
        s.replicas[p].task = Task::Record {
            entry,
            ended,
            by: By::Signer,
        };
    }

    fn remember(&self, s: &mut State, p: usize, id: Id, ended: Out) {
        let sent = self
            .bridge
            .remember(&s.attempts, &s.replicas[p].sent, id, ended);
        s.replicas[p].sent = sent;
    }

    /// Step 9.
    fn record(
        &self,
        s: &mut State,
        p: usize,
        entry: Entry,
        ended: Out,
        by: By,
        fate: Fate,
    ) -> Option<()> {
        let id = entry.id;
        let book = match self.bridge.record(&s.attempts, s.book(), entry, ended) {
            Recorded::Write(book) => {
                self.write_book(s, book, fate == Fate::Late)?;
                if fate == Fate::Late {
                    return Some(());
                }
                s.book().cloned()?
            }
            Recorded::Stands => s.book().cloned().unwrap_or_default(),
            Recorded::Withheld => self.bridge.as_if(&s.attempts, &Book::default(), id, ended),
        };
        (fate == Fate::Answered).then_some(())?;
        if let Some(known) = s
            .entry(id)
            .filter(|e| e.out.is_definite() && !e.out.is_released())
        {
            self.remember(s, p, id, known.out);
        }
        s.replicas[p].task = match by {
            By::Signer if ended.get() == Some(Outcome::Refused) && s.entry(id).is_some() => {
                Task::Refused { id, ended, book }
            }
            By::Signer | By::AfterRefusal => Task::Show { id, ended, book },
            By::Resource(resource) => Task::ShowVerified { resource, book },
            By::Other => Task::Idle,
        };
        Some(())
    }

    /// The ledger cannot be written: status is the second place.
    pub fn show_first(&self, s: &mut State, p: usize) -> Option<()> {
        let Task::Record {
            entry,
            ended,
            by: By::Signer,
        } = s.replicas[p].task
        else {
            return None;
        };
        self.fault(s, Fault::SlowLedger)?;
        let stored = s.book().cloned().unwrap_or_default();
        let book = self.bridge.as_if(&s.attempts, &stored, entry.id, ended);
        self.show(s, entry.id, ended, &book, Fate::Answered)
    }

    /// The read after a refusal.
    pub fn read_after_refusal(&self, s: &mut State, p: usize, view: View) -> Option<()> {
        let Task::Refused { id, ended, book } = s.replicas[p].task.clone() else {
            return None;
        };
        let result = self.read(s, view)?;
        s.replicas[p].task = match self.bridge.after_refusal(result) {
            Some(adopted) => {
                let entry = book.get(id);
                let entry = entry.unwrap_or(Entry::new(id, Out::OPEN));
                Task::Record {
                    entry,
                    ended: adopted,
                    by: By::AfterRefusal,
                }
            }
            None => Task::Show { id, ended, book },
        };
        Some(())
    }

    /// True for a code that needs no further outcome: it was sent, or counts as sent.
    pub fn is_done_with(&self, s: &State, code: u8) -> bool {
        let mut attempts = s.attempts.iter().zip(&s.truth).enumerate();
        attempts.any(|(id, (signed, truth))| {
            let entry = s.entry(u8::try_from(id).unwrap());
            let counts = entry.is_some_and(|e| e.out.code_use() == CodeUse::Spent);
            signed.code == code && counts && (truth.sent || entry.is_some_and(is_final))
        })
    }
}

fn is_final(entry: Entry) -> bool {
    entry.out.get() == Some(Outcome::UnknownFinal)
}

fn ask_again(s: &mut State, p: usize) {
    if let Task::Claim { asked, .. } = &mut s.replicas[p].task {
        *asked = true;
    }
}
