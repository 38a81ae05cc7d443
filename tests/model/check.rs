//! Runs of the checker, and their output: the scope, states, seconds.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::properties::L1;
use crate::protocol::{Protocol, Step};
use crate::reach::Graph;
use crate::scope::Scope;
use crate::state::State;

/// Explores the whole scope: no property falls, and a settled state can be reached from every
/// state.
pub fn holds(name: &str, scope: Scope) {
    let begun = Instant::now();
    let (states, depth, stuck) = explore(name, Protocol::new(scope.clone()));
    if let Some(path) = way_to(scope, &stuck) {
        show(&path);
        panic!("{name}: {} states lead to no settled one", stuck.len());
    }
    println!(
        "{name}: holds; {states} states, depth {depth}, {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

/// Explores the whole scope: some states lead to no settled one.
pub fn stalls(name: &str, scope: Scope) {
    let begun = Instant::now();
    let (states, _, stuck) = explore(name, Protocol::new(scope.clone()));
    let Some(path) = way_to(scope, &stuck) else {
        panic!("{name}: not found: {L1}");
    };
    tell(name, L1, &path, states, begun);
}

/// Explores the scope until this property falls.
pub fn falls(name: &str, scope: Scope, property: &'static str) {
    let begun = Instant::now();
    let Some((path, states)) = first(Protocol::new(scope), property) else {
        panic!("{name}: not found: {property}");
    };
    tell(name, property, &path, states, begun);
}

fn tell(name: &str, property: &str, path: &Path<State, Step>, states: usize, begun: Instant) {
    if std::env::var_os("MODEL_PATHS").is_some() {
        show(path);
    }
    println!(
        "{name}: falls: {property}; after {} steps, {states} states, {:.1} s",
        path.clone().into_actions().len(),
        begun.elapsed().as_secs_f64()
    );
}

/// States, depth, and the states that lead to no settled one.
fn explore(name: &str, mut model: Protocol) -> (usize, usize, Vec<u64>) {
    let graph = Arc::new(Mutex::new(Graph::default()));
    model.graph = Some(Arc::clone(&graph));
    let checker = model.checker().threads(2).spawn_bfs().join();
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        show(&path);
        panic!("{name}: falls: {property}");
    }
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    drop(checker);
    let stuck = graph.lock().unwrap().stuck();
    (states, depth, stuck)
}

/// The shortest way to one of these states.
fn way_to(scope: Scope, stuck: &[u64]) -> Option<Path<State, Step>> {
    if stuck.is_empty() {
        return None;
    }
    let mut model = Protocol::new(scope);
    model.stuck = stuck.iter().copied().collect();
    first(model, L1).map(|(path, _)| path)
}

/// The shortest way to a violation of the property, and the states seen until then.
fn first(model: Protocol, property: &'static str) -> Option<(Path<State, Step>, usize)> {
    let until = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker = model.checker().finish_when(until).spawn_bfs().join();
    let path = checker.discovery(property)?;
    Some((path, checker.unique_state_count()))
}

fn show(path: &Path<State, Step>) {
    for (state, step) in path.clone().into_vec() {
        println!("  {state:?}\n-> {step:?}");
    }
}
