//! Keeps the temporary key of a sign-in fresh: asks STS when [`Renewal`] says so, one exchange at a
//! time, and reports the result.

use std::sync::Arc;
use std::time::Duration;

use crate::cams::credentials::renewal::{MOST_JITTER, Renewal};
use crate::cams::credentials::{Session, SessionKey};
use crate::cams::sts::{Fault, Login, Round};
use crate::clock;
use crate::telemetry::metrics::SignInMetrics;

/// Renews the temporary key.
pub(crate) struct Keeper {
    login: Login,
    session: Arc<Session>,
    renewal: Renewal,
    /// Failure of the last exchange, so that a lasting failure is logged once.
    failure: Option<Fault>,
}

impl Keeper {
    pub(crate) fn new(login: Login, session: Arc<Session>) -> Self {
        Self {
            login,
            session,
            renewal: Renewal::default(),
            failure: None,
        }
    }

    /// Whether an exchange is due. `refused`: CAMS refuses the current key.
    pub(super) fn is_due(&self, refused: bool) -> bool {
        self.renewal.due_at(refused) <= clock::boot()
    }

    /// Asks STS for a key and puts it into use.
    pub(crate) async fn renew(&mut self, refused: bool, metrics: &SignInMetrics) {
        let Round { made, key } = self.login.exchange().await;
        for request in &made {
            metrics.request(request.action, &request.code);
        }
        match key {
            Ok((key, principal)) => self.renewed(key, principal.as_deref(), refused),
            Err(fault) => self.failed(fault),
        }
    }

    /// Why the last exchange returned no key.
    pub(crate) fn failure(&self) -> Option<&Fault> {
        self.failure.as_ref()
    }

    fn renewed(&mut self, key: SessionKey, principal: Option<&str>, refused: bool) {
        let now = clock::boot();
        let life = key.life;
        let is_first = self.session.key().is_none();
        self.session.put(key);
        self.renewal.succeeded(life, jitter(), refused, now);
        let lives = life.end.saturating_sub(now).as_secs();
        if self.failure.take().is_some() || is_first {
            tracing::info!(principal, lives_s = lives, "Signed in to Alibaba Cloud");
        } else {
            tracing::debug!(principal, lives_s = lives, "Key renewed");
        }
    }

    fn failed(&mut self, fault: Fault) {
        let now = clock::boot();
        self.renewal.failed(now);
        if self.failure.as_ref() == Some(&fault) {
            return;
        }
        let good = self.session.key().map(|key| {
            let left = key.life.use_until().saturating_sub(now);
            left.as_secs()
        });
        tracing::warn!(error = %fault, key_good_for_s = good.unwrap_or(0),
            "Not signed in to Alibaba Cloud; it is tried again, and the account is held when the key ends");
        self.failure = Some(fault);
    }
}

/// Processes that started together must not ask STS together.
fn jitter() -> Duration {
    // Without random bytes there is no jitter; nothing depends on it.
    let bytes = clock::random::<4>().unwrap_or_default();
    MOST_JITTER.mul_f64(f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
}
