//! Reads the API server's audit log: the requests, their users and the answers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use crate::Error;

/// One request. Fields that a request does not have are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditEntry {
    /// The same in all stages of one request.
    pub audit_id: String,
    /// `ResponseComplete`; `ResponseStarted` for a watch that is still open;
    /// `Panic`.
    pub stage: String,
    /// When the apiserver received it.
    pub timestamp: Timestamp,
    /// When it reached `stage`.
    pub stage_timestamp: Timestamp,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`; lower-case HTTP methods for non-resource requests.
    pub verb: String,
    /// Empty for the core group.
    pub group: String,
    /// The plural, such as `secrets`.
    pub resource: String,
    /// Such as `status`.
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// Such as `system:serviceaccount:NAMESPACE:NAME`, or [`crate::ADMIN_USER`].
    pub user: String,
    pub user_agent: String,
    /// Path and query.
    pub uri: String,
    pub code: u16,
    /// The body, only of status writes of phonemigrations and writes of codeledgers, Events
    /// and Leases (in JSON; a patch as it was sent).
    pub request_object: Option<serde_json::Value>,
}

/// The entries read from an audit log so far. Tests read it many times, and each line is parsed
/// once.
#[derive(Default)]
pub(crate) struct Log {
    /// In the order of arrival in the log: one entry per request, with its latest
    /// stage, at the place of its first.
    entries: Vec<AuditEntry>,
    /// Places of `entries`, by audit id.
    places: HashMap<String, usize>,
    /// How many bytes were read.
    bytes: u64,
    lines: usize,
}

impl Log {
    /// All entries, including the new ones. A last line that is still being written is left for the
    /// next call.
    /// A complete line that is not an event is an error: counts over a log with a hole would be wrong.
    pub(crate) fn read(&mut self, path: &Path) -> Result<&[AuditEntry], Error> {
        let mut file = File::open(path).map_err(Error::io("read", path))?;
        file.seek(SeekFrom::Start(self.bytes))
            .map_err(Error::io("read", path))?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader
                .read_until(b'\n', &mut line)
                .map_err(Error::io("read", path))?;
            if line.last() != Some(&b'\n') {
                return Ok(&self.entries);
            }
            let entry = parse(&line).map_err(|error| Error::Audit {
                path: path.to_owned(),
                line: self.lines + 1,
                what: error.to_string(),
            })?;
            self.add(entry);
            self.bytes += length as u64;
            self.lines += 1;
        }
    }

    fn add(&mut self, entry: AuditEntry) {
        match self.places.get(&entry.audit_id) {
            Some(&place) => self.entries[place] = entry,
            None => {
                let place = self.entries.len();
                self.places.insert(entry.audit_id.clone(), place);
                self.entries.push(entry);
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<AuditEntry, serde_json::Error> {
    let event: Event = serde_json::from_slice(line)?;
    let object = event.object_ref.unwrap_or_default();
    Ok(AuditEntry {
        audit_id: event.audit_id,
        stage: event.stage,
        timestamp: event.request_received_timestamp,
        stage_timestamp: event.stage_timestamp,
        verb: event.verb,
        group: object.api_group,
        resource: object.resource,
        subresource: object.subresource,
        namespace: object.namespace,
        name: object.name,
        user: event.user.username,
        user_agent: event.user_agent,
        uri: event.request_uri,
        code: event.response_status.unwrap_or_default().code,
        request_object: event.request_object,
    })
}

/// `audit.k8s.io/v1 Event`: the fields that the library reads.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    #[serde(default)]
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
    request_object: Option<serde_json::Value>,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SHORT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/tenant-a/secrets/code","verb":"get","user":{"username":"system:serviceaccount:tenant-a:reader","groups":["system:authenticated"]},"sourceIPs":["127.0.0.1"],"userAgent":"kubectl/v1.36.3","objectRef":{"resource":"secrets","namespace":"tenant-a","name":"code","apiVersion":"v1"},"responseStatus":{"metadata":{},"status":"Failure","reason":"Forbidden","code":403},"requestReceivedTimestamp":"2026-11-23T11:59:16.175717Z","stageTimestamp":"2026-11-23T11:59:16.176001Z"}"#;
    const WATCH: &str = r#"{"auditID":"b","stage":"ResponseStarted","requestURI":"/apis/phonemigration.dev/v1alpha1/phonemigrations?watch=true","verb":"watch","user":{"username":"kubernetes-admin"},"objectRef":{"resource":"phonemigrations","apiGroup":"phonemigration.dev","apiVersion":"v1alpha1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-11-23T11:59:17.000000Z","stageTimestamp":"2026-11-23T11:59:17.000001Z"}"#;

    fn stages(entries: &[AuditEntry]) -> Vec<String> {
        entries.iter().map(|e| e.stage.clone()).collect()
    }

    fn read_text(text: &str) -> Result<Vec<AuditEntry>, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        std::fs::write(&path, text).unwrap();
        Log::default().read(&path).map(<[AuditEntry]>::to_vec)
    }

    #[test]
    fn a_request_is_one_entry() {
        let entries = read_text(&format!("{SHORT}\n")).unwrap();
        let expected = AuditEntry {
            audit_id: "a".into(),
            stage: "ResponseComplete".into(),
            timestamp: "2026-11-23T11:59:16.175717Z".parse().unwrap(),
            stage_timestamp: "2026-11-23T11:59:16.176001Z".parse().unwrap(),
            verb: "get".into(),
            resource: "secrets".into(),
            namespace: "tenant-a".into(),
            name: "code".into(),
            user: "system:serviceaccount:tenant-a:reader".into(),
            user_agent: "kubectl/v1.36.3".into(),
            uri: "/api/v1/namespaces/tenant-a/secrets/code".into(),
            code: 403,
            ..AuditEntry::default()
        };
        assert_eq!(entries, [expected]);
    }

    #[test]
    fn a_watch_is_one_entry_before_and_after_its_end() {
        let ended = WATCH.replace("ResponseStarted", "ResponseComplete");
        let open = read_text(&format!("{WATCH}\n{SHORT}\n")).unwrap();
        assert_eq!(stages(&open), ["ResponseStarted", "ResponseComplete"]);
        let both = read_text(&format!("{WATCH}\n{SHORT}\n{ended}\n")).unwrap();
        assert_eq!(stages(&both), ["ResponseComplete", "ResponseComplete"]);
        let verbs = [both[0].verb.as_str(), &both[1].verb];
        assert_eq!(verbs, ["watch", "get"]);
        assert_eq!(both[0].group, "phonemigration.dev");
    }

    #[test]
    fn what_was_read_is_not_read_again_and_what_is_being_written_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let mut log = Log::default();
        let half = &WATCH[..100];
        std::fs::write(&path, format!("{SHORT}\n{half}")).unwrap();
        assert_eq!(log.read(&path).unwrap().len(), 1);
        // Reading it would be an error.
        let read = "x".repeat(SHORT.len());
        std::fs::write(&path, format!("{read}\n{WATCH}\n")).unwrap();
        let found = stages(log.read(&path).unwrap());
        assert_eq!(found, ["ResponseComplete", "ResponseStarted"]);
        // A later stage replaces the first at the same place, whenever it comes.
        let ended = WATCH.replace("ResponseStarted", "ResponseComplete");
        let longer = format!("{read}\n{WATCH}\n{ended}\n");
        std::fs::write(&path, &longer).unwrap();
        let found = stages(log.read(&path).unwrap());
        assert_eq!(found, ["ResponseComplete", "ResponseComplete"]);
        // A broken line is an error, and stays one.
        std::fs::write(&path, format!("{longer}{half}\n")).unwrap();
        for _ in 0..2 {
            let error = log.read(&path).unwrap_err().to_string();
            assert!(error.contains("line 4"), "{error}");
        }
    }
}
