//! The Lease fields that the operator reads, and those that it writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::election::{Election, Record, Step, TAKEOVER_AFTER};
use super::lease_client::{held, record};
use super::*;
use crate::clock;

fn lease(holder: Option<&str>, times: &str) -> Lease {
    let time = MicroTime(times.parse().unwrap());
    let mut lease = Lease::default();
    lease.metadata.resource_version = Some("7".into());
    lease.metadata.labels = Some([("team".to_owned(), "a".to_owned())].into());
    lease.spec = Some(LeaseSpec {
        holder_identity: holder.map(str::to_owned),
        acquire_time: Some(time.clone()),
        renew_time: Some(time),
        lease_duration_seconds: Some(1),
        lease_transitions: Some(4),
        ..LeaseSpec::default()
    });
    lease
}

#[test]
fn the_clock_of_the_record_is_ignored() {
    let now = Duration::from_secs(1000);
    for times in [
        "1970-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "9000-01-01T00:00:00Z",
    ] {
        let lease = lease(Some("a"), times);
        let seen = record(Some(&lease));
        let expected = Record::Present {
            version: "7",
            holder: "a",
        };
        assert_eq!(seen, expected);
        let step = Election::new("b".into()).observe(seen, now);
        assert_eq!(step, Step::Wait(now + TAKEOVER_AFTER), "{times}");
    }
}

#[test]
fn no_holder_and_an_empty_holder_are_the_same() {
    for lease in [
        Lease {
            spec: None,
            ..lease(None, "2026-01-01T00:00:00Z")
        },
        lease(None, "2026-01-01T00:00:00Z"),
        lease(Some(""), "2026-01-01T00:00:00Z"),
    ] {
        let step = Election::new("b".into()).observe(record(Some(&lease)), Duration::ZERO);
        assert_eq!(step, Step::Acquire);
    }
}

#[test]
fn a_write_keeps_its_precondition_and_what_others_wrote() {
    let old = lease(Some("a"), "2026-01-01T00:00:00Z");
    let now: jiff::Timestamp = "2026-02-02T00:00:00Z".parse().unwrap();
    for (holder, new_holder, transitions, acquired) in [
        ("a", false, 4, "2026-01-01T00:00:00Z"),
        ("b", true, 5, "2026-02-02T00:00:00Z"),
        ("", true, 5, "2026-02-02T00:00:00Z"),
    ] {
        let new = held(&old, holder, new_holder, now);
        assert_eq!(new.metadata.name.as_deref(), Some(NAME));
        assert_eq!(new.metadata.resource_version, old.metadata.resource_version);
        assert_eq!(new.metadata.labels, old.metadata.labels);
        let spec = new.spec.unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some(holder));
        assert_eq!(spec.lease_duration_seconds, Some(30));
        assert_eq!(spec.lease_transitions, Some(transitions));
        assert_eq!(spec.acquire_time.unwrap().0, acquired.parse().unwrap());
        assert_eq!(spec.renew_time.unwrap().0, now);
    }
}

#[test]
fn without_an_election_the_process_leads_for_good() {
    let (elector, leadership) = stand(None);
    assert!(!elector.stands());
    assert!(leadership.term().borrow().is_leader(clock::boot()));
    let election = LeaderElection {
        namespace: "n".into(),
        identity: "a".into(),
    };
    let (elector, leadership) = stand(Some(election));
    assert!(elector.stands());
    assert!(!leadership.term().borrow().is_leader(clock::boot()));
}
