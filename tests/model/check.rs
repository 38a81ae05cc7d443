//! Runs of the checker, and what they print: the scope, states, seconds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::properties::L1;
use crate::protocol::{Protocol, Step};
use crate::scope::Scope;
use crate::state::State;

/// Explores the whole scope: no property falls, and a settled state can be reached from every
/// state.
pub fn holds(name: &str, scope: Scope) {
    let begun = Instant::now();
    let model = Protocol::new(scope.clone());
    let graph = Arc::clone(&model.graph);
    let checker = model.checker().threads(2).spawn_bfs().join();
    for (property, path) in checker.discoveries() {
        show(&path);
        panic!("{name}: falls: {property}");
    }
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    drop(checker);
    let stuck = graph.lock().unwrap().stuck();
    if !stuck.is_empty() {
        let mut model = Protocol::new(scope);
        model.stuck = stuck.iter().copied().collect();
        let path = first(model, L1);
        path.as_ref().map(show);
        panic!("{name}: {} states lead to no settled one", stuck.len());
    }
    println!(
        "{name}: holds; {states} states, depth {depth}, {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

/// Explores the scope until this property falls.
pub fn falls(name: &str, scope: Scope, property: &'static str) {
    let begun = Instant::now();
    let model = Protocol::new(scope);
    let graph = Arc::clone(&model.graph);
    let Some(path) = first(model, property) else {
        panic!("{name}: not found: {property}");
    };
    if std::env::var_os("MODEL_PATHS").is_some() {
        show(&path);
    }
    println!(
        "{name}: falls: {property}; after {} steps, {} states, {:.1} s",
        path.into_actions().len(),
        graph.lock().unwrap().states(),
        begun.elapsed().as_secs_f64()
    );
}

/// The shortest way to where the property falls.
fn first(model: Protocol, property: &'static str) -> Option<Path<State, Step>> {
    let until = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker = model.checker().finish_when(until).spawn_bfs().join();
    checker.discovery(property)
}

fn show(path: &Path<State, Step>) {
    for (state, step) in path.clone().into_vec() {
        println!("  {state:?}\n    -> {step:?}");
    }
}
