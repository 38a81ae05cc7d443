//! Renews a temporary key, and probes a held account as soon as its credentials change: new
//! credentials repair most holds.

use std::sync::Arc;
use std::time::Duration;

use super::sign_in::KeyRenewer;
use crate::cams::Cams;
use crate::quota::{Cause, Quota};
use crate::telemetry::metrics::Metrics;

const EVERY: Duration = Duration::from_secs(1);

/// Renews a temporary key, and makes the quota probe a held account as soon as its credentials
/// change.
pub(super) async fn run(
    cams: Cams,
    quota: Quota,
    mut renewer: Option<KeyRenewer>,
    metrics: Arc<Metrics>,
) {
    let mut tried = cams.credential_changes();
    loop {
        tokio::time::sleep(EVERY).await;
        if let Some(renewer) = &mut renewer {
            let refused = quota
                .hold()
                .is_some_and(|hold| hold.cause == Cause::Credentials);
            if renewer.is_due(refused) {
                renewer.renew(refused, &metrics.sign_in).await;
            }
        }
        try_changed(&cams, &quota, &mut tried);
    }
}

/// During a hold the operator signs nothing, so nothing else reads the credentials again.
fn try_changed(cams: &Cams, quota: &Quota, tried: &mut u64) {
    if quota.hold().is_some() {
        cams.reload_credentials();
    }
    let changes = cams.credential_changes();
    if changes != *tried {
        *tried = changes;
        quota.credentials_changed();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::cams::credentials::{ACCESS_KEY_ID, ACCESS_KEY_SECRET};
    use crate::cams::{
        CamsConfig, ClientOptions, CredentialSource, DEFAULT_ENDPOINT, Destination, Endpoint,
        SignatureVersion,
    };
    use crate::clock;
    use crate::quota::{Action, BlockCause, Report, Settings};

    #[test]
    fn a_held_account_is_probed_when_its_credentials_change() {
        let directory = tempfile::tempdir().unwrap();
        let write = |secret: &str| {
            fs::write(directory.path().join(ACCESS_KEY_ID), "id").unwrap();
            fs::write(directory.path().join(ACCESS_KEY_SECRET), secret).unwrap();
        };
        write("wrong");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cams = Cams::new(CamsConfig {
            endpoint: Endpoint::parse(Destination::Cams, DEFAULT_ENDPOINT, false).unwrap(),
            signature: SignatureVersion::V1,
            credentials: CredentialSource::Directory(directory.path().to_owned()).into(),
            options: ClientOptions::default(),
        })
        .unwrap();
        let (wake, _woken) = tokio::sync::mpsc::unbounded_channel();
        let (quota, _dispatcher) = Quota::new(Settings { qps: 10 }, wake);
        let is_due = || quota.hold().unwrap().next_probe <= clock::boot();
        let mut tried = cams.credential_changes();

        quota.report(
            Action::GetPhoneNumberVerificationStatus,
            Report::Blocked(BlockCause::Credentials),
        );
        try_changed(&cams, &quota, &mut tried);
        assert!(!is_due(), "the same credentials can wait");

        write("right");
        try_changed(&cams, &quota, &mut tried);
        assert!(is_due());
    }
}
