//! `explain NAME`: adds facts that the resource's message does not hold.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use phone_migration_api::crd::PhoneMigration;
use phone_migration_api::poll_interval::Interval;
use phone_migration_api::reason::Reason;

use super::{connect, get};
use crate::args::{Connection, ExplainArgs, resource_name};
use crate::cluster::secret::Stored;
use crate::cluster::{ApiError, Cluster, Key};
use crate::exit::{Exit, Failure};
use crate::owners::{owner_of_secret, with_product};
use crate::state;
use crate::terminal::{Console, Tone};
use crate::text::{age, clean, clock, columns, masked, span};

/// The Lease of the shipped manifests.
const LEASE: &str = "phone-migration-operator";

/// One item that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    mark: &'static str,
    subject: &'static str,
    text: String,
}

fn ok(subject: &'static str, text: String) -> Finding {
    Finding {
        mark: "ok",
        subject,
        text,
    }
}

fn no(subject: &'static str, text: String) -> Finding {
    Finding {
        mark: "no",
        subject,
        text,
    }
}

/// Neither good nor bad, or unknown.
fn told(subject: &'static str, text: String) -> Finding {
    Finding {
        mark: "",
        subject,
        text,
    }
}

/// Explains why a number makes no progress.
pub async fn run(
    connection: &Connection,
    args: &ExplainArgs,
    console: &Console,
) -> Result<Exit, Failure> {
    let (cluster, namespace) = connect(connection).await?;
    let key = Key {
        namespace,
        name: resource_name(&args.name).to_owned(),
    };
    let object = get(&cluster, &key).await?;
    let now = Timestamp::now();
    let findings = findings(&cluster, &object, &args.operator_namespace, now).await;
    console.out(&head(&object, now));
    let message = state::message(&object);
    if !message.is_empty() {
        console.out(&message);
    }
    console.out("");
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|f| vec![f.mark.to_owned(), f.subject.to_owned(), f.text.clone()])
        .collect();
    for (line, finding) in columns(&rows).iter().zip(&findings) {
        let tone = match finding.mark {
            "ok" => Tone::Good,
            "no" => Tone::Bad,
            _ => Tone::Faint,
        };
        match finding.mark {
            "" => console.out(line),
            mark => console.out(&line.replacen(mark, &console.paint(tone, mark), 1)),
        }
    }
    let advice = state::reason(&object).map(|reason| state::advice(reason, &key));
    if let Some(advice) = advice.filter(|advice| !advice.is_empty()) {
        console.out("");
        console.out(&format!("Do: {advice}"));
    }
    Ok(Exit::Done)
}

fn head(object: &PhoneMigration, now: Timestamp) -> String {
    let key = Key::of(object);
    let since =
        state::since(object).map_or_else(String::new, |at| format!(" for {}", age(at, now)));
    format!(
        "{} ({}): {}{since}",
        key.name,
        masked(&object.spec.phone_number),
        state::word(object)
    )
}

async fn findings(
    cluster: &Cluster,
    object: &PhoneMigration,
    operator_namespace: &str,
    now: Timestamp,
) -> Vec<Finding> {
    let key = Key::of(object);
    let name = &object.spec.verify_code_secret_ref.name;
    let (lease, secret) = tokio::join!(
        cluster.lease(operator_namespace, LEASE),
        cluster.secret(&key.namespace, name)
    );
    let mut all = vec![operator(lease, operator_namespace, now), seen(object, now)];
    all.push(secret_finding(object, secret, now));
    all.extend(attempts(object));
    all.extend(next_poll(object, now));
    all
}

fn operator(lease: Result<Option<Lease>, ApiError>, namespace: &str, now: Timestamp) -> Finding {
    let subject = "operator";
    let lease = match lease {
        Ok(Some(lease)) => lease.spec.unwrap_or_default(),
        Ok(None) => {
            return told(
                subject,
                format!(
                    "no Lease {LEASE} in namespace {namespace}: no operator ran there \
                     (--operator-namespace), or it runs without leader election"
                ),
            );
        }
        Err(ApiError::Forbidden(_)) => {
            return told(
                subject,
                format!("cannot be told: no right to get leases in namespace {namespace}"),
            );
        }
        Err(error) => return told(subject, format!("cannot be told: {error}")),
    };
    let holder = clean(lease.holder_identity.as_deref().unwrap_or_default());
    let Some(renewed) = lease.renew_time.map(|at| at.0) else {
        return no(
            subject,
            "nobody holds the Lease: the operator is not running".to_owned(),
        );
    };
    let allowed = i64::from(lease.lease_duration_seconds.unwrap_or(30));
    let gone = now.as_second() - renewed.as_second();
    let ago = age(renewed, now);
    if holder.is_empty() {
        return no(
            subject,
            format!("it stopped {ago} ago: nobody holds the Lease"),
        );
    }
    match gone <= allowed {
        true => ok(subject, format!("leader {holder}, Lease renewed {ago} ago")),
        false => no(
            subject,
            format!("leader {holder} last renewed the Lease {ago} ago: it is not running"),
        ),
    }
}

fn seen(object: &PhoneMigration, now: Timestamp) -> Finding {
    let generation = object.metadata.generation.unwrap_or(0);
    let observed = object.status.as_ref().and_then(|s| s.observed_generation);
    let observed = observed.unwrap_or(-1).max(0);
    let text = format!("generation {observed} of {generation}");
    if !state::is_unseen(object) {
        return ok("seen", text);
    }
    let since = state::requested_at(object);
    let since = since.map_or_else(String::new, |at| format!(", asked {} ago", age(at, now)));
    no(
        "seen",
        format!("{text}: the operator has not looked at the latest change{since}"),
    )
}

fn secret_finding(
    object: &PhoneMigration,
    secret: Result<Option<Stored>, ApiError>,
    now: Timestamp,
) -> Finding {
    let reference = &object.spec.verify_code_secret_ref;
    let name = format!("{}/{}", Key::of(object).namespace, clean(&reference.name));
    let secret = match secret {
        Ok(Some(secret)) => secret,
        Ok(None) => return no("Secret", format!("{name} does not exist")),
        Err(ApiError::Forbidden(_)) => {
            return told(
                "Secret",
                format!("{name}: cannot be told: no right to get it"),
            );
        }
        Err(error) => return told("Secret", format!("{name}: cannot be told: {error}")),
    };
    if !secret.keys().contains(&reference.key.as_str()) {
        return no(
            "Secret",
            format!("{name} has no key {}", clean(&reference.key)),
        );
    }
    let owner = owner_of_secret(&secret.metadata, &reference.key);
    let owner = owner.map_or_else(String::new, |owner| {
        format!(", owned by {}", with_product(&owner))
    });
    let written = secret.metadata.managed_fields.iter().flatten();
    let written = written
        .filter_map(|entry| entry.time.as_ref().map(|at| at.0))
        .max();
    let written = written.or(secret.metadata.creation_timestamp.as_ref().map(|at| at.0));
    let written = written.map_or_else(String::new, |at| format!(", written {} ago", age(at, now)));
    let version = secret.metadata.resource_version.as_deref();
    let attempt = object.status.as_ref().and_then(|s| s.attempt.as_ref());
    let tried = attempt.and_then(|attempt| attempt.secret.as_ref());
    let tried = tried.is_some_and(|tried| Some(tried.resource_version.as_str()) == version);
    let state = match tried {
        true => "; its code is the one of the last attempt",
        false => "; its code was not tried yet",
    };
    let is_verified = state::reason(object) == Some(Reason::Verified);
    let state = if is_verified { "" } else { state };
    ok(
        "Secret",
        format!("{name} has a code{written}{owner}{state}"),
    )
}

fn attempts(object: &PhoneMigration) -> Option<Finding> {
    let status = object.status.as_ref()?;
    let attempt = status.attempt.as_ref()?;
    let outcome = attempt
        .outcome
        .map_or("under way", |outcome| outcome.as_str());
    Some(told(
        "attempts",
        format!(
            "{} of {} codes spent; the last one: {outcome}",
            status.history.len(),
            status.attempt_limit()
        ),
    ))
}

/// When the operator acts again without a change: at the next attempt, or when it reads the Secret
/// that it waits for. A crowd in the same namespace makes that later.
fn next_poll(object: &PhoneMigration, now: Timestamp) -> Option<Finding> {
    let status = object.status.as_ref()?;
    if let Some(at) = &status.next_attempt_at {
        return Some(told("next attempt", format!("at {} UTC", clock(at.0))));
    }
    if !state::wants_a_code(object) {
        return None;
    }
    let unchanged = now.duration_since(state::since(object)?).unsigned_abs();
    let within = i64::try_from(Interval::of(unchanged).within.as_secs()).ok()?;
    let text = format!("within {}; at once after kubectl phmig code", span(within));
    Some(told("next read", text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::state::tests::in_state;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-01-31T12:22:00Z".parse().unwrap()
    }

    fn lease(holder: &str, renewed: &str) -> Lease {
        serde_json::from_value(json!({"metadata": {}, "spec": {"holderIdentity": holder,
            "renewTime": renewed, "leaseDurationSeconds": 30}}))
        .unwrap()
    }

    fn secret(json: Value) -> Stored {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_lease_tells_whether_the_operator_runs() {
        let mark = |lease| operator(lease, "ops", now()).mark;
        let running = lease("pod-1", "2026-01-31T12:21:56.000000Z");
        assert_eq!(mark(Ok(Some(running))), "ok");
        let dead = lease("pod-1", "2026-01-31T12:20:00.000000Z");
        assert_eq!(mark(Ok(Some(dead))), "no");
        let stopped = lease("", "2026-01-31T12:21:56.000000Z");
        assert_eq!(mark(Ok(Some(stopped))), "no");
        assert_eq!(mark(Ok(None)), "");
        assert_eq!(mark(Err(ApiError::of(403, "x"))), "");
    }

    #[test]
    fn the_secret_is_described_without_its_value() {
        let waiting = in_state("store-44", Reason::SecretNotFound, false);
        let none = secret_finding(&waiting, Ok(None), now());
        assert_eq!(
            none,
            no("Secret", "tenant-a/store-44-code does not exist".to_owned())
        );
        let without = secret(json!({"metadata": {}, "data": {"other": "MTIzNDU2"}}));
        let found = secret_finding(&waiting, Ok(Some(without)), now());
        assert!(found.text.contains("has no key code"), "{found:?}");
        let full = secret(
            json!({"metadata": {"creationTimestamp": "2026-01-31T12:00:00Z"},
            "data": {"code": "MTIzNDU2"}}),
        );
        let found = secret_finding(&waiting, Ok(Some(full)), now());
        assert!(
            found.text.contains("has a code, written 22m ago"),
            "{found:?}"
        );
        assert!(!found.text.contains("MTIzNDU2") && !found.text.contains("123456"));
    }

    #[test]
    fn the_next_poll_follows_the_age_of_the_state() {
        let waiting = in_state("a", Reason::SecretNotFound, false);
        let within = |now: &str| {
            let finding = next_poll(&waiting, now.parse().unwrap());
            finding.unwrap().text
        };
        assert!(within("2026-01-31T12:01:00Z").starts_with("within 10s"));
        assert!(within("2026-01-31T12:10:00Z").starts_with("within 60s"));
        assert!(within("2026-01-31T13:00:00Z").starts_with("within 5m"));
    }
}
