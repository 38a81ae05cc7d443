//! `check`: is everything there that a run needs? One line for each item; nothing is changed,
//! and no line holds a secret.
//!
//! The only call to CAMS is one status read of a number that nobody has: it proves the endpoint,
//! the credentials and the clock. It cannot prove the right to submit, which only a submission
//! would.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use crate::config::{Config, ConfigError, load_fingerprint_key};
use crate::context::ACCOUNT;
use crate::metrics::Metrics;
use crate::operator;

mod account;
mod kubernetes;
mod rights;

pub use rights::{Right, needed};

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub item: &'static str,
    /// What was found.
    pub verdict: Verdict,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Fine(String),
    /// The operator runs, but not as well as it could.
    Warning(String),
    /// The operator cannot do its work: what is wrong, and what to do.
    Wrong(String),
    /// Something else that is wrong was in the way.
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
            Verdict::Warning(text) => ("warning", text),
            Verdict::Wrong(text) => ("WRONG", text),
            Verdict::NotChecked(text) => ("skipped", text),
        };
        write!(f, "{word:<8} {}: {text}", self.item)
    }
}

/// Looks at everything and writes a line for each item as soon as it is known. True if nothing
/// is wrong.
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
    let text = format!("{}, {namespaces}, {election}", config.cams_endpoint);
    Finding::fine("configuration", text)
}

fn fingerprint_key(config: &Config) -> Finding {
    const ITEM: &str = "fingerprint key";
    let advice = "spent codes are recognised only until the operator restarts; create one with: \
                  head -c 32 /dev/urandom > FILE";
    let Some(path) = &config.fingerprint_key_file else {
        let verdict = Verdict::Warning(format!("no --fingerprint-key-file: {advice}"));
        return Finding {
            item: ITEM,
            verdict,
        };
    };
    // The bytes are not kept: only whether there are any.
    let verdict = match load_fingerprint_key(path, drop) {
        Ok(Some(())) => Verdict::Fine(format!("read from {}", path.display())),
        Ok(None) => Verdict::Warning(format!("there is no file {}: {advice}", path.display())),
        Err(error) => Verdict::Wrong(error.to_string()),
    };
    Finding {
        item: ITEM,
        verdict,
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
