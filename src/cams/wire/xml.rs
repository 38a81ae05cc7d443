//! The API's errors as XML: `<Error><RequestId>…</RequestId><Code>…</Code>…</Error>`, exactly that
//! shape. PURE.
//!
//! XML is the gateway's default: a node that refuses a call before it reads `Format` answers in
//! XML. The operator uses no other XML, so this parser reads only that shape: elements with text or
//! elements inside, no attribute, comment, CDATA or DTD. Anything else does not come from the API.

use serde_json::{Map, Value};

/// Deepest nesting that the parser reads.
const MAX_DEPTH: u8 = 8;

/// The children of `<Error>` as the members of the same error in JSON; `None` for any other
/// document, or if two elements of one name differ.
pub(super) fn error_members(text: &str) -> Option<Map<String, Value>> {
    let mut rest = Rest(text.trim());
    rest.skip_declaration()?;
    let (name, content) = rest.element(0)?;
    let Value::Object(members) = content else {
        return None;
    };
    (name == "Error" && rest.0.is_empty()).then_some(members)
}

/// The unread rest of the text.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn eat(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(token)?;
        Some(())
    }

    fn skip_declaration(&mut self) -> Option<()> {
        if let Some(rest) = self.0.strip_prefix("<?xml") {
            let (_, rest) = rest.split_once("?>")?;
            self.0 = rest.trim_start();
        }
        Some(())
    }

    fn up_to(&mut self, end: char) -> Option<&'a str> {
        let (before, _) = self.0.split_once(end)?;
        self.0 = self.0.get(before.len()..)?;
        Some(before)
    }

    /// One element: its text, or its children as an object.
    fn element(&mut self, depth: u8) -> Option<(&'a str, Value)> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.eat("<")?;
        let tag = self.up_to('>')?;
        self.eat(">")?;
        if let Some(name) = tag.strip_suffix('/') {
            let name = name.trim_end();
            return is_name(name).then(|| (name, Value::String(String::new())));
        }
        if !is_name(tag) {
            return None;
        }
        let ahead = self.0.trim_start();
        let content = if ahead.starts_with('<') && !ahead.starts_with("</") {
            Value::Object(self.children(depth)?)
        } else {
            Value::String(decoded(self.up_to('<')?)?)
        };
        self.eat("</")?;
        self.eat(tag)?;
        self.eat(">")?;
        Some((tag, content))
    }

    fn children(&mut self, depth: u8) -> Option<Map<String, Value>> {
        let mut all = Map::new();
        loop {
            self.0 = self.0.trim_start();
            if self.0.starts_with("</") {
                return Some(all);
            }
            let (name, content) = self.element(depth + 1)?;
            if all.get(name).is_some_and(|earlier| *earlier != content) {
                return None;
            }
            all.insert(name.to_owned(), content);
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Text with its references resolved; `None` if a reference is unknown. The decoded text must be
/// exact, because the scrubber finds a secret by its characters.
fn decoded(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once('&') {
        let (name, after) = reference.split_once(';')?;
        out.push_str(before);
        out.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            number => character(number)?,
        });
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn character(number: &str) -> Option<char> {
    let number = number.strip_prefix('#')?;
    let value = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(value.ok()?)
}
