//! The phone number that a reply shows, as `status.phoneNumber` has it. PURE.

/// A phone number as a reply of CAMS shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownNumber {
    /// As shown, its last digits masked.
    pub masked: String,
    /// True if its digits cannot be those of the requested number: another spelling, another mask,
    /// or another number. The connection ties a reply to its request, so this changes only what the
    /// operator reports.
    pub is_other: bool,
}
