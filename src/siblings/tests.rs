#![allow(clippy::unwrap_used)]
use super::*;

fn sibling(uid: &str, created: i64) -> Sibling {
    Sibling {
        uid: uid.into(),
        namespace: "n".into(),
        name: uid.into(),
        created: Timestamp::from_second(created).unwrap(),
        verified: false,
        open: false,
        spent: false,
        suspended: false,
        usable_code: true,
        reason: None,
        stalled: false,
    }
}

fn owner_of(siblings: &[Sibling]) -> Option<&str> {
    owner(siblings).map(|s| s.uid.as_str())
}

#[test]
fn an_unknown_outcome_is_provisional_overdue_or_final() {
    let unknown = |open, stalled| {
        let sibling = Sibling {
            reason: Some(Reason::OutcomeUnknown),
            open,
            stalled,
            ..sibling("a", 1)
        };
        sibling.unknown()
    };
    assert_eq!(unknown(true, false), Some(UnknownKind::Provisional));
    assert_eq!(unknown(true, true), Some(UnknownKind::Overdue));
    assert_eq!(unknown(false, true), Some(UnknownKind::Final));
    assert_eq!(sibling("a", 1).unknown(), None);
}

#[test]
fn the_owner_is_who_is_furthest_then_oldest_then_smallest() {
    let (a, b, c) = (sibling("a", 2), sibling("b", 1), sibling("c", 1));
    assert_eq!(owner_of(&[a.clone(), b.clone(), c.clone()]), Some("b"));
    let spent = Sibling {
        spent: true,
        usable_code: false,
        ..a.clone()
    };
    assert_eq!(owner_of(&[spent.clone(), b.clone()]), Some("a"));
    let open = Sibling {
        open: true,
        usable_code: false,
        ..c.clone()
    };
    assert_eq!(owner_of(&[spent, b.clone(), open.clone()]), Some("c"));
    let verified = Sibling {
        verified: true,
        suspended: true,
        ..sibling("z", 9)
    };
    assert_eq!(owner_of(&[open, b, verified]), Some("z"));
    assert_eq!(owner_of(&[a, c]), Some("c"));
}

fn object(uid: &str) -> PhoneMigration {
    let object = serde_json::json!({
        "apiVersion": "phonemigration.dev/v1alpha1",
        "kind": "PhoneMigration",
        "metadata": {
            "uid": uid, "namespace": "n", "name": uid,
            "creationTimestamp": "2026-01-02T03:04:05Z",
        },
        "spec": {
            "custSpaceId": "1", "phoneNumber": "8613800000001",
            "verifyCodeSecretRef": {"name": "code"},
        },
    });
    serde_json::from_value(object).unwrap()
}

#[test]
fn a_reply_about_a_resource_that_is_gone_makes_it_no_owner() {
    let siblings = Siblings::default();
    siblings.seen(&object("a"));
    siblings.seen(&object("b"));
    siblings.gone("a");
    assert_eq!(siblings.updated(&object("a")), []);
    siblings.usable_code("a", true);
    siblings.usable_code("b", true);
    assert_eq!(siblings.owner_for(&object("b")), Owner::Us);
}

#[test]
fn the_others_are_told_of_a_new_owner_and_of_nothing_else() {
    let siblings = Siblings::default();
    for uid in ["a", "b", "c"] {
        siblings.seen(&object(uid));
    }
    assert_eq!(siblings.usable_code("b", true).len(), 2);
    assert_eq!(siblings.usable_code("b", true), []);
    assert_eq!(siblings.usable_code("c", true), [], "b still owns it");
    assert_eq!(siblings.usable_code("a", true).len(), 2, "a comes first");
    assert_eq!(siblings.usable_code("c", false), []);
    assert_eq!(siblings.usable_code("a", false).len(), 2);
}

#[test]
fn nobody_squats_on_a_number() {
    let squatter = Sibling {
        usable_code: false,
        ..sibling("a", 1)
    };
    let suspended = Sibling {
        suspended: true,
        ..sibling("b", 2)
    };
    assert_eq!(owner_of(&[squatter.clone(), suspended.clone()]), None);
    assert_eq!(owner_of(&[squatter, suspended, sibling("c", 3)]), Some("c"));
}
