//! The fault rules in force: which of them a request meets. PURE.

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, FaultRule, Stage};

/// Number of a rule, never used again.
pub type FaultId = u64;

/// The values that a rule may be matched against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `Action`, empty if there is none.
    pub action: String,
    /// The number, if the request names one.
    pub phone: Option<String>,
    pub key_id: Option<String>,
}

/// A rule and how often it was met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultState {
    pub id: FaultId,
    pub rule: FaultRule,
    /// Requests that matched at its stage.
    pub seen: u64,
    /// Requests it was applied to.
    pub hits: u64,
}

#[derive(Clone, Debug)]
struct Live {
    state: FaultState,
    random: fastrand::Rng,
    added_us: u64,
}

/// The rules in force, in the order they were added.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    live: Vec<Live>,
    last_id: FaultId,
}

impl Rules {
    pub fn add(&mut self, rule: FaultRule, now_us: u64) -> Result<FaultId, &'static str> {
        check(&rule)?;
        self.last_id += 1;
        self.live.push(Live {
            random: fastrand::Rng::with_seed(rule.seed),
            added_us: now_us,
            state: FaultState {
                id: self.last_id,
                rule,
                seen: 0,
                hits: 0,
            },
        });
        Ok(self.last_id)
    }

    /// Takes one rule away; false if it was not there.
    pub fn remove(&mut self, id: FaultId) -> bool {
        let before = self.live.len();
        self.live.retain(|live| live.state.id != id);
        before != self.live.len()
    }

    /// Takes all rules away. Requests that are held stay held.
    pub fn clear(&mut self) {
        self.live.clear();
    }

    /// The rules and their counts.
    pub fn all(&self) -> Vec<FaultState> {
        self.live.iter().map(|live| live.state.clone()).collect()
    }

    /// The faults that a request meets at a stage; counts them as met.
    pub fn take(&mut self, stage: Stage, facts: &Facts, now_us: u64) -> Vec<(FaultId, Fault)> {
        let mut met = Vec::new();
        for live in &mut self.live {
            if live.state.rule.fault.stage() == stage && live.meets(facts, now_us) {
                met.push((live.state.id, live.state.rule.fault.clone()));
            }
        }
        met
    }
}

impl Live {
    fn meets(&mut self, facts: &Facts, now_us: u64) -> bool {
        let FaultState {
            rule, seen, hits, ..
        } = &mut self.state;
        let is = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == have)
        };
        let matches = is(&rule.action, Some(&facts.action))
            && is(&rule.phone, facts.phone.as_deref())
            && is(&rule.key_id, facts.key_id.as_deref());
        if !matches {
            return false;
        }
        if let Fault::Throttle { ms, .. } = rule.fault
            && now_us >= self.added_us.saturating_add(ms.saturating_mul(1000))
        {
            return false;
        }
        *seen += 1;
        let meets = rule.nth.is_none_or(|n| *seen >= n)
            && rule.times.is_none_or(|times| *hits < times)
            && rule.probability.is_none_or(|p| self.random.f64() < p);
        *hits += u64::from(meets);
        meets
    }
}

fn check(rule: &FaultRule) -> Result<(), &'static str> {
    let narrowed = rule.action.is_some() || rule.phone.is_some() || rule.key_id.is_some();
    match (&rule.fault, rule.fault.stage()) {
        (Fault::Drop { .. }, Stage::Accepted) if narrowed => {
            Err("at stage accepted nothing was read: the rule cannot name an action, number or key")
        }
        (Fault::Drop { .. }, _) => Ok(()),
        (_, Stage::Accepted) => Err("at stage accepted a connection can only be dropped"),
        (Fault::Answer { .. }, Stage::HalfReplied | Stage::Replied) => {
            Err("an answer has to be given at stage received, counted or executed")
        }
        (_, _) if rule.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) => {
            Err("a probability lies between 0.0 and 1.0")
        }
        (_, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::settings::Refusal;

    fn facts(action: &str, phone: &str) -> Facts {
        Facts {
            action: action.to_owned(),
            phone: Some(phone.to_owned()),
            key_id: Some("key".to_owned()),
        }
    }

    #[test]
    fn a_rule_meets_only_its_stage_action_and_number() {
        let mut rules = Rules::default();
        let rule = FaultRule::new(Fault::close(Stage::Executed))
            .action("A")
            .phone("1");
        let id = rules.add(rule, 0).unwrap();
        for (stage, action, phone, meets) in [
            (Stage::Counted, "A", "1", 0),
            (Stage::Executed, "B", "1", 0),
            (Stage::Executed, "A", "2", 0),
            (Stage::Executed, "A", "1", 1),
        ] {
            assert_eq!(rules.take(stage, &facts(action, phone), 0).len(), meets);
        }
        assert_eq!(rules.all().first().unwrap().hits, 1);
        assert!(rules.remove(id) && !rules.remove(id));
    }

    #[test]
    fn nth_and_times_bound_a_rule() {
        let mut rules = Rules::default();
        let rule = FaultRule::new(Fault::OmitId).nth(3).times(2);
        rules.add(rule, 0).unwrap();
        let met: Vec<_> = (0..6)
            .map(|_| rules.take(Stage::Executed, &facts("A", "1"), 0).len())
            .collect();
        assert_eq!(met, [0, 0, 1, 1, 0, 0]);
    }

    #[test]
    fn a_throttle_phase_ends_and_a_probability_repeats() {
        let mut rules = Rules::default();
        let refusal = Refusal::new(400, "Throttling", "");
        rules
            .add(Fault::Throttle { ms: 2, refusal }.into(), 1000)
            .unwrap();
        let mut at = |us| rules.take(Stage::Received, &facts("A", "1"), us).len();
        assert_eq!((at(1000), at(2999), at(3000)), (1, 1, 0));
        let run = || {
            let mut rules = Rules::default();
            let rule = FaultRule::new(Fault::OmitId).probability(0.3, 5);
            rules.add(rule, 0).unwrap();
            (0..1000)
                .map(|_| rules.take(Stage::Executed, &facts("A", "1"), 0).len())
                .collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        assert!((200..400).contains(&run().iter().sum::<usize>()));
    }

    #[test]
    fn rules_without_sense_are_refused() {
        let accepted = Fault::close(Stage::Accepted);
        for rule in [
            FaultRule::new(accepted.clone()).action("A"),
            FaultRule::new(Fault::gate(Stage::Accepted)),
            FaultRule::new(Fault::nonce_used(Stage::Replied)),
            FaultRule::new(Fault::OmitId).probability(1.5, 0),
        ] {
            assert!(Rules::default().add(rule.clone(), 0).is_err(), "{rule:?}");
        }
        assert!(Rules::default().add(accepted.into(), 0).is_ok());
    }
}
