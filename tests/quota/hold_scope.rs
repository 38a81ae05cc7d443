//! Every sequence of events of a hold, against a table of causes.

use std::time::Duration;

use phone_migration_operator::back_off;
use phone_migration_operator::quota::hold::{Cause, Change, Hold, ProbeKind};
use phone_migration_operator::quota::{Action, BlockCause, Report};

use super::{ACCOUNT, CLOCK, CREDENTIALS, READ, SUBMIT, THROTTLED, s};

const CALLS: [(Action, Report); 12] = [
    (SUBMIT, Report::Answered),
    (SUBMIT, THROTTLED),
    (SUBMIT, CREDENTIALS),
    (SUBMIT, CLOCK),
    (SUBMIT, ACCOUNT),
    (SUBMIT, Report::NotSent),
    (SUBMIT, Report::Unknown),
    (READ, Report::Answered),
    (READ, CREDENTIALS),
    (READ, CLOCK),
    (READ, ACCOUNT),
    (READ, Report::Unknown),
];

/// The causes that hold, by the table at the head of the module alone.
#[derive(Default)]
struct Table {
    read: Option<Cause>,
    account: bool,
    unknowns: u32,
}

impl Table {
    fn cause(&self) -> Option<Cause> {
        self.read.or(self.account.then_some(Cause::Account))
    }

    fn report(&mut self, action: Action, report: Report) {
        let blocked = match report {
            Report::Blocked(BlockCause::Credentials) => Some(Cause::Credentials),
            Report::Blocked(BlockCause::Clock) => Some(Cause::Clock),
            Report::Blocked(BlockCause::Account)
            | Report::Answered
            | Report::Throttled { .. }
            | Report::NotSent
            | Report::Unknown => None,
        };
        let answered = !matches!(report, Report::NotSent | Report::Unknown);
        match action {
            READ if blocked.is_some() => self.read = blocked,
            READ if answered => self.read = None,
            READ => {}
            SUBMIT => {
                self.unknowns = match report {
                    Report::Unknown => self.unknowns + 1,
                    Report::NotSent => self.unknowns,
                    Report::Answered | Report::Throttled { .. } | Report::Blocked(_) => 0,
                };
                let silent =
                    report == Report::NotSent || (report == Report::Unknown && self.unknowns >= 3);
                match blocked {
                    Some(cause) => self.read = Some(cause),
                    None if silent => self.read = self.read.or(Some(Cause::Transport)),
                    None => {}
                }
                self.account = match report {
                    Report::Answered => false,
                    Report::Blocked(BlockCause::Account) => true,
                    _ => self.account,
                };
            }
        }
    }
}

struct Case {
    hold: Hold,
    table: Table,
    now: Duration,
    probe: Option<ProbeKind>,
}

impl Case {
    fn new() -> Self {
        Self {
            hold: Hold::new(),
            table: Table::default(),
            now: s(1_000),
            probe: None,
        }
    }

    /// Waits for the next event and starts the probe that is due then.
    fn wait(&mut self) {
        if let Some(at) = self.hold.next_event() {
            self.now = self.now.max(at);
        }
        if self.hold.expire(self.now) {
            self.probe = None;
        }
        if let Some(kind) = self.hold.probe_due(self.now) {
            let by_read = self.table.read.is_some();
            assert_eq!(kind == ProbeKind::Read, by_read);
            self.hold.probe_started(kind, self.now);
            self.probe = Some(kind);
            assert_eq!(self.hold.probe_due(self.now + s(1)), None, "two probes");
        }
    }

    fn check(&self) {
        let view = self.hold.view();
        assert_eq!(view.map(|view| view.cause), self.table.cause());
        if let Some(view) = view {
            assert!(view.next_probe <= self.now + back_off::LONGEST, "{view:?}");
        }
        // Held: the next event comes by itself, within a back-off or a probe's lifetime.
        let next = self.hold.next_event();
        assert_eq!(next.is_some(), view.is_some());
        assert!(next.is_none_or(|at| at <= self.now + back_off::LONGEST));
    }

    fn step(&mut self, event: usize) {
        self.now += s(1);
        match CALLS.get(event) {
            Some((action, report)) => {
                let before = self.table.cause();
                let change = self.hold.report(*action, *report, self.now);
                self.table.report(*action, *report);
                let after = self.table.cause();
                match change {
                    Change::Started => assert!(after.is_some()),
                    Change::None => assert_eq!(before.is_some(), after.is_some()),
                    Change::ReadsPass | Change::SubmissionsPass | Change::ProbeFailed => {
                        assert!(before.is_some());
                    }
                }
            }
            None => self.wait(),
        }
        self.check();
    }

    /// No more faults from now on: the hold ends by its own probes.
    fn heal(&mut self) {
        let began = self.now;
        for _ in 0..6 {
            if self.hold.view().is_none() {
                break;
            }
            self.probe = None;
            self.wait();
            let action = match self.probe {
                Some(ProbeKind::Read) => READ,
                Some(ProbeKind::Attempt) => SUBMIT,
                None => continue,
            };
            self.hold.report(action, Report::Answered, self.now);
            self.table.report(action, Report::Answered);
            self.check();
        }
        assert_eq!(self.hold.view(), None);
        assert!(
            self.now <= began + back_off::LONGEST * 3,
            "{:?}",
            self.now - began
        );
    }
}

#[test]
fn every_sequence_of_five_events_ends_as_the_table_says_and_heals() {
    const EVENTS: usize = CALLS.len() + 1;
    for sequence in 0..EVENTS.pow(5) {
        let mut case = Case::new();
        for n in 0..5 {
            case.step(sequence / EVENTS.pow(n) % EVENTS);
        }
        case.heal();
    }
    assert_eq!(EVENTS.pow(5), 371_293);
}
