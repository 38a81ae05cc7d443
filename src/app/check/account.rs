//! Checks the sign-in, reports the identity, and checks that CAMS accepts the credentials.

use super::Finding;
use crate::app::config::Config;
use crate::app::operator;
use crate::cams::{BlockCause, Cams, MOST_SKEW, StatusAnswer, Target, Verdict as CallVerdict};
use crate::clock;
use crate::operator::state::context::ACCOUNT as CHECKED;
use crate::telemetry::metrics::Metrics;

const CREDENTIALS: &str = "credentials";
const ACCOUNT: &str = "account";
const CAMS: &str = "CAMS";

/// A number of an unassigned country code, in a space that does not exist: reading its status
/// changes nothing.
const NOBODY: Target<'_> = Target {
    cust_space_id: "0",
    phone_number: "999000000000",
};

pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let no_credentials = "it cannot be asked without credentials";
    let wrong = |error: String| {
        vec![
            Finding::wrong(CREDENTIALS, error),
            Finding::not_checked(ACCOUNT, no_credentials),
            Finding::not_checked(CAMS, no_credentials),
        ]
    };
    let (cams, keeper) = match operator::account(config) {
        Ok(account) => account,
        Err(error) => return wrong(error.to_string()),
    };
    if let Some(mut keeper) = keeper {
        let metrics = Metrics::new(CHECKED, []);
        keeper.renew(false, &metrics.sign_in).await;
        if let Some(fault) = keeper.failure() {
            return wrong(fault.to_string());
        }
    }
    vec![
        Finding::fine(CREDENTIALS, config.sign_in.to_string()),
        account(config, &cams).await,
        read(&cams).await,
    ]
}

/// Reports the owner of the credentials. With an AccessKey nothing else needs STS, so an
/// unreachable STS is not a fault.
async fn account(config: &Config, cams: &Cams) -> Finding {
    let (sts, credentials) = match (operator::sts(config), cams.credentials()) {
        (Ok(sts), Some(credentials)) => (sts, credentials),
        (Err(error), _) => return Finding::wrong(ACCOUNT, error.to_string()),
        (Ok(_), None) => return Finding::not_checked(ACCOUNT, "there is no key to ask with"),
    };
    match sts.get_caller_identity(&credentials).await {
        Ok(caller) => Finding::fine(ACCOUNT, format!("{}, {}", caller.account_id, caller.arn)),
        // The next line shows whether CAMS accepts the key.
        Err(fault) => Finding::not_checked(ACCOUNT, fault.to_string()),
    }
}

async fn read(cams: &Cams) -> Finding {
    let Some(mut answer) = read_once(cams).await else {
        return Finding::wrong(CAMS, "the operating system gives no random bytes");
    };
    // A single reply does not show which clock is wrong.
    if cams.clock_is_in_doubt() {
        answer = read_once(cams).await.unwrap_or(answer);
    }
    let skew = cams.clock_skew(clock::now());
    let far = skew.filter(|skew| skew.unsigned_abs() > MOST_SKEW);
    if let Some(skew) = far {
        let text = format!(
            "its clock and that of this machine differ by {} s, and a signature holds the time: \
             correct this machine's clock",
            skew.as_secs()
        );
        return Finding::wrong(CAMS, text);
    }
    judge(&answer)
}

async fn read_once(cams: &Cams) -> Option<StatusAnswer> {
    let nonce = clock::random::<16>().ok()?;
    let signed = clock::now().wall;
    let request = cams.sign_status(NOBODY, &crate::hex::hex(&nonce), signed);
    Some(cams.read_status(request, || async { Ok(()) }).await.answer)
}

/// Turns the reply to the status read into a finding.
fn judge(answer: &StatusAnswer) -> Finding {
    let code = answer.code.as_deref().unwrap_or("no code");
    let message = answer.message.as_deref().unwrap_or("no message");
    match &answer.verdict {
        CallVerdict::Accepted(_) | CallVerdict::Refused(_) => Finding::fine(
            CAMS,
            format!(
                "takes the credentials (a status read of nobody's number: {code}); whether they \
                 may submit shows only at the first submission"
            ),
        ),
        CallVerdict::Throttled { .. } => Finding::fine(
            CAMS,
            format!("answers, and throttles the account at the moment ({code})"),
        ),
        CallVerdict::Blocked(BlockCause::Credentials) => Finding::wrong(
            CAMS,
            format!("refuses the credentials ({code}: {message}): give it a valid AccessKey"),
        ),
        CallVerdict::Blocked(BlockCause::Account) => Finding::wrong(
            CAMS,
            format!(
                "refuses the account ({code}: {message}): allow the RAM user or role \
                 cams:GetPhoneNumberVerificationStatus and cams:ChatappMigrationVerified, and check \
                 the subscription"
            ),
        ),
        CallVerdict::Blocked(BlockCause::Clock) => Finding::wrong(
            CAMS,
            format!("refuses the time of the signature ({code}): correct this machine's clock"),
        ),
        CallVerdict::NotSent(_) => Finding::wrong(
            CAMS,
            format!(
                "cannot be reached ({message}): check --cams-endpoint, DNS and the egress rules"
            ),
        ),
        CallVerdict::Unknown(_) => Finding::wrong(
            CAMS,
            format!(
                "gives no answer of its own ({message}): check --cams-endpoint and what is in \
                 between"
            ),
        ),
    }
}
