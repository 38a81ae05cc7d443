//! When the next request may be sent, so that no rolling second at the server ever holds more
//! than the quota. PURE: time is passed in.
//!
//! With N = quota per second, s = send, r = reply, J = allowance for late arrival:
//! `s[i+N] >= min(r[i], s[i] + J) + 1 s`. A reply proves that its request arrived, so the first
//! branch is safe whatever the network does; the second holds as long as arrivals spread by no
//! more than J. (A smallest round trip may not be subtracted: most of it can be the server's
//! work after it counted.) A sequence that is safe for a rolling window is safe for a fixed one
//! and for a bucket of N. `governor` spaces the sends in between.
//!
//! Throttles teach: each pause doubles J, at most to 10 s, where the rule is all replies.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};

use crate::clock::BootTime;

const WINDOW: Duration = Duration::from_secs(1);
/// For the closed reading of a window, and for clocks that tick in milliseconds.
const MARGIN: Duration = Duration::from_millis(1);
/// Allowance at the start, and the least it shrinks to.
const FIRST_ALLOWANCE: Duration = Duration::from_millis(10);
const MOST_ALLOWANCE: Duration = Duration::from_secs(10);
/// A call without a reply counts as replied then.
const REPLY_DEADLINE: Duration = Duration::from_secs(10);
/// Lateness is remembered for this long.
const LATENESS_MEMORY: Duration = Duration::from_secs(10);
const QUIET_BEFORE_SHRINKING: Duration = Duration::from_secs(600);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// Sends per second regained in each quiet second after a throttle.
const RECOVERY: f64 = 0.5;

/// One send.
#[derive(Clone, Copy, Debug)]
struct Sent {
    id: u64,
    at: BootTime,
    replied: Option<BootTime>,
}

/// Shows governor the time that was passed in.
#[derive(Clone, Default)]
struct PassedIn(Arc<AtomicU64>);

impl Clock for PassedIn {
    type Instant = Duration;
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

impl PassedIn {
    fn set(&self, now: BootTime) {
        // 2^64 ns are 584 years of uptime.
        self.0.store(
            u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, PassedIn, NoOpMiddleware<Duration>>;

struct Spacer {
    limiter: Limiter,
    clock: PassedIn,
}

impl Spacer {
    fn new(period: Duration, last: Option<BootTime>) -> Option<Self> {
        let clock = PassedIn::default();
        clock.set(last.unwrap_or_default());
        let quota = governor::Quota::with_period(period)?;
        let limiter = Limiter::direct_with_clock(quota, clock.clone());
        if last.is_some() {
            // The last send counts for the new spacing too.
            let _ = limiter.check();
        }
        Some(Self { limiter, clock })
    }

    fn check(&self, now: BootTime) -> Result<(), BootTime> {
        self.clock.set(now);
        self.limiter
            .check()
            .map_err(|not_until| not_until.earliest_possible().max(now + MARGIN))
    }
}

/// Paces the requests of one API action of one account.
pub struct Pacer {
    quota: Option<NonZeroU32>,
    spacer: Option<Spacer>,
    sent: VecDeque<Sent>,
    next_id: u64,
    silent_until: BootTime,
    paused_until: BootTime,
    pauses_in_a_row: u32,
    probe: Option<Probe>,
    rate: f64,
    rate_at: BootTime,
    learned: Duration,
    learned_at: BootTime,
    lateness: VecDeque<(BootTime, Duration)>,
}

/// After a pause one request goes alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Probe {
    Due,
    Out(u64, BootTime),
}

impl Pacer {
    /// A pacer for `quota` per second (`None`: unlimited). A full window passes before the first
    /// send: whoever ran before may have filled it.
    pub fn new(quota: Option<NonZeroU32>, now: BootTime) -> Self {
        let full = quota.map_or(f64::INFINITY, |quota| f64::from(quota.get()));
        let mut pacer = Self {
            quota,
            spacer: None,
            sent: VecDeque::new(),
            next_id: 0,
            silent_until: now,
            paused_until: now,
            pauses_in_a_row: 0,
            probe: None,
            rate: full,
            rate_at: now,
            learned: FIRST_ALLOWANCE,
            learned_at: now,
            lateness: VecDeque::new(),
        };
        pacer.silence(now);
        pacer.respace();
        pacer
    }

    /// A full silent window from now: another process may have sent until now.
    pub fn silence(&mut self, now: BootTime) {
        if self.quota.is_some() {
            self.silent_until = now + WINDOW + self.allowance(now);
        }
    }

    /// The allowance J: what throttles taught, and no less than the largest lateness between
    /// taking a slot and handing the request to the socket in the last 10 s.
    pub fn allowance(&self, now: BootTime) -> Duration {
        let recent = self
            .lateness
            .iter()
            .filter(|(at, _)| now < *at + LATENESS_MEMORY);
        let floor = recent.map(|(_, late)| *late).max().unwrap_or_default();
        self.learned.max(floor).min(MOST_ALLOWANCE)
    }

    /// Sends per second at most, now.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Until when the account is paused, if it is.
    pub fn paused_until(&self, now: BootTime) -> Option<BootTime> {
        (self.paused_until > now).then_some(self.paused_until)
    }

    /// True while only one request may be out, to find out whether the pause helped.
    pub fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// Takes a send slot: the request must be handed to the socket now.
    ///
    /// # Errors
    /// When to ask again, always later than `now`.
    pub fn take(&mut self, now: BootTime) -> Result<u64, BootTime> {
        self.recover(now);
        let mut earliest = self.silent_until.max(self.paused_until);
        if let Some(Probe::Out(_, at)) = self.probe {
            earliest = earliest.max(at + REPLY_DEADLINE);
        }
        earliest = earliest.max(self.ten_back(now));
        if earliest > now {
            return Err(earliest);
        }
        if let Some(spacer) = &self.spacer {
            spacer.check(now)?;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.sent.push_back(Sent {
            id,
            at: now,
            replied: None,
        });
        let kept = self.quota.map_or(64, |quota| quota.get() as usize);
        while self.sent.len() > kept {
            self.sent.pop_front();
        }
        if self.probe.is_some() {
            self.probe = Some(Probe::Out(id, now));
        }
        Ok(id)
    }

    /// The moment that the send N back allows. Danger: without it a burst of late arrivals
    /// exceeds the quota although every gap is wide enough.
    fn ten_back(&self, now: BootTime) -> BootTime {
        let Some(quota) = self.quota else { return now };
        if self.sent.len() < quota.get() as usize {
            return BootTime::ZERO;
        }
        let Some(back) = self.sent.front() else {
            return BootTime::ZERO;
        };
        let arrived = back.replied.unwrap_or(back.at + REPLY_DEADLINE);
        arrived.min(back.at + self.allowance(now)) + WINDOW + MARGIN
    }

    /// The request of this slot was handed to the socket at `at`.
    pub fn handed(&mut self, id: u64, at: BootTime) {
        let Some(sent) = self.sent.iter().find(|sent| sent.id == id) else {
            return;
        };
        let late = at.saturating_sub(sent.at);
        while self
            .lateness
            .front()
            .is_some_and(|(then, _)| at >= *then + LATENESS_MEMORY)
        {
            self.lateness.pop_front();
        }
        self.lateness.push_back((at, late));
    }

    /// The reply to the request of this slot arrived at `at`.
    pub fn replied(&mut self, id: u64, at: BootTime) {
        for sent in self.sent.iter_mut().filter(|sent| sent.id == id) {
            sent.replied = Some(at);
        }
    }

    /// A reply that was no throttle arrived.
    pub fn went_through(&mut self, now: BootTime) {
        if matches!(self.probe, Some(Probe::Out(..))) && now >= self.paused_until {
            self.probe = None;
            self.pauses_in_a_row = 0;
            self.rate_at = now;
        }
    }

    /// The server throttled this action: pause, and learn.
    pub fn throttled(&mut self, now: BootTime, retry_after: Option<Duration>) {
        let in_a_pause = now < self.paused_until;
        self.pause(now, retry_after);
        if in_a_pause {
            // A reply to what was under way when the pause began: it taught already.
            return;
        }
        self.learned = (self.learned * 2).min(MOST_ALLOWANCE);
        self.learned_at = now;
        if self.quota.is_some() {
            self.rate = (self.rate / 2.0).max(RECOVERY);
            self.rate_at = self.paused_until;
            self.respace();
        }
    }

    /// The account is paused, by this action or by another one.
    pub fn pause(&mut self, now: BootTime, retry_after: Option<Duration>) {
        let in_a_pause = now < self.paused_until;
        let own = (WINDOW + self.allowance(now)) * 2u32.saturating_pow(self.pauses_in_a_row.min(7));
        let pause = match retry_after {
            Some(asked) => asked.min(LONGEST_PAUSE),
            None if in_a_pause => return,
            None => own.min(LONGEST_PAUSE),
        };
        if !in_a_pause {
            self.pauses_in_a_row += 1;
        }
        self.paused_until = self.paused_until.max(now + pause);
        self.probe = Some(Probe::Due);
    }

    /// Regains rate and forgets lateness that is long past.
    fn recover(&mut self, now: BootTime) {
        if now >= self.learned_at + QUIET_BEFORE_SHRINKING {
            self.learned = (self.learned / 2).max(FIRST_ALLOWANCE);
            self.learned_at = now;
        }
        let Some(quota) = self.quota else { return };
        let full = f64::from(quota.get());
        if self.rate >= full || self.probe.is_some() || now < self.rate_at + WINDOW {
            return;
        }
        let quiet = now.saturating_sub(self.rate_at).as_secs();
        self.rate = (self.rate + RECOVERY * quiet as f64).min(full);
        self.rate_at += Duration::from_secs(quiet);
        self.respace();
    }

    fn respace(&mut self) {
        let Some(quota) = self.quota else { return };
        let full = f64::from(quota.get());
        let period = if self.rate >= full {
            0.8 / full
        } else {
            1.0 / self.rate
        };
        let last = self.sent.back().map(|sent| sent.at);
        self.spacer = Spacer::new(Duration::from_secs_f64(period), last);
    }

    /// How many resources may prepare at a time: as many as will be sent while one prepares and
    /// a second more, at least 2, at most 3 s' worth.
    pub fn turns(&self, worst_preparation: Duration) -> usize {
        const UNLIMITED: usize = 128;
        if self.quota.is_none() {
            return UNLIMITED;
        }
        let seconds = (worst_preparation + Duration::from_secs(1)).as_secs_f64();
        let turns = (self.rate * seconds).ceil().min((self.rate * 3.0).ceil());
        (turns as usize).max(2)
    }
}
