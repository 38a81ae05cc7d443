//! The protocol as a state machine: its steps. The production code (`bridge.rs`) makes every
//! decision of a process; the rest models its surroundings.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use stateright::{Model, Property};

use crate::bridge::Bridge;
use crate::properties;
use crate::reach::Graph;
use crate::scope::{Fault, Removed, Scope};
use crate::state::{Code, Replica, Resource, State, Task, Wrong};

/// The result of a status read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The number as it is.
    Now,
    /// Nothing.
    Failed,
}

/// The state of the ledger in an evaluation's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The stored ledger; `read`: the read that the state demands was made.
    Current { read: bool },
    /// Nothing.
    Nothing,
    /// An earlier stored ledger.
    Old,
}

/// The end of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// Stored; the reply is lost.
    Lost,
    /// No reply; it is stored later, or never.
    Late,
}

/// The service's action on a request that reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Accept,
    Refuse,
    Throttle,
    Block,
}

/// One step. The first number names the process or the request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Time passes; a process that has not moved was suspended.
    Tick,
    Rotate(u8),
    Meddle(Fault, u8),
    Snapshot,
    SurfaceBook,
    SurfaceSaid,
    Turn(usize, u8, View),
    Reconcile(usize, u8, From, Fate),
    LateRead(usize, u8),
    Observe(usize, View),
    PutBack(usize, Fate),
    Write(usize, Fate),
    ShowFirst(usize),
    Check(usize),
    Send(usize),
    ShutGate(usize),
    Conclude(usize),
    GiveUp(usize),
    ReadAfterRefusal(usize, View),
    Crash(usize),
    Arrive(usize, Deed),
    Repeat(usize),
    Drop(usize),
}

const DEEDS: [Deed; 4] = [Deed::Accept, Deed::Refuse, Deed::Throttle, Deed::Block];
const VIEWS: [View; 2] = [View::Now, View::Failed];
const FROM: [From; 4] = [
    From::Current { read: false },
    From::Current { read: true },
    From::Nothing,
    From::Old,
];

/// The model.
pub struct Protocol {
    pub scope: Scope,
    pub bridge: Bridge,
    /// The edges that were walked, if they are wanted.
    pub graph: Option<Arc<Mutex<Graph>>>,
    /// Fingerprints of the states to search for.
    pub stuck: HashSet<u64>,
}

impl Protocol {
    pub fn new(scope: Scope) -> Self {
        Self {
            bridge: Bridge::new(scope.without),
            scope,
            graph: None,
            stuck: HashSet::new(),
        }
    }

    pub fn is_without(&self, removed: Removed) -> bool {
        self.scope.without == Some(removed)
    }

    /// Spends a fault, if there is one of this kind.
    pub fn fault(&self, s: &mut State, kind: Fault) -> Option<()> {
        if !self.scope.kinds.contains(&kind) {
            return None;
        }
        s.faults = s.faults.checked_sub(1)?;
        Some(())
    }

    fn may(&self, s: &State, kind: Fault) -> bool {
        s.faults > 0 && self.scope.kinds.contains(&kind)
    }

    fn fates(&self, s: &State, kinds: &[(Fault, Fate)]) -> Vec<Fate> {
        let faulty = kinds.iter().filter(|(kind, _)| self.may(s, *kind));
        let faulty = faulty.map(|(_, fate)| *fate);
        std::iter::once(Fate::Answered).chain(faulty).collect()
    }

    fn views(&self, s: &State) -> &'static [View] {
        &VIEWS[..if self.may(s, Fault::FailedRead) { 2 } else { 1 }]
    }

    fn resources(&self) -> std::ops::Range<u8> {
        0..u8::try_from(self.scope.codes.len()).unwrap()
    }

    fn step(&self, s: &mut State, step: Step) -> Option<()> {
        match step {
            Step::Tick => {
                let oldest = self.scope.oldest();
                for signed in &mut s.attempts {
                    signed.age = (signed.age + 1).min(oldest);
                }
            }
            Step::Rotate(r) => self.rotate(s, r)?,
            Step::Meddle(fault, r) => self.meddle(s, fault, r)?,
            Step::Snapshot => self.snapshot(s)?,
            Step::SurfaceBook => self.surface_book(s)?,
            Step::SurfaceSaid => self.surface_said(s)?,
            Step::Turn(p, r, view) => self.turn(s, p, r, view)?,
            Step::Reconcile(p, r, from, fate) => self.reconcile(s, p, r, from, fate)?,
            Step::LateRead(p, r) => self.late_read(s, p, r)?,
            Step::Observe(p, view) => self.observe(s, p, view)?,
            Step::PutBack(p, fate) => self.put_back(s, p, fate)?,
            Step::Write(p, fate) => self.write(s, p, fate)?,
            Step::ShowFirst(p) => self.show_first(s, p)?,
            Step::Check(p) => self.check(s, p)?,
            Step::Send(p) => self.send(s, p, true)?,
            Step::ShutGate(p) => self.send(s, p, false)?,
            Step::Conclude(p) => self.conclude(s, p)?,
            Step::GiveUp(p) => self.give_up(s, p)?,
            Step::ReadAfterRefusal(p, view) => self.read_after_refusal(s, p, view)?,
            Step::Crash(p) => {
                self.fault(s, Fault::Crash)?;
                s.replicas[p] = fresh_replica();
            }
            Step::Arrive(i, deed) => self.arrive(s, i, deed)?,
            Step::Repeat(i) => self.repeat(s, i)?,
            Step::Drop(i) => {
                self.fault(s, Fault::LostRequest)?;
                s.wire.remove(i);
            }
        }
        Some(())
    }

    fn steps_of(&self, s: &State, p: usize, steps: &mut Vec<Step>) {
        let late = [(Fault::LateWrite, Fate::Late)];
        match &s.replicas[p].task {
            Task::Idle => {
                for r in self.resources() {
                    steps.extend(self.views(s).iter().map(|view| Step::Turn(p, r, *view)));
                    let fates = [(Fault::LateStatus, Fate::Late)];
                    for fate in self.fates(s, &fates) {
                        steps.extend(FROM.map(|from| Step::Reconcile(p, r, from, fate)));
                    }
                    steps.push(Step::LateRead(p, r));
                }
                steps.extend(self.views(s).iter().map(|view| Step::Observe(p, *view)));
                let fates = self.fates(s, &late).into_iter();
                steps.extend(fates.map(|fate| Step::PutBack(p, fate)));
            }
            Task::Claim { asked, .. } => {
                let kinds = [(Fault::LostWrite, Fate::Lost), late[0]];
                let fates = self.fates(s, &kinds).into_iter();
                steps.extend(fates.map(|fate| Step::Write(p, fate)));
                steps.extend(asked.then_some(Step::GiveUp(p)));
            }
            Task::Record { .. } => {
                let fates = self.fates(s, &late).into_iter();
                steps.extend(fates.map(|fate| Step::Write(p, fate)));
                if self.may(s, Fault::SlowLedger) {
                    steps.push(Step::ShowFirst(p));
                }
            }
            Task::Show { .. } | Task::ShowVerified { .. } => {
                let fates = self
                    .fates(s, &[(Fault::LateStatus, Fate::Late)])
                    .into_iter();
                steps.extend(fates.map(|fate| Step::Write(p, fate)));
            }
            Task::Check { .. } => steps.push(Step::Check(p)),
            Task::Gate { .. } => {
                steps.push(Step::Send(p));
                steps.extend(self.may(s, Fault::ShutGate).then_some(Step::ShutGate(p)));
            }
            Task::Sent { .. } => steps.extend([Step::Conclude(p), Step::GiveUp(p)]),
            Task::Refused { .. } => {
                steps.extend(
                    self.views(s)
                        .iter()
                        .map(|view| Step::ReadAfterRefusal(p, *view)),
                );
            }
        }
        if self.may(s, Fault::Crash) && s.replicas[p] != fresh_replica() {
            steps.push(Step::Crash(p));
        }
    }

    fn steps_around(&self, s: &State, steps: &mut Vec<Step>) {
        for i in 0..s.wire.len() {
            if i > 0 && s.wire[i] == s.wire[i - 1] {
                continue;
            }
            steps.extend(DEEDS.map(|deed| Step::Arrive(i, deed)));
            steps.extend(self.may(s, Fault::Repeated).then_some(Step::Repeat(i)));
            steps.extend(self.may(s, Fault::LostRequest).then_some(Step::Drop(i)));
        }
        steps.push(Step::Tick);
        steps.extend(s.late_book.is_some().then_some(Step::SurfaceBook));
        steps.extend(s.late_said.is_some().then_some(Step::SurfaceSaid));
        if s.rotations > 0 {
            steps.extend(self.resources().map(Step::Rotate));
        }
        if s.faults == 0 {
            return;
        }
        steps.push(Step::Snapshot);
        for kind in &self.scope.kinds {
            match kind {
                Fault::Delete | Fault::RestoreOlder | Fault::RestoreNewer => {
                    steps.push(Step::Meddle(*kind, 0));
                }
                Fault::Wipe | Fault::RestoreStatus | Fault::Recreate => {
                    steps.extend(self.resources().map(|r| Step::Meddle(*kind, r)));
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
                | Fault::ShutGate => {}
            }
        }
    }
}

fn fresh_replica() -> Replica {
    Replica {
        task: Task::Idle,
        sent: Vec::new(),
        abandoned: Vec::new(),
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let resource = |_: &u8| Resource {
            life: 0,
            version: 0,
            said: None,
            told: 0,
            rotation: 0,
        };
        let mut state = State {
            resources: self.scope.codes.iter().map(resource).collect(),
            ledger: None,
            replicas: (0..self.scope.replicas).map(|_| fresh_replica()).collect(),
            attempts: Vec::new(),
            truth: Vec::new(),
            wire: Vec::new(),
            codes: [Code::default(); 2],
            verified: false,
            late_book: None,
            late_said: None,
            snapshot: None,
            faults: self.scope.faults,
            rotations: self.scope.rotations,
            lost: false,
            limit: false,
            wrong: Wrong::default(),
        };
        for resource in &mut state.resources {
            resource.version = 1;
        }
        state.tidy(&self.scope);
        vec![state]
    }

    fn actions(&self, s: &State, steps: &mut Vec<Step>) {
        if s.limit {
            return;
        }
        for p in 0..s.replicas.len() {
            // Two equal processes behave the same.
            if p > 0 && !self.scope.keys && s.replicas[p] == s.replicas[p - 1] {
                continue;
            }
            self.steps_of(s, p, steps);
        }
        self.steps_around(s, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut next = last.clone();
        self.step(&mut next, step)?;
        next.tidy(&self.scope);
        (next != *last).then_some(())?;
        if let Some(graph) = &self.graph {
            graph.lock().unwrap().note((self, last), (self, &next));
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
