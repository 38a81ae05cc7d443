//! What may happen, and what is known of it without looking at the operator.

use std::collections::BTreeSet;

use harness::cams_simulator::{Release, Stage};
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

/// Numbers of a script; each has one resource at a time.
pub const NUMBERS: usize = 2;
/// The right code of a number; the others are wrong.
pub const RIGHT: u8 = 0;
/// Codes of a number. Fewer than `attemptLimit`, so that codes never run out.
const CODES: u8 = 4;

/// What somebody does, or what befalls somebody.
#[derive(Clone, Debug)]
pub enum Op {
    /// Creates the resource of a number.
    Create {
        n: usize,
        suspend: bool,
        adopt: bool,
    },
    /// Deletes the resource; the Secret stays.
    Delete {
        n: usize,
    },
    /// Creates the Secret anew, with another uid.
    PutCode {
        n: usize,
        code: u8,
    },
    /// Changes the code in the Secret.
    Rotate {
        n: usize,
        code: u8,
    },
    /// Deletes the Secret.
    DropSecret {
        n: usize,
    },
    /// Changes a label of the Secret: its resourceVersion moves and its code does not.
    LabelSecret {
        n: usize,
    },
    /// Changes a label of the resource.
    Label {
        n: usize,
    },
    Suspend {
        n: usize,
        on: bool,
    },
    RetryToken {
        n: usize,
    },
    RequestedAt {
        n: usize,
    },
    /// Befalls the next submission of the number.
    Call {
        n: usize,
        fault: CallFault,
    },
    /// Befalls the next two status reads.
    Reads {
        fault: ReadFault,
    },
    /// Reads show what was verified only this much later.
    ReadLag {
        ms: u64,
    },
    /// Every call is throttled for so long.
    Throttle {
        ms: u64,
    },
    /// The clock of CAMS.
    Clock {
        minutes: i64,
    },
    /// The operator is killed when the next submission of the number is so far; then the
    /// request goes on, or not.
    KillAt {
        n: usize,
        stage: Stage,
        then: Release,
    },
    Kill,
    Terminate,
    Start,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
    Wait {
        ms: u64,
    },
    /// All faults end, the operator runs, and everything comes to rest.
    Calm,
}

#[derive(Clone, Copy, Debug)]
pub enum CallFault {
    ExecuteThenClose,
    ExecuteThenReset,
    ExecuteThenHtml,
    ExecuteThenError,
    HalfReply,
    OmitId,
    OtherNumber,
    /// Executed after the operator has given up.
    ExecuteLate,
    ResetBefore,
    CloseBefore,
    HtmlBefore,
    ErrorBefore,
    EmptyObjectBefore,
    NonceUsed,
}

#[derive(Clone, Copy, Debug)]
pub enum ReadFault {
    Error,
    Close,
    Html,
}

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
    /// Codes that the resource which is there may have spent.
    offered: BTreeSet<u8>,
    /// Codes that resources which are gone may have spent; a process that saw them knows.
    earlier: BTreeSet<u8>,
    /// The same, and no process that saw them lives: to put one of them back would be a
    /// restore without status, whose cost is documented.
    forgotten: BTreeSet<u8>,
    /// The process ended since the resource was created.
    outlived: bool,
}

/// What is known without looking.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub numbers: [Number; NUMBERS],
    pub process: Process,
    /// A `KillAt` may strike any time.
    pub doomed: bool,
    /// A process was killed or stopped at least once: replies may be lost.
    pub disturbed: bool,
    /// A read may not show what was executed.
    lagging: bool,
}

/// The resources that are there at the beginning.
impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, number) in self
            .numbers
            .iter()
            .enumerate()
            .filter(|(_, number)| number.exists)
        {
            let suspended = if number.suspended { " suspended" } else { "" };
            write!(f, "[{n}{suspended}]")?;
        }
        Ok(())
    }
}

impl Model {
    /// The operator may look at the Secret whenever it likes.
    fn note_free(&mut self) {
        for number in &mut self.numbers {
            let Some(code) = number.code.filter(|_| number.exists) else {
                continue;
            };
            number.offered.insert(code);
            if !number.suspended {
                number.free.insert(code);
            }
        }
    }

    fn process_ends(&mut self) {
        self.disturbed = true;
        for number in &mut self.numbers {
            number.outlived |= number.exists;
            let earlier = std::mem::take(&mut number.earlier);
            number.forgotten.extend(earlier);
        }
    }

    /// A code that was spent by a resource which nobody remembers stands before one that
    /// would submit it, or a verification that reads do not show yet before another resource.
    fn asks_too_much(&self) -> bool {
        self.numbers.iter().any(|number| {
            let forgotten = |code| number.forgotten.contains(&code);
            let hidden = self.lagging && number.recreated;
            (number.exists && number.code.is_some_and(forgotten)) || hidden
        })
    }

    fn change(&mut self, op: &Op) {
        let doomed = self.doomed;
        match op {
            Op::Create { n, suspend, .. } => {
                let number = &mut self.numbers[*n];
                number.exists = true;
                number.suspended = *suspend;
                number.outlived = doomed;
            }
            Op::Delete { n } => self.delete(*n),
            Op::PutCode { n, code } | Op::Rotate { n, code } => self.numbers[*n].code = Some(*code),
            Op::DropSecret { n } => self.numbers[*n].code = None,
            Op::Suspend { n, on } => self.numbers[*n].suspended = *on,
            Op::ReadLag { ms } => self.lagging |= *ms > 0,
            Op::KillAt { .. } => {
                self.doomed = true;
                self.process_ends();
            }
            Op::Kill | Op::Terminate => {
                self.process = Process::Down;
                self.process_ends();
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

    fn delete(&mut self, n: usize) {
        let doomed = self.doomed;
        let number = &mut self.numbers[n];
        number.exists = false;
        number.recreated = true;
        let offered = std::mem::take(&mut number.offered);
        if number.outlived || doomed {
            number.forgotten.extend(offered);
        } else {
            number.earlier.extend(offered);
        }
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

    /// Most resources are there before anything happens, and wait for their codes.
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

fn an_op() -> impl Strategy<Value = Op> {
    let n = || 0..NUMBERS;
    let code = || prop_oneof![1 => Just(RIGHT), 1 => 0..CODES];
    let flag = |often: u32| prop_oneof![often => Just(false), 1 => Just(true)];
    let ms = |most: u64| (1..=most / 100).prop_map(|tenths| tenths * 100);
    let people = prop_oneof![
        8 => (n(), flag(8), flag(3)).prop_map(|(n, suspend, sends)| Op::Create { n, suspend, adopt: !sends }),
        8 => (n(), code()).prop_map(|(n, code)| Op::PutCode { n, code }),
        3 => (n(), code()).prop_map(|(n, code)| Op::Rotate { n, code }),
        2 => n().prop_map(|n| Op::Delete { n }),
        1 => n().prop_map(|n| Op::DropSecret { n }),
        1 => n().prop_map(|n| Op::LabelSecret { n }),
        1 => n().prop_map(|n| Op::Label { n }),
        1 => (n(), any::<bool>()).prop_map(|(n, on)| Op::Suspend { n, on }),
        1 => n().prop_map(|n| Op::RetryToken { n }),
        2 => n().prop_map(|n| Op::RequestedAt { n }),
    ];
    let service = prop_oneof![
        10 => (n(), a_call_fault()).prop_map(|(n, fault)| Op::Call { n, fault }),
        1 => a_read_fault().prop_map(|fault| Op::Reads { fault }),
        1 => ms(1500).prop_map(|ms| Op::ReadLag { ms }),
        1 => ms(1500).prop_map(|ms| Op::Throttle { ms }),
        1 => prop::sample::select(vec![0i64, 20, -20]).prop_map(|minutes| Op::Clock { minutes }),
    ];
    let process = prop_oneof![
        4 => (n(), prop::sample::select(vec![Stage::Received, Stage::Counted, Stage::Executed]),
              prop::sample::select(vec![Release::Continue, Release::Close]))
            .prop_map(|(n, stage, then)| Op::KillAt { n, stage, then }),
        2 => Just(Op::Kill),
        1 => Just(Op::Terminate),
        3 => Just(Op::Start),
        1 => Just(Op::Pause),
        2 => Just(Op::Resume),
    ];
    prop_oneof![
        12 => people,
        4 => service,
        4 => process,
        3 => ms(2000).prop_map(|ms| Op::Wait { ms }),
        2 => Just(Op::Calm),
    ]
}

fn a_call_fault() -> impl Strategy<Value = CallFault> {
    use CallFault as F;
    prop::sample::select(vec![
        F::ExecuteThenClose,
        F::ExecuteThenReset,
        F::ExecuteThenHtml,
        F::ExecuteThenError,
        F::HalfReply,
        F::OmitId,
        F::OtherNumber,
        F::ExecuteLate,
        F::ResetBefore,
        F::CloseBefore,
        F::HtmlBefore,
        F::ErrorBefore,
        F::EmptyObjectBefore,
        F::NonceUsed,
    ])
}

fn a_read_fault() -> impl Strategy<Value = ReadFault> {
    prop::sample::select(vec![ReadFault::Error, ReadFault::Close, ReadFault::Html])
}
