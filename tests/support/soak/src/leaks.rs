//! Codes, numbers and keys in any text of the evidence. PURE.

use std::collections::HashSet;

use harness::ACCESS_KEY_SECRET;

use crate::cast::{self, MOST_CODES};
use crate::evidence::Evidence;

const CODE: usize = 8;
const PHONE: usize = 13;

/// Every place that shows one.
pub fn find(evidence: &Evidence) -> Vec<String> {
    let mut canaries: HashSet<String> = HashSet::new();
    for object in &evidence.objects {
        canaries.extend(object["spec"]["phoneNumber"].as_str().map(str::to_owned));
        let name = object["metadata"]["name"].as_str();
        if let Some(n) = name.and_then(cast::number_of) {
            canaries.extend((0..MOST_CODES).map(|k| cast::code(n, k)));
        }
    }
    let mut found = Vec::new();
    for (place, text) in &evidence.texts {
        if text.contains(ACCESS_KEY_SECRET) {
            found.push(format!("LEAK: the AccessKey secret in {place}"));
        }
        if let Some(at) = shown(text, &canaries) {
            let around = text.get(at.saturating_sub(40)..(at + 60).min(text.len()));
            found.push(format!(
                "LEAK: a code or a number in {place}: …{}…",
                around.unwrap_or_default()
            ));
        }
    }
    found
}

/// Where a canary is found, unless it is a piece of a longer word of hexadecimal digits: ids hold
/// every eight digits now and then.
fn shown(text: &str, canaries: &HashSet<String>) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let run = bytes.iter().skip(at).take_while(|b| b.is_ascii_digit());
        let length = run.count();
        for size in [CODE, PHONE] {
            for start in at..(at + length + 1).saturating_sub(size) {
                let word = text.get(start..start + size).unwrap_or_default();
                if canaries.contains(word) && !in_an_id(bytes, start, size) {
                    return Some(start);
                }
            }
        }
        at += length + 1;
    }
    None
}

/// Words of hexadecimal digits and hyphens that are longer than any number with its code; and the
/// 16 digits in the name of an Event, which are not all decimal.
fn in_an_id(bytes: &[u8], start: usize, size: usize) -> bool {
    const SHORTEST_ID: usize = 24;
    const EVENT: usize = 16;
    let of_id = |b: &&u8| b.is_ascii_hexdigit() || **b == b'-';
    let before = bytes.iter().take(start).rev().take_while(of_id).count();
    let after = bytes.iter().skip(start + size).take_while(of_id).count();
    let word = bytes.get(start - before..start + size + after);
    let word = word.unwrap_or_default();
    let of_event = word.len() == EVENT
        && word.iter().all(u8::is_ascii_hexdigit)
        && word.iter().any(u8::is_ascii_alphabetic);
    word.len() >= SHORTEST_ID || of_event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_found_unless_it_is_a_piece_of_an_id() {
        let canaries = HashSet::from(["12345678".to_owned(), "8613800001234".to_owned()]);
        for (text, found) in [
            ("code=12345678&", true),
            ("%3D12345678%26", true),
            ("x8613800001234", true),
            ("912345678", true),
            ("1234567", false),
            ("861380000****", false),
            ("12345678-1a2b-4c5d-8e6f-0123456789ab", false),
            ("aa12345678aabbccddeeff0011223344", false),
            ("m18.18ebef1234567801", false),
            ("8613800001234-12345678", true),
            ("1234567812345678", true),
        ] {
            assert_eq!(shown(text, &canaries).is_some(), found, "{text}");
        }
    }
}
