//! A phase of throttling: from the first throttle to the probe that passes. PURE.

use std::time::Duration;

use super::rate::AimedAt;
use super::{CLOSED_WINDOW, SendId, WINDOW};
use crate::clock::BootTime;

/// Longest pause that the pacer itself chooses. So calls resume soon after the throttling ends; a
/// server that throttles everything for 20 s gets eight probes.
const LONGEST: Duration = Duration::from_secs(3);

/// The probe after a throttle.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// The next send is the probe.
    Due,
    /// The probe is under way; no other call may leave before `until`.
    Out { id: SendId, until: BootTime },
    /// The probe has ended; its report has not come yet.
    Ended { until: BootTime },
}

/// The state before the phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) rate: AimedAt,
    /// The part of J that throttles had taught.
    pub(super) learned: Duration,
}

/// One send at a time until one is answered.
#[derive(Debug)]
pub(super) struct Phase {
    pub(super) probe: Probe,
    /// Throttles in a row; 0 if the phase began for a reason other than a throttle.
    pub(super) throttles: u32,
    /// A probe was throttled too. It left after a silent second, into an empty window, so the
    /// server throttles calls at any rate.
    pub(super) shut: bool,
    /// The pacer restores it if the server throttled at any rate. `None` if the last phase ended a
    /// short time ago: calls had passed between the phases.
    pub(super) before: Option<Before>,
}

impl Phase {
    /// A phase that began for a reason other than a throttle.
    pub(super) fn to_prove() -> Self {
        Self {
            probe: Probe::Due,
            throttles: 0,
            shut: false,
            before: None,
        }
    }

    /// A phase that began with a throttle.
    pub(super) fn throttled(before: Option<Before>) -> Self {
        Self {
            throttles: 1,
            before,
            ..Self::to_prove()
        }
    }

    /// The probe was throttled.
    pub(super) fn probe_throttled(&mut self) {
        self.throttles = self.throttles.saturating_add(1);
        (self.shut, self.probe) = (true, Probe::Due);
    }

    /// How long no call leaves after the throttle that the client just read, unless the server asks
    /// for more. `allowance` is J.
    pub(super) fn pause(&self, allowance: Duration) -> Duration {
        let first = WINDOW + CLOSED_WINDOW + allowance;
        let doublings = self.throttles.saturating_sub(1);
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        first.saturating_mul(factor).min(LONGEST)
    }
}
