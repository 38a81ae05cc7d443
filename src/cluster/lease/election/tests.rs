//! Tables of the election: which process may take the Lease, and when.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn at(seconds: u64) -> BootTime {
    Duration::from_secs(1000 + seconds)
}

fn held<'a>(version: &'a str, holder: &'a str) -> Record<'a> {
    Record::Present { version, holder }
}

/// Checks what `b` does about each record at each time.
fn play(rows: &[(u64, Record<'_>, Step)]) {
    let mut election = Election::new("b".into());
    for (row, (now, record, expected)) in rows.iter().enumerate() {
        let step = election.observe(*record, at(*now));
        assert_eq!(step, *expected, "row {row}: at {now} s, {record:?}");
    }
}

#[test]
fn a_holder_that_renews_keeps_the_lease_for_ever() {
    let versions: Vec<String> = (0..100).map(|n| format!("{n}")).collect();
    let mut election = Election::new("b".into());
    for (n, version) in (0u64..).zip(&versions) {
        let now = at(29 * n);
        let step = election.observe(held(version, "a"), now);
        assert_eq!(step, Step::Wait(now + TAKEOVER_AFTER), "{version}");
    }
}

#[test]
fn takeover_comes_only_after_thirty_seconds_without_a_change() {
    play(&[
        (0, held("1", "a"), Step::Wait(at(30))),
        (2, held("1", "a"), Step::Wait(at(30))),
        (29, held("1", "a"), Step::Wait(at(30))),
        (30, held("1", "a"), Step::Acquire),
        // The write failed: the next read decides again.
        (31, held("1", "a"), Step::Acquire),
    ]);
}

#[test]
fn a_changed_record_restarts_the_wait() {
    play(&[
        (0, held("1", "a"), Step::Wait(at(30))),
        (29, held("2", "a"), Step::Wait(at(59))),
        (58, held("2", "a"), Step::Wait(at(59))),
        // Also after the wait, if nothing read the Lease (a stopped process, a stopped API server).
        (95, held("3", "a"), Step::Wait(at(125))),
        (125, held("3", "a"), Step::Acquire),
    ]);
}

#[test]
fn a_conflict_means_to_look_again_and_to_wait_for_the_winner() {
    play(&[
        (0, held("1", "a"), Step::Wait(at(30))),
        (30, held("1", "a"), Step::Acquire),
        (31, held("2", "c"), Step::Wait(at(61))),
        (40, held("2", "c"), Step::Wait(at(61))),
    ]);
}

#[test]
fn versions_are_opaque_and_a_smaller_one_is_a_change_too() {
    play(&[
        (0, held("10", "a"), Step::Wait(at(30))),
        (20, held("9", "a"), Step::Wait(at(50))),
        (49, held("9", "a"), Step::Wait(at(50))),
    ]);
}

#[test]
fn the_same_identity_goes_on_at_once() {
    play(&[(0, held("1", "b"), Step::Renew)]);
    // Also after a wait for another process's record.
    play(&[
        (0, held("1", "a"), Step::Wait(at(30))),
        (1, held("2", "b"), Step::Renew),
        (6, held("3", "b"), Step::Renew),
        (7, held("4", "a"), Step::Wait(at(37))),
    ]);
}

#[test]
fn a_released_record_is_taken_at_once() {
    play(&[(0, held("1", ""), Step::Acquire)]);
    play(&[
        (0, held("1", "a"), Step::Wait(at(30))),
        (3, held("2", ""), Step::Acquire),
        (4, held("3", "c"), Step::Wait(at(34))),
    ]);
}

#[test]
fn a_lease_that_was_never_there_is_made_and_one_that_vanished_is_waited_for() {
    play(&[(0, Record::Absent, Step::Create)]);
    play(&[
        (0, held("1", "a"), Step::Wait(at(30))),
        (5, Record::Absent, Step::Wait(at(35))),
        (20, Record::Absent, Step::Wait(at(35))),
        // The holder created it again.
        (21, held("9", "a"), Step::Wait(at(51))),
        (25, Record::Absent, Step::Wait(at(55))),
        (55, Record::Absent, Step::Create),
    ]);
    // The holder creates it again at once.
    play(&[
        (0, held("1", "b"), Step::Renew),
        (5, Record::Absent, Step::Create),
    ]);
}

#[test]
fn a_leader_leads_until_fifteen_seconds_after_its_last_renewal_began() {
    assert!(!Term::NEVER.is_leader(at(0)));
    assert!(!Term::NEVER.is_leader(Duration::ZERO));
    assert!(Term::ALWAYS.is_leader(Duration::from_secs(u64::MAX / 2)));
    // The reply came 4 s after the start.
    let term = Term::NEVER.renewed(at(0), at(4));
    assert!(term.is_leader(at(4)));
    assert!(term.is_leader(at(15) - Duration::from_nanos(1)));
    assert!(!term.is_leader(at(15)));
    // A reply seen only after the machine slept does not make a leader.
    assert!(!Term::NEVER.renewed(at(0), at(60)).is_leader(at(60)));
    assert!(!term.ended().is_leader(at(4)));
}

#[test]
fn a_lapse_begins_a_new_term() {
    let first = Term::NEVER.renewed(at(0), at(0));
    let renewed = first.renewed(at(14), at(14));
    assert_eq!((first.term, renewed.term), (1, 1));
    let again = renewed.renewed(at(29), at(29));
    assert_eq!(again.term, 2);
    assert_eq!(again.ended().renewed(at(30), at(30)).term, 3);
}

#[test]
fn the_old_leaders_last_call_has_ended_before_a_takeover() {
    let margin = Duration::from_secs(5);
    let call = crate::cams::REPLY_DEADLINE;
    assert!(LEADS_FOR + call + margin <= TAKEOVER_AFTER);
}

/// Two processes and one API server that stops and starts, loses replies and stores writes late: at
/// no time do both processes lead.
#[test]
fn never_do_two_lead_whatever_the_api_server_does() {
    let mut led = 0;
    for seed in 0..2000u64 {
        led += simulate(seed);
    }
    // Enough seconds had a leader for the assertions to mean something.
    assert!(led > 10_000, "{led}");
}

struct Process {
    identity: &'static str,
    election: Election,
    term: Term,
    next: u64,
}

/// Runs one simulation in steps of a second; returns the number of seconds with a leader.
fn simulate(seed: u64) -> u64 {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let process = |identity: &'static str| Process {
        identity,
        election: Election::new(identity.into()),
        term: Term::NEVER,
        next: 0,
    };
    let mut both = [process("a"), process("b")];
    let mut stored: Option<(u64, &'static str)> = None;
    let mut late: Option<(u64, u64, &'static str)> = None;
    let (mut version, mut down_until, mut led) = (0u64, 0u64, 0u64);
    for second in 0..200u64 {
        if draw(40) == 0 {
            down_until = second + draw(60);
        }
        if let Some((due, of, holder)) = late
            && due <= second
        {
            // The delayed write has its precondition, too.
            if stored.is_some_and(|(current, _)| current == of) {
                version += 1;
                stored = Some((version, holder));
            }
            late = None;
        }
        for process in &mut both {
            if process.next > second || second < down_until {
                continue;
            }
            let now = at(second);
            let text = stored.map(|(version, _)| version.to_string());
            let record = match (&text, stored) {
                (Some(text), Some((_, holder))) => held(text, holder),
                (None, _) | (_, None) => Record::Absent,
            };
            let step = process.election.observe(record, now);
            process.next = second + 1 + draw(5);
            if matches!(step, Step::Wait(_)) {
                continue;
            }
            match draw(8) {
                // Not stored yet, perhaps later; the process does not know.
                0 => {
                    let of = stored.map_or(0, |(version, _)| version);
                    late = Some((second + draw(60), of, process.identity));
                }
                // Stored, but the reply is lost.
                1 => {
                    version += 1;
                    stored = Some((version, process.identity));
                }
                _ => {
                    version += 1;
                    stored = Some((version, process.identity));
                    process.term = process.term.renewed(now, now);
                }
            }
        }
        let leaders = both.iter().filter(|p| p.term.is_leader(at(second)));
        let leaders = leaders.count();
        assert!(leaders < 2, "seed {seed}, second {second}");
        led += u64::from(leaders == 1);
    }
    led
}
