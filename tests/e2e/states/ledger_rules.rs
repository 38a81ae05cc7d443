//! The API server's own refusals of a CodeLedger, rule by rule: the last protection behind the
//! operator's own checks. The administrator writes, who has every right.

use kube::api::{DynamicObject, PostParams};

use super::expect::*;

/// No outcome, and each outcome.
const OUTCOMES: [&str; 10] = [
    "",
    "Unknown",
    "Throttled",
    "NotSent",
    "Blocked",
    "Refused",
    "RequestRefused",
    "UnknownFinal",
    "Accepted",
    "Adopted",
];
const OPEN: [&str; 2] = ["", "Unknown"];
const RELEASED: [&str; 3] = ["Throttled", "NotSent", "Blocked"];

/// An entry; an empty outcome means an open one.
fn entry(id: &str, fingerprint: &str, outcome: &str) -> Value {
    let mut entry = json!({
        "attemptId": id,
        "fingerprint": format!("0011223344556677:{fingerprint}"),
        "signedAt": "2026-11-23T12:00:00Z",
        "finalAt": "2026-11-23T12:32:00Z",
        "custSpaceId": "29348393884",
        "migration": {"namespace": "tenant-a", "name": "m", "uid": "u", "generation": 1},
    });
    if !outcome.is_empty() {
        entry["outcome"] = json!(outcome);
    }
    entry
}

fn ledger(entries: &[Value]) -> Value {
    json!({"spec": {"phoneNumber": "8613800001234"}, "entries": entries})
}

struct Ledgers {
    world: World,
    made: std::cell::Cell<u32>,
}

impl Ledgers {
    async fn new(case: &str) -> Self {
        Self {
            world: World::new(OPERATOR, case).await.unwrap(),
            made: std::cell::Cell::new(0),
        }
    }

    fn object(&self, name: &str, fields: &Value) -> DynamicObject {
        let mut body = fields.clone();
        body["apiVersion"] = json!("phonemigration.dev/v1alpha1");
        body["kind"] = json!("CodeLedger");
        body["metadata"] = json!({"name": name});
        serde_json::from_value(body).unwrap()
    }

    /// Creates a ledger with a unique name; returns the API server's message if it refuses.
    async fn create(&self, fields: &Value) -> Result<DynamicObject, String> {
        self.made.set(self.made.get() + 1);
        let object = self.object(&format!("ledger-{}", self.made.get()), fields);
        let api = self.world.ledger_api();
        let created = api.create(&PostParams::default(), &object).await;
        created.map_err(|error| error.to_string())
    }

    /// Replaces the fields of a ledger that `create` made.
    async fn replace(&self, old: &DynamicObject, fields: &Value) -> Result<DynamicObject, String> {
        let name = old.metadata.name.clone().unwrap();
        let mut object = self.object(&name, fields);
        object.metadata.uid.clone_from(&old.metadata.uid);
        let version = &old.metadata.resource_version;
        object.metadata.resource_version.clone_from(version);
        let params = PostParams::default();
        let api = self.world.ledger_api();
        let replaced = api.replace(&name, &params, &object).await;
        replaced.map_err(|error| error.to_string())
    }

    /// Creates these entries and replaces them by those.
    async fn change(&self, from: &[Value], to: &[Value]) -> Result<DynamicObject, String> {
        let old = self.create(&ledger(from)).await.unwrap();
        self.replace(&old, &ledger(to)).await
    }

    async fn finish(self) {
        self.world.finish().await.unwrap();
    }
}

/// Refused by exactly this rule.
fn refused(result: Result<DynamicObject, String>, says: &str, case: &str) {
    let words = match result {
        Ok(object) => panic!("{case} was accepted: {:?}", object.data),
        Err(words) => words,
    };
    assert!(words.contains("422") || words.contains("nvalid"), "{words}");
    assert!(words.contains(says), "{case}: {says} in {words}");
}

fn accepted(result: Result<DynamicObject, String>, case: &str) {
    if let Err(words) = result {
        panic!("{case} was refused: {words}");
    }
}

#[tokio::test]
async fn the_number_of_a_ledger_is_immutable() {
    let ledgers = Ledgers::new("rule-spec").await;
    let fields = ledger(&[entry("a", "1", "Refused")]);
    let old = ledgers.create(&fields).await.unwrap();
    let mut other = fields.clone();
    other["spec"]["phoneNumber"] = json!("8613800001235");
    let result = ledgers.replace(&old, &other).await;
    refused(result, "spec is immutable", "another number");
    let mut same = fields.clone();
    same["summary"] = json!({"entries": 1, "open": false, "outcome": "Refused"});
    accepted(ledgers.replace(&old, &same).await, "the same number");
    ledgers.finish().await;
}

#[tokio::test]
async fn at_most_one_entry_is_open() {
    let ledgers = Ledgers::new("rule-open").await;
    let says = "at most one entry may be open";
    for first in OPEN {
        let alone = ledger(&[entry("a", "1", first)]);
        accepted(ledgers.create(&alone).await, first);
        for second in OUTCOMES {
            let case = format!("{first:?} and {second:?}");
            let both = [entry("b", "2", second), entry("a", "1", first)];
            let of_two = ledgers.create(&ledger(&both)).await;
            let added = ledgers.change(&[entry("a", "1", first)], &both).await;
            if OPEN.contains(&second) {
                refused(of_two, says, &case);
                refused(added, says, &case);
            } else {
                accepted(of_two, &case);
                accepted(added, &case);
            }
        }
    }
    // An ended entry makes room, in the same write.
    let next = [entry("b", "2", ""), entry("a", "1", "Refused")];
    let next = ledgers.change(&[entry("a", "1", "")], &next).await;
    accepted(next, "ended and begun");
    ledgers.finish().await;
}

#[tokio::test]
async fn a_fingerprint_stands_in_one_unreleased_entry_only() {
    let ledgers = Ledgers::new("rule-fingerprint").await;
    let says = "a fingerprint may stand in one entry only";
    for first in OUTCOMES.into_iter().filter(|o| !OPEN.contains(o)) {
        for second in OUTCOMES {
            let case = format!("{first:?} and {second:?}");
            let both = [entry("b", "1", second), entry("a", "1", first)];
            let added = ledgers.change(&[entry("a", "1", first)], &both).await;
            if RELEASED.contains(&first) || RELEASED.contains(&second) {
                accepted(added, &case);
            } else {
                refused(added, says, &case);
            }
        }
    }
    // Released ones do not hide the two others.
    let three = [
        entry("c", "1", "Refused"),
        entry("b", "1", "Throttled"),
        entry("a", "1", "Refused"),
    ];
    let result = ledgers.create(&ledger(&three)).await;
    refused(result, says, "three");
    // A released entry that turns out to be executed counts again.
    let released = [entry("b", "1", "Refused"), entry("a", "1", "NotSent")];
    let adopted = [entry("b", "1", "Refused"), entry("a", "1", "Adopted")];
    let result = ledgers.change(&released, &adopted).await;
    refused(result, says, "adopted");
    ledgers.finish().await;
}

#[tokio::test]
async fn only_a_released_entry_vanishes() {
    let ledgers = Ledgers::new("rule-vanish").await;
    let says = "an entry may leave only if it was released";
    for outcome in OUTCOMES {
        let old = [entry("a", "1", outcome), entry("z", "9", "Refused")];
        let kept = [entry("z", "9", "Refused")];
        let renamed = [entry("b", "1", outcome), entry("z", "9", "Refused")];
        let gone = ledgers.change(&old, &kept).await;
        let renamed = ledgers.change(&old, &renamed).await;
        if RELEASED.contains(&outcome) {
            accepted(gone, outcome);
            accepted(renamed, outcome);
        } else {
            refused(gone, says, outcome);
            refused(renamed, says, outcome);
        }
    }
    let all = ledgers.create(&ledger(&[entry("a", "1", "Refused")])).await;
    let without = json!({"spec": {"phoneNumber": "8613800001234"}});
    let result = ledgers.replace(&all.unwrap(), &without).await;
    refused(result, says, "no entries at all");
    ledgers.finish().await;
}

#[tokio::test]
async fn the_fingerprint_and_the_time_of_signing_never_change() {
    let ledgers = Ledgers::new("rule-entry").await;
    for outcome in OUTCOMES {
        let old = entry("a", "1", outcome);
        let change = async |field: &str, value: &str| {
            let mut new = old.clone();
            new[field] = json!(value);
            ledgers.change(std::slice::from_ref(&old), &[new]).await
        };
        let signed = change("signedAt", "2026-11-23T12:00:01Z").await;
        refused(signed, "signedAt is immutable", outcome);
        let other = change("fingerprint", "0011223344556677:2").await;
        refused(other, "fingerprint is immutable", outcome);
        accepted(change("errorMessage", "x").await, outcome);
    }
    // Each entry by its own id, at any place.
    let [a, b] = [entry("a", "1", "Refused"), entry("b", "2", "Refused")];
    let moved = ledgers.change(&[a.clone(), b.clone()], &[b, a]).await;
    accepted(moved, "another order");
    let swapped = [entry("a", "2", "Refused"), entry("b", "1", "Refused")];
    let old = [entry("a", "1", "Refused"), entry("b", "2", "Refused")];
    let result = ledgers.change(&old, &swapped).await;
    refused(result, "fingerprint is immutable", "swapped");
    ledgers.finish().await;
}

/// The outcomes that a definite outcome may change into.
fn may_become(from: &str, to: &str) -> bool {
    match (from, to) {
        ("" | "Unknown", _) => true,
        (from, to) if from == to => true,
        ("UnknownFinal", "Refused" | "RequestRefused" | "Accepted") => true,
        (from, "Adopted") => from != "Accepted",
        _ => false,
    }
}

#[tokio::test]
async fn a_definite_outcome_stays_but_for_what_a_late_answer_or_a_read_says() {
    let ledgers = Ledgers::new("rule-outcome").await;
    let says = "a definite outcome stays";
    let mut seen = [0, 0];
    for from in OUTCOMES {
        for to in OUTCOMES {
            let case = format!("{from:?} to {to:?}");
            let (old, new) = ([entry("a", "1", from)], [entry("a", "1", to)]);
            let changed = ledgers.change(&old, &new).await;
            seen[usize::from(may_become(from, to))] += 1;
            if may_become(from, to) {
                accepted(changed, &case);
            } else {
                refused(changed, says, &case);
            }
        }
    }
    // The two open words may change to all, eight words to themselves only, and the nine named
    // changes.
    assert_eq!(seen, [63, 20 + 8 + 3 + 6]);
    ledgers.finish().await;
}

fn many(count: usize, of: impl Fn(usize) -> Value) -> Vec<Value> {
    (0..count).map(of).collect()
}

#[tokio::test]
async fn what_no_ledger_holds_is_refused() {
    let ledgers = Ledgers::new("rule-bounds").await;
    let one = |field: &str, value: Value| {
        let mut fields = entry("a", "1", "Refused");
        fields[field] = value;
        ledger(&[fields])
    };
    let with = |field: &str, value: Value| {
        let mut fields = ledger(&[]);
        fields[field] = value;
        fields
    };
    let refusals = |n: usize| entry(&format!("a{n}"), &n.to_string(), "Refused");
    let ids = |count: usize| json!(many(count, |n| json!(format!("a{n}"))));
    let cases = [
        (ledger(&many(61, refusals)), "must have at most 60 items"),
        (with("released", ids(41)), "must have at most 40 items"),
        (with("released", json!([""])), "released[0]"),
        (with("released", json!(["x".repeat(65)])), "released[0]"),
        (with("spec", json!({})), "spec.phoneNumber"),
        (
            with("spec", json!({"phoneNumber": "+86138"})),
            "spec.phoneNumber",
        ),
        (with("summary", json!({"entries": 61})), "summary.entries"),
        // Two entries of one id, which would hide each other.
        (
            ledger(&[entry("a", "1", "Refused"), entry("a", "2", "Refused")]),
            "Duplicate value",
        ),
        // A word of another version cannot be used.
        (one("outcome", json!("Postponed")), "Unsupported value"),
        (one("outcome", json!("")), "Unsupported value"),
        (one("attemptId", json!("")), "attemptId"),
        (one("attemptId", json!("x".repeat(65))), "attemptId"),
        (one("attemptId", json!(null)), "attemptId"),
        (one("fingerprint", json!("")), "fingerprint"),
        (one("fingerprint", json!("x".repeat(97))), "fingerprint"),
        (one("fingerprint", json!(null)), "fingerprint"),
        (one("signedAt", json!("yesterday")), "signedAt"),
        (one("signedAt", json!(null)), "signedAt"),
        (one("finalAt", json!(null)), "finalAt"),
        (one("custSpaceId", json!("x".repeat(65))), "custSpaceId"),
        (
            one("migration", json!({"namespace": "n", "name": "m"})),
            "uid",
        ),
        (one("secret", json!({"uid": "u"})), "resourceVersion"),
        (one("errorCode", json!("x".repeat(129))), "errorCode"),
        (one("errorMessage", json!("x".repeat(513))), "errorMessage"),
        (one("requestId", json!("x".repeat(129))), "requestId"),
        (one("id", json!("x".repeat(129))), "id"),
    ];
    for (fields, says) in cases {
        let case = fields.to_string();
        let created = ledgers.create(&fields).await;
        refused(created, says, &case[..case.len().min(400)]);
    }
    ledgers.finish().await;
}

/// The API server drops it: such an entry is open, like one without an outcome.
#[tokio::test]
async fn an_outcome_of_null_is_no_outcome() {
    let ledgers = Ledgers::new("rule-null").await;
    let null = |id: &str| {
        let mut entry = entry(id, id, "");
        entry["outcome"] = Value::Null;
        entry
    };
    let stored = ledgers.create(&ledger(&[null("a")])).await.unwrap();
    let stored = stored.data["entries"][0].as_object().unwrap();
    assert!(!stored.contains_key("outcome"), "{stored:?}");
    let two = ledger(&[null("a"), null("b")]);
    let result = ledgers.create(&two).await;
    refused(result, "at most one entry may be open", "two of null");
    let old = [entry("a", "1", "Refused")];
    let mut new = old.clone();
    new[0]["outcome"] = Value::Null;
    let result = ledgers.change(&old, &new).await;
    refused(result, "a definite outcome stays", "back to null");
    ledgers.finish().await;
}

/// As large as the schema allows, so that the rules cost the most: still within their budget, on
/// create and on replace.
#[tokio::test]
async fn the_largest_ledger_is_accepted_and_can_be_written_on() {
    let ledgers = Ledgers::new("rule-largest").await;
    let wide = |n: usize, length: usize| format!("{n:03}{}", "☎".repeat(length - 3));
    let largest = |n: usize| {
        json!({
            "attemptId": wide(n, 64),
            "fingerprint": wide(n, 96),
            "signedAt": "2026-11-23T12:00:00.999999999Z",
            "finalAt": "2026-11-23T12:32:00.999999999Z",
            "custSpaceId": wide(n, 64),
            "migration": {
                "namespace": wide(n, 63), "name": wide(n, 253), "uid": wide(n, 64),
                "generation": i64::MAX,
            },
            "secret": {"uid": wide(n, 64), "resourceVersion": wide(n, 64)},
            "imported": true,
            // The last word of the longest list of each rule.
            "outcome": "RequestRefused",
            "errorCode": wide(n, 128),
            "errorMessage": wide(n, 512),
            "requestId": wide(n, 128),
            "id": wide(n, 128),
            "finishedAt": "2026-11-23T12:00:01.999999999Z",
        })
    };
    let mut fields = ledger(&many(60, largest));
    fields["released"] = json!(many(40, |n| json!(wide(n, 64))));
    fields["summary"] = json!({
        "entries": 60, "open": false, "outcome": wide(1, 64), "resource": wide(1, 320),
    });
    let old = ledgers.create(&fields).await.unwrap();
    fields["entries"].as_array_mut().unwrap().reverse();
    fields["entries"][0]["outcome"] = json!("Adopted");
    let new = ledgers.replace(&old, &fields).await.unwrap();
    let size = serde_json::to_vec(&new).unwrap().len();
    println!("the largest ledger: {size} bytes");
    assert_eq!(new.data["entries"].as_array().unwrap().len(), 60);
    ledgers.finish().await;
}

#[tokio::test]
async fn a_ledger_is_found_by_its_number_and_read_by_people() {
    let ledgers = Ledgers::new("rule-columns").await;
    let mut fields = ledger(&[entry("a", "1", "Refused")]);
    fields["summary"] = json!({
        "entries": 1, "open": true, "outcome": "Refused", "resource": "tenant-a/store-42",
    });
    ledgers.create(&fields).await.unwrap();
    fields["spec"]["phoneNumber"] = json!("8613800009999");
    ledgers.create(&fields).await.unwrap();
    let namespace = &ledgers.world.ledger_namespace;
    let get = async |what: &str| {
        let get = format!("-n {namespace} get {what}");
        ledgers.world.kubectl(&get).await
    };
    let all = get("phledger").await;
    let head = all.lines().next().unwrap().split("  ").map(str::trim);
    let head: Vec<&str> = head.filter(|word| !word.is_empty()).collect();
    assert_eq!(
        head.join(","),
        "NAME,NUMBER,ENTRIES,OPEN,LAST OUTCOME,LAST RESOURCE,AGE"
    );
    assert_eq!(all.lines().count(), 3, "{all}");
    let selector = "--field-selector spec.phoneNumber=8613800001234";
    let found = get(&format!("codeledgers --no-headers {selector}")).await;
    let words: Vec<&str> = found.split_whitespace().collect();
    let shown = "ledger-1 8613800001234 1 true Refused tenant-a/store-42";
    assert_eq!(words[..6].join(" "), shown, "{found}");
    assert!(get("cams").await.contains("ledger-2"));
    let manual = ledgers.world.kubectl("explain codeledger.entries").await;
    let manual: Vec<&str> = manual.split_whitespace().collect();
    let parts = [
        "an entry that is removed by hand lets its code be sent again",
        "absent while its request may be under way",
    ];
    assert_says(&manual.join(" "), &parts);
    ledgers.finish().await;
}
