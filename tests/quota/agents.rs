//! Many resources, one account, and a server with a quota for each action: discrete
//! events around the real [`Account`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use phone_migration_operator::quota::account::{Account, Effect, Taken, WaiterId};
use phone_migration_operator::quota::pacer::{DEADLINE, SendId};
use phone_migration_operator::quota::{Action, Priority, QueueEntry, Report, Settings};

use super::sim::worst_second;
use super::{READ, SUBMIT, THROTTLED, ms, s, uid_of};

/// From the slot to the socket.
const HANDING: Duration = Duration::from_micros(200);

/// Times of the world; the network takes this long in each direction.
#[derive(Clone, Copy)]
pub struct Times {
    pub way: Duration,
    pub processing: Duration,
    /// Live reads and the claim, at the apiserver.
    pub cluster: Duration,
}

/// The server's answer to the call of a resource, if its quota admits the call.
pub type Verdict = fn(now: Duration, action: Action, uid: &str) -> Report;

/// The Code with which the server refuses the code of this resource now, if it does.
pub type Refuse = Box<dyn Fn(Duration, &QueueEntry) -> Option<String>>;

/// One refused code.
#[derive(Clone, Debug)]
pub struct Refused {
    pub sent: Duration,
    pub arrived: Duration,
    pub answered: Duration,
    pub queue_entry: QueueEntry,
}

/// The server's record of one action.
#[derive(Default)]
pub struct Ledger {
    pub arrivals: Vec<Duration>,
    pub throttles: usize,
    /// The operator's calls, with the caller and the report.
    pub calls: Vec<(Duration, String, Report)>,
    window: VecDeque<Duration>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Step,
    Foreign,
    Prepared(String),
    Handed(Action, SendId),
    Arrival(Action, String, SendId),
    Ended(Action, String, SendId, bool),
    Enqueue(String),
}

pub struct World {
    pub account: Account,
    pub now: Duration,
    pub verify: Ledger,
    pub reads: Ledger,
    /// When each resource's code got its final answer.
    pub done: HashMap<String, Duration>,
    /// Codes that ended without an answer: they may have been spent.
    pub unknown: HashMap<String, Duration>,
    /// Codes that were refused, by the time of the answer.
    pub refused: Vec<Refused>,
    pub refuse: Refuse,
    refusals: BTreeMap<SendId, (Duration, String)>,
    times: Times,
    verdict: Verdict,
    limit: usize,
    throttled_until: Duration,
    foreign_period: Option<Duration>,
    queue_entries: HashMap<String, QueueEntry>,
    turns: HashMap<String, Taken>,
    reports: BTreeMap<(Action, SendId), Report>,
    waiters: HashMap<WaiterId, (Action, String, Duration)>,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    events_made: u64,
    step_at: Option<Duration>,
}

impl World {
    pub fn new(qps: u32, now: Duration, times: Times, verdict: Verdict) -> Self {
        let mut world = Self {
            account: Account::new(Settings { qps }, now),
            now,
            verify: Ledger::default(),
            reads: Ledger::default(),
            done: HashMap::new(),
            unknown: HashMap::new(),
            refused: Vec::new(),
            refuse: Box::new(|_, _| None),
            refusals: BTreeMap::new(),
            times,
            verdict,
            limit: if qps == 0 { usize::MAX } else { qps as usize },
            throttled_until: Duration::ZERO,
            foreign_period: None,
            queue_entries: HashMap::new(),
            turns: HashMap::new(),
            reports: BTreeMap::new(),
            waiters: HashMap::new(),
            events: BinaryHeap::new(),
            events_made: 0,
            step_at: None,
        };
        world.step_by(now);
        world
    }

    pub fn add(&mut self, queue_entry: QueueEntry) {
        self.account.enqueue(queue_entry.clone(), self.now);
        self.queue_entries
            .insert(queue_entry.uid.clone(), queue_entry);
        self.step_by(self.now);
    }

    /// As `add`, later.
    pub fn add_at(&mut self, queue_entry: QueueEntry, at: Duration) {
        self.at(at, Event::Enqueue(queue_entry.uid.clone()));
        self.queue_entries
            .insert(queue_entry.uid.clone(), queue_entry);
    }

    /// The server throttles every call until then.
    pub fn throttle_until(&mut self, until: Duration) {
        self.throttled_until = until;
    }

    /// Another client submits too, once per period.
    pub fn foreign(&mut self, period: Duration) {
        self.foreign_period = Some(period);
        self.at(self.now, Event::Foreign);
    }

    pub fn finished(&self) -> usize {
        self.done.len() + self.unknown.len()
    }

    /// Lives until `until`, or until every resource is finished.
    pub fn run(&mut self, until: Duration) {
        while self.finished() < self.queue_entries.len()
            && let Some(Reverse((at, _, _))) = self.events.peek()
            && *at < until
            && let Some(Reverse((now, _, event))) = self.events.pop()
        {
            self.now = now;
            self.happen(event);
        }
    }

    fn step_by(&mut self, at: Duration) {
        if self.step_at.is_none_or(|step_at| at < step_at) {
            self.step_at = Some(at);
            self.at(at, Event::Step);
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.events_made += 1;
        self.events.push(Reverse((at, self.events_made, event)));
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            // A step that an earlier one superseded.
            Event::Step if self.step_at != Some(now) => return,
            Event::Step => self.step_at = None,
            Event::Foreign => {
                self.verify.count(now, self.limit);
                if let Some(period) = self.foreign_period {
                    self.at(now + period, Event::Foreign);
                }
                return;
            }
            Event::Prepared(uid) => self.prepared(uid),
            Event::Handed(action, send) => self.account.handed(action, send, now),
            Event::Arrival(action, uid, send) => return self.arrive(action, uid, send),
            Event::Ended(action, uid, send, replied) => self.ended(action, uid, send, replied),
            Event::Enqueue(uid) => {
                let queue_entry = self.queue_entries[&uid].clone();
                self.account.enqueue(queue_entry, now);
            }
        }
        self.step();
    }

    fn step(&mut self) {
        let step = self.account.step(self.now);
        for effect in step.effects {
            match effect {
                Effect::Wake(key) => self.woken(uid_of(&key)),
                Effect::Slot { waiter, send, at } => self.slot(waiter, send, at),
                Effect::Late(waiter) => {
                    let (_, uid, _) = self.waiters.remove(&waiter).unwrap();
                    self.give_back(uid);
                }
            }
        }
        if let Some(next) = step.next {
            assert!(next > self.now, "a hot loop");
            // The dispatcher's timer has a resolution of 1 ms.
            let nanos = u64::try_from(next.as_nanos().div_ceil(1_000_000) * 1_000_000).unwrap();
            let tick = Duration::from_nanos(nanos);
            self.step_by(tick);
        }
    }

    fn woken(&mut self, uid: String) {
        match self.account.take_turn(&uid, self.now) {
            Some(turn) => {
                self.turns.insert(uid.clone(), turn);
                self.wait(READ, uid);
            }
            None => self.at(self.now + ms(1), Event::Enqueue(uid)),
        }
    }

    fn wait(&mut self, action: Action, uid: String) {
        let deadline = self.now + s(5);
        let waiter = self
            .account
            .wait_for_slot(action, Priority::Attempt, deadline);
        self.waiters.insert(waiter, (action, uid, self.now));
        self.step_by(self.now);
    }

    fn slot(&mut self, waiter: WaiterId, send: SendId, at: Duration) {
        let (action, uid, requested_at) = self.waiters.remove(&waiter).unwrap();
        let id = self.turns[&uid].id;
        let stands = match action {
            READ => self.account.use_for_pre_read(&uid, id, requested_at, at),
            SUBMIT => self.account.use_turn(&uid, id, requested_at, send),
        };
        if !stands {
            self.account.unsent(action, send, at);
            self.give_back(uid);
            return;
        }
        let handed = at + HANDING;
        self.at(handed, Event::Handed(action, send));
        self.at(handed + self.times.way, Event::Arrival(action, uid, send));
    }

    /// The evaluation is done, the claim is written.
    fn prepared(&mut self, uid: String) {
        self.wait(SUBMIT, uid);
    }

    fn arrive(&mut self, action: Action, uid: String, send: SendId) {
        let now = self.now;
        let phase = now < self.throttled_until;
        let ledger = match action {
            SUBMIT => &mut self.verify,
            READ => &mut self.reads,
        };
        let over = ledger.count(now, self.limit);
        let report = if over || phase {
            ledger.throttles += 1;
            THROTTLED
        } else {
            (self.verdict)(now, action, &uid)
        };
        ledger.calls.push((now, uid.clone(), report));
        if (action, report) == (SUBMIT, Report::Answered)
            && let Some(code) = (self.refuse)(now, &self.queue_entries[&uid])
        {
            self.refusals.insert(send, (now, code));
        }
        self.reports.insert((action, send), report);
        let (ended, replied) = match report {
            Report::Unknown => (now - self.times.way + DEADLINE, false),
            Report::Throttled { .. } => (now + ms(1) + self.times.way, true),
            Report::Answered | Report::Blocked(_) | Report::NotSent => {
                (now + self.times.processing + self.times.way, true)
            }
        };
        self.at(ended, Event::Ended(action, uid, send, replied));
    }

    fn ended(&mut self, action: Action, uid: String, send: SendId, replied: bool) {
        let now = self.now;
        let report = self.reports[&(action, send)];
        match (replied, report) {
            (true, Report::Throttled { .. }) => self.account.replied_throttled(action, send, now),
            (true, _) => self.account.replied(action, send, now),
            (false, _) => self.account.given_up(action, send, now),
        }
        match action {
            READ => self.account.report(action, report, now),
            SUBMIT => self.submitted(&uid, send, report),
        }
        match (action, report) {
            (SUBMIT, Report::Answered) => {
                self.done.insert(uid, now);
            }
            (SUBMIT, Report::Unknown) => {
                self.unknown.insert(uid, now);
            }
            (SUBMIT, _) => self.at(now + s(1), Event::Enqueue(uid)),
            (READ, _) => self.looked(uid, report),
        }
    }

    fn submitted(&mut self, uid: &str, send: SendId, report: Report) {
        let refusal = self.refusals.remove(&send);
        let code = refusal.as_ref().map(|(_, code)| code.as_str());
        self.account.report_submission(uid, report, code, self.now);
        if let Some((arrived, _)) = refusal {
            self.refused.push(Refused {
                sent: arrived - self.times.way - HANDING,
                arrived,
                answered: self.now,
                queue_entry: self.queue_entries[uid].clone(),
            });
        }
    }

    fn looked(&mut self, uid: String, report: Report) {
        let turn = self.turns[&uid];
        let valid = self.account.turn_stands(&uid, turn.id);
        let go_on = match report {
            Report::Answered | Report::Unknown | Report::NotSent => valid,
            Report::Throttled { .. } | Report::Blocked(_) => false,
        };
        if go_on {
            self.at(self.now + self.times.cluster, Event::Prepared(uid));
        } else {
            self.give_back(uid);
        }
    }

    fn give_back(&mut self, uid: String) {
        let turn = self.turns[&uid];
        self.account.drop_turn(&uid, turn.id, self.now);
        self.at(self.now + ms(20), Event::Enqueue(uid));
    }
}

impl Ledger {
    /// Counts an arrival. True if it is beyond the limit.
    fn count(&mut self, now: Duration, limit: usize) -> bool {
        while self.window.front().is_some_and(|at| now - *at > s(1)) {
            self.window.pop_front();
        }
        self.window.push_back(now);
        self.arrivals.push(now);
        self.window.len() > limit
    }

    pub fn worst_second(&self) -> usize {
        worst_second(&self.arrivals)
    }

    pub fn calls_between(&self, from: Duration, until: Duration) -> usize {
        self.calls
            .iter()
            .filter(|(at, _, _)| (from..until).contains(at))
            .count()
    }
}
