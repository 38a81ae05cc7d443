//! The tenants: they create resources in waves, correct codes that were refused, and disturb their
//! own resources according to the plan.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use harness::cams_simulator::Number;
use harness::{condition, reason};
use serde_json::{Value, json};
use tokio::sync::{Mutex, RwLock};
use tokio::time::{Instant, sleep};

use crate::cast::{self, MOST_CODES, Manner, Role};
use crate::cluster::{Cluster, Desired};
use crate::plan::Stir;

/// Requests of tenants at a time.
const AT_ONCE: usize = 12;
/// The state of a resource whose number others share counts once it has not changed for so long.
const UNCHANGED: Duration = Duration::from_secs(8);
/// No status read lags for this long after a resource was recreated: a call of the old resource may
/// verify its number.
const IN_FLIGHT: Duration = Duration::from_secs(12);

/// One resource and its tenant's memory.
pub struct Subject {
    pub role: Role,
    desired: Desired,
    /// Which code is in the Secret.
    k: u64,
    /// Entries of history when the current code came.
    spent_before: usize,
    /// The last seen version of the resource, and since when.
    seen: Option<(String, Instant)>,
    writes: u64,
    /// Times it was created again.
    pub recreated: u64,
    /// Codes put into its Secret over an earlier one.
    pub rotated: u64,
}

impl Subject {
    fn new(role: Role) -> Self {
        Self {
            desired: Desired {
                namespace: role.namespace.clone(),
                name: role.name.clone(),
                phone: role.phone.clone(),
                ..Desired::default()
            },
            role,
            k: 0,
            spent_before: 0,
            seen: None,
            writes: 0,
            recreated: 0,
            rotated: 0,
        }
    }

    fn code(&self) -> String {
        self.role.code(self.k)
    }

    /// Whether other resources submit codes that count for it: its history then says little about
    /// its own codes.
    fn shares(&self) -> bool {
        self.role.shares.is_some() || self.recreated > 0
    }

    /// Whether the status is about its current code: one of its own codes was spent since, or,
    /// where others count, nothing has changed for a while.
    fn speaks(&mut self, object: &Value) -> bool {
        let spent = object["status"]["history"].as_array().map_or(0, Vec::len);
        if !self.shares() {
            return spent > self.spent_before;
        }
        let version = object["metadata"]["resourceVersion"].as_str();
        let version = version.unwrap_or_default();
        match &self.seen {
            Some((seen, since)) if seen == version => since.elapsed() >= UNCHANGED,
            Some(_) | None => {
                self.seen = Some((version.to_owned(), Instant::now()));
                false
            }
        }
    }

    /// Whether the tenant puts in another code after the current one failed.
    fn corrects(&self) -> bool {
        match self.role.manner {
            Manner::NeverRight | Manner::UnknownNumber => false,
            Manner::Right
            | Manner::WrongFirst(_)
            | Manner::Stubborn
            | Manner::LateSecret(_)
            | Manner::VerifiedBefore
            | Manner::NoCode
            | Manner::SuspendedFirst(_) => self.k + 1 < MOST_CODES,
        }
    }

    /// Whether the k-th code of this manner is the right one.
    fn is_right(&self, k: u64) -> bool {
        match self.role.manner {
            Manner::NeverRight | Manner::UnknownNumber => false,
            Manner::WrongFirst(wrong) => k >= wrong,
            Manner::Stubborn => k >= 5,
            Manner::Right
            | Manner::LateSecret(_)
            | Manner::VerifiedBefore
            | Manner::NoCode
            | Manner::SuspendedFirst(_) => true,
        }
    }

    /// Why the resource cannot stay as it is; `None` if it can.
    pub fn unsettled(&self, object: &Value) -> Option<String> {
        let status = &object["status"];
        let word = reason(status);
        let spent = status["history"].as_array().map_or(0, Vec::len);
        let stays = match word {
            "Verified" => !status["id"].is_null(),
            // No read answers for such a number, so it never becomes final.
            "OutcomeUnknown" if self.role.manner == Manner::UnknownNumber => {
                condition(status, "Stalled") == "True"
            }
            "CodeRejected" | "RequestRejected" | "OutcomeUnknown" | "AttemptsExhausted" => {
                condition(status, "Finished") == "True"
                    && (spent > self.spent_before || self.shares())
                    && !self.corrects()
            }
            "DuplicatePhoneNumber" => self.shares(),
            _ => false,
        };
        (!stays).then(|| word.to_owned())
    }
}

pub struct Tenants {
    pub cluster: Cluster,
    seed: u64,
    namespaces: u64,
    calm: Arc<RwLock<()>>,
    subjects: StdMutex<Vec<Arc<Mutex<Subject>>>>,
}

impl Tenants {
    pub fn new(cluster: Cluster, seed: u64, namespaces: u64, calm: Arc<RwLock<()>>) -> Self {
        Self {
            cluster,
            seed,
            namespaces,
            calm,
            subjects: StdMutex::default(),
        }
    }

    /// All resources so far.
    pub fn subjects(&self) -> Vec<Arc<Mutex<Subject>>> {
        let subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        subjects.clone()
    }

    /// How many were created.
    pub fn count(&self) -> usize {
        let subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        subjects.len()
    }

    pub fn subject(&self, object: &Value) -> Option<Arc<Mutex<Subject>>> {
        let n = cast::number_of(object["metadata"]["name"].as_str()?)?;
        let subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        subjects.get(usize::try_from(n).ok()?).cloned()
    }

    /// Creates that many more.
    pub async fn wave(self: Arc<Self>, size: usize) {
        let new = self.enrol(size);
        let create = stream::iter(new).map(|subject| async {
            let subject = subject;
            self.create(&mut *subject.lock().await).await;
        });
        create.buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    fn enrol(&self, size: usize) -> Vec<Arc<Mutex<Subject>>> {
        let mut all = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        let first = u64::try_from(all.len()).unwrap_or_default();
        let roles = (first..).take(size).map(|n| {
            let role = cast::role(self.seed, n, self.namespaces);
            Arc::new(Mutex::new(Subject::new(role)))
        });
        let new: Vec<_> = roles.collect();
        all.extend(new.iter().cloned());
        drop(all);
        let wave = json!({"first": first, "size": size});
        self.cluster.events.note("wave", wave);
        new
    }

    async fn create(&self, subject: &mut Subject) {
        let role = subject.role.clone();
        let right = subject.is_right(0);
        // For a number whose first codes are wrong, the right one is a code that never comes.
        let known = role.code(if right { 0 } else { MOST_CODES - 1 });
        let number = Number::new(&role.phone, known, &role.id);
        let cloud = &self.cluster.world.sim;
        match role.manner {
            Manner::UnknownNumber => {}
            Manner::VerifiedBefore => cloud.add_number(number.verified()),
            // Another resource brought it.
            _ if cloud.number(&role.phone).is_some() => {}
            _ => cloud.add_number(number),
        }
        match role.manner {
            Manner::LateSecret(late) => {
                self.cluster.apply(&subject.desired).await;
                sleep(Duration::from_millis(late)).await;
                self.put_code(subject).await;
            }
            Manner::NoCode => {
                self.cluster
                    .apply_code(&subject.desired, "no code", "0")
                    .await;
                self.cluster.apply(&subject.desired).await;
            }
            Manner::SuspendedFirst(long) => {
                self.put_code(subject).await;
                self.suspend(subject, true).await;
                sleep(Duration::from_millis(long)).await;
                self.suspend(subject, false).await;
            }
            Manner::Right
            | Manner::WrongFirst(_)
            | Manner::NeverRight
            | Manner::Stubborn
            | Manner::VerifiedBefore
            | Manner::UnknownNumber => {
                self.put_code(subject).await;
                self.cluster.apply(&subject.desired).await;
            }
        }
    }

    async fn put_code(&self, subject: &mut Subject) {
        subject.writes += 1;
        let label = subject.writes.to_string();
        let code = subject.code();
        self.cluster
            .apply_code(&subject.desired, &code, &label)
            .await;
    }

    async fn suspend(&self, subject: &mut Subject, suspend: bool) {
        subject.desired.suspend = suspend;
        self.cluster.apply(&subject.desired).await;
    }

    /// Asks the operator to reconcile it now.
    pub async fn request(&self, subject: &mut Subject) {
        subject.writes += 1;
        subject.desired.requested_at = Some(format!("request-{}", subject.writes));
        self.cluster.apply(&subject.desired).await;
    }

    /// The next code, right or not by the tenant's manner, or right in any case.
    async fn next_code(&self, subject: &mut Subject, right: bool) {
        if subject.k + 1 >= MOST_CODES {
            return;
        }
        subject.k += 1;
        subject.rotated += 1;
        subject.seen = None;
        if right || subject.is_right(subject.k) {
            let code = subject.code();
            self.cluster.world.sim.set_code(&subject.role.phone, &code);
        }
        self.put_code(subject).await;
    }

    /// Checks every resource that is not verified and puts in another code if the last one failed.
    /// `right`: the right code for any manner. Returns how many are not verified.
    pub async fn correct(&self, right: bool) -> Option<usize> {
        let objects = self.cluster.list("status.reason!=Verified").await?;
        let backlog = objects.len();
        let correct = stream::iter(&objects).map(|object| self.correct_one(object, right));
        correct.buffer_unordered(AT_ONCE).collect::<()>().await;
        Some(backlog)
    }

    async fn correct_one(&self, object: &Value, right: bool) {
        let Some(subject) = self.subject(object) else {
            return;
        };
        // Another task has it.
        let Ok(mut subject) = subject.try_lock() else {
            return;
        };
        let status = &object["status"];
        let spent = status["history"].as_array().map_or(0, Vec::len);
        let finished = subject.speaks(object) && condition(status, "Finished") == "True";
        let (refused, exhausted) = match reason(status) {
            "CodeRejected" | "RequestRejected" | "OutcomeUnknown" => (finished, false),
            "AttemptsExhausted" => (finished, true),
            "InvalidCode" => (true, false),
            _ => (false, false),
        };
        if !(refused || exhausted) || !subject.corrects() {
            return;
        }
        subject.spent_before = spent;
        self.next_code(&mut subject, right || exhausted).await;
        if exhausted {
            subject.desired.retry_token = format!("more-{}", subject.k);
            self.cluster.apply(&subject.desired).await;
        } else if subject.k % 2 == 0 {
            self.request(&mut subject).await;
        }
    }

    /// Does the plan's action to one of the newer resources.
    pub async fn stir(&self, stir: Stir, pick: u64) {
        let subjects = self.subjects();
        let newer = subjects.len().min(150);
        let newer = subjects.get(subjects.len() - newer..).unwrap_or_default();
        let place = usize::try_from(pick).unwrap_or_default();
        let Some(subject) = newer.get(place % newer.len().max(1)) else {
            return;
        };
        let mut subject = subject.lock().await;
        let name = subject.role.name.clone();
        self.cluster
            .events
            .note("stir", json!({"stir": stir, "name": name}));
        match stir {
            Stir::Request => self.request(&mut subject).await,
            Stir::SameCode => self.put_code(&mut subject).await,
            Stir::Rotate => {
                let right = subject.is_right(MOST_CODES);
                self.next_code(&mut subject, right).await;
            }
            Stir::Suspend { ms } => {
                self.suspend(&mut subject, true).await;
                sleep(Duration::from_millis(ms)).await;
                self.suspend(&mut subject, false).await;
            }
            Stir::Recreate { gap } => self.recreate(&mut subject, gap).await,
        }
    }

    /// Deletes it and creates it again, with its code or with a fresh one.
    async fn recreate(&self, subject: &mut Subject, gap: u64) {
        let calm = Arc::clone(&self.calm).read_owned().await;
        self.cluster.delete(&subject.desired).await;
        sleep(Duration::from_millis(gap)).await;
        subject.recreated += 1;
        subject.spent_before = 0;
        subject.seen = None;
        subject.desired.requested_at = None;
        if gap.is_multiple_of(2) {
            let right = subject.is_right(MOST_CODES);
            self.next_code(subject, right).await;
        }
        self.cluster.apply(&subject.desired).await;
        tokio::spawn(async move {
            sleep(IN_FLIGHT).await;
            drop(calm);
        });
    }
}
