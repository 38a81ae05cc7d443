//! A state as seen from outside: kstatus, conditions, and the invariants at the end.

use std::time::Duration;

use harness::cams_simulator::{Entry, Fault, READ_STATUS, Refusal, Stage, VERIFIED};
pub use harness::message;
use harness::{AuditEntry, Figures, World, condition, reason};
use kube::api::DynamicObject;
use phone_migration_operator::api::reason::Reason;
use phone_migration_operator::domain::status::present::EVENTS_WITHOUT_STATE;
use serde_json::{Value, json};
use tokio::time::Instant;

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

/// In progress, not finished.
pub fn progress(reason: &'static str, says: &'static str) -> State {
    State {
        reason,
        class: Class::InProgress,
        finished: false,
        says,
    }
}

/// Waits for the user.
pub fn stalled(reason: &'static str, finished: bool, says: &'static str) -> State {
    State {
        reason,
        class: Class::Failed,
        finished,
        says,
    }
}

/// The code was refused, and a new one goes on.
pub fn code_refused() -> State {
    stalled("CodeRejected", true, "request a new code")
}

/// Verified.
pub fn verified(says: &'static str) -> State {
    State {
        reason: "Verified",
        class: Class::Current,
        finished: true,
        says,
    }
}

/// Suspended.
pub fn suspended() -> State {
    State {
        reason: "Suspended",
        class: Class::Paused,
        finished: false,
        says: "spec.suspend is true",
    }
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
pub async fn until(world: &World, name: &str, state: State) -> Value {
    until_in(world, &world.namespace, name, state).await
}

/// The same in any namespace.
pub async fn until_in(world: &World, namespace: &str, name: &str, state: State) -> Value {
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
    check(&object, state);
    object["status"].clone()
}

/// Waits for a condition on the whole object, at most 40 s.
pub async fn until_object(
    world: &World,
    namespace: &str,
    name: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let deadline = Instant::now() + Duration::from_secs(40);
    let api = world.migrations_in(namespace);
    loop {
        let object: DynamicObject = api.get(name).await.unwrap();
        let object = serde_json::to_value(object).unwrap();
        if holds(&object) {
            return object;
        }
        assert!(
            Instant::now() < deadline,
            "not there in time: {:#}",
            object["status"]
        );
        tokio::time::sleep(POLL).await;
    }
}

fn check(object: &Value, state: State) {
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
        assert_eq!(
            condition["observedGeneration"], object["metadata"]["generation"],
            "{status:#}"
        );
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
    assert_eq!(
        condition(status, "Ready") == "True",
        status["reason"] == "Verified"
    );
}

/// Changes the code in place and makes the operator reconcile it.
pub async fn new_code(world: &World, name: &str, code: &str) {
    put_code(world, name, code).await;
    world
        .request(name, &format!("{:?}", Instant::now()))
        .await
        .unwrap();
}

/// Changes the code in place.
pub async fn put_code(world: &World, name: &str, code: &str) {
    let patch = json!({"stringData": {"code": code}});
    world
        .patch_secret(&format!("{name}-code"), patch)
        .await
        .unwrap();
}

/// The submissions for a number that arrived, in order.
pub fn calls(world: &World, phone: &str) -> Vec<Entry> {
    entries(world, VERIFIED, phone)
}

/// The status reads of a number that arrived, in order.
pub fn reads(world: &World, phone: &str) -> Vec<Entry> {
    entries(world, READ_STATUS, phone)
}

fn entries(world: &World, action: &str, phone: &str) -> Vec<Entry> {
    let of = |e: &Entry| e.action == action && e.phone.as_deref() == Some(phone);
    world.sim.ledger().into_iter().filter(of).collect()
}

/// Waits until the simulator's ledger satisfies `holds`.
pub async fn until_sim(what: &str, within: Duration, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {within:?}");
        tokio::time::sleep(POLL).await;
    }
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

/// The next submission is throttled for so many milliseconds.
pub fn throttle_next(world: &World, ms: u64) {
    let busy = Refusal::new(400, "Throttling.User", "busy").retry_after_ms(ms);
    world.next_call(Fault::api(Stage::Counted, busy));
}

/// Another resource, `other`, is throttled, which pauses the account for so many milliseconds.
pub async fn throttle_other(world: &World, number: &str, ms: u64) {
    throttle_next(world, ms);
    world.migrate("other", number, "77665544").await;
    until(
        world,
        "other",
        progress("Throttled", "the code was not spent"),
    )
    .await;
}
