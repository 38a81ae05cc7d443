//! Decides when a process may take the Lease, and for how long it leads. PURE: no clock, async,
//! network or kube; the caller passes the time of this machine's boot clock.
//!
//! [`Record`] does not even contain the Lease's own times, since the clocks of two machines differ.
//! A holder counts as gone only when this process saw its record unchanged for [`TAKEOVER_AFTER`].
//! Limits: this reduces the overlap of two leaders, it does not exclude it (a machine whose clocks
//! were both frozen). The claim excludes a second send.

use std::time::Duration;

use crate::clock::BootTime;

/// How long a process leads after the start of its last successful renewal.
pub const LEADS_FOR: Duration = Duration::from_secs(15);
/// How long a record must be unchanged before its holder counts as gone. Danger: if this is less
/// than [`LEADS_FOR`], a call's deadline of 10 s and a margin, the old leader's last call overlaps
/// the new leader's first.
pub const TAKEOVER_AFTER: Duration = Duration::from_secs(30);

/// Until when this process leads, as far as it knows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Counts the unbroken periods of leadership; between two, another process may have led.
    pub term: u64,
    /// End of the leadership, unless it is renewed.
    pub until: BootTime,
}

impl Term {
    /// Not a leader.
    pub const NEVER: Term = Term {
        term: 0,
        until: Duration::ZERO,
    };
    /// Permanent leader: there is no election.
    pub const ALWAYS: Term = Term {
        term: 1,
        until: Duration::MAX,
    };

    /// True while this process leads.
    pub fn is_leader(self, now: BootTime) -> bool {
        now < self.until
    }

    /// The leadership after a successful write of the Lease that began at `started`. Danger: do not
    /// count from the reply. Other processes count from the write, which may be as old as its
    /// start.
    pub fn renewed(self, started: BootTime, now: BootTime) -> Term {
        Term {
            term: self.term + u64::from(!self.is_leader(now)),
            until: started + LEADS_FOR,
        }
    }

    /// The leadership after this process gave up the Lease.
    pub fn ended(self) -> Term {
        Term {
            until: Duration::ZERO,
            ..self
        }
    }
}

/// The Lease as the API server stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// No Lease.
    Absent,
    /// A Lease.
    Present {
        /// Its resourceVersion, opaque: compare it only for equality.
        version: &'a str,
        /// Its holder; empty after a release.
        holder: &'a str,
    },
}

/// The action for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create the Lease.
    Create,
    /// Take the Lease, if it is still this record.
    Acquire,
    /// This process holds the Lease: renew it, if it is still this record.
    Renew,
    /// Another process holds the Lease. Take it only after this time, and read it again first.
    Wait(BootTime),
}

/// One process's view of the Lease.
#[derive(Clone, Debug)]
pub struct Election {
    identity: String,
    other: Option<Other>,
}

/// The last record with another holder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Other {
    /// `None`: the Lease vanished while it was held.
    version: Option<String>,
    since: BootTime,
}

impl Election {
    /// Starts without a view: any holder gets the full time from the first read.
    pub fn new(identity: String) -> Self {
        Self {
            identity,
            other: None,
        }
    }

    /// Evaluates a record that was read before `now`.
    pub fn observe(&mut self, record: Record<'_>, now: BootTime) -> Step {
        match record {
            // Also after a restart in the same pod, which keeps its identity.
            Record::Present { holder, .. } if holder == self.identity => {
                self.other = None;
                Step::Renew
            }
            Record::Present { holder: "", .. } => {
                self.other = None;
                Step::Acquire
            }
            Record::Present { version, .. } => self.wait(Some(version), now, Step::Acquire),
            // The Lease was deleted, and its holder does not know yet.
            Record::Absent if self.other.is_some() => self.wait(None, now, Step::Create),
            Record::Absent => Step::Create,
        }
    }

    /// Returns `then` once nothing has changed for long enough. Danger: without the wait, this
    /// process would take over from a holder that is only slow, and both would lead.
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
