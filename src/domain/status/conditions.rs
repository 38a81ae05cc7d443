//! The conditions that show a state to people, kubectl and GitOps tools. PURE.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::fit::shorten;

use super::present::State;
use super::{Stamp, whole_seconds};
use crate::api::crd::{MAX_MESSAGE, PhoneMigrationStatus, condition};
use crate::api::reason::Kstatus;

pub(super) fn show(new: &mut PhoneMigrationStatus, state: &State, stamp: &Stamp) {
    new.reason = Some(state.reason.as_str().to_owned());
    let (ready, reconciling, stalled) = match state.kstatus {
        Kstatus::Current => (true, false, false),
        Kstatus::InProgress => (false, true, false),
        Kstatus::Failed => (false, false, true),
        Kstatus::Paused => (false, false, false),
    };
    let mut message = state.message.clone();
    shorten(&mut message, MAX_MESSAGE);
    let conditions = [
        (condition::READY, ready),
        (condition::RECONCILING, reconciling),
        (condition::STALLED, stalled),
        (condition::FINISHED, state.finished),
    ]
    .map(|(type_, holds)| {
        let status = if holds { "True" } else { "False" }.to_owned();
        let since = new
            .conditions
            .iter()
            .find(|old| old.type_ == type_ && old.status == status)
            .map_or_else(
                || whole_seconds(stamp.now),
                |old| old.last_transition_time.clone(),
            );
        Condition {
            type_: type_.to_owned(),
            status,
            reason: state.reason.as_str().to_owned(),
            message: message.clone(),
            observed_generation: Some(stamp.generation),
            last_transition_time: since,
        }
    });
    new.conditions = conditions.into();
}

pub(super) fn restamp(new: &mut PhoneMigrationStatus, generation: i64) {
    for condition in &mut new.conditions {
        condition.observed_generation = Some(generation);
    }
}
