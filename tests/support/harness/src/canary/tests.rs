//! Tests that the search finds each secret in each encoding, in each kind of text. The tests make
//! the encodings by other means than the search does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::*;

const CODE: &str = "73910042";
/// As a signature or a token: with characters that encodings change.
const TOKEN: &str = "CAIS/can+ary==\"token\" \\end";

fn search() -> Search {
    let mut canaries = Canaries::default();
    canaries.add("a code", CODE);
    canaries.add("a token", TOKEN);
    canaries.search().unwrap()
}

/// Every byte as `%XX`.
fn all_percent(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn some_percent(text: &str) -> String {
    let encoded = text.replace('%', "%25");
    let table = [
        ("/", "%2F"),
        ("+", "%2B"),
        ("=", "%3D"),
        ("\"", "%22"),
        (" ", "%20"),
        ("\\", "%5C"),
    ];
    table
        .into_iter()
        .fold(encoded, |text, (from, to)| text.replace(from, to))
}

/// Name and form of each planted text for a secret.
fn planted(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let quoted = serde_json::to_string(secret).unwrap();
    let inner = quoted[1..quoted.len() - 1].to_owned();
    let mut all = vec![
        ("plain", secret.to_owned()),
        ("json", inner.clone()),
        ("json in json", serde_json::to_string(&quoted).unwrap()),
        ("json, slashes", inner.replace('/', "\\/")),
        (
            "json, code points",
            secret
                .chars()
                .map(|c| format!("\\u{:04x}", c as u32))
                .collect(),
        ),
        ("percent", some_percent(secret)),
        ("percent twice", some_percent(&some_percent(secret))),
        ("percent, lower case", {
            let upper = some_percent(secret);
            ["%2F", "%2B", "%3D", "%5C"]
                .iter()
                .fold(upper, |text, e| text.replace(e, &e.to_lowercase()))
        }),
        ("form", some_percent(secret).replace("%20", "+")),
        ("percent of every byte", all_percent(secret)),
        (
            "percent of every byte, twice",
            some_percent(&all_percent(secret)),
        ),
        ("hex", bytes.iter().map(|b| format!("{b:02x}")).collect()),
        ("HEX", bytes.iter().map(|b| format!("{b:02X}")).collect()),
        ("Debug of bytes", format!("{bytes:?}")),
        ("pretty Debug of bytes", format!("{bytes:#?}")),
        ("Debug of bytes in a JSON line", {
            serde_json::to_string(&format!("{bytes:#?}")).unwrap()
        }),
        ("hex Debug of bytes", format!("{bytes:02x?}")),
        ("byte array in JSON", serde_json::to_string(bytes).unwrap()),
    ];
    // Texts of any length in front and behind, so that every alignment is met.
    for before in ["", "a", "ab", "code=", "{\"c\":\""] {
        for after in ["", "&", "xy", "\"}"] {
            let text = format!("{before}{secret}{after}");
            all.push(("base64", STANDARD.encode(&text)));
            all.push(("base64, URL-safe", URL_SAFE.encode(&text)));
        }
    }
    all
}

/// The kinds of texts that are searched, with a hole.
fn artefacts(planted: &str) -> Vec<(&'static str, Vec<u8>)> {
    let log =
        "{\"timestamp\":\"2026-11-23T11:59:16.175717Z\",\"level\":\"WARN\"}\ntext HOLE more\n";
    let texts = [
        ("bare", "HOLE"),
        ("log", log),
        ("metrics", "# HELP x y.\nx{code=\"HOLE\"} 1\n"),
        ("yaml", "status:\n  errorMessage: 'HOLE'\n"),
        ("url", "/api/v1/x?fieldSelector=a%3DHOLE&limit=1"),
        ("environ", "A=b\0KEY=HOLE\0Z=1\0"),
    ];
    let mut all: Vec<(&str, Vec<u8>)> = texts
        .map(|(kind, text)| (kind, text.replace("HOLE", planted).into_bytes()))
        .into();
    // As protobuf and etcd have it: lengths and NULs around it, not UTF-8 as a whole.
    let around = [&b"k8s\0\xff\xfe\x0a"[..], b"\x12\0\xc0"];
    all.push(("binary", around.join(planted.as_bytes())));
    let around = [&[0u8; 4096][..], &[0xa5; 4096]];
    all.push(("core", around.join(planted.as_bytes())));
    // Only for forms that JSON leaves alone; the escaped ones are planted by themselves.
    let quoted = serde_json::to_string(planted).unwrap();
    all.push(("event", format!("{{\"note\":{quoted}}}").into_bytes()));
    all
}

#[test]
fn every_encoding_is_found_in_every_kind_of_artefact() {
    let search = search();
    let mut planted_in = 0;
    for (what, secret) in [("a code", CODE), ("a token", TOKEN)] {
        for (encoding, form) in planted(secret) {
            for (kind, text) in artefacts(&form) {
                // A backslash that JSON escapes once more is a form of its own.
                if kind == "event" && form.contains(['\\', '"']) {
                    continue;
                }
                let finds = search.finds(&text);
                let found = finds.iter().any(|find| find.what == what);
                assert!(found, "{what}, {encoding}, in {kind}: {form}");
                planted_in += 1;
            }
        }
    }
    assert!(planted_in > 900, "{planted_in} plants");
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let search = search();
    for text in [
        "",
        "7391004",
        "7391 0042",
        "73910043 37333931 NzM5MTAw",
        // Pieces of ids.
        "uid: 5f73910042ab-1",
        "trace=a73910042b",
        // The simulator's Id of a number.
        "id-73910042",
        "55,51,57,49,48,48,52",
        "CAIS/can+ary",
    ] {
        assert_eq!(search.finds(text.as_bytes()), [], "{text}");
    }
}

#[test]
fn a_code_beside_a_letter_or_a_digit_of_one_side_is_found() {
    let search = search();
    for text in ["CODE73910042", "73910042f", "=73910042&", "%3D73910042%26"] {
        let finds = search.finds(text.as_bytes());
        assert_eq!(finds.len(), 1, "{text}: {finds:?}");
    }
}

#[test]
fn the_words_name_secret_encoding_and_place() {
    let hex: String = CODE.bytes().map(|b| format!("{b:02x}")).collect();
    let artefact = ("the log".to_owned(), format!("line {hex} end").into_bytes());
    let error = search().none_in(&[artefact]).unwrap_err().to_string();
    for word in ["a code", "hexadecimal", "the log", "line 3733"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn secrets_too_short_to_tell_from_chance_are_left_out() {
    let mut canaries = Canaries::default();
    canaries.add("a code", "1234567");
    assert_eq!(canaries.count(), 0);
    assert!(canaries.search().unwrap().finds(b"1234567").is_empty());
}
