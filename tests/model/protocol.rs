//! The protocol as a state machine: which steps there are. What a process decides in a step is
//! decided by the production code (`replica.rs`); the rest is the world around it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use phone_migration_operator::cams::{Answer, StatusAnswer};
use phone_migration_operator::code::CodeReading;
use phone_migration_operator::visits::ReadLog;
use stateright::{Model, Property};

use crate::drift::Word;
use crate::properties;
use crate::reach::Graph;
use crate::scope::{Fault, Scope};
use crate::state::{Replica, Reply, Seen, Service, State, Task};
use crate::world;

/// What a status read shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The number as it is.
    Now,
    /// An older state, within the lag.
    Before,
    /// Nothing.
    Failed,
}

/// What a GET of the resource shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Get {
    Current,
    /// The version before.
    Stale,
}

/// How a status write ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// Stored; the reply is lost.
    Lost,
    /// No reply; it is stored later, or never.
    Late,
}

/// What the cloud does with a request that reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Accept,
    Refuse,
    Throttle,
    Credentials,
    Account,
    /// Executes nothing, and reports a failure.
    Fail,
    /// Executes and accepts, and reports a failure.
    AcceptAndFail,
}

/// One step. The first number names the process or the request.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Time passes; whoever has not moved was suspended.
    Tick,
    /// The user puts the other code into the Secret.
    Rotate,
    /// The resource loses its status.
    Wipe,
    /// A late status write reaches the store.
    Surface,
    /// A user sets the annotation requestedAt.
    Ask,
    Visit(usize, Get),
    Observe(usize, Get, View),
    Look(usize, View),
    Write(usize, Fate),
    Recognise(usize, Get),
    Send(usize),
    ShutGate(usize),
    Conclude(usize, View),
    GiveUp(usize),
    Crash(usize),
    Arrive(usize, Deed),
    Repeat(usize),
    Drop(usize),
}

const DEEDS: [Deed; 7] = [
    Deed::Accept,
    Deed::Refuse,
    Deed::Throttle,
    Deed::Credentials,
    Deed::Account,
    Deed::Fail,
    Deed::AcceptAndFail,
];
const GETS: [Get; 2] = [Get::Current, Get::Stale];
const VIEWS: [View; 3] = [View::Now, View::Before, View::Failed];
const FATES: [Fate; 3] = [Fate::Answered, Fate::Lost, Fate::Late];

/// The model.
pub struct Protocol {
    pub scope: Scope,
    /// What the Secret holds after each rotation.
    pub readings: Vec<CodeReading>,
    pub answers: BTreeMap<Reply, Answer>,
    pub verified: StatusAnswer,
    pub not_verified: StatusAnswer,
    pub failed_read: StatusAnswer,
    /// The edges that were walked, if they are wanted.
    pub graph: Option<Arc<Mutex<Graph>>>,
    /// Cases of the production types that came up (`drift.rs`).
    pub met: Arc<Mutex<BTreeSet<&'static str>>>,
    /// Fingerprints of states that are looked for.
    pub stuck: HashSet<u64>,
}

impl Protocol {
    pub fn new(scope: Scope) -> Self {
        let replies = [
            Reply::Accepted,
            Reply::Refused,
            Reply::AlreadyVerified,
            Reply::Throttled,
            Reply::Credentials,
            Reply::Account,
            Reply::Expired,
            Reply::NonceUsed,
            Reply::ServerFailure,
            Reply::Timeout,
            Reply::Gate,
        ];
        Self {
            readings: world::readings(scope.rotations),
            scope,
            answers: replies.map(|r| (r, world::answer(r))).into(),
            verified: world::status_answer(true),
            not_verified: world::status_answer(false),
            failed_read: world::failed_read(),
            graph: None,
            met: Arc::default(),
            stuck: HashSet::new(),
        }
    }

    /// Notes a case of a production type that came up.
    pub fn meet(&self, word: Word, case: &dyn Debug) {
        let Some(word) = word else {
            panic!("the model was said never to meet {case:?}");
        };
        self.met.lock().unwrap().insert(word);
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

    /// Steps that cannot be taken, for want of a fault or of a reply: not worth a copy of the
    /// state.
    fn is_impossible(&self, s: &State, step: &Step) -> bool {
        let view = |view| match view {
            View::Now => true,
            View::Before => s.service.verified.is_some(),
            View::Failed => self.may(s, Fault::FailedRead),
        };
        let get = |get| match get {
            Get::Current => true,
            Get::Stale => self.may(s, Fault::StaleRead),
        };
        !match *step {
            Step::Tick | Step::Send(_) | Step::GiveUp(_) => true,
            Step::Visit(_, of) | Step::Recognise(_, of) => get(of),
            Step::Rotate => s.rotation < self.scope.rotations,
            Step::Wipe => s.wipes > 0,
            Step::Surface => s.late_write.is_some(),
            Step::Ask => self.scope.asks,
            Step::Observe(_, of, shows) => get(of) && view(shows),
            Step::Look(_, of) => view(of),
            Step::Conclude(r, of) => {
                matches!(s.replicas[r].task, Task::Sent { reply: Some(_), .. }) && view(of)
            }
            Step::Write(_, fate) => match fate {
                Fate::Answered => true,
                Fate::Lost => self.may(s, Fault::LostWrite),
                Fate::Late => self.may(s, Fault::LateWrite),
            },
            Step::ShutGate(_) => self.may(s, Fault::ShutGate),
            Step::Crash(_) => self.may(s, Fault::Crash),
            Step::Arrive(_, deed) => match deed {
                Deed::Accept | Deed::Refuse => true,
                Deed::Throttle => self.may(s, Fault::Throttle),
                Deed::Credentials | Deed::Account => self.may(s, Fault::Block),
                Deed::Fail | Deed::AcceptAndFail => self.may(s, Fault::ServerFailure),
            },
            Step::Repeat(_) => self.may(s, Fault::Repeated),
            Step::Drop(_) => self.may(s, Fault::LostRequest),
        }
    }

    fn step(&self, s: &mut State, step: &Step) -> Option<()> {
        match *step {
            Step::Tick => s.tick += 1,
            Step::Rotate => {
                (s.rotation < self.scope.rotations).then_some(())?;
                s.rotation += 1;
            }
            Step::Wipe => self.wipe(s)?,
            Step::Surface => self.surface(s)?,
            Step::Ask => self.ask(s)?,
            Step::Visit(r, get) => self.visit(s, r, get)?,
            Step::Observe(r, get, view) => self.observe(s, r, get, view)?,
            Step::Look(r, view) => self.look_first(s, r, view)?,
            Step::Write(r, fate) => self.write(s, r, fate)?,
            Step::Recognise(r, get) => self.recognise(s, r, get)?,
            Step::Send(r) => self.send(s, r, true)?,
            Step::ShutGate(r) => {
                self.fault(s, Fault::ShutGate)?;
                self.send(s, r, false)?;
            }
            Step::Conclude(r, view) => self.conclude(s, r, view)?,
            Step::GiveUp(r) => self.give_up(s, r)?,
            Step::Crash(r) => {
                self.fault(s, Fault::Crash)?;
                s.replicas[r] = fresh_replica();
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
}

fn fresh_replica() -> Replica {
    Replica {
        task: Task::Idle,
        memory: Vec::new(),
        never_sent: Vec::new(),
        reads: ReadLog::new(world::wall(0)),
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut store = world::resource(self.scope.adopt);
        store.metadata.resource_version = Some("0".into());
        let mut state = State {
            tick: 0,
            before: Arc::new(store.clone()),
            store: Arc::new(store),
            version: 0,
            late_write: None,
            rotation: 0,
            replicas: (0..self.scope.replicas).map(|_| fresh_replica()).collect(),
            wire: Vec::new(),
            service: Service::default(),
            faults: self.scope.faults,
            wipes: self.scope.wipes,
            serial: 0,
            seen: Seen::default(),
            key: Vec::new(),
        };
        state.key = self.key(&state);
        vec![state]
    }

    fn actions(&self, s: &State, steps: &mut Vec<Step>) {
        for r in 0..s.replicas.len() {
            match &s.replicas[r].task {
                Task::Idle => {
                    for get in GETS {
                        steps.push(Step::Visit(r, get));
                        steps.extend(VIEWS.map(|view| Step::Observe(r, get, view)));
                    }
                }
                Task::Due { .. } => {
                    for get in GETS {
                        steps.extend(VIEWS.map(|view| Step::Observe(r, get, view)));
                    }
                }
                Task::Look { .. } => steps.extend(VIEWS.map(|view| Step::Look(r, view))),
                Task::Say { .. }
                | Task::Claim { .. }
                | Task::Record { .. }
                | Task::Observed { .. } => steps.extend(FATES.map(|fate| Step::Write(r, fate))),
                Task::Doubt { .. } => steps.extend(GETS.map(|get| Step::Recognise(r, get))),
                Task::Gate { .. } => steps.extend([Step::Send(r), Step::ShutGate(r)]),
                Task::Sent { .. } => {
                    steps.extend(VIEWS.map(|view| Step::Conclude(r, view)));
                    steps.push(Step::GiveUp(r));
                }
            }
            steps.push(Step::Crash(r));
        }
        for i in 0..s.wire.len() {
            steps.extend(DEEDS.map(|deed| Step::Arrive(i, deed)));
            steps.extend([Step::Repeat(i), Step::Drop(i)]);
        }
        steps.extend([
            Step::Tick,
            Step::Rotate,
            Step::Wipe,
            Step::Ask,
            Step::Surface,
        ]);
        steps.retain(|step| !self.is_impossible(s, step));
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut next = last.clone();
        self.step(&mut next, &step)?;
        self.forget_what_cannot_matter(&mut next);
        next.key = self.key(&next);
        (next.key != last.key).then_some(())?;
        if let Some(graph) = &self.graph {
            graph.lock().unwrap().note(last, &next);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::safety()
    }
}
