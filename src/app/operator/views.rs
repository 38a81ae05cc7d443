//! Reports the state of the watches to the probes and the metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::operator::state::context::Context;
use crate::operator::state::views::{Trouble, View};
use crate::telemetry::metrics::WatchState;
use crate::telemetry::server::Health;

/// Keeps the process unready, from this call on, until every watched namespace was listed. If RBAC
/// refuses one namespace but not all, only the resources there wait; the log, a metric and `check`
/// report it.
pub(super) fn run(ctx: Arc<Context>, health: Arc<Health>) -> impl Future<Output = ()> {
    let mut views = ctx.views.subscribe();
    tell(&ctx, &health, &views.borrow_and_update());
    async move {
        while views.changed().await.is_ok() {
            tell(&ctx, &health, &views.borrow_and_update());
        }
    }
}

fn tell(ctx: &Context, health: &Health, views: &BTreeMap<String, View>) {
    for (namespace, view) in views {
        let part = part(namespace);
        match waits_for(view, views) {
            None => health.ready(&part),
            Some(why) => health.not_ready(part, in_words(namespace, why)),
        }
    }
    for state in WatchState::ALL {
        let states = views.values().map(state_of);
        let count = states.filter(|its| *its == state).count();
        ctx.metrics.resources.set_watches(state, count);
    }
}

fn part(namespace: &str) -> String {
    match namespace {
        "" => "list".to_owned(),
        name => format!("list of {name}"),
    }
}

fn in_words(namespace: &str, why: &str) -> String {
    match namespace {
        "" => format!("PhoneMigrations {why}"),
        name => format!("PhoneMigrations of namespace {name} {why}"),
    }
}

/// Why this watch keeps the process unready; `None` if it does not.
fn waits_for(view: &View, all: &BTreeMap<String, View>) -> Option<&'static str> {
    if view.listed {
        return None;
    }
    if view.trouble != Some(Trouble::Forbidden) {
        return Some("are not listed yet");
    }
    let others = all.values().any(|other| other.listed);
    (!others).then_some("may not be listed (403)")
}

fn state_of(view: &View) -> WatchState {
    match (view.trouble, view.listed) {
        (Some(Trouble::Forbidden), _) => WatchState::Forbidden,
        (Some(Trouble::Failing), _) => WatchState::Failing,
        (None, true) => WatchState::Watching,
        (None, false) => WatchState::Starting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(listed: bool, trouble: Option<Trouble>) -> View {
        View {
            reached: true,
            listed,
            trouble,
        }
    }

    #[test]
    fn a_forbidden_namespace_keeps_nobody_else_waiting() {
        let (new, done) = (view(false, None), view(true, None));
        let forbidden = view(false, Some(Trouble::Forbidden));
        let failing = view(false, Some(Trouble::Failing));
        let all = |views: &[View]| {
            let named = views.iter().enumerate();
            named.map(|(n, view)| (n.to_string(), *view)).collect()
        };
        let waits = |of: View, others: &[View]| {
            let views = [&[of], others].concat();
            waits_for(&of, &all(&views)).is_some()
        };
        assert!(!waits(forbidden, &[done]));
        assert!(!waits(forbidden, &[forbidden, done]));
        // Then the operator watches nothing at all.
        assert!(waits(forbidden, &[]) && waits(forbidden, &[forbidden, new]));
        for other in [new, done, forbidden] {
            assert!(waits(new, &[other]) && waits(failing, &[other]));
            assert!(!waits(done, &[other]));
        }
        // A watch that was listed once stays ready: a restart would repair nothing.
        assert!(!waits(view(true, Some(Trouble::Forbidden)), &[new]));
    }
}
