//! The one newtype that holds codes, keys and signed bytes.
//!
//! It is zeroised when dropped and has no `Debug`, `Display` or `Serialize`,
//! so that a format string cannot print it by accident. PURE.

use zeroize::Zeroizing;

/// A text that must never be shown: a verification code, an AccessKey secret, a
/// security token, a signed URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text, so that the caller keeps no copy.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Danger: the receiver must not log, store or format it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
