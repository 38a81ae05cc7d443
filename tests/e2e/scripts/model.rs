//! The possible events, and the state that is known without looking at the operator.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

use super::op::{Op, an_op};

/// Numbers of a script; each has one resource at a time.
pub const NUMBERS: usize = 2;
/// The right code of a number; the others are wrong.
pub const RIGHT: u8 = 0;
/// Codes of a number. Fewer than `attemptLimit`, so that codes never run out.
pub const CODES: u8 = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Process {
    #[default]
    Up,
    Down,
    Paused,
}

/// A number, its resource and its Secret.
#[derive(Clone, Debug, Default)]
pub struct Number {
    pub exists: bool,
    pub suspended: bool,
    pub recreated: bool,
    /// The code in the Secret, if there is one.
    pub code: Option<u8>,
    /// Codes that the operator was ever free to submit.
    pub free: BTreeSet<u8>,
}

/// The state that is known without looking at the operator.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub numbers: [Number; NUMBERS],
    pub process: Process,
    /// A `KillAt` may strike at any time.
    pub doomed: bool,
    /// A process was killed or stopped at least once: replies may be lost.
    pub disturbed: bool,
    /// A read may not show an executed call.
    lagging: bool,
}

/// The resources that exist at the beginning.
impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers = self.numbers.iter().enumerate();
        for (n, number) in numbers.filter(|(_, number)| number.exists) {
            let suspended = if number.suspended { " suspended" } else { "" };
            write!(f, "[{n}{suspended}]")?;
        }
        Ok(())
    }
}

impl Model {
    /// The operator may read the Secret at any time.
    fn note_free(&mut self) {
        for number in &mut self.numbers {
            let Some(code) = number.code.filter(|_| number.exists) else {
                continue;
            };
            if !number.suspended {
                number.free.insert(code);
            }
        }
    }

    /// Reads lag and a resource was recreated: a read may not show the verification for the old one
    /// yet.
    fn asks_too_much(&self) -> bool {
        self.lagging && self.numbers.iter().any(|number| number.recreated)
    }

    fn change(&mut self, op: &Op) {
        match op {
            Op::Create { n, suspend, .. } => {
                let number = &mut self.numbers[*n];
                number.exists = true;
                number.suspended = *suspend;
            }
            Op::Delete { n } => {
                let number = &mut self.numbers[*n];
                number.exists = false;
                number.recreated = true;
            }
            Op::PutCode { n, code } | Op::Rotate { n, code } => self.numbers[*n].code = Some(*code),
            Op::DropSecret { n } => self.numbers[*n].code = None,
            Op::Suspend { n, on } => self.numbers[*n].suspended = *on,
            Op::ReadLag { ms } => self.lagging |= *ms > 0,
            Op::KillAt { .. } => {
                self.doomed = true;
                self.disturbed = true;
            }
            Op::Kill | Op::Terminate => {
                self.process = Process::Down;
                self.disturbed = true;
            }
            Op::Start | Op::Resume => self.process = Process::Up,
            Op::Pause => {
                self.process = Process::Paused;
                self.disturbed = true;
            }
            Op::Calm => {
                self.process = Process::Up;
                self.doomed = false;
            }
            Op::LabelSecret { .. }
            | Op::Label { .. }
            | Op::RetryToken { .. }
            | Op::RequestedAt { .. }
            | Op::Call { .. }
            | Op::Reads { .. }
            | Op::Throttle { .. }
            | Op::Clock { .. }
            | Op::Wait { .. } => {}
        }
        self.note_free();
    }

    fn possible(&self, op: &Op) -> bool {
        match op {
            Op::Create { n, .. } => !self.numbers[*n].exists,
            Op::Delete { n } | Op::Label { n } | Op::RetryToken { n } | Op::RequestedAt { n } => {
                self.numbers[*n].exists
            }
            Op::Suspend { n, on } => self.numbers[*n].exists && self.numbers[*n].suspended != *on,
            Op::Rotate { n, code } => self.numbers[*n].code.is_some_and(|c| c != *code),
            Op::LabelSecret { n } | Op::DropSecret { n } => self.numbers[*n].code.is_some(),
            Op::Kill => self.process != Process::Down,
            Op::Terminate | Op::Pause => self.process == Process::Up,
            Op::Start => self.process == Process::Down || self.doomed,
            Op::Resume => self.process == Process::Paused,
            Op::KillAt { .. } => !self.doomed,
            Op::PutCode { .. }
            | Op::Call { .. }
            | Op::Reads { .. }
            | Op::ReadLag { .. }
            | Op::Throttle { .. }
            | Op::Clock { .. }
            | Op::Wait { .. }
            | Op::Calm => true,
        }
    }
}

impl ReferenceStateMachine for Model {
    type State = Model;
    type Transition = Op;

    /// Most resources exist before the first step, and wait for their codes.
    fn init_state() -> BoxedStrategy<Model> {
        let mostly = || prop_oneof![1 => Just(false), 5 => Just(true)];
        let rarely = || prop_oneof![7 => Just(false), 1 => Just(true)];
        let number = (mostly(), rarely()).prop_map(|(exists, suspended)| Number {
            exists,
            suspended: exists && suspended,
            ..Number::default()
        });
        (number.clone(), number)
            .prop_map(|(a, b)| Model {
                numbers: [a, b],
                ..Model::default()
            })
            .boxed()
    }

    fn transitions(state: &Model) -> BoxedStrategy<Op> {
        let state = state.clone();
        let likely = move |op: &Op| Model::preconditions(&state, op);
        an_op().prop_filter("not now", likely).boxed()
    }

    fn preconditions(state: &Model, op: &Op) -> bool {
        let mut next = state.clone();
        next.change(op);
        state.possible(op) && !next.asks_too_much()
    }

    fn apply(mut state: Model, op: &Op) -> Model {
        state.change(op);
        state
    }
}
