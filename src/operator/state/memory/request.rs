//! A user's requests by requestedAt and retryToken, and the status read that comes with each. PURE.

/// The last unhandled values that an evaluation saw, and whether the newest still needs its status
/// read. After a restart, the read for an unhandled value is made once more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    requested_at: Option<String>,
    retry_token: Option<String>,
    /// A read is still to be made.
    pub owed: bool,
}

impl Asked {
    /// Remembers these values; the caller passes each one only while it is not handled.
    pub fn see(&mut self, requested_at: Option<&str>, retry_token: Option<&str>) {
        for (known, value) in [
            (&mut self.requested_at, requested_at),
            (&mut self.retry_token, retry_token),
        ] {
            if value.is_some() && known.as_deref() != value {
                *known = value.map(str::to_owned);
                self.owed = true;
            }
        }
    }
}
