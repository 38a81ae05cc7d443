//! A state as seen from outside: kstatus, conditions, and the invariants at the end.

use harness::{Figures, reason};
use phone_migration_operator::api::reason::Reason;
use phone_migration_operator::domain::status::present::EVENTS_WITHOUT_STATE;

pub use harness::cases::*;

pub(crate) use crate::OPERATOR;

/// The condition types, in the order in which they are written.
pub const CONDITIONS: [&str; 4] = ["Ready", "Reconciling", "Stalled", "Finished"];
const POLL: Duration = Duration::from_millis(20);

/// The verdict of kstatus on a state, with a pause told apart from progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Current,
    InProgress,
    Failed,
    Paused,
}

/// The expected presentation of a state.
#[derive(Clone, Copy, Debug)]
pub struct State {
    pub reason: &'static str,
    pub class: Class,
    pub finished: bool,
    /// Part of the message: the user's remedy, or the operator's next step.
    pub says: &'static str,
}

fn state(reason: &'static str, class: Class, finished: bool, says: &'static str) -> State {
    State {
        reason,
        class,
        finished,
        says,
    }
}

/// In progress, not finished.
pub fn progress(reason: &'static str, says: &'static str) -> State {
    state(reason, Class::InProgress, false, says)
}

/// Waits for the user, and is not finished.
pub fn stalled(reason: &'static str, says: &'static str) -> State {
    state(reason, Class::Failed, false, says)
}

/// Waits for the user, and is finished.
pub fn ended(reason: &'static str, says: &'static str) -> State {
    state(reason, Class::Failed, true, says)
}

/// The code was refused, and a new one goes on.
pub fn code_refused() -> State {
    ended("CodeRejected", "request a new code")
}

/// Verified.
pub fn verified(says: &'static str) -> State {
    state("Verified", Class::Current, true, says)
}

/// Verified by its own call.
pub fn accepted() -> State {
    verified("CAMS accepted the code")
}

/// Waits for its Secret.
pub fn no_secret() -> State {
    progress("SecretNotFound", "create it in this namespace")
}

/// Throttled, and repeated.
pub fn throttled() -> State {
    progress(
        "Throttled",
        "the code was not spent, and the attempt is repeated",
    )
}

/// Suspended.
pub fn suspended() -> State {
    state("Suspended", Class::Paused, false, "spec.suspend is true")
}

/// The rules of kstatus, as in the library of `kubectl` and Flux.
pub fn kstatus(object: &Value) -> &'static str {
    let status = &object["status"];
    let unseen = object["metadata"]["generation"] != status["observedGeneration"];
    if unseen || condition(status, "Reconciling") == "True" {
        "InProgress"
    } else if condition(status, "Stalled") == "True" {
        "Failed"
    } else if condition(status, "Ready") == "True" {
        "Current"
    } else {
        "InProgress"
    }
}

/// Waits for a state, at most 30 s, and checks every part of it. Returns the status.
pub async fn shows(world: &World, name: &str, state: State) -> Value {
    shows_in(world, &world.namespace, name, state).await
}

/// The same in any namespace.
pub async fn shows_in(world: &World, namespace: &str, name: &str, state: State) -> Value {
    let stalled = match state.class {
        Class::Failed => "True",
        Class::Current | Class::InProgress | Class::Paused => "False",
    };
    let there = |object: &Value| {
        let status = &object["status"];
        reason(status) == state.reason
            && condition(status, "Stalled") == stalled
            && status["observedGeneration"] == object["metadata"]["generation"]
            && message(status).contains(state.says)
    };
    let object = until_object(world, namespace, name, there).await;
    assert_presented(&object, state);
    object["status"].clone()
}

/// Waits for a condition on the whole object.
async fn until_object(
    world: &World,
    namespace: &str,
    name: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let api = world.migrations_in(namespace);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let object = serde_json::to_value(api.get(name).await.unwrap()).unwrap();
        if holds(&object) {
            return object;
        }
        let late = Instant::now() > deadline;
        assert!(!late, "not there in time: {:#}", object["status"]);
        tokio::time::sleep(POLL).await;
    }
}

fn assert_presented(object: &Value, state: State) {
    let status = &object["status"];
    let flags = CONDITIONS.map(|type_| condition(status, type_) == "True");
    let (ready, reconciling, stalled) = match state.class {
        Class::Current => (true, false, false),
        Class::InProgress => (false, true, false),
        Class::Failed => (false, false, true),
        Class::Paused => (false, false, false),
    };
    let wanted = [ready, reconciling, stalled, state.finished];
    assert_eq!(flags, wanted, "{CONDITIONS:?} of {status:#}");
    let class = match state.class {
        Class::Current => "Current",
        Class::InProgress | Class::Paused => "InProgress",
        Class::Failed => "Failed",
    };
    assert_eq!(kstatus(object), class, "{status:#}");
    check_conditions(status);
    for condition in status["conditions"].as_array().unwrap() {
        let generation = &object["metadata"]["generation"];
        assert_eq!(&condition["observedGeneration"], generation, "{status:#}");
    }
}

/// The rules for the conditions of every status that the operator writes.
pub fn check_conditions(status: &Value) {
    let conditions = status["conditions"].as_array().unwrap();
    let types: Vec<&Value> = conditions.iter().map(|c| &c["type"]).collect();
    assert_eq!(types, CONDITIONS, "{status:#}");
    for condition in conditions {
        assert_eq!(condition["reason"], status["reason"], "{status:#}");
        assert!(condition["observedGeneration"].is_i64(), "{status:#}");
        assert!(condition["lastTransitionTime"].is_string(), "{status:#}");
        assert_ne!(condition["message"], "", "{status:#}");
    }
    let both = ["Reconciling", "Stalled"].map(|type_| condition(status, type_) == "True");
    assert_ne!(both, [true, true], "never both: {status:#}");
    let ready = condition(status, "Ready") == "True";
    assert_eq!(ready, status["reason"] == "Verified");
}

/// An operator with fingerprint key number `n`.
pub async fn with_key(world: &World, n: u8) -> Operator {
    let key = world.other_key(n).unwrap();
    world.start(&["--fingerprint-key-file", &key]).await
}

/// Changes the code in place and makes the operator reconcile it.
pub async fn new_code(world: &World, name: &str, code: &str) {
    put_code(world, name, code).await;
    let token = format!("{:?}", Instant::now());
    world.request(name, &token).await.unwrap();
}

/// Changes the code in place.
pub async fn put_code(world: &World, name: &str, code: &str) {
    let (secret, patch) = (
        format!("{name}-code"),
        json!({"stringData": {"code": code}}),
    );
    world.patch_secret(&secret, patch).await.unwrap();
}

/// Whether an Event may have this reason.
fn is_event_reason(reason: &str) -> bool {
    EVENTS_WITHOUT_STATE.contains(&reason) || Reason::parse(reason).is_some()
}

/// `World::finish`; in addition, every status that was ever written keeps the rules for conditions,
/// and every Event has a documented reason.
pub async fn finish(world: &World) -> Figures {
    let figures = world.finish().await.unwrap();
    for event in world.events().await.unwrap() {
        let reason = event.reason.unwrap_or_default();
        assert!(is_event_reason(&reason), "{reason}");
    }
    let is_status = |r: &&AuditEntry| r.verb == "update" && r.subresource == "status";
    for write in figures.requests.iter().filter(is_status) {
        let body = write.request_object.as_ref().expect("a body is audited");
        let status = &body["status"];
        if reason(status).is_empty() {
            // The operator answered a request before there is a state: kstatus must not count that
            // as a state.
            assert!(status["conditions"].is_null(), "{status:#}");
            let generation = &body["metadata"]["generation"];
            assert_ne!(status["observedGeneration"], *generation, "{status:#}");
        } else {
            check_conditions(status);
        }
    }
    figures
}

/// The reasons of all status writes for a resource, in order.
pub fn written_reasons(figures: &Figures, name: &str) -> Vec<String> {
    let writes = figures
        .requests
        .iter()
        .filter(|r| r.verb == "update" && r.name == name && r.code == 200);
    writes
        .filter_map(|r| r.request_object.as_ref())
        .map(|body| reason(&body["status"]).to_owned())
        .collect()
}

/// Another resource, `other`, is throttled, which pauses the account for so many milliseconds.
pub async fn throttle_other(world: &World, number: &str, ms: u64) {
    world.next_call(busy(ms));
    world.migrate("other", number, "77665544").await;
    shows(world, "other", throttled()).await;
}
