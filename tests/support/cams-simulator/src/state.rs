//! The state that all connections share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::checks::Memory;
use crate::clock::Clock;
use crate::config::AccessKey;
use crate::held::Registry;
use crate::ledger::Ledger;
use crate::metadata::Metadata;
use crate::numbers::Numbers;
use crate::rules::Rules;
use crate::settings::Settings;
use crate::sts::Sts;

/// The simulator's state. Every decision is made under this one lock, so that two copies of a
/// request that arrive together are told apart as they would be by one server.
#[derive(Debug)]
pub struct State {
    pub settings: Settings,
    /// By AccessKeyId.
    pub keys: BTreeMap<String, AccessKey>,
    /// Roles, and the providers that issue tokens for them.
    pub sts: Sts,
    /// The state of an instance's metadata service.
    pub metadata: Metadata,
    pub numbers: Numbers,
    /// Windows and nonces.
    pub memory: Memory,
    pub rules: Rules,
    /// All requests and their results.
    pub ledger: Ledger,
    /// Request ids and codes.
    pub ids: fastrand::Rng,
    /// Lateness; seeded by the settings.
    pub jitter: fastrand::Rng,
}

/// State, clock and held requests.
#[derive(Debug)]
pub struct Shared {
    pub clock: Clock,
    pub held: Registry,
    state: Mutex<State>,
}

impl Shared {
    pub fn new(state: State) -> Self {
        Self {
            clock: Clock::start(),
            held: Registry::default(),
            state: Mutex::new(state),
        }
    }

    /// The state. Never held across an await.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the settings, if the result is usable.
    /// If the result is unusable, the old settings stay.
    pub fn change_settings(
        &self,
        change: impl FnOnce(&mut Settings),
    ) -> Result<Settings, &'static str> {
        let mut state = self.lock();
        let mut new = state.settings.clone();
        change(&mut new);
        if let Some(fault) = new.fault() {
            return Err(fault);
        }
        if new.jitter_seed != state.settings.jitter_seed {
            state.jitter = fastrand::Rng::with_seed(new.jitter_seed);
        }
        state.settings = new.clone();
        Ok(new)
    }
}
