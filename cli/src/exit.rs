//! How a command ends: the exit code, and why a command could not do its work.

use std::process::ExitCode;

/// The exit codes. They are API: scripts branch on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything that the user asked for is done; for codes: every number is verified.
    Done,
    /// Usage, input, or the API server.
    Error,
    /// CAMS refused a code.
    Refused,
    /// A user must act, and no code was refused.
    Person,
    /// The account, its credentials or the clock is at fault; no code was spent.
    Account,
    /// The outcome of a code is not known.
    Unknown,
    /// The time is up.
    Timeout,
    /// Interrupted by the user.
    Interrupted,
}

impl Exit {
    /// Every exit code with its meaning, for `--help` and the page.
    pub const ALL: [(Exit, &'static str); 8] = [
        (Exit::Done, "done; of codes: every number is verified"),
        (
            Exit::Error,
            "wrong usage or input, or the API server refused or did not answer",
        ),
        (Exit::Refused, "CAMS refused a code: request a new one"),
        (Exit::Person, "a person must act; the message says how"),
        (
            Exit::Account,
            "the account, its credentials or a clock is at fault; no code was spent",
        ),
        (Exit::Unknown, "the outcome of a code is not known yet"),
        (Exit::Timeout, "the time is up (--timeout)"),
        (Exit::Interrupted, "interrupted"),
    ];

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Error => 1,
            Exit::Refused => 2,
            Exit::Person => 3,
            Exit::Account => 4,
            Exit::Unknown => 5,
            Exit::Timeout => 6,
            Exit::Interrupted => 130,
        }
    }

    /// If one command had several endings: the one that the user should hear of first.
    #[must_use]
    pub fn or_worse(self, other: Exit) -> Exit {
        const URGENCY: [Exit; 8] = [
            Exit::Interrupted,
            Exit::Account,
            Exit::Unknown,
            Exit::Person,
            Exit::Refused,
            Exit::Timeout,
            Exit::Error,
            Exit::Done,
        ];
        URGENCY
            .into_iter()
            .find(|exit| *exit == self || *exit == other)
            .unwrap_or(Exit::Error)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// Why a command ended before its work was done.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The event and the remedy. Danger: it must never hold a code.
    pub message: String,
}

impl Failure {
    /// Wrong usage or input.
    pub fn input(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Error,
            message: message.into(),
        }
    }

    /// A fault that only a user can settle.
    pub fn person(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Person,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_ending_counts() {
        assert_eq!(Exit::Done.or_worse(Exit::Refused), Exit::Refused);
        assert_eq!(Exit::Unknown.or_worse(Exit::Refused), Exit::Unknown);
        assert_eq!(Exit::Timeout.or_worse(Exit::Error), Exit::Timeout);
        assert_eq!(Exit::Done.or_worse(Exit::Done), Exit::Done);
    }

    #[test]
    fn every_exit_code_is_a_number_of_its_own() {
        let mut codes = Exit::ALL.map(|(exit, _)| exit.code());
        codes.sort_unstable();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 130]);
    }
}
