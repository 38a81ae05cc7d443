//! Reasons of the Ready condition: those that pages name exist, and each has its entry in
//! `docs/operations.md`.

use std::path::Path;

use phone_migration_operator::api::reason::Reason;
use phone_migration_operator::domain::status::present::EVENTS_WITHOUT_STATE;

use crate::page::{Page, none};

const OPERATIONS: &str = "docs/operations.md";
const GITOPS: &str = "docs/gitops.md";
const EVENTS: &str = "docs/events.md";

/// Reasons that a page names as such: in selectors, and in the first column of a table whose head
/// says "Reason".
fn named(page: &Page) -> Vec<String> {
    let word = |text: &str| -> String {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric());
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let mut named: Vec<String> = page
        .text
        .split("status.reason=")
        .skip(1)
        .map(word)
        .filter(|word| !word.is_empty() && !word.chars().all(char::is_uppercase))
        .collect();
    named.extend(first_column(page, "Reason"));
    named
}

/// Texts in backquotes in the first column of tables with this head.
fn first_column(page: &Page, head: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for (code, line) in page.lines() {
        let first = line
            .strip_prefix("| ")
            .and_then(|rest| rest.split_once(" |"));
        let Some((first, _)) = first.filter(|_| !code) else {
            // The line below the head begins without a space.
            inside = inside && line.starts_with("|-");
            continue;
        };
        if first == head {
            inside = true;
        } else if inside {
            found.extend(first.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

fn unknown(page: &Page) -> Vec<String> {
    let named = named(page).into_iter();
    let unknown = named.filter(|word| Reason::parse(word).is_none());
    unknown
        .map(|word| page.fault(&format!("{word} is no reason")))
        .collect()
}

/// Reasons without a heading of their own in a page.
fn without_entry(page: &Page) -> Vec<String> {
    let headings = page.headings();
    let missing = Reason::ALL
        .iter()
        .filter(|r| !headings.contains(&r.as_str()));
    missing
        .map(|r| page.fault(&format!("no entry for {}", r.as_str())))
        .collect()
}

#[test]
fn every_reason_that_a_page_names_exists() {
    let pages = Page::all();
    let all: usize = pages.iter().map(|page| named(page).len()).sum();
    assert!(all > 20, "only {all} found");
    none(pages.iter().flat_map(unknown));
}

#[test]
fn every_reason_has_its_entry_in_operations() {
    none(without_entry(&Page::read(Path::new(OPERATIONS))));
}

#[test]
fn every_reason_is_in_the_table_of_clients() {
    let page = Page::read(Path::new(GITOPS));
    let shown = first_column(&page, "Reason");
    let missing = Reason::ALL
        .iter()
        .filter(|r| !shown.iter().any(|s| s == r.as_str()));
    none(missing.map(|r| page.fault(&format!("no row for {}", r.as_str()))));
}

/// `Queued` has no Event; every other state has one, and so does everything else that is reported
/// without being a state.
#[test]
fn every_event_is_on_its_page() {
    let page = Page::read(Path::new(EVENTS));
    let mut listed = first_column(&page, "Reason");
    listed.extend(first_column(&page, "Event"));
    listed.sort();
    let of_states = Reason::ALL.iter().filter(|r| **r != Reason::Queued);
    let mut published: Vec<&str> = of_states.map(|r| r.as_str()).collect();
    published.extend(EVENTS_WITHOUT_STATE);
    published.sort_unstable();
    assert_eq!(listed, published);
}

#[test]
fn a_wrong_reason_and_a_missing_entry_are_found() {
    let text = "`status.reason=CodeWrong` `status.reason=NAME`\n\n| Reason | x |\n|---|---|\n\
                | `Queued`, `Waiting` | y |\n\n| Else | x |\n|---|---|\n| `Other` | y |\n";
    let faults = unknown(&Page::new("x.md", text));
    assert_eq!(
        faults,
        ["x.md: CodeWrong is no reason", "x.md: Waiting is no reason"]
    );
    let page = Page::new("x.md", "### Queued\n");
    assert_eq!(without_entry(&page).len(), Reason::ALL.len() - 1);
}
