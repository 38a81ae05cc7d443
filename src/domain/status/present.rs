//! How a state is shown: reason, kstatus, message and Event, in one place. PURE.
//!
//! Messages are stable: no request ids, no moving times (a time that stays while the state stays is
//! fine), so that a state which persists causes no writes.

use kube::runtime::events::{Event, EventType};

use crate::api::crd::{MAX_ATTEMPTS, PhoneMigrationStatus, condition};
use crate::api::reason::{Kstatus, Outcome, Reason};
use crate::api::shown_number::ShownNumber;
use crate::domain::fact::{
    Because, CamsResult, Conclusion, Exhausted, Fact, HoldCause, NoCode, QueuedFor, ReleaseCause,
    SpentBy, State, VerifiedBy,
};
use crate::domain::ledger::Unusable;

const VERIFY: &str = "VerifyPhoneNumber";
const READ_CODE: &str = "ReadCode";
const SUBMIT: &str = "SubmitCode";

/// Reasons of Events that show no state; every other Event has the reason of its state. They are
/// API: never renamed.
pub const EVENTS_WITHOUT_STATE: [&str; 3] =
    [OTHER_NUMBER, OUTCOME_WITHOUT_RESOURCE, STATUS_UNREADABLE];
const OTHER_NUMBER: &str = "OtherNumber";
const OUTCOME_WITHOUT_RESOURCE: &str = "OutcomeWithoutResource";
const STATUS_UNREADABLE: &str = "StatusUnreadable";

/// How a fact is shown.
pub struct Shown {
    /// Reason of all conditions, and of the Event.
    pub reason: Reason,
    /// The result of kstatus for it.
    pub kstatus: Kstatus,
    /// Nothing more happens by itself.
    pub finished: bool,
    /// The type and the action of its Event; `None` if the resource only passes through.
    pub event: Option<(EventType, &'static str)>,
    /// Its meaning, and the action it asks for.
    pub message: String,
}

impl Shown {
    fn in_progress(reason: Reason, message: String) -> Self {
        Shown {
            reason,
            kstatus: Kstatus::InProgress,
            finished: false,
            event: None,
            message,
        }
    }

    /// Nothing happens until a person acts.
    fn stalled(reason: Reason, message: String) -> Self {
        let kstatus = Kstatus::Failed;
        Shown {
            kstatus,
            ..Shown::in_progress(reason, message).warning(SUBMIT)
        }
    }

    /// The code is spent, or no more may be.
    fn ended(reason: Reason, message: String) -> Self {
        Shown {
            finished: true,
            ..Shown::stalled(reason, message)
        }
    }

    fn normal(self, action: &'static str) -> Self {
        let event = Some((EventType::Normal, action));
        Shown { event, ..self }
    }

    fn warning(self, action: &'static str) -> Self {
        let event = Some((EventType::Warning, action));
        Shown { event, ..self }
    }
}

/// How the resource shows a fact; `None` if the fact changes nothing that is visible. `status`
/// already has the fact's fields.
pub fn shown(status: &PhoneMigrationStatus, fact: &Fact) -> Option<Shown> {
    match fact {
        Fact::Unchanged => None,
        Fact::State(state) => shown_state(status, state),
        Fact::Result(result) => Some(shown_result(status, result)),
    }
}

fn shown_state(status: &PhoneMigrationStatus, state: &State) -> Option<Shown> {
    Some(match state {
        State::NoCode(cause) => without_code(*cause),
        State::Queued(cause) => Shown::in_progress(Reason::Queued, queued(*cause)),
        State::HeldBack { release_cause, .. } => held_back(status, *release_cause),
        State::StillHeld => {
            let message = status.condition(condition::READY)?.message.clone();
            Shown {
                event: None,
                ..Shown::stalled(status.reason()?, message)
            }
        }
        State::Suspended => {
            let message = "spec.suspend is true: no new attempt is made".to_owned();
            Shown {
                kstatus: Kstatus::Paused,
                ..Shown::in_progress(Reason::Suspended, message).normal(SUBMIT)
            }
        }
        State::Duplicate { other } => {
            Shown::stalled(Reason::DuplicatePhoneNumber, duplicate(other))
        }
        State::LedgerUnreadable { why, ledger } => {
            Shown::stalled(Reason::LedgerUnreadable, unreadable(*why, ledger))
        }
        State::CodeUnknown(why) => {
            Shown::stalled(Reason::CodeUnknown, code_unknown(*why).to_owned())
        }
        State::UsedElsewhere => Shown::ended(Reason::CodeRejected, used_elsewhere().to_owned()),
        State::Exhausted(why) => Shown::ended(Reason::AttemptsExhausted, exhausted(why)),
    })
}

fn shown_result(status: &PhoneMigrationStatus, result: &CamsResult) -> Shown {
    match result {
        CamsResult::Verified {
            by,
            id,
            phone_number,
            ..
        } => {
            let has_id = id.is_some() || status.id.is_some();
            let message = verified(*by, has_id, phone_number.as_ref());
            Shown {
                kstatus: Kstatus::Current,
                finished: true,
                ..Shown::in_progress(Reason::Verified, message).normal(VERIFY)
            }
        }
        CamsResult::Released { release_cause, .. } => held_back(status, *release_cause),
        CamsResult::Unknown { .. } => {
            Shown::in_progress(Reason::OutcomeUnknown, unknown(status)).warning(SUBMIT)
        }
        CamsResult::UnknownOverdue { read_error } => {
            Shown::stalled(Reason::OutcomeUnknown, overdue(read_error)).warning(VERIFY)
        }
        CamsResult::Spent(conclusion) => {
            Shown::ended(reason_of(conclusion), spent(conclusion, code(status)))
                .warning(found_by(conclusion))
        }
        CamsResult::Disproved => Shown::in_progress(Reason::Queued, disproved().to_owned()),
    }
}

fn code(status: &PhoneMigrationStatus) -> &str {
    status.error_code.as_deref().unwrap_or("no code")
}

/// The reason that a spent code shows.
fn reason_of(conclusion: &Conclusion) -> Reason {
    let exhausted = conclusion.exhausted.is_some();
    match conclusion.outcome {
        Outcome::Refused | Outcome::RequestRefused if exhausted => Reason::AttemptsExhausted,
        Outcome::Refused => Reason::CodeRejected,
        Outcome::RequestRefused => Reason::RequestRejected,
        Outcome::UnknownFinal
        | Outcome::Unknown
        | Outcome::Accepted
        | Outcome::Adopted
        | Outcome::Throttled
        | Outcome::NotSent
        | Outcome::Blocked => Reason::OutcomeUnknown,
    }
}

fn without_code(cause: NoCode) -> Shown {
    let shown = |reason| Shown::in_progress(reason, no_code(cause)).normal(READ_CODE);
    let stalled = |reason| Shown::stalled(reason, no_code(cause)).warning(READ_CODE);
    match cause {
        NoCode::SecretNotFound => shown(Reason::SecretNotFound),
        NoCode::KeyNotFound => shown(Reason::KeyNotFound),
        NoCode::SecretForbidden => shown(Reason::SecretForbidden).warning(READ_CODE),
        NoCode::NotDigits(_) | NoCode::ExpiryNotATime => stalled(Reason::InvalidCode),
        NoCode::Expired => stalled(Reason::CodeExpired),
    }
}

fn held_back(status: &PhoneMigrationStatus, cause: ReleaseCause) -> Shown {
    let message = why_held_back(cause, code(status));
    let shown = Shown::in_progress(cause.reason(), message);
    match cause {
        ReleaseCause::NotSent => shown,
        ReleaseCause::Throttled => shown.warning(SUBMIT),
        ReleaseCause::Credentials | ReleaseCause::Account | ReleaseCause::Clock => Shown {
            kstatus: while_held(status, cause.reason()),
            ..shown.warning(SUBMIT)
        },
    }
}

/// The operator keeps probing. Only a cause that lasts stalls, see [`State::StillHeld`]; one that
/// stalls already goes on to.
fn while_held(status: &PhoneMigrationStatus, reason: Reason) -> Kstatus {
    match status.reason() == Some(reason) && status.is_true(condition::STALLED) {
        true => Kstatus::Failed,
        false => Kstatus::InProgress,
    }
}

fn disproved() -> &'static str {
    "Status said Verified without an Id, and CAMS says that the number is not verified: the \
     operator starts over"
}

fn no_code(cause: NoCode) -> String {
    let words = match cause {
        NoCode::SecretNotFound => {
            "The Secret named by spec.verifyCodeSecretRef does not exist yet: create it in this namespace"
        }
        NoCode::SecretForbidden => {
            "The operator may not read Secrets in this namespace (403): an administrator must give its \
             ServiceAccount the right to get secrets here, by the chart's watchNamespaces or by a \
             RoleBinding to the ClusterRole phone-migration-operator; it goes on by itself"
        }
        NoCode::KeyNotFound => {
            "The Secret does not have the key named by spec.verifyCodeSecretRef.key, or its value is \
             empty: add it"
        }
        NoCode::NotDigits(wanted) => {
            return format!(
                "The value in the Secret is not a code of {wanted} (white space and dashes do not \
                 count); nothing was sent: put the code as received into the Secret"
            );
        }
        NoCode::ExpiryNotATime => {
            "The value under spec.verifyCodeSecretRef.expiresAtKey is not an RFC 3339 time such as 2026-01-31T12:00:00Z; nothing was sent: correct or remove it"
        }
        NoCode::Expired => {
            "The code expired before it could be sent: request a new code and put it into the Secret"
        }
    };
    words.to_owned()
}

fn queued(cause: QueuedFor) -> String {
    let words = match cause {
        QueuedFor::Turn => "Waiting for its turn in the account's quota",
        QueuedFor::TurnWithin { minutes, before } => {
            return format!(
                "Waiting for its turn in the account's quota: fewer than {before} come before it, \
                 less than {} at the full rate",
                how_long(minutes)
            );
        }
        QueuedFor::OpenAttempt { until } => {
            return format!(
                "An attempt for this number by another PhoneMigration is open until {until}: no \
                 code is submitted until its outcome is known"
            );
        }
        QueuedFor::BrakedPair => {
            "Waiting: the last codes of this namespace and custSpaceId were refused, so they go one \
             at a time until one is accepted: check custSpaceId, and that each code belongs to its \
             number"
        }
        QueuedFor::Hold(HoldCause::Brake) => {
            "Waiting: CAMS refused the last codes of several numbers alike, so the operator tries one \
             at a time; status.errorCode of the refused ones says why, and it goes on by itself"
        }
        QueuedFor::Hold(HoldCause::Credentials) => {
            "Waiting: the operator has no credentials that CAMS takes"
        }
        QueuedFor::Hold(HoldCause::Clock) => {
            "Waiting: the operator's clock and the clock of CAMS differ"
        }
        QueuedFor::Hold(HoldCause::Account) => "Waiting: CAMS refuses the account",
        QueuedFor::Hold(HoldCause::Transport) => "Waiting: CAMS cannot be reached",
        QueuedFor::Hold(HoldCause::Ledger) => {
            "Waiting: the operator cannot write CodeLedgers in its namespace, so it sends nothing"
        }
    };
    words.to_owned()
}

fn how_long(minutes: u32) -> String {
    match (minutes / 60, minutes) {
        (0, 1) => "a minute".to_owned(),
        (0, minutes) => format!("{minutes} minutes"),
        (1, _) => "an hour".to_owned(),
        (hours, _) => format!("{hours} hours"),
    }
}

fn duplicate(other: &Option<String>) -> String {
    match other {
        Some(name) => format!(
            "The code of PhoneMigration {name} in this namespace verified this phone number: delete one of the two"
        ),
        None => {
            "The code of a PhoneMigration in another namespace verified this phone number: nothing is left to do for this one".to_owned()
        }
    }
}

fn unreadable(why: Unusable, ledger: &str) -> String {
    let why = match why {
        Unusable::Unparsable => "it has a field or an outcome that this version does not know",
        Unusable::OtherNumber => "it names another phone number",
        Unusable::AheadOfTime => "an entry is dated in the future",
        Unusable::EndsTooLate => "an entry ends too long after it was signed",
        Unusable::TwoOpen => "two of its entries are open",
        Unusable::BeingDeleted => "it is being deleted",
        Unusable::WriteRefused => "the API server refuses what the operator writes into it",
    };
    format!(
        "CodeLedger {ledger} in the operator's namespace cannot be used: {why}. Nothing is sent for \
         this number; an administrator must mend the ledger"
    )
}

fn code_unknown(why: Because) -> &'static str {
    match why {
        Because::OtherKey => {
            "It cannot be told whether the code in the Secret was spent before (the fingerprint key \
             changed): if it is a new code, change spec.retryToken to submit it"
        }
        Because::Restored => {
            "It cannot be told whether the code in the Secret was spent before: this PhoneMigration \
             was restored without its status (label velero.io/restore-name), and its number has no \
             CodeLedger here. Restore both, or, if it is a new code, change spec.retryToken to \
             submit it"
        }
    }
}

fn why_held_back(release_cause: ReleaseCause, code: &str) -> String {
    match release_cause {
        ReleaseCause::Throttled => format!(
            "CAMS throttled the account ({code}); the code was not spent, and the attempt is repeated"
        ),
        ReleaseCause::NotSent => format!(
            "The request could not be sent ({code}); the code was not spent, and the attempt is repeated"
        ),
        // The operator's own word: it sent no request.
        ReleaseCause::Credentials if code == "NotSignedIn" => {
            "The operator is not signed in to Alibaba Cloud; the code was not spent. Its log and its \
             command check say why; it goes on by itself"
                .to_owned()
        }
        ReleaseCause::Credentials => format!(
            "CAMS refuses the operator's credentials ({code}); the code was not spent. Correct the \
             AccessKey of the operator; it goes on by itself"
        ),
        ReleaseCause::Account => format!(
            "CAMS refuses the account ({code}); the code was not spent. Check the RAM policy and the \
             subscription of the account; the operator goes on by itself"
        ),
        ReleaseCause::Clock => format!(
            "The clock of the operator's node and the clock of CAMS differ too much ({code}); the code \
             was not spent. Correct the node's clock; the operator goes on by itself"
        ),
    }
}

fn verified(by: VerifiedBy, has_id: bool, shown: Option<&ShownNumber>) -> String {
    let how = match by {
        VerifiedBy::Call => "CAMS accepted the code",
        VerifiedBy::ReadBefore => "The number was already verified; no code was spent",
        VerifiedBy::ReadAfter => {
            "The number's status says verified (adopted; the verification may be an earlier one)"
        }
    };
    let id = match has_id {
        true => "",
        false => "; its Id was not returned and is being read",
    };
    let number = match shown {
        Some(shown) if shown.is_other => {
            "; the reply shows the number otherwise (status.phoneNumber): check that it is this one in \
             another spelling"
        }
        Some(_) | None => "",
    };
    format!("{how}{id}{number}")
}

fn unknown(status: &PhoneMigrationStatus) -> String {
    let until = status
        .next_attempt_at
        .as_ref()
        .map_or_else(|| "later".to_owned(), |at| at.0.to_string());
    format!(
        "The request may have been executed; its reply is lost. The number's status is read until \
         {until}; until then no code is submitted, whatever changes"
    )
}

fn overdue(read_error: &str) -> String {
    format!(
        "The request may have been executed, and the number's status cannot be read ({read_error}). \
         Reads go on; check the number in the CAMS console before using another code"
    )
}

fn used_elsewhere() -> &'static str {
    "The code in the Secret was submitted before, by another PhoneMigration of this number (or the \
     same digits were issued twice by chance): request a new code and put it into the Secret"
}

fn exhausted(why: &Exhausted) -> String {
    match why {
        Exhausted::Limit {
            spent,
            limit,
            others,
        } => {
            let elsewhere = match others {
                0 => String::new(),
                others => format!(" in this namespace, and {others} in other namespaces"),
            };
            let then = match *limit >= MAX_ATTEMPTS {
                true => ", and no more are allowed for this number",
                false => {
                    ": repeated wrong codes can lock a number. Find the cause, put a new code into \
                     the Secret, then change spec.retryToken to allow more"
                }
            };
            format!("{spent} codes were spent{elsewhere}{then}")
        }
        Exhausted::Number { ledger } => format!(
            "40 codes were spent on this number: an administrator may delete CodeLedger {ledger}, \
             after taking used codes out of their Secrets"
        ),
    }
}

fn spent(conclusion: &Conclusion, code: &str) -> String {
    let how = match (conclusion.outcome, &conclusion.exhausted) {
        (Outcome::Refused | Outcome::RequestRefused, Some(why)) => {
            format!("CAMS refused ({code}). {}", exhausted(why))
        }
        (Outcome::Refused, None) => {
            format!("CAMS refused the code ({code}): request a new code and put it into the Secret")
        }
        (Outcome::RequestRefused, None) => format!(
            "CAMS refused the request ({code}): check custSpaceId, phoneNumber and that the number's \
             migration was initiated, then put a new code into the Secret. Both fields are \
             immutable: a wrong one needs another PhoneMigration, with a new code"
        ),
        (
            Outcome::UnknownFinal
            | Outcome::Unknown
            | Outcome::Accepted
            | Outcome::Adopted
            | Outcome::Throttled
            | Outcome::NotSent
            | Outcome::Blocked,
            _,
        ) => "The request may have been executed, but the number is not verified: the code is \
              regarded as spent. Request a new code and put it into the Secret"
            .to_owned(),
    };
    let how = match conclusion.by {
        SpentBy::Us => how,
        SpentBy::Other(at) => format!(
            "The code in the Secret was submitted at {at} by another PhoneMigration of this number \
             (or the same digits were issued twice by chance). {how}"
        ),
    };
    if conclusion.ambiguous {
        format!("{how}. {}", code_unknown(Because::OtherKey))
    } else {
        how
    }
}

/// The Event for a fact that was written; `None` if status showed it before, or if the resource
/// only passes through it. The Event has the reason of the state and the message of the condition.
pub fn event(old: &PhoneMigrationStatus, new: &PhoneMigrationStatus, fact: &Fact) -> Option<Event> {
    if !is_news(old, new, fact) {
        return None;
    }
    let shown = shown(new, fact)?;
    let (type_, action) = shown.event?;
    Some(note(type_, shown.reason.as_str(), action, shown.message))
}

/// True for each change of the visible state, and for each outcome that status did not show before:
/// a second refusal changes no state. False for a return to an older outcome.
fn is_news(old: &PhoneMigrationStatus, new: &PhoneMigrationStatus, fact: &Fact) -> bool {
    let another = newest_spent(old) != newest_spent(new);
    let Fact::Result(CamsResult::Spent(conclusion)) = fact else {
        return seen(old) != seen(new);
    };
    another || (conclusion.by != SpentBy::Us && seen(old) != seen(new))
}

/// Status reads lead to a final unknown; every other end is an answer to the submission.
fn found_by(conclusion: &Conclusion) -> &'static str {
    match (conclusion.by, conclusion.outcome) {
        (SpentBy::Us, Outcome::UnknownFinal) => VERIFY,
        (
            SpentBy::Us | SpentBy::Other(_),
            Outcome::UnknownFinal
            | Outcome::Refused
            | Outcome::RequestRefused
            | Outcome::Unknown
            | Outcome::Accepted
            | Outcome::Adopted
            | Outcome::Throttled
            | Outcome::NotSent
            | Outcome::Blocked,
        ) => SUBMIT,
    }
}

fn newest_spent(status: &PhoneMigrationStatus) -> Option<(&str, Outcome)> {
    let newest = status.history.first()?;
    Some((&newest.attempt_id, newest.outcome))
}

/// The visible part of a state: reason and conditions.
fn seen(status: &PhoneMigrationStatus) -> (Option<&str>, Vec<(&str, &str)>) {
    let conditions = status.conditions.iter();
    (
        status.reason.as_deref(),
        conditions.map(|c| (&*c.type_, &*c.status)).collect(),
    )
}

/// The Event for an outcome whose resource is gone.
pub fn without_resource(outcome: &str) -> Event {
    note(
        EventType::Warning,
        OUTCOME_WITHOUT_RESOURCE,
        SUBMIT,
        format!("The PhoneMigration was deleted during its attempt, which ended: {outcome}"),
    )
}

/// The Event for a reply that shows the number differently than the request did.
pub fn other_number(shown: &ShownNumber) -> Event {
    note(
        EventType::Warning,
        OTHER_NUMBER,
        VERIFY,
        format!(
            "CAMS answered for {}: check that it is the number of this PhoneMigration in another \
             spelling",
            shown.masked
        ),
    )
}

/// The Event for a failed read before the first attempt.
pub fn read_failed(why: &str) -> Event {
    note(
        EventType::Warning,
        STATUS_UNREADABLE,
        VERIFY,
        format!(
            "The number's verification status could not be read before the attempt ({why}); the attempt goes on"
        ),
    )
}

fn note(type_: EventType, reason: &str, action: &str, text: String) -> Event {
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(text.chars().take(1000).collect()),
        action: action.to_owned(),
        secondary: None,
    }
}
