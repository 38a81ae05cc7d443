//! The conditions that show a state to people, kubectl and GitOps tools. PURE.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::fit::shorten;

use super::present::Shown;
use super::{Stamp, whole_seconds};
use crate::api::crd::{MAX_MESSAGE, PhoneMigrationStatus, condition};
use crate::api::reason::Kstatus;

pub(super) fn show(new: &mut PhoneMigrationStatus, shown: &Shown, stamp: &Stamp) {
    new.reason = Some(shown.reason.as_str().to_owned());
    let (ready, reconciling, stalled) = match shown.kstatus {
        Kstatus::Current => (true, false, false),
        Kstatus::InProgress => (false, true, false),
        Kstatus::Failed => (false, false, true),
        Kstatus::Paused => (false, false, false),
    };
    let mut message = shown.message.clone();
    shorten(&mut message, MAX_MESSAGE);
    let conditions = [
        (condition::READY, ready),
        (condition::RECONCILING, reconciling),
        (condition::STALLED, stalled),
        (condition::FINISHED, shown.finished),
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
            reason: shown.reason.as_str().to_owned(),
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
