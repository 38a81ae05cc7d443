//! The plan of faults with their times, made from the seed alone. PURE.
//!
//! Faults come from a deck that holds each kind a few times, shuffled again whenever it is used up:
//! a short run meets every kind too.

use fastrand::Rng;
use harness::cams_simulator::Stage;
use serde::Serialize;

mod deck;

/// A replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Who {
    /// The holder of the Lease when the fault begins.
    Leader,
    /// The other one.
    Standby,
}

/// A fault of an operator's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProcessFault {
    /// SIGKILL; started again after `down`, as the same pod or as another.
    Kill { who: Who, down: u64, new_pod: bool },
    /// SIGTERM; the same.
    Terminate { who: Who, down: u64, new_pod: bool },
    /// SIGKILL while a submission is held at a stage, which then goes on or is lost.
    KillInCall { at: Stage, goes_on: bool, down: u64 },
    /// SIGSTOP, then SIGCONT.
    Freeze { who: Who, ms: u64 },
}

/// A part of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    Apiserver,
    Etcd,
}

/// An outage of a part of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Away {
    /// Killed and started again.
    Restart,
    /// SIGSTOP, then SIGCONT.
    Pause,
}

/// How a request or its reply gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Loss {
    Close,
    Reset,
    Blackhole,
    /// After half of the reply.
    Half,
}

/// The answer in place of the real reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Wrong {
    InternalError,
    ServiceUnavailable,
    Html,
    BadGateway,
    Truncated,
    Empty,
    NonceUsed,
    OtherPhone,
}

/// A fault that a share of the calls meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CallFault {
    /// Executed, and the reply is lost.
    LoseReply(Loss),
    /// Lost before execution.
    LoseRequest(Loss),
    /// Answered by something else, executed or not.
    Answer { with: Wrong, executed: bool },
    /// A status read gets no reply.
    LoseRead,
    /// A success comes without its Id.
    OmitId,
}

/// A fault of the whole cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CloudFault {
    /// Every submission is throttled.
    Throttle { retry_after: Option<u64> },
    /// Status reads lag.
    ReadLag { lag: u64 },
    /// Its clock is off.
    Clock { offset: i64 },
    /// It processes each call longer.
    Processing { each: u64 },
    /// Calls arrive late, unevenly.
    Jitter { most: u64 },
    /// The AccessKey is disabled.
    Credentials,
    /// RAM denies submissions.
    Account,
}

/// One fault. Durations are milliseconds; `percent` is the share of calls that meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Fault {
    Process(ProcessFault),
    Cluster {
        part: Part,
        away: Away,
        ms: u64,
    },
    Calls {
        what: CallFault,
        percent: u64,
        ms: u64,
    },
    Cloud {
        what: CloudFault,
        ms: u64,
    },
}

impl Fault {
    /// How long it lasts by itself.
    pub fn lasts(&self) -> u64 {
        match self {
            Self::Process(
                ProcessFault::Kill { down: ms, .. }
                | ProcessFault::Terminate { down: ms, .. }
                | ProcessFault::KillInCall { down: ms, .. }
                | ProcessFault::Freeze { ms, .. },
            )
            | Self::Cluster { ms, .. }
            | Self::Calls { ms, .. }
            | Self::Cloud { ms, .. } => *ms,
        }
    }

    /// The word for it, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Process(fault) => match fault {
                ProcessFault::Kill { .. } => "kill",
                ProcessFault::Terminate { .. } => "terminate",
                ProcessFault::KillInCall { .. } => "killInCall",
                ProcessFault::Freeze { .. } => "freeze",
            },
            Self::Cluster { part, away, .. } => match (part, away) {
                (Part::Apiserver, Away::Restart) => "restartApiserver",
                (Part::Apiserver, Away::Pause) => "pauseApiserver",
                (Part::Etcd, Away::Restart) => "restartEtcd",
                (Part::Etcd, Away::Pause) => "pauseEtcd",
            },
            Self::Calls { what, .. } => match what {
                CallFault::LoseReply(_) => "loseReply",
                CallFault::LoseRequest(_) => "loseRequest",
                CallFault::Answer { .. } => "answer",
                CallFault::LoseRead => "loseRead",
                CallFault::OmitId => "omitId",
            },
            Self::Cloud { what, .. } => match what {
                CloudFault::Throttle { .. } => "throttle",
                CloudFault::ReadLag { .. } => "readLag",
                CloudFault::Clock { .. } => "clock",
                CloudFault::Processing { .. } => "processing",
                CloudFault::Jitter { .. } => "jitter",
                CloudFault::Credentials => "credentials",
                CloudFault::Account => "account",
            },
        }
    }
}

/// A tenant's action on one of the resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Stir {
    /// Puts another code into the Secret, at any moment.
    Rotate,
    /// The same code written again, and a label changed.
    SameCode,
    /// Suspended for a while.
    Suspend { ms: u64 },
    /// A request to reconcile at once.
    Request,
    /// Deleted and created again.
    Recreate { gap: u64 },
}

/// A step of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    Fault(Fault),
    /// The number chooses the resource among those that exist then.
    Stir(Stir, u64),
}

/// A step and its moment, milliseconds after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub at_ms: u64,
    pub what: What,
}

/// Between two stirs, on average.
const STIR_EVERY: u64 = 700;

/// The plan of a run of `length` ms with a fault every `every` ms on average; every fault that
/// lasts a fixed time is over by the end.
pub fn plan(seed: u64, length: u64, every: u64) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    let mut steps = Vec::new();
    let mut rest = Vec::new();
    let mut at_ms = 2_000;
    while at_ms < length {
        if rest.is_empty() {
            rest = deck::deck(&mut rng);
        }
        let fits = |fault: &Fault| at_ms + fault.lasts() <= length;
        let what = rest.pop().filter(fits).map(What::Fault);
        steps.extend(what.map(|what| Step { at_ms, what }));
        at_ms += rng.u64(every / 4..=every * 7 / 4);
    }
    let mut at_ms = 5_000;
    while at_ms < length {
        let what = What::Stir(stir(&mut rng), rng.u64(..));
        steps.push(Step { at_ms, what });
        at_ms += rng.u64(..=STIR_EVERY * 2);
    }
    steps.sort_by_key(|step| step.at_ms);
    steps
}

fn stir(rng: &mut Rng) -> Stir {
    match rng.u64(..100) {
        0..35 => Stir::Request,
        35..55 => Stir::SameCode,
        55..75 => Stir::Suspend {
            ms: rng.u64(200..=8_000),
        },
        75..85 => Stir::Rotate,
        _ => Stir::Recreate {
            gap: rng.u64(..=2_000),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn a_seed_gives_the_same_plan_again_and_another_seed_another_one() {
        assert_eq!(plan(7, MINUTE, 4_000), plan(7, MINUTE, 4_000));
        assert_ne!(plan(7, MINUTE, 4_000), plan(8, MINUTE, 4_000));
    }

    #[test]
    fn three_minutes_meet_nearly_every_kind_and_nothing_outlasts_them() {
        for seed in 0..50 {
            let plan = plan(seed, 3 * MINUTE, 3_500);
            let mut kinds = BTreeSet::new();
            for step in &plan {
                if let What::Fault(fault) = &step.what {
                    kinds.insert(fault.kind());
                    assert!(step.at_ms + fault.lasts() <= 3 * MINUTE, "{step:?}");
                }
            }
            assert!(kinds.len() >= 17, "seed {seed}: {kinds:?}");
        }
    }
}
