//! Random scripts of people, CAMS faults and crashes against the real binary, a real API server
//! and the simulator. Judged by the ledger's rules: see `model` and `rules`.
//!
//! A failure is shrunk to the shortest script that still fails, and printed with its seed:
//!
//! ```sh
//! PROPTEST_CASES=20 PROPTEST_RNG_SEED=7 cargo test --test scripts
//! ```
//!
//! Limits: one operator at a time, two numbers, no second resource of one number. Timing is
//! real, so a script that depends on it may need more than one run to fail again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod model;
mod rules;
mod sut;

use std::time::Duration;

use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use model::Model;
use sut::Script;

/// The binary under test.
const OPERATOR: &str = env!("CARGO_BIN_EXE_phone-migration-operator");
/// Of the ordinary run. Another one by `PROPTEST_RNG_SEED`.
const SEED: u64 = 20_261_123;
/// Scripts of each test below; more by `PROPTEST_CASES`.
const SCRIPTS: u32 = 2;
/// No new shorter script is tried after this.
const SHRINK_FOR: Duration = Duration::from_secs(15 * 60);

fn config(part: u64) -> Config {
    let asked = Config::default();
    let seed = match asked.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => SEED,
    };
    Config {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() {
            asked.cases
        } else {
            SCRIPTS
        },
        rng_seed: RngSeed::Fixed(seed.wrapping_mul(8).wrapping_add(part)),
        max_shrink_time: u32::try_from(SHRINK_FOR.as_millis()).unwrap(),
        failure_persistence: None,
        ..asked
    }
}

/// Runs scripts; panics with the shortest that fails.
fn scripts(part: u64) {
    let config = config(part);
    let runner = &mut TestRunner::new(config.clone());
    let strategy = Model::sequential_strategy(5..15);
    let result = runner.run(&strategy, |(initial, script, seen)| {
        Script::test_sequential(config.clone(), initial, script, seen);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Abort(why)) => panic!("no scripts: {why}"),
        Err(TestError::Fail(why, (initial, script, _))) => panic!(
            "{why}\nThe shortest script that fails, of {:?} part {part}:\n{:?}\n{script:#?}",
            config.rng_seed, initial.numbers
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

/// A script that fails, and the shorter ones that are tried after it, end their operators.
#[test]
fn a_failing_script_leaves_no_operator_behind() {
    let pids = std::sync::Mutex::new(Vec::new());
    let config = Config {
        cases: 1,
        max_shrink_iters: 2,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(SEED),
        ..Config::default()
    };
    let runner = &mut TestRunner::new(config);
    let result = runner.run(&Model::sequential_strategy(3), |(initial, _, _)| {
        let script = Script::init_test(&initial);
        pids.lock()
            .unwrap()
            .push(script.pid().expect("an operator"));
        panic!("as a broken rule would");
    });
    assert!(matches!(result, Err(TestError::Fail(..))), "{result:?}");
    let pids = pids.into_inner().unwrap();
    assert!(!pids.is_empty());
    for pid in pids {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(
            !command.contains("phone-migration-operator"),
            "{pid} is still there"
        );
    }
}
