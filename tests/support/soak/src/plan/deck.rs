//! The deck that faults are drawn from: their kinds, numbers and lengths. PURE.

use fastrand::Rng;
use harness::cams_simulator::Stage;

use super::{Away, CallFault, CloudFault, Fault, Loss, Part, ProcessFault, Who, Wrong};

/// Each kind, some more often than others, in random order.
pub(super) fn deck(rng: &mut Rng) -> Vec<Fault> {
    let mut deck = processes(rng);
    deck.extend(cluster(rng));
    deck.extend(calls(rng));
    deck.extend(cloud(rng));
    rng.shuffle(&mut deck);
    deck
}

fn processes(rng: &mut Rng) -> Vec<Fault> {
    let (leader, standby) = (Who::Leader, Who::Standby);
    let kill = |who, down, new_pod| ProcessFault::Kill { who, down, new_pod };
    let terminate = |who, down, new_pod| ProcessFault::Terminate { who, down, new_pod };
    let in_call = |at, goes_on, down| ProcessFault::KillInCall { at, goes_on, down };
    let freeze = |who, ms| ProcessFault::Freeze { who, ms };
    let all = [
        kill(leader, 0, false),
        kill(leader, rng.u64(..=5_000), rng.bool()),
        kill(standby, rng.u64(..=5_000), rng.bool()),
        terminate(leader, rng.u64(..=2_000), rng.bool()),
        terminate(leader, 0, false),
        terminate(standby, rng.u64(..=2_000), rng.bool()),
        in_call(Stage::Received, rng.bool(), rng.u64(..=1_000)),
        in_call(Stage::Executed, rng.bool(), rng.u64(..=1_000)),
        in_call(Stage::HalfReplied, false, rng.u64(..=1_000)),
        freeze(leader, rng.u64(500..=12_000)),
        // Past the Lease.
        freeze(leader, rng.u64(31_000..=40_000)),
    ];
    all.map(Fault::Process).into()
}

fn cluster(rng: &mut Rng) -> Vec<Fault> {
    let away = |part, away, ms| Fault::Cluster { part, away, ms };
    vec![
        away(Part::Apiserver, Away::Restart, rng.u64(..=5_000)),
        away(Part::Apiserver, Away::Pause, rng.u64(1_000..=8_000)),
        away(Part::Etcd, Away::Restart, rng.u64(..=3_000)),
        away(Part::Etcd, Away::Pause, rng.u64(1_000..=8_000)),
    ]
}

fn calls(rng: &mut Rng) -> Vec<Fault> {
    let answer = |with, executed| CallFault::Answer { with, executed };
    [
        CallFault::LoseReply(Loss::Close),
        CallFault::LoseReply(Loss::Reset),
        CallFault::LoseReply(Loss::Half),
        CallFault::LoseReply(Loss::Blackhole),
        CallFault::LoseRequest(Loss::Close),
        CallFault::LoseRequest(Loss::Reset),
        answer(Wrong::InternalError, true),
        answer(Wrong::ServiceUnavailable, false),
        answer(Wrong::Html, true),
        answer(Wrong::BadGateway, false),
        answer(Wrong::Truncated, true),
        answer(Wrong::Empty, true),
        answer(Wrong::NonceUsed, true),
        answer(Wrong::OtherPhone, true),
        CallFault::LoseRead,
        CallFault::OmitId,
    ]
    .map(|what| Fault::Calls {
        what,
        percent: rng.u64(15..=50),
        ms: rng.u64(2_000..=8_000),
    })
    .into()
}

fn cloud(rng: &mut Rng) -> Vec<Fault> {
    let mut clock = |from: i64, to: i64| CloudFault::Clock {
        offset: rng.i64(from..=to) * if rng.bool() { 1 } else { -1 },
    };
    // Within the signatures' validity; refused by the cloud; refused by the operator itself.
    let clocks = [
        clock(2_000, 7_000),
        clock(25_000, 50_000),
        clock(70_000, 150_000),
    ];
    let mut all: Vec<Fault> = clocks
        .map(|what| Fault::Cloud {
            what,
            ms: rng.u64(3_000..=10_000),
        })
        .into();
    let retry_after = rng.bool().then(|| rng.u64(500..=4_000));
    let lag = rng.u64(500..=3_000);
    let each = rng.u64(200..=1_500);
    let most = rng.u64(5..=50);
    all.extend(
        [
            CloudFault::Throttle { retry_after },
            CloudFault::ReadLag { lag },
            CloudFault::Processing { each },
            CloudFault::Jitter { most },
            CloudFault::Credentials,
            CloudFault::Account,
        ]
        .map(|what| Fault::Cloud {
            what,
            ms: rng.u64(1_500..=6_000),
        }),
    );
    all
}
