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
pub(crate) struct KeyRenewer {
    login: Login,
    session: Arc<Session>,
    renewal: Renewal,
    /// Failure of the last exchange, so that a lasting failure is logged once.
    failure: Option<Fault>,
}

impl KeyRenewer {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;

    use super::*;
    use crate::app::operator::credentials;
    use crate::cams::credentials::renewal::Life;
    use crate::cams::sts::{Identity, MetadataClient, OidcRole, SignIn, Sources, StsClient};
    use crate::cams::{
        Cams, CamsConfig, ClientOptions, CredentialSource, Credentials, DEFAULT_ENDPOINT,
        Destination, Endpoint, KeySource, SignatureVersion,
    };
    use crate::quota::{Action, BlockCause, Quota, Report, Settings};
    use crate::secret::Secret;
    use crate::telemetry::metrics::Metrics;

    /// A renewer of a ServiceAccount's key, with STS at this URL.
    fn renewer(sts: &str, token_file: PathBuf) -> KeyRenewer {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let endpoint = Endpoint::parse(Destination::Sts, sts, true).unwrap();
        let sts = StsClient::new(endpoint, ClientOptions::default()).unwrap();
        let sign_in = SignIn {
            identity: Identity::Oidc(OidcRole {
                role_arn: "acs:ram::1:role/phmig".to_owned(),
                provider_arn: "acs:ram::1:oidc-provider/ack".to_owned(),
                token_file,
            }),
            assume_role: None,
            session_name: "me".to_owned(),
        };
        let sources = Sources {
            key: || CredentialSource::environment(|_| None),
            metadata: || MetadataClient::new(Endpoint::metadata()),
        };
        let login = Login::new(&sign_in, sources, sts).unwrap();
        KeyRenewer::new(login, Arc::default())
    }

    fn without_token() -> KeyRenewer {
        renewer("http://127.0.0.1:1", PathBuf::from("/nowhere/token"))
    }

    fn key() -> SessionKey {
        let begin = clock::boot();
        SessionKey {
            credentials: Arc::new(Credentials {
                access_key_id: "STS.id".to_owned(),
                access_key_secret: Secret::new("secret".to_owned()),
                security_token: Some(Secret::new("token".to_owned())),
            }),
            life: Life {
                begin,
                end: begin + Duration::from_secs(3600),
            },
        }
    }

    /// The last exchange was ten seconds ago.
    fn signed_in(renewer: &mut KeyRenewer) {
        renewer.renewed(key(), None, false);
        let life = renewer.session.key().unwrap().life;
        let then = clock::boot().saturating_sub(Duration::from_secs(10));
        renewer.renewal.succeeded(life, jitter(), false, then);
    }

    fn metrics() -> Metrics {
        Metrics::new("default", [])
    }

    #[tokio::test]
    async fn a_failed_exchange_is_repeated_later_and_the_old_key_stays_in_use() {
        let mut renewer = without_token();
        assert!(renewer.is_due(false), "at once at the start");
        signed_in(&mut renewer);
        assert!(!renewer.is_due(false) && renewer.is_due(true));
        let until = renewer.session.key().unwrap().life.use_until();
        renewer.renew(false, &metrics().sign_in).await;
        assert!(matches!(renewer.failure(), Some(Fault::Token(_))));
        assert!(!renewer.is_due(false) && !renewer.is_due(true));
        assert_eq!(renewer.session.key().unwrap().life.use_until(), until);
        assert_eq!(renewer.session.changes(), 1);
    }

    #[test]
    fn a_new_key_is_put_into_use_and_not_renewed_at_once() {
        let mut renewer = without_token();
        renewer.renewed(key(), None, false);
        assert_eq!(renewer.session.changes(), 1);
        assert!(!renewer.is_due(false));
        let refused = renewer.renewal.due_at(true);
        assert!(refused > clock::boot(), "not every second");
        assert!(refused <= clock::boot() + Duration::from_secs(5));
    }

    #[test]
    fn processes_that_start_together_do_not_renew_together() {
        let due = |_| {
            let mut renewer = without_token();
            renewer.renewed(key(), None, false);
            let life = renewer.session.key().unwrap().life;
            life.end.saturating_sub(renewer.renewal.due_at(false))
        };
        let mut leads: Vec<Duration> = (0..20).map(due).collect();
        leads.sort();
        let (least, most) = (leads[0], leads[19]);
        let lead = Duration::from_secs(15 * 60);
        assert!(least >= lead && most <= lead + MOST_JITTER, "{leads:?}");
        assert!(most - least > Duration::from_secs(10), "{leads:?}");
    }

    /// How often the loop asks an STS that never answers, in four rounds, one a second. `held`: CAMS
    /// refuses the key in use.
    async fn asked(held: bool, prepare: impl FnOnce(&mut KeyRenewer)) -> usize {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let silent = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                open.push(socket);
            }
        });
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "to.ke.n").unwrap();
        let mut renewer = renewer(&url, token.path().to_owned());
        prepare(&mut renewer);
        let cams = Cams::new(CamsConfig {
            endpoint: Endpoint::parse(Destination::Cams, DEFAULT_ENDPOINT, false).unwrap(),
            signature: SignatureVersion::V1,
            credentials: KeySource::Session(Arc::clone(&renewer.session)),
            options: ClientOptions::default(),
        })
        .unwrap();
        let (wake, _woken) = tokio::sync::mpsc::unbounded_channel();
        let (quota, _dispatcher) = Quota::new(Settings { qps: 10 }, wake);
        if held {
            let refused = Report::Blocked(BlockCause::Credentials);
            quota.report(Action::GetPhoneNumberVerificationStatus, refused);
        }
        let run = credentials::run(cams, quota, Some(renewer), Arc::new(metrics()));
        let ended = tokio::time::timeout(Duration::from_millis(4500), run).await;
        assert!(ended.is_err());
        silent.abort();
        accepted.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn one_exchange_is_in_flight_when_a_key_is_missing_or_refused() {
        let all = tokio::join!(
            asked(false, |_| {}),
            asked(false, signed_in),
            asked(true, signed_in)
        );
        assert_eq!(all, (1, 0, 1));
    }
}
