//! The API server: conditional writes, late ones, and changes of the objects by users.

use phone_migration_operator::api::reason::{CodeUse, Outcome};

use crate::bridge::Seeing;
use crate::protocol::Protocol;
use crate::records::{Book, Id, Out, Said};
use crate::scope::{Fault, Removed};
use crate::state::{LateBook, LateSaid, Replaces, Snapshot, State, shown};

impl Protocol {
    /// Whether a write that replaces this version of the ledger is accepted.
    pub fn replaces(&self, s: &State, replaces: Replaces) -> bool {
        replaces == s.version() || self.is_without(Removed::Cas)
    }

    /// A write by the protocol.
    pub fn store_book(&self, s: &mut State, mut book: Book) {
        if self.is_without(Removed::Released) {
            book.released.clear();
        }
        if let Some(old) = s.book()
            && !follows(old, &book)
        {
            s.wrong.moved_back = true;
        }
        for entry in &book.entries {
            let truth = &mut s.truth[usize::from(entry.id)];
            s.wrong.moved_back |= truth.released && !entry.out.is_released() && !s.lost;
            truth.released |= entry.out.is_released();
        }
        let version = s.fresh_version();
        s.ledger = Some((version, book));
    }

    /// A write to the ledger, now or later.
    pub fn write_book(&self, s: &mut State, book: Book, late: bool) -> Option<()> {
        if late {
            return self.send_book_late(s, s.version(), book);
        }
        self.store_book(s, book);
        Some(())
    }

    pub fn send_book_late(&self, s: &mut State, replaces: Replaces, book: Book) -> Option<()> {
        self.fault(s, Fault::LateWrite)?;
        s.late_book.is_none().then_some(())?;
        s.late_book = Some(LateBook { replaces, book });
        Some(())
    }

    pub fn surface_book(&self, s: &mut State) -> Option<()> {
        let late = s.late_book.take()?;
        self.replaces(s, late.replaces).then_some(())?;
        self.store_book(s, late.book);
        Some(())
    }

    /// A status write, now or later.
    pub fn write_said(&self, s: &mut State, resource: u8, said: Said, late: bool) -> Option<()> {
        let version = s.resources[usize::from(resource)].version;
        if late {
            self.fault(s, Fault::LateStatus)?;
            s.late_said.is_none().then_some(())?;
            s.late_said = Some(LateSaid {
                resource,
                version,
                said,
            });
            return Some(());
        }
        self.store_said(s, resource, said);
        Some(())
    }

    fn store_said(&self, s: &mut State, resource: u8, said: Said) {
        let told = if self.scope.loses() {
            shown(Some(&said))
        } else {
            0
        };
        let version = s.fresh_version();
        let of = &mut s.resources[usize::from(resource)];
        let old = of.said.iter().flat_map(Said::attempts);
        let lost = |(id, out): (Id, Out)| {
            let mut new = said.attempts();
            out.is_definite() && new.any(|(of, new)| of == id && !new.is_definite())
        };
        if old.into_iter().any(lost) {
            s.wrong.moved_back = true;
        }
        of.told |= told;
        (of.said, of.version) = (Some(said), version);
    }

    pub fn surface_said(&self, s: &mut State) -> Option<()> {
        let late = s.late_said.take()?;
        let current = s.resources[usize::from(late.resource)].version == late.version;
        current.then(|| self.store_said(s, late.resource, late.said))
    }

    pub fn seeing(&self, s: &State, resource: u8) -> Seeing {
        let of = &s.resources[usize::from(resource)];
        Seeing {
            resource,
            life: of.life,
            said: of.said.clone(),
        }
    }

    /// Takes a snapshot that a later fault restores.
    pub fn snapshot(&self, s: &mut State) -> Option<()> {
        (self.scope.restores() && s.faults > 0 && s.snapshot.is_none()).then_some(())?;
        let (version, book) = match self.scope.loses() {
            true => s.ledger.clone()?,
            false => (0, Book::default()),
        };
        let said =
            s.resources
                .iter()
                .map(|r| match self.scope.kinds.contains(&Fault::RestoreStatus) {
                    true => (r.life, r.said.clone()),
                    false => (0, None),
                });
        s.snapshot = Some(Snapshot {
            version,
            book,
            said: said.collect(),
        });
        Some(())
    }

    /// Changes the objects as a user, or a fault of the store, does.
    pub fn meddle(&self, s: &mut State, fault: Fault, resource: u8) -> Option<()> {
        self.fault(s, fault)?;
        let fresh = s.fresh_version();
        let of = &mut s.resources[usize::from(resource)];
        match fault {
            Fault::Delete => {
                s.ledger.take()?;
                s.lost = true;
            }
            Fault::RestoreOlder | Fault::RestoreNewer => {
                let then = s.snapshot.take()?;
                let version = match fault == Fault::RestoreOlder {
                    true => then.version,
                    false => fresh,
                };
                s.ledger = Some((version, then.book));
                s.lost = true;
            }
            Fault::Wipe => {
                of.said.take()?;
                (of.told, of.version) = (0, fresh);
            }
            Fault::RestoreStatus => {
                let (life, said) = s.snapshot.take()?.said[usize::from(resource)].clone();
                (life == of.life && said != of.said).then_some(())?;
                of.told = if self.scope.loses() {
                    shown(said.as_ref())
                } else {
                    0
                };
                (of.said, of.version) = (said, fresh);
            }
            Fault::Recreate => {
                (of.said, of.told, of.version) = (None, 0, fresh);
                of.life += 1;
            }
            Fault::Crash
            | Fault::LostReply
            | Fault::LostRequest
            | Fault::Repeated
            | Fault::Throttle
            | Fault::Block
            | Fault::LostWrite
            | Fault::LateWrite
            | Fault::LateStatus
            | Fault::SlowLedger
            | Fault::FailedRead
            | Fault::ShutGate => return None,
        }
        Some(())
    }

    /// Rotates a resource's Secret.
    pub fn rotate(&self, s: &mut State, resource: u8) -> Option<()> {
        s.rotations = s.rotations.checked_sub(1)?;
        s.resources[usize::from(resource)].rotation += 1;
        Some(())
    }
}

/// Whether a ledger may become this one: no counting entry vanishes, and outcomes stay. Separate
/// from `Outcome::may_replace`, and as the page of the protocol defines it.
fn follows(old: &Book, new: &Book) -> bool {
    let kept = old.entries.iter().all(|was| match new.get(was.id) {
        None => was.out.is_released(),
        Some(is) => is.out == was.out || may_become(was.out, is.out),
    });
    let released = old
        .released
        .iter()
        .all(|id| new.get(*id).is_none_or(|e| e.out.is_released()));
    kept && released
}

fn may_become(old: Out, new: Out) -> bool {
    match old.get() {
        None | Some(Outcome::Unknown) => true,
        Some(Outcome::UnknownFinal) => matches!(new.code_use(), CodeUse::Spent | CodeUse::Verified),
        Some(Outcome::Refused | Outcome::RequestRefused) => new.get() == Some(Outcome::Adopted),
        Some(
            Outcome::Accepted
            | Outcome::Adopted
            | Outcome::Throttled
            | Outcome::NotSent
            | Outcome::Blocked,
        ) => false,
    }
}
