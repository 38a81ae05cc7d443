//! No second at the server holds more than the quota, and hardly any less.

use std::time::Duration;

use phone_migration_operator::quota::pacer::{MOST_BY_ROUND_TRIPS, Pacer, SendId};
use proptest::prelude::*;

use super::sim::{Fate, Run, Server, World};
use super::{ms, s};

pub const START: Duration = s(1_000);

pub const fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// Sends the next call, as early from `from` on as the pacer allows. Returns when it left, too.
pub fn send(pacer: &mut Pacer, from: Duration) -> (SendId, Duration) {
    let mut now = from;
    loop {
        match pacer.try_send(now) {
            Ok(id) => {
                pacer.handed(id, now);
                return (id, now);
            }
            Err(later) => now = later,
        }
    }
}

/// Sends one call more than the quota, each as early as possible, without a reply. Returns when the
/// last one left: on trust, since no reply had proved that its window was free.
pub fn send_on_trust(pacer: &mut Pacer, qps: u32, from: Duration) -> Duration {
    (0..=qps).fold(from, |now, _| send(pacer, now).1)
}

/// A pacer whose J has been doubled `times` times by throttles, then left to recover, and to
/// forget its round trips. Returns it with the time.
pub fn taught(qps: u32, times: usize) -> (Pacer, Duration) {
    let mut now = START;
    let mut pacer = Pacer::new(qps, now);
    for _ in 0..times {
        now = send_on_trust(&mut pacer, qps, now);
        let end = pacer.throttled(now + ms(1), None);
        let (probe, left) = send(&mut pacer, end);
        now = left + ms(1);
        pacer.replied(probe, now);
        pacer.answered(now);
        now += s(1);
    }
    now += s(2 * u64::from(qps)).max(s(31));
    assert_eq!(pacer.rate(now), Some(f64::from(qps)));
    (pacer, now)
}

fn fates(late: u64, forward: u64, processing: u64, back: u64) -> impl Strategy<Value = Vec<Fate>> {
    let fate = (0..=late, 0..=forward, 0..=processing, 0..=back).prop_map(
        |(late, forward, processing, back)| Fate {
            late: us(late),
            forward: us(forward),
            processing: us(processing),
            back: us(back),
        },
    );
    prop::collection::vec(fate, 1..60)
}

/// Less than the ten quiet minutes after which J halves: the properties below are about the learned
/// J.
const QUIET: Duration = s(540);

fn run(pacer: &mut Pacer, from: Duration, limit: u32, sends: usize, fates: &[Fate]) -> Run {
    let limit = usize::try_from(limit).unwrap();
    let run = World::new(pacer, Server::counting(limit))
        .run(from, from + QUIET, sends, |i| fates[i % fates.len()]);
    // No call waits longer than a call's deadline and one window.
    for pair in run.sends.windows(2) {
        assert!(pair[1] - pair[0] <= s(11) + ms(1), "{pair:?}");
    }
    let last = *run.sends.last().expect("a send");
    assert!(
        run.sends.len() == sends || last + s(12) > from + QUIET,
        "{last:?}"
    );
    run
}

proptest! {
    /// J at its maximum: safe for every answered call, with any times.
    #[test]
    fn anchored_on_replies_no_second_exceeds_the_quota(
        qps in 1u32..=15,
        fates in fates(2_000_000, 3_000_000, 2_500_000, 2_400_000),
    ) {
        let (mut pacer, now) = taught(qps, 10);
        prop_assert_eq!(pacer.allowance(now), s(10));
        let run = run(&mut pacer, now, qps, 120, &fates);
        prop_assert!(run.worst_second() <= qps as usize, "{}", run.worst_second());
    }

    /// With J, as long as the forward path varies by no more than J.
    #[test]
    fn within_the_allowance_no_second_exceeds_the_quota(
        qps in 1u32..=15,
        times in 0usize..=6,
        base in 0u64..400_000,
        shares in fates(0, 1_000, 3_000_000, 400_000),
    ) {
        let (mut pacer, now) = taught(qps, times);
        let jitter = u64::try_from(pacer.allowance(now).as_micros()).unwrap();
        let fates: Vec<Fate> = shares
            .iter()
            .map(|share| {
                let thousandths = u64::try_from(share.forward.as_micros()).unwrap();
                Fate { forward: us(base + jitter * thousandths / 1_000), ..*share }
            })
            .collect();
        let run = run(&mut pacer, now, qps, 200, &fates);
        prop_assert!(run.worst_second() <= qps as usize, "{}", run.worst_second());
        for pair in run.sends.windows(2) {
            prop_assert!(pair[1] - pair[0] >= ms(800) / qps, "{pair:?}");
        }
    }

    /// A starved process hands requests over late, by any time: half of the allowance remains for
    /// the network, without a throttle to learn from.
    #[test]
    fn own_lateness_does_not_exceed_the_quota(
        qps in 1u32..=15,
        times in 0usize..=6,
        base in 0u64..400_000,
        shares in fates(4_000_000, 1_000, 1_000_000, 400_000),
    ) {
        let (mut pacer, now) = taught(qps, times);
        let jitter = u64::try_from(pacer.allowance(now).as_micros()).unwrap() / 2;
        let fates: Vec<Fate> = shares
            .iter()
            .enumerate()
            .map(|(i, share)| {
                let thousandths = u64::try_from(share.forward.as_micros()).unwrap();
                let late = if i % 3 == 0 { share.late } else { us(200) };
                Fate { late, forward: us(base + jitter * thousandths / 1_000), ..*share }
            })
            .collect();
        let run = run(&mut pacer, now, qps, 200, &fates);
        prop_assert!(run.worst_second() <= qps as usize, "{}", run.worst_second());
    }

    /// A path that varies more than J, and more than round trips show, throttles; each pause at
    /// least doubles J, and once J covers the path nothing is throttled any more; the sends go
    /// on at full rate.
    #[test]
    fn throttles_teach_the_allowance(
        jitter in 15_000u64..600_000,
        counts_throttled: bool,
        retry_after in prop::option::of(0u64..3_000),
        shares in fates(0, 1_000, 300_000, 50_000),
    ) {
        let mut pacer = Pacer::new(10, START);
        let server = Server {
            counts_throttled,
            retry_after: retry_after.map(ms),
            ..Server::throttling(10)
        };
        let end = START + s(400);
        let run = World::new(&mut pacer, server).run(START, end, usize::MAX, |i| {
            // The shares come in another order each round, so that every run of ten meets another
            // pattern.
            let share = &shares[(i * 7 + i / shares.len() * 3) % shares.len()];
            let thousandths = u64::try_from(share.forward.as_micros()).unwrap();
            Fate { forward: us(20_000 + jitter * thousandths / 1_000), ..*share }
        });
        let mut pauses = 0;
        let mut j = 10_000;
        while j < jitter {
            j *= 2;
            pauses += 1;
        }
        prop_assert!(run.pauses.len() <= pauses, "{} pauses, {pauses} suffice", run.pauses.len());
        // All throttles belong to those pauses: at most a quota's worth was in flight.
        prop_assert!(run.throttles.len() <= 10 * run.pauses.len());
        let j = pacer.allowance(end).max(MOST_BY_ROUND_TRIPS).as_secs_f64();
        let last = run.pauses.last().map_or(START, |at| *at) + s(30);
        if last + s(60) < end {
            let rate = run.sends_between(last, end) as f64 / (end - last).as_secs_f64();
            prop_assert!(rate >= 0.97 * 10.0 / (1.001 + j), "{rate} at J = {j}");
        }
    }
}

/// The lesson above is not empty: a path that varies by 300 ms, which is more than round trips may
/// teach, does throttle at first.
#[test]
fn a_jittery_path_is_learned_within_a_few_pauses() {
    let mut pacer = Pacer::new(10, START);
    let server = Server::throttling(10);
    let end = START + s(500);
    let run = World::new(&mut pacer, server)
        .tick(ms(1))
        .run(START, end, usize::MAX, |i| Fate {
            late: us(200),
            // A multiplicative generator, spread over 0 to 300 ms.
            forward: us((i as u64 + 1) * 48_271 % 300_007),
            processing: ms(50),
            back: ms(20),
        });
    let pauses: Vec<Duration> = run.pauses.iter().map(|at| *at - START).collect();
    println!("pauses at {pauses:?}, {} throttles", run.throttles.len());
    assert!((1..=3).contains(&pauses.len()), "{pauses:?}");
    assert!(
        run.throttles.len() * 100 <= run.sends.len(),
        "{} throttles",
        run.throttles.len()
    );
    let quiet = run.throttles.last().expect("a throttle");
    assert!(*quiet < START + s(120), "{:?}", *quiet - START);
}

/// A stream of numbers from a seed (splitmix64), each uniform in `0..=most`.
pub fn uniform(seed: u64, n: usize, most: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add((n as u64 + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % (most + 1)
}

/// The result of 300 calls on such a path: the share of the quota that the middle four fifths of
/// them used, and how many were throttled.
fn three_hundred(seed: u64, path: impl Fn(u64, usize) -> Fate) -> (f64, usize) {
    let mut pacer = Pacer::new(10, START);
    let server = Server::throttling(10);
    let run = World::new(&mut pacer, server)
        .tick(ms(1))
        .run(START, Duration::MAX, 300, |n| path(seed, n));
    let (first, last) = (run.sends[30], run.sends[270]);
    let used = 240.0 / (last - first).as_secs_f64() / 10.0;
    (used, run.throttles.len())
}

/// The result of many runs.
#[derive(Debug)]
struct Runs {
    /// The least share of the quota among runs without a throttle.
    least_used: f64,
    /// Runs with one throttle, and with more.
    once: usize,
    more: usize,
}

fn over_seeds(path: impl Fn(u64, usize) -> Fate + Copy) -> Runs {
    let mut runs = Runs {
        least_used: f64::MAX,
        once: 0,
        more: 0,
    };
    for seed in 0..200 {
        match three_hundred(seed, path) {
            (used, 0) => runs.least_used = runs.least_used.min(used),
            (_, 1) => runs.once += 1,
            (_, _) => runs.more += 1,
        }
    }
    println!("{runs:?}");
    runs
}

const STEADY: Fate = Fate {
    late: us(200),
    forward: ms(20),
    processing: ms(50),
    back: ms(20),
};

/// Before the server counted: round trips show it before a throttle does.
#[test]
fn jitter_is_learned_from_round_trips_before_the_first_throttle() {
    for work in [5, 50, 300, 1_500] {
        let runs = over_seeds(|seed, n| Fate {
            forward: ms(20) + us(uniform(seed, n, 50_000)),
            processing: ms(work),
            ..STEADY
        });
        assert!(runs.least_used >= 0.94, "{work} ms: {runs:?}");
        assert!(runs.once <= 10 && runs.more == 0, "{work} ms: {runs:?}");
    }
}

#[test]
fn jitter_that_begins_in_the_middle_is_learned_from_the_first_late_calls() {
    let runs = over_seeds(|seed, n| Fate {
        forward: ms(20) + us(if n < 150 { 0 } else { uniform(seed, n, 50_000) }),
        ..STEADY
    });
    assert!(runs.least_used >= 0.95, "{runs:?}");
    assert!(runs.once <= 10 && runs.more == 0, "{runs:?}");
}

/// After it counted: that is not lateness, and never counts as more than 100 ms of it.
#[test]
fn the_work_of_the_server_costs_a_tenth_of_the_quota_at_most() {
    let runs = over_seeds(|seed, n| Fate {
        processing: ms(50) + us(uniform(seed, n, 450_000)),
        ..STEADY
    });
    assert!(runs.least_used >= 0.90, "{runs:?}");
    assert_eq!((runs.once, runs.more), (0, 0));
}

/// A slow call costs its own place in the window, not the rate of the next half minute.
#[test]
fn a_rare_slow_call_costs_hardly_anything() {
    let runs = over_seeds(|seed, n| Fate {
        back: ms(20) + ms(if uniform(seed, n, 99) == 0 { 200 } else { 0 }),
        ..STEADY
    });
    assert!(runs.least_used >= 0.97, "{runs:?}");
    assert_eq!((runs.once, runs.more), (0, 0));
}
