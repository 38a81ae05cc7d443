//! The brake, step by step.

use std::time::Duration;

use phone_migration_operator::quota::brake::{Brake, BrakeChange, Said};
use phone_migration_operator::quota::pacer::{Pacer, SendId};
use phone_migration_operator::quota::{Cause, Pair, QueueEntry};

use super::{ms, queue_entry, s};

const NOW: Duration = s(1_000);
const X: Said<'_> = Said::Refused("Any.Code");
const Y: Said<'_> = Said::Refused("Other.Code");
const OK: Said<'_> = Said::Accepted;
/// The result is unknown.
const NOTHING: Said<'_> = Said::Nothing;
const NOT_RUN: Said<'_> = Said::NotExecuted;

/// A brake, and the submissions of resources `pair`-`n` of one pair each.
struct Bench {
    brake: Brake,
    pacer: Pacer,
    now: Duration,
}

fn of(pair: &str, n: u32) -> QueueEntry {
    QueueEntry {
        cust_space_id: pair.to_owned(),
        ..queue_entry("ns", &format!("{pair}-{n}"))
    }
}

fn pair(name: &str) -> Pair {
    of(name, 0).pair()
}

impl Bench {
    fn new() -> Self {
        Self {
            brake: Brake::default(),
            // Without a limit: the pacer only names the sends.
            pacer: Pacer::new(0, NOW),
            now: NOW,
        }
    }

    fn send(&mut self, queue_entry: &QueueEntry) -> SendId {
        let send = self.pacer.try_send(self.now).expect("no limit");
        self.brake.granted(queue_entry, self.now);
        self.brake.sent(queue_entry, send);
        send
    }

    fn answer(&mut self, queue_entry: &QueueEntry, said: Said<'_>) -> BrakeChange {
        self.brake.answered(&queue_entry.uid, said, self.now)
    }

    /// One submission after the other.
    fn call(&mut self, queue_entry: &QueueEntry, said: Said<'_>) -> BrakeChange {
        self.send(queue_entry);
        self.answer(queue_entry, said)
    }

    fn opened(pairs: [&str; 3]) -> Self {
        let mut bench = Self::new();
        for (n, pair) in (0..).zip(pairs) {
            bench.call(&of(pair, n), X);
        }
        assert!(bench.brake.is_open());
        bench
    }

    fn choose(&self, pairs: &[&str]) -> Option<String> {
        let pairs: Vec<Pair> = pairs.iter().map(|name| pair(name)).collect();
        let chosen = self.brake.choose(pairs.iter(), self.now);
        chosen.map(|pair| pair.cust_space_id)
    }

    fn admits(&self, name: &str) -> bool {
        self.brake.admits(&pair(name), self.now)
    }

    fn is_braked(&self, name: &str) -> bool {
        self.brake.is_braked(&pair(name))
    }
}

#[test]
fn it_opens_at_the_third_refusal_in_a_row_with_one_code_of_three_numbers() {
    type Call = (&'static str, u32, Said<'static>);
    let table: [(&[Call], bool); 9] = [
        (&[("a", 1, X), ("b", 1, X)], false),
        (&[("a", 1, X), ("b", 1, X), ("c", 1, X)], true),
        (&[("a", 1, X), ("a", 2, X), ("a", 3, X)], true),
        // One number again is one number.
        (&[("a", 1, X), ("a", 1, X), ("a", 1, X), ("b", 1, X)], false),
        // Another Code, or an acceptance, between.
        (&[("a", 1, X), ("b", 1, X), ("c", 1, Y), ("d", 1, X)], false),
        (
            &[("a", 1, X), ("b", 1, X), ("c", 1, OK), ("d", 1, X)],
            false,
        ),
        (
            &[
                ("a", 1, X),
                ("b", 1, Y),
                ("c", 1, X),
                ("d", 1, X),
                ("e", 1, X),
            ],
            true,
        ),
        // A call that was not executed, or whose result is unknown, says nothing.
        (
            &[("a", 1, X), ("b", 1, NOTHING), ("b", 2, X), ("c", 1, X)],
            true,
        ),
        (
            &[("a", 1, X), ("b", 1, NOT_RUN), ("b", 1, X), ("c", 1, X)],
            true,
        ),
    ];
    for (calls, opens) in table {
        let mut bench = Bench::new();
        let mut last = BrakeChange::None;
        for (pair, n, said) in calls {
            last = bench.call(&of(pair, *n), *said);
        }
        assert_eq!(last == BrakeChange::Opened, opens, "{calls:?}");
        assert_eq!(bench.brake.is_open(), opens, "{calls:?}");
    }
}

/// Replies overtake each other; the order of the requests counts.
#[test]
fn an_acceptance_says_nothing_about_what_was_sent_after_it() {
    let mut bench = Bench::new();
    let slow = of("slow", 1);
    bench.send(&slow);
    for name in ["a", "b", "c"] {
        bench.call(&of(name, 1), X);
    }
    assert!(bench.brake.is_open());
    assert_eq!(bench.answer(&slow, OK), BrakeChange::None);
    assert!(bench.brake.is_open());
    // The same for a refusal with another Code.
    let mut bench = Bench::new();
    bench.send(&slow);
    bench.call(&of("a", 1), X);
    bench.call(&of("b", 1), X);
    bench.answer(&slow, Y);
    assert_eq!(bench.call(&of("c", 1), X), BrakeChange::Opened);
    // Sent between two of the three: only later ones count as in a row.
    let mut bench = Bench::new();
    bench.call(&of("a", 1), X);
    bench.send(&slow);
    bench.call(&of("b", 1), X);
    bench.call(&of("c", 1), X);
    assert_eq!(bench.answer(&slow, OK), BrakeChange::Closed);
    assert_eq!(bench.call(&of("d", 1), X), BrakeChange::Opened);
}

#[test]
fn while_it_is_open_one_goes_after_5_s_and_then_at_doubling_intervals() {
    let mut bench = Bench::opened(["a", "b", "c"]);
    let mut last = bench.now;
    for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
        bench.now = last + s(seconds) - ms(1);
        assert_eq!(bench.choose(&["d"]), None, "{seconds}");
        bench.now = last + s(seconds);
        let view = bench.brake.view().unwrap();
        assert_eq!(
            (view.cause, view.since, view.next_probe),
            (Cause::Brake, NOW, bench.now)
        );
        assert_eq!(bench.choose(&["d"]), Some("d".to_owned()));
        let probe = of(&format!("probe-{seconds}"), last.subsec_millis());
        bench.send(&probe);
        assert_eq!(bench.choose(&["d", "e"]), None, "one at a time");
        bench.now += ms(70);
        last = bench.now;
        bench.answer(&probe, X);
        assert!(bench.brake.is_open());
    }
}

#[test]
fn who_was_not_refused_is_probed_first_then_who_was_probed_longest_ago() {
    let mut bench = Bench::opened(["a", "b", "a"]);
    let all = ["a", "b", "c", "d"];
    let mut order = Vec::new();
    for n in 10..16 {
        bench.now += s(700);
        let chosen = bench.choose(&all).unwrap();
        bench.call(&of(&chosen, n), X);
        order.push(chosen);
    }
    assert_eq!(order, ["c", "d", "a", "b", "c", "d"]);
}

/// (b): the refusals are of one pair, and a resource of another one comes when the back-off has
/// grown.
#[test]
fn the_first_probe_of_another_pair_waits_for_no_back_off() {
    let mut bench = Bench::opened(["a", "a", "a"]);
    for n in 10..14 {
        bench.now += s(700);
        assert_eq!(bench.choose(&["a"]), Some("a".to_owned()));
        bench.call(&of("a", n), X);
    }
    assert_eq!(bench.choose(&["a"]), None);
    assert_eq!(bench.choose(&["a", "b"]), Some("b".to_owned()));
    // It is refused, too: now the cause belongs to no single pair.
    bench.call(&of("b", 1), X);
    assert_eq!(bench.choose(&["a", "b", "c"]), None);
}

#[test]
fn what_closes_it_lets_all_go_on_but_the_refused_pairs() {
    for (said, n) in [(OK, 1), (Y, 2)] {
        let mut bench = Bench::opened(["a", "b", "c"]);
        bench.now += s(5);
        assert_eq!(bench.call(&of("d", n), said), BrakeChange::Closed);
        assert!(!bench.brake.is_open() && bench.brake.view().is_none());
        assert!(bench.admits("d") && bench.admits("e"));
        assert!(!bench.is_braked("d") && !bench.is_braked("e"));
        assert_eq!(bench.brake.braked_pairs(), 3);
        // Each goes on alone, one at a time.
        assert!(bench.admits("a") && bench.admits("b"));
        bench.send(&of("a", 7));
        assert!(!bench.admits("a") && bench.admits("b"));
        bench.answer(&of("a", 7), X);
        assert!(!bench.admits("a"));
        bench.now += s(10);
        assert!(bench.admits("a"));
        // Only its own acceptance frees it.
        bench.call(&of("e", 8), OK);
        assert!(bench.is_braked("a"));
        bench.call(&of("a", 9), OK);
        assert!(bench.admits("a") && !bench.is_braked("a") && bench.is_braked("b"));
    }
}

#[test]
fn a_braked_pair_backs_off_from_5_s_to_5_min_until_it_is_accepted() {
    let mut bench = Bench::opened(["a", "a", "a"]);
    bench.now += s(5);
    bench.call(&of("b", 1), OK);
    for (n, seconds) in (20..).zip([10, 20, 40, 80, 160, 300, 300]) {
        assert!(bench.admits("a"));
        assert_eq!(bench.call(&of("a", n), X), BrakeChange::None);
        assert!(!bench.brake.is_open(), "it is known");
        bench.now += s(seconds) - ms(1);
        assert!(!bench.admits("a"), "{seconds}");
        bench.now += ms(1);
    }
    bench.call(&of("a", 99), OK);
    assert!(!bench.is_braked("a"));
}

/// Round robin puts an acceptance between any two refusals of a bad space.
#[test]
fn a_pair_is_braked_by_its_own_refusals_although_others_are_accepted() {
    let mut bench = Bench::new();
    for n in 0..2 {
        assert_eq!(bench.call(&of("a", n), X), BrakeChange::None);
        assert_eq!(bench.call(&of("b", n), OK), BrakeChange::None);
    }
    let braked = BrakeChange::PairBraked(pair("a"));
    assert_eq!(bench.call(&of("a", 2), X), braked);
    assert!(!bench.brake.is_open());
    assert!(!bench.admits("a") && bench.admits("b"));
    // With a different Code for each, or an acceptance of its own between, it is not braked.
    let mut bench = Bench::new();
    for (n, said) in (0..).zip([X, Y, X, X, OK, X, X]) {
        assert_eq!(bench.call(&of("a", n), said), BrakeChange::None);
        bench.call(&of("b", n), OK);
    }
}

#[test]
fn a_probe_that_comes_back_unused_or_says_nothing_is_made_again() {
    let mut bench = Bench::opened(["a", "b", "c"]);
    bench.now += s(5);
    let probe = of("d", 1);
    bench.brake.granted(&probe, bench.now);
    assert_eq!(bench.choose(&["d"]), None);
    bench.brake.unused(&probe.uid, bench.now);
    assert_eq!(bench.choose(&["d"]), None, "not in a tight loop");
    bench.now += s(1);
    assert_eq!(bench.choose(&["d"]), Some("d".to_owned()));
    // Given a slot, and not sent.
    let send = bench.send(&probe);
    bench.brake.unsent(send, bench.now);
    bench.now += s(1);
    // Throttled: not executed.
    bench.call(&probe, NOT_RUN);
    bench.now += s(1);
    assert_eq!(bench.choose(&["d"]), Some("d".to_owned()));
    // It may have been executed: the same wait again.
    bench.call(&probe, NOTHING);
    bench.now += s(5) - ms(1);
    assert_eq!(bench.choose(&["d"]), None);
    bench.now += ms(1);
    assert_eq!(bench.choose(&["d"]), Some("d".to_owned()));
    // No report ever comes for it.
    bench.send(&of("d", 2));
    bench.brake.expire(bench.now + s(60) - ms(1));
    assert_eq!(bench.choose(&["d"]), None);
    bench.now += s(60);
    bench.brake.expire(bench.now);
    bench.now += s(5);
    assert_eq!(bench.choose(&["d"]), Some("d".to_owned()));
}

#[test]
fn a_person_may_ask_for_one_probe_every_5_s() {
    let mut bench = Bench::opened(["a", "b", "c"]);
    let mine = of("mine", 1);
    let ask = |bench: &mut Bench| {
        let now = bench.now;
        bench
            .brake
            .request_probe(&mine.uid, Some(&pair("mine")), now);
        bench.brake.asked(now).map(str::to_owned)
    };
    assert_eq!(ask(&mut bench), None, "5 s after it opened at the soonest");
    for _ in 0..3 {
        bench.now += s(5) - ms(1);
        assert_eq!(ask(&mut bench), None);
        bench.now += ms(1);
        assert_eq!(ask(&mut bench), Some(mine.uid.clone()));
        bench.call(&mine, X);
        assert_eq!(
            bench.brake.asked(bench.now + s(5)),
            None,
            "one for one request"
        );
    }
    // A braked pair: its next one, and no sooner than 5 s after the last.
    bench.now += s(400);
    bench.call(&of("d", 1), OK);
    for n in 10..14 {
        bench.now += s(400);
        bench.call(&of("a", n), X);
    }
    let ask = |bench: &mut Bench| {
        let now = bench.now;
        bench.brake.request_probe("a-20", Some(&pair("a")), now);
        bench.admits("a")
    };
    assert!(!ask(&mut bench));
    bench.now += s(5);
    assert!(ask(&mut bench));
}

/// Three more codes of a pair that goes on alone change nothing; those of several pairs may.
#[test]
fn known_pairs_open_it_only_together() {
    let mut bench = Bench::opened(["a", "b", "c"]);
    bench.now += s(5);
    bench.call(&of("d", 1), OK);
    for n in 10..20 {
        bench.now += s(400);
        assert_eq!(bench.call(&of("a", n), X), BrakeChange::None);
    }
    assert_eq!(bench.call(&of("b", 10), X), BrakeChange::Opened);
    // Together they count as one pair: a new one waits for the first probe only.
    bench.now += s(5);
    bench.call(&of("b", 11), X);
    assert_eq!(bench.choose(&["new"]), Some("new".to_owned()));
}

/// Beyond a thousand pairs, those of the day before are forgotten, and newer ones are not.
#[test]
fn a_braked_pair_is_forgotten_after_a_day_and_only_among_many() {
    let mut bench = Bench::new();
    let brake = |bench: &mut Bench, pair: &str| {
        for n in 1..=3 {
            bench.call(&of(pair, n), X);
        }
        bench.call(&of("other", 1), OK);
    };
    brake(&mut bench, "old");
    bench.now += s(24 * 3600);
    brake(&mut bench, "new");
    assert_eq!(bench.brake.braked_pairs(), 2, "there are few");
    for n in 0..1_000 {
        bench.call(&of(&format!("p{n}"), 1), X);
        bench.call(&of("other", 1), OK);
    }
    assert_eq!(bench.brake.braked_pairs(), 1);
}
