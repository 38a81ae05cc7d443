//! The steps of a script.

use proptest::prelude::*;

use super::model::{CODES, NUMBERS, RIGHT};
use super::*;

/// A user's action, or a fault.
#[derive(Clone, Debug)]
pub enum Op {
    /// Creates the resource of a number.
    Create {
        n: usize,
        suspend: bool,
    },
    /// Deletes the resource; the Secret stays.
    Delete {
        n: usize,
    },
    /// Creates the Secret again, with another uid.
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
    /// A fault of the next submission of the number.
    Call {
        n: usize,
        fault: CallFault,
    },
    /// A fault of the next two status reads.
    Reads {
        fault: ReadFault,
    },
    /// Reads show a verification only this much later.
    ReadLag {
        ms: u64,
    },
    /// Every call is throttled for so long.
    Throttle {
        ms: u64,
    },
    /// Changes the clock of CAMS.
    Clock {
        minutes: i64,
    },
    /// The operator is killed when the next submission of the number has come this far; then the
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

/// Any of them, the interesting ones more often.
pub fn an_op() -> impl Strategy<Value = Op> {
    let n = || 0..NUMBERS;
    let code = || prop_oneof![1 => Just(RIGHT), 1 => 0..CODES];
    let flag = |often: u32| prop_oneof![often => Just(false), 1 => Just(true)];
    let ms = |most: u64| (1..=most / 100).prop_map(|tenths| tenths * 100);
    let people = prop_oneof![
        8 => (n(), flag(8)).prop_map(|(n, suspend)| Op::Create { n, suspend }),
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
