//! The hold as a table, its back-off, and what holds for any sequence of reports.

use std::time::Duration;

use phone_migration_operator::quota::hold::{
    Cause, Change, FIRST_BACK_OFF, Hold, MAX_BACK_OFF, ProbeKind,
};
use phone_migration_operator::quota::{Action, BlockCause, Report};
use proptest::prelude::*;

use super::{ms, s};

const NOW: Duration = s(1_000);

const THROTTLED: Report = Report::Throttled { retry_after: None };
const CREDENTIALS: Report = Report::Blocked(BlockCause::Credentials);
const ACCOUNT: Report = Report::Blocked(BlockCause::Account);
const CLOCK: Report = Report::Blocked(BlockCause::Clock);
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
            Cause::Credentials => (Action::ReadStatus, CREDENTIALS),
            Cause::Clock => (Action::Verify, CLOCK),
            Cause::Account => (Action::Verify, ACCOUNT),
            Cause::Transport => (Action::Verify, Report::NotSent),
        };
        assert_eq!(
            hold.report(action, report, NOW - FIRST_BACK_OFF),
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

/// For each state: the reports in the order of `REPORTS`, what they do, and the state
/// after it.
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
    // A call that was out when the hold began says nothing new about it, but names
    // the cause if it is a definite answer.
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
            Action::Verify,
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
            Action::ReadStatus,
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
            Action::Verify,
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
            Action::ReadStatus,
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
        (CREDENTIALS, Action::ReadStatus, by_read(CREDENTIALS)),
        (CLOCK, Action::ReadStatus, by_read(CLOCK)),
        (TRANSPORT, Action::ReadStatus, by_read(TRANSPORT)),
        (CREDENTIALS, Action::Verify, in_flight(CREDENTIALS)),
        (CLOCK, Action::Verify, in_flight(CLOCK)),
        (TRANSPORT, Action::Verify, in_flight(TRANSPORT)),
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
        (Cause::Credentials, Action::ReadStatus, CREDENTIALS),
        (Cause::Clock, Action::ReadStatus, CLOCK),
        (Cause::Transport, Action::ReadStatus, Report::Unknown),
        (Cause::Account, Action::Verify, ACCOUNT),
    ] {
        let mut hold = probed(Some(held));
        let mut now = NOW;
        for seconds in [10, 20, 40, 80, 160, 300, 300, 300] {
            now += ms(70);
            assert_eq!(hold.report(action, failure, now), Change::ProbeFailed);
            // The same from calls that were out, or observers: no news.
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
fn who_probes() {
    for (held, kind) in [
        (Cause::Credentials, ProbeKind::Read),
        (Cause::Clock, ProbeKind::Read),
        (Cause::Transport, ProbeKind::Read),
        (Cause::Account, ProbeKind::Attempt),
    ] {
        let mut hold = Hold::new();
        hold.assume(held, NOW, NOW);
        assert_eq!(hold.probe_due(NOW), Some(kind));
    }
    assert_eq!(Hold::new().probe_due(NOW), None);
}

#[test]
fn three_submissions_in_a_row_without_an_answer_hold_the_transport() {
    for reset in [Report::Answered, THROTTLED, ACCOUNT, CREDENTIALS, CLOCK] {
        let mut hold = Hold::new();
        hold.report(Action::Verify, Report::Unknown, NOW);
        hold.report(Action::Verify, Report::Unknown, NOW);
        hold.report(Action::Verify, reset, NOW);
        // Whatever that started is ended by what ends it.
        hold.report(Action::ReadStatus, Report::Answered, NOW);
        hold.report(Action::Verify, Report::Answered, NOW);
        hold.report(Action::Verify, Report::Unknown, NOW);
        hold.report(Action::Verify, Report::Unknown, NOW);
        assert_eq!(cause(&hold), None, "{reset:?}");
        // Reads are not counted, and reset nothing.
        hold.report(Action::ReadStatus, Report::Unknown, NOW);
        hold.report(Action::ReadStatus, Report::Answered, NOW);
        assert_eq!(cause(&hold), None);
        assert_eq!(
            hold.report(Action::Verify, Report::Unknown, NOW),
            Change::Started
        );
        assert_eq!(cause(&hold), Some(Cause::Transport));
    }
}

#[test]
fn reads_that_pass_do_not_reset_what_submissions_showed() {
    let mut hold = Hold::new();
    for _ in 0..3 {
        hold.report(Action::Verify, Report::Unknown, NOW);
    }
    let mut now = NOW;
    for seconds in [10, 20, 40, 80, 160, 300, 300] {
        assert_eq!(
            hold.report(Action::ReadStatus, Report::Answered, now),
            Change::ReadsPass
        );
        // One more is enough now, and it waits longer than the last time.
        now += s(10);
        assert_eq!(
            hold.report(Action::Verify, Report::Unknown, now),
            Change::Started
        );
        assert_eq!(hold.view().unwrap().next_probe, now + s(seconds));
    }
    hold.report(Action::ReadStatus, Report::Answered, now);
    hold.report(Action::Verify, Report::Answered, now);
    hold.report(Action::Verify, Report::NotSent, now);
    assert_eq!(
        hold.view().unwrap().next_probe,
        now + FIRST_BACK_OFF,
        "all forgotten"
    );
}

#[test]
fn a_remembered_back_off_fades() {
    let mut hold = probed(Some(Cause::Transport));
    hold.report(Action::ReadStatus, Report::Answered, NOW);
    let later = NOW + s(601);
    hold.report(Action::Verify, Report::NotSent, later);
    assert_eq!(hold.view().unwrap().next_probe, later + FIRST_BACK_OFF);
}

#[test]
fn an_account_hold_waits_underneath() {
    let mut hold = probed(Some(Cause::Account));
    hold.report(Action::Verify, Report::NotSent, NOW);
    assert_eq!(cause(&hold), Some(Cause::Transport));
    assert_eq!(hold.probe_due(NOW + s(5)), Some(ProbeKind::Read));
    hold.probe_started(ProbeKind::Read, NOW + s(5));
    assert_eq!(
        hold.report(Action::ReadStatus, Report::Answered, NOW + s(6)),
        Change::ReadsPass
    );
    assert_eq!(cause(&hold), Some(Cause::Account));
    assert_eq!(hold.probe_due(NOW + s(6)), Some(ProbeKind::Attempt));
    // Also when it is found out while the other stands.
    let mut hold = probed(Some(Cause::Credentials));
    assert_eq!(hold.report(Action::Verify, ACCOUNT, NOW), Change::None);
    hold.report(Action::ReadStatus, Report::Answered, NOW);
    assert_eq!(cause(&hold), Some(Cause::Account));
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
    // It showed nothing, so the back-off has not grown.
    assert_eq!(
        hold.view().unwrap().next_probe,
        NOW + s(63) + FIRST_BACK_OFF
    );
}

#[test]
fn new_credentials_are_probed_at_once() {
    let mut hold = probed(Some(Cause::Credentials));
    hold.report(Action::ReadStatus, CREDENTIALS, NOW);
    hold.probe_now(NOW + s(1));
    assert_eq!(hold.probe_due(NOW + s(1)), Some(ProbeKind::Read));
    let mut free = Hold::new();
    free.probe_now(NOW);
    assert_eq!(free.view(), None);
}

fn any_report() -> impl Strategy<Value = Report> {
    prop::sample::select(REPORTS.to_vec())
}

proptest! {
    /// Whatever is reported: the next probe is within 5 min, never is one due while one
    /// is out, and good answers to both calls end every hold.
    #[test]
    fn any_sequence_leaves_a_way_out(
        steps in prop::collection::vec((any::<bool>(), any_report(), 0u64..400), 1..80),
    ) {
        let mut hold = Hold::new();
        let mut now = NOW;
        for (verify, report, wait) in steps {
            let action = if verify { Action::Verify } else { Action::ReadStatus };
            let before = cause(&hold);
            let change = hold.report(action, report, now);
            match change {
                Change::Started => prop_assert!(cause(&hold).is_some()),
                Change::ReadsPass | Change::SubmissionsPass | Change::ProbeFailed => {
                    prop_assert!(before.is_some());
                }
                Change::None => prop_assert_eq!(before.is_some(), cause(&hold).is_some()),
            }
            if let Some(view) = hold.view() {
                prop_assert!(view.next_probe <= now + MAX_BACK_OFF);
            }
            now += s(wait);
            hold.expire(now);
            if let Some(kind) = hold.probe_due(now) {
                hold.probe_started(kind, now);
                prop_assert_eq!(hold.probe_due(now + s(3_600)), None);
            }
            prop_assert_eq!(hold.next_event().is_some(), hold.view().is_some());
        }
        hold.report(Action::ReadStatus, Report::Answered, now);
        hold.report(Action::Verify, Report::Answered, now);
        prop_assert_eq!(hold.view(), None);
        prop_assert_eq!(hold.probe_due(now), None);
    }
}
