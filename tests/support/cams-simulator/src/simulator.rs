//! The running simulator: its thread, and the methods for tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::config::{AccessKey, Config, KeyState};
use crate::fault::FaultRule;
use crate::held::{Held, Release};
use crate::ledger::Entry;
use crate::numbers::Number;
use crate::rules::{FaultId, FaultState};
use crate::settings::{Quota, Settings};
use crate::start::{Error, listen_on, spawn_listeners, state};
use crate::state::Shared;
use crate::sts::{OidcProvider, Role};
use crate::summary::Summary;

/// A running simulator, on a thread of its own so that a busy test does not delay the
/// stamping of arrivals. Stops when dropped.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    gateway: SocketAddr,
    admin: SocketAddr,
    metadata: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts; all listeners accept when this returns.
    pub fn start(config: Config) -> Result<Self, Error> {
        let (gateway_listener, gateway) = listen_on(config.listen)?;
        let (admin_listener, admin) = listen_on(config.admin)?;
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (metadata_listener, metadata) = listen_on(any_port)?;
        let shared = Arc::new(Shared::new(state(config)?));
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::Start)?;
        spawn_listeners(
            &runtime,
            Arc::clone(&shared),
            gateway_listener,
            admin_listener,
            metadata_listener,
        )
        .map_err(Error::Start)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("cams-simulator".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .map_err(Error::Start)?;
        Ok(Self {
            shared,
            gateway,
            admin,
            metadata,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:port`, the endpoint for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.gateway)
    }

    /// `http://127.0.0.1:port` of the admin interface.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// `http://127.0.0.1:port` of an instance's metadata service.
    pub fn metadata_url(&self) -> String {
        format!("http://{}", self.metadata)
    }

    /// Gives the instance this role, or none.
    pub fn set_instance_role(&self, arn: Option<&str>) {
        self.shared.lock().metadata.role = arn.map(str::to_owned);
    }

    /// The paths that the metadata service was asked for, in order.
    pub fn metadata_asked(&self) -> Vec<String> {
        self.shared.lock().metadata.answered.clone()
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway
    }

    /// Adds a key or replaces the one of that id.
    pub fn add_key(&self, key: AccessKey) {
        self.shared.lock().keys.insert(key.id.clone(), key);
    }

    /// Takes a key away; calls with it are then refused as `InvalidAccessKeyId.NotFound`.
    pub fn remove_key(&self, id: &str) -> bool {
        self.shared.lock().keys.remove(id).is_some()
    }

    /// Changes the state of a key at the gateway; false if the gateway does not know it.
    pub fn set_key_state(&self, id: &str, to: KeyState) -> bool {
        let mut state = self.shared.lock();
        state.keys.get_mut(id).map(|key| key.state = to).is_some()
    }

    /// Makes an issuer of tokens known to RAM, or replaces it.
    pub fn add_provider(&self, provider: OidcProvider) {
        let mut state = self.shared.lock();
        state.sts.providers.insert(provider.arn.clone(), provider);
    }

    /// Adds a role or replaces the one of that ARN. Keys that STS already issued for it stay good.
    pub fn add_role(&self, role: Role) {
        self.shared.lock().sts.roles.insert(role.arn.clone(), role);
    }

    /// Takes a role away: no key or token can assume it any more.
    pub fn remove_role(&self, arn: &str) -> bool {
        self.shared.lock().sts.roles.remove(arn).is_some()
    }

    /// The keys that STS issued, with their secrets.
    pub fn given_keys(&self) -> Vec<AccessKey> {
        let state = self.shared.lock();
        let given = state.keys.values().filter(|key| key.role.is_some());
        given.cloned().collect()
    }

    /// Adds or replaces a number.
    pub fn add_number(&self, number: Number) {
        self.shared.lock().numbers.put(number);
    }

    /// Makes this the right code of a number, without expiry; false if it is not known.
    pub fn set_code(&self, phone: &str, code: &str) -> bool {
        let mut state = self.shared.lock();
        let Some(number) = state.numbers.get_mut(phone) else {
            return false;
        };
        number.code = Some(code.to_owned());
        number.code_expires_at = None;
        true
    }

    /// A number as it is now.
    pub fn number(&self, phone: &str) -> Option<Number> {
        self.shared.lock().numbers.get(phone).cloned()
    }

    pub fn numbers(&self) -> Vec<Number> {
        self.shared.lock().numbers.all()
    }

    pub fn add_fault(&self, rule: impl Into<FaultRule>) -> Result<FaultId, Error> {
        let now = self.shared.clock.now_us();
        let mut state = self.shared.lock();
        state.rules.add(rule.into(), now).map_err(Error::Invalid)
    }

    /// Takes one rule away; false if it was not there.
    pub fn remove_fault(&self, id: FaultId) -> bool {
        self.shared.lock().rules.remove(id)
    }

    /// Takes all rules away. Requests that are held stay held.
    pub fn clear_faults(&self) {
        self.shared.lock().rules.clear();
    }

    /// The rules in force and how often each was met.
    pub fn faults(&self) -> Vec<FaultState> {
        self.shared.lock().rules.all()
    }

    /// All received requests, in order.
    pub fn ledger(&self) -> Vec<Entry> {
        self.shared.lock().ledger.since(0)
    }

    /// The entries after a sequence number.
    pub fn ledger_since(&self, seq: u64) -> Vec<Entry> {
        self.shared.lock().ledger.since(seq)
    }

    /// The first entry that fits, or comes to fit within the timeout. Checks every 2 ms.
    pub async fn wait_entry(
        &self,
        timeout: Duration,
        fits: impl Fn(&Entry) -> bool,
    ) -> Option<Entry> {
        let end = tokio::time::Instant::now() + timeout;
        loop {
            let found = self.shared.lock().ledger.find(&fits);
            if found.is_some() || tokio::time::Instant::now() >= end {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Forgets the entries; sequence numbers go on.
    pub fn clear_ledger(&self) {
        self.shared.lock().ledger.clear();
    }

    /// How many calls of an action were accepted so far.
    pub fn accepted(&self, action: &str) -> usize {
        self.shared.lock().ledger.accepted(action)
    }

    pub fn summary(&self) -> Summary {
        self.shared.lock().ledger.summary()
    }

    /// The first request that is held, or gets held within the timeout.
    pub async fn wait_held(&self, timeout: Duration) -> Option<Held> {
        self.shared.held.wait(timeout, |_| true).await
    }

    /// The same for requests that fit.
    pub async fn wait_held_where(
        &self,
        timeout: Duration,
        fits: impl Fn(&Held) -> bool,
    ) -> Option<Held> {
        self.shared.held.wait(timeout, fits).await
    }

    pub fn held(&self) -> Vec<Held> {
        self.shared.held.all()
    }

    /// Releases a held request; false if it is not held.
    pub fn release(&self, id: u64, how: Release) -> bool {
        self.shared.held.release(id, how)
    }

    /// Releases all held requests; returns how many.
    pub fn release_all(&self, how: Release) -> usize {
        self.shared.held.release_all(how)
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Settings {
        self.shared.lock().settings.clone()
    }

    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) -> Result<(), Error> {
        let changed = self.shared.change_settings(change);
        changed.map(drop).map_err(Error::Invalid)
    }

    /// The quota of one action, or of all that have none of their own.
    pub fn set_quota(&self, action: Option<&str>, quota: Quota) {
        self.set(|settings| match action {
            Some(action) => {
                settings.quotas.insert(action.to_owned(), quota);
            }
            None => settings.quota = quota,
        });
    }

    /// Moves the gateway's wall clock.
    pub fn set_clock_offset(&self, ms: i64) {
        self.set(|settings| settings.clock_offset_ms = ms);
    }

    /// Server time between counting and executing.
    pub fn set_processing(&self, ms: u64) {
        self.set(|settings| settings.processing_ms = ms);
    }

    /// Added to that for each call: uniform in `0..=ms`.
    pub fn set_processing_jitter(&self, ms: u64) {
        self.set(|settings| settings.processing_jitter_ms = ms);
    }

    /// Lateness of arrival, uniform in `0..=ms`.
    pub fn set_jitter(&self, ms: u64, seed: u64) {
        self.set(|settings| {
            settings.jitter_ms = ms;
            settings.jitter_seed = seed;
        });
    }

    /// Lag of the status read.
    pub fn set_read_lag(&self, ms: u64) {
        self.set(|settings| settings.read_lag_ms = ms);
    }

    /// The simulator's monotonic clock, as in the ledger.
    pub fn now_us(&self) -> u64 {
        self.shared.clock.now_us()
    }

    /// Changes that cannot make the settings unusable.
    fn set(&self, change: impl FnOnce(&mut Settings)) {
        let _ = self.shared.change_settings(change);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
