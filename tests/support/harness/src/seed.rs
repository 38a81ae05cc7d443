//! Seeds: the same seed makes the same choices.

use std::fmt::Display;
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::events::locked;

/// The first seed; 1 without it.
const SEED: &str = "PHONEMIG_TEST_SEED";
/// How many seeds, counted up from the first; 1 without it.
const SEEDS: &str = "PHONEMIG_TEST_SEEDS";

/// The seed of one run of a case, and the plan that was made from it.
#[derive(Clone, Debug)]
pub struct Seed {
    case: String,
    value: u64,
    plan: Arc<Mutex<Vec<String>>>,
}

impl Seed {
    pub fn value(&self) -> u64 {
        self.value
    }

    /// A generator that makes the same choices for the same seed.
    pub fn rng(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.value)
    }

    /// Records a choice, as a line that is printed if the case fails.
    pub fn plan(&self, line: impl Display) {
        let mut plan = locked(&self.plan);
        plan.push(line.to_string());
    }
}

/// Prints the seed and the plan of a run that panics.
struct ReplyDetails(Seed);

impl Drop for ReplyDetails {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Seed { case, value, plan } = &self.0;
            eprintln!("--- {case} failed with seed {value}; again: {SEED}={value}; its plan:");
            for line in locked(plan).iter() {
                eprintln!("    {line}");
            }
        }
    }
}

/// The seeds of this run, from the environment.
pub fn seeds() -> Result<std::ops::Range<u64>> {
    let first = number(SEED)?;
    Ok(first..first.saturating_add(number(SEEDS)?))
}

fn number(variable: &str) -> Result<u64> {
    match std::env::var(variable) {
        Ok(value) => value.parse().map_err(Error::at(variable)),
        Err(_) => Ok(1),
    }
}

/// Runs a case once for each seed of this run, one after the other. `case` is its name.
pub async fn for_each_seed(case: &str, run: impl AsyncFn(Seed)) -> Result<()> {
    for value in seeds()? {
        let seed = Seed {
            case: case.to_owned(),
            value,
            plan: Arc::default(),
        };
        let _told = ReplyDetails(seed.clone());
        run(seed).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn every_seed_runs_once_and_repeats_its_choices() {
        let ran = Mutex::new(Vec::new());
        for_each_seed("case", async |seed| {
            seed.plan("nothing");
            assert_eq!(seed.rng().u64(..), seed.rng().u64(..));
            ran.lock().unwrap().push(seed.value());
        })
        .await
        .unwrap();
        let ran = ran.into_inner().unwrap();
        assert_eq!(ran, seeds().unwrap().collect::<Vec<_>>());
    }
}
