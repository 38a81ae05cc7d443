//! The search for secrets in all output, in every encoding in which a program or a library could
//! write them.
//!
//! It shares no code with the operator's scrubber: an error in one would be mirrored by the other.
//!
//! Limits: secrets of fewer than eight bytes are not searched for (they occur by chance), nor is a
//! secret that other characters split.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;

use crate::error::{Error, Result};

mod encodings;

use encodings::{Encoded, encodings};

/// Shortest secret that is searched for, in bytes.
const SHORTEST: usize = 8;
/// How much of a text is shown around a find, in bytes on either side.
const AROUND: usize = 60;
/// How many finds are shown.
const MOST_TOLD: usize = 20;

/// The secrets that must not appear, each with its description.
#[derive(Clone, Debug, Default)]
pub struct Canaries(BTreeMap<Vec<u8>, &'static str>);

impl Canaries {
    /// Adds a secret; `what` names it in the words of a find.
    pub fn add(&mut self, what: &'static str, secret: impl AsRef<[u8]>) {
        if secret.as_ref().len() >= SHORTEST {
            self.0.insert(secret.as_ref().to_vec(), what);
        }
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn search(&self) -> Result<Search> {
        let mut needles: Vec<(&'static str, Encoded)> = Vec::new();
        for (secret, what) in &self.0 {
            needles.extend(
                encodings(secret)
                    .into_iter()
                    .map(|encoded| (*what, encoded)),
            );
        }
        let (lists, texts): (Vec<_>, Vec<_>) = needles
            .into_iter()
            .partition(|(_, encoded)| encoded.squeezed);
        Ok(Search {
            texts: Needles::new(texts)?,
            lists: Needles::new(lists)?,
        })
    }
}

/// A secret that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// Its description.
    pub what: &'static str,
    pub encoding: &'static str,
    /// The text around it.
    pub around: String,
}

/// A prepared search.
pub struct Search {
    texts: Needles,
    /// Lists of numbers, searched for in texts without white space.
    lists: Needles,
}

struct Needles {
    needles: Vec<(&'static str, Encoded)>,
    automaton: AhoCorasick,
}

impl Needles {
    fn new(needles: Vec<(&'static str, Encoded)>) -> Result<Self> {
        let automaton = AhoCorasick::new(needles.iter().map(|(_, encoded)| &encoded.bytes))
            .map_err(Error::at("search for secrets"))?;
        Ok(Self { needles, automaton })
    }

    fn finds(&self, text: &[u8]) -> Vec<Find> {
        let mut found = Vec::new();
        for hit in self.automaton.find_overlapping_iter(text) {
            let Some((what, encoded)) = self.needles.get(hit.pattern().as_usize()) else {
                continue;
            };
            let (before, rest) = text.split_at(hit.start());
            let after = rest.get(hit.len()..).unwrap_or_default();
            if encoded.is_plain && is_by_chance(before, after) {
                continue;
            }
            let around = text
                .get(hit.start().saturating_sub(AROUND)..(hit.end() + AROUND).min(text.len()))
                .unwrap_or_default();
            found.push(Find {
                what,
                encoding: encoded.name,
                around: String::from_utf8_lossy(around).into_owned(),
            });
        }
        found
    }
}

/// A piece of a longer hexadecimal word (ids hold every eight digits now and then), or of the
/// simulator's Id of a number.
fn is_by_chance(before: &[u8], after: &[u8]) -> bool {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    (hex(before.last()) && hex(after.first())) || before.ends_with(b"id-")
}

impl Search {
    /// Every find in a text or a binary.
    pub fn finds(&self, text: &[u8]) -> Vec<Find> {
        let mut found = self.texts.finds(text);
        found.extend(self.lists.finds(&squeezed(text)));
        found
    }

    /// Checks that no secret is in any of these artefacts, each with its name.
    /// The error has the finds, one for each kind of place.
    pub fn none_in(&self, artefacts: &[(String, Vec<u8>)]) -> Result<()> {
        let mut told = BTreeMap::new();
        for (place, text) in artefacts {
            for find in self.finds(text) {
                let kind = place.split(['"', ',']).next().unwrap_or_default();
                let what = format!("{} ({}) in {kind}", find.what, find.encoding);
                told.entry(what)
                    .or_insert_with(|| format!("{place}: …{}…", find.around));
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        let lines = told.iter().take(MOST_TOLD);
        let lines: Vec<String> = lines
            .map(|(what, text)| format!("{what}: {text}"))
            .collect();
        let why = format!("{} finds\n{}", told.len(), lines.join("\n"));
        Err(Error::new("invariant broken: leak", why))
    }
}

/// A text without white space, also where that is escaped: lists are printed on one line or on
/// many, and lines are logged as JSON.
fn squeezed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = byte == b'\\' && matches!(bytes.peek(), Some(b'n' | b't' | b'r'));
        if escaped {
            bytes.next();
        } else if !byte.is_ascii_whitespace() {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests;
