//! The `CodeLedger` resource: the codes submitted for one phone number. It is in the operator's
//! namespace, and only the operator writes it. PURE.
//!
//! It is the fence: the operator sends a code only after it has stored the code's entry here, over
//! the version of the ledger that it decided on. The rules of the schema (CEL) are the last check
//! behind the operator's own.

#![allow(clippy::duplicated_attributes)] // printcolumn repeats `type_` by design of the derive

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::crd::CustomResourceExt;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_yaml_ng::Value;

use super::crd::{SecretVersion, manual_yaml};
use super::reason::{CodeUse, Outcome};

/// Most entries of one ledger that are not imported: with so many, the operator sends no further
/// code.
pub const MAX_CLAIMS: usize = 40;
/// Most imported entries of one ledger.
pub const MAX_IMPORTED: usize = 20;
/// Most entries of one ledger.
pub const MAX_ENTRIES: usize = MAX_CLAIMS + MAX_IMPORTED;
/// Most ids of released attempts that are kept.
pub const MAX_RELEASED: usize = 40;

/// What was submitted for one phone number.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "phonemigration.dev",
    version = "v1alpha1",
    kind = "CodeLedger",
    plural = "codeledgers",
    shortname = "phledger",
    category = "cams",
    namespaced,
    no_spec,
    derive = "PartialEq",
    doc = "CodeLedger records what the operator submitted for one phone number: one entry for each one-time code, stored before the code is sent. The operator writes it, in its own namespace, and nobody else may: a ledger that is changed or deleted can let a spent code be sent again. Its name is a hash of the number.",
    selectable = ".spec.phoneNumber",
    printcolumn(name = "Number", type_ = "string", json_path = ".spec.phoneNumber"),
    printcolumn(name = "Entries", type_ = "integer", json_path = ".summary.entries"),
    printcolumn(name = "Open", type_ = "boolean", json_path = ".summary.open"),
    printcolumn(
        name = "Last outcome",
        type_ = "string",
        json_path = ".summary.outcome"
    ),
    printcolumn(
        name = "Last resource",
        type_ = "string",
        json_path = ".summary.resource"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("self.entries.filter(e, !has(e.outcome) || e.outcome == 'Unknown').size() <= 1").message("at most one entry may be open: an attempt ends before the next one begins"))]
#[x_kube(validation = Rule::new("self.entries.all(e, has(e.outcome) && e.outcome in ['Throttled', 'NotSent', 'Blocked'] || self.entries.exists_one(o, o.fingerprint == e.fingerprint && !(has(o.outcome) && o.outcome in ['Throttled', 'NotSent', 'Blocked'])))").message("a fingerprint may stand in one entry only, released ones aside: a code is submitted once"))]
#[x_kube(validation = Rule::new("oldSelf.entries.all(o, has(o.outcome) && o.outcome in ['Throttled', 'NotSent', 'Blocked'] || self.entries.exists(e, e.attemptId == o.attemptId))").message("an entry may leave only if it was released: without it its code would be sent again"))]
pub struct CodeLedgerFields {
    /// The phone number that this ledger is about. Immutable.
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec is immutable: each number has a ledger of its own"))]
    pub spec: CodeLedgerSpec,
    /// The columns of `kubectl get codeledgers`, written with each change of the entries.
    #[serde(default)]
    pub summary: LedgerSummary,
    /// The submitted codes, newest first. An entry is stored before its code is sent. Danger: an
    /// entry that is removed by hand lets its code be sent again.
    #[serde(default)]
    #[schemars(length(max = 60))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["attemptId".into()]))]
    pub entries: Vec<LedgerEntry>,
    /// attemptIds of released attempts that are no longer among the entries, newest first: what was
    /// released and left out, so that no status of a PhoneMigration brings it back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40), inner(length(min = 1, max = 64)))]
    pub released: Vec<String>,
}

/// What a ledger is about.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CodeLedgerSpec {
    /// PhoneNumber: country code and number, digits only. Find the ledger of a number with
    /// `kubectl get phledger --field-selector spec.phoneNumber=8613800001234`.
    #[schemars(length(min = 7, max = 15), regex(pattern = r"^[1-9][0-9]{6,14}$"))]
    pub phone_number: String,
}

/// Scalars for the columns of `kubectl get`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerSummary {
    /// How many entries there are.
    #[serde(default)]
    #[schemars(range(min = 0, max = 60))]
    pub entries: i32,
    /// True while the outcome of an entry is not known.
    #[serde(default)]
    pub open: bool,
    /// Outcome of the newest entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub outcome: Option<String>,
    /// The PhoneMigration of the newest entry, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub resource: Option<String>,
}

/// One submitted code.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(oldSelf.outcome) || oldSelf.outcome == 'Unknown' || has(self.outcome) && (self.outcome == oldSelf.outcome || oldSelf.outcome == 'UnknownFinal' && self.outcome in ['Refused', 'RequestRefused', 'Accepted'] || oldSelf.outcome != 'Accepted' && self.outcome == 'Adopted')").message("a definite outcome stays: UnknownFinal may become spent or verified, and any but Accepted may become Adopted"))]
pub struct LedgerEntry {
    /// Identity of the attempt, and SignatureNonce of its only request.
    #[schemars(length(min = 1, max = 64))]
    pub attempt_id: String,
    /// Keyed fingerprint of the code (`keyId:HMAC`), to tell whether a code is the same.
    #[schemars(length(min = 1, max = 96))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("fingerprint is immutable"))]
    pub fingerprint: String,
    /// Timestamp in the signature.
    #[x_kube(validation = Rule::new("self == oldSelf").message("signedAt is immutable"))]
    pub signed_at: Time,
    /// When the service surely refuses the signature: until then the request may be executed.
    pub final_at: Time,
    /// CustSpaceId that the request named.
    #[schemars(length(max = 64))]
    pub cust_space_id: String,
    /// The PhoneMigration that the attempt was made for.
    pub migration: MigrationRef,
    /// The Secret that the code was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVersion>,
    /// True for an entry that was taken from the status of a PhoneMigration, after the ledger was
    /// lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// How the attempt ended; absent while its request may be under way.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "known_outcome"
    )]
    #[schemars(schema_with = "outcome_schema")]
    pub outcome: Option<Outcome>,
    /// Code that CAMS answered, or the operator's own word for no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error_code: Option<String>,
    /// Message that CAMS answered, without secrets, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub error_message: Option<String>,
    /// RequestId of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub request_id: Option<String>,
    /// Id of the phone number as CAMS returned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub id: Option<String>,
    /// When the outcome was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// The PhoneMigration that an attempt was made for.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationRef {
    /// metadata.namespace of the PhoneMigration.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// metadata.name of the PhoneMigration.
    #[schemars(length(max = 253))]
    pub name: String,
    /// metadata.uid: a resource of the same name that was made anew is another one.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Generation of the spec that the attempt was made for.
    #[serde(default)]
    pub generation: i64,
}

/// The CustomResourceDefinition of `CodeLedger` as YAML, as committed in `crds/`.
///
/// # Errors
/// Only if the generated value could not be serialised, which a test excludes.
pub fn crd_yaml() -> Result<String, serde_yaml_ng::Error> {
    let mut value = serde_yaml_ng::to_value(CodeLedger::crd())?;
    refuse_null(&mut value);
    manual_yaml(value)
}

/// Danger: where the schema allows `null`, a `null` outcome is neither absent nor a word for the
/// rules, so that its entry counts as ended. Elsewhere the API server drops the `null`.
fn refuse_null(value: &mut Value) {
    match value {
        Value::Mapping(mapping) => {
            mapping.remove("nullable");
            mapping.values_mut().for_each(refuse_null);
        }
        Value::Sequence(items) => items.iter_mut().for_each(refuse_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => {}
    }
}

/// The words of [`Outcome`], described for `kubectl explain`.
fn outcome_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": Outcome::ALL.map(Outcome::as_str),
        "description": "How the attempt ended; absent while its request may be under way. Open: \
                        absent, and Unknown (no answer; status reads decide). Released, so that the \
                        code may be sent again: Throttled, NotSent, Blocked. Spent: Refused, \
                        RequestRefused, UnknownFinal (no answer, and the signature has expired). \
                        Verified: Accepted, Adopted (a status read found the number verified)."
    })
}

/// An outcome of a later version makes the whole ledger unreadable: the operator then sends nothing
/// for its number.
fn known_outcome<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Outcome>, D::Error> {
    let Some(word) = Option::<String>::deserialize(source)? else {
        return Ok(None);
    };
    match Outcome::parse(&word) {
        Some(outcome) => Ok(Some(outcome)),
        None => Err(serde::de::Error::custom("unknown outcome")),
    }
}

impl LedgerEntry {
    /// Whether the code of this entry was used, according to its outcome.
    pub fn code_use(&self) -> CodeUse {
        self.outcome.map_or(CodeUse::Open, Outcome::code_use)
    }

    /// True while the request of this entry may still be executed.
    pub fn is_open(&self) -> bool {
        self.code_use() == CodeUse::Open
    }

    /// True if the request was certainly not executed: the code may be sent again.
    pub fn is_released(&self) -> bool {
        self.code_use() == CodeUse::Released
    }
}
