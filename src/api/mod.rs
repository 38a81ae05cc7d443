//! The resources: `PhoneMigration`, which users write and read, and `CodeLedger`, the operator's
//! record of submitted codes. PURE.
//!
//! | Module | Holds |
//! |---|---|
//! | [`crd`] | the types of `PhoneMigration`, its YAML |
//! | [`code_ledger`] | the types of `CodeLedger` |
//! | [`bounds`] | the bounds of their fields |
//! | [`status_view`] | the parts of a status that decisions use |
//! | [`object_key`] | namespace and name |
//! | [`poll_interval`] | how often the operator reads a Secret again |
//! | [`reason`] | the fixed words of status: reasons and outcomes |
//! | [`shown_number`] | the phone number that a reply shows |

pub mod bounds;
pub mod code_ledger;
pub mod crd;
pub mod object_key;
pub mod poll_interval;
pub mod reason;
pub mod shown_number;
pub mod status_view;

/// Both CustomResourceDefinitions as YAML documents, for `kubectl apply`.
///
/// # Errors
/// Only if a generated value could not be serialised, which a test excludes.
pub fn crds_yaml() -> Result<String, serde_yaml_ng::Error> {
    let (ledgers, migrations) = (code_ledger::crd_yaml()?, crd::crd_yaml()?);
    Ok(format!("{ledgers}---\n{migrations}"))
}
