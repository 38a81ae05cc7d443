//! A call from its slot to its figures: the same for a submission and for a status read.

use std::time::Duration;

use crate::cams::{Answer, NOT_SIGNED_IN, NotSentCause, Permit, Timing, UnknownCause, Verdict};
use crate::clock::{self, Now};
use crate::quota::Slot;
use crate::telemetry::metrics::{Answer as Label, InFlight};

/// A call that the gate let through, until it ends.
pub struct Admitted {
    slot: Slot,
    _in_flight: InFlight,
}

impl Admitted {
    /// The gate lets the call in this slot through now.
    pub fn new(slot: Slot, in_flight: InFlight) -> Self {
        Self {
            slot,
            _in_flight: in_flight,
        }
    }
}

impl Permit for Admitted {
    fn written(&mut self, at: Now) {
        self.slot.handed(at.boot);
    }
}

/// Ends the slot of a call. Only a reply proves that the request arrived; without one the slot
/// counts until its deadline.
pub fn end_slot<T>(admitted: Option<Admitted>, timing: Timing, verdict: &Verdict<T>) {
    if let (Some(mut admitted), Some(replied)) = (admitted, timing.replied) {
        match verdict {
            Verdict::Throttled { .. } => admitted.slot.replied_throttled(replied.boot),
            Verdict::Accepted(_)
            | Verdict::Refused(_)
            | Verdict::NotSent(_)
            | Verdict::Blocked(_)
            | Verdict::Unknown(_) => admitted.slot.replied(replied.boot),
        }
    }
}

/// Time since the gate let the call through; `None` if it did not.
pub fn took(timing: Timing) -> Option<Duration> {
    let opened = timing.opened?;
    Some(clock::boot().saturating_sub(opened.boot))
}

/// How the metrics count the answer; `None`: no call was made.
pub fn label<T>(answer: &Answer<T>) -> Option<Label<'_>> {
    Some(match (&answer.verdict, answer.code.as_deref()) {
        (Verdict::NotSent(NotSentCause::Gate), _) => return None,
        (Verdict::NotSent(_), _) => Label::NotSent,
        (_, Some(NOT_SIGNED_IN)) => return None,
        (_, Some(code)) => Label::Code(code),
        (Verdict::Unknown(UnknownCause::Timeout | UnknownCause::ConnectionLost), None) => {
            Label::NoReply
        }
        (_, None) => Label::NotTheApi,
    })
}
