//! One sender, a network, and a server that counts arrivals: discrete events.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use phone_migration_operator::quota::pacer::{DEADLINE, Pacer, SendId};

use super::{ms, s};

/// The fate of one call.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// From the send time to the handing over.
    pub late: Duration,
    /// From the handing over to the server's counter.
    pub forward: Duration,
    /// From there to the reply's departure.
    pub processing: Duration,
    /// The reply's way.
    pub back: Duration,
}

/// A server that counts.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    pub limit: usize,
    /// It answers a call beyond the limit with a throttle.
    pub throttles: bool,
    /// Throttled calls count too.
    pub counts_throttled: bool,
    pub retry_after: Option<Duration>,
}

impl Server {
    pub const fn throttling(limit: usize) -> Self {
        Self {
            throttles: true,
            ..Self::counting(limit)
        }
    }

    /// Only counts.
    pub const fn counting(limit: usize) -> Self {
        Self {
            limit,
            throttles: false,
            counts_throttled: true,
            retry_after: None,
        }
    }
}

#[derive(Debug, Default)]
pub struct Run {
    pub sends: Vec<Duration>,
    pub arrivals: Vec<Duration>,
    /// When each throttle was answered, at the server.
    pub throttles: Vec<Duration>,
    /// When a throttle began a pause, at the sender.
    pub pauses: Vec<Duration>,
}

impl Run {
    /// Most arrivals in any closed second.
    pub fn worst_second(&self) -> usize {
        worst_second(&self.arrivals)
    }

    pub fn sends_between(&self, from: Duration, until: Duration) -> usize {
        self.sends
            .iter()
            .filter(|at| (from..until).contains(*at))
            .count()
    }
}

pub fn worst_second(arrivals: &[Duration]) -> usize {
    let mut sorted = arrivals.to_vec();
    sorted.sort_unstable();
    let mut oldest = 0;
    let mut worst = 0;
    for (i, arrival) in sorted.iter().enumerate() {
        while *arrival - sorted[oldest] > s(1) {
            oldest += 1;
        }
        worst = worst.max(i - oldest + 1);
    }
    worst
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Handed(usize),
    Arrival(usize),
    Reply(usize, bool),
    GivenUp(usize),
    Wake,
}

/// The world of one pacer whose queue never runs dry.
pub struct World<'a> {
    pacer: &'a mut Pacer,
    server: Server,
    /// Resolution of the sender's timer: it wakes at multiples of this.
    tick: Duration,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    calls: Vec<(SendId, Fate)>,
    /// The calls in the server's window.
    counted: VecDeque<Duration>,
    /// The one wake-up that is scheduled.
    wake_at: Option<Duration>,
    run: Run,
}

impl<'a> World<'a> {
    pub fn new(pacer: &'a mut Pacer, server: Server) -> Self {
        Self {
            pacer,
            server,
            tick: Duration::from_nanos(1),
            events: BinaryHeap::new(),
            calls: Vec::new(),
            counted: VecDeque::new(),
            wake_at: None,
            run: Run::default(),
        }
    }

    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// Sends as fast as the pacer allows from `from` on, until `until` or `most` sends,
    /// and until every call has ended. `fate` knows the number of the call.
    pub fn run(
        mut self,
        from: Duration,
        until: Duration,
        most: usize,
        fate: impl Fn(usize) -> Fate,
    ) -> Run {
        self.wake(from);
        while let Some(Reverse((now, event))) = self.events.pop() {
            // A wake-up that another one superseded.
            if event == Event::Wake && self.wake_at != Some(now) {
                continue;
            }
            self.happen(now, event);
            let arrival = matches!(event, Event::Arrival(_));
            if !arrival && now < until && self.calls.len() < most {
                self.send(now, &fate);
            }
        }
        self.run
    }

    fn send(&mut self, now: Duration, fate: &impl Fn(usize) -> Fate) {
        let id = match self.pacer.try_send(now) {
            Ok(id) => id,
            Err(free_at) => {
                assert!(free_at > now, "a wait must end later than now");
                self.wake(self.next_tick(free_at));
                return;
            }
        };
        let i = self.calls.len();
        let fate = fate(i);
        self.calls.push((id, fate));
        self.run.sends.push(now);
        let handed = now + fate.late;
        let arrival = handed + fate.forward;
        let reply = arrival + fate.processing + fate.back;
        self.events.push(Reverse((handed, Event::Handed(i))));
        self.events.push(Reverse((arrival, Event::Arrival(i))));
        if reply > now + DEADLINE {
            self.events
                .push(Reverse((now + DEADLINE, Event::GivenUp(i))));
        }
        self.wake(now);
    }

    fn wake(&mut self, at: Duration) {
        if self.wake_at != Some(at) {
            self.wake_at = Some(at);
            self.events.push(Reverse((at, Event::Wake)));
        }
    }

    fn next_tick(&self, at: Duration) -> Duration {
        let ticks = at.as_nanos().div_ceil(self.tick.as_nanos());
        Duration::from_nanos(u64::try_from(ticks * self.tick.as_nanos()).unwrap())
    }

    fn happen(&mut self, now: Duration, event: Event) {
        match event {
            Event::Wake => self.wake_at = None,
            Event::Handed(i) => self.pacer.handed(self.calls[i].0, now),
            Event::Arrival(i) => self.arrive(i, now),
            Event::GivenUp(i) => {
                self.pacer.given_up(self.calls[i].0, now);
                self.pacer.unanswered();
            }
            Event::Reply(i, throttled) => {
                if !throttled {
                    self.pacer.replied(self.calls[i].0, now);
                    self.pacer.answered(now);
                    return;
                }
                self.pacer.replied_throttled(self.calls[i].0, now);
                if !self.pacer.is_probing() {
                    self.run.pauses.push(now);
                }
                self.pacer.throttled(now, self.server.retry_after);
            }
        }
    }

    fn arrive(&mut self, i: usize, now: Duration) {
        self.run.arrivals.push(now);
        while self.counted.front().is_some_and(|at| now - *at > s(1)) {
            self.counted.pop_front();
        }
        let throttled = self.server.throttles && self.counted.len() >= self.server.limit;
        if !throttled || self.server.counts_throttled {
            self.counted.push_back(now);
        }
        if throttled {
            self.run.throttles.push(now);
        }
        let (_, fate) = self.calls[i];
        let sent = now - fate.forward - fate.late;
        let processing = if throttled { ms(1) } else { fate.processing };
        let reply = now + processing + fate.back;
        if now + fate.processing + fate.back <= sent + DEADLINE {
            self.events
                .push(Reverse((reply, Event::Reply(i, throttled))));
        }
    }
}
