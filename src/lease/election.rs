//! When a process may take the Lease, and for how long it leads. PURE: no clock, async, network
//! or kube; time comes in as a value of this machine's boot clock.
//!
//! The record's own times are not even part of [`Record`]: the clocks of two machines differ,
//! so a holder counts as gone only when this process saw its record unchanged for
//! [`TAKEOVER_AFTER`]. Limits: this reduces the overlap of two leaders, it does not exclude it
//! (a machine whose clocks were both frozen); what excludes a second send is the claim.

use std::time::Duration;

use crate::clock::BootTime;

/// How long a process leads after it began its last successful renewal.
pub const LEADS_FOR: Duration = Duration::from_secs(15);
/// How long a record must be unchanged before its holder counts as gone. Danger: less than
/// [`LEADS_FOR`], a call's deadline of 10 s and a margin lets the old leader's last call run
/// next to the new leader's first.
pub const TAKEOVER_AFTER: Duration = Duration::from_secs(30);

/// For how long this process leads, as far as it knows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// Counts the unbroken spells of leading; between two of them somebody else may have led.
    pub term: u64,
    /// End of the leadership, unless it is renewed.
    pub until: BootTime,
}

impl Tenure {
    /// Not a leader.
    pub const NEVER: Tenure = Tenure {
        term: 0,
        until: Duration::ZERO,
    };
    /// Leader for good: there is no election.
    pub const ALWAYS: Tenure = Tenure {
        term: 1,
        until: Duration::MAX,
    };

    /// True while this process leads.
    pub fn is_leader(self, now: BootTime) -> bool {
        now < self.until
    }

    /// After a successful write of the Lease that was begun at `started`. Danger: not from its
    /// reply: the others count from the write, which may be as old as its beginning.
    pub fn renewed(self, started: BootTime, now: BootTime) -> Tenure {
        Tenure {
            term: self.term + u64::from(!self.is_leader(now)),
            until: started + LEADS_FOR,
        }
    }

    /// After the Lease was given up.
    pub fn ended(self) -> Tenure {
        Tenure {
            until: Duration::ZERO,
            ..self
        }
    }
}

/// What the API server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// No Lease.
    Absent,
    /// A Lease.
    Present {
        /// Its resourceVersion: opaque, only compared for equality.
        version: &'a str,
        /// Who holds it; empty when it was released.
        holder: &'a str,
    },
}

/// What to do about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the Lease.
    Create,
    /// Take it, on the condition that it is still this record.
    Acquire,
    /// It is ours: renew it, on the same condition.
    Renew,
    /// Somebody else's. Not to be taken before this time, nor without looking again then.
    Wait(BootTime),
}

/// What one process knows of the Lease.
#[derive(Clone, Debug)]
pub struct Election {
    identity: String,
    other: Option<Other>,
}

/// The last record that somebody else held.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Other {
    /// `None`: it vanished while it was held.
    version: Option<String>,
    since: BootTime,
}

impl Election {
    /// Knows nothing yet: whoever holds the Lease gets the full time from the first look.
    pub fn new(identity: String) -> Self {
        Self {
            identity,
            other: None,
        }
    }

    /// Takes in a record that was read before `now`.
    pub fn observe(&mut self, record: Record<'_>, now: BootTime) -> Step {
        match record {
            // Also after a restart in the same pod, whose identity is the same.
            Record::Present { holder, .. } if holder == self.identity => {
                self.other = None;
                Step::Renew
            }
            Record::Present { holder: "", .. } => {
                self.other = None;
                Step::Acquire
            }
            Record::Present { version, .. } => self.wait(Some(version), now, Step::Acquire),
            // Deleted under its holder, who does not know yet.
            Record::Absent if self.other.is_some() => self.wait(None, now, Step::Create),
            Record::Absent => Step::Create,
        }
    }

    /// `then`, once nothing changed for long enough. Danger: taking over without the wait makes
    /// two leaders of a holder that is merely slow.
    fn wait(&mut self, version: Option<&str>, now: BootTime, then: Step) -> Step {
        let since = match &self.other {
            Some(other) if other.version.as_deref() == version => other.since,
            Some(_) | None => now,
        };
        self.other = Some(Other {
            version: version.map(str::to_owned),
            since,
        });
        let until = since + TAKEOVER_AFTER;
        if now < until { Step::Wait(until) } else { then }
    }
}

#[cfg(test)]
mod tests;
