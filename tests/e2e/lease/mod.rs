//! Leader election: two operators, one Lease, a real API server.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use harness::cases::*;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use tokio::runtime::Runtime;

use crate::OPERATOR;

mod blind;
mod rollout;
mod takeover;

const LEASE: &str = "phone-migration-operator";
const SUBJECT: &str = "system:serviceaccount:phone-migration-operator:phone-migration-operator";
const SUBMITTED: &str = "Attempt claimed";
const LAPSED: &str = "Not leading any more";
const POLL: Duration = Duration::from_millis(50);
/// A standby reads the Lease every 2 s; the rest is for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(8);

/// All tests run in one runtime: the control plane that they share and its clients live in the
/// runtime that made them.
fn run(test: impl Future<Output = ()>) {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.block_on(test);
}

/// A world whose namespace has the shipped Role for Leases; waits until it is in force.
async fn world(name: &str) -> World {
    with_rights(World::new(OPERATOR, name).await.unwrap()).await
}

async fn with_rights(world: World) -> World {
    let (namespace, control) = (&world.namespace, &world.plane.control);
    let role = "apiVersion: rbac.authorization.k8s.io/v1";
    let manifests = format!(
        "{role}
kind: Role
metadata: {{name: lease, namespace: {namespace}}}
rules:
  - {{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}}
---
{role}
kind: RoleBinding
metadata: {{name: lease, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: lease}}
subjects:
  - {{kind: ServiceAccount, name: phone-migration-operator, namespace: phone-migration-operator}}
"
    );
    control.apply(&manifests).await.unwrap();
    let can = format!("auth can-i update leases.coordination.k8s.io --as {SUBJECT} -n {namespace}");
    let in_force = async || control.kubectl_ok(can.split(' ')).await.is_ok();
    until_asked("the Role is in force", in_force).await;
    world
}

/// The flags of a candidate.
fn flags<'a>(world: &'a World, identity: &'a str) -> [&'a str; 8] {
    [
        "--leader-elect",
        "true",
        "--lease-namespace",
        &world.namespace,
        "--lease-identity",
        identity,
        // The unsent claims of a killed leader become final soon.
        "--signature-validity",
        "2s",
    ]
}

/// A candidate, ready: standbys are ready too.
async fn elector(world: &World, identity: &str) -> Operator {
    world.start(&flags(world, identity)).await
}

async fn leads(operator: &mut Operator) -> bool {
    let metrics = operator.http("/metrics").await.unwrap();
    let series = |value| format!("leader_election_master_status{{name=\"{LEASE}\"}} {value}\n");
    let (yes, no) = (metrics.contains(&series(1)), metrics.contains(&series(0)));
    assert!(yes != no, "{metrics}");
    yes
}

/// Waits until it leads; returns how long that took.
async fn until_leads(operator: &mut Operator, within: Duration) -> Duration {
    let start = Instant::now();
    while !leads(operator).await {
        assert!(start.elapsed() < within, "not leading:\n{}", operator.log());
        tokio::time::sleep(POLL).await;
    }
    start.elapsed()
}

async fn leases(world: &World) -> Api<Lease> {
    let admin = world.plane.control.admin_client().await.unwrap();
    Api::namespaced(admin, &world.namespace)
}

async fn holder(world: &World) -> String {
    let lease = leases(world).await.get(LEASE).await.unwrap();
    lease.spec.unwrap().holder_identity.unwrap()
}

/// The requests for Leases are only these verbs on this one Lease.
async fn finish(world: &World) {
    let figures = world.finish().await.unwrap();
    let requests = figures.requests.iter();
    let leases: Vec<_> = requests.filter(|r| r.resource == "leases").collect();
    let verbs: BTreeSet<&str> = leases.iter().map(|r| r.verb.as_str()).collect();
    assert_eq!(verbs, BTreeSet::from(["create", "get", "update"]));
    for request in leases {
        assert_eq!(request.group, "coordination.k8s.io");
        // A create has its name in the body.
        let named = request.verb == "create" || request.name == LEASE;
        assert!(named, "{request:?}");
    }
}

#[test]
fn only_the_leader_calls_and_an_edit_of_the_lease_costs_nothing() {
    run(async {
        let world = world("lease-one").await;
        let mut a = elector(&world, "a").await;
        until_leads(&mut a, AT_ONCE).await;
        let mut b = elector(&world, "b").await;
        assert!(!leads(&mut b).await);
        for n in 0..5 {
            let name = format!("store-{n}");
            world.migrate(&name, &phone(n), "12345678").await;
        }
        for n in 0..5 {
            verified(&world, &format!("store-{n}"), &phone(n)).await;
        }
        // Another client writes into the Lease: the next renewal conflicts, and the leader reads it
        // again.
        let patch = Patch::Merge(json!({"metadata": {"labels": {"team": "a"}}}));
        let params = PatchParams::default();
        let patched = leases(&world).await.patch(LEASE, &params, &patch).await;
        patched.unwrap();
        let namespace = world.namespace.clone();
        let renewed_after_conflict = |entries: &[AuditEntry]| {
            let mut updates = entries.iter().filter(|e| {
                e.resource == "leases" && e.namespace == namespace && e.verb == "update"
            });
            updates.any(|e| e.code == 409) && updates.any(|e| e.code == 200)
        };
        let (what, within) = ("a renewal after a conflict", Duration::from_secs(20));
        let control = &world.plane.control;
        let renewed = control.audit_until(what, within, renewed_after_conflict);
        renewed.await.unwrap();
        let lease = leases(&world).await.get(LEASE).await.unwrap();
        assert_eq!(lease.metadata.labels.unwrap()["team"], "a");
        let spec = lease.spec.unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some("a"));
        assert_eq!(spec.lease_duration_seconds, Some(30));
        assert_eq!(spec.lease_transitions, Some(1));
        assert!(leads(&mut a).await && !leads(&mut b).await);
        b.ready().await.unwrap();
        assert_eq!(a.log().matches(SUBMITTED).count(), 5, "{}", a.log());
        assert!(!a.log().contains(LAPSED), "{}", a.log());
        assert!(!b.log().contains(SUBMITTED), "{}", b.log());
        let calls = b.http("/metrics").await.unwrap();
        let series = |line: &&str| line.starts_with("phonemigration_cams_requests_total{");
        let made: Vec<&str> = calls.lines().filter(series).collect();
        assert!(!made.is_empty(), "{calls}");
        assert!(made.iter().all(|line| line.ends_with(" 0")), "{made:?}");
        finish(&world).await;
    });
}

#[test]
fn a_stopping_leader_ends_its_call_and_hands_over_at_once() {
    run(async {
        let world = world("lease-term").await;
        let mut a = elector(&world, "a").await;
        until_leads(&mut a, AT_ONCE).await;
        let mut b = elector(&world, "b").await;
        world.next_call(Fault::gate(Stage::Executed));
        world.migrate("first", "8613800004000", "12345678").await;
        let held = world.held().await;
        a.terminate().await.unwrap();
        a.until_logged("Stopping").await;
        world.migrate("second", "8613800004001", "87654321").await;
        // The call runs longer than a standby's polling interval; the Lease is still held.
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(4) {
            assert_eq!(holder(&world).await, "a");
            assert!(!leads(&mut b).await);
            tokio::time::sleep(POLL).await;
        }
        world.go_on(held);
        // The next leader's first call is never within a second of this one.
        let answered = Instant::now();
        while holder(&world).await == "a" {
            assert!(answered.elapsed() < AT_ONCE, "{}", a.log());
            tokio::time::sleep(POLL).await;
        }
        assert!(answered.elapsed() >= Duration::from_secs(1));
        until_leads(&mut b, AT_ONCE).await;
        assert_eq!(a.ended(Duration::from_secs(10)).await.unwrap(), Some(0));
        assert!(a.log().contains("Lease released"), "{}", a.log());
        for name in ["first", "second"] {
            reason(&world, name, "Verified").await;
        }
        assert_eq!(a.log().matches(SUBMITTED).count(), 1, "{}", a.log());
        assert_eq!(b.log().matches(SUBMITTED).count(), 1, "{}", b.log());
        finish(&world).await;
    });
}

#[test]
fn a_restart_with_the_same_identity_goes_on_at_once() {
    run(async {
        let world = world("lease-same").await;
        let mut a = elector(&world, "a").await;
        until_leads(&mut a, AT_ONCE).await;
        a.kill().await.unwrap();
        assert_eq!(holder(&world).await, "a");
        let mut again = elector(&world, "a").await;
        until_leads(&mut again, AT_ONCE).await;
        world.migrate("store", "8613800005000", "12345678").await;
        reason(&world, "store", "Verified").await;
        finish(&world).await;
    });
}

#[test]
fn a_stopped_leader_that_wakes_up_claims_nothing() {
    run(async {
        let world = world("lease-sleep").await;
        let mut a = elector(&world, "a").await;
        until_leads(&mut a, AT_ONCE).await;
        let mut b = elector(&world, "b").await;
        a.signal("STOP").await.unwrap();
        until_leads(&mut b, Duration::from_secs(36)).await;
        // Work for any process that believes it leads: `b` finds it stopped, so that only `a` could
        // act.
        b.signal("STOP").await.unwrap();
        world.migrate("store", "8613800006000", "12345678").await;
        a.signal("CONT").await.unwrap();
        a.until_logged(LAPSED).await;
        assert!(!leads(&mut a).await);
        b.signal("CONT").await.unwrap();
        reason(&world, "store", "Verified").await;
        assert!(!a.log().contains(SUBMITTED), "{}", a.log());
        assert_eq!(b.log().matches(SUBMITTED).count(), 1, "{}", b.log());
        finish(&world).await;
    });
}

#[test]
fn a_stopped_api_server_ends_the_leadership_and_makes_no_second_leader() {
    run(async {
        let (_dir, world) = apart(OPERATOR, "lease-api").await;
        let api_server = world.plane.control.pids().kube_apiserver.unwrap();
        let world = with_rights(world).await;
        let mut a = elector(&world, "a").await;
        until_leads(&mut a, AT_ONCE).await;
        let mut b = elector(&world, "b").await;
        let made = a_read_waits_for_its_slot(&world, &mut a).await;
        signal(api_server, "STOP").await;
        // By the clock: at most 15 s after the last renewal began.
        let start = Instant::now();
        while leads(&mut a).await {
            assert!(start.elapsed() < Duration::from_secs(17), "{}", a.log());
            assert!(!leads(&mut b).await);
            tokio::time::sleep(POLL).await;
        }
        assert!(!leads(&mut b).await);
        a.ready().await.unwrap();
        // Its slot comes after the end of its leadership: the next leader counts the account's
        // reads.
        a.until_metric("phonemigration_running_tasks 0").await;
        assert_eq!(reads(&world), made);
        signal(api_server, "CONT").await;
        let start = Instant::now();
        loop {
            let both = (leads(&mut a).await, leads(&mut b).await);
            match both {
                (true, true) => panic!("two leaders"),
                (true, false) | (false, true) => break,
                (false, false) => assert!(start.elapsed() < Duration::from_secs(36)),
            }
            tokio::time::sleep(POLL).await;
        }
        // The watch went on, or started again, in the same process.
        world.migrate("store", "8613800007000", "12345678").await;
        reason(&world, "store", "Verified").await;
        finish(&world).await;
    });
}

fn reads(world: &World) -> usize {
    let ledger = world.sim.ledger();
    ledger.iter().filter(|e| e.action == READ_STATUS).count()
}

/// An attempt whose outcome is unknown, and a read of it that waits for the end of a pause of the
/// account, which lasts longer than a leadership without renewals. Returns the number of reads
/// until then.
async fn a_read_waits_for_its_slot(world: &World, leader: &mut Operator) -> usize {
    world.next_call(Fault::close(Stage::Received));
    let phone = "8613800007001";
    world.migrate("lost", phone, "22345678").await;
    reason(world, "lost", "OutcomeUnknown").await;
    let busy = FaultRule::new(busy(25_000)).action(READ_STATUS);
    world.fault(busy.once());
    world.request("lost", "one").await.unwrap();
    let paused = "phonemigration_account_paused{account=\"default\"} 1";
    leader.until_metric(paused).await;
    world.request("lost", "two").await.unwrap();
    let waits = "phonemigration_queue_depth{account=\"default\",action=\"GetPhoneNumberVerificationStatus\"} 1";
    leader.until_metric(waits).await;
    reads(world)
}

async fn signal(pid: u32, name: &str) {
    let pid = pid.to_string();
    let mut kill = tokio::process::Command::new("kill");
    let status = kill.args([format!("-{name}"), pid]).status().await.unwrap();
    assert!(status.success());
}
