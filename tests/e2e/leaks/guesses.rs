//! A user who can read a PhoneMigration, or a CodeLedger, and nothing else cannot find the code by
//! trying all of them.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ring::{digest, hmac};

use super::*;

/// Fewest bytes of a digest that count as a match.
const LEAST: usize = 8;

/// All strings that an object shows, whole and in parts.
struct Shown {
    /// The strings themselves: they may be salts or keys.
    texts: BTreeSet<String>,
    /// The first bytes of the values that they may encode.
    digests: HashSet<[u8; LEAST]>,
    /// Their first two bytes: most guesses end here.
    first: Vec<bool>,
}

impl Shown {
    fn new(object: &Value) -> Self {
        let mut texts = BTreeSet::new();
        collect(object, &mut texts);
        let mut digests: HashSet<[u8; LEAST]> = HashSet::new();
        for text in &texts {
            for bytes in decoded(text) {
                digests.extend(bytes.first_chunk::<LEAST>());
            }
        }
        let mut first = vec![false; 1 << 16];
        for digest in &digests {
            first[first_two(digest)] = true;
        }
        Self {
            texts,
            digests,
            first,
        }
    }

    fn has(&self, digest: &[u8]) -> bool {
        let beginning = digest.first_chunk::<LEAST>().unwrap();
        self.first[first_two(digest)] && self.digests.contains(beginning)
    }
}

fn first_two(digest: &[u8]) -> usize {
    usize::from(digest[0]) << 8 | usize::from(digest[1])
}

/// Every string of a value, and its parts between punctuation.
fn collect(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            into.insert(text.clone());
            let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/_=".contains(c)));
            into.extend(parts.filter(|p| !p.is_empty()).map(str::to_owned));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The values that a text may be the encoding of.
fn decoded(text: &str) -> Vec<Vec<u8>> {
    let hex = |text: &str| -> Option<Vec<u8>> {
        let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
        let pairs = digits?;
        let bytes = pairs
            .chunks_exact(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8);
        Some(bytes.collect())
    };
    let mut all: Vec<Vec<u8>> = hex(text).into_iter().collect();
    for alphabet in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        all.extend(alphabet.decode(text));
    }
    all
}

/// Values that may be mixed with the code: ids and numbers that the resource shows.
fn salts(object: &Value) -> Vec<String> {
    let mut texts = BTreeSet::new();
    let (meta, status) = (&object["metadata"], &object["status"]);
    for known in [
        &meta["uid"],
        &object["spec"]["phoneNumber"],
        &status["attempt"]["id"],
        &status["attempt"]["codeFingerprint"],
    ] {
        let text = known.as_str().unwrap_or_default();
        // The key's id from a fingerprint, which is public.
        texts.insert(text.split(':').next().unwrap_or_default().to_owned());
    }
    texts.retain(|text| !text.is_empty());
    texts.into_iter().collect()
}

/// A way in which an implementation may have hidden a code, with public values only.
struct Scheme {
    name: &'static str,
    by: By,
    /// The hashed text, with room for the code.
    text: Vec<u8>,
    /// The position of the code.
    at: usize,
}

enum By {
    Digest(&'static digest::Algorithm),
    Mac(hmac::Key),
}

const DIGITS: usize = 6;

impl Scheme {
    fn new(name: &'static str, by: By, before: &[u8], after: &[u8]) -> Self {
        Self {
            name,
            by,
            text: [before, &[0; DIGITS], after].concat(),
            at: before.len(),
        }
    }

    fn finds(&mut self, code: &[u8], shown: &Shown) -> bool {
        self.text[self.at..self.at + DIGITS].copy_from_slice(code);
        match &self.by {
            By::Digest(algorithm) => shown.has(digest::digest(algorithm, &self.text).as_ref()),
            By::Mac(key) => shown.has(hmac::sign(key, &self.text).as_ref()),
        }
    }
}

/// The bytes before the code in the operator's own construction: each part with its length.
fn parts(phone: &str) -> Vec<u8> {
    let mut text = Vec::new();
    for part in ["default", phone] {
        text.extend((part.len() as u64).to_be_bytes());
        text.extend(part.as_bytes());
    }
    text.extend((DIGITS as u64).to_be_bytes());
    text
}

fn schemes(object: &Value) -> Vec<Scheme> {
    let phone = object["spec"]["phoneNumber"].as_str().unwrap_or_default();
    let own = parts(phone);
    let digest = |algorithm| By::Digest(algorithm);
    let mut all = vec![
        Scheme::new("SHA-1", digest(&digest::SHA1_FOR_LEGACY_USE_ONLY), b"", b""),
        Scheme::new("SHA-512", digest(&digest::SHA512), b"", b""),
        Scheme::new("SHA-256", digest(&digest::SHA256), b"", b""),
        Scheme::new("own parts, no key", digest(&digest::SHA256), &own, b""),
    ];
    for salt in salts(object) {
        let salt = salt.as_bytes();
        let key = || By::Mac(hmac::Key::new(hmac::HMAC_SHA256, salt));
        let sha256 = || By::Digest(&digest::SHA256);
        all.extend([
            Scheme::new("salt before", sha256(), salt, b""),
            Scheme::new("salt behind", sha256(), b"", salt),
            Scheme::new("public key", key(), b"", b""),
            Scheme::new("own parts, public key", key(), &own, b""),
        ]);
    }
    all
}

/// Tries codes; returns the first one that the shown values betray, and the scheme.
fn guessed(object: &Value, codes: Range<u32>) -> Option<(String, &'static str)> {
    let shown = Shown::new(object);
    let mut schemes = schemes(object);
    for code in codes {
        let code = format!("{code:0DIGITS$}");
        if shown.texts.contains(&code) {
            return Some((code, "as it is"));
        }
        let found = schemes.iter_mut().find_map(|scheme| {
            let found = scheme.finds(code.as_bytes(), &shown);
            found.then_some(scheme.name)
        });
        if let Some(name) = found {
            return Some((code, name));
        }
    }
    None
}

/// Codes of six digits, as most are: the smallest space.
#[tokio::test]
async fn t05_a_million_guesses_find_no_code_in_a_resource() {
    let world = World::new(OPERATOR, "guesses").await.unwrap();
    let _operator = world.start(SOON_FINAL).await;
    // Refused: its fingerprint is in the attempt and in the history.
    let phone = "8613891000001";
    world.number(phone, "480297", "id-1");
    world.code("refused", "480296").await.unwrap();
    world.make(&Migration::new("refused", phone)).await;
    reason(&world, "refused", "CodeRejected").await;
    let object = world.object("refused").await;
    let status = &object["status"];
    assert!(status["attempt"]["codeFingerprint"].is_string(), "{status}");
    let spent = &status["history"][0];
    assert!(spent["codeFingerprint"].is_string(), "{status}");
    let [ledger] = <[Value; 1]>::try_from(world.ledgers().await.unwrap()).unwrap();
    assert!(ledger["entries"][0]["fingerprint"].is_string(), "{ledger}");
    world.finish().await.unwrap();
    // Together: a value of one object may salt a value of the other.
    let both = json!({"metadata": object["metadata"], "spec": object["spec"],
        "status": object["status"], "ledger": ledger});
    let object = std::sync::Arc::new(both);
    let halves = [0..500_000, 500_000..1_000_000].map(|codes| {
        let object = std::sync::Arc::clone(&object);
        tokio::task::spawn_blocking(move || guessed(&object, codes))
    });
    for half in halves {
        assert_eq!(half.await.unwrap(), None);
    }
}

/// The guesses find every construction that they cover.
#[test]
fn t05_the_guesses_find_a_code_that_is_hashed_with_public_values_only() {
    let code = b"004711";
    let object = |fingerprint: String| {
        json!({
            "metadata": {"uid": "u-1", "name": "store", "namespace": "tenant"},
            "spec": {"phoneNumber": "8613800001234"},
            "status": {"attempt": {"id": "a-1", "codeFingerprint": fingerprint}},
        })
    };
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let sha256 = |text: &[u8]| digest::digest(&digest::SHA256, text);
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"0badcafe");
    let own = [&parts("8613800001234"), &code[..]].concat();
    let fingerprints = [
        "004711".to_owned(),
        hex(sha256(code).as_ref()),
        hex(&sha256(code).as_ref()[..16]),
        STANDARD.encode(sha256(b"u-1004711").as_ref()),
        hex(sha256(b"0047118613800001234").as_ref()),
        hex(sha256(&own).as_ref()),
        hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, code).as_ref()),
        format!("0badcafe:{}", hex(&hmac::sign(&key, code).as_ref()[..16])),
        format!("0badcafe:{}", hex(&hmac::sign(&key, &own).as_ref()[..16])),
    ];
    for fingerprint in fingerprints {
        let found = guessed(&object(fingerprint.clone()), 4_000..5_000);
        let found = found.map(|(code, _)| code);
        assert_eq!(found.as_deref(), Some("004711"), "{fingerprint}");
    }
    let random = "0badcafe:9f86d081884c7d659a2feaa0c55ad015".to_owned();
    assert_eq!(guessed(&object(random), 4_000..5_000), None);
}
