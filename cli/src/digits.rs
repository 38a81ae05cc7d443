//! A one-time code as users type it, and as the digits that are stored. PURE.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

/// How many digits a code has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    least: usize,
    most: usize,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { least: 6, most: 6 }
    }
}

impl FromStr for Lengths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let number = |part: &str| part.parse::<usize>().ok();
        match (number(least), number(most)) {
            (Some(least), Some(most)) if 4 <= least && least <= most && most <= 8 => {
                Ok(Self { least, most })
            }
            _ => Err("give a number of digits, such as 6, or a range within 4-8".to_owned()),
        }
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, most } = self;
        match least == most {
            true => write!(f, "{least}"),
            false => write!(f, "{least} to {most}"),
        }
    }
}

/// A code, cleaned. It is zeroised when dropped, and has no `Debug`, `Display` or `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct Digits(Zeroizing<String>);

impl Digits {
    /// Drops white space and dashes, since a message shows `123-456`. `None` if the rest is not a
    /// code of an allowed length; no error describes the text.
    pub fn parse(text: &str, lengths: Lengths) -> Option<Self> {
        let is_filler = |c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}');
        let mut digits = Zeroizing::new(String::with_capacity(text.len()));
        digits.extend(text.chars().filter(|c| !is_filler(*c)));
        let fits = (lengths.least..=lengths.most).contains(&digits.len());
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        (fits && all_digits).then_some(Self(digits))
    }

    /// The digits. Danger: whatever receives them must not print, log or store them elsewhere.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Whether a text could be a code: the command line refuses it, and messages hide it.
pub fn looks_like_a_code(text: &str) -> bool {
    let lengths = Lengths { least: 4, most: 8 };
    Digits::parse(text, lengths).is_some()
}

/// Hides every number of 4 to 8 digits in a message that quotes the command line.
pub fn without_codes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    let flush = |run: &mut String, out: &mut String| {
        match looks_like_a_code(run) {
            true => out.push_str("······"),
            false => out.push_str(run),
        }
        run.clear();
    };
    for c in text.chars() {
        // A dash within a number belongs to it; one before a word begins a flag.
        if c.is_ascii_digit() || (c == '-' && run.ends_with(|c: char| c.is_ascii_digit())) {
            run.push(c);
        } else {
            flush(&mut run, &mut out);
            out.push(c);
        }
    }
    flush(&mut run, &mut out);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn digits(text: &str) -> Option<String> {
        Digits::parse(text, Lengths::default()).map(|digits| digits.expose().to_owned())
    }

    #[test]
    fn white_space_and_dashes_are_dropped() {
        for text in [
            "123456",
            "123-456\n",
            " 12 34 56 ",
            "123\u{2013}456\r\n",
            "123\u{a0}456",
        ] {
            assert_eq!(digits(text).unwrap(), "123456", "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_no_code() {
        for text in [
            "",
            "12345",
            "1234567",
            "12a456",
            "１２３４５６",
            "123456,",
            "+123456",
        ] {
            assert_eq!(digits(text), None, "{text:?}");
        }
    }

    #[test]
    fn lengths_are_a_number_or_a_range() {
        let parse = |text: &str| text.parse::<Lengths>().map(|lengths| lengths.to_string());
        assert_eq!(parse("6").unwrap(), "6");
        assert_eq!(parse("4-8").unwrap(), "4 to 8");
        for text in ["", "3", "9", "8-4", "6-", "six", "4-99"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let range = "4-8".parse().unwrap();
        assert!(Digits::parse("1234", range).is_some());
    }

    #[test]
    fn numbers_like_codes_are_hidden_and_others_are_not() {
        let text = "unexpected argument '123456' and 12-34-56 for 8613800001234, line 3";
        let hidden = without_codes(text);
        assert_eq!(
            hidden,
            "unexpected argument '······' and ······ for 8613800001234, line 3"
        );
    }
}
