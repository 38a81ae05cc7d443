//! Whether CAMS takes our credentials.

use super::Finding;
use crate::cams::{BlockCause, Cams, ReadFailure, StatusAnswer, StatusVerdict, Target};
use crate::clock;
use crate::config::Config;
use crate::operator;
use crate::status_read::MOST_SKEW;

const CREDENTIALS: &str = "credentials";
const CAMS: &str = "CAMS";

/// A number of an unassigned country code, in a space that nobody has: reading its status changes
/// nothing.
const NOBODY: Target<'_> = Target {
    cust_space_id: "0",
    phone_number: "999000000000",
};

pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let cams = match operator::cams(config) {
        Ok(cams) => cams,
        Err(error) => {
            return vec![
                Finding::wrong(CREDENTIALS, error.to_string()),
                Finding::not_checked(CAMS, "it cannot be called without credentials"),
            ];
        }
    };
    let place = match &config.credentials_dir {
        Some(directory) => format!("read from {}", directory.display()),
        None => "read from the environment".to_owned(),
    };
    vec![Finding::fine(CREDENTIALS, place), read(&cams).await]
}

async fn read(cams: &Cams) -> Finding {
    let Ok(nonce) = clock::random::<16>() else {
        return Finding::wrong(CAMS, "the operating system gives no random bytes");
    };
    let signed = clock::now().wall;
    let request = cams.sign_status(NOBODY, &crate::code::hex(&nonce), signed);
    let call = cams.read_status(request, || async { Ok(()) }).await;
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
    judge(&call.answer)
}

/// What a reply to the read of nobody's number says about us.
fn judge(answer: &StatusAnswer) -> Finding {
    let code = answer.code.as_deref().unwrap_or("no code");
    let message = answer.message.as_deref().unwrap_or("no message");
    match &answer.verdict {
        StatusVerdict::Verified { .. }
        | StatusVerdict::NotVerified { .. }
        | StatusVerdict::Failed(ReadFailure::Refused(_) | ReadFailure::NoStatus) => Finding::fine(
            CAMS,
            format!(
                "takes the credentials (a status read of nobody's number: {code}); whether they \
                 may submit shows only at the first submission"
            ),
        ),
        StatusVerdict::Throttled { .. } => Finding::fine(
            CAMS,
            format!("answers, and throttles the account at the moment ({code})"),
        ),
        StatusVerdict::Blocked(BlockCause::Credentials) => Finding::wrong(
            CAMS,
            format!("refuses the credentials ({code}: {message}): give it a valid AccessKey"),
        ),
        StatusVerdict::Blocked(BlockCause::Account) => Finding::wrong(
            CAMS,
            format!(
                "refuses the account ({code}: {message}): allow the RAM user \
                 cams:GetPhoneNumberVerificationStatus and cams:ChatappMigrationVerified, and check \
                 the subscription"
            ),
        ),
        StatusVerdict::Blocked(BlockCause::Clock) => Finding::wrong(
            CAMS,
            format!("refuses the time of the signature ({code}): correct this machine's clock"),
        ),
        StatusVerdict::Failed(ReadFailure::NotSent(_)) => Finding::wrong(
            CAMS,
            format!(
                "cannot be reached ({message}): check --cams-endpoint, DNS and the egress rules"
            ),
        ),
        StatusVerdict::Failed(ReadFailure::Unknown(_)) => Finding::wrong(
            CAMS,
            format!(
                "gives no answer of its own ({message}): check --cams-endpoint and what is in \
                 between"
            ),
        ),
    }
}
