//! `retry NAME`.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use phone_migration_api::crd::PhoneMigration;
use phone_migration_api::reason::Reason;

use super::{connect, get};
use crate::args::{Connection, RetryArgs, resource_name};
use crate::cluster::{Cluster, Key};
use crate::exit::{Exit, Failure};
use crate::owners::{owner_of_retry_token, with_product};
use crate::state;
use crate::terminal::{Console, Interrupt};

const LOOK: Duration = Duration::from_millis(500);

/// Changes spec.retryToken, and reports how the operator responds.
pub async fn run(
    connection: &Connection,
    args: &RetryArgs,
    console: &Console,
) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen();
    let (cluster, namespace) = connect(connection).await?;
    let key = Key {
        namespace,
        name: resource_name(&args.name).to_owned(),
    };
    let object = get(&cluster, &key).await?;
    if state::reason(&object) == Some(Reason::Verified) {
        console.note(&format!("{key} is verified: there is nothing to retry"));
        return Ok(Exit::Done);
    }
    let token = Timestamp::now().to_string();
    let owner = owner_of_retry_token(&object.metadata).filter(|_| !args.force);
    if let Some(owner) = owner {
        return Err(Failure::person(for_git(&key, &owner, &token)));
    }
    let set = cluster.set_retry_token(&key, &token).await;
    set.map_err(|error| error.while_(&format!("PhoneMigration {key}")))?;
    console.note(&format!(
        "spec.retryToken of {key} is changed. Waiting for the operator …"
    ));
    tokio::select! {
        answer = answer(&cluster, &key, &token, args.timeout) => {
            let Some(object) = answer? else {
                console.note("The operator has not reconciled it: is it running?");
                return Ok(Exit::Timeout);
            };
            tell(&object, console);
            Ok(Exit::Done)
        }
        () = interrupt.wait() => Ok(Exit::Interrupted),
    }
}

fn for_git(key: &Key, owner: &str, token: &str) -> String {
    format!(
        "spec.retryToken of {key} belongs to {}, which would put its own value back. Change it in Git:\n\
         \n  spec:\n    retryToken: \"{token}\"\n\nor use --force",
        with_product(owner)
    )
}

async fn answer(
    cluster: &Cluster,
    key: &Key,
    token: &str,
    timeout: Duration,
) -> Result<Option<PhoneMigration>, Failure> {
    let deadline = Instant::now() + timeout;
    loop {
        let object = get(cluster, key).await?;
        let status = object.status.as_ref();
        let handled = status.and_then(|status| status.last_handled_retry_token.as_deref());
        if handled == Some(token) {
            return Ok(Some(object));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn tell(object: &PhoneMigration, console: &Console) {
    let status = object.status.as_ref();
    let spent = status.map_or(0, |status| status.history.len());
    let limit = status.map_or(0, |status| status.attempt_limit());
    console.out(&format!(
        "{}  {}  ({spent} of {limit} codes spent)",
        Key::of(object).name,
        state::word(object)
    ));
    let message = state::message(object);
    if !message.is_empty() {
        console.out(&format!("  {message}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_for_git_is_complete() {
        let key = Key {
            namespace: "tenant-a".into(),
            name: "store-42".into(),
        };
        let text = for_git(&key, "kustomize-controller", "2026-01-31T12:00:00Z");
        assert!(text.contains("kustomize-controller (Flux)"), "{text}");
        assert!(
            text.contains("  spec:\n    retryToken: \"2026-01-31T12:00:00Z\"\n"),
            "{text}"
        );
    }
}
