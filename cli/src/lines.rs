//! Lines of codes from a spreadsheet or a gateway, and which PhoneMigration each is for. PURE.
//!
//! Danger: text that cannot be parsed may be a code; no error repeats a line or a part of it that
//! could be one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use phone_migration_api::crd::PhoneMigration;

use crate::cluster::Key;
use crate::digits::{Digits, Lengths, without_codes};
use crate::exit::Exit;
use crate::hand::refusal;
use crate::text::{clean, cut};

/// A line that was parsed.
pub struct Line {
    /// From 1.
    pub number: usize,
    /// The name or the number of a PhoneMigration.
    pub target: String,
    /// The code.
    pub digits: Digits,
    /// When it expires, if the line says so.
    pub expires_at: Option<Timestamp>,
}

/// Why a line is not handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// From 1.
    pub line: usize,
    /// The target of the line, if known.
    pub target: String,
    /// Why.
    pub why: String,
    /// How the line counts.
    pub kind: Kind,
}

/// How a line that is not handed in counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The number is verified: there is nothing to do.
    Verified,
    /// The same code for the same number stands in another line.
    Doubled,
    /// It names no PhoneMigration.
    Unknown,
    /// It cannot be used as it is.
    Unusable,
}

impl Kind {
    /// In a summary.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Verified => "verified already",
            Kind::Doubled => "doubled",
            Kind::Unknown => "unknown",
            Kind::Unusable => "unusable",
        }
    }

    /// The exit code that it leads to.
    pub fn exit(self) -> Exit {
        match self {
            Kind::Verified | Kind::Doubled => Exit::Done,
            Kind::Unknown | Kind::Unusable => Exit::Error,
        }
    }
}

/// A code to be handed in.
pub struct Job {
    /// From 1.
    pub line: usize,
    /// For which resource, as it was listed.
    pub object: PhoneMigration,
    /// The code.
    pub digits: Digits,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

/// Reads the lines.
pub fn parse(text: &str, lengths: Lengths) -> (Vec<Line>, Vec<Skipped>) {
    let (mut lines, mut skipped) = (Vec::new(), Vec::new());
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (n, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') || is_head(trimmed) && n == 0 {
            continue;
        }
        match parse_line(n + 1, trimmed, lengths) {
            Ok(line) => lines.push(line),
            Err((target, why)) => skipped.push(Skipped {
                line: n + 1,
                target,
                why,
                kind: Kind::Unusable,
            }),
        }
    }
    (lines, skipped)
}

/// The head of a table: words only.
fn is_head(line: &str) -> bool {
    !line.contains(|c: char| c.is_ascii_digit()) && line.to_ascii_lowercase().contains("code")
}

fn fields(line: &str) -> Vec<&str> {
    let separator = |c: char| matches!(c, ',' | ';' | '\t');
    let parts: Vec<&str> = match line.contains(separator) {
        true => line.split(separator).collect(),
        false => line.split_whitespace().collect(),
    };
    parts
        .into_iter()
        .map(|part| part.trim().trim_matches('"').trim())
        .collect()
}

fn parse_line(number: usize, line: &str, lengths: Lengths) -> Result<Line, (String, String)> {
    let fields = fields(line);
    let target = fields.first().copied().unwrap_or_default();
    // A target that could be a code is not repeated.
    let shown = cut(&without_codes(&clean(target)), 40);
    let wrong = |why: String| Err((shown.clone(), why));
    let (code, expires_at) = match fields.as_slice() {
        [_] => return wrong("there is no code in it: NAME,CODE or NUMBER,CODE".to_owned()),
        [_, code] => (*code, ""),
        [_, code, expires_at] => (*code, *expires_at),
        _ => return wrong("there are too many values: NAME,CODE,EXPIRES_AT".to_owned()),
    };
    let Some(digits) = Digits::parse(code, lengths) else {
        return wrong(format!(
            "the second value is not a code of {lengths} digits (not shown)"
        ));
    };
    let expires_at = match expires_at {
        "" => None,
        text => match text.parse::<Timestamp>() {
            Ok(at) => Some(at),
            Err(_) => {
                return wrong(
                    "the third value is not a time such as 2026-01-31T12:00:00Z".to_owned(),
                );
            }
        },
    };
    let target = target.strip_prefix('+').unwrap_or(target).to_owned();
    if target.is_empty() {
        return wrong("there is no name and no number in it".to_owned());
    }
    Ok(Line {
        number,
        target,
        digits,
        expires_at,
    })
}

/// Matches lines with resources. The codes that expire first come first, then those without an
/// expiry.
pub fn plan(
    lines: Vec<Line>,
    objects: &[PhoneMigration],
    now: Timestamp,
) -> (Vec<Job>, Vec<Skipped>) {
    let (mut jobs, mut skipped) = (Vec::<Job>::new(), Vec::new());
    let targets = Targets::of(objects);
    for line in lines {
        match job(line, &targets, now) {
            Ok(job) => jobs.push(job),
            Err(no) => skipped.push(no),
        }
    }
    settle_doubles(&mut jobs, &mut skipped);
    jobs.sort_by_key(|job| (job.expires_at.is_none(), job.expires_at, job.line));
    skipped.sort_by_key(|skipped| skipped.line);
    (jobs, skipped)
}

struct Targets<'a> {
    by_word: BTreeMap<&'a str, Vec<&'a PhoneMigration>>,
}

impl<'a> Targets<'a> {
    fn of(objects: &'a [PhoneMigration]) -> Self {
        let mut by_word: BTreeMap<&str, Vec<&PhoneMigration>> = BTreeMap::new();
        for object in objects {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            let number = object.spec.phone_number.as_str();
            by_word.entry(name).or_default().push(object);
            if number != name {
                by_word.entry(number).or_default().push(object);
            }
        }
        Self { by_word }
    }

    fn find(&self, word: &str) -> &[&'a PhoneMigration] {
        self.by_word
            .get(word)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

fn job(line: Line, targets: &Targets<'_>, now: Timestamp) -> Result<Job, Skipped> {
    let shown = cut(&without_codes(&clean(&line.target)), 40);
    let no = |why: String, kind: Kind| Skipped {
        line: line.number,
        target: shown.clone(),
        why,
        kind,
    };
    let (namespace, word) = match line.target.split_once('/') {
        Some((namespace, word)) => (Some(namespace), word),
        None => (None, line.target.as_str()),
    };
    let in_namespace = |object: &&&PhoneMigration| {
        namespace.is_none_or(|n| object.metadata.namespace.as_deref() == Some(n))
    };
    let found: Vec<_> = targets.find(word).iter().filter(in_namespace).collect();
    let object = match found.as_slice() {
        [] => {
            return Err(no(
                "no PhoneMigration with this name or number".into(),
                Kind::Unknown,
            ));
        }
        [object] => **object,
        several => {
            let names: Vec<String> = several.iter().map(|o| Key::of(o).to_string()).collect();
            let why = format!(
                "it names several: {}; give NAMESPACE/NAME",
                names.join(", ")
            );
            return Err(no(why, Kind::Unusable));
        }
    };
    if let Some(refused) = refusal(object) {
        let kind = match refused.exit {
            Exit::Done => Kind::Verified,
            _ => Kind::Unusable,
        };
        return Err(no(refused.message, kind));
    }
    if line.expires_at.is_some_and(|at| at <= now) {
        return Err(no(
            "the code has expired: request a new one".into(),
            Kind::Unusable,
        ));
    }
    Ok(Job {
        line: line.number,
        object: object.clone(),
        digits: line.digits,
        expires_at: line.expires_at,
    })
}

/// The same code twice for one resource counts once. Of two different codes the CLI cannot know the
/// right one, and a wrong one costs an attempt, so it hands in neither.
fn settle_doubles(jobs: &mut Vec<Job>, skipped: &mut Vec<Skipped>) {
    let mut by_key: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    for (n, job) in jobs.iter().enumerate() {
        by_key.entry(Key::of(&job.object)).or_default().push(n);
    }
    let mut dropped = Vec::new();
    for (key, places) in by_key.iter().filter(|(_, places)| places.len() > 1) {
        let first = &jobs[places[0]];
        let same = places.iter().all(|n| jobs[*n].digits == first.digits);
        let numbers: Vec<String> = places.iter().map(|n| jobs[*n].line.to_string()).collect();
        for n in places.iter().skip(usize::from(same)) {
            let (kind, why) = match same {
                true => (
                    Kind::Doubled,
                    format!("the same code is in line {}", first.line),
                ),
                false => (
                    Kind::Unusable,
                    format!(
                        "lines {} give it different codes: none is handed in",
                        numbers.join(" and ")
                    ),
                ),
            };
            skipped.push(Skipped {
                line: jobs[*n].line,
                target: key.name.clone(),
                why,
                kind,
            });
            dropped.push(*n);
        }
    }
    dropped.sort_unstable();
    for n in dropped.into_iter().rev() {
        jobs.remove(n);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::state::tests::{in_state, object};
    use phone_migration_api::reason::Reason;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    fn waiting(name: &str, number: &str) -> PhoneMigration {
        let mut object = object(name, json!({}));
        object.spec.phone_number = number.to_owned();
        object
    }

    fn planned(text: &str, objects: &[PhoneMigration]) -> (Vec<Job>, Vec<Skipped>) {
        let (lines, mut wrong) = parse(text, Lengths::default());
        let (jobs, skipped) = plan(lines, objects, now());
        wrong.extend(skipped);
        (jobs, wrong)
    }

    #[test]
    fn names_and_numbers_are_found_whatever_separates_them() {
        let objects = [waiting("a", "8613800000001"), waiting("b", "8613800000002")];
        let text = "\u{feff}name,code\r\na,111111\r\n# a comment\n\n+8613800000002;222-222\n";
        let (jobs, skipped) = planned(text, &objects);
        assert_eq!(skipped, []);
        let found: Vec<_> = jobs
            .iter()
            .map(|j| (j.line, Key::of(&j.object).name))
            .collect();
        assert_eq!(found, [(2, "a".to_owned()), (5, "b".to_owned())]);
        assert!(jobs[1].digits.expose() == "222222");
        for text in [
            "a\t111111",
            "a 111111",
            "\"a\",\"111111\"",
            "tenant-a/a,111111",
        ] {
            assert_eq!(planned(text, &objects).0.len(), 1, "{text}");
        }
    }

    #[test]
    fn no_complaint_repeats_a_code() {
        let objects = [waiting("a", "8613800000001")];
        let text = "123456\na,12a456\n123456,a\nz,123456\na,123456,tomorrow\na,123456,b,c\n";
        let (jobs, skipped) = planned(text, &objects);
        assert_eq!(jobs.len(), 0);
        assert_eq!(skipped.len(), 6);
        for no in skipped {
            let text = format!("{no:?}");
            assert!(
                !text.contains("123456") && !text.contains("12a456"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_same_code_twice_counts_once_and_different_ones_not_at_all() {
        let objects = [waiting("a", "8613800000001"), waiting("b", "8613800000002")];
        let text = "a,111111\n8613800000001,111111\nb,222222\nb,333333\n";
        let (jobs, skipped) = planned(text, &objects);
        assert_eq!(jobs.len(), 1);
        assert_eq!(jobs[0].line, 1);
        let kinds: Vec<_> = skipped.iter().map(|no| (no.line, no.kind)).collect();
        assert_eq!(
            kinds,
            [(2, Kind::Doubled), (3, Kind::Unusable), (4, Kind::Unusable)]
        );
    }

    #[test]
    fn the_earliest_expiry_comes_first_and_an_expired_code_not_at_all() {
        let objects = ["a", "b", "c", "d"].map(|name| waiting(name, name));
        let text = "a,111111\nb,222222,2026-01-31T12:09:00Z\nc,333333,2026-01-31T12:05:00Z\n\
                    d,444444,2026-01-31T11:59:59Z\n";
        let (jobs, skipped) = planned(text, &objects);
        let order: Vec<_> = jobs.iter().map(|job| job.line).collect();
        assert_eq!(order, [3, 2, 1]);
        assert_eq!(skipped[0].kind, Kind::Unusable);
        assert!(skipped[0].why.contains("expired"));
    }

    #[test]
    fn verified_numbers_and_open_attempts_get_no_code() {
        let verified = in_state("a", Reason::Verified, false);
        let open = in_state("b", Reason::OutcomeUnknown, false);
        let (jobs, skipped) = planned("a,111111\nb,222222\n", &[verified, open]);
        assert_eq!(jobs.len(), 0);
        let kinds: Vec<_> = skipped.iter().map(|no| no.kind).collect();
        assert_eq!(kinds, [Kind::Verified, Kind::Unusable]);
    }

    #[test]
    fn a_name_in_two_namespaces_must_be_given_with_one() {
        let mut other = waiting("a", "8613800000002");
        other.metadata.namespace = Some("tenant-b".into());
        let objects = [waiting("a", "8613800000001"), other];
        let (jobs, skipped) = planned("a,111111\ntenant-b/a,222222\n", &objects);
        assert_eq!(jobs.len(), 1);
        assert_eq!(jobs[0].line, 2);
        assert!(skipped[0].why.contains("tenant-b/a"));
    }
}
