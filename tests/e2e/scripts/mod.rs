//! Random scripts of user actions, CAMS faults and crashes against the real binary, a real API
//! server and the simulator. Judged by the ledger's rules: see `model` and `rules`.
//!
//! A failure is shrunk to the shortest script that still fails, and printed with its seed:
//!
//! ```sh
//! PROPTEST_CASES=20 PROPTEST_RNG_SEED=7 cargo test -p e2e scripts::
//! ```
//!
//! Limits: one operator at a time, two numbers, no second resource of one number. Timing is real,
//! so a script that depends on it may need more than one run to fail again.

mod deeds;
mod model;
mod op;
mod rest;
mod rules;
mod sut;

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use harness::cases::*;
use model::Model;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use sut::Script;

use crate::OPERATOR;

/// The seed of the ordinary run. `PROPTEST_RNG_SEED` sets another one.
const SEED: u64 = 20_261_123;
/// Scripts of each test below; more by `PROPTEST_CASES`.
const SCRIPTS: u32 = 3;
/// Runs of a shorter script before it counts as passing: timing is real.
const TRIES: usize = 2;
/// No new shorter script is tried after this.
const SHRINK_FOR: Duration = Duration::from_secs(15 * 60);

fn seed() -> u64 {
    match Config::default().rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => SEED,
    }
}

fn config(part: u64) -> Config {
    let asked = Config::default();
    Config {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() {
            asked.cases
        } else {
            SCRIPTS
        },
        rng_seed: RngSeed::Fixed(seed().wrapping_mul(8).wrapping_add(part)),
        max_shrink_time: match asked.max_shrink_time {
            0 => u32::try_from(SHRINK_FOR.as_millis()).unwrap(),
            asked => asked,
        },
        failure_persistence: None,
        ..asked
    }
}

/// Scripts that ran, and why they failed. While a script is shrunk the same one comes again and
/// again, and one that fails sometimes counts as failing.
#[derive(Default)]
struct Known(RefCell<HashMap<String, Option<String>>>);

impl Known {
    /// The outcome of this script, by running it if it is new.
    fn outcome(&self, script: &str, run: impl Fn()) -> Option<String> {
        if let Some(known) = self.0.borrow().get(script) {
            return known.clone();
        }
        let shrinking = self.0.borrow().values().any(Option::is_some);
        let tries = if shrinking { TRIES } else { 1 };
        let failure = (0..tries).find_map(|_| {
            let panic = catch_unwind(AssertUnwindSafe(&run)).err()?;
            let text = panic.downcast_ref::<String>().cloned();
            Some(text.unwrap_or_else(|| "panicked".to_owned()))
        });
        self.0
            .borrow_mut()
            .insert(script.to_owned(), failure.clone());
        failure
    }
}

/// Runs scripts; panics with the shortest that fails.
fn scripts(part: u64) {
    let config = config(part);
    let runner = &mut TestRunner::new(config.clone());
    let known = Known::default();
    let result = runner.run(
        &Model::sequential_strategy(5..15),
        |(initial, script, seen)| {
            let run = || {
                Script::test_sequential(
                    config.clone(),
                    initial.clone(),
                    script.clone(),
                    seen.clone(),
                )
            };
            match known.outcome(&format!("{initial:?} {script:?}"), run) {
                None => Ok(()),
                Some(why) => Err(TestCaseError::fail(why)),
            }
        },
    );
    match result {
        Ok(()) => {}
        Err(TestError::Abort(why)) => panic!("no scripts: {why}"),
        Err(TestError::Fail(why, (initial, script, _))) => panic!(
            "{why}\nThe shortest script that fails, of PROPTEST_RNG_SEED={} part {part}, from {initial}:\n{script:#?}",
            seed()
        ),
    }
}

#[test]
fn scripts_keep_the_ledgers_rules_part_1() {
    scripts(1);
}

#[test]
fn scripts_keep_the_ledgers_rules_part_2() {
    scripts(2);
}

#[test]
fn scripts_keep_the_ledgers_rules_part_3() {
    scripts(3);
}
