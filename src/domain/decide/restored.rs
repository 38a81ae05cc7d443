//! Resources restored from a backup without their status. PURE.

use jiff::Timestamp;

use super::{Decision, Next, Observed, Permit, TurnState, different, stay, token_permits};
use crate::api::crd::{PhoneMigration, PhoneMigrationStatus, RESTORED};
use crate::api::reason::Reason;
use crate::domain::code::Code;
use crate::domain::fact::{Because, State};

/// True for a resource that was restored from a backup without its status, and whose number has no
/// ledger here: the operator cannot know which codes were spent.
pub(super) fn restored_blind(o: &Observed<'_>, status: &PhoneMigrationStatus) -> bool {
    let unseen = status.reason.is_none() || status.restored_without_status;
    unseen && is_restored(o.object) && o.ledger.unreleased().next().is_none()
}

/// True if the label of a backup tool says that it restored this object.
pub fn is_restored(object: &PhoneMigration) -> bool {
    let labels = object.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key(RESTORED))
}

/// Decides for a code of which nothing is known. It takes a turn, because only the live ledger
/// shows that the number has none, and the pre-read may find the number verified. Then it waits for
/// a user.
pub(super) fn restored(
    o: &Observed<'_>,
    status: &PhoneMigrationStatus,
    code: &Code,
    now: Timestamp,
) -> Decision {
    let decision = different(o, status, code, now);
    if token_permits(o.object, status) {
        let permit = Permit {
            unknown_passes: true,
            ..decision.permit
        };
        return decision.with(permit);
    }
    let was_unknown = status.reason() == Some(Reason::CodeUnknown);
    let would_go = matches!(
        decision.next,
        Next::Enqueue(_) | Next::Stay(_) | Next::Claim
    );
    if would_go && (was_unknown || o.turn == TurnState::Granted) {
        return stay(o, status, State::CodeUnknown(Because::Restored));
    }
    decision
}
