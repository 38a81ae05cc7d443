//! The memory of reconciles: when a resource is due, and the state of its code.

use std::time::Duration;

use phone_migration_operator::api::crd::{PhoneMigration, REQUESTED_AT};
use phone_migration_operator::api::object_key::ObjectKey;
use phone_migration_operator::domain::code::CodeReading;
use phone_migration_operator::operator::state::memory::{CodeKnown, Due, ReconcileMemory};
use phone_migration_operator::operator::state::secret_names::SecretNames;

use super::world::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn key() -> ObjectKey {
    ObjectKey {
        namespace: "tenant-a".into(),
        name: "store-42".into(),
    }
}

fn version(version: &str) -> PhoneMigration {
    let mut object = object(None);
    object.metadata.resource_version = Some(version.into());
    object
}

#[test]
fn a_resource_is_due_when_it_changed_or_when_its_time_has_come() {
    let memory = ReconcileMemory::default();
    let due = |v: &str, s| memory.due(&key(), &version(v), moment(s));
    assert_eq!(due("5", 0), Due::Changed);
    assert_eq!(due("5", 0), Due::Never);
    memory.set_due(&key(), Some(moment(10).boot));
    assert_eq!(due("5", 9), Due::At(moment(10).boot));
    assert_eq!(due("5", 10), Due::Now);
    assert_eq!(due("6", 9), Due::Changed);
    // A version that this process wrote itself is not new, and an older one is stale.
    memory.handled(&key(), &version("9"));
    assert_eq!(due("9", 9), Due::Never);
    assert_eq!(due("8", 9), Due::Stale);
    memory.due_now_unless_set(&key(), moment(9).boot);
    assert_eq!(due("9", 9), Due::Now);
    memory.forget(&key());
    assert_eq!(due("3", 9), Due::Changed);
}

/// A code that waits for its next attempt does not queue behind resources that only poll.
#[test]
fn what_something_waits_for_needs_no_turn() {
    let memory = ReconcileMemory::default();
    let due = |s| memory.due(&key(), &version("1"), moment(s));
    let turn = |s| memory.take_poll(moment(s).boot);
    due(0);
    memory.set_poll(&key(), moment(0).boot);
    assert_eq!((turn(4), due(4)), (None, Due::Never));
    assert_eq!((turn(5), due(5)), (Some(key()), Due::Now));
    // Its attempt ended, or another resource waits for it.
    memory.set_due(&key(), Some(moment(5).boot));
    assert_eq!(due(5), Due::Now);
    memory.begin(&key());
    assert_eq!(due(5), Due::Never);
    memory.failed(&key(), moment(5).boot);
    assert_eq!((due(9), due(10)), (Due::At(moment(10).boot), Due::Now));
    // A resource that is due then is not polled in addition.
    memory.set_poll(&key(), moment(10).boot);
    memory.set_due(&key(), Some(moment(60).boot));
    assert_eq!(turn(30), None);
}

/// An evaluation that is due regardless of the schedule, and one that shows the known state.
#[test]
fn a_resource_that_rests_is_not_polled_and_one_in_the_queue_is_shown_in_turn() {
    let memory = ReconcileMemory::default();
    let due = |s| memory.due(&key(), &version("1"), moment(s));
    let turn = |s| memory.take_poll(moment(s).boot);
    due(0);
    memory.set_show(&key(), Some(moment(2).boot), moment(0).boot);
    assert_eq!((turn(1), turn(2), due(2)), (None, Some(key()), Due::Now));
    memory.begin(&key());
    memory.set_poll(&key(), moment(2).boot);
    memory.rest(&key());
    assert_eq!(turn(600), None);
    // Its Secret changes, which does not matter.
    memory.ask(&key(), moment(600).boot);
    assert_eq!(turn(601), None);
    // It begins to wait for the code.
    memory.begin(&key());
    memory.ask(&key(), moment(602).boot);
    assert_eq!(turn(602), Some(key()));
}

fn shown(generation: i64, requested: Option<&str>) -> PhoneMigration {
    let mut object = object(Some(seen("SecretNotFound")));
    object.metadata.generation = Some(generation);
    object.metadata.annotations =
        requested.map(|value| [(REQUESTED_AT.to_owned(), value.to_owned())].into());
    object
}

/// The rules for reads of Secrets. The known state of a code is used until the resource asks for a
/// read or has had its turn; its other changes ask for nothing.
#[test]
fn a_secret_is_read_when_it_is_asked_for_or_when_its_turn_has_come() {
    let memory = ReconcileMemory::default();
    let known = |object: &PhoneMigration| match memory.code(&key(), object) {
        CodeKnown::Read(CodeReading::Usable(code)) => {
            assert!(code.digits.is_none(), "digits are not remembered");
            "known"
        }
        CodeKnown::Read(_) => "another",
        CodeKnown::ReadNow => "read now",
        CodeKnown::AwaitTurn => "await a turn",
    };
    let new = object(None);
    memory.due(&key(), &new, moment(0));
    assert_eq!(known(&new), "read now");
    // Another process had handled these before this one began.
    let handled = shown(1, None);
    assert_eq!(known(&handled), "await a turn");
    assert_eq!(known(&shown(2, None)), "read now");
    assert_eq!(known(&shown(1, Some("now"))), "read now");
    // A code that was read once is used, for any status.
    let read = |object: &PhoneMigration, s| {
        let reading = CodeReading::Usable(code("111111"));
        memory.code_read(&key(), object, None, &reading, moment(s).boot);
    };
    read(&new, 1);
    assert_eq!([known(&new), known(&handled)], ["known"; 2]);
    assert_eq!(known(&shown(2, None)), "read now");
    assert_eq!(known(&shown(1, Some("now"))), "read now");
    // A turn is for a read, until the read is made.
    memory.ask(&key(), moment(2).boot);
    assert_eq!(memory.take_poll(moment(2).boot), Some(key()));
    assert_eq!([known(&handled), known(&handled)], ["read now"; 2]);
    read(&handled, 3);
    assert_eq!(known(&handled), "known");
    // A turn to show something is not.
    memory.set_show(&key(), Some(moment(3).boot), moment(3).boot);
    assert_eq!(memory.take_poll(moment(3).boot), Some(key()));
    assert_eq!(known(&handled), "known");
    // Nor does a finished resource keep anything.
    memory.rest(&key());
    assert_eq!(known(&handled), "await a turn");
}

/// Constant changes of a resource neither hasten its polls nor delay them.
#[test]
fn a_change_that_asks_for_nothing_leaves_the_next_poll_where_it_was() {
    let memory = ReconcileMemory::default();
    let changed = |version: u64, s| {
        let mut object = shown(1, None);
        object.metadata.resource_version = Some(version.to_string());
        assert_eq!(memory.due(&key(), &object, moment(s)), Due::Changed);
        memory.begin(&key());
        object
    };
    let object = changed(1, 0);
    let reading = CodeReading::SecretNotFound;
    memory.code_read(&key(), &object, None, &reading, moment(0).boot);
    memory.set_poll(&key(), moment(0).boot);
    for s in 1..5 {
        changed(1 + s, s);
        memory.set_poll(&key(), moment(s).boot);
        assert_eq!(memory.take_poll(moment(s).boot), None);
    }
    assert_eq!(memory.take_poll(moment(5).boot), Some(key()));
    // Nor is it the change after which polls are quick.
    memory.code_read(&key(), &object, None, &reading, moment(400).boot);
    changed(9, 401);
    memory.set_poll(&key(), moment(401).boot);
    assert_eq!(memory.take_poll(moment(449).boot), None);
    assert_eq!(memory.take_poll(moment(450).boot), Some(key()));
}

#[test]
fn a_trigger_during_a_reconcile_outlasts_what_the_reconcile_arranges() {
    let (memory, object) = (ReconcileMemory::default(), version("1"));
    assert_eq!(memory.due(&key(), &object, moment(0)), Due::Changed);
    memory.begin(&key());
    memory.wake(&key(), moment(1).boot);
    memory.set_poll(&key(), moment(1).boot);
    assert_eq!(memory.due(&key(), &object, moment(2)), Due::Now);
    // The next evaluation knows everything that the first did not.
    memory.begin(&key());
    memory.set_due(&key(), Some(moment(60).boot));
    let later = Due::At(moment(60).boot);
    assert_eq!(memory.due(&key(), &object, moment(3)), later);
}

#[test]
fn what_a_full_list_no_longer_shows_is_lost_and_is_forgotten_with_its_poll() {
    let (memory, object) = (ReconcileMemory::default(), version("1"));
    memory.due(&key(), &object, moment(0));
    memory.set_poll(&key(), moment(0).boot);
    for (namespace, listed, lost) in [
        (None, vec![key()], Vec::new()),
        (Some("elsewhere"), Vec::new(), Vec::new()),
        (Some(key().namespace.as_str()), Vec::new(), vec![key()]),
        (None, Vec::new(), vec![key()]),
    ] {
        let listed = listed.into_iter().collect();
        assert_eq!(memory.lost(namespace, &listed), lost, "{namespace:?}");
    }
    assert_eq!(memory.forget(&key()), Some(US.to_owned()));
    assert_eq!(memory.forget(&key()), None);
    // No plan is made for a deleted resource.
    memory.set_poll(&key(), moment(1).boot);
    memory.ask(&key(), moment(1).boot);
    assert_eq!(memory.take_poll(moment(600).boot), None);
    assert_eq!(memory.due(&key(), &object, moment(601)), Due::Changed);
}

/// An etcd that was restored from a snapshot: the older object stays the only one.
#[test]
fn a_newer_object_that_never_comes_is_not_waited_for() {
    let memory = ReconcileMemory::default();
    let due = |v: &str, s| memory.due(&key(), &version(v), moment(s));
    assert_eq!(due("5", 0), Due::Changed);
    memory.handled(&key(), &version("9"));
    assert_eq!(due("6", 1), Due::Stale);
    assert_eq!(due("6", 30), Due::Stale);
    assert_eq!(due("6", 31), Due::Changed);
    assert_eq!(due("6", 31), Due::Never);
    memory.handled(&key(), &version("9"));
    assert_eq!(due("6", 40), Due::Stale, "the wait begins anew");
}

#[test]
fn another_resource_of_the_name_starts_anew() {
    let memory = ReconcileMemory::default();
    memory.due(&key(), &version("9"), moment(0));
    let mut recreated = version("3");
    recreated.metadata.uid = Some("another".into());
    assert_eq!(memory.due(&key(), &recreated, moment(0)), Due::Changed);
}

#[test]
fn reads_are_counted_for_one_subject() {
    let memory = ReconcileMemory::default();
    memory.due(&key(), &version("1"), moment(0));
    memory.read_made(&key(), "a/open", true, later(5));
    let reads = memory.reads(&key(), "a/open", later(6));
    assert_eq!((reads.done, reads.last), (1, Some(later(5))));
    assert_eq!(memory.reads(&key(), "a/UnknownFinal", later(7)).done, 0);
    memory.make_up_read(&key(), "b/Refused", later(8));
    assert!(memory.reads(&key(), "b/Refused", later(8)).make_up);
}

#[test]
fn failures_back_off_and_success_forgets_them() {
    let memory = ReconcileMemory::default();
    memory.due(&key(), &version("1"), moment(0));
    assert_eq!(memory.failed(&key(), moment(0).boot), s(5));
    assert_eq!(memory.failed(&key(), moment(0).boot), s(10));
    memory.succeeded(&key());
    assert_eq!(memory.failed(&key(), moment(0).boot), s(5));
    assert_eq!(
        [
            memory.next_account_back_off(&key()),
            memory.next_account_back_off(&key())
        ],
        [s(5), s(10)]
    );
    assert!(memory.note_pre_read_failure(&key()));
    assert!(!memory.note_pre_read_failure(&key()));
}

#[test]
fn the_resources_of_a_secret_are_known_while_the_watch_shows_them() {
    let names = SecretNames::default();
    let of = |name: &str| {
        let secret = ObjectKey {
            name: name.into(),
            ..key()
        };
        names.of(&secret)
    };
    let mut object = object(None);
    let other = ObjectKey {
        name: "store-43".into(),
        ..key()
    };
    names.seen(&key(), &object);
    names.seen(&other, &object);
    assert_eq!(of("s"), [key(), other.clone()]);
    // It names another Secret now.
    object.spec.verify_code_secret_ref.name = "t".into();
    names.seen(&key(), &object);
    assert_eq!((of("s"), of("t")), (vec![other.clone()], vec![key()]));
    names.gone(&key());
    names.retain(Some("elsewhere"), &Default::default());
    assert_eq!((of("s"), of("t")), (vec![other], Vec::new()));
    names.retain(None, &Default::default());
    assert_eq!(of("s"), []);
}
