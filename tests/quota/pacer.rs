//! The pacer step by step: silence, throttles and their probes, rate, turns, slots.

use std::time::Duration;

use phone_migration_operator::quota::pacer::{MAX_PAUSE, Pacer};

use super::window::{START, send_on_trust, taught, us};
use super::{ms, s};

#[test]
fn starts_with_a_silent_window_and_keeps_one_after_a_change_of_leader() {
    let mut pacer = Pacer::new(10, START);
    let silent = START + s(1) + ms(11);
    assert_eq!(pacer.try_send(START), Err(silent));
    assert_eq!(pacer.try_send(silent - us(1)), Err(silent));
    assert!(pacer.try_send(silent).is_ok());
    pacer.silent_window(silent + ms(500));
    let again = silent + ms(500) + s(1) + ms(11);
    assert_eq!(pacer.try_send(silent + s(1)), Err(again));
    assert!(pacer.try_send(again).is_ok());
}

#[test]
fn unlimited_has_no_window_but_pauses() {
    let mut pacer = Pacer::new(0, START);
    for _ in 0..1_000 {
        assert!(pacer.try_send(START).is_ok());
    }
    assert_eq!(pacer.turns_allowed(START, s(9)), 64);
    assert_eq!(pacer.rate(START), None);
    let end = pacer.throttled(START, Some(s(3)));
    assert_eq!(end, START + s(3));
    assert_eq!(pacer.turns_allowed(START, s(9)), 0);
    assert_eq!(pacer.try_send(START + s(2)), Err(end));
    let probe = pacer.try_send(end).unwrap();
    assert_eq!(pacer.try_send(end), Err(end + s(10)));
    pacer.replied(probe, end + ms(5));
    pacer.answered(end + ms(5));
    assert!(pacer.try_send(end + ms(5)).is_ok());
    assert!(pacer.try_send(end + ms(5)).is_ok());
    assert_eq!(pacer.turns_allowed(end + ms(5), s(9)), 64);
}

/// Sends a probe that the server answers at the returned time.
fn probe_answered(pacer: &mut Pacer, at: Duration) -> Duration {
    let (probe, now) = (pacer.try_send(at).unwrap(), at + ms(1));
    pacer.replied(probe, now);
    pacer.answered(now);
    now
}

/// Sends a probe that the server throttles; returns the end of the new pause.
fn probe_throttled(pacer: &mut Pacer, at: Duration) -> Duration {
    let probe = pacer.try_send(at).unwrap();
    pacer.replied_throttled(probe, at + ms(30));
    pacer.throttled(at + ms(30), None)
}

#[test]
fn a_server_that_throttles_everything_is_asked_every_three_seconds() {
    let mut pacer = Pacer::new(10, START);
    let mut now = START + s(2);
    let mut end = pacer.throttled(now, None);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        assert_eq!(pacer.paused_until(now), Some(end));
        assert_eq!(pacer.turns_allowed(now, s(1)), 0);
        assert_eq!(pacer.paused_until(end), None);
        assert_eq!(pacer.turns_allowed(end, s(1)), 1);
        pauses.push((end - now).as_millis());
        let probe = pacer.try_send(end).unwrap();
        assert_eq!(pacer.turns_allowed(end, s(1)), 0);
        now = end + ms(30);
        pacer.replied_throttled(probe, now);
        end = pacer.throttled(now, None);
    }
    assert_eq!(pauses, [1_011, 2_022, 3_000, 3_000, 3_000, 3_000]);
    // The server's Retry-After counts if it is longer, up to a limit.
    let probe = pacer.try_send(end).unwrap();
    pacer.replied_throttled(probe, end + ms(30));
    let asked = pacer.throttled(end + ms(30), Some(s(500)));
    assert_eq!(asked, end + ms(30) + MAX_PAUSE);
}

/// A probe after a silent second meets an empty window: a server that throttles it admits no rate
/// at all.
#[test]
fn after_a_phase_of_nothing_but_throttles_rate_and_allowance_are_as_before() {
    let mut pacer = Pacer::new(10, START);
    let now = send_on_trust(&mut pacer, 10, START + s(2));
    let mut end = pacer.throttled(now, None);
    for _ in 0..6 {
        end = probe_throttled(&mut pacer, end);
    }
    let now = probe_answered(&mut pacer, end);
    assert_eq!(pacer.rate(now), Some(10.0));
    assert_eq!(pacer.allowance(now), ms(10));
    assert_eq!(pacer.turns_allowed(now, s(0)), 10);
    // Not again, if it throttles soon: calls have passed in between.
    let now = end + s(20);
    let mut end = pacer.throttled(now, None);
    assert_eq!(pacer.rate(now), Some(5.0));
    end = probe_throttled(&mut pacer, end);
    let now = probe_answered(&mut pacer, end);
    assert_eq!(pacer.rate(now), Some(5.0));
}

/// The other action's probe proves the same about the server.
#[test]
fn a_server_that_was_found_shut_by_the_other_action_is_no_fault_of_the_rate() {
    let mut pacer = Pacer::new(10, START);
    let end = pacer.throttled(START + s(2), None);
    pacer.server_is_shut();
    assert!(pacer.found_shut());
    let now = probe_answered(&mut pacer, end);
    assert_eq!(pacer.rate(now), Some(10.0));
    assert!(!pacer.found_shut());
}

#[test]
fn one_throttle_that_late_arrival_may_explain_teaches_the_allowance_and_not_the_rate() {
    let mut pacer = Pacer::new(10, START);
    let now = send_on_trust(&mut pacer, 10, START + s(2));
    let end = pacer.throttled(now, None);
    assert_eq!(pacer.allowance(now), ms(20));
    assert_eq!(pacer.rate(now), Some(10.0));
    // The others of the pause teach nothing more.
    for i in 1..10 {
        assert_eq!(pacer.throttled(now + ms(i), None), end);
    }
    assert_eq!(pacer.allowance(now + ms(10)), ms(20));
    // A longer Retry-After of the server makes the same pause longer.
    let end = pacer.throttled(now + ms(10), Some(s(7)));
    assert_eq!(end, now + ms(10) + s(7));
    assert_eq!(pacer.allowance(now + ms(10)), ms(20));
    let now = probe_answered(&mut pacer, end);
    assert_eq!(pacer.rate(now), Some(10.0));
    // The next one soon after does.
    let now = send_on_trust(&mut pacer, 10, now);
    pacer.throttled(now, None);
    assert_eq!(pacer.allowance(now), ms(40));
    assert_eq!(pacer.rate(now), Some(5.0));
}

/// Each call left when a reply had proved that its window was free: another client uses the quota.
#[test]
fn a_throttle_that_late_arrival_cannot_explain_halves_the_rate_and_teaches_no_allowance() {
    let mut pacer = Pacer::new(2, START);
    let mut now = START + s(2);
    for _ in 0..5 {
        let id = loop {
            match pacer.try_send(now) {
                Ok(id) => break id,
                Err(later) => now = later,
            }
        };
        pacer.handed(id, now);
        pacer.replied(id, now + ms(5));
    }
    pacer.throttled(now + ms(5), None);
    assert_eq!(pacer.allowance(now + ms(5)), ms(10));
    assert_eq!(pacer.rate(now + ms(5)), Some(1.0));
}

#[test]
fn the_probe_passes_only_by_its_own_answer() {
    let mut pacer = Pacer::new(10, START);
    let now = START + s(2);
    let old = pacer.try_send(now).unwrap();
    let end = pacer.throttled(now + ms(1), None);
    pacer.replied(old, now + ms(500));
    pacer.answered(now + ms(500));
    assert!(
        pacer.is_probing(),
        "an answer from before the throttle proves nothing"
    );
    let probe = pacer.try_send(end).unwrap();
    pacer.answered(end + ms(1));
    assert!(pacer.is_probing(), "the probe has not ended");
    pacer.replied(probe, end + ms(20));
    assert_eq!(
        pacer.try_send(end + s(2)),
        Err(end + s(10)),
        "its report is still due"
    );
    pacer.answered(end + s(2));
    assert!(!pacer.is_probing());
    assert_eq!(pacer.rate(end + s(2)), Some(5.0));
    assert_eq!(pacer.rate(end + s(4)), Some(6.0));
    assert_eq!(pacer.rate(end + s(12)), Some(10.0));
}

#[test]
fn a_probe_without_an_answer_is_followed_by_another() {
    let mut pacer = Pacer::new(10, START);
    let end = pacer.throttled(START + s(2), None);
    // Timed out: reported as unknown.
    let probe = pacer.try_send(end).unwrap();
    pacer.given_up(probe, end + s(9));
    pacer.unanswered();
    assert!(pacer.is_probing());
    // Not used after all.
    let probe = pacer.try_send(end + s(9)).unwrap();
    pacer.unsent(probe);
    // No report ever comes for it.
    let now = end + s(10);
    let _lost = pacer.try_send(now).unwrap();
    assert_eq!(pacer.try_send(now + s(9)), Err(now + s(10)));
    assert_eq!(pacer.turns_allowed(now + s(9), s(0)), 0);
    assert_eq!(pacer.turns_allowed(now + s(10), s(0)), 1);
    assert!(pacer.try_send(now + s(10)).is_ok());
}

#[test]
fn a_reduced_rate_is_a_spacing() {
    let mut pacer = Pacer::new(10, START);
    let end = pacer.throttled(START + s(2), None);
    let now = probe_answered(&mut pacer, end);
    assert_eq!(pacer.try_send(now), Err(end + ms(200)));
    // 5.5 per second after one quiet second.
    let at = now + s(1);
    let _id = pacer.try_send(at).unwrap();
    assert_eq!(
        pacer.try_send(at),
        Err(at + Duration::from_nanos(181_818_181))
    );
}

#[test]
fn turns_follow_rate_and_preparation() {
    let pacer = Pacer::new(10, START);
    let table = [
        (ms(0), 10),
        (ms(40), 11),
        (ms(500), 15),
        (s(1), 20),
        (s(2), 30),
        (s(60), 30),
    ];
    for (preparation, turns) in table {
        assert_eq!(
            pacer.turns_allowed(START, preparation),
            turns,
            "{preparation:?}"
        );
    }
    let (mut slow, now) = taught(1, 0);
    assert_eq!(slow.turns_allowed(now, s(0)), 2, "at least two");
    let end = slow.throttled(now, None);
    let now = probe_answered(&mut slow, end);
    assert_eq!(slow.rate(now), Some(0.5));
    assert_eq!(slow.turns_allowed(now, s(9)), 2);
}

#[test]
fn an_unsent_slot_is_given_back() {
    let mut pacer = Pacer::new(2, START);
    let now = START + s(2);
    let first = pacer.try_send(now).unwrap();
    pacer.handed(first, now);
    let second = pacer.try_send(now + ms(400)).unwrap();
    assert_eq!(pacer.try_send(now + ms(900)), Err(now + ms(1_101)));
    pacer.unsent(second);
    assert!(pacer.try_send(now + ms(900)).is_ok());
}

#[test]
fn what_is_not_handed_over_holds_the_window() {
    let mut pacer = Pacer::new(1, START);
    let now = START + s(2);
    let id = pacer.try_send(now).unwrap();
    // Handed over 700 ms late: the second counts from there.
    let wait = pacer.try_send(now + s(3)).unwrap_err();
    assert!(wait > now + s(4), "not handed over: not sent");
    pacer.handed(id, now + s(3));
    assert_eq!(pacer.try_send(now + s(3)), Err(now + s(4) + ms(101)));
    // The reply proves the arrival.
    pacer.replied(id, now + s(3) + ms(2));
    assert_eq!(pacer.try_send(now + s(3) + ms(2)), Err(now + s(4) + ms(3)));
    assert!(pacer.try_send(now + s(4) + ms(3)).is_ok());
}
