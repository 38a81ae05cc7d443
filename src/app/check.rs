//! `check`: tests that everything a run needs is there. It prints one line for each item, changes
//! nothing, and prints no secret.
//!
//! The only call to CAMS is one status read of an unassigned number. It proves the endpoint, the
//! credentials and the clock. It cannot prove the right to submit: only a submission would.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use crate::app::config::{Config, ConfigError, load_fingerprint_key};
use crate::app::operator;
use crate::operator::state::context::ACCOUNT;
use crate::telemetry::metrics::Metrics;

mod account;
mod kubernetes;
mod rights;

pub use crate::cluster::Right;
pub use rights::needed;

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The item that was checked.
    pub item: &'static str,
    /// The result of the check.
    pub verdict: Verdict,
}

/// The result of the check of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The item is as it should be.
    Fine(String),
    /// The operator cannot work: the fault and the remedy.
    Wrong(String),
    /// Another fault prevented this check.
    NotChecked(String),
}

impl Finding {
    fn fine(item: &'static str, text: impl Into<String>) -> Self {
        let verdict = Verdict::Fine(text.into());
        Self { item, verdict }
    }

    fn wrong(item: &'static str, text: impl Into<String>) -> Self {
        let verdict = Verdict::Wrong(text.into());
        Self { item, verdict }
    }

    fn not_checked(item: &'static str, text: impl Into<String>) -> Self {
        let verdict = Verdict::NotChecked(text.into());
        Self { item, verdict }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = match &self.verdict {
            Verdict::Fine(text) => ("ok", text),
            Verdict::Wrong(text) => ("WRONG", text),
            Verdict::NotChecked(text) => ("skipped", text),
        };
        write!(f, "{word:<8} {}: {text}", self.item)
    }
}

/// Checks every item and writes its line as soon as the result is known. True if nothing is wrong.
///
/// # Errors
/// When the lines cannot be written.
pub async fn run(config: Result<Config, ConfigError>, out: &mut impl Write) -> io::Result<bool> {
    let mut report = Report { out, wrong: 0 };
    match config {
        Ok(config) => {
            report.add([configuration(&config), fingerprint_key(&config)])?;
            report.add(account::check(&config).await)?;
            kubernetes(&config, &mut report).await?;
        }
        Err(error) => report.add([Finding::wrong("configuration", error.to_string())])?,
    }
    match report.wrong {
        0 => writeln!(report.out, "Nothing is wrong")?,
        1 => writeln!(report.out, "1 item is wrong")?,
        wrong => writeln!(report.out, "{wrong} items are wrong")?,
    }
    Ok(report.wrong == 0)
}

struct Report<'a, W> {
    out: &'a mut W,
    wrong: usize,
}

impl<W: Write> Report<'_, W> {
    fn add(&mut self, findings: impl IntoIterator<Item = Finding>) -> io::Result<()> {
        for finding in findings {
            writeln!(self.out, "{finding}")?;
            self.wrong += usize::from(matches!(finding.verdict, Verdict::Wrong(_)));
        }
        self.out.flush()
    }
}

fn configuration(config: &Config) -> Finding {
    let namespaces = match config.watch_namespaces.as_slice() {
        [] => "all namespaces".to_owned(),
        [one] => format!("namespace {one}"),
        several => format!("namespaces {}", several.join(", ")),
    };
    let election = match &config.leader_election {
        Some(election) => format!("the Lease in namespace {}", election.namespace),
        None => "no Lease".to_owned(),
    };
    let text = format!(
        "{}, {namespaces}, {election}, CodeLedgers in namespace {}",
        config.cams_endpoint, config.ledger_namespace
    );
    Finding::fine("configuration", text)
}

fn fingerprint_key(config: &Config) -> Finding {
    const ITEM: &str = "fingerprint key";
    let path = &config.fingerprint_key_file;
    // Drops the bytes: `check` only needs to know that the key can be read.
    match load_fingerprint_key(path, drop) {
        Ok(()) => Finding::fine(ITEM, format!("read from {}", path.display())),
        Err(error) => Finding::wrong(ITEM, error.to_string()),
    }
}

async fn kubernetes<W: Write>(config: &Config, report: &mut Report<'_, W>) -> io::Result<()> {
    let metrics = Arc::new(Metrics::new(ACCOUNT, []));
    match operator::connect(config, &metrics).await {
        Ok(cluster) => report.add(kubernetes::check(config, &cluster).await),
        Err(error) => report.add(kubernetes::unreachable(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
