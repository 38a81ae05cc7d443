//! The faults that a request meets at a stage: takes the matching rules, waits and holds as they
//! demand, and returns the remaining effects as a value for the gateway.

use std::time::Duration;

use tokio::time::sleep;

use crate::fault::{Answer, Drop, Fault, Stage};
use crate::held::Held;
use crate::ledger::Met;
use crate::rules::{Facts, FaultId};
use crate::settings::Refusal;
use crate::state::Shared;

/// Faults taken at a stage, to be performed.
pub type Faults = Vec<(FaultId, Fault)>;

/// The effects that remain after waiting and holding.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// Time went by.
    pub waited: bool,
    /// Lose it. Goes before an answer.
    pub drop: Option<Drop>,
    pub answer: Option<Answer>,
    /// Pause after each byte.
    pub slow: Option<Duration>,
    /// Other number in the reply.
    pub other_phone: Option<String>,
    pub mask_phone: bool,
    pub omit_id: bool,
    pub omit_data: bool,
    pub message: Option<String>,
    /// A throttle phase is on.
    pub throttle: Option<Refusal>,
    /// Lag of the status read.
    pub read_lag_ms: u64,
    pub clock_offset_ms: i64,
}

impl Shared {
    /// Takes the faults that a request meets at a stage; counts them as met.
    pub fn take(&self, stage: Stage, facts: &Facts) -> Faults {
        let now = self.clock.now_us();
        self.lock().rules.take(stage, facts, now)
    }

    /// Waits, holds, and collects the rest. `who` is the request, once it is known.
    pub async fn perform(
        &self,
        who: Option<(u64, &Facts)>,
        stage: Stage,
        faults: Faults,
    ) -> Effects {
        let mut effects = Effects::default();
        if faults.is_empty() {
            return effects;
        }
        if let Some((seq, _)) = who {
            self.lock().ledger.update(seq, |entry| {
                let met = faults.iter().cloned();
                entry
                    .faults
                    .extend(met.map(|(id, fault)| Met { id, fault }));
            });
        }
        for (_, fault) in faults {
            match fault {
                Fault::Delay { ms, .. } => {
                    effects.waited = true;
                    sleep(Duration::from_millis(ms)).await;
                }
                Fault::Gate { .. } => {
                    effects.waited = true;
                    let (seq, facts) = who.unzip();
                    let held = Held {
                        id: 0,
                        at: stage,
                        seq: seq.unwrap_or_default(),
                        action: facts.map(|f| f.action.clone()).unwrap_or_default(),
                        phone: facts.and_then(|f| f.phone.clone()),
                    };
                    effects.drop = effects.drop.or(self.held.hold(held).await.drop());
                }
                Fault::Drop { how, .. } => effects.drop = effects.drop.or(Some(how)),
                Fault::Answer { answer, .. } => {
                    effects.answer.get_or_insert(answer);
                }
                Fault::Slow { ms_per_byte } => {
                    effects.slow = Some(Duration::from_millis(ms_per_byte));
                }
                Fault::OtherPhone { phone } => effects.other_phone = Some(phone),
                Fault::MaskPhone => effects.mask_phone = true,
                Fault::OmitId => effects.omit_id = true,
                Fault::OmitData => effects.omit_data = true,
                Fault::Message { text } => effects.message = Some(text),
                Fault::Throttle { refusal, .. } => effects.throttle = Some(refusal),
                Fault::ReadLag { ms } => effects.read_lag_ms = ms,
                Fault::ClockOffset { ms } => effects.clock_offset_ms = ms,
            }
        }
        effects
    }
}
