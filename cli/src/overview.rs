//! A batch in numbers, and as lines for people, as CSV and as JSON. PURE.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use phone_migration_api::crd::PhoneMigration;
use phone_migration_api::reason::Reason;
use serde_json::{Value, json};

use crate::cluster::Key;
use crate::exit::Exit;
use crate::state::{self, Hands};
use crate::terminal::Tone;
use crate::text::{age, clean, clock, columns, cut, masked};

/// Longest bar, in columns.
const BAR: usize = 30;
/// A terminal with room for every column.
const WIDE: usize = 140;
/// This many refusals with one code are not chance.
const PATTERN: usize = 3;
/// The operator reconciles a new resource within seconds.
const SILENT_SECONDS: i64 = 30;

/// A batch.
pub struct Overview<'a> {
    objects: &'a [PhoneMigration],
    unreadable: usize,
    now: Timestamp,
}

/// A line and how it is to be shown.
pub type Styled = (Option<Tone>, String);

/// How much room there is.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Columns.
    pub columns: usize,
    /// Lines; `None`: as many as it takes.
    pub rows: Option<usize>,
}

impl<'a> Overview<'a> {
    /// Of these resources.
    pub fn of(objects: &'a [PhoneMigration], unreadable: usize, now: Timestamp) -> Self {
        Self {
            objects,
            unreadable,
            now,
        }
    }

    fn count(&self, hands: Hands) -> usize {
        let mine = self.objects.iter().filter(|o| state::hands(o) == hands);
        mine.count()
    }

    /// The exit code of `status --wait`; `None` while the operator has something in progress.
    pub fn exit(&self) -> Option<Exit> {
        if self.count(Hands::Operator) > 0 {
            return None;
        }
        match self.count(Hands::Verified) == self.objects.len() && self.unreadable == 0 {
            true => Some(Exit::Done),
            false => Some(Exit::Person),
        }
    }

    /// One line: for a log.
    pub fn line(&self) -> String {
        let groups = self.groups();
        let parts = groups
            .iter()
            .map(|(word, all)| format!("{word} {}", all.len()));
        let parts: Vec<String> = parts.collect();
        format!("{}  {}", clock(self.now), parts.join(" · "))
    }

    /// The overview for people.
    pub fn lines(&self, room: Room, show_numbers: bool) -> Vec<Styled> {
        let mut lines = vec![(Some(Tone::Strong), self.head(room.columns)), blank()];
        lines.extend(self.bars(room.columns));
        let mut warnings = self.warnings();
        let people = self.people(room.columns, show_numbers);
        if !people.is_empty() {
            lines.push(blank());
            lines.push((
                Some(Tone::Strong),
                format!("Needs a person ({})", people.len() - 1),
            ));
            let warned = if warnings.is_empty() {
                0
            } else {
                warnings.len() + 1
            };
            let used = lines.len() + warned + 2;
            let fit = room
                .rows
                .map_or(usize::MAX, |rows| rows.saturating_sub(used).max(2));
            let shown = people.len().min(fit);
            let hidden = people.len() - shown;
            let tones = [Some(Tone::Faint)]
                .into_iter()
                .chain(std::iter::repeat(None));
            lines.extend(tones.zip(people.into_iter().take(shown)));
            if hidden > 0 {
                lines.push((
                    Some(Tone::Faint),
                    format!("… and {hidden} more: kubectl phmig status -o csv"),
                ));
            }
        }
        if !warnings.is_empty() {
            lines.push(blank());
            let cut_to = |text: String| (Some(Tone::Warning), text);
            lines.extend(warnings.drain(..).map(cut_to));
        }
        lines
    }

    fn head(&self, width: usize) -> String {
        let namespaces: BTreeSet<_> = self.objects.iter().map(|o| &o.metadata.namespace).collect();
        let total = self.objects.len();
        let plural = |count: usize, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            n => format!("{n} {many}"),
        };
        let left = format!(
            "{} · {} · {} UTC",
            plural(total, "number", "numbers"),
            plural(namespaces.len(), "namespace", "namespaces"),
            clock(self.now)
        );
        let percent = (self.count(Hands::Verified) * 100).checked_div(total);
        let right = percent.map_or_else(String::new, |percent| format!("{percent} % done"));
        let gap = width
            .min(72)
            .saturating_sub(left.chars().count() + right.chars().count());
        format!("{left}{}{right}", " ".repeat(gap.max(2)))
    }

    /// Resources by the word of their state, in the order of the work.
    fn groups(&self) -> Vec<(String, Vec<&'a PhoneMigration>)> {
        let mut groups: BTreeMap<(usize, String), Vec<&PhoneMigration>> = BTreeMap::new();
        for object in self.objects {
            let word = state::word(object);
            groups
                .entry((place(object), word))
                .or_default()
                .push(object);
        }
        groups
            .into_iter()
            .map(|((_, word), all)| (word, all))
            .collect()
    }

    fn bars(&self, width: usize) -> Vec<Styled> {
        let total = self.objects.len().max(1);
        let longest = BAR.min(width / 3);
        self.groups()
            .into_iter()
            .map(|(word, all)| {
                let bar = bar(all.len(), total, longest);
                let text = format!(
                    "{word:<19}{:>5}  {bar:<longest$}  {}",
                    all.len(),
                    aside(&all)
                );
                let tone = match all.first().map(|object| state::hands(object)) {
                    Some(Hands::Verified) => Some(Tone::Good),
                    Some(Hands::Person) => Some(Tone::Bad),
                    Some(Hands::Desk) => Some(Tone::Warning),
                    Some(Hands::Operator) | None => None,
                };
                (tone, cut(text.trim_end(), width))
            })
            .collect()
    }

    /// The head of the table and a row for each; empty if there is none.
    fn people(&self, width: usize, show_numbers: bool) -> Vec<String> {
        let stuck: Vec<_> = self
            .objects
            .iter()
            .filter(|object| state::hands(object) == Hands::Person)
            .collect();
        if stuck.is_empty() {
            return Vec::new();
        }
        let head = [
            "NAMESPACE",
            "NAME",
            "NUMBER",
            "REASON",
            "ERROR",
            "SINCE",
            "DO",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for object in &stuck {
            let key = Key::of(object);
            let status = object.status.as_ref();
            let error = status.and_then(|status| status.error_code.as_deref());
            let since = state::since(object).map(|at| age(at, self.now));
            let advice = state::reason(object).map(|reason| state::advice(reason, &key));
            rows.push(vec![
                cut(&key.namespace, 20),
                cut(&key.name, 24),
                number(object, show_numbers),
                state::word(object),
                cut(&clean(error.unwrap_or("–")), 40),
                since.unwrap_or_default(),
                advice.unwrap_or_default(),
            ]);
        }
        // The remedies matter more than these columns.
        if width < WIDE {
            for row in &mut rows {
                row.remove(4);
                row.remove(2);
            }
        }
        // Half a command helps nobody. Each row has name and namespace in columns of their own.
        for shorter in [without_arguments, without_command] {
            let lines = columns(&rows);
            let all = rows.iter_mut().zip(&lines).skip(1).zip(&stuck);
            for ((row, line), object) in all {
                let too_long = line.chars().count() > width;
                if let Some(remedy) = row.last_mut().filter(|_| too_long) {
                    *remedy = shorter(remedy, &Key::of(object));
                }
            }
        }
        columns(&rows).iter().map(|line| cut(line, width)).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut by_code: BTreeMap<&str, usize> = BTreeMap::new();
        for object in self.objects {
            if state::reason(object) == Some(Reason::CodeRejected)
                && let Some(code) = object.status.as_ref().and_then(|s| s.error_code.as_deref())
            {
                *by_code.entry(code).or_default() += 1;
            }
        }
        for (code, count) in by_code.into_iter().filter(|(_, count)| *count >= PATTERN) {
            lines.push(format!(
                "{count} numbers were refused with the same code {}: stop and find the cause before \
                 you try more",
                clean(code)
            ));
        }
        let silent: Vec<_> = self.objects.iter().filter(|o| self.is_silent(o)).collect();
        if let Some(first) = silent.first() {
            let key = Key::of(first);
            lines.push(format!(
                "The operator has not looked at {} for more than {SILENT_SECONDS} s: is it running? \
                 kubectl phmig explain {} -n {}",
                match silent.len() {
                    1 => key.to_string(),
                    count => format!("{count} resources"),
                },
                key.name,
                key.namespace
            ));
        }
        if self.unreadable > 0 {
            lines.push(format!(
                "{} cannot be read by this version of the plugin",
                self.unreadable
            ));
        }
        lines
    }

    /// The operator has not reconciled it since its creation or the last hand-in, and that is a
    /// while ago.
    fn is_silent(&self, object: &PhoneMigration) -> bool {
        if !state::is_unseen(object) || state::reason(object) == Some(Reason::Verified) {
            return false;
        }
        let made = object.metadata.creation_timestamp.as_ref().map(|at| at.0);
        let asked = state::requested_at(object);
        let since = made.into_iter().chain(asked).max();
        since.is_some_and(|at| self.now.as_second() - at.as_second() > SILENT_SECONDS)
    }

    /// A head and a line for each resource.
    pub fn csv(&self, show_numbers: bool) -> Vec<String> {
        let head = "namespace,name,number,reason,id,errorCode,requestId,verifiedAt";
        let mut lines = vec![head.to_owned()];
        for object in self.objects {
            let row = row(object, show_numbers);
            let cells: Vec<String> = COLUMNS.iter().map(|column| cell(&row[column])).collect();
            lines.push(cells.join(","));
        }
        lines
    }

    /// A list of objects.
    pub fn json(&self, show_numbers: bool) -> Value {
        let rows = self.objects.iter().map(|object| row(object, show_numbers));
        Value::Array(rows.collect())
    }
}

fn without_arguments(remedy: &str, key: &Key) -> String {
    remedy.replace(&format!(" {} -n {}", key.name, key.namespace), "")
}

/// The words before the command; all of it, where there are none.
fn without_command(remedy: &str, _: &Key) -> String {
    match remedy.split_once(": kubectl ") {
        Some((words, _)) => words.trim_end_matches("; then").to_owned(),
        None => remedy.to_owned(),
    }
}

const COLUMNS: [&str; 8] = [
    "namespace",
    "name",
    "number",
    "reason",
    "id",
    "errorCode",
    "requestId",
    "verifiedAt",
];

fn row(object: &PhoneMigration, show_numbers: bool) -> Value {
    let key = Key::of(object);
    let status = object.status.clone().unwrap_or_default();
    let text = |field: Option<String>| field.map(|text| clean(&text));
    json!({
        "namespace": key.namespace,
        "name": key.name,
        "number": number(object, show_numbers),
        "reason": state::word(object),
        "id": text(status.id),
        "errorCode": text(status.error_code),
        "requestId": text(status.request_id),
        "verifiedAt": status.verified_at.map(|at| at.0.to_string()),
    })
}

/// A value of CSV; a spreadsheet never takes it for a formula.
fn cell(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let text = match text.starts_with(['=', '+', '-', '@']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    match text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

fn number(object: &PhoneMigration, show: bool) -> String {
    match show {
        true => clean(&object.spec.phone_number),
        false => masked(&object.spec.phone_number),
    }
}

fn blank() -> Styled {
    (None, String::new())
}

/// In the order of the work: done first, then in progress, then waiting for a code, then waiting
/// for another action of a user.
fn place(object: &PhoneMigration) -> usize {
    match state::hands(object) {
        Hands::Verified => 0,
        Hands::Operator => 1,
        Hands::Desk => 2,
        Hands::Person => 3,
    }
}

/// What is worth a word beside a bar.
fn aside(all: &[&PhoneMigration]) -> String {
    let Some(first) = all.first() else {
        return String::new();
    };
    if state::reason(first).is_none() {
        return "not looked at yet".to_owned();
    }
    match state::hands(first) {
        Hands::Desk => "waiting for a code".to_owned(),
        Hands::Operator if state::reason(first) == Some(Reason::OutcomeUnknown) => {
            let times = all.iter().filter_map(|object| {
                let status = object.status.as_ref()?;
                status.next_attempt_at.as_ref().map(|at| at.0)
            });
            let last = times.max();
            last.map_or_else(String::new, |at| format!("decided by {}", clock(at)))
        }
        Hands::Person => codes(all),
        Hands::Operator | Hands::Verified => String::new(),
    }
}

/// The error codes of a group, the most frequent first.
fn codes(all: &[&PhoneMigration]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for object in all {
        if let Some(code) = object.status.as_ref().and_then(|s| s.error_code.as_deref()) {
            *counts.entry(clean(code)).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let words = counts
        .iter()
        .map(|(code, count)| format!("{code} ×{count}"));
    words.collect::<Vec<_>>().join(", ")
}

/// A bar in eighths of a column; never empty for something.
fn bar(count: usize, total: usize, longest: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (count * longest * 8).div_ceil(total);
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str(EIGHTHS[eighths % 8]);
    bar
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::state::tests::{in_state, object};

    fn now() -> Timestamp {
        "2026-01-31T12:04:00Z".parse().unwrap()
    }

    fn rejected(name: &str, code: &str) -> PhoneMigration {
        let mut object = in_state(name, Reason::CodeRejected, true);
        object.status.as_mut().unwrap().error_code = Some(code.into());
        object
    }

    fn batch() -> Vec<PhoneMigration> {
        let mut all: Vec<_> = (0..8)
            .map(|n| in_state(&format!("done-{n}"), Reason::Verified, false))
            .collect();
        all.push(in_state("queued", Reason::Queued, false));
        all.push(in_state("late", Reason::SecretNotFound, false));
        all.extend((0..3).map(|n| rejected(&format!("wrong-{n}"), "Code.Wrong")));
        all
    }

    fn text(objects: &[PhoneMigration], room: Room) -> String {
        let overview = Overview::of(objects, 0, now());
        let lines = overview
            .lines(room, false)
            .into_iter()
            .map(|(_, line)| line);
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn it_says_how_far_it_is_and_who_is_needed() {
        let room = Room {
            columns: 200,
            rows: None,
        };
        let text = text(&batch(), room);
        for part in [
            "13 numbers · 1 namespace · 12:04:00 UTC",
            "61 % done",
            "Verified               8",
            "waiting for a code",
            "Code.Wrong ×3",
            "Needs a person (3)",
            "new code: kubectl phmig code wrong-0 -n tenant-a",
            "861380000****",
            "4m",
            "3 numbers were refused with the same code Code.Wrong",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(!text.contains("8613800001234"), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        let at = |word: &str| {
            lines
                .iter()
                .position(|line| line.starts_with(word))
                .unwrap()
        };
        assert!(at("Verified") < at("Queued") && at("Queued") < at("SecretNotFound"));
        assert!(at("SecretNotFound") < at("CodeRejected"));
    }

    #[test]
    fn it_fits_the_terminal() {
        for columns in [80, 200] {
            let all: Vec<_> = (0..50)
                .map(|n| rejected(&format!("w-{n}"), "Code"))
                .collect();
            let text = text(
                &all,
                Room {
                    columns,
                    rows: Some(24),
                },
            );
            let table: Vec<&str> = text.lines().collect();
            assert!(table.len() <= 24, "{}", table.len());
            let wide = |line: &&&str| !line.contains("same code") && !line.contains("more:");
            let longest = table
                .iter()
                .filter(wide)
                .map(|line| line.chars().count())
                .max();
            assert!(longest.unwrap() <= columns, "{columns}:\n{text}");
            assert!(text.contains("more: kubectl phmig status -o csv"));
            assert!(text.contains("new code: kubectl phmig code"), "{text}");
            assert_eq!(text.contains("861380000****"), columns >= WIDE, "{text}");
        }
    }

    #[test]
    fn a_narrow_terminal_gets_no_half_command() {
        let object = rejected("flagship-hangzhou-01", "Code");
        let last = |columns| {
            let rows = None;
            let text = text(std::slice::from_ref(&object), Room { columns, rows });
            text.lines().last().unwrap().to_owned()
        };
        let whole = "  new code: kubectl phmig code flagship-hangzhou-01 -n tenant-a";
        assert!(last(200).ends_with(whole), "{}", last(200));
        let command = "  new code: kubectl phmig code";
        assert!(last(90).ends_with(command), "{}", last(90));
        assert!(last(80).ends_with("  new code"), "{}", last(80));
    }

    #[test]
    fn a_wait_ends_when_the_operator_has_nothing_in_progress() {
        let exit = |objects: &[PhoneMigration]| Overview::of(objects, 0, now()).exit();
        let verified = in_state("a", Reason::Verified, false);
        let queued = in_state("b", Reason::Queued, false);
        let late = in_state("c", Reason::SecretNotFound, false);
        assert_eq!(exit(std::slice::from_ref(&verified)), Some(Exit::Done));
        assert_eq!(exit(&[verified.clone(), queued]), None);
        assert_eq!(exit(&[verified.clone(), late]), Some(Exit::Person));
        assert_eq!(exit(&[verified.clone(), object("new", json!({}))]), None);
        assert_eq!(
            Overview::of(&[verified], 1, now()).exit(),
            Some(Exit::Person)
        );
    }

    #[test]
    fn an_operator_that_looks_at_nothing_is_told() {
        let mut new = object("new", json!({"observedGeneration": -1}));
        let made = |text: &str| serde_json::from_value(json!(text)).unwrap();
        new.metadata.creation_timestamp = Some(made("2026-01-31T12:03:50Z"));
        let room = Room {
            columns: 80,
            rows: None,
        };
        assert!(!text(std::slice::from_ref(&new), room).contains("is it running"));
        new.metadata.creation_timestamp = Some(made("2026-01-31T12:03:00Z"));
        assert!(text(&[new], room).contains("is it running"));
    }

    #[test]
    fn csv_has_a_row_for_each_and_no_formula() {
        let mut object = rejected("a", "=1+1,\"x\"");
        object.status.as_mut().unwrap().id = Some("82828893332".into());
        let objects = [object];
        let overview = Overview::of(&objects, 0, now());
        let lines = overview.csv(false);
        assert_eq!(
            lines[1],
            "tenant-a,a,861380000****,CodeRejected,82828893332,\"'=1+1,\"\"x\"\"\",,"
        );
        assert!(overview.csv(true)[1].contains("8613800001234"));
        let json = overview.json(false);
        assert_eq!(json[0]["id"], "82828893332");
        assert_eq!(json[0]["verifiedAt"], Value::Null);
    }

    #[test]
    fn a_bar_is_never_empty_for_something() {
        assert_eq!(bar(1, 1000, 30), "▏▎"[..3].to_owned());
        assert_eq!(bar(1000, 1000, 30).chars().count(), 30);
        assert_eq!(bar(0, 1000, 30), "");
    }
}
