//! Every parser and encoder, for any input: none panics, and where there is a reference they agree
//! with it. Tables next to the code define the meaning of single inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod encoding;
mod endpoint;
mod files;
mod headers;
mod json;
mod reply;
mod scrub;
mod secret;
mod settings;
mod status;

use proptest::prelude::*;

/// Without a file of failures: the message contains the minimal input, which belongs into a test.
fn cases(cases: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig {
        // More by PROPTEST_CASES.
        cases: asked.cases.max(cases),
        failure_persistence: None,
        ..asked
    }
}

/// Any text, with a preference for characters that parsers check.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => any::<String>(),
        1 => "\\PC{0,40}",
        1 => "[ -~]{0,60}",
        1 => "[0-9:.,;/@%+T Z=_-]{0,40}",
    ]
}

/// Any bytes, texts among them.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        any_text().prop_map(String::into_bytes),
    ]
}
