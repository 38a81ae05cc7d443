//! The open brake. PURE.

use std::collections::HashMap;
use std::time::Duration;

use super::super::Pair;
use super::super::pacer::SendId;
use super::ProbeInFlight;
use super::run::Refusal;
use crate::back_off;
use crate::clock::BootTime;

/// A pair that CAMS refused with the Code of the brake.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) at: BootTime,
    pub(super) newest: SendId,
    probes: u32,
    was_braked: bool,
}

impl Refused {
    /// Back-off of the pair after the brake closes: as if the probes had been the pair's own.
    pub(super) fn back_off(&self) -> Duration {
        back_off::doubled(back_off::FIRST, self.probes, back_off::LONGEST)
    }
}

/// State from opening to closing.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) code: String,
    pub(super) since: BootTime,
    pub(super) back_off: Duration,
    pub(super) next_probe: BootTime,
    /// No probe before this time: the last one came back without a reply.
    pub(super) not_before: BootTime,
    pub(super) refused: HashMap<Pair, Refused>,
    /// When each pair last got a turn.
    granted: HashMap<Pair, BootTime>,
    last_granted: BootTime,
    pub(super) probe: Option<ProbeInFlight>,
    /// The resource on which a user requested a probe.
    pub(super) asked: Option<String>,
}

impl Open {
    pub(super) fn new(code: &str, refusals: &[Refusal], now: BootTime) -> Self {
        let mut open = Self {
            code: code.to_owned(),
            since: now,
            back_off: back_off::FIRST,
            next_probe: now + back_off::FIRST,
            not_before: now,
            refused: HashMap::new(),
            granted: HashMap::new(),
            last_granted: now,
            probe: None,
            asked: None,
        };
        for refusal in refusals {
            open.refused(refusal, false, refusal.at);
        }
        open
    }

    /// True if the refusals are of one pair only; pairs braked before count as one.
    fn is_of_one_pair(&self) -> bool {
        let new = self.refused.values().filter(|r| !r.was_braked).count();
        let known = self.refused.values().any(|r| r.was_braked);
        new + usize::from(known) <= 1
    }

    pub(super) fn admits(&self, pair: &Pair, is_braked: bool, now: BootTime) -> bool {
        if self.probe.is_some() || now < self.not_before {
            return false;
        }
        let is_new = !is_braked && !self.refused.contains_key(pair);
        let due = if is_new && self.is_of_one_pair() {
            self.first_probe().min(self.next_probe)
        } else {
            self.next_probe
        };
        due <= now
    }

    fn first_probe(&self) -> BootTime {
        self.since + back_off::FIRST
    }

    /// Sort key: the pair with the smallest rank makes the next probe.
    pub(super) fn rank(&self, pair: &Pair, is_braked: bool) -> (u8, Option<BootTime>) {
        let refused = self.refused.get(pair);
        let class = match (refused, is_braked) {
            (None, false) => 0,
            (None, true) => 1,
            (Some(_), _) => 2,
        };
        let granted = self.granted.get(pair).copied();
        (class, granted.max(refused.map(|refused| refused.at)))
    }

    /// The requested resource, if its probe is due.
    pub(super) fn asked(&self, now: BootTime) -> Option<&str> {
        let due = (self.last_granted + back_off::FIRST).max(self.not_before);
        let asked = self.asked.as_deref()?;
        (self.probe.is_none() && due <= now).then_some(asked)
    }

    pub(super) fn events(&self) -> Vec<BootTime> {
        match &self.probe {
            Some(probe) => vec![probe.lost_at],
            None => {
                let mut events = vec![self.first_probe(), self.next_probe, self.not_before];
                events.extend(
                    self.asked
                        .iter()
                        .map(|_| self.last_granted + back_off::FIRST),
                );
                events
            }
        }
    }

    pub(super) fn granted(&mut self, pair: Pair, single: ProbeInFlight, now: BootTime) {
        if self.asked.as_ref() == Some(&single.uid) {
            self.asked = None;
        }
        self.granted.insert(pair, now);
        self.last_granted = now;
        self.probe = Some(single);
    }

    /// Removes the probe if it is of `uid`. True if it was.
    pub(super) fn take_probe(&mut self, uid: &str) -> bool {
        self.probe.take_if(|probe| probe.uid == uid).is_some()
    }

    /// CAMS refused a submission with the Code of the brake.
    pub(super) fn refused(&mut self, refusal: &Refusal, was_probe: bool, now: BootTime) {
        let refused = self
            .refused
            .entry(refusal.pair.clone())
            .or_insert_with(|| Refused {
                at: now,
                newest: refusal.send,
                probes: 0,
                was_braked: refusal.was_braked,
            });
        refused.at = refused.at.max(now);
        refused.newest = refused.newest.max(refusal.send);
        if was_probe {
            refused.probes = refused.probes.saturating_add(1);
            self.back_off = back_off::next(self.back_off);
            self.next_probe = now + self.back_off;
        }
    }

    /// CAMS accepted a submission of the pair: refusals of submissions sent before it do not count.
    pub(super) fn accepted(&mut self, pair: &Pair, send: SendId) {
        self.refused
            .retain(|refused, what| refused != pair || what.newest > send);
    }
}
