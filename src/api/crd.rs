//! The `PhoneMigration` resource: its types, bounds and condition types. PURE.
//!
//! Field descriptions are the manual that `kubectl explain` prints. Every bound is in the schema,
//! so that the API server refuses values that the operator could not handle. A bound on status must
//! never refuse an outcome that the operator writes: `domain::status` cuts each value to
//! [`super::bounds`].

#![allow(clippy::duplicated_attributes)] // printcolumn repeats `type_` by design of the derive

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::bounds::{
    DEFAULT_ATTEMPT_LIMIT, MAX_ATTEMPTS, MAX_FINGERPRINT, MAX_HANDLED_TOKENS, MAX_IDENTIFIER,
    MAX_MESSAGE, MAX_NAME, MAX_NUMBER,
};
pub use super::reason::{Outcome, Reason};

mod schema;

pub use schema::crd_yaml;
pub(super) use schema::manual_yaml;

/// Annotation that makes the operator reconcile at once; echoed in `status.lastHandledReconcileAt`.
pub const REQUESTED_AT: &str = "phonemigration.dev/requestedAt";

/// Label that Velero puts on restored objects: the name of the restore.
pub const RESTORED: &str = "velero.io/restore-name";

/// Condition types of a PhoneMigration. They are API: never renamed.
pub mod condition {
    /// True only when the number is verified.
    pub const READY: &str = "Ready";
    /// True while the operator will act by itself (kstatus).
    pub const RECONCILING: &str = "Reconciling";
    /// True when a person must act (kstatus).
    pub const STALLED: &str = "Stalled";
    /// True when nothing more happens by itself, well or badly.
    pub const FINISHED: &str = "Finished";
}

/// One WhatsApp Business phone number to be moved to Alibaba Cloud Chat App Message Service
/// (CAMS): the operator reads a one-time code from a Secret in the same namespace, submits it
/// exactly once by `ChatappMigrationVerified`, and writes the returned Id or the error code
/// into status.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "phonemigration.dev",
    version = "v1alpha1",
    kind = "PhoneMigration",
    plural = "phonemigrations",
    shortname = "phmig",
    category = "cams",
    namespaced,
    status = "PhoneMigrationStatus",
    derive = "PartialEq",
    doc = "PhoneMigration proves the ownership of one WhatsApp Business phone number to Alibaba Cloud Chat App Message Service (CAMS): a one-time code from a Secret is submitted exactly once, and the returned Id or the error code is written into status.",
    selectable = ".spec.phoneNumber",
    selectable = ".status.reason",
    selectable = ".status.errorCode",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Id", type_ = "string", json_path = ".status.id"),
    printcolumn(
        name = "Number",
        type_ = "string",
        json_path = ".status.phoneNumber",
        priority = "1"
    ),
    printcolumn(
        name = "ErrorCode",
        type_ = "string",
        json_path = ".status.errorCode",
        priority = "1"
    ),
    printcolumn(
        name = "Attempts",
        type_ = "integer",
        json_path = ".status.attempt.number",
        priority = "1"
    ),
    printcolumn(
        name = "Request",
        type_ = "string",
        json_path = ".status.requestId",
        priority = "1"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = "1"
    )
)]
pub struct PhoneMigrationSpec {
    /// CustSpaceId of the CAMS space that the number moves into: either all digits (the space
    /// of an ISV's customer) or an instance id that begins with `cams-`. Immutable.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^([0-9]+|cams-[0-9A-Za-z-]+)$")
    )]
    #[x_kube(validation = Rule::new("self == oldSelf").message("custSpaceId is immutable: create another PhoneMigration"))]
    pub cust_space_id: String,
    /// PhoneNumber to move: country code and number, digits only, no '+' (for example
    /// 8613800001234). Immutable.
    #[schemars(length(min = 7, max = 15), regex(pattern = r"^[1-9][0-9]{6,14}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("phoneNumber is immutable: create another PhoneMigration"))]
    pub phone_number: String,
    /// Secret in the same namespace that holds the one-time code (VerifyCode). It may be
    /// created later: the operator waits for it. After a refusal, put another code into it: a
    /// code that was spent is never submitted again. The operator reads the Secret within a
    /// minute while the resource is new, later every 5 minutes; a new value of the annotation
    /// phonemigration.dev/requestedAt makes it read at once.
    pub verify_code_secret_ref: VerifyCodeSecretRef,
    /// Make no new attempt while true. An attempt that is open is still recorded and observed,
    /// and finished states stay as they are.
    #[serde(default)]
    pub suspend: bool,
    /// Any change makes the operator reconcile again: it lets a code through of which the
    /// operator cannot tell whether it was spent before, and raises `status.attemptLimit` once
    /// attempts are exhausted. A code known to be spent is never submitted again. Put the new code into
    /// the Secret first, then change this.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub retry_token: String,
}

/// Where the one-time code is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifyCodeSecretRef {
    /// Name of the Secret, in the namespace of the PhoneMigration.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// Key of the Secret whose value is the code: 6 digits, unless the operator is configured
    /// otherwise (`--code-digits`). White space and dashes are dropped, and an empty value counts as
    /// a missing key. Anything else is InvalidCode, and nothing is sent.
    #[serde(default = "code_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
    /// Key of the Secret whose value says when the code expires, as RFC 3339 time such as
    /// 2026-01-31T12:00:00Z. The Secret need not have it; with it, a code that has expired is
    /// never submitted.
    #[serde(default = "expires_at_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub expires_at_key: String,
}

fn code_key() -> String {
    "code".to_owned()
}
fn expires_at_key() -> String {
    "expiresAt".to_owned()
}

/// What the operator observed and did. Written by the operator only.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PhoneMigrationStatus {
    /// Generation of the spec that this status speaks of; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Reason of the Ready condition, as a scalar, so that it can be selected:
    /// `kubectl get phmig --field-selector status.reason=CodeRejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// Id of the phone number as CAMS returned it (`Data.Id`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub id: Option<String>,
    /// Phone number, masked: as CAMS returned it, before that all but its last four digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub phone_number: Option<String>,
    /// Code of the last error that CAMS answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error_code: Option<String>,
    /// Message of the last error that CAMS answered, without secrets, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub error_message: Option<String>,
    /// RequestId of the last answer: quote it to Alibaba Cloud support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub request_id: Option<String>,
    /// When the operator learned that the number is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
    /// The current attempt, or the last one, as the number's CodeLedger has it. An attempt without
    /// an outcome was possibly sent; it is observed and never sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// Codes that were spent, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub history: Vec<SpentCode>,
    /// Codes that may be spent before a person must say go on, by a changed spec.retryToken:
    /// repeated wrong codes can lock a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub attempt_limit: Option<i32>,
    /// True if the resource carries the label velero.io/restore-name and had no status when the
    /// operator saw it first. Unless its number has a CodeLedger, a code of it is CodeUnknown then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored_without_status: bool,
    /// When the operator will act next, if it is waiting for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Time>,
    /// Last value of the annotation phonemigration.dev/requestedAt that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub last_handled_reconcile_at: Option<String>,
    /// Last value of spec.retryToken that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub last_handled_retry_token: Option<String>,
    /// The first 16 hexadecimal digits of the SHA-256 of each value of spec.retryToken that raised
    /// attemptLimit or let a code through, newest first: none of them does so again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 20),
        inner(length(max = 16), regex(pattern = r"^[0-9a-f]{16}$"))
    )]
    pub handled_retry_tokens: Vec<String>,
    /// Ready: the number is verified. Reconciling: the operator will act by itself. Stalled:
    /// a person must act, and the message says how. Finished: nothing more happens by itself,
    /// well or badly (`kubectl wait --for=condition=Finished`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// One attempt: a view of its entry in the number's CodeLedger.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Counts spent codes from 1; an attempt that was released gives its number back.
    #[schemars(range(min = 0, max = 1000))]
    pub number: i32,
    /// Identity of the attempt, and SignatureNonce of its only request.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Timestamp in the signature: the service refuses the request once it is too old.
    pub signed_at: Time,
    /// When the service surely refuses the signature: until then the request may be executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_at: Option<Time>,
    /// The Secret that the code was read from, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVersion>,
    /// Keyed fingerprint of the code (`keyId:HMAC`), to tell whether a code is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 96))]
    pub code_fingerprint: Option<String>,
    /// Generation of the spec that the attempt was made for.
    #[serde(default)]
    pub generation: i64,
    /// How it ended; absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When the outcome was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// Version of a Secret, to tell whether it moved.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretVersion {
    /// metadata.uid of the Secret.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// metadata.resourceVersion of the Secret.
    #[schemars(length(max = 64))]
    pub resource_version: String,
}

/// A code that was spent.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpentCode {
    /// Number of the attempt.
    #[schemars(range(min = 0, max = 1000))]
    pub number: i32,
    /// Identity of the attempt.
    #[schemars(length(max = 64))]
    pub attempt_id: String,
    /// Keyed fingerprint of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 96))]
    pub code_fingerprint: Option<String>,
    /// How the attempt ended.
    pub outcome: Outcome,
    /// Code that CAMS answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error_code: Option<String>,
    /// RequestId of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub request_id: Option<String>,
    /// When the outcome was recorded.
    pub finished_at: Time,
}
