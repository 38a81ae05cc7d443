//! The hold as a table, and its back-off.

use std::time::Duration;

use phone_migration_operator::back_off;
use phone_migration_operator::quota::hold::{ASKED_EVERY, Cause, Change, Hold, ProbeKind};
use phone_migration_operator::quota::{Action, Report};

use super::{ACCOUNT, CLOCK, CREDENTIALS, READ, SUBMIT, THROTTLED, ms, s};

const NOW: Duration = s(1_000);

const REPORTS: [Report; 7] = [
    Report::Answered,
    THROTTLED,
    CREDENTIALS,
    ACCOUNT,
    CLOCK,
    Report::NotSent,
    Report::Unknown,
];

/// A hold of this cause, `None` for none, whose first probe is out.
fn probed(cause: Option<Cause>) -> Hold {
    let mut hold = Hold::new();
    if let Some(cause) = cause {
        let (action, report) = match cause {
            Cause::Ledger | Cause::Brake => panic!("no report begins it"),
            Cause::Credentials => (READ, CREDENTIALS),
            Cause::Clock => (SUBMIT, CLOCK),
            Cause::Account => (SUBMIT, ACCOUNT),
            Cause::Transport => (SUBMIT, Report::NotSent),
        };
        assert_eq!(
            hold.report(action, report, NOW - back_off::FIRST),
            Change::Started
        );
        let kind = hold.probe_due(NOW).unwrap();
        hold.probe_started(kind, NOW);
    }
    hold
}

fn cause(hold: &Hold) -> Option<Cause> {
    hold.view().map(|view| view.cause)
}

/// For each state: the reports in the order of `REPORTS`, their effect, and the state after it.
#[test]
fn table_of_reports() {
    use Change as C;
    const CREDENTIALS: Option<Cause> = Some(Cause::Credentials);
    const CLOCK: Option<Cause> = Some(Cause::Clock);
    const ACCOUNT: Option<Cause> = Some(Cause::Account);
    const TRANSPORT: Option<Cause> = Some(Cause::Transport);
    type Row = [(Change, Option<Cause>); 7];
    let by_read = |stays: Option<Cause>| -> Row {
        [
            (C::ReadsPass, None),
            (C::ReadsPass, None),
            (C::ProbeFailed, CREDENTIALS),
            (C::ReadsPass, None),
            (C::ProbeFailed, CLOCK),
            (C::ProbeFailed, stays),
            (C::ProbeFailed, stays),
        ]
    };
    // A call that was in flight when the hold began says nothing new about it, but names the cause
    // if it is a definite answer.
    let in_flight = |stays: Option<Cause>| -> Row {
        [
            (C::None, stays),
            (C::None, stays),
            (C::None, CREDENTIALS),
            (C::None, stays),
            (C::None, CLOCK),
            (C::None, stays),
            (C::None, stays),
        ]
    };
    let table: [(Option<Cause>, Action, Row); 10] = [
        (
            None,
            SUBMIT,
            [
                (C::None, None),
                (C::None, None),
                (C::Started, CREDENTIALS),
                (C::Started, ACCOUNT),
                (C::Started, CLOCK),
                (C::Started, TRANSPORT),
                (C::None, None),
            ],
        ),
        (
            None,
            READ,
            [
                (C::None, None),
                (C::None, None),
                (C::Started, CREDENTIALS),
                (C::None, None),
                (C::Started, CLOCK),
                (C::None, None),
                (C::None, None),
            ],
        ),
        (
            ACCOUNT,
            SUBMIT,
            [
                (C::SubmissionsPass, None),
                (C::ProbeFailed, ACCOUNT),
                (C::Started, CREDENTIALS),
                (C::ProbeFailed, ACCOUNT),
                (C::Started, CLOCK),
                (C::Started, TRANSPORT),
                (C::ProbeFailed, ACCOUNT),
            ],
        ),
        (
            ACCOUNT,
            READ,
            [
                (C::None, ACCOUNT),
                (C::None, ACCOUNT),
                (C::Started, CREDENTIALS),
                (C::None, ACCOUNT),
                (C::Started, CLOCK),
                (C::None, ACCOUNT),
                (C::None, ACCOUNT),
            ],
        ),
        (CREDENTIALS, READ, by_read(CREDENTIALS)),
        (CLOCK, READ, by_read(CLOCK)),
        (TRANSPORT, READ, by_read(TRANSPORT)),
        (CREDENTIALS, SUBMIT, in_flight(CREDENTIALS)),
        (CLOCK, SUBMIT, in_flight(CLOCK)),
        (TRANSPORT, SUBMIT, in_flight(TRANSPORT)),
    ];
    for (before, action, row) in table {
        for (report, (change, after)) in REPORTS.into_iter().zip(row) {
            let mut hold = probed(before);
            let said = hold.report(action, report, NOW + ms(50));
            let case = format!("{before:?}, {action:?} {report:?}");
            assert_eq!(said, change, "{case}");
            assert_eq!(cause(&hold), after, "{case}");
        }
    }
}

#[test]
fn back_off_doubles_from_5_s_to_5_min_by_failed_probes_only() {
    for (held, action, failure) in [
        (Cause::Credentials, READ, CREDENTIALS),
        (Cause::Clock, READ, CLOCK),
        (Cause::Transport, READ, Report::Unknown),
        (Cause::Account, SUBMIT, ACCOUNT),
    ] {
        let mut hold = probed(Some(held));
        let mut now = NOW;
        for seconds in [10, 20, 40, 80, 160, 300, 300, 300] {
            now += ms(70);
            assert_eq!(hold.report(action, failure, now), Change::ProbeFailed);
            // The same from calls that were in flight, or from observers: no change.
            assert_eq!(hold.report(action, failure, now + s(1)), Change::None);
            let next = now + s(seconds);
            assert_eq!(hold.view().unwrap().next_probe, next, "{held:?}");
            assert_eq!(hold.next_event(), Some(next));
            assert_eq!(hold.probe_due(next - ms(1)), None);
            let kind = hold.probe_due(next).unwrap();
            hold.probe_started(kind, next);
            assert_eq!(hold.probe_due(next + s(9)), None, "one at a time");
            now = next;
        }
    }
}

#[test]
fn reads_that_pass_do_not_reset_what_submissions_showed() {
    let mut hold = Hold::new();
    for _ in 0..3 {
        hold.report(SUBMIT, Report::Unknown, NOW);
    }
    let mut now = NOW;
    for seconds in [10, 20, 40, 80, 160, 300, 300] {
        assert_eq!(hold.report(READ, Report::Answered, now), Change::ReadsPass);
        // One more failure is enough now, and the wait is longer than the last time.
        now += s(10);
        assert_eq!(hold.report(SUBMIT, Report::Unknown, now), Change::Started);
        assert_eq!(hold.view().unwrap().next_probe, now + s(seconds));
    }
    hold.report(READ, Report::Answered, now);
    hold.report(SUBMIT, Report::Answered, now);
    hold.report(SUBMIT, Report::NotSent, now);
    assert_eq!(
        hold.view().unwrap().next_probe,
        now + back_off::FIRST,
        "all forgotten"
    );
}

#[test]
fn a_remembered_back_off_fades() {
    let mut hold = probed(Some(Cause::Transport));
    hold.report(READ, Report::Answered, NOW);
    let later = NOW + s(601);
    hold.report(SUBMIT, Report::NotSent, later);
    assert_eq!(hold.view().unwrap().next_probe, later + back_off::FIRST);
}

/// No call helps against it, and no call ends it.
#[test]
fn a_ledger_hold_is_probed_and_ended_from_outside_only() {
    let mut hold = Hold::new();
    assert_eq!(hold.ledger_probe_at(), None);
    hold.ledger_probed(false, NOW);
    assert_eq!(hold.view(), None, "nothing to probe");
    assert_eq!(hold.ledger_blocked(NOW), Change::Started);
    assert_eq!(hold.ledger_blocked(NOW + s(1)), Change::None);
    let mut now = NOW;
    for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
        assert_eq!(cause(&hold), Some(Cause::Ledger));
        assert_eq!(hold.ledger_probe_at(), Some(now + s(seconds)));
        assert_eq!(hold.next_event(), Some(now + s(seconds)));
        assert_eq!(hold.probe_due(now + s(3_600)), None, "no turn probes it");
        for action in [SUBMIT, READ] {
            hold.report(action, Report::Answered, now);
        }
        now += s(seconds);
        hold.ledger_probed(false, now);
    }
    hold.ledger_probed(true, now);
    assert_eq!((hold.view(), hold.ledger_probe_at()), (None, None));
    assert_eq!(hold.ledger_blocked(now), Change::Started);
    assert_eq!(hold.ledger_probe_at(), Some(now + back_off::FIRST));
}

#[test]
fn the_other_holds_wait_under_a_ledger_hold() {
    for held in [
        Cause::Credentials,
        Cause::Clock,
        Cause::Transport,
        Cause::Account,
    ] {
        // Its probe is in flight when ledgers become unwritable.
        let mut hold = probed(Some(held));
        assert_eq!(hold.ledger_blocked(NOW), Change::Started);
        assert_eq!(cause(&hold), Some(Cause::Ledger));
        assert_eq!(hold.probe_due(NOW + s(3_600)), None);
        assert!(!hold.expire(NOW + s(3_600)), "no probe is out");
        hold.ledger_probed(true, NOW + s(60));
        assert_eq!(cause(&hold), Some(held));
        assert!(hold.probe_due(NOW + s(60)).is_some());
    }
    // A cause that is found meanwhile, by a call in flight or by an observer, holds after it.
    let mut hold = Hold::new();
    hold.ledger_blocked(NOW);
    hold.report(READ, CREDENTIALS, NOW);
    assert_eq!(cause(&hold), Some(Cause::Ledger));
    hold.ledger_probed(true, NOW + s(5));
    assert_eq!(cause(&hold), Some(Cause::Credentials));
}

#[test]
fn an_assumed_hold_is_never_more_than_five_minutes_ahead() {
    for (until, expected) in [
        (NOW - s(5), NOW),
        (NOW + s(60), NOW + s(60)),
        (NOW + s(300), NOW + s(300)),
        (NOW + s(86_400), NOW + s(300)),
    ] {
        let mut hold = Hold::new();
        hold.assume(Cause::Clock, until, NOW);
        assert_eq!(hold.view().unwrap().next_probe, expected);
        assert_eq!(cause(&hold), Some(Cause::Clock));
    }
}

#[test]
fn a_probe_that_comes_back_unused_or_never_is_made_by_another() {
    let mut hold = probed(Some(Cause::Account));
    hold.probe_unused(NOW + s(2));
    assert_eq!(hold.probe_due(NOW + s(2)), None, "not in a tight loop");
    assert_eq!(hold.probe_due(NOW + s(3)), Some(ProbeKind::Attempt));
    hold.probe_started(ProbeKind::Attempt, NOW + s(3));
    assert!(!hold.expire(NOW + s(62)));
    assert_eq!(hold.next_event(), Some(NOW + s(63)));
    assert!(hold.expire(NOW + s(63)));
    // The probe showed nothing, so the back-off has not grown.
    assert_eq!(
        hold.view().unwrap().next_probe,
        NOW + s(63) + back_off::FIRST
    );
}

#[test]
fn new_credentials_are_probed_at_once() {
    let mut hold = probed(Some(Cause::Credentials));
    hold.report(READ, CREDENTIALS, NOW);
    hold.credentials_changed(NOW + s(1));
    assert_eq!(hold.probe_due(NOW + s(1)), Some(ProbeKind::Read));
    let mut free = Hold::new();
    free.credentials_changed(NOW);
    assert_eq!(free.view(), None);
}

/// Fails one probe after another by a status read, from `NOW` on.
fn fail(hold: &mut Hold, at: Duration) {
    let kind = hold.probe_due(at).expect("a probe is due");
    hold.probe_started(kind, at);
    assert_eq!(
        hold.report(READ, CREDENTIALS, at + ms(50)),
        Change::ProbeFailed
    );
}

#[test]
fn a_person_may_ask_for_one_probe_every_five_seconds_and_changes_no_back_off() {
    let mut hold = probed(Some(Cause::Credentials));
    hold.report(READ, CREDENTIALS, NOW + ms(50));
    let regular = NOW + ms(50) + back_off::FIRST * 2;
    assert_eq!(hold.view().unwrap().next_probe, regular);
    // However often, and by however many resources.
    for asked in [ms(100), ms(200), s(3)] {
        hold.request_probe(NOW + asked);
        assert_eq!(hold.view().unwrap().next_probe, NOW + ASKED_EVERY);
    }
    fail(&mut hold, NOW + s(5));
    assert_eq!(
        hold.view().unwrap().next_probe,
        NOW + s(5) + ms(50) + back_off::FIRST * 2,
        "the probe that was asked for does not make the others rarer"
    );
    hold.request_probe(NOW + s(12));
    fail(&mut hold, NOW + s(12));
    // The regular one does.
    fail(&mut hold, NOW + s(23));
    assert_eq!(
        hold.view().unwrap().next_probe,
        NOW + s(23) + ms(50) + back_off::FIRST * 4
    );
    let mut free = Hold::new();
    free.request_probe(NOW);
    assert_eq!((free.view(), free.next_event()), (None, None));
}

/// It left before the repair, so its report changes nothing.
#[test]
fn a_probe_that_is_out_when_another_is_asked_for_is_followed_by_it() {
    type Ask = fn(&mut Hold, Duration);
    let cases: [(Ask, Duration); 2] = [
        (Hold::request_probe, ASKED_EVERY),
        (Hold::credentials_changed, ms(10)),
    ];
    for (ask, due) in cases {
        let mut hold = probed(Some(Cause::Credentials));
        ask(&mut hold, NOW + ms(10));
        assert_eq!(hold.probe_due(NOW + s(9)), None, "one at a time");
        hold.report(READ, CREDENTIALS, NOW + ms(50));
        assert_eq!(hold.view().unwrap().next_probe, NOW + due);
        let mut hold = probed(Some(Cause::Account));
        ask(&mut hold, NOW + ms(10));
        hold.report(SUBMIT, THROTTLED, NOW + ms(50));
        assert_eq!(hold.view().unwrap().next_probe, NOW + due);
        let mut hold = probed(Some(Cause::Account));
        ask(&mut hold, NOW + ms(10));
        assert!(hold.expire(NOW + s(60)));
        assert_eq!(hold.view().unwrap().next_probe, NOW + due);
        // The report that ends the hold uses up the request too.
        let mut hold = probed(Some(Cause::Credentials));
        ask(&mut hold, NOW + ms(10));
        hold.report(READ, Report::Answered, NOW + ms(50));
        hold.report(READ, CREDENTIALS, NOW + s(1));
        assert!(hold.view().unwrap().next_probe > NOW + s(1) + back_off::FIRST);
    }
}

#[test]
fn a_dry_run_may_be_asked_for_like_any_other_probe() {
    let mut hold = Hold::new();
    hold.ledger_blocked(NOW);
    hold.ledger_probed(false, NOW + s(5));
    hold.request_probe(NOW + s(6));
    assert_eq!(hold.ledger_probe_at(), Some(NOW + s(10)));
}
