//! Faults of TCP between the operator and CAMS, against the real binary.
//!
//! A proxy is between the two. The cases judge by reads of the API server, the simulator's ledger
//! and the proxy's counters. Every case ends with `World::finish`. The numbers in the names are
//! those of the reference cases.

use std::time::Duration;

use harness::{Migration, Operator, World, condition, crowd_code, crowd_phone};
use serde_json::Value;
use tcp_proxy::{TcpProxy, Toxics};

mod outage;
mod replies;
mod requests;

/// With this a lost outcome becomes final about 5 s after it was signed.
const SOON_FINAL: &str = "2s";
/// With this it does not become final while a case runs.
const NEVER_FINAL: &str = "10m";
/// Longest wait: a call's ten seconds, and the reads after it.
const PATIENCE: Duration = Duration::from_secs(50);
/// Beyond the deadline of a call, and before the first read that follows it.
const TOO_LATE: Duration = Duration::from_secs(12);
/// The variable with the number of a run: the seed of every jitter.
const SEED: &str = "PHONEMIG_TEST_SEED";

fn seed() -> u64 {
    let seed = std::env::var(SEED).map_or(1, |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    seed
}

/// An operator whose only way to its account is through a proxy.
struct Net {
    world: World,
    proxy: TcpProxy,
    _operator: Operator,
}

impl Net {
    /// With this `--signature-validity`.
    async fn new(name: &str, validity: &str) -> Self {
        let binary = crate::OPERATOR;
        let world = World::new(binary, name).await.unwrap();
        let proxy = TcpProxy::start(world.sim.address(), seed()).unwrap();
        let url = proxy.url();
        let flags = ["--cams-endpoint", &url, "--signature-validity", validity];
        let operator = world.start(&flags).await;
        Self {
            world,
            proxy,
            _operator: operator,
        }
    }

    /// A resource whose first connection is the pre-read's, and the second its submission's.
    async fn submit(&self, name: &str, n: u32) {
        let phone = crowd_phone(n);
        self.world
            .number(&phone, &crowd_code(n), &format!("id-{phone}"));
        self.world.code(name, &crowd_code(n)).await.unwrap();
        self.world.make(&Migration::new(name, &phone)).await;
    }

    /// The same, and its submission's connection has these toxics. One at a time.
    async fn submit_through(&self, toxics: Toxics, name: &str, n: u32) {
        self.proxy.next(Toxics::default());
        self.proxy.next(toxics);
        self.submit(name, n).await;
    }

    async fn until(&self, name: &str, wanted: &str) -> Value {
        let there = |status: &Value| harness::reason(status) == wanted;
        self.world.until(name, PATIENCE, there).await.unwrap()
    }

    /// Executed, but the operator got no reply: provisional, then found by a read.
    async fn is_found_by_a_read(&self, name: &str, n: u32) {
        let lost = self.until(name, "OutcomeUnknown").await;
        assert_eq!(condition(&lost, "Reconciling"), "True", "{lost}");
        assert_eq!(condition(&lost, "Finished"), "False", "{lost}");
        let status = self.until(name, "Verified").await;
        self.is_verified(&status, n, "Adopted");
    }

    /// Verified by its own call, at the first attempt.
    async fn is_accepted(&self, name: &str, n: u32) {
        let status = self.until(name, "Verified").await;
        self.is_verified(&status, n, "Accepted");
    }

    fn is_verified(&self, status: &Value, n: u32, outcome: &str) {
        let phone = crowd_phone(n);
        assert_eq!(status["id"], format!("id-{phone}"), "{status}");
        assert_eq!(status["attempt"]["outcome"], outcome, "{status}");
        assert_eq!(status["attempt"]["number"], 1, "{status}");
        let (calls, executed) = (self.world.calls(&phone).len(), self.world.executed(&phone));
        assert_eq!((calls, executed), (1, 1), "{status}");
    }

    /// Not executed, which the operator cannot know: an end that needs a person.
    async fn ends_unknown(&self, name: &str, n: u32) {
        let done = |status: &Value| condition(status, "Finished") == "True";
        let status = self.world.until(name, PATIENCE, done).await.unwrap();
        assert_eq!(harness::reason(&status), "OutcomeUnknown", "{status}");
        assert_eq!(condition(&status, "Stalled"), "True", "{status}");
        assert_eq!(status["attempt"]["outcome"], "UnknownFinal", "{status}");
        assert_eq!(self.world.executed(&crowd_phone(n)), 0, "{status}");
    }

    async fn finish(&self) {
        self.world.finish().await.unwrap();
    }
}
