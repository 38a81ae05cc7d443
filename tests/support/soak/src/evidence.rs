//! All evidence, read once at the end when nothing runs any more.

use std::collections::HashMap;

use harness::cams_simulator::{Entry, Number};
use harness::{AuditEntry, Error, Result, World};
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;

use crate::events::{Events, Span, Spell};

/// After a reply came, its outcome is in status within this time if no fault delays it: the read
/// before a refusal may take 5 s.
const RECORDED: u64 = 8_000_000;
/// After the API server answers again, it and its clients are back within this time.
const BACK: u64 = 20_000_000;
/// The operator's deadline of one call.
const DEADLINE: u64 = 10_000_000;
/// From SIGTERM to the end of the longest drain.
const DRAIN: u64 = 50_000_000;

pub struct Evidence {
    pub ledger: Vec<Entry>,
    pub objects: Vec<Value>,
    pub numbers: Vec<Number>,
    pub requests: Vec<AuditEntry>,
    /// By attempt that a status write names: the resource's uid, and the arrival of the first such
    /// write.
    pub claims: HashMap<String, (String, Timestamp)>,
    pub spans: Vec<Span>,
    /// Texts that must not show a secret, each with its place.
    pub texts: Vec<(String, String)>,
}

impl Evidence {
    pub async fn gather(world: &World, events: &Events, objects: Vec<Value>) -> Result<Self> {
        let user = world.plane.operator_user();
        let requests = world
            .plane
            .control
            .audit_entries(|entry| entry.user == user);
        let requests = requests.map_err(Error::at("audit log"))?;
        let mut texts = Vec::new();
        for (n, log) in world.logs().into_iter().enumerate() {
            texts.push((format!("log {n}"), log));
        }
        let api: Api<Event> = Api::all(world.plane.admin.clone());
        let published = api.list(&ListParams::default()).await;
        let published = published.map_err(Error::at("Events"))?.items;
        let published = serde_json::to_string(&published).map_err(Error::at("Events"))?;
        texts.push(("Events".to_owned(), published));
        for object in &objects {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            texts.push((format!("status of {name}"), object["status"].to_string()));
        }
        for request in &requests {
            let body = request.request_object.as_ref();
            // The operator wrote all of a ledger, except the number in its spec.
            let body = body.map(|body| match request.resource.as_str() {
                "codeledgers" => harness::without_user_input(body.clone()).to_string(),
                _ => body["status"].to_string(),
            });
            let text = format!("{} {}", request.uri, body.unwrap_or_default());
            texts.push(("a request to the API server".to_owned(), text));
        }
        Ok(Self {
            ledger: world.sim.ledger(),
            numbers: world.sim.numbers(),
            claims: claims(&requests),
            spans: events.spans(),
            objects,
            requests,
            texts,
        })
    }

    /// Whether the process that sent this request surely got its reply and had the time to
    /// record it: it was neither killed nor stopped, and the API server could be written to.
    pub fn heard(&self, row: &Entry) -> bool {
        let Some(replied) = row.replied_us else {
            return false;
        };
        if replied > row.arrived_us + DEADLINE - 1_000_000 {
            return false;
        }
        let away = |span: &&Span| span.spell == Spell::ClusterAway;
        let mut end = replied + RECORDED;
        // After each outage, the record is tried until the API server is back.
        while let Some(longer) = self
            .spans
            .iter()
            .filter(away)
            .filter(|span| span.overlaps(row.arrived_us, end))
            .filter_map(|span| span.to.map(|to| to + BACK))
            .find(|longer| *longer > end)
        {
            end = longer;
        }
        let outage = end > replied + RECORDED;
        !self.spans.iter().any(|span| match span.spell {
            Spell::Killed => (row.arrived_us..=end).contains(&span.from),
            Spell::Terminated => outage && span.from <= end && span.from + DRAIN >= row.arrived_us,
            Spell::Frozen => {
                span.overlaps(row.arrived_us.saturating_sub(DEADLINE), replied + DEADLINE)
            }
            Spell::ClusterAway | Spell::Uneven => false,
        })
    }

    /// Whether no spell of uneven arrival or of a stopped process is near this moment.
    pub fn is_steady(&self, us: u64) -> bool {
        let near = |span: &Span| span.overlaps(us.saturating_sub(2_000_000), us + 1_000_000);
        let disturbs = |span: &Span| matches!(span.spell, Spell::Uneven | Spell::Frozen);
        !self.spans.iter().any(|span| disturbs(span) && near(span))
    }
}

/// Attempts by the writes of ledgers and status that name them. A write whose reply was lost may
/// have been stored: only a refusal proves that it was not stored.
fn claims(requests: &[AuditEntry]) -> HashMap<String, (String, Timestamp)> {
    let mut claims = HashMap::new();
    let stored = |r: &&AuditEntry| !(400..500).contains(&r.code);
    for request in requests.iter().filter(stored) {
        let Some(body) = &request.request_object else {
            continue;
        };
        for entry in body["entries"].as_array().into_iter().flatten() {
            let uid = entry["migration"]["uid"].as_str().unwrap_or_default();
            if let Some(id) = entry["attemptId"].as_str() {
                let claim = (uid.to_owned(), request.timestamp);
                claims.entry(id.to_owned()).or_insert(claim);
            }
        }
        let uid = body["metadata"]["uid"].as_str().unwrap_or_default();
        let attempt = &body["status"]["attempt"]["id"];
        let history = body["status"]["history"].as_array();
        let older = history.into_iter().flatten().map(|e| &e["attemptId"]);
        for id in std::iter::once(attempt).chain(older) {
            if let Some(id) = id.as_str() {
                let claim = (uid.to_owned(), request.timestamp);
                claims.entry(id.to_owned()).or_insert(claim);
            }
        }
    }
    claims
}

#[cfg(test)]
pub(crate) mod tests {
    use harness::cams_simulator::{Decision, VERIFIED};
    use harness::made_up_row;

    use super::*;

    const SECOND: u64 = 1_000_000;
    const PHONE: &str = "8613800000007";

    /// Nothing happened.
    pub fn nothing() -> Evidence {
        Evidence {
            ledger: Vec::new(),
            objects: Vec::new(),
            numbers: Vec::new(),
            requests: Vec::new(),
            claims: HashMap::new(),
            spans: Vec::new(),
            texts: Vec::new(),
        }
    }

    /// A submission, its nonce after its moment.
    pub fn submission(at_us: u64, decision: Decision) -> Entry {
        Entry {
            nonce: Some(format!("n{at_us}")),
            ..made_up_row(VERIFIED, PHONE, Some("12345678"), decision, at_us)
        }
    }

    /// Whether a reply after 100 s was heard in spite of these spells.
    fn heard_in(spells: &[(Spell, u64, u64)]) -> bool {
        let span = |(spell, from, to): &(Spell, u64, u64)| Span {
            spell: *spell,
            from: from * SECOND,
            to: Some(to * SECOND),
        };
        let evidence = Evidence {
            spans: spells.iter().map(span).collect(),
            ..nothing()
        };
        evidence.heard(&submission(100 * SECOND, Decision::Refused))
    }

    fn heard(spell: Spell, from: u64, to: u64) -> bool {
        heard_in(&[(spell, from, to)])
    }

    #[test]
    fn a_reply_was_heard_unless_its_process_was_killed_before_it_was_recorded() {
        assert!(heard_in(&[]));
        assert!(heard(Spell::Killed, 99, 120));
        assert!(!heard(Spell::Killed, 101, 102));
        assert!(!heard(Spell::Killed, 107, 108));
        assert!(heard(Spell::Killed, 109, 110));
    }

    #[test]
    fn a_process_that_stood_still_may_have_given_up() {
        assert!(heard(Spell::Frozen, 60, 80));
        assert!(!heard(Spell::Frozen, 60, 95));
        assert!(!heard(Spell::Frozen, 105, 130));
    }

    #[test]
    fn a_clean_stop_excuses_only_while_nothing_can_be_written() {
        let away = (Spell::ClusterAway, 99, 130);
        assert!(heard(Spell::Terminated, 101, 110));
        assert!(!heard_in(&[away, (Spell::Terminated, 101, 151)]));
    }

    #[test]
    fn an_outage_gives_a_kill_more_time_to_lose_what_was_heard() {
        let away = (Spell::ClusterAway, 99, 130);
        assert!(!heard_in(&[away, (Spell::Killed, 140, 141)]));
        assert!(heard(Spell::Killed, 140, 141));
    }
}
