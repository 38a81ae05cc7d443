//! Many resources, one account, and a server with a quota for each action: discrete
//! events around the real [`Account`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use phone_migration_operator::quota::account::{Account, Effect, Taken, WaiterId};
use phone_migration_operator::quota::pacer::{DEADLINE, SendId};
use phone_migration_operator::quota::{Action, Priority, Report, Settings, Ticket};

use super::sim::worst_second;
use super::{ms, s};

/// Times of the world; the ways there and back are this long each.
#[derive(Clone, Copy)]
pub struct Times {
    pub way: Duration,
    pub processing: Duration,
    /// Live reads and the claim, at the apiserver.
    pub cluster: Duration,
}

/// What the server says to the call of a resource, if its quota lets it through.
pub type Verdict = fn(now: Duration, action: Action, uid: &str) -> Report;

/// What the server saw of one action.
#[derive(Default)]
pub struct Ledger {
    pub arrivals: Vec<Duration>,
    pub throttles: usize,
    /// Calls of ours, with who called and what was said.
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
    /// When each resource's code was answered for good.
    pub done: HashMap<String, Duration>,
    /// Codes that ended without an answer: they may have been spent.
    pub unknown: HashMap<String, Duration>,
    times: Times,
    verdict: Verdict,
    limit: usize,
    throttled_until: Duration,
    foreign_period: Option<Duration>,
    tickets: HashMap<String, Ticket>,
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
            times,
            verdict,
            limit: if qps == 0 { usize::MAX } else { qps as usize },
            throttled_until: Duration::ZERO,
            foreign_period: None,
            tickets: HashMap::new(),
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

    pub fn add(&mut self, ticket: Ticket) {
        self.account.enqueue(ticket.clone(), self.now);
        self.tickets.insert(ticket.uid.clone(), ticket);
        self.step_by(self.now);
    }

    /// The server throttles every call until then.
    pub fn throttle_until(&mut self, until: Duration) {
        self.throttled_until = until;
    }

    /// Somebody else submits too, once per period.
    pub fn foreign(&mut self, period: Duration) {
        self.foreign_period = Some(period);
        self.at(self.now, Event::Foreign);
    }

    pub fn finished(&self) -> usize {
        self.done.len() + self.unknown.len()
    }

    /// Lives until `until`, or until every resource is finished.
    pub fn run(&mut self, until: Duration) {
        while self.finished() < self.tickets.len()
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
            // A step that was superseded by an earlier one.
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
                let ticket = self.tickets[&uid].clone();
                self.account.enqueue(ticket, now);
            }
        }
        self.step();
    }

    fn step(&mut self) {
        let step = self.account.step(self.now);
        for effect in step.effects {
            match effect {
                Effect::Wake(key) => self.woken(key.name.trim_start_matches("name-").to_owned()),
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
                self.wait(Action::ReadStatus, uid);
            }
            None => self.at(self.now + ms(1), Event::Enqueue(uid)),
        }
    }

    fn wait(&mut self, action: Action, uid: String) {
        let deadline = self.now + s(5);
        let waiter = self.account.wait_for_slot(action, Priority::Look, deadline);
        self.waiters.insert(waiter, (action, uid, self.now));
        self.step_by(self.now);
    }

    fn slot(&mut self, waiter: WaiterId, send: SendId, at: Duration) {
        let (action, uid, requested_at) = self.waiters.remove(&waiter).unwrap();
        let id = self.turns[&uid].id;
        let stands = match action {
            Action::ReadStatus => self.account.look(&uid, id, requested_at, at),
            Action::Verify => self.account.use_turn(&uid, id, requested_at, send),
        };
        if !stands {
            self.account.unsent(action, send, at);
            self.give_back(uid);
            return;
        }
        let handed = at + Duration::from_micros(200);
        self.at(handed, Event::Handed(action, send));
        self.at(handed + self.times.way, Event::Arrival(action, uid, send));
    }

    /// The look is done, the claim is written.
    fn prepared(&mut self, uid: String) {
        self.wait(Action::Verify, uid);
    }

    fn arrive(&mut self, action: Action, uid: String, send: SendId) {
        let now = self.now;
        let phase = now < self.throttled_until;
        let ledger = match action {
            Action::Verify => &mut self.verify,
            Action::ReadStatus => &mut self.reads,
        };
        let over = ledger.count(now, self.limit);
        let report = if over || phase {
            ledger.throttles += 1;
            Report::Throttled { retry_after: None }
        } else {
            (self.verdict)(now, action, &uid)
        };
        ledger.calls.push((now, uid.clone(), report));
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
        if replied {
            self.account.replied(action, send, now);
        } else {
            self.account.given_up(action, send, now);
        }
        let report = self.reports[&(action, send)];
        self.account.report(action, report, now);
        match (action, report) {
            (Action::Verify, Report::Answered) => {
                self.done.insert(uid, now);
            }
            (Action::Verify, Report::Unknown) => {
                self.unknown.insert(uid, now);
            }
            (Action::Verify, _) => self.at(now + s(1), Event::Enqueue(uid)),
            (Action::ReadStatus, _) => self.looked(uid, report),
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
