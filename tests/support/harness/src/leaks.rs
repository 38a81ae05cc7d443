//! The secrets of a world, and everything that its operators wrote.

use cams_simulator::Entry;
use control_plane::AuditEntry;
use serde_json::Value;

use crate::canary::Canaries;
use crate::error::{Error, Result};
use crate::world::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, FINGERPRINT_KEY, SECURITY_TOKEN, World};

/// Shortest code that is searched for: shorter ones occur in times and ports, so leak cases use
/// eight digits.
const CODE: usize = 8;
/// Shortest phone number that is searched for.
const NUMBER: usize = 10;

impl World {
    /// Everything of this world that the operators may not write anywhere: keys and tokens, the
    /// codes that were put into Secrets or sent, the signatures that were sent, and full phone
    /// numbers.
    pub fn canaries(&self) -> Canaries {
        let mut canaries = Canaries::default();
        canaries.add("the AccessKey id", ACCESS_KEY_ID);
        canaries.add("the AccessKey secret", ACCESS_KEY_SECRET);
        canaries.add("the security token", SECURITY_TOKEN);
        canaries.add("the fingerprint key", FINGERPRINT_KEY);
        canaries.add("the ServiceAccount token", self.plane.operator_token());
        for token in self.tokens() {
            canaries.add("a token for STS", token);
        }
        for key in self.sim.given_keys() {
            canaries.add("the id of a key of STS", key.id);
            canaries.add("the secret of a key of STS", key.secret);
            canaries.add("the token of a key of STS", key.token.unwrap_or_default());
        }
        for value in self.secret_values() {
            canaries.add("a Secret's value", value);
        }
        for number in self.numbers() {
            canaries.add("a full phone number", number);
        }
        self.add_received(&mut canaries, &self.sim.ledger());
        canaries
    }

    fn add_received(&self, canaries: &mut Canaries, ledger: &[Entry]) {
        for entry in ledger {
            let long = |text: &Option<String>, least| text.clone().filter(|t| t.len() >= least);
            if let Some(code) = long(&entry.code, CODE) {
                canaries.add("a code", code);
            }
            if let Some(number) = long(&entry.phone, NUMBER) {
                canaries.add("a full phone number", number);
            }
            if let Some(signature) = long(&entry.signature, CODE) {
                canaries.add("a signature", signature);
            }
        }
    }

    /// Everything that the operators of this world wrote so far: logs including panic messages,
    /// Events, resources, CodeLedgers, and their requests to the API server. The numbers in the
    /// spec of resources and ledgers are left out: they are there by design.
    pub async fn written(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut all: Vec<(String, Vec<u8>)> = Vec::new();
        for (n, log) in self.logs().into_iter().enumerate() {
            all.push((format!("the log of operator {n}"), log.into_bytes()));
        }
        let events = serde_json::to_vec(&self.events().await?).map_err(Error::at("events"))?;
        all.push(("Events".to_owned(), events));
        for object in self.list().await? {
            let name = format!("PhoneMigration {}", object["metadata"]["name"]);
            all.push((name, without_user_input(object).to_string().into_bytes()));
        }
        for ledger in self.ledgers().await? {
            let name = format!("CodeLedger {}", ledger["metadata"]["name"]);
            all.push((name, without_user_input(ledger).to_string().into_bytes()));
        }
        all.extend(self.requests()?.iter().map(sent));
        Ok(all)
    }
}

/// A request as the API server received it.
fn sent(request: &AuditEntry) -> (String, Vec<u8>) {
    let body = request.request_object.clone().unwrap_or_default();
    let what = format!("a request ({} {})", request.verb, request.resource);
    let text = format!(
        "{} {} {}",
        request.uri,
        request.user_agent,
        without_user_input(body)
    );
    (what, text.into_bytes())
}

/// A resource without the number that its user wrote, and without kubectl's copy of it.
pub fn without_user_input(mut object: Value) -> Value {
    fn fields(value: Option<&mut Value>) -> Option<&mut serde_json::Map<String, Value>> {
        value.and_then(Value::as_object_mut)
    }
    if let Some(spec) = fields(object.get_mut("spec")) {
        spec.remove("phoneNumber");
    }
    let metadata = fields(object.get_mut("metadata"));
    if let Some(annotations) = metadata.and_then(|m| fields(m.get_mut("annotations"))) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    object
}
