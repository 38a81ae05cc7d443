//! One request, from received to executed. A client that leaves changes nothing: a counted call is
//! executed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::sleep;

use crate::call::Call;
use crate::checks::{At, Verdict, check};
use crate::clock::shifted;
use crate::fault::{Drop, Stage};
use crate::http::Request;
use crate::ledger::{Decision, Entry, READ_STATUS, VERIFIED};
use crate::numbers::{Data, When};
use crate::reply::{Letterhead, Reply};
use crate::rng::uuid;
use crate::rules::Facts;
use crate::settings::{Refusal, Replies, Settings};
use crate::stage::{Effects, Faults};
use crate::state::{Shared, State};
use crate::sts::is_sts;

/// The result to send.
pub enum Outcome {
    /// A reply; `late` if the later stages apply to it.
    Reply {
        reply: Reply,
        /// Pause after each byte of the body.
        slow: Option<Duration>,
        /// The checks were passed.
        late: bool,
    },
    /// Nothing.
    Drop(Drop),
}

/// The result of the execution, by service.
enum Executed {
    Cams(Result<Data, Refusal>),
    Sts(Result<Value, Refusal>),
}

/// One request on its way.
pub struct Exchange<'a> {
    pub shared: &'a Shared,
    call: Call,
    /// The values that rules are matched against.
    pub facts: Facts,
    seq: u64,
    arrived_us: u64,
    request_id: String,
    offset_ms: i64,
}

impl<'a> Exchange<'a> {
    /// Enters a request in the ledger.
    pub fn begin(shared: &'a Shared, request: &Request, connection: u64, number: u64) -> Self {
        let call = Call::read(request);
        let facts = call.facts();
        let arrived_us = shared.clock.us(request.arrived);
        let mut state = shared.lock();
        let request_id = uuid(&mut state.ids);
        let account = call.key_id.as_ref().and_then(|id| state.keys.get(id));
        let account = account.map(|key| key.account().to_owned());
        let seq = state.ledger.add(Entry {
            arrived_us,
            arrived_at: shared.clock.wall(),
            connection,
            request_on_connection: number,
            account,
            phone: facts.phone.clone(),
            request_id: request_id.clone(),
            ..Entry::of(&call)
        });
        drop(state);
        Self {
            shared,
            call,
            facts,
            seq,
            arrived_us,
            request_id,
            offset_ms: 0,
        }
    }

    /// Meets the faults of a stage.
    pub async fn meet(&self, stage: Stage) -> Effects {
        let faults = self.shared.take(stage, &self.facts);
        self.perform(stage, faults).await
    }

    /// Performs faults taken before.
    pub async fn perform(&self, stage: Stage, faults: Faults) -> Effects {
        let who = Some((self.seq, &self.facts));
        self.shared.perform(who, stage, faults).await
    }

    /// From received to executed.
    pub async fn run(&mut self) -> Outcome {
        let effects = self.meet(Stage::Received).await;
        self.offset_ms = effects.clock_offset_ms;
        if let Some(outcome) = self.cut_short(&effects, None) {
            return outcome;
        }
        let late = self.jitter().await;
        let counted_us = if effects.waited || late {
            self.shared.clock.now_us()
        } else {
            self.arrived_us
        };
        if let Some(refusal) = self.check(counted_us, effects.throttle.as_ref()) {
            return Outcome::Reply {
                reply: self.letterhead().refusal(&refusal, None),
                slow: None,
                late: false,
            };
        }
        let processing = self.processing();
        if !processing.is_zero() {
            sleep(processing).await;
        }
        let before = self.meet(Stage::Counted).await;
        if let Some(outcome) = self.cut_short(&before, None) {
            return outcome;
        }
        let result = if is_sts(&self.call) {
            Executed::Sts(self.execute_sts())
        } else {
            Executed::Cams(self.execute(before.read_lag_ms))
        };
        let after = self.meet(Stage::Executed).await;
        let reply = match result {
            Executed::Cams(result) => self.reply(result, &after),
            Executed::Sts(Ok(body)) => self.letterhead().sts(body),
            Executed::Sts(Err(refusal)) => self.letterhead().refusal(&refusal, None),
        };
        self.cut_short(&after, Some(&reply))
            .unwrap_or(Outcome::Reply {
                reply,
                slow: after.slow,
                late: true,
            })
    }

    /// How long the server works on this call.
    fn processing(&self) -> Duration {
        let mut state = self.shared.lock();
        let base = Duration::from_millis(state.settings.processing_ms);
        match state.settings.processing_jitter_ms.saturating_mul(1000) {
            0 => base,
            most => base + Duration::from_micros(state.jitter.u64(..=most)),
        }
    }

    /// Lateness of arrival; true if there was any.
    async fn jitter(&self) -> bool {
        let late_us = {
            let mut state = self.shared.lock();
            let most = state.settings.jitter_ms.saturating_mul(1000);
            if most == 0 {
                return false;
            }
            state.jitter.u64(..=most)
        };
        sleep(Duration::from_micros(late_us)).await;
        true
    }

    /// The outcome if a fault lost or answered the request. `real` is the reply if the call was
    /// executed.
    fn cut_short(&self, effects: &Effects, real: Option<&Reply>) -> Option<Outcome> {
        let executed = real.is_some();
        let decided = |decision| {
            if !executed {
                self.update(|entry| entry.decision = decision);
            }
        };
        if let Some(how) = effects.drop {
            decided(Decision::Dropped);
            return Some(Outcome::Drop(how));
        }
        let answer = effects.answer.as_ref()?;
        decided(Decision::Answered);
        Some(Outcome::Reply {
            reply: self.letterhead().answer(answer, real),
            slow: effects.slow,
            late: true,
        })
    }

    fn check(&self, counted_us: u64, phase: Option<&Refusal>) -> Option<Refusal> {
        let state = &mut *self.shared.lock();
        let at = At {
            us: counted_us,
            wall: self.wall(&state.settings),
        };
        let checked = check(
            &state.settings,
            &state.keys,
            &mut state.memory,
            &self.call,
            at,
            phase,
        );
        let (decision, refusal) = match checked.verdict {
            Verdict::Passed => (Decision::Pending, None),
            Verdict::Rejected(refusal) => (Decision::Rejected, Some(refusal)),
            Verdict::Throttled(refusal) => (Decision::Throttled, Some(refusal)),
        };
        state.ledger.update(self.seq, |entry| {
            entry.account = checked.account;
            entry.signature_ok = checked.signature_ok;
            entry.counted_us = checked.counted.then_some(counted_us);
            entry.decision = decision;
        });
        refusal
    }

    fn execute(&self, extra_lag_ms: u64) -> Result<Data, Refusal> {
        let state = &mut *self.shared.lock();
        let now_us = self.shared.clock.now_us();
        let settings = &state.settings;
        let when = When {
            us: now_us,
            wall: self.wall(settings),
            read_lag_ms: settings.read_lag_ms.max(extra_lag_ms),
        };
        let space = self.call.param("CustSpaceId").unwrap_or_default();
        let phone = self.facts.phone.clone().unwrap_or_default();
        let numbers = &mut state.numbers;
        let result = match self.call.action.as_str() {
            VERIFIED => {
                let code = self.call.param("VerifyCode").unwrap_or_default();
                numbers.verify(settings, &space, &phone, &code, when)
            }
            READ_STATUS => numbers.read_status(settings, &space, &phone, now_us),
            "CreateChatappMigrationInitiate" => numbers.initiate(settings, &space, &phone),
            "GetMigrationVerifyCode" => {
                let digits = state.ids.u32(100_000..=999_999).to_string();
                numbers.send_code(settings, &space, &phone, digits, when.wall)
            }
            "ChatappMigrationRegister" => numbers.register(settings, &space, &phone),
            // Only if the API check is switched off.
            _ => Err(settings.refusals.unknown_number.clone()),
        };
        self.executed(state, now_us, result.is_ok());
        result
    }

    fn executed(&self, state: &mut State, now_us: u64, accepted: bool) {
        state.ledger.update(self.seq, |entry| {
            entry.executed_us = Some(now_us);
            entry.decision = match accepted {
                true => Decision::Accepted,
                false => Decision::Refused,
            };
        });
    }

    /// The answer of STS. A key that STS issues becomes one of the gateway's keys.
    fn execute_sts(&self) -> Result<Value, Refusal> {
        let state = &mut *self.shared.lock();
        let now_us = self.shared.clock.now_us();
        let now = self.wall(&state.settings);
        let key = self.call.key_id.as_ref().and_then(|id| state.keys.get(id));
        let result = state.sts.execute(&self.call, key, now, &mut state.ids);
        self.executed(state, now_us, result.is_ok());
        let (body, key) = result?;
        if let Some(key) = key {
            state.keys.insert(key.id.clone(), key);
        }
        Ok(body)
    }

    fn reply(&self, result: Result<Data, Refusal>, effects: &Effects) -> Reply {
        let shape = self.shared.lock().settings.replies;
        let shape = Replies {
            mask_phone: shape.mask_phone || effects.mask_phone,
            omit_phone: shape.omit_phone,
            omit_id: shape.omit_id || effects.omit_id,
            omit_data: shape.omit_data || effects.omit_data,
        };
        let message = effects.message.as_deref();
        match result {
            Ok(mut data) => {
                if let Some(phone) = &effects.other_phone {
                    data.phone = Some(phone.clone());
                }
                self.letterhead().success(&data, shape, message)
            }
            Err(refusal) => self.letterhead().refusal(&refusal, message),
        }
    }

    fn letterhead(&self) -> Letterhead {
        Letterhead {
            request_id: self.request_id.clone(),
            host: self.call.host.clone(),
            action: self.call.action.clone(),
            date: self.wall(&self.shared.lock().settings),
            format: self.call.format,
        }
    }

    /// The gateway's wall clock, as this request meets it.
    fn wall(&self, settings: &Settings) -> Timestamp {
        let offset = settings.clock_offset_ms.saturating_add(self.offset_ms);
        shifted(self.shared.clock.wall(), offset)
    }

    /// Changes the entry of this request.
    pub fn update(&self, change: impl FnOnce(&mut Entry)) {
        self.shared.lock().ledger.update(self.seq, change);
    }
}
