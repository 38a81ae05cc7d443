//! Every sequence over a small domain: the pacer against its formula, computed again over the whole
//! history, and against a server that counts every second.
//!
//! Two paths. One has no known round trips: a tick is 160 ms, and the assumed lateness is the one
//! that throttles taught, 0 (10 ms), 1 and 2 ticks, or the 100 ms for an unknown path. The other
//! has a known promptest round trip: a tick is 40 ms, and no throttle has taught anything.

use std::time::Duration;

use phone_migration_operator::quota::pacer::{DEADLINE, MOST_BY_ROUND_TRIPS, Pacer, SendId};

use super::sim::worst_second;
use super::window::taught;
use super::{ms, s};

/// A path before its first call.
#[derive(Clone, Copy)]
struct Path {
    tick: Duration,
    /// How often a throttle has taught.
    taught: usize,
    /// Its promptest round trip, if it is known: of ten calls that the scope begins with.
    prompt: Option<Duration>,
}

/// Only the lessons of throttles are known of it.
const fn unknown(taught: usize) -> Path {
    Path {
        tick: ms(160),
        taught,
        prompt: None,
    }
}

/// Its promptest round trip is of four ticks.
const KNOWN: Path = Path {
    tick: ms(40),
    taught: 0,
    prompt: Some(ms(160)),
};

impl Path {
    fn begin(self, quota: u32) -> (Pacer, Duration) {
        let (mut pacer, mut now) = taught(quota, self.taught);
        for _ in 0..10 {
            let Some(prompt) = self.prompt else { break };
            let id = pacer.try_send(now).unwrap();
            pacer.handed(id, now);
            pacer.replied(id, now + prompt);
            now += s(2);
        }
        (pacer, now)
    }
}

/// The closed window, as the pacer keeps it.
const WINDOW: Duration = ms(1_001);

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Answered so many ticks after it was counted.
    Reply(u32),
    /// It arrives and no reply is read.
    Lost,
    /// It never left, and the pacer learns that so many ticks after the slot was taken.
    Unsent(u32),
}

#[derive(Clone, Copy, Debug)]
struct Fate {
    /// Ticks from the send to the server's counter.
    forward: u32,
    end: End,
    /// Ticks before the next call is wanted.
    pause: u32,
}

/// One call in the whole history.
struct Sent {
    id: SendId,
    tick: Duration,
    at: Duration,
    fate: Fate,
    /// Reported to the pacer.
    ended: bool,
}

impl Sent {
    fn arrival(&self) -> Duration {
        self.at + self.tick * self.fate.forward
    }

    fn end(&self) -> Duration {
        match self.fate.end {
            End::Reply(ticks) => self.arrival() + self.tick * ticks,
            End::Lost => self.at + DEADLINE,
            End::Unsent(ticks) => self.at + self.tick * ticks,
        }
    }

    /// How long the whole call took, if that is known at `now`.
    fn round_trip(&self, now: Duration) -> Option<Duration> {
        let replied = matches!(self.fate.end, End::Reply(_)) && self.end() <= now;
        replied.then(|| self.end() - self.at)
    }

    fn counts(&self) -> bool {
        !matches!(self.fate.end, End::Unsent(_))
    }

    /// Known at `now` to have never left.
    fn forgotten(&self, now: Duration) -> bool {
        !self.counts() && self.end() <= now
    }

    /// r[i], as far as it is known at `now`.
    fn replied(&self, now: Duration) -> Duration {
        match self.fate.end {
            End::Reply(_) if self.end() <= now => self.end(),
            End::Reply(_) | End::Lost | End::Unsent(_) => self.at + DEADLINE,
        }
    }
}

/// How late a call may have arrived: J, or the lateness that round trips show, `prompt` and those
/// of `sends`.
fn lateness(path: Path, sent: &Sent, sends: &[Sent], j: Duration, now: Duration) -> Duration {
    let told = match path.prompt {
        None => MOST_BY_ROUND_TRIPS,
        Some(prompt) => {
            let known = sends.iter().filter_map(|sent| sent.round_trip(now));
            let (quickest, slowest) = known.fold((prompt, prompt), |(quickest, slowest), trip| {
                (quickest.min(trip), slowest.max(trip))
            });
            let spread = slowest - quickest;
            let own = sent.round_trip(now).map_or(spread, |own| own - quickest);
            (own + (spread / 4).min(ms(10))).min(MOST_BY_ROUND_TRIPS)
        }
    };
    told.max(j)
}

/// The earliest moment by the formula `s[k] >= min(r[k-N], s[k-N] + lateness) + 1 s`, over all
/// sends that may have left, and by the spacing.
fn formula(
    path: Path,
    sends: &[Sent],
    quota: usize,
    j: Duration,
    now: Duration,
) -> (Duration, Duration) {
    let left: Vec<&Sent> = sends.iter().filter(|sent| !sent.forgotten(now)).collect();
    let window = match left.len().checked_sub(quota) {
        Some(k) => {
            let late = lateness(path, left[k], sends, j, now);
            left[k].replied(now).min(left[k].at + late) + WINDOW
        }
        None => Duration::ZERO,
    };
    let period = ms(800) / u32::try_from(quota).unwrap();
    let spaced = sends.last().map_or(Duration::ZERO, |last| last.at + period);
    (window, spaced)
}

/// Reports to the pacer, in order, everything that has happened until `now`.
fn settle(pacer: &mut Pacer, sends: &mut [Sent], now: Duration) {
    let mut due: Vec<usize> = (0..sends.len())
        .filter(|n| !sends[*n].ended && sends[*n].end() <= now)
        .collect();
    due.sort_by_key(|n| sends[*n].end());
    for n in due {
        let sent = &mut sends[n];
        sent.ended = true;
        match sent.fate.end {
            End::Reply(_) => pacer.replied(sent.id, sent.end()),
            End::Lost => pacer.given_up(sent.id, sent.end()),
            End::Unsent(_) => pacer.unsent(sent.id),
        }
    }
}

/// The next time after `now` at which the pacer gets a report.
fn next_end(sends: &[Sent], now: Duration) -> Option<Duration> {
    let ends = sends.iter().filter(|sent| !sent.ended).map(Sent::end);
    ends.filter(|end| *end > now).min()
}

/// One run: as many calls as there are fates, each as early as the pacer allows.
fn run(quota: u32, path: Path, fates: &[Fate]) -> usize {
    let (mut pacer, mut now) = path.begin(quota);
    let (n, j) = (usize::try_from(quota).unwrap(), pacer.allowance(now));
    let mut sends: Vec<Sent> = Vec::new();
    for fate in fates {
        loop {
            settle(&mut pacer, &mut sends, now);
            let (window, spaced) = formula(path, &sends, n, j, now);
            match pacer.try_send(now) {
                Ok(id) => {
                    assert!(window <= now && spaced <= now, "early: {fates:?}");
                    pacer.handed(id, now);
                    sends.push(Sent {
                        id,
                        tick: path.tick,
                        at: now,
                        fate: *fate,
                        ended: false,
                    });
                    break;
                }
                Err(until) => {
                    let wanted = if window > now { window } else { spaced };
                    assert_eq!(until, wanted, "{fates:?}");
                    assert!(until > now);
                    now = next_end(&sends, now).map_or(until, |end| end.min(until));
                }
            }
        }
        now += path.tick * fate.pause;
    }
    let arrivals: Vec<Duration> = sends
        .iter()
        .filter(|sent| sent.counts())
        .map(Sent::arrival)
        .collect();
    let worst = worst_second(&arrivals);
    assert!(worst <= n, "{worst} in a second: {fates:?}");
    worst
}

/// All sequences of `calls` fates; returns how many there were. Some second must be full, otherwise
/// nothing was tested.
fn all(quota: u32, path: Path, choices: &[Fate], calls: u32) -> usize {
    let total = choices.len().pow(calls);
    let mut fullest = 0;
    for combination in 0..total {
        let fates: Vec<Fate> = (0..calls)
            .map(|call| choices[combination / choices.len().pow(call) % choices.len()])
            .collect();
        fullest = fullest.max(run(quota, path, &fates));
    }
    assert_eq!(fullest, usize::try_from(quota).unwrap());
    println!(
        "quota {quota}, {} choices, {calls} calls: {total} sequences",
        choices.len()
    );
    total
}

/// Every combination of these.
fn fates(forwards: &[u32], ends: &[End], pauses: &[u32]) -> Vec<Fate> {
    let mut all = Vec::new();
    for &forward in forwards {
        for &end in ends {
            all.extend(pauses.iter().map(|&pause| Fate {
                forward,
                end,
                pause,
            }));
        }
    }
    all
}

/// How often a throttle must have taught for so many ticks of allowance.
const ALLOWED: [Path; 3] = [unknown(0), unknown(4), unknown(5)];

#[test]
fn the_ticks_are_the_allowances() {
    for (ticks, path) in ALLOWED.into_iter().enumerate() {
        let (pacer, now) = path.begin(2);
        let allowance = pacer.allowance(now);
        let ticks = path.tick * u32::try_from(ticks).unwrap();
        assert!(allowance.saturating_sub(ticks) < ms(20), "{allowance:?}");
    }
}

#[test]
fn no_allowance_and_a_path_that_does_not_vary() {
    let ends = [End::Reply(0), End::Reply(2), End::Reply(8)];
    assert_eq!(all(2, ALLOWED[0], &fates(&[1], &ends, &[0, 3]), 6), 46_656);
    assert_eq!(all(3, ALLOWED[0], &fates(&[0], &ends, &[0]), 8), 6_561);
}

#[test]
fn one_tick_of_allowance_and_a_path_that_varies_by_one() {
    let ends = [End::Reply(0), End::Reply(2), End::Reply(8)];
    assert_eq!(all(2, ALLOWED[1], &fates(&[0, 1], &ends, &[0]), 6), 46_656);
    assert_eq!(
        all(3, ALLOWED[1], &fates(&[0, 1], &ends[1..], &[0]), 8),
        65_536
    );
}

#[test]
fn two_ticks_of_allowance_and_a_path_that_varies_by_two() {
    let ends = [End::Reply(0), End::Reply(8)];
    assert_eq!(
        all(2, ALLOWED[2], &fates(&[0, 1, 2], &ends, &[0]), 6),
        46_656
    );
    assert_eq!(all(3, ALLOWED[2], &fates(&[0, 2], &ends, &[0]), 8), 65_536);
    assert_eq!(
        all(2, ALLOWED[2], &fates(&[0, 2], &ends[..1], &[0, 5]), 8),
        65_536
    );
}

#[test]
fn calls_that_are_lost_or_never_leave() {
    let ends = [End::Reply(1), End::Lost, End::Unsent(0), End::Unsent(8)];
    assert_eq!(all(2, ALLOWED[1], &fates(&[0, 1], &ends, &[0]), 5), 32_768);
    assert_eq!(all(2, ALLOWED[2], &fates(&[2], &ends, &[0]), 7), 16_384);
    assert_eq!(all(3, ALLOWED[1], &fates(&[1], &ends, &[0]), 7), 16_384);
}

/// Nothing was ever throttled: late calls are known by their round trips before the window lets
/// another one follow, and a call whose reply is still out counts as late as the latest was.
#[test]
fn known_round_trips_and_a_path_that_varies_by_two_ticks() {
    let ends = [End::Reply(4)];
    assert_eq!(all(2, KNOWN, &fates(&[0, 1, 2], &ends, &[0]), 8), 6_561);
    assert_eq!(all(3, KNOWN, &fates(&[0, 2], &ends, &[0, 9]), 7), 16_384);
    // The server's processing time varies too, and counts as lateness.
    let ends = [End::Reply(4), End::Reply(6)];
    assert_eq!(all(2, KNOWN, &fates(&[0, 2], &ends, &[0]), 7), 16_384);
    let ends = [End::Reply(4), End::Lost, End::Unsent(2)];
    assert_eq!(all(2, KNOWN, &fates(&[0], &ends, &[0]), 8), 6_561);
}

/// The bound above is not slack: a path that varies by more than the allowance exceeds it.
#[test]
fn a_path_that_varies_by_more_than_the_allowance_exceeds_the_quota() {
    let late = Fate {
        forward: 2,
        end: End::Reply(8),
        pause: 0,
    };
    let prompt = Fate { forward: 0, ..late };
    let exceeded = std::panic::catch_unwind(|| run(2, ALLOWED[0], &[late, late, prompt, prompt]));
    assert!(exceeded.is_err());
    assert!(s(1) < WINDOW);
}
